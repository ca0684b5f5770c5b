#include "master_private.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

struct status_facts master_facts(const struct master *m)
{
	return (struct status_facts){
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
}

static cJSON *status_now(void *arg, const struct control_request *request)
{
	const struct master *m = arg;
	const struct status_facts facts = master_facts(m);

	(void)request;
	return status_json(m->scoreboard, &facts);
}

static cJSON *drain(void *arg, const struct control_request *request)
{
	(void)request;
	master_order_stop(arg, STOP_DRAIN, "indexocrctl drain");
	return control_done();
}

static cJSON *reload(void *arg, const struct control_request *request)
{
	struct master *m = arg;
	const enum reload_outcome outcome = master_reload(m);
	cJSON *out = outcome == RELOAD_REFUSED ? control_refusal("config", m->generations.error)
					       : control_done();

	(void)request;
	cJSON_AddBoolToObject(out, "waits", outcome == RELOAD_WAITS);
	return out;
}

static cJSON *scale(void *arg, const struct control_request *request)
{
	struct master *m = arg;
	char *end;
	const long workers = strtol(request->argument, &end, 10);

	if (*end != '\0' || workers < 0 || workers > master_last_slot(m))
		return control_refusal(
			"request", "scale wants a number of workers from 0 to workers_limit");
	master_scale(m, (int)workers);
	return control_done();
}

static cJSON *pause_or_resume(void *arg, const struct control_request *request)
{
	const struct master *m = arg;

	scoreboard_pause(m->scoreboard, strcmp(request->word, "pause") == 0);
	return control_done();
}

const struct control_command master_commands[] = {
	{"status", status_now, CONTROL_LOOKS | CONTROL_WHILE_DRAINING},
	{"pause", pause_or_resume, 0},
	{"resume", pause_or_resume, 0},
	{"scale", scale, CONTROL_ARGUMENT},
	{"reload", reload, 0},
	{"drain", drain, CONTROL_WHILE_DRAINING},
	{NULL, NULL, 0},
};
