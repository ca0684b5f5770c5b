/*
 * pace - when the keeper looks at a queue next: pure, no I/O, no clock of its own
 *
 * Once every poll_interval, a little earlier by chance, so that hosts do not ask in step. Where notifications would tell and
 * nothing is to be done, after ever longer spans, up to PACE_QUIET_MS: what polling is for then is a notification that was
 * not sent. After something happened, soon; but at most once in PACE_LEAST_MS, and so seldom that looking takes no more than
 * a twentieth of the time.
 *
 * Units      boot time and spans in milliseconds.
 * Processes  keeper.
 */
#ifndef INDEXOCR_PACE_H
#define INDEXOCR_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PACE_SOON_MS = 250, /* a burst has come in by then, and the first of it is claimed */
	PACE_LEAST_MS = 1000,
	PACE_QUIET_MS = 10 * 1000,
	PACE_TIMES_IT_TOOK = 20
};

struct pace {
	int64_t due_ms;     /* of the next look; 0 = at once */
	int64_t soonest_ms; /* whatever happens */
	int quiet;          /* looks in a row that found nothing to do */
};

struct pace_seen {
	int64_t now_ms;
	int64_t took_ms;
	bool is_idle; /* nothing is ready, waits or is claimed */
	bool hears;   /* notifications of all that becomes ready are delivered */
};

/* After a look. chance: 0 to 1. */
void pace_looked(
	struct pace *p, const struct pace_seen *seen, int64_t poll_interval_ms, double chance);
/* Something happened there. */
void pace_stir(struct pace *p, int64_t now_ms);

#endif
