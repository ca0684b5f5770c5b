/*
 * limiter_home - the two homes of the limiter's log, for limiter.c alone (and its tests)
 *
 * The shared home is memory that all processes of one host map: rings of reservations, one ring a
 * scope, and a few words about Redis. It knows no lock: each change is one compare-and-swap, so a
 * process may be killed at any instruction; the worst it leaves is a reservation that ends with its
 * window. Zeroed memory is a valid, empty home.
 *
 * Ownership  the mapping belongs to the caller; struct limiter_redis is freed by
 *            limiter_redis_free().
 * Units      ms are boot time unless said otherwise.
 * Processes  worker.
 */
#ifndef INDEXOCR_LIMITER_HOME_H
#define INDEXOCR_LIMITER_HOME_H

#include "err.h"
#include "limiter.h"
#include "limiter_plan.h"
#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

/* As limiter_open(), with a window of another length: only tests want that. */
int limiter_open_window(struct limiter **out, const struct set_limits *limits,
	const struct set_redis *redis, void *shared, const char *scope, int64_t window_ms,
	int64_t guard_ms, struct err *err);

/* ---- the shared home ---- */

struct limiter_shared;
struct limiter_ring;

size_t limiter_shm_bytes(void);

/* The limits in force. Learned: true when *limits was changed, since *version was; version 0 = none seen yet. */
void limiter_shm_publish(struct limiter_shared *shared, const struct set_limits *limits);
bool limiter_shm_learn(
	const struct limiter_shared *shared, struct set_limits *limits, unsigned *version);

/* The ring of a scope, taken on first use. When all rings have an owner the last one is shared:
 * then scopes count together, which is too strict, never too lax. */
struct limiter_ring *limiter_shm_ring(struct limiter_shared *shared, const char *scope);

/* 0 = *out is filled; 1 = *wait_ms. */
int limiter_shm_reserve(struct limiter_ring *ring, const struct limiter_rules *rules,
	int64_t now_ms, int64_t tokens, struct limiter_reservation *out, int64_t *wait_ms);

/* True once for each reservation, false when it was settled, cancelled or has left the ring. */
bool limiter_shm_settle(
	struct limiter_ring *ring, const struct limiter_reservation *r, int64_t tokens_used);
bool limiter_shm_cancel(struct limiter_ring *ring, const struct limiter_reservation *r);

void limiter_shm_look(struct limiter_ring *ring, const struct limiter_rules *rules, int64_t now_ms,
	int64_t *calls, int64_t *tokens);
void limiter_shm_reset(struct limiter_ring *ring, int64_t now_ms);

/* The pause word: the later deadline wins. */
void limiter_shm_pause(struct limiter_ring *ring, int64_t until_ms);
int64_t limiter_shm_paused_until(const struct limiter_ring *ring);

/* When any process of this host last heard from Redis about this scope. */
void limiter_shm_heard(struct limiter_ring *ring, int64_t now_ms);
int64_t limiter_shm_heard_at(const struct limiter_ring *ring);

/* Redis as this host sees it. May a command be sent now? While Redis is away, one process a second
 * may try. */
bool limiter_shm_redis_try(struct limiter_shared *shared, int64_t now_ms);
void limiter_shm_redis_lost(struct limiter_shared *shared, int64_t now_ms);
void limiter_shm_redis_back(struct limiter_shared *shared);
/* 0 = not lost; else when the next try is due. */
int64_t limiter_shm_redis_retry_at(const struct limiter_shared *shared);

/* How many hosts the fleet had when last seen; 0 = never seen. True from hosts_due() obliges the
 * caller to ask. */
int limiter_shm_hosts(const struct limiter_shared *shared);
void limiter_shm_set_hosts(struct limiter_shared *shared, int hosts);
bool limiter_shm_hosts_due(struct limiter_shared *shared, int64_t now_ms);

/* ---- the home in Redis: one round trip a call; -1 with *err on any fault ---- */

struct limiter_redis;

int limiter_redis_new(struct limiter_redis **out, const struct set_redis *settings,
	const char *scope, struct err *err);
void limiter_redis_free(struct limiter_redis *h);

/* 0 = *out is filled; 1 = *wait_ms, or a pause. *pause_ms is what is left of the fleet's pause. */
int limiter_redis_reserve(struct limiter_redis *h, const struct limiter_rules *rules,
	int64_t tokens, struct limiter_reservation *out, int64_t *wait_ms, int64_t *pause_ms,
	struct err *err);
/* tokens_used -1 = never sent. */
int limiter_redis_settle(struct limiter_redis *h, const struct limiter_rules *rules,
	const struct limiter_reservation *r, int64_t tokens_used, int64_t *pause_ms,
	struct err *err);
int limiter_redis_pause(
	struct limiter_redis *h, int64_t pause_ms, int64_t *left_ms, struct err *err);
int limiter_redis_paused(struct limiter_redis *h, int64_t *pause_ms, struct err *err);
int limiter_redis_look(struct limiter_redis *h, const struct limiter_rules *rules, int64_t *calls,
	int64_t *tokens, int64_t *pause_ms, struct err *err);
int limiter_redis_reset(
	struct limiter_redis *h, const struct limiter_rules *rules, struct err *err);
/* Hosts with a worker in <prefix>:workers. */
int limiter_redis_hosts(struct limiter_redis *h, int *hosts, struct err *err);

#endif
