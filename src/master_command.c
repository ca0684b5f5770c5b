#include "json.h"
#include "master_private.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

static cJSON *answer(bool ok, const char *error)
{
	cJSON *out = cJSON_CreateObject();

	cJSON_AddBoolToObject(out, "ok", ok);
	if (!ok)
		json_add_text(out, "error", error);
	return out;
}

static cJSON *scale_to(struct master *m, const char *argument)
{
	char *end;
	const long workers = strtol(argument, &end, 10);

	if (*argument == '\0' || *end != '\0' || workers < 0 || workers > master_last_slot(m))
		return answer(false, "scale wants a number of workers from 0 to workers_limit");
	master_scale(m, (int)workers);
	return answer(true, NULL);
}

static cJSON *reload_now(struct master *m)
{
	const enum reload_outcome outcome = master_reload(m);
	cJSON *out = outcome == RELOAD_REFUSED ? answer(false, m->generations.error)
					       : answer(true, NULL);

	cJSON_AddBoolToObject(out, "waits", outcome == RELOAD_WAITS);
	return out;
}

static cJSON *status_now(const struct master *m)
{
	const struct status_facts facts = {
		.settings = master_settings(m),
		.generation = m->generations.number,
		.reload_waits = m->generations.pending != NULL,
		.reload_error = m->generations.error,
		.stop_phase = master_is_running(m) ? NULL : stop_phase_name(m->stop.phase),
		.stop_ends_ms = m->stop.ends_ms,
		.pool_asked = m->pool.asked,
		.pool_wanted = m->pool.wanted,
		.pool_most = pool_most(&m->pool, master_settings(m)),
	};

	return status_json(m->scoreboard, &facts);
}

cJSON *master_command(void *arg, const char *word, const char *argument)
{
	struct master *m = arg;

	if (strcmp(word, "status") == 0)
		return status_now(m);
	if (strcmp(word, "drain") == 0) {
		master_order_stop(m, STOP_DRAIN, "indexocrctl drain");
		return answer(true, NULL);
	}
	if (!master_is_running(m))
		return answer(false, "the daemon is draining");
	if (strcmp(word, "reload") == 0)
		return reload_now(m);
	if (strcmp(word, "scale") == 0)
		return scale_to(m, argument);
	return answer(false, "unknown command");
}
