/*
 * lifeline - what a child does when its master is gone
 *
 * The master alone holds the writing end of a pipe. Its end of file, which every wait watches for, means
 * that nobody will tell this process to stop, replace it, or count it any more, and that a new master may
 * be waiting for it: it finishes what it has, as in a drain but never longer than a minute, and ends.
 *
 * A child that spins and never looks would keep the new master waiting for ever. So the kernel counts the
 * processor time between two looks, and kills past a limit that lies well behind the master's own
 * hang_timeout.
 *
 * Ownership  the caller's storage; the descriptor is borrowed.
 * Units      milliseconds.
 * Processes  worker, keeper.
 */
#ifndef INDEXOCR_LIFELINE_H
#define INDEXOCR_LIFELINE_H

#include "settings.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct lifeline_limits {
	int64_t bound_ms; /* from the cut to the end */
	int64_t spin_ms;  /* processor time without a look */
};

struct lifeline {
	int fd;
	struct lifeline_limits limits;
	int64_t cut_ms;   /* boot time; 0 = the master lives */
	int64_t wound_ms; /* boot time at which the timer was last set back */
	bool timed;
	timer_t timer;
};

/* A drain's time, and a minute at most. extra_ms: on top, for who sees the others out. Pure. */
struct lifeline_limits lifeline_limits(const struct set_supervise *settings, int64_t extra_ms);

void lifeline_init(struct lifeline *l, int fd, struct lifeline_limits limits);

/* At every turn of the loop. True once: in the call that finds the master gone. */
bool lifeline_is_cut_now(struct lifeline *l);
bool lifeline_is_cut(const struct lifeline *l);
/* The time to finish has passed. */
bool lifeline_is_over(const struct lifeline *l);

/* Puts what a wait shall watch into *fd: returns 1, or 0 after the cut, when it would be readable for ever. */
size_t lifeline_poll_fd(const struct lifeline *l, struct pollfd *fd);

#endif
