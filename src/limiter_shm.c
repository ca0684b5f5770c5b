#include "limiter_home.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/*
 * A ring of words, one a reservation. The ring is filled position by position, lap after lap, and
 * each word carries its lap's parity: so the place of the next append is where the parity changes,
 * and no counter is needed that could be left behind by a kill. An append is one compare-and-swap on
 * that place, from the word that was seen there. Whoever appends meanwhile takes the same place:
 * one of the two fails and looks again. A word is never seen twice in one place, for its bucket grows
 * from lap to lap, so a late compare-and-swap cannot hit.
 *
 * A scan reads words one by one while others append. A word it missed shows: an old word before a
 * new one makes a second change of parity, and the scan is repeated. And the place found must hold a
 * word that had expired when the caller read the clock, so nobody has passed it since. A caller
 * whose clock reading is so old that others have reserved beyond its horizon is sent back to read
 * it again.
 */
enum {
	RING_WORDS = 16384, /* calls in one window, at most */
	RINGS = 8,
	TRIES = 1000,
	REDIS_RETRY_MS = 1000,
	HOSTS_EVERY_MS = 10000,
	BUSY_WAIT_MS = LIMITER_BUCKET_MS
};

/* word = parity 1 | settled 1 | cancelled 1 | bucket 37 | tokens 24 */
#define PARITY       (UINT64_C(1) << 63)
#define SETTLED      (UINT64_C(1) << 62)
#define CANCELLED    (UINT64_C(1) << 61)
#define BUCKET_SHIFT 24
#define BUCKET_MASK  ((UINT64_C(1) << 37) - 1)
#define TOKENS_MAX   ((UINT64_C(1) << BUCKET_SHIFT) - 1)

/* handle = parity 1 | bucket 37 | place 14 */
#define PLACE_BITS 14
#define PLACE_MASK ((UINT64_C(1) << PLACE_BITS) - 1)

_Static_assert(RING_WORDS == 1 << PLACE_BITS, "a handle must hold every place");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "words in shared memory must be lock-free");

struct limiter_ring {
	_Atomic int64_t pause_until_ms;
	_Atomic int64_t heard_at_ms;
	_Atomic uint64_t words[RING_WORDS];
};

/* Written by the master alone. Who reads while it writes sees the next version right after, and reads again. */
struct published {
	_Atomic unsigned version; /* 0 = nothing yet */
	_Atomic int64_t rpm, tpm, rpd;
	_Atomic double headroom;
};

struct limiter_shared {
	struct published limits;
	_Atomic uint64_t owner[RINGS];     /* hash of the scope; 0 = free */
	_Atomic int64_t redis_retry_at_ms; /* 0 = Redis is there */
	_Atomic int64_t hosts_asked_at_ms;
	_Atomic int hosts;
	struct limiter_ring rings[RINGS];
};

size_t limiter_shm_bytes(void)
{
	return sizeof(struct limiter_shared);
}

void limiter_shm_publish(struct limiter_shared *shared, const struct set_limits *limits)
{
	struct published *p = &shared->limits;

	atomic_store(&p->rpm, limits->rpm);
	atomic_store(&p->tpm, limits->tpm);
	atomic_store(&p->rpd, limits->rpd);
	atomic_store(&p->headroom, limits->headroom);
	atomic_fetch_add(&p->version, 1);
}

bool limiter_shm_learn(
	const struct limiter_shared *shared, struct set_limits *limits, unsigned *version)
{
	const struct published *p = &shared->limits;
	const unsigned now = atomic_load(&p->version);

	if (now == *version)
		return false;
	*version = now;
	limits->rpm = atomic_load(&p->rpm);
	limits->tpm = atomic_load(&p->tpm);
	limits->rpd = atomic_load(&p->rpd);
	limits->headroom = atomic_load(&p->headroom);
	return true;
}

/* FNV-1a; never 0, which means free. */
static uint64_t scope_hash(const char *scope)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *scope != '\0'; scope++)
		h = (h ^ (unsigned char)*scope) * UINT64_C(1099511628211);
	return h != 0 ? h : 1;
}

struct limiter_ring *limiter_shm_ring(struct limiter_shared *shared, const char *scope)
{
	const uint64_t mine = scope_hash(scope);

