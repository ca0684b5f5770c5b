/*
 * heartbeat - this host's workers in Redis, for people and for the fleet: hash <prefix>:workers
 * (CONTRACTS 4)
 *
 * One command carries all of a host's entries, and prunes those, ours or others', that did not
 * change for 30 s of Redis' time. Redis away is no fault of anything else: tried again at the next
 * beat.
 *
 * Ownership  heartbeat_free() frees; the settings and the scoreboard are borrowed.
 * Processes  keeper.
 */
#ifndef INDEXOCR_HEARTBEAT_H
#define INDEXOCR_HEARTBEAT_H

#include "err.h"
#include "scoreboard.h"
#include "settings.h"

#include <stdint.h>

enum { HEARTBEAT_MS = 10 * 1000 };

struct heartbeat;

/* *out is NULL where no Redis is configured. */
int heartbeat_new(struct heartbeat **out, const struct settings *settings,
	const struct scoreboard *board, struct err *err);
void heartbeat_free(struct heartbeat *h);

/* Sends when due; returns when it will be due again (boot time). h may be NULL: INT64_MAX. */
int64_t heartbeat_tend(struct heartbeat *h);
enum sb_redis heartbeat_redis(const struct heartbeat *h);

/* At a clean stop: our entries go. */
void heartbeat_remove(struct heartbeat *h);

#endif
