/*
 * restart - what follows from a child's end: pure, no I/O, no clock
 *
 * The first restart comes at once; one that dies young again waits, twice as long each time, up to
 * a cap; one that stayed up for RESTART_HEALTHY_MS starts afresh. A child that ends with a
 * configuration fault (EX_CONFIG) is not started before a reload.
 *
 * Processes  master.
 */
#ifndef INDEXOCR_RESTART_H
#define INDEXOCR_RESTART_H

#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

enum { RESTART_HEALTHY_MS = 60 * 1000, RESTART_THROTTLED_AFTER = 3, RESTART_REASON_BYTES = 96 };

struct restart_end {
	int wait_status;  /* as waitpid() gave it */
	bool told_to_end; /* we had asked it to go */
	bool was_ready;   /* its loop had turned at least once */
	int64_t lived_ms;
	int young_deaths; /* of this slot in a row, before this one */
};

struct restart_decision {
	bool hold; /* not before a reload */
	int64_t delay_ms;
	int young_deaths; /* to be kept for the next time */
	bool throttled;
	bool crashed; /* its claim counts as an attempt: the document may be the cause; else a loss */
	char reason
		[RESTART_REASON_BYTES]; /* "SIGSEGV", "exit status 70, before ready", "" after a clean end */
};

struct restart_decision restart_decide(
	const struct restart_end *end, const struct set_supervise *settings);

#endif
