#include "limiter.h"

#include "clock.h"
#include "limiter_home.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	HEARD_LATELY_MS = 1000,         /* so old may our knowledge of a pause be before a call */
	PAUSE_MAX_MS = 24 * 3600 * 1000 /* no answer pauses the fleet for longer */
};

struct limiter {
	struct set_limits limits; /* in force */
	unsigned limits_version;
	const struct set_redis *redis;
	struct limiter_rules fleet;    /* the whole ceiling */
	struct limiter_shared *shared; /* borrowed, or own_shared */
	struct limiter_shared *own_shared;
	struct limiter_ring *ring;
	struct limiter_redis *home; /* NULL = no Redis configured */
};

size_t limiter_shared_bytes(void)
{
	return limiter_shm_bytes();
}

void limiter_publish(void *shared, const struct set_limits *limits)
{
	limiter_shm_publish(shared, limits);
}

static void set_rules(struct limiter *l, int64_t window_ms, int64_t guard_ms)
{
	l->fleet = limiter_rules(limiter_ceiling(l->limits.rpm, l->limits.headroom),
		limiter_ceiling(l->limits.tpm, l->limits.headroom), window_ms, guard_ms);
}

/* A reload may have changed them meanwhile. */
static void learn_limits(struct limiter *l)
{
	if (limiter_shm_learn(l->shared, &l->limits, &l->limits_version))
		set_rules(l, l->fleet.window_ms, l->fleet.guard_ms);
}

int limiter_open_window(struct limiter **out, const struct set_limits *limits,
	const struct set_redis *redis, void *shared, const char *scope, int64_t window_ms,
	int64_t guard_ms, struct err *err)
{
	struct limiter *l = mem_calloc(1, sizeof *l);

	*out = NULL;
	l->limits = *limits;
	l->redis = redis;
	set_rules(l, window_ms, guard_ms);
	if (shared == NULL)
		shared = l->own_shared = mem_calloc(1, limiter_shm_bytes());
	l->shared = shared;
	l->ring = limiter_shm_ring(l->shared, scope);
	if (redis->url != NULL && limiter_redis_new(&l->home, redis, scope, err) != 0) {
		limiter_close(l);
		return -1;
	}
	*out = l;
	return 0;
}

int limiter_open(struct limiter **out, const struct set_limits *limits,
	const struct set_redis *redis, void *shared, const char *scope, struct err *err)
{
	return limiter_open_window(
		out, limits, redis, shared, scope, LIMITER_WINDOW_MS, LIMITER_GUARD_MS, err);
}

void limiter_close(struct limiter *l)
{
	if (l == NULL)
		return;
	limiter_redis_free(l->home);
	free(l->own_shared);
	free(l);
}

/* ---- Redis, there or away ---- */

static bool redis_usable(const struct limiter *l)
{
	return l->home != NULL && limiter_shm_redis_try(l->shared, clock_boot_ms());
}

/* What Redis said is news for the whole host. */
static void heard(struct limiter *l, int64_t pause_ms)
{
	const int64_t now_ms = clock_boot_ms();

	limiter_shm_redis_back(l->shared);
	limiter_shm_heard(l->ring, now_ms);
	if (pause_ms > 0)
		limiter_shm_pause(l->ring, now_ms + pause_ms);
}

static void lost(struct limiter *l)
{
	limiter_shm_redis_lost(l->shared, clock_boot_ms());
}

/* Who would go on alone must know how many they are; asked for now and then, while Redis is there. */
static void learn_hosts(struct limiter *l)
{
	struct err ignored;
	int hosts;

	if (l->redis->hosts > 0 || !limiter_shm_hosts_due(l->shared, clock_boot_ms()))
		return;
	if (limiter_redis_hosts(l->home, &hosts, &ignored) == 0)
		limiter_shm_set_hosts(l->shared, hosts > 0 ? hosts : 1);
}

/* ---- going on alone ---- */

