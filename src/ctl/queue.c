/* What is done at the queue's database: migrate, queue, add. */
#include "ctl.h"

#include "http.h"
#include "json.h"
#include "mem.h"
#include "queue.h"
#include "storage.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

int ctl_open_queue(struct ctl *ctl, const struct set_environment *environment, struct queue **q)
{
	struct err err;

	if (queue_new(q, environment, &ctl->settings->queue, "indexocrctl", &err) == 0)
		return EX_OK;
	return ctl_fail(&err);
}

/* ---- migrate */

struct migration {
	bool print_only;
};

static void say_sql(void *arg, const char *sql)
{
	const struct migration *m = arg;

	(void)fprintf(m->print_only ? stdout : stderr, "%s;\n", sql);
}

static int migrate(struct ctl *ctl, const struct set_environment *environment, bool notify,
	struct migration *m)
{
	struct queue *q = NULL;
	struct err err;
	int status = ctl_open_queue(ctl, environment, &q);

	if (status == EX_OK && queue_migrate(q, notify, m->print_only, say_sql, m, &err) != 0)
		status = ctl_fail(&err);
	else if (status == EX_OK && !m->print_only)
		(void)printf("%s: the queue has everything indexocr needs\n", environment->name);
	queue_free(q);
	return status;
}

int ctl_migrate(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"database", required_argument, NULL, 'd'},
		{"no-notify", no_argument, NULL, 'n'},
		{"print", no_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	struct migration m = {0};
	struct set_environment as_owner;
	const struct set_environment *environment;
	const char *database = NULL;
	bool notify = true;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'd')
			database = optarg;
		else if (option == 'n')
			notify = false;
		else if (option == 'p')
			m.print_only = true;
		else
			return EX_USAGE;
	}
	if (optind != argc - 1)
		return ctl_usage("migrate takes the name of one environment");
	environment = ctl_environment(ctl, argv[optind]);
	if (environment == NULL)
		return EX_CONFIG;
	as_owner = *environment;
	if (database != NULL)
		as_owner.database = mem_strdup(database);
	option = migrate(ctl, &as_owner, notify, &m);
	if (database != NULL)
		mem_free_secret(as_owner.database);
	return option;
}

/* ---- queue */

static void print_depth(const struct ctl *ctl, const char *name, const struct queue_depth *d)
{
	if (ctl->json)
		(void)printf("{\"name\":\"%s\",\"ready\":%lld,\"waiting\":%lld,\"claimed\":%lld,"
			     "\"foreign\":%lld,\"failed\":%lld,"
			     "\"oldestReadyMs\":%lld}\n",
			name, (long long)d->ready, (long long)d->waiting, (long long)d->claimed,
			(long long)d->foreign, (long long)d->failed, (long long)d->oldest_ready_ms);
	else
		(void)printf(
			"%-12s ready %lld, waiting %lld, claimed %lld, foreign %lld, failed %lld\n",
			name, (long long)d->ready, (long long)d->waiting, (long long)d->claimed,
			(long long)d->foreign, (long long)d->failed);
}

int ctl_queue(struct ctl *ctl, int argc, char **argv)
{
	const struct settings *s = ctl_settings(ctl);
	int worst = EX_OK;

	(void)argv;
	if (argc > 1)
		return ctl_usage("queue takes no arguments");
	for (size_t i = 0; s != NULL && i < s->environment_count; i++) {
		struct queue_depth depth;
		struct queue *q = NULL;
		struct err err;
		int status = ctl_open_queue(ctl, &s->environments[i], &q);

		if (status == EX_OK && queue_depth(q, &depth, &err) != 0) {
			(void)err_prefix(&err, "%s: ", s->environments[i].name);
			status = ctl_fail(&err);
		} else if (status == EX_OK) {
			print_depth(ctl, s->environments[i].name, &depth);
		}
		worst = status != EX_OK ? status : worst;
		queue_free(q);
	}
	return s != NULL ? worst : EX_CONFIG;
}

/* ---- add */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int add_file(struct ctl *ctl, struct http *http, struct queue *q,
	const struct set_environment *environment, const char *source, const char *file)
{
	char id[JOB_ID_BYTES];
	struct err err;

	if (storage_put(http, environment, &ctl->settings->storage, source, base_name(file), file,
		    &err) != 0 ||
		queue_add(q, source, base_name(file), base_name(file), id, &err) != 0) {
		(void)err_prefix(&err, "%s: ", file);
		return ctl_fail(&err);
	}
	if (ctl->json)
		(void)printf("{\"environment\":\"%s\",\"id\":\"%s\"}\n", environment->name, id);
	else
		(void)printf("%s: %s is document %s\n", environment->name, base_name(file), id);
	return EX_OK;
}

int ctl_add(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"source", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
	const struct set_environment *environment;
	const char *source = "index";
	struct http *http = NULL;
	struct queue *q = NULL;
	struct err err;
	int option, status;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 's')
			return EX_USAGE;
		source = optarg;
	}
	if (argc - optind < 2)
		return ctl_usage("add takes an environment and files");
	environment = ctl_environment(ctl, argv[optind++]);
	if (environment == NULL)
		return EX_CONFIG;
	status = http_new(&http, &err) == 0 ? ctl_open_queue(ctl, environment, &q) : ctl_fail(&err);
	for (; status == EX_OK && optind < argc; optind++)
		status = add_file(ctl, http, q, environment, source, argv[optind]);
	queue_free(q);
	http_free_all(http);
	return status;
}
