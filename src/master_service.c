#include "clock.h"
#include "hang.h"
#include "master_private.h"
#include "notify.h"
#include "status.h"

enum { LINE_BYTES = 1024 };

static const char *line(const struct master *m, char text[LINE_BYTES])
{
	const struct status_facts facts = master_facts(m);

	status_line(m->scoreboard, &facts, clock_boot_ms(), text, LINE_BYTES);
	return text;
}

bool master_waits(void *arg)
{
	struct master *m = arg;

	notify_turn(m->notify, "Waiting for the children of the previous daemon to finish", true,
		clock_boot_ms());
	return m->plan->waiting == NULL || m->plan->waiting(m->plan->arg);
}

void master_tell_ready(struct master *m)
{
	char text[LINE_BYTES];

	notify_ready(m->notify, line(m, text), clock_boot_ms());
}

void master_tell_reloading(struct master *m)
{
	notify_reloading(m->notify, clock_monotonic_us(), clock_boot_ms());
}

void master_tell_stopping(struct master *m)
{
	char text[LINE_BYTES];

	notify_stopping(m->notify, line(m, text), clock_boot_ms());
}

/*
 * A keeper that is dead, or gives no sign of life, for longer than it may is no reason for the service manager to believe
 * that all is well. At the end of a stop there shall be none.
 */
static bool keeper_lives(struct master *m)
{
	const int64_t set_ms = master_settings(m)->supervise.keeper_timeout_ms;
	const int64_t may_ms = set_ms > HANG_LEAST_MS ? set_ms : HANG_LEAST_MS;
	const int64_t now_ms = clock_boot_ms();
	struct sb_slot_view v;

	(void)scoreboard_look(m->scoreboard, SB_KEEPER, &v);
	if (v.alive_ms != 0 && v.alive_ms != m->keeper_stamp_ms) {
		m->keeper_stamp_ms = v.alive_ms;
		m->keeper_heard_ms = now_ms;
	}
	return now_ms - m->keeper_heard_ms <= may_ms || m->stop.phase >= STOP_CLOSE;
}

void master_tell_turn(struct master *m)
{
	char text[LINE_BYTES];

	if (m->notify != NULL)
		notify_turn(m->notify, line(m, text), keeper_lives(m), clock_boot_ms());
}
