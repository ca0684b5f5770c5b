/* check: can everything the configuration names be reached? limits: what the limiter sees. One line each, with the remedy. */
#include "ctl.h"

#include "clock.h"
#include "engine.h"
#include "http.h"
#include "limiter.h"
#include "mem.h"
#include "queue.h"
#include "redis.h"
#include "storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { REDIS_TIMEOUT_MS = 2000 };

static int report(const char *what, const char *name, int rc, const struct err *err)
{
	if (rc == 0)
		(void)printf("ok    %s %s\n", what, name);
	else
		(void)printf("FAIL  %s %s: %s\n", what, name, err->text);
	return rc == 0 ? 0 : 1;
}

static int check_environment(
	const struct settings *s, struct http *http, const struct set_environment *e)
{
	struct queue_depth depth;
	struct queue *q = NULL;
	struct err err;
	int failures;
	int rc = queue_new(&q, e, &s->queue, "indexocrctl", &err);

	if (rc == 0)
		rc = queue_depth(q, &depth, &err);
	failures = report("database", e->name, rc, &err);
	queue_free(q);
	for (size_t i = 0; i < s->queue.sources.count; i++)
		failures += report("bucket", s->queue.sources.items[i],
			storage_check(http, e, &s->storage, s->queue.sources.items[i], &err), &err);
	return failures;
}

static int check_redis(const struct settings *s)
{
	static const char *const ping[] = {"PING"};
	struct redis *r = NULL;
	struct err err;
	int rc;

	if (s->redis.url == NULL || s->redis.url[0] == '\0')
		return 0;
	rc = redis_new(&r, s->redis.url, REDIS_TIMEOUT_MS, &err);
	if (rc == 0)
		rc = redis_command(r, 1, ping, NULL, NULL, &err);
	redis_free(r);
	return report("redis", "", rc, &err);
}

static int check_engine(const struct settings *s, struct http *http)
{
	const struct engine_type *type = engine_find(s->engine.use);
	const struct engine_context context = {s, http};
	struct engine *e = NULL;
	struct err err;
	int rc;

	if (type == NULL)
		rc = err_set(&err, ERR_CONFIG, "engine", "there is no engine of that name");
	else if ((rc = type->open(&e, &context, &err)) == 0)
		rc = type->probe(e, &err);
	if (e != NULL)
		type->close(e);
	return report("engine", s->engine.use, rc, &err);
}

int ctl_check(struct ctl *ctl, int argc, char **argv)
{
	const struct settings *s = ctl_settings(ctl);
	struct http *http = NULL;
	struct err err;
	int failures = 0;

	(void)argv;
	if (argc > 1)
		return ctl_usage("check takes no arguments");
	if (s == NULL)
		return EX_CONFIG;
	if (http_new(&http, &err) != 0)
		return ctl_fail(&err);
	for (size_t i = 0; i < s->environment_count; i++)
		failures += check_environment(s, http, &s->environments[i]);
	failures += check_redis(s);
	failures += check_engine(s, http);
	http_free_all(http);
	for (size_t i = 0; i < s->warnings.count; i++)
		(void)printf("warn  %s\n", s->warnings.items[i]);
	return failures == 0 ? EX_OK : EX_UNAVAILABLE;
}

static void print_limits(const struct limiter_view *v)
{
	(void)printf("calls in the last minute   %lld of %lld\n", (long long)v->calls,
		(long long)v->call_limit);
	(void)printf("tokens in the last minute  %lld of %lld\n", (long long)v->tokens,
		(long long)v->token_limit);
	if (v->paused_ms > 0)
		(void)printf("paused for                 %lld ms\n", (long long)v->paused_ms);
	(void)printf("redis                      %s\n", v->redis_up ? "up" : "not in use");
}

int ctl_limits(struct ctl *ctl, int argc, char **argv)
{
	const struct settings *s = ctl_settings(ctl);
	const bool reset = argc == 2 && strcmp(argv[1], "reset") == 0;
	struct limiter_view view;
	struct limiter *limiter = NULL;
	void *shared;
	char scope[160];
	struct err err;
	int rc;

	if (s == NULL)
		return EX_CONFIG;
	if (argc > 1 && !reset)
		return ctl_usage("limits takes nothing, or reset");
	if (s->redis.url == NULL || s->redis.url[0] == '\0')
		return ctl_usage("without Redis the limits live in the daemon: see status");
	(void)snprintf(scope, sizeof scope, "%s:%s", s->engine.use,
		strcmp(s->engine.use, "openai") == 0 ? s->openai.model : s->gemini.model);
	shared = mem_calloc(1, limiter_shared_bytes());
	rc = limiter_open(&limiter, &s->limits, &s->redis, shared, scope, &err);
	if (rc == 0 && reset)
		rc = limiter_reset(limiter, &err);
	if (rc == 0)
		rc = limiter_look(limiter, &view, &err);
	if (rc == 0)
		print_limits(&view);
	limiter_close(limiter);
	free(shared);
	return rc == 0 ? EX_OK : ctl_fail(&err);
}
