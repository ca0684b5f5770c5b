/*
 * pool - how many workers there shall be: pure, no I/O, no clock of its own
 *
 * With scale = "static" that is the number that was asked for. With "queue" the pool follows the
 * documents: enough workers for those in work and those ready, between `workers` and `workers_max`.
 * It grows at once, as far as there is work; it shrinks by one worker after every POOL_SHRINK_MS
 * in which fewer would have done, so that a queue that comes in bursts does not make it breathe.
 *
 * Processes  master.
 */
#ifndef INDEXOCR_POOL_H
#define INDEXOCR_POOL_H

#include "settings.h"

#include <stdint.h>

enum { POOL_SHRINK_MS = 15 * 1000 };

struct pool {
	int asked; /* settings' workers, then TTIN, TTOU, `scale`: all of it, or the least with "queue" */
	int wanted;        /* what there shall be now */
	int64_t enough_ms; /* boot time since which fewer would do; 0 = not */
};

struct pool_seen {
	int busy;      /* workers with a document */
	int64_t ready; /* documents that could be claimed now */
};

/* asked workers from now on; limit: the number of slots. */
void pool_ask(struct pool *p, int asked, int limit);

/* Sets p->wanted. */
void pool_follow(struct pool *p, const struct settings *settings, const struct pool_seen *seen,
	int64_t now_ms);

/* The most there may be: workers_max, never fewer than were asked for. */
int pool_most(const struct pool *p, const struct settings *settings);

#endif