	for (int i = 0; i < RINGS; i++) {
		uint64_t owner = 0;

		if (atomic_compare_exchange_strong(&shared->owner[i], &owner, mine) ||
			owner == mine)
			return &shared->rings[i];
	}
	return &shared->rings[RINGS - 1];
}

static uint64_t clamp_tokens(int64_t tokens)
{
	if (tokens < 0)
		return 0;
	return (uint64_t)tokens < TOKENS_MAX ? (uint64_t)tokens : TOKENS_MAX;
}

static int64_t word_bucket(uint64_t word)
{
	return (int64_t)(word >> BUCKET_SHIFT & BUCKET_MASK);
}

static uint64_t make_word(uint64_t parity, int64_t bucket, int64_t tokens)
{
	return parity | ((uint64_t)bucket & BUCKET_MASK) << BUCKET_SHIFT | clamp_tokens(tokens);
}

/* Where the next word goes, and what stands there. */
struct place {
	unsigned at;
	uint64_t old;
	uint64_t parity; /* of the lap being written */
	bool ahead;      /* reservations beyond our horizon: our time is old */
};

/* True: the word lies beyond the log. Most words are long expired, so that is asked first. */
static bool count_word(struct limiter_log *log, uint64_t word)
{
	const int64_t bucket = word_bucket(word);

	if (bucket <= log->now - log->width)
		return false;
	if ((word & CANCELLED) == 0)
		limiter_log_add(log, bucket, 1, (int64_t)(word & TOKENS_MAX));
	return bucket > log->now + LIMITER_HORIZON;
}

/* One look at the whole ring. False: it changed in a way that may have hidden a word. */
static bool scan(struct limiter_ring *ring, struct limiter_log *log, struct place *place)
{
	const uint64_t first = atomic_load_explicit(&ring->words[0], memory_order_acquire);
	uint64_t before = first;
	unsigned changes = 0;
	bool ahead;

	/* All of one parity: the lap is full, the next one begins. */
	*place = (struct place){.old = first, .parity = ~first & PARITY};
	ahead = count_word(log, first);
	for (unsigned i = 1; i < RING_WORDS; i++) {
		const uint64_t word = atomic_load_explicit(&ring->words[i], memory_order_acquire);

		if (((word ^ before) & PARITY) != 0) {
			*place = (struct place){i, word, first & PARITY, false};
			changes++;
		}
		ahead |= count_word(log, word);
		before = word;
	}
	place->ahead = ahead;
	return changes <= 1;
}

static bool expired(uint64_t word, const struct limiter_log *log)
{
	return word == 0 || word_bucket(word) <= log->now - log->width;
}

/* 0 reserved, 1 no slot, -1 somebody was faster. */
static int try_append(struct limiter_ring *ring, const struct limiter_rules *rules, int64_t now_ms,
	int64_t tokens, struct limiter_reservation *out, int64_t *wait_ms)
{
	struct limiter_log log;
	struct limiter_slot slot;
	struct place place;
	uint64_t word;

	limiter_log_init(&log, rules, now_ms);
	if (!scan(ring, &log, &place))
		return -1;
	*wait_ms = BUSY_WAIT_MS;
	if (place.ahead || !expired(place.old, &log))
		return 1;
	if (!limiter_plan(rules, &log, now_ms, tokens, &slot)) {
		*wait_ms = slot.wait_ms;
		return 1;
	}
	word = make_word(place.parity, slot.bucket, tokens);
	if (!atomic_compare_exchange_strong(&ring->words[place.at], &place.old, word))
		return -1;
	*out = (struct limiter_reservation){
		.send_at_ms = slot.send_at_ms,
		.send_until_ms = slot.send_until_ms,
		.tokens = (int64_t)(word & TOKENS_MAX),
		.handle = place.parity | (uint64_t)slot.bucket << PLACE_BITS | place.at,
		.local = true,
	};
	return 0;
}

int limiter_shm_reserve(struct limiter_ring *ring, const struct limiter_rules *rules,
	int64_t now_ms, int64_t tokens, struct limiter_reservation *out, int64_t *wait_ms)
{
	const int64_t charged = limiter_clamp(rules, tokens);

	for (int i = 0; i < TRIES; i++) {
		const int rc = try_append(ring, rules, now_ms, charged, out, wait_ms);

		if (rc >= 0)
			return rc;
	}
	*wait_ms = BUSY_WAIT_MS;
	return 1;
}

