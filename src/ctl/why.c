/* Why a ready document is not being claimed: what the row itself cannot say, since it lies with the daemon. */
#include "ctl.h"

#include "json.h"
#include "mem.h"

#include <string.h>

struct workers {
	int running, paused, busy;
};

static const cJSON *find(const cJSON *environments, const char *name)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, environments)
	{
		const char *text = json_text(e, "name");

		if (text != NULL && strcmp(text, name) == 0 && !json_bool(e, "retiring", false))
			return e;
	}
	return NULL;
}

static bool is(const cJSON *object, const char *path, const char *word)
{
	const char *text = json_text(object, path);

	return text != NULL && strcmp(text, word) == 0;
}

static struct workers count_workers(const cJSON *status)
{
	struct workers w = {0};
	const cJSON *p;

	cJSON_ArrayForEach(p, json_get(status, "processes"))
	{
		if (is(p, "id", "keeper") || !is(p, "post", "running"))
			continue;
		w.running++;
		w.paused += is(p, "state", "paused");
		w.busy += !is(p, "state", "paused") && !is(p, "state", "idle");
	}
	return w;
}

/* Of those that are asked first, the one that has something ready: while it has, nothing is taken here. */
static const cJSON *goes_first(const cJSON *status, const char *environment)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, json_get(status, "environments"))
	{
		if (is(e, "name", environment))
			return NULL;
		if (is(e, "database", "up") && json_int(e, "ready", 0) > 0)
			return e;
	}
	return NULL;
}

static char *environment_says(const cJSON *e)
{
	const char *error = json_text(e, "error");

	if (is(e, "database", "up") && json_int(e, "storageFailures", 0) > 0)
		return mem_strdup("its storage does not work; it is tried again now and then");
	if (is(e, "database", "up"))
		return NULL;
	if (error == NULL)
		return mem_strdup("the daemon has not reached this database yet");
	return mem_printf("the daemon cannot use this database: %s", error);
}

static char *workers_say(const cJSON *status, const struct workers *w)
{
	if (json_int(status, "engineFailures", 0) > 0)
		return mem_strdup("the engine does not work; it is tried again now and then");
	if (w->running == 0)
		return mem_strdup("no worker is running; see indexocrctl status");
	if (w->paused == w->running)
		return mem_printf("every worker is paused (%d): the engine cannot be used, the log "
				  "says why",
			w->paused);
	return NULL;
}

/* Nothing is wrong; others come before it. */
static char *others_say(
	const cJSON *row, const char *environment, const cJSON *status, const struct workers *w)
{
	const cJSON *first = goes_first(status, environment);
	const int64_t before = json_int(row, "before", 0);

	if (first != NULL)
		return mem_printf("environment %s is asked first and has %lld ready",
			json_text(first, "name"), (long long)json_int(first, "ready", 0));
	if (before > 0)
		return mem_printf("%lld%s older document%s before it",
			(long long)(before > 1000 ? 1000 : before), before > 1000 ? "+" : "",
			before == 1 ? " comes" : "s come");
	if (w->busy == w->running)
		return mem_printf("all %d workers are busy; it is the next", w->running);
	return NULL;
}

char *ctl_why_not_claimed(const cJSON *row, const char *environment, const cJSON *status)
{
	const cJSON *e = find(json_get(status, "environments"), environment);
	const struct workers w = count_workers(status);
	char *why;

	if (status == NULL)
		return mem_strdup("no daemon answers on this host");
	if (json_bool(status, "draining", false))
		return mem_strdup("the daemon of this host is draining");
	if (json_bool(status, "paused", false))
		return mem_strdup("claiming is paused by an operator; indexocrctl resume lifts it");
	if (e == NULL)
		return mem_printf(
			"the running daemon does not know environment %s; reload it", environment);
	why = environment_says(e);
	if (why == NULL)
		why = workers_say(status, &w);
	return why != NULL ? why : others_say(row, environment, status, &w);
}
