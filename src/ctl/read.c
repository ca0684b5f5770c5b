/* read, process: one document by a private daemon in one-document mode: the same code as any document's. */
#include "ctl.h"

#include "conf.h"
#include "engine.h"
#include "mem.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 16 };

/* What indexocrd is called with; borrowed. */
struct arguments {
	const char *items[ARGUMENTS_MAX];
	int count;
};

static void add(struct arguments *a, const char *option, const char *value)
{
	a->items[a->count++] = option;
	if (value != NULL)
		a->items[a->count++] = value;
}

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

/* Without a file of that name every key has its default; a file that was asked for has to be there. */
static const char *conf_path(const struct ctl *ctl)
{
	return ctl->conf_given || access(ctl->conf_path, F_OK) == 0 ? ctl->conf_path : NULL;
}

static int become_daemon(struct arguments *a)
{
	char *path = daemon_path();

	a->items[a->count] = NULL;
	(void)execv(path, (char *const *)(uintptr_t)a->items);
	(void)fprintf(stderr, "indexocrctl: cannot start %s: %s\n", path, strerror(errno));
	free(path);
	return EX_UNAVAILABLE;
}

/*
 * Without Redis the limits live in the running daemon, and a second program beside it would call as if it were
 * alone: together they would pass the quota. EX_OK = go on.
 */
static int refuse_beside_daemon(struct ctl *ctl)
{
	const struct settings *s = ctl->settings;
	const struct engine_type *type = engine_find(s->engine.use);
	cJSON *status;
	struct err err;

	if (type == NULL || !type->metered || (s->redis.url != NULL && s->redis.url[0] != '\0'))
		return EX_OK;
	status = ctl_ask(ctl, "status", &err);
	if (status == NULL)
		return EX_OK;
	cJSON_Delete(status);
	(void)fprintf(stderr,
		"indexocrctl: a daemon is running, and without Redis its use of the quota is not "
		"known here; --own-limit goes on with limits of its own\n");
	return EX_TEMPFAIL;
}

int ctl_read(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"source", required_argument, NULL, 's'},
		{"engine", required_argument, NULL, 'e'},
		{"own-limit", no_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	struct conf_overrides overrides = {.no_queue = true};
	struct arguments a = {.items = {"indexocrd"}, .count = 1};
	const char *source = "acte";
	bool own_limit = false;
	struct err err;
	int option, status;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			source = optarg;
		else if (option == 'e')
			overrides.engine = optarg;
		else if (option == 'o')
			own_limit = true;
		else
			return EX_USAGE;
	}
	if (optind != argc - 1)
		return ctl_usage("read takes one file");
	if (conf_load(&ctl->settings, conf_path(ctl), &overrides, &err) != 0)
		return ctl_fail(&err);
	status = own_limit ? EX_OK : refuse_beside_daemon(ctl);
	if (status != EX_OK)
		return status;
	if (conf_path(ctl) != NULL)
		add(&a, "-c", conf_path(ctl));
	add(&a, "--source", source);
	if (overrides.engine != NULL)
		add(&a, "--engine", overrides.engine);
	if (!ctl->json)
		add(&a, "--text", NULL);
	add(&a, "--read", argv[optind]);
	return become_daemon(&a);
}

int ctl_process(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"own-limit", no_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
	struct arguments a = {.items = {"indexocrd"}, .count = 1};
	bool own_limit = false;
	int option, status;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'o')
			return EX_USAGE;
		own_limit = true;
	}
	if (optind != argc - 2)
		return ctl_usage("process takes an environment and an id");
	if (ctl_environment(ctl, argv[optind]) == NULL)
		return EX_CONFIG;
	status = own_limit ? EX_OK : refuse_beside_daemon(ctl);
	if (status != EX_OK)
		return status;
	add(&a, "-c", ctl->conf_path);
	add(&a, "--environment", argv[optind]);
	if (ctl->json)
		add(&a, "--json", NULL);
	add(&a, "--process", argv[optind + 1]);
	return become_daemon(&a);
}
