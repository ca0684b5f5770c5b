/*
 * limiter_plan - when the next call may be sent: the limiter's arithmetic, pure
 *
 * Time is cut into buckets of 250 ms. A call that lies in bucket b is sent somewhere in b and
 * arrives up to guard_ms later; so no 60 s of arrivals hold more than the limit if no
 * (60 s + guard)/250 ms + 1 buckets in a row do. That is the window: 245 buckets, 61.25 s, a ceiling
 * of 98 % of the limit. Pacing is the same rule on a short window: at most pace_calls in any
 * pace_buckets in a row, a rate a ninth above the limit's own, so that what was missed can be caught
 * up. A reservation goes into the earliest bucket from now on where every window that holds it
 * keeps the rules; what is reserved keeps its place, so a large reservation never starves.
 *
 * lua/log.lua and lua/reserve.lua say the same for Redis.
 *
 * Units      buckets are counted from the clock's zero: floor(ms / 250).
 * Errors     none; pure functions, no clock of their own. Processes  any.
 */
#ifndef INDEXOCR_LIMITER_PLAN_H
#define INDEXOCR_LIMITER_PLAN_H

#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	LIMITER_BUCKET_MS = 250,
	LIMITER_WINDOW_MS = 60000,
	LIMITER_GUARD_MS = 1000,
	LIMITER_HORIZON = 120, /* buckets ahead in which a reservation may lie: 30 s */
	LIMITER_WIDTH_MAX = (LIMITER_WINDOW_MS + LIMITER_GUARD_MS) / LIMITER_BUCKET_MS + 1,
	LIMITER_LOG_MAX = LIMITER_WIDTH_MAX + LIMITER_HORIZON
};

struct limiter_rules {
	int64_t call_limit, token_limit; /* in window_ms; 0 = no such limit */
	int64_t window_ms, guard_ms;
	int width;          /* buckets of the window with its guard */
	int pace_buckets;   /* any so many buckets in a row ... */
	int64_t pace_calls; /* ... hold at most so many calls; 0 = no pacing */
};

/* window_ms and guard_ms at most LIMITER_WINDOW_MS and LIMITER_GUARD_MS (shorter ones are for
 * tests); limits below 0 count as none. */
struct limiter_rules limiter_rules(
	int64_t call_limit, int64_t token_limit, int64_t window_ms, int64_t guard_ms);

/* What a fleet may use of a configured limit; 0 stays 0 (no limit), anything else is at least 1. */
int64_t limiter_ceiling(int64_t limit, double headroom);

/*
 * What this host may use of a configured limit while it cannot see the others: its part of the
 * ceiling, but no more than its part of what the others leave if they go on at the ceiling.
 * -1 = no limit was configured; 0 = nothing may be used.
 */
int64_t limiter_share(int64_t limit, double headroom, int hosts);

/* What lies in the buckets from `now - width + 1` to `now + LIMITER_HORIZON`. */
struct limiter_log {
	int64_t now; /* the bucket we are in */
	int width;   /* as in the rules */
	int64_t calls[LIMITER_LOG_MAX];
	int64_t tokens[LIMITER_LOG_MAX];
};

void limiter_log_init(struct limiter_log *log, const struct limiter_rules *rules, int64_t now_ms);
/* Buckets outside the log are left out. */
void limiter_log_add(struct limiter_log *log, int64_t bucket, int64_t calls, int64_t tokens);
/* Of the last window_ms before now, without what is reserved for later. */
void limiter_log_used(const struct limiter_log *log, const struct limiter_rules *rules,
	int64_t *calls, int64_t *tokens);

struct limiter_slot {
	int64_t bucket;
	int64_t send_at_ms;    /* on the clock of now_ms */
	int64_t send_until_ms; /* half the guard past the bucket's end */
	int64_t wait_ms;       /* where there was no slot: ask again after */
};

/* A reservation larger than the whole limit would wait for ever: it is counted as the whole limit
 * (it then has the window to itself). */
int64_t limiter_clamp(const struct limiter_rules *rules, int64_t tokens);

/* True: *out is one call with so many tokens. False: all full up to the horizon, out->wait_ms. */
bool limiter_plan(const struct limiter_rules *rules, const struct limiter_log *log, int64_t now_ms,
	int64_t tokens, struct limiter_slot *out);

#endif
