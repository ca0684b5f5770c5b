/*
 * keeper_reclaim - claims whose holder is gone, given back in one environment
 *
 * Each call counts and logs what it gave back. Nothing here trusts a list of "my tokens": a claim
 * is touched only where its holder is known to be dead, or to have nothing to do with it any more.
 *
 * Ownership  everything in struct reclaim is borrowed.
 * Errors     those of the queue's statements; *count is what was given back before.
 * Processes  keeper.
 */
#ifndef INDEXOCR_KEEPER_RECLAIM_H
#define INDEXOCR_KEEPER_RECLAIM_H

#include "err.h"
#include "queue.h"
#include "scoreboard.h"

#include <stdbool.h>

struct reclaim {
	struct scoreboard *board;
	struct queue *queue;
	int environment;  /* index in the scoreboard */
	const char *name; /* of the environment, for the log */
};

/*
 * Claims of children that died: as the master's obituaries say. An obituary stays until nothing of its child stands any
 * more: a row that was locked is given back another time, for the same reason.
 */
bool reclaim_has_obituaries(const struct reclaim *r);
int reclaim_obituaries(const struct reclaim *r, int *count, struct err *err);

/* Claims of this host's previous daemon; *left = of those, how many were locked and stand still. */
int reclaim_previous(const struct reclaim *r, int *count, int *left, struct err *err);

/* Claims of other daemons whose lease has ended. */
int reclaim_expired(const struct reclaim *r, int *count, struct err *err);

/*
 * Claims of this daemon that nobody works on: committed after their connection broke (given back with their
 * attempt), or of a spawn that is dead without an obituary (a loss).
 */
int reclaim_strays(const struct reclaim *r, int *count, struct err *err);

#endif
