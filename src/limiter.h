/*
 * limiter - asks before each call when it may be sent, tells afterwards what it used
 *
 * One arithmetic (limiter_plan.c, pure; the Lua scripts say the same), two homes: Redis for a
 * fleet, the shared mapping for one host. A log of 250 ms buckets over a window of 60 s + guard +
 * one bucket, calls and tokens against limit x headroom, a minimum spacing; a reservation may lie
 * in a future bucket: the caller sleeps until send_at_ms, looks at the clock and the pause again,
 * and sends or gives the slot back.
 *
 * Ownership  the reservation is the caller's value. Settings are borrowed.
 * Errors     ERR_TRANSIENT "redis-lost" where on_redis_loss = "wait" and Redis is away; ERR_CONFIG
 *            (NOAUTH, WRONGPASS, NOPERM).
 * Processes  worker; one struct limiter per process. The shared home lives in memory the master
 *            mapped before the fork.
 */
#ifndef INDEXOCR_LIMITER_H
#define INDEXOCR_LIMITER_H

#include "err.h"
#include "settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limiter;

struct limiter_reservation {
	int64_t send_at_ms;    /* boot time: do not send before */
	int64_t send_until_ms; /* boot time: past it give the slot back and reserve anew */
	int64_t tokens;        /* as reserved */
	uint64_t handle;       /* the home's own: which bucket was charged */
	bool local;            /* made by the shared home (Redis away) */
};

/* Bytes of the shared home, zeroed by the master before the first fork and given to every child. */
size_t limiter_shared_bytes(void);

/*
 * The limits in force from now on for every process that shares the mapping, whatever it was born with: after a reload
 * they hold for those too who finish a document under the configuration before. (master)
 */
void limiter_publish(void *shared, const struct set_limits *limits);

/* scope: "<engine>:<model>", limits belong to it. shared: the mapping. redis settings with a url
 * use Redis, otherwise the mapping. What was published there goes before the settings. */
int limiter_open(struct limiter **out, const struct set_limits *limits,
	const struct set_redis *redis, void *shared, const char *scope, struct err *err);

/* 0 = *out is filled; 1 = not now, ask again after err->retry_after_ms (paused, or the window is
 * full beyond the horizon). */
int limiter_reserve(
	struct limiter *l, int64_t tokens, struct limiter_reservation *out, struct err *err);

/* Right before sending: true = send now. False = too late or paused meanwhile; the slot has been
 * given back. */
bool limiter_confirm(struct limiter *l, const struct limiter_reservation *r);

/* Corrects the charged bucket to what was really used. A call that failed still counts as a call.
 */
void limiter_settle(struct limiter *l, const struct limiter_reservation *r, int64_t tokens_used);

/* A call that was never sent. */
void limiter_cancel(struct limiter *l, const struct limiter_reservation *r);

/* Nobody of the fleet sends before now + pause_ms; the longer deadline wins. */
void limiter_pause(struct limiter *l, int64_t pause_ms);

struct limiter_view {
	int64_t calls, tokens;           /* of the last 60 s */
	int64_t call_limit, token_limit; /* x headroom; 0 = none */
	int64_t paused_ms;               /* 0 = not paused */
	bool redis_up;                   /* false also where none is configured */
};
int limiter_look(struct limiter *l, struct limiter_view *out, struct err *err);

/* Sets both counters back by hand. */
int limiter_reset(struct limiter *l, struct err *err);

void limiter_close(struct limiter *l);

#endif
