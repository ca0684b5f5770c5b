#include "status.h"

#include "clock.h"
#include "json.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add_failures(cJSON *out, const char *key, const struct gate *gate)
{
	if (gate_failures(gate) > 0)
		json_add_int(out, key, gate_failures(gate));
}

static cJSON *environment_json(struct scoreboard *sb, int index, const char *name)
{
	cJSON *out = cJSON_CreateObject();
	struct sb_environment_view v;

	scoreboard_environment_get(sb, index, &v);
	json_add_text(out, "name", name);
	json_add_text(out, "database", sb_reach_name(v.reach));
	if (v.error[0] != '\0')
		json_add_text(out, "error", v.error);
	if (v.retiring)
		cJSON_AddBoolToObject(out, "retiring", true);
	add_failures(out, "storageFailures", scoreboard_storage_gate(sb, index));
	if (v.reach == SB_UP)
		cJSON_AddBoolToObject(out, "notifications", v.hears);
	json_add_int(out, "ready", v.ready);
	json_add_int(out, "waiting", v.waiting);
	json_add_int(out, "claimed", v.claimed);
	json_add_int(out, "foreign", v.foreign);
	json_add_int(out, "failed", v.failed);
	if (v.oldest_ready_ms >= 0)
		json_add_int(
			out, "oldestReadyMs", v.oldest_ready_ms + clock_boot_ms() - v.looked_ms);
	return out;
}

/* What is configured now, and what is on its way out while claims of it stand. */
static cJSON *environments_json(struct scoreboard *sb, const struct settings *settings)
{
	cJSON *out = cJSON_CreateArray();
	const char *name;

	for (size_t e = 0; e < settings->environment_count; e++) {
		const struct set_environment *set = &settings->environments[e];

		cJSON_AddItemToArray(
			out, environment_json(sb,
				     scoreboard_environment_index(sb, set->name, set->database),
				     set->name));
	}
	for (int i = 0; (name = scoreboard_environment_name(sb, i)) != NULL; i++) {
		struct sb_environment_view v;

		scoreboard_environment_get(sb, i, &v);
		if (v.retiring)
			cJSON_AddItemToArray(out, environment_json(sb, i, name));
	}
	return out;
}

static void add_counters(cJSON *out, const uint64_t counters[SB_COUNTERS])
{
	for (int i = 0; i < SB_COUNTERS; i++)
		json_add_int(out, sb_counter_name((enum sb_counter)i), (int64_t)counters[i]);
}

static void add_job(cJSON *out, const struct scoreboard *sb, const struct sb_slot_view *v)
{
	const char *name = scoreboard_environment_name(sb, v->environment);

	if (v->claim == 0 || v->document[0] == '\0')
		return;
	json_add_text(out, "environment", name);
	json_add_text(out, "document", v->document);
	json_add_int(out, "page", v->page);
	json_add_int(out, "pages", v->pages);
	json_add_int(out, "jobMs", clock_boot_ms() - v->job_since_ms);
}

static cJSON *death_json(const struct scoreboard *sb, const struct sb_death *death)
{
	cJSON *out = cJSON_CreateObject();
	char at[CLOCK_TEXT_BYTES];

	clock_format(death->at_ms, at);
	json_add_text(out, "at", at);
	json_add_int(out, "pid", death->pid);
	json_add_int(out, "spawn", death->spawn);
	json_add_int(out, "livedMs", death->lived_ms);
	json_add_text(out, "reason", death->reason);
	json_add_text(out, "state", sb_state_name(death->state));
	if (death->document[0] != '\0') {
		json_add_text(
			out, "environment", scoreboard_environment_name(sb, death->environment));
		json_add_text(out, "document", death->document);
		json_add_int(out, "page", death->page);
		json_add_int(out, "pages", death->pages);
	}
	if (death->trace[0] != '\0')
		json_add_text(out, "trace", death->trace);
	return out;
}

