/*
 * keeper_prune - stored pages that nobody will come back for are deleted: once an hour, in batches
 *
 * Pages of a document go with its result. Those of one that failed, waits for ever or was deleted by somebody stay, and
 * are bounded in age by queue.checkpoint_days.
 *
 * Ownership  struct prune is the caller's, zeroed at first; the rest is borrowed.
 * Errors     those of queue_prune(); what was due stays due.
 * Processes  keeper.
 */
#ifndef INDEXOCR_KEEPER_PRUNE_H
#define INDEXOCR_KEEPER_PRUNE_H

#include "err.h"
#include "job.h"
#include "queue.h"

#include <stdint.h>

struct prune {
	int64_t due_ms;            /* boot time */
	char behind[JOB_ID_BYTES]; /* where the last batch ended; "" = from the beginning */
};

/* Does nothing before its time; then one batch a call. name: of the environment, for the log. */
int prune_stored_pages(struct prune *p, struct queue *queue, const char *name, struct err *err);

#endif
