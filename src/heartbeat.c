#include "heartbeat.h"

#include "clock.h"
#include "embed.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SILENT_MS = 30 * 1000, REDIS_TIMEOUT_MS = 1000, RETRY_MS = 2000 };

struct heartbeat {
	const struct settings *settings;
	const struct scoreboard *board;
	struct redis *redis;
	char *workers_key, *seen_key;
	char host[65];
	int64_t started_ms; /* real time */
	int64_t due_ms;
	bool up;
	bool said_down;
};

int heartbeat_new(struct heartbeat **out, const struct settings *settings,
	const struct scoreboard *board, struct err *err)
{
	struct heartbeat *h;

	*out = NULL;
	if (settings->redis.url == NULL || settings->redis.url[0] == '\0')
		return 0;
	h = mem_calloc(1, sizeof *h);
	h->settings = settings;
	h->board = board;
	h->workers_key = mem_printf("%s:workers", settings->redis.prefix);
	h->seen_key = mem_printf("%s:workers:seen", settings->redis.prefix);
	h->started_ms = clock_real_ms();
	(void)gethostname(h->host, sizeof h->host - 1);
	if (redis_new(&h->redis, settings->redis.url, REDIS_TIMEOUT_MS, err) != 0) {
		heartbeat_free(h);
		return -1;
	}
	*out = h;
	return 0;
}

void heartbeat_free(struct heartbeat *h)
{
	if (h == NULL)
		return;
	redis_free(h->redis);
	free(h->workers_key);
	free(h->seen_key);
	free(h);
}

static char *entry_json(const struct heartbeat *h, const char *id, const struct sb_slot_view *v)
{
	cJSON *entry = cJSON_CreateObject();
	char *text;

	json_add_text(entry, "workerId", id);
	json_add_text(entry, "type", "index");
	json_add_int(entry, "startedAt", h->started_ms);
	json_add_int(entry, "lastHeartbeat", clock_real_ms());
	json_add_text(entry, "environment", "multi");
	json_add_text(entry, "host", h->host);
	json_add_int(entry, "pid", v->pid);
	json_add_text(entry, "state", sb_state_name(v->state));
	text = json_print(entry);
	cJSON_Delete(entry);
	return text;
}

/* The arguments of one beat; slot by slot an id and its JSON. */
static int beat(struct heartbeat *h, const char *verb, struct err *err)
{
	const int slots = scoreboard_used(h->board);
	char **args = mem_calloc((size_t)slots * 2 + 2, sizeof *args);
	const char *keys[] = {h->workers_key, h->seen_key};
	int count = 0;
	int rc;

	args[count++] = mem_printf("%d", SILENT_MS);
	args[count++] = mem_strdup(verb);
	for (int i = 1; i < slots; i++) {
		struct sb_slot_view v;

		(void)scoreboard_look(h->board, i, &v);
		if (v.post == SB_EMPTY && strcmp(verb, "beat") == 0)
			continue;
		if (v.spawn == 0)
			continue;
		args[count++] = mem_printf("%s-%d", h->settings->worker_id, i);
		args[count] = entry_json(h, args[count - 1], &v);
		count++;
	}
	rc = redis_script(h->redis, embed_get("lua/heartbeat.lua"), 2, keys, count,
		(const char *const *)args, NULL, err);
	for (int i = 0; i < count; i++)
		free(args[i]);
	free(args);
	return rc;
}

int64_t heartbeat_tend(struct heartbeat *h)
{
	struct err err;

	if (h == NULL)
		return INT64_MAX;
	if (clock_boot_ms() < h->due_ms)
		return h->due_ms;
	h->up = beat(h, "beat", &err) == 0;
	h->due_ms = clock_boot_ms() + (h->up ? HEARTBEAT_MS : RETRY_MS);
	if (!h->up && !h->said_down)
		log_event(LEVEL_ERROR, "keeper", &(struct log_more){.ms = -1, .error = err.text},
			"Redis is not usable");
	if (h->up && h->said_down)
		log_event(LEVEL_INFO, "keeper", NULL, "Redis is back");
	h->said_down = !h->up;
	return h->due_ms;
}

enum sb_redis heartbeat_redis(const struct heartbeat *h)
{
	if (h == NULL)
		return SB_REDIS_NONE;
	return h->up ? SB_REDIS_UP : SB_REDIS_DOWN;
}

void heartbeat_remove(struct heartbeat *h)
{
	struct err err;

	if (h != NULL && h->up)
		(void)beat(h, "remove", &err); /* else they are pruned by whoever is left */
}
