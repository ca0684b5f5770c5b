/* check: can everything the configuration names be reached? limits: what the limiter sees. One line each, with the remedy. */
#include "ctl.h"

#include "engine.h"
#include "http.h"
#include "json.h"
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

struct report {
	bool json;
	cJSON *checks; /* owned; with json only */
	int failures;
};

static void add_check(struct report *r, const char *what, const char *environment, const char *name,
	const struct err *failure)
{
	cJSON *check = cJSON_CreateObject();

	json_add_text(check, "what", what);
	if (environment[0] != '\0')
		json_add_text(check, "environment", environment);
	if (name[0] != '\0')
		json_add_text(check, "name", name);
	cJSON_AddBoolToObject(check, "ok", failure == NULL);
	if (failure != NULL)
		json_add_text(check, "error", failure->text);
	cJSON_AddItemToArray(r->checks, check);
}

static void report(struct report *r, const char *what, const char *environment, const char *name,
	int rc, const struct err *err)
{
	r->failures += rc != 0;
	if (r->json) {
		add_check(r, what, environment, name, rc != 0 ? err : NULL);
		return;
	}
	(void)printf("%s  %s%s%s%s%s%s%s\n", rc == 0 ? "ok  " : "FAIL", what,
		environment[0] != '\0' ? " " : "", environment, name[0] != '\0' ? " " : "", name,
		rc != 0 ? ": " : "", rc != 0 ? err->text : "");
}

static void check_environment(struct report *r, const struct settings *s, struct http *http,
	const struct set_environment *e)
{
	struct queue_depth depth;
	struct queue *q = NULL;
	struct err err;
	int rc = queue_new(&q, e, &s->queue, "indexocrctl", &err);

	if (rc == 0)
		rc = queue_depth(q, &depth, &err);
	report(r, "database", e->name, "", rc, &err);
	queue_free(q);
	for (size_t i = 0; i < s->queue.sources.count; i++) {
		const char *source = s->queue.sources.items[i];

		rc = storage_check(http, e, &s->storage, source, &err);
		report(r, "bucket", e->name, source, rc, &err);
	}
}

static void check_redis(struct report *r, const struct settings *s)
{
	static const char *const ping[] = {"PING"};
	struct redis *redis = NULL;
	struct err err;
	int rc;

	if (s->redis.url == NULL || s->redis.url[0] == '\0')
		return;
	rc = redis_new(&redis, s->redis.url, REDIS_TIMEOUT_MS, &err);
	if (rc == 0)
		rc = redis_command(redis, 1, ping, NULL, NULL, &err);
	redis_free(redis);
	report(r, "redis", "", "", rc, &err);
}

static void check_engine(struct report *r, const struct settings *s, struct http *http)
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
	report(r, "engine", "", s->engine.use, rc, &err);
}

static void print_warnings(const struct settings *s)
{
	for (size_t i = 0; i < s->warnings.count; i++)
		(void)printf("warn  %s\n", s->warnings.items[i]);
}

static void print_report_json(struct report *r, const struct settings *s)
{
	cJSON *out = cJSON_CreateObject();
	cJSON *warnings = cJSON_CreateArray();

	for (size_t i = 0; i < s->warnings.count; i++)
		cJSON_AddItemToArray(warnings, cJSON_CreateString(s->warnings.items[i]));
	cJSON_AddBoolToObject(out, "ok", r->failures == 0);
	cJSON_AddItemToObject(out, "checks", r->checks);
	cJSON_AddItemToObject(out, "warnings", warnings);
	r->checks = NULL;
	ctl_print_json(out);
	cJSON_Delete(out);
}

int ctl_check(struct ctl *ctl, int argc, char **argv)
{
	const struct settings *s = ctl_settings(ctl);
	struct report r = {.json = ctl->json};
	struct http *http = NULL;
	struct err err;

	(void)argv;
	if (argc > 1)
		return ctl_usage("check takes no arguments");
	if (s == NULL)
		return EX_CONFIG;
	if (http_new(&http, &err) != 0)
		return ctl_fail(&err);
	r.checks = cJSON_CreateArray();
	for (size_t i = 0; i < s->environment_count; i++)
		check_environment(&r, s, http, &s->environments[i]);
	check_redis(&r, s);
	check_engine(&r, s, http);
	http_free_all(http);
	if (r.json)
		print_report_json(&r, s);
	else
		print_warnings(s);
	cJSON_Delete(r.checks);
	return r.failures == 0 ? EX_OK : EX_UNAVAILABLE;
}

/* ---- limits */

static void print_limits_json(const struct limiter_view *v)
{
	cJSON *out = cJSON_CreateObject();

	json_add_int(out, "calls", v->calls);
	json_add_int(out, "callLimit", v->call_limit);
	json_add_int(out, "tokens", v->tokens);
	json_add_int(out, "tokenLimit", v->token_limit);
	json_add_int(out, "pausedMs", v->paused_ms);
	cJSON_AddBoolToObject(out, "redis", v->redis_up);
	ctl_print_json(out);
	cJSON_Delete(out);
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
	if (rc == 0 && ctl->json)
		print_limits_json(&view);
	else if (rc == 0)
		print_limits(&view);
	limiter_close(limiter);
	free(shared);
	return rc == 0 ? EX_OK : ctl_fail(&err);
}