static int redis_lost_error(const struct limiter *l, const char *why, struct err *err)
{
	const int64_t left_ms = limiter_shm_redis_retry_at(l->shared) - clock_boot_ms();

	err_set(err, ERR_TRANSIENT, "redis-lost", "Redis is away: %s", why);
	err->retry_after_ms = left_ms > LIMITER_BUCKET_MS ? left_ms : LIMITER_BUCKET_MS;
	return -1;
}

/* The rules of this host while it cannot see the others. */
static int share_rules(const struct limiter *l, struct limiter_rules *rules, struct err *err)
{
	const struct set_limits *s = &l->limits;
	const int hosts = l->redis->hosts > 0 ? l->redis->hosts : limiter_shm_hosts(l->shared);
	int64_t calls, tokens;

	if (l->redis->on_loss == REDIS_LOSS_WAIT)
		return redis_lost_error(l, "waiting for it, as on_redis_loss says", err);
	if (hosts == 0)
		return redis_lost_error(l,
			"it was never seen, so the number of hosts that share "
			"the limit is unknown (redis.hosts can name it)",
			err);
	calls = limiter_share(s->rpm, s->headroom, hosts);
	tokens = limiter_share(s->tpm, s->headroom, hosts);
	if (calls == 0 || tokens == 0)
		return redis_lost_error(l,
			"what headroom leaves of the limit is too little to "
			"share among the hosts",
			err);
	*rules = limiter_rules(calls, tokens, l->fleet.window_ms, l->fleet.guard_ms);
	return 0;
}

static int local_rules(const struct limiter *l, struct limiter_rules *rules, struct err *err)
{
	*rules = l->fleet;
	return l->home != NULL ? share_rules(l, rules, err) : 0;
}

/* ---- reserving ---- */

static int not_now(int64_t wait_ms, const char *code, const char *text, struct err *err)
{
	err_set(err, ERR_QUOTA, code, "%s", text);
	err->retry_after_ms = wait_ms > 0 ? wait_ms : 1;
	return 1;
}

static int paused(int64_t left_ms, struct err *err)
{
	return not_now(left_ms, "paused", "the engine asked for a pause", err);
}

static int full(int64_t wait_ms, struct err *err)
{
	return not_now(
		wait_ms, "window-full", "the limit of the next half minute is reserved", err);
}

static int reserve_local(
	struct limiter *l, int64_t tokens, struct limiter_reservation *out, struct err *err)
{
	struct limiter_rules rules;
	int64_t wait_ms = 0;

	if (local_rules(l, &rules, err) != 0)
		return -1;
	if (limiter_shm_reserve(l->ring, &rules, clock_boot_ms(), tokens, out, &wait_ms) != 0)
		return full(wait_ms, err);
	return 0;
}

int limiter_reserve(
	struct limiter *l, int64_t tokens, struct limiter_reservation *out, struct err *err)
{
	const int64_t pause_left_ms = limiter_shm_paused_until(l->ring) - clock_boot_ms();
	int64_t wait_ms = 0, pause_ms = 0;
	int rc;

	learn_limits(l);
	if (pause_left_ms > 0)
		return paused(pause_left_ms, err);
	if (!redis_usable(l))
		return reserve_local(l, tokens, out, err);
	rc = limiter_redis_reserve(l->home, &l->fleet, tokens, out, &wait_ms, &pause_ms, err);
	if (rc < 0 && err->kind == ERR_CONFIG)
		return -1;
	if (rc < 0) {
		lost(l);
		return reserve_local(l, tokens, out, err);
	}
	heard(l, pause_ms);
	learn_hosts(l);
	if (rc == 0)
		return 0;
	return pause_ms > 0 ? paused(pause_ms, err) : full(wait_ms, err);
}

/* ---- afterwards ---- */

/* What cannot be said to Redis stays charged as reserved until its window ends. */
static void correct(struct limiter *l, const struct limiter_reservation *r, int64_t tokens_used)
{
	struct err ignored;
	int64_t pause_ms = 0;

	if (r->local && tokens_used < 0)
		(void)limiter_shm_cancel(l->ring, r);
	else if (r->local)
		(void)limiter_shm_settle(l->ring, r, tokens_used);
	else if (redis_usable(l)) {
		if (limiter_redis_settle(l->home, &l->fleet, r, tokens_used, &pause_ms, &ignored) ==
			0)
			heard(l, pause_ms);
		else
			lost(l);
	}
}