/* What is read, or half read, and waits for its database. */
static void add_kept(cJSON *out, const struct scoreboard *sb, int slot)
{
	struct sb_kept_view kept;
	int count = 0;

	for (int place = 0; place < SB_KEPT; place++) {
		(void)scoreboard_kept(sb, slot, place, &kept);
		count += kept.claim != 0;
	}
	if (count > 0)
		json_add_int(out, "kept", count);
}

static cJSON *process_json(const struct scoreboard *sb, const struct settings *settings, int slot,
	const struct sb_slot_view *v)
{
	cJSON *out = cJSON_CreateObject();
	char id[SB_TEXT_BYTES];
	struct sb_death death;

	(void)snprintf(id, sizeof id, "%s-%d", settings->worker_id, slot);
	json_add_text(out, "id", slot == SB_KEEPER ? "keeper" : id);
	json_add_int(out, "slot", slot);
	json_add_text(out, "post", sb_post_name(v->post));
	json_add_int(out, "pid", v->pid);
	json_add_int(out, "spawn", v->spawn);
	json_add_int(out, "generation", v->generation);
	json_add_text(out, "state", sb_state_name(v->state));
	json_add_int(out, "stateMs", clock_boot_ms() - v->since_ms);
	json_add_int(out, "aliveMs", v->alive_ms != 0 ? clock_boot_ms() - v->alive_ms : -1);
	if (v->reason[0] != '\0')
		json_add_text(out, "reason", v->reason);
	else if (v->state == SB_PAUSED && scoreboard_paused_since(sb) != 0)
		json_add_text(out, "reason", "paused by an operator");
	if ((v->post == SB_WAITING || v->post == SB_THROTTLED) && v->restart_at_ms != 0)
		json_add_int(out, "restartMs", v->restart_at_ms - clock_boot_ms());
	add_job(out, sb, v);
	add_kept(out, sb, slot);
	if (scoreboard_death_get(sb, slot, &death))
		cJSON_AddItemToObject(out, "lastDeath", death_json(sb, &death));
	return out;
}

/* Who has to end, and for how long the oldest document has been in work. */
static int still_working(const struct scoreboard *sb, int64_t *oldest_ms)
{
	const int64_t now_ms = clock_boot_ms();
	struct sb_slot_view v;
	int workers = 0;

	*oldest_ms = -1;
	for (int i = SB_KEEPER + 1; i < scoreboard_used(sb); i++) {
		(void)scoreboard_look(sb, i, &v);
		if (v.post != SB_RUNNING && v.post != SB_DRAINING)
			continue;
		workers++;
		if (v.claim != 0 && now_ms - v.job_since_ms > *oldest_ms)
			*oldest_ms = now_ms - v.job_since_ms;
	}
	return workers;
}

void status_drain_text(const struct scoreboard *sb, char text[STATUS_LINE_BYTES])
{
	int64_t oldest_ms;
	const int workers = still_working(sb, &oldest_ms);
	const int len = snprintf(text, STATUS_LINE_BYTES, "waiting for %d worker%s", workers,
		workers == 1 ? "" : "s");

	if (oldest_ms >= 0)
		(void)snprintf(text + len, STATUS_LINE_BYTES - (size_t)len,
			", oldest document %lld s", (long long)(oldest_ms / 1000));
}

static cJSON *drain_json(const struct scoreboard *sb, const struct status_facts *facts)
{
	const int64_t left_ms = facts->stop_ends_ms - clock_boot_ms();
	cJSON *out = cJSON_CreateObject();
	int64_t oldest_ms;

	json_add_text(out, "phase", facts->stop_phase);
	json_add_int(out, "workers", still_working(sb, &oldest_ms));
	if (oldest_ms >= 0)
		json_add_int(out, "oldestJobMs", oldest_ms);
	json_add_int(out, "leftMs", left_ms > 0 ? left_ms : 0);
	return out;
}

static cJSON *pool_json(const struct status_facts *facts)
{
	cJSON *out = cJSON_CreateObject();

	json_add_text(out, "scale", facts->settings->scale == SCALE_QUEUE ? "queue" : "static");
	json_add_int(out, "wanted", facts->pool_wanted);
	json_add_int(out, "min", facts->pool_asked);
	json_add_int(out, "max", facts->pool_most);
	return out;
}

