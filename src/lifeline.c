#include "lifeline.h"

#include "clock.h"

#include <signal.h>
#include <string.h>

enum {
	BOUND_MAX_MS = 60 * 1000,
	BEHIND_THE_MASTER_MS = 30 * 1000, /* who kills what hangs first, and knows why */
	WIND_EVERY_MS = 1000
};

/* The timer starts anew; with every turn of a busy loop it would cost more than it is worth. */
static void wind(struct lifeline *l)
{
	const struct itimerspec span = {.it_value = {.tv_sec = l->limits.spin_ms / 1000 + 1}};
	const int64_t now = clock_boot_ms();

	if (!l->timed || now - l->wound_ms < WIND_EVERY_MS)
		return;
	l->wound_ms = now;
	(void)timer_settime(l->timer, 0, &span, NULL);
}

struct lifeline_limits lifeline_limits(const struct set_supervise *settings, int64_t extra_ms)
{
	const int64_t drain_ms = settings->drain_timeout_ms;

	return (struct lifeline_limits){
		.bound_ms = (drain_ms < BOUND_MAX_MS ? drain_ms : BOUND_MAX_MS) + extra_ms,
		.spin_ms = settings->hang_timeout_ms + BEHIND_THE_MASTER_MS,
	};
}

void lifeline_init(struct lifeline *l, int fd, struct lifeline_limits limits)
{
	struct sigevent kill_me = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};

	memset(l, 0, sizeof *l);
	l->fd = fd;
	l->limits = limits;
	l->timed = timer_create(CLOCK_PROCESS_CPUTIME_ID, &kill_me, &l->timer) == 0;
	wind(l);
}

bool lifeline_is_cut_now(struct lifeline *l)
{
	struct pollfd fd;

	wind(l);
	if (lifeline_poll_fd(l, &fd) == 0 || poll(&fd, 1, 0) != 1)
		return false;
	l->cut_ms = clock_boot_ms();
	return true;
}

bool lifeline_is_cut(const struct lifeline *l)
{
	return l->cut_ms != 0;
}

bool lifeline_is_over(const struct lifeline *l)
{
	return l->cut_ms != 0 && clock_boot_ms() - l->cut_ms > l->limits.bound_ms;
}

size_t lifeline_poll_fd(const struct lifeline *l, struct pollfd *fd)
{
	if (l->cut_ms != 0)
		return 0;
	*fd = (struct pollfd){.fd = l->fd, .events = POLLIN};
	return 1;
}
