#include "restart.h"

#include "signals.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>

static bool exited_with(const struct restart_end *end, int status)
{
	return WIFEXITED(end->wait_status) && WEXITSTATUS(end->wait_status) == status;
}

static bool died_of(const struct restart_end *end, int number)
{
	return WIFSIGNALED(end->wait_status) && WTERMSIG(end->wait_status) == number;
}

static bool is_young(const struct restart_end *end)
{
	return !end->was_ready || end->lived_ms < RESTART_HEALTHY_MS;
}

/* Nobody has to answer for it: it was asked for, or it comes after a long life. */
static bool ended_well(const struct restart_end *end)
{
	return exited_with(end, 0) && (end->told_to_end || !is_young(end));
}

/* SIGKILL (a person, the kernel short of memory, our own patience) and SIGTERM say nothing about the document. */
static bool document_may_be_the_cause(const struct restart_end *end)
{
	if (end->hung_ms > 0)
		return true;
	if (WIFSIGNALED(end->wait_status))
		return !died_of(end, SIGKILL) && !died_of(end, SIGTERM);
	return !exited_with(end, 0) && !exited_with(end, EX_CONFIG);
}

static void write_reason(const struct restart_end *end, char *reason)
{
	const char *when = end->was_ready ? "" : ", before ready";
	char name[16];

	if (ended_well(end))
		reason[0] = '\0';
	else if (end->hung_ms > 0)
		(void)snprintf(reason, RESTART_REASON_BYTES, "hung: no sign of life for %lld s%s",
			(long long)(end->hung_ms / 1000), when);
	else if (end->told_to_end && died_of(end, SIGKILL))
		(void)snprintf(reason, RESTART_REASON_BYTES, "SIGKILL, did not stop in time");
	else if (WIFSIGNALED(end->wait_status))
		(void)snprintf(reason, RESTART_REASON_BYTES, "%s%s",
			signals_name(WTERMSIG(end->wait_status), name), when);
	else
		(void)snprintf(reason, RESTART_REASON_BYTES, "exit status %d%s%s",
			WEXITSTATUS(end->wait_status),
			exited_with(end, 0) ? ", which nobody asked for" : "", when);
}

static int64_t delay_after(int young_deaths, const struct set_supervise *settings)
{
	int64_t delay = settings->restart_backoff_ms;

	if (young_deaths <= 1)
		return 0;
	for (int i = 2; i < young_deaths && delay < settings->restart_backoff_max_ms; i++)
		delay *= 2;
	return delay < settings->restart_backoff_max_ms ? delay : settings->restart_backoff_max_ms;
}

static struct restart_past remember(const struct restart_end *end)
{
	if (ended_well(end))
		return (struct restart_past){0};
	return (struct restart_past){
		.young_deaths = is_young(end) ? end->past.young_deaths + 1 : 1,
		.unready_deaths = end->was_ready ? 0 : end->past.unready_deaths + 1,
	};
}

struct restart_decision restart_decide(
	const struct restart_end *end, const struct set_supervise *settings)
{
	struct restart_decision d = {.hung = end->hung_ms > 0,
		.crashed = document_may_be_the_cause(end),
		.past = remember(end)};

	write_reason(end, d.reason);
	d.hold = exited_with(end, EX_CONFIG);
	d.delay_ms = delay_after(d.past.young_deaths, settings);
	d.throttled = d.past.young_deaths >= RESTART_THROTTLED_AFTER;
	return d;
}

/* One death stays remembered, else every reload would buy two births at once: one, and the restart that comes free. */
struct restart_past restart_forgive(const struct restart_past *past)
{
	return (struct restart_past){.young_deaths = past->young_deaths > 0 ? 1 : 0};
}

enum restart_word restart_judge(enum restart_loop *loop, const struct restart_crowd *crowd)
{
	const bool was_said = *loop != RESTART_LOOP_NONE;

	if (crowd->wanted == 0 || crowd->ready > 0) {
		*loop = RESTART_LOOP_NONE;
		return was_said && crowd->ready > 0 ? RESTART_SAY_OVER : RESTART_SAY_NOTHING;
	}
	if (*loop == RESTART_LOOP_ON || crowd->failing < crowd->wanted)
		return RESTART_SAY_NOTHING;
	*loop = RESTART_LOOP_ON;
	return RESTART_SAY_LOOP;
}