static cJSON *loop_json(const struct sb_loop *loop)
{
	cJSON *out = cJSON_CreateObject();

	json_add_int(out, "workers", loop->workers);
	json_add_text(out, "reason", loop->reason);
	json_add_int(out, "sinceMs", clock_boot_ms() - loop->since_ms);
	return out;
}

static cJSON *processes_json(const struct scoreboard *sb, const struct settings *settings)
{
	cJSON *out = cJSON_CreateArray();
	struct sb_slot_view v;

	for (int i = 0; i < scoreboard_used(sb); i++) {
		(void)scoreboard_look(sb, i, &v);
		if (v.post != SB_EMPTY)
			cJSON_AddItemToArray(out, process_json(sb, settings, i, &v));
	}
	return out;
}

/* What all workers need and does not work, in words as people read warnings. */
static void warn_of_gate(
	cJSON *warnings, const struct gate *gate, const char *what, const char *whose)
{
	char text[SB_TEXT_BYTES];
	const int failures = gate_failures(gate);

	if (failures == 0)
		return;
	(void)snprintf(text, sizeof text,
		"%s%s does not work: %d failure%s in a row, tried again in %lld s", what, whose,
		failures, failures == 1 ? "" : "s",
		(long long)gate_shut_ms(gate, clock_boot_ms()) / 1000);
	cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
}

static void warn_of_gates(cJSON *warnings, struct scoreboard *sb)
{
	const char *name;

	warn_of_gate(warnings, scoreboard_engine_gate(sb), "the engine", "");
	for (int i = 0; (name = scoreboard_environment_name(sb, i)) != NULL; i++)
		warn_of_gate(warnings, scoreboard_storage_gate(sb, i), "the storage of ", name);
}

static cJSON *totals_json(const struct scoreboard *sb)
{
	cJSON *out = cJSON_CreateObject();
	uint64_t counters[SB_COUNTERS];

	scoreboard_totals(sb, counters);
	add_counters(out, counters);
	return out;
}

cJSON *status_json(struct scoreboard *sb, const struct status_facts *facts)
{
	const struct settings *settings = facts->settings;
	const int64_t paused_ms = scoreboard_paused_since(sb);
	cJSON *out = cJSON_CreateObject();
	cJSON *warnings = cJSON_CreateArray();
	struct sb_loop loop;

	json_add_text(out, "version", PACKAGE_VERSION);
	json_add_text(out, "daemon", scoreboard_daemon(sb));
	json_add_int(out, "pid", getpid());
	json_add_int(out, "generation", facts->generation);
	cJSON_AddBoolToObject(out, "draining", facts->stop_phase != NULL);
	if (facts->stop_phase != NULL)
		cJSON_AddItemToObject(out, "drain", drain_json(sb, facts));
	cJSON_AddBoolToObject(out, "paused", paused_ms != 0);
	if (paused_ms != 0)
		json_add_int(out, "pausedMs", clock_boot_ms() - paused_ms);
	cJSON_AddItemToObject(out, "pool", pool_json(facts));
	add_failures(out, "engineFailures", scoreboard_engine_gate(sb));
	json_add_text(out, "redis", sb_redis_name(scoreboard_redis_state(sb)));
	cJSON_AddBoolToObject(out, "reloadWaits", facts->reload_waits);
	json_add_text(
		out, "reloadError", facts->reload_error[0] != '\0' ? facts->reload_error : NULL);
	if (scoreboard_loop_get(sb, &loop))
		cJSON_AddItemToObject(out, "crashLoop", loop_json(&loop));
	cJSON_AddItemToObject(out, "environments", environments_json(sb, settings));
	cJSON_AddItemToObject(out, "processes", processes_json(sb, settings));
	cJSON_AddItemToObject(out, "totals", totals_json(sb));
	for (size_t i = 0; i < settings->warnings.count; i++)
		cJSON_AddItemToArray(warnings, cJSON_CreateString(settings->warnings.items[i]));
	warn_of_gates(warnings, sb);
	cJSON_AddItemToObject(out, "warnings", warnings);
	return out;
}
