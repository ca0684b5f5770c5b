#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void out_of_memory(void)
{
	static const char last_words[] = "indexocr: out of memory\n";

	(void)!write(STDERR_FILENO, last_words, sizeof last_words - 1);
	abort();
}

void *mem_calloc(size_t count, size_t size_bytes)
{
	void *p = calloc(count > 0 ? count : 1, size_bytes > 0 ? size_bytes : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *mem_realloc(void *old, size_t size_bytes)
{
	void *p = realloc(old, size_bytes > 0 ? size_bytes : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

char *mem_strndup(const char *text, size_t len)
{
	char *p = mem_calloc(len + 1, 1);

	memcpy(p, text, len);
	return p;
}

char *mem_strdup(const char *text)
{
	return mem_strndup(text, strlen(text));
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	va_list again;
	char *text;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	if (len < 0)
		abort();
	text = mem_calloc((size_t)len + 1, 1);
	(void)vsnprintf(text, (size_t)len + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return text;
}

void mem_free_secret(char *secret)
{
	if (secret == NULL)
		return;
	explicit_bzero(secret, strlen(secret));
	free(secret);
}