/* Exactly the word that limiter_shm_reserve() wrote is replaced, so only the first caller finds it. */
static bool replace(struct limiter_ring *ring, const struct limiter_reservation *r, uint64_t flag,
	int64_t tokens)
{
	const uint64_t parity = r->handle & PARITY;
	const int64_t bucket = (int64_t)(r->handle >> PLACE_BITS & BUCKET_MASK);
	uint64_t expected = make_word(parity, bucket, r->tokens);

	return atomic_compare_exchange_strong(&ring->words[r->handle & PLACE_MASK], &expected,
		make_word(parity, bucket, tokens) | flag);
}

bool limiter_shm_settle(
	struct limiter_ring *ring, const struct limiter_reservation *r, int64_t tokens_used)
{
	return replace(ring, r, SETTLED, tokens_used);
}

bool limiter_shm_cancel(struct limiter_ring *ring, const struct limiter_reservation *r)
{
	return replace(ring, r, CANCELLED, 0);
}

void limiter_shm_look(struct limiter_ring *ring, const struct limiter_rules *rules, int64_t now_ms,
	int64_t *calls, int64_t *tokens)
{
	struct limiter_log log;
	struct place place;

	for (int i = 0; i < TRIES; i++) {
		limiter_log_init(&log, rules, now_ms);
		if (scan(ring, &log, &place))
			break;
	}
	limiter_log_used(&log, rules, calls, tokens);
}

void limiter_shm_reset(struct limiter_ring *ring, int64_t now_ms)
{
	const int64_t now = now_ms / LIMITER_BUCKET_MS;

	for (unsigned i = 0; i < RING_WORDS; i++) {
		uint64_t word = atomic_load(&ring->words[i]);

		while (word != 0 && word_bucket(word) <= now && (word & CANCELLED) == 0 &&
			!atomic_compare_exchange_weak(&ring->words[i], &word, word | CANCELLED))
			;
	}
}

void limiter_shm_pause(struct limiter_ring *ring, int64_t until_ms)
{
	int64_t old = atomic_load(&ring->pause_until_ms);

	while (old < until_ms &&
		!atomic_compare_exchange_weak(&ring->pause_until_ms, &old, until_ms))
		;
}

int64_t limiter_shm_paused_until(const struct limiter_ring *ring)
{
	return atomic_load(&ring->pause_until_ms);
}

void limiter_shm_heard(struct limiter_ring *ring, int64_t now_ms)
{
	atomic_store(&ring->heard_at_ms, now_ms);
}

int64_t limiter_shm_heard_at(const struct limiter_ring *ring)
{
	return atomic_load(&ring->heard_at_ms);
}

bool limiter_shm_redis_try(struct limiter_shared *shared, int64_t now_ms)
{
	int64_t retry_at = atomic_load(&shared->redis_retry_at_ms);

	if (retry_at == 0)
		return true;
	return now_ms >= retry_at && atomic_compare_exchange_strong(&shared->redis_retry_at_ms,
					     &retry_at, now_ms + REDIS_RETRY_MS);
}

void limiter_shm_redis_lost(struct limiter_shared *shared, int64_t now_ms)
{
	atomic_store(&shared->redis_retry_at_ms, now_ms + REDIS_RETRY_MS);
}

void limiter_shm_redis_back(struct limiter_shared *shared)
{
	atomic_store(&shared->redis_retry_at_ms, 0);
}

int64_t limiter_shm_redis_retry_at(const struct limiter_shared *shared)
{
	return atomic_load(&shared->redis_retry_at_ms);
}

int limiter_shm_hosts(const struct limiter_shared *shared)
{
	return atomic_load(&shared->hosts);
}

void limiter_shm_set_hosts(struct limiter_shared *shared, int hosts)
{
	atomic_store(&shared->hosts, hosts);
}

bool limiter_shm_hosts_due(struct limiter_shared *shared, int64_t now_ms)
{
	int64_t asked = atomic_load(&shared->hosts_asked_at_ms);

	if (asked != 0 && now_ms - asked < HOSTS_EVERY_MS)
		return false;
	return atomic_compare_exchange_strong(&shared->hosts_asked_at_ms, &asked, now_ms);
}
