/*
 * stop - the phases in which a daemon comes to its end: pure, no I/O, no clock of its own
 *
 *     STOP_NONE       the daemon works
 *     STOP_DRAIN      workers finish what they have            at most drain_timeout
 *     STOP_INTERRUPT  workers give back what they have         at most STOP_INTERRUPT_MS
 *     STOP_KILL       somebody did not listen                  until they are dead
 *     STOP_CLOSE      workers are gone; the keeper puts
 *                     their claims in order and leaves         at most STOP_CLOSE_MS
 *     STOP_ABANDON    it did not: killed, its claims are left
 *                     to the next daemon                       until it is dead
 *     STOP_OVER       nobody is left
 *
 * A phase is never left backwards, whatever signals come, and no signal makes it longer: what an
 * operator sends twice in a row ends sooner, not later. So a stop ends within drain_timeout +
 * STOP_INTERRUPT_MS + STOP_CLOSE_MS, an interruption within the latter two.
 *
 * Processes  master.
 */
#ifndef INDEXOCR_STOP_H
#define INDEXOCR_STOP_H

#include <stdbool.h>
#include <stdint.h>

enum { STOP_INTERRUPT_MS = 2500, STOP_CLOSE_MS = 2000, STOP_KILL_AGAIN_MS = 1000 };

enum stop_phase {
	STOP_NONE,
	STOP_DRAIN,
	STOP_INTERRUPT,
	STOP_KILL,
	STOP_CLOSE,
	STOP_ABANDON,
	STOP_OVER
};

struct stop {
	enum stop_phase phase;
	int64_t ends_ms; /* when the phase has lasted too long */
};

/* What is left of the daemon. */
struct stop_seen {
	int workers;
	bool keeper;
};

/* wanted is STOP_DRAIN, STOP_INTERRUPT or STOP_CLOSE (nobody is to be waited for). True = that phase begins now. */
bool stop_order(struct stop *s, enum stop_phase wanted, int64_t drain_timeout_ms, int64_t now_ms);

/* Moves along with what has ended and what is late. True = the next phase begins now; STOP_KILL and STOP_ABANDON begin again while somebody lives. */
bool stop_advance(struct stop *s, const struct stop_seen *seen, int64_t now_ms);

const char *stop_phase_name(enum stop_phase phase);

#endif
