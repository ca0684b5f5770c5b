#include "clock.h"
#include "log.h"
#include "master_private.h"
#include "status.h"
#include "title.h"

enum { PROGRESS_MS = 10 * 1000 };

static void stop_workers(struct master *m, enum child_stop how)
{
	for (int i = FIRST_WORKER; i <= master_last_slot(m); i++)
		child_stop(m->children, i, how);
}

static void log_stop(const struct master *m, const char *why)
{
	const int workers = master_workers_running(m);
	char waiting[STATUS_LINE_BYTES];

	switch (m->stop.phase) {
	case STOP_DRAIN:
		status_drain_text(m->scoreboard, waiting);
		log_event(LEVEL_INFO, "master", NULL, "%s: draining, %s", why, waiting);
		break;
	case STOP_INTERRUPT:
		log_event(LEVEL_INFO, "master", NULL, "%s: interrupting %d workers", why, workers);
		break;
	case STOP_KILL:
		log_event(
			LEVEL_WARN, "master", NULL, "Killing %d workers that do not end", workers);
		break;
	case STOP_ABANDON:
		log_event(LEVEL_WARN, "master", NULL,
			"Killing the keeper, which does not end; claims it has not given back are "
			"left to the next daemon");
		break;
	case STOP_NONE:
	case STOP_CLOSE:
	case STOP_OVER:
		break;
	}
}

/* What a phase begins with. */
static void begin_phase(struct master *m, const char *why)
{
	scoreboard_draining(m->scoreboard, true);
	title_set("master (draining)");
	log_stop(m, why);
	for (int i = FIRST_WORKER; i <= master_last_slot(m); i++)
		child_unwant(m->children, i);
	if (m->stop.phase == STOP_INTERRUPT)
		stop_workers(m, CHILD_INTERRUPT);
	else if (m->stop.phase == STOP_KILL)
		stop_workers(m, CHILD_KILL);
	else if (m->stop.phase == STOP_CLOSE)
		child_unwant(m->children, SB_KEEPER);
	else if (m->stop.phase == STOP_ABANDON)
		child_stop(m->children, SB_KEEPER, CHILD_KILL);
	master_tell_stopping(m);
	m->progress_ms = clock_boot_ms() + PROGRESS_MS;
}

void master_order_stop(struct master *m, enum stop_phase phase, const char *why)
{
	if (stop_order(&m->stop, phase, master_settings(m)->supervise.drain_timeout_ms,
		    clock_boot_ms()))
		begin_phase(m, why);
}

void master_stop_by_signal(struct master *m, const char *why, int status)
{
	if (m->plan->one != NULL)
		m->exit_status = status;
	master_order_stop(
		m, master_is_running(m) && m->plan->one == NULL ? STOP_DRAIN : STOP_INTERRUPT, why);
}

static void log_progress(struct master *m)
{
	char waiting[STATUS_LINE_BYTES];

	if (m->stop.phase != STOP_DRAIN || clock_boot_ms() < m->progress_ms)
		return;
	status_drain_text(m->scoreboard, waiting);
	log_event(LEVEL_INFO, "master", NULL, "Draining: %s", waiting);
	m->progress_ms = clock_boot_ms() + PROGRESS_MS;
}

bool master_stopped(struct master *m)
{
	const struct stop_seen seen = {
		master_workers_running(m), child_is_running(m->children, SB_KEEPER)};

	if (stop_advance(&m->stop, &seen, clock_boot_ms()))
		begin_phase(m, "drain_timeout has passed");
	log_progress(m);
	return m->stop.phase == STOP_OVER;
}