void limiter_settle(struct limiter *l, const struct limiter_reservation *r, int64_t tokens_used)
{
	correct(l, r, tokens_used > 0 ? tokens_used : 0);
}

void limiter_cancel(struct limiter *l, const struct limiter_reservation *r)
{
	correct(l, r, -1);
}

/* A host that reserves all the time hears of every pause; one that has slept must ask. */
static void catch_up(struct limiter *l)
{
	struct err ignored;
	int64_t pause_ms;

	if (clock_boot_ms() - limiter_shm_heard_at(l->ring) < HEARD_LATELY_MS || !redis_usable(l))
		return;
	if (limiter_redis_paused(l->home, &pause_ms, &ignored) == 0)
		heard(l, pause_ms);
	else
		lost(l);
}

bool limiter_confirm(struct limiter *l, const struct limiter_reservation *r)
{
	int64_t now_ms;

	if (!r->local)
		catch_up(l);
	now_ms = clock_boot_ms();
	if (now_ms <= r->send_until_ms && now_ms >= limiter_shm_paused_until(l->ring))
		return true;
	limiter_cancel(l, r);
	return false;
}

void limiter_pause(struct limiter *l, int64_t pause_ms)
{
	struct err ignored;
	int64_t left_ms = 0;

	if (pause_ms <= 0)
		return;
	if (pause_ms > PAUSE_MAX_MS)
		pause_ms = PAUSE_MAX_MS;
	limiter_shm_pause(l->ring, clock_boot_ms() + pause_ms);
	if (!redis_usable(l))
		return;
	if (limiter_redis_pause(l->home, pause_ms, &left_ms, &ignored) == 0)
		heard(l, left_ms);
	else
		lost(l);
}

/* ---- for people ---- */

static int64_t pause_left(const struct limiter *l)
{
	const int64_t left_ms = limiter_shm_paused_until(l->ring) - clock_boot_ms();

	return left_ms > 0 ? left_ms : 0;
}

static void look_local(struct limiter *l, struct limiter_view *out)
{
	struct limiter_rules rules = l->fleet;
	struct err ignored;

	/* Nothing to share: what was used is still to be seen. */
	if (local_rules(l, &rules, &ignored) != 0)
		rules.call_limit = rules.token_limit = 0;
	limiter_shm_look(l->ring, &rules, clock_boot_ms(), &out->calls, &out->tokens);
	out->call_limit = rules.call_limit;
	out->token_limit = rules.token_limit;
}

int limiter_look(struct limiter *l, struct limiter_view *out, struct err *err)
{
	int64_t pause_ms = 0;

	learn_limits(l);
	*out = (struct limiter_view){
		.call_limit = l->fleet.call_limit, .token_limit = l->fleet.token_limit};
	if (redis_usable(l)) {
		if (limiter_redis_look(
			    l->home, &l->fleet, &out->calls, &out->tokens, &pause_ms, err) == 0) {
			heard(l, pause_ms);
			out->redis_up = true;
		} else if (err->kind == ERR_CONFIG) {
			return -1;
		} else {
			lost(l);
		}
	}
	if (!out->redis_up)
		look_local(l, out);
	out->paused_ms = pause_left(l);
	return 0;
}

int limiter_reset(struct limiter *l, struct err *err)
{
	limiter_shm_reset(l->ring, clock_boot_ms());
	if (l->home == NULL)
		return 0;
	if (!redis_usable(l))
		return redis_lost_error(l, "only this host's own counters were set back", err);
	if (limiter_redis_reset(l->home, &l->fleet, err) != 0) {
		if (err->kind != ERR_CONFIG)
			lost(l);
		return -1;
	}
	heard(l, 0);
	return 0;
}
