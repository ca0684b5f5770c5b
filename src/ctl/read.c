/* read: one local file, by a private daemon in one-document mode: the same code as any document's. */
#include "ctl.h"

#include "mem.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* The daemon beside us (a build tree), else where it is installed. */
static char *daemon_path(void)
{
	char self[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash, *path;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL) {
		*slash = '\0';
		path = mem_printf("%s/indexocrd", self);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return mem_strdup(SBINDIR "/indexocrd");
}

int ctl_read(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"source", required_argument, NULL, 's'},
		{"engine", required_argument, NULL, 'e'},
		{NULL, 0, NULL, 0},
	};
	const char *source = "acte";
	char *engine = NULL;
	char *path, *file;
	const char *args[12];
	int option, n = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			source = optarg;
		else if (option == 'e')
			engine = optarg;
		else
			return EX_USAGE;
	}
	if (optind != argc - 1)
		return ctl_usage("read takes one file");
	file = argv[optind];
	path = daemon_path();
	args[n++] = "indexocrd";
	/* Without a file of that name every key has its default; a file that was asked for has to be there. */
	if (ctl->conf_given || access(ctl->conf_path, F_OK) == 0) {
		args[n++] = "-c";
		args[n++] = ctl->conf_path;
	}
	args[n++] = "--source";
	args[n++] = source;
	if (engine != NULL) {
		args[n++] = "--engine";
		args[n++] = engine;
	}
	if (!ctl->json)
		args[n++] = "--text";
	args[n++] = "--read";
	args[n++] = file;
	args[n] = NULL;
	(void)execv(path, (char *const *)(uintptr_t)args);
	(void)fprintf(stderr, "indexocrctl: cannot start %s: %s\n", path, strerror(errno));
	free(path);
	return EX_UNAVAILABLE;
}
