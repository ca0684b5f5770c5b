/*
 * keeper_lease - one statement renews all of this host's leases in one environment
 *
 * Exactly the claims of slots whose event loop was alive within half a lease: a process that hangs
 * loses its claim to somebody who does not. So are those of claims that a slot keeps for writing. Each
 * mailbox is told until when its claim is good, or that it is lost; nothing where the row was locked and its lease could not be renewed now.
 *
 * Ownership  everything is borrowed.
 * Errors     those of queue_renew().
 * Processes  keeper.
 */
#ifndef INDEXOCR_KEEPER_LEASE_H
#define INDEXOCR_KEEPER_LEASE_H

#include "err.h"
#include "queue.h"
#include "scoreboard.h"

#include <stdint.h>

/* environment: its index in the scoreboard. */
int lease_renew(struct scoreboard *board, struct queue *queue, int environment, int64_t lease_ms,
	struct err *err);

#endif
