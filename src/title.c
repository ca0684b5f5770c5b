#include "title.h"

#include "mem.h"

#include <bsd/stdlib.h>
#include <bsd/unistd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TITLE_MAX_BYTES = 256 };

/*
 * The library takes the first argument for the end of all of them, and where a title ends before it, leaves a dot there
 * for the kernel to go by, which ps would show. Made one of all, the kernel reads up to the title's own end.
 */
void title_init(int argc, char **argv)
{
	char *whole[] = {argv[0], NULL};

	for (int i = 0; i < argc; i++) {
		char *copy = mem_strdup(argv[i]);

		if (i + 1 < argc)
			argv[i][strlen(argv[i])] = ' ';
		argv[i] = copy;
	}
	setprogname("indexocrd");
	setproctitle_init(argc > 0 ? 1 : 0, whole, environ);
}

void title_set(const char *fmt, ...)
{
	char text[TITLE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	setproctitle("%s", text);
}
