/*
 * stall - how long a document has been worked on without a finished page: pure, no I/O, no clock
 *
 * Only time counts in which somebody could have got further: waits for quota or for an outage to end
 * are excused by the caller, and the time in which the process itself was stopped is nobody's fault.
 *
 * Units      milliseconds, boot time.
 * Processes  worker.
 */
#ifndef INDEXOCR_STALL_H
#define INDEXOCR_STALL_H

#include <stdbool.h>
#include <stdint.h>

enum {
	STALL_STEP_MAX_MS = 5000
}; /* waits look up once a second; between two looks no more counts */

struct stall {
	int64_t spent_ms;
	int64_t looked_ms;
};

/* A document begins, or a page of it is finished. */
void stall_begin(struct stall *s, int64_t now_ms);
/* Adds the time since the last look, unless it is excused; what has come together so far. */
int64_t stall_look(struct stall *s, bool excused, int64_t now_ms);

#endif
