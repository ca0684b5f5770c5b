#include "restart.h"

#include "signals.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>

static bool ended_well(const struct restart_end *end)
{
	return WIFEXITED(end->wait_status) && WEXITSTATUS(end->wait_status) == 0;
}

/* SIGKILL (a person, the kernel short of memory, our own patience) and SIGTERM say nothing about the document. */
static bool document_may_be_the_cause(const struct restart_end *end)
{
	if (WIFSIGNALED(end->wait_status))
		return WTERMSIG(end->wait_status) != SIGKILL &&
		       WTERMSIG(end->wait_status) != SIGTERM;
	return !ended_well(end) && WEXITSTATUS(end->wait_status) != EX_CONFIG;
}

static void write_reason(const struct restart_end *end, char *reason)
{
	const char *when = end->was_ready ? "" : ", before ready";
	char name[16];

	if (end->told_to_end && WIFSIGNALED(end->wait_status) &&
		WTERMSIG(end->wait_status) == SIGKILL)
		(void)snprintf(reason, RESTART_REASON_BYTES, "SIGKILL, did not stop in time");
	else if (WIFSIGNALED(end->wait_status))
		(void)snprintf(reason, RESTART_REASON_BYTES, "%s%s",
			signals_name(WTERMSIG(end->wait_status), name), when);
	else if (!ended_well(end))
		(void)snprintf(reason, RESTART_REASON_BYTES, "exit status %d%s",
			WEXITSTATUS(end->wait_status), when);
	else
		reason[0] = '\0';
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

struct restart_decision restart_decide(
	const struct restart_end *end, const struct set_supervise *settings)
{
	struct restart_decision d = {.crashed = document_may_be_the_cause(end)};

	write_reason(end, d.reason);
	if (WIFEXITED(end->wait_status) && WEXITSTATUS(end->wait_status) == EX_CONFIG) {
		d.hold = true;
		return d;
	}
	if (end->lived_ms < RESTART_HEALTHY_MS && !ended_well(end))
		d.young_deaths = end->young_deaths + 1;
	else if (!ended_well(end))
		d.young_deaths = 1;
	d.delay_ms = delay_after(d.young_deaths, settings);
	d.throttled = d.young_deaths >= RESTART_THROTTLED_AFTER;
	return d;
}
