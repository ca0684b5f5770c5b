/* Who is still there, and whether anybody gets ready at all. */
#include "child_private.h"
#include "clock.h"
#include "log.h"
#include "obituary.h"

#include <signal.h>
#include <stdio.h>

void child_name(const struct settings *settings, int slot, char name[CHILD_NAME_BYTES])
{
	if (slot == SB_KEEPER)
		(void)snprintf(name, CHILD_NAME_BYTES, "keeper");
	else
		(void)snprintf(name, CHILD_NAME_BYTES, "%s-%d", settings->worker_id, slot);
}

/* ---- silence */

/* Said before it is dead: one that the system cannot kill has no obituary. */
static void log_silence(const struct child_table *t, const struct settings *settings, int slot)
{
	const struct child *c = &t->children[slot];
	const struct restart_decision none = {0};
	struct sb_slot_view v;
	struct sb_death death;
	char name[CHILD_NAME_BYTES], doing[OBITUARY_BYTES];

	(void)scoreboard_look(t->scoreboard, slot, &v);
	obituary_begin(&death, &v, &none);
	obituary_doing(
		&death, scoreboard_environment_name(t->scoreboard, death.environment), doing);
	child_name(settings, slot, name);
	log_event(LEVEL_WARN, "master", NULL,
		"%s (pid %ld) gives no sign of life for %lld s while %s: SIGABRT, then SIGKILL",
		name, (long)c->pid, (long long)(c->hang.silent_ms / 1000), doing);
}

static void watch_one(struct child_table *t, const struct settings *settings, int slot)
{
	struct child *c = &t->children[slot];
	const int64_t timeout_ms = slot == SB_KEEPER ? settings->supervise.keeper_timeout_ms
						     : settings->supervise.hang_timeout_ms;

	switch (hang_look(
		&c->hang, scoreboard_alive_ms(t->scoreboard, slot), clock_boot_ms(), timeout_ms)) {
	case HANG_FINE:
		break;
	case HANG_ABORT:
		log_silence(t, settings, slot);
		(void)kill(c->pid, SIGABRT);
		break;
	case HANG_KILL: /* one that was stopped hears nothing else */
		(void)kill(c->pid, SIGKILL);
		break;
	}
}

/* ---- the loop of all */

int child_probe(const struct child_table *t)
{
	if (t->loop != RESTART_LOOP_ON)
		return 0;
	for (int i = SB_KEEPER + 1; i < t->slots; i++)
		if (t->children[i].wanted && !t->children[i].held)
			return i;
	return 0;
}

static bool is_ready(const struct child_table *t, int slot)
{
	return t->children[slot].pid != 0 && scoreboard_alive_ms(t->scoreboard, slot) != 0;
}

static bool is_failing(const struct child *c)
{
	return c->held || c->past.unready_deaths >= RESTART_UNREADY_MAX;
}

static struct restart_crowd look_at_crowd(const struct child_table *t)
{
	struct restart_crowd crowd = {0};

	for (int i = SB_KEEPER + 1; i < t->slots; i++) {
		if (!t->children[i].wanted)
			continue;
		crowd.wanted++;
		if (is_ready(t, i))
			crowd.ready++;
		else
			crowd.failing += is_failing(&t->children[i]);
	}
	return crowd;
}

/* Those who are not tried have no time at which they would be. */
static void post_held_back(struct child_table *t, int probe)
{
	struct sb_slot_view v;

	for (int i = SB_KEEPER + 1; i < t->slots; i++) {
		if (!t->children[i].wanted || t->children[i].held || t->children[i].pid != 0 ||
			i == probe)
			continue;
		(void)scoreboard_look(t->scoreboard, i, &v);
		scoreboard_post(t->scoreboard, i, SB_THROTTLED, 0, t->children[i].spawn);
		scoreboard_post_why(t->scoreboard, i, 0, v.reason);
	}
}

static void tell_loop(
	struct child_table *t, const struct settings *settings, const struct restart_crowd *crowd)
{
	const int probe = child_probe(t);
	struct sb_loop loop = {.workers = crowd->wanted, .since_ms = clock_boot_ms()};
	struct sb_slot_view v;
	char next[96] = "none is started again before a reload";

	(void)scoreboard_look(t->scoreboard, probe != 0 ? probe : SB_KEEPER + 1, &v);
	(void)snprintf(loop.reason, sizeof loop.reason, "%s", v.reason);
	scoreboard_loop(t->scoreboard, &loop);
	post_held_back(t, probe);
	if (probe != 0)
		(void)snprintf(next, sizeof next,
			"one is tried again, in the end every %lld s, and all after a reload",
			(long long)settings->supervise.restart_backoff_max_ms / 1000);
	log_event(LEVEL_ERROR, "master", NULL,
		"No worker gets ready: all %d end before they begin to work (%s). The lines before "
		"this one, of master and workers, say why; %s",
		crowd->wanted, loop.reason, next);
}

static void watch_crowd(struct child_table *t, const struct settings *settings)
{
	const struct restart_crowd crowd = look_at_crowd(t);
	const enum restart_loop before = t->loop;
	const enum restart_word word = restart_judge(&t->loop, &crowd);

	if (word == RESTART_SAY_LOOP)
		tell_loop(t, settings, &crowd);
	if (before != RESTART_LOOP_NONE && t->loop == RESTART_LOOP_NONE)
		scoreboard_loop(t->scoreboard, &(struct sb_loop){0});
	if (word == RESTART_SAY_OVER)
		log_event(LEVEL_INFO, "master", NULL, "Workers get ready again");
}

void child_watch(struct child_table *t, const struct settings *settings)
{
	for (int i = 0; i < t->slots; i++)
		if (t->children[i].pid != 0)
			watch_one(t, settings, i);
	if (t->slots > SB_KEEPER + 1 && t->children[SB_KEEPER + 1].one == NULL)
		watch_crowd(t, settings);
}
