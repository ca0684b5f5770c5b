/*
 * hang - is a process still there? Pure, no I/O, no clock
 *
 * A process stamps its slot at every turn of its loop. The master looks at the stamp at every turn of
 * its own, and counts for how long it has not changed: the stamp's value is never believed, only that
 * it is another one than before. What the master did not watch does not count: after a pause of its
 * own (the machine was suspended, the master stopped or starved) everybody has a whole timeout again.
 *
 * Units      milliseconds, boot time.
 * Processes  master.
 */
#ifndef INDEXOCR_HANG_H
#define INDEXOCR_HANG_H

#include <stdint.h>

enum {
	HANG_START_MS = 60 * 1000, /* a process that has not stamped yet has so long at least */
	HANG_LEAST_MS = 5000, /* loops turn once a second: less silence than this says nothing */
	HANG_UNWATCHED_MS = 3000, /* between two looks: the master was away */
	HANG_EVIDENCE_MS = 2000   /* from SIGABRT to SIGKILL */
};

enum hang_verdict {
	HANG_FINE,
	HANG_ABORT, /* told once: ask for its last words */
	HANG_KILL   /* told until it is gone */
};

/* What the master remembers of one process. */
struct hang {
	int64_t stamp_ms;
	int64_t since_ms;   /* when the stamp was first seen so */
	int64_t looked_ms;  /* the last look */
	int64_t aborted_ms; /* 0 = not */
	int64_t silent_ms;  /* with the verdict: how long nothing was heard of it */
};

/* It was born now. */
void hang_begin(struct hang *h, int64_t now_ms);
/* stamp_ms: its slot's; 0 = it has not stamped yet. */
enum hang_verdict hang_look(struct hang *h, int64_t stamp_ms, int64_t now_ms, int64_t timeout_ms);

#endif
