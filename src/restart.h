/*
 * restart - what follows from a child's end: pure, no I/O, no clock
 *
 * The first restart comes at once; one that dies young again waits, twice as long each time, up to
 * a cap; one that stayed up for RESTART_HEALTHY_MS starts afresh. Only an end that was asked for,
 * or one after a long life, is no death, whatever the exit status: a worker that leaves with 0 as
 * soon as it is born would else be born without end. A child that ends with a configuration fault
 * (EX_CONFIG) is not started before a reload.
 *
 * Where all workers end before they are ready, the fault lies in what they share, and N of them find
 * it out no sooner than one: the crowd is held back behind one that goes on trying.
 *
 * Units      milliseconds; lives are counted to the last sign of life, so that the time in which one
 *            hung is no health.
 * Processes  master.
 */
#ifndef INDEXOCR_RESTART_H
#define INDEXOCR_RESTART_H

#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	RESTART_HEALTHY_MS = 60 * 1000,
	RESTART_THROTTLED_AFTER = 3, /* young deaths in a row */
	RESTART_UNREADY_MAX = 2,     /* deaths before ready in a row that are still an accident's */
	RESTART_REASON_BYTES = 96
};

/* What a slot's children did one after the other; all zero = nothing to remember. */
struct restart_past {
	int young_deaths;   /* in a row */
	int unready_deaths; /* in a row, before their loop had turned once */
};

struct restart_end {
	int wait_status;  /* as waitpid() gave it */
	bool told_to_end; /* we had asked it to go */
	bool was_ready;   /* its loop had turned at least once */
	int64_t lived_ms; /* from its birth to its last sign of life; 0 where it gave none */
	int64_t hung_ms;  /* it was killed after so long without a sign of life; 0 = it was not */
	struct restart_past past; /* of its slot, before this end */
};

struct restart_decision {
	bool hold; /* not before a reload */
	int64_t delay_ms;
	struct restart_past past; /* to be kept for the next time */
	bool throttled;
	bool hung;
	bool crashed; /* its claim counts as an attempt: the document may be the cause; else a loss */
	char reason
		[RESTART_REASON_BYTES]; /* "SIGSEGV", "exit status 70, before ready", "" after a clean end */
};

struct restart_decision restart_decide(
	const struct restart_end *end, const struct set_supervise *settings);

/* What a reload leaves: every slot may try at once, and its back-off begins anew. */
struct restart_past restart_forgive(const struct restart_past *past);

/* Has nobody of the crowd become ready, and everybody ended before it more than once? */
enum restart_loop {
	RESTART_LOOP_NONE,
	RESTART_LOOP_ON,      /* only one goes on trying */
	RESTART_LOOP_FORGIVEN /* a reload lets all try once more; it is not over before one is ready */
};

struct restart_crowd {
	int wanted;  /* workers that there should be */
	int ready;   /* of these */
	int failing; /* of these: held, or ended before ready RESTART_UNREADY_MAX times in a row */
};

enum restart_word { RESTART_SAY_NOTHING, RESTART_SAY_LOOP, RESTART_SAY_OVER };

/* Moves *loop along; what is to be said now, each once. */
enum restart_word restart_judge(enum restart_loop *loop, const struct restart_crowd *crowd);

#endif
