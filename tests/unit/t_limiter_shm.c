/*
 * The limiter's shared home: many processes, no lock, any of them killed at any time.
 */
#include "limiter_home.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PROCESSES = 4, NOW_MS = 50000000 };

/* What all processes of a test share: the home, its clock, and a book of what each was granted. */
enum { BOOK = 20000 };
struct entry {
	_Atomic int64_t bucket; /* 0 = not written */
	_Atomic int64_t tokens;
};
struct world {
	_Atomic int64_t now_ms;
	_Atomic int stop;
	struct entry book[PROCESSES][BOOK];
};

static struct limiter_shared *shared;
static struct limiter_ring *ring;
static struct world *world;
static unsigned seed;

static void *map(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static int set_up(void **state)
{
	(void)state;
	shared = map(limiter_shm_bytes());
	world = map(sizeof *world);
	ring = limiter_shm_ring(shared, "gemini:model");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)munmap(shared, limiter_shm_bytes());
	(void)munmap(world, sizeof *world);
	return 0;
}

static struct limiter_rules rules_of(int64_t calls, int64_t tokens)
{
	return limiter_rules(calls, tokens, LIMITER_WINDOW_MS, LIMITER_GUARD_MS);
}

static void used_at(
	const struct limiter_rules *rules, int64_t now_ms, int64_t calls, int64_t tokens)
{
	int64_t have_calls, have_tokens;

	limiter_shm_look(ring, rules, now_ms, &have_calls, &have_tokens);
	assert_int_equal(have_calls, calls);
	assert_int_equal(have_tokens, tokens);
}

static void settle_corrects_what_was_charged_and_only_once(void **state)
{
	const struct limiter_rules rules = rules_of(100, 100000);
	struct limiter_reservation r;
	int64_t wait_ms;

	(void)state;
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS, 15000, &r, &wait_ms), 0);
	assert_true(r.local);
	assert_int_equal(r.tokens, 15000);
	used_at(&rules, NOW_MS, 1, 15000);
	assert_true(limiter_shm_settle(ring, &r, 4000));
	used_at(&rules, NOW_MS, 1, 4000);
	assert_false(limiter_shm_settle(ring, &r, 1));
	assert_false(limiter_shm_cancel(ring, &r));
	used_at(&rules, NOW_MS, 1, 4000);
}

static void settle_with_exactly_the_estimate_counts_as_settled(void **state)
{
	const struct limiter_rules rules = rules_of(100, 100000);
	struct limiter_reservation r;
	int64_t wait_ms;

	(void)state;
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS, 15000, &r, &wait_ms), 0);
	assert_true(limiter_shm_settle(ring, &r, 15000));
	assert_false(limiter_shm_settle(ring, &r, 0));
	used_at(&rules, NOW_MS, 1, 15000);
}

static void cancel_gives_call_and_tokens_back(void **state)
{
	const struct limiter_rules rules = rules_of(1, 100000);
	struct limiter_reservation r, again;
	int64_t wait_ms;

	(void)state;
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS, 15000, &r, &wait_ms), 0);
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS, 15000, &again, &wait_ms), 1);
	assert_true(wait_ms > 0);
	assert_true(limiter_shm_cancel(ring, &r));
	assert_false(limiter_shm_cancel(ring, &r));
	used_at(&rules, NOW_MS, 0, 0);
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS, 15000, &again, &wait_ms), 0);
	assert_int_equal(again.send_at_ms, NOW_MS);
}

static void share_of_the_dead_returns_with_the_window(void **state)
{
	const struct limiter_rules rules = rules_of(1, 0);
	struct limiter_reservation r;
	int64_t wait_ms;

	(void)state;
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS, 0, &r, &wait_ms), 0);
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS + 31000, 0, &r, &wait_ms), 1);
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS + 61250, 0, &r, &wait_ms), 0);
	assert_int_equal(r.send_at_ms, NOW_MS + 61250);
}

static void full_ring_refuses_goes_round_and_old_handles_hit_nothing(void **state)
{
	const struct limiter_rules rules = rules_of(0, 0);
	struct limiter_reservation first, r;
	int64_t wait_ms;
	int granted = 1;

	(void)state;
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS, 7, &first, &wait_ms), 0);
	while (granted < 40000 && limiter_shm_reserve(ring, &rules, NOW_MS, 7, &r, &wait_ms) == 0)
		granted++;
	assert_int_equal(granted, 16384);
	assert_true(wait_ms > 0);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(
			limiter_shm_reserve(ring, &rules, NOW_MS + 61250, 7, &r, &wait_ms), 0);
	assert_false(limiter_shm_settle(ring, &first, 0));
	assert_false(limiter_shm_cancel(ring, &first));
	used_at(&rules, NOW_MS + 61250, 3000, 21000);
	assert_true(limiter_shm_settle(ring, &r, 0));
}

static void reader_with_an_old_clock_is_sent_back(void **state)
{
	const struct limiter_rules rules = rules_of(1000, 0);
	struct limiter_reservation r;
	int64_t wait_ms;

	(void)state;
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS + 45000, 0, &r, &wait_ms), 0);
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS, 0, &r, &wait_ms), 1);
}

static void reset_frees_what_was_sent(void **state)
{
	const struct limiter_rules rules = rules_of(2, 0);
	struct limiter_reservation r;
	int64_t wait_ms;

	(void)state;
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS, 5, &r, &wait_ms), 0);
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS + 30000, 5, &r, &wait_ms), 0);
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS + 30000, 5, &r, &wait_ms), 1);
	limiter_shm_reset(ring, NOW_MS + 31000);
	used_at(&rules, NOW_MS + 31000, 0, 0);
	assert_int_equal(limiter_shm_reserve(ring, &rules, NOW_MS + 31000, 5, &r, &wait_ms), 0);
}

static void longer_pause_wins(void **state)
{
	(void)state;
	assert_int_equal(limiter_shm_paused_until(ring), 0);
	limiter_shm_pause(ring, 5000);
	limiter_shm_pause(ring, 3000);
	assert_int_equal(limiter_shm_paused_until(ring), 5000);
	limiter_shm_pause(ring, 9000);
	assert_int_equal(limiter_shm_paused_until(ring), 9000);
}

static void published_limits_are_learned_once_by_everybody(void **state)
{
	const struct set_limits first = {.rpm = 100, .tpm = 2000, .rpd = 3, .headroom = 0.8};
	const struct set_limits second = {.rpm = 7, .tpm = 0, .rpd = 0, .headroom = 0.5};
	struct set_limits seen = {.rpm = 1};
	unsigned version = 0;

	(void)state;
	assert_false(limiter_shm_learn(shared, &seen, &version));
	assert_int_equal(seen.rpm, 1);
	limiter_shm_publish(shared, &first);
	assert_true(limiter_shm_learn(shared, &seen, &version));
	assert_int_equal(seen.rpm, 100);
	assert_int_equal(seen.tpm, 2000);
	assert_int_equal(seen.rpd, 3);
	assert_false(limiter_shm_learn(shared, &seen, &version));
	limiter_shm_publish(shared, &second);
	assert_true(limiter_shm_learn(shared, &seen, &version));
	assert_int_equal(seen.rpm, 7);
	assert_true(seen.headroom > 0.49 && seen.headroom < 0.51);
}

static void each_scope_has_its_own_ring_until_all_are_taken(void **state)
{
	struct limiter_ring *rings[10];
	char scope[32];

	(void)state;
	for (int i = 0; i < 10; i++) {
		(void)snprintf(scope, sizeof scope, "gemini:model-%d", i);
		rings[i] = limiter_shm_ring(shared, scope);
		assert_ptr_equal(limiter_shm_ring(shared, scope), rings[i]);
	}
	assert_ptr_equal(limiter_shm_ring(shared, "gemini:model"), ring);
	for (int i = 0; i < 7; i++)
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(rings[i], rings[j]);
	assert_ptr_equal(rings[8], rings[9]);
}

static void one_process_a_second_tries_a_lost_redis(void **state)
{
	(void)state;
	assert_true(limiter_shm_redis_try(shared, NOW_MS));
	limiter_shm_redis_lost(shared, NOW_MS);
	assert_false(limiter_shm_redis_try(shared, NOW_MS + 999));
	assert_true(limiter_shm_redis_try(shared, NOW_MS + 1000));
	assert_false(limiter_shm_redis_try(shared, NOW_MS + 1001)); /* another one is at it */
	assert_true(limiter_shm_redis_try(shared, NOW_MS + 2000));  /* it died */
	limiter_shm_redis_back(shared);
	assert_true(limiter_shm_redis_try(shared, NOW_MS + 2001));
	assert_int_equal(limiter_shm_redis_retry_at(shared), 0);
}

/* ---- many processes ---- */

static uint32_t next(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* Reserves without rest; writes into the book what it was granted. A word taken but not yet
 * booked at a kill is a call that was never sent: it only makes the home stricter. */
static void reserve_for_ever(int me, const struct limiter_rules *rules, uint32_t x)
{
	int booked = 0;

	while (booked < BOOK && atomic_load(&world->book[me][booked].bucket) != 0)
		booked++;
	while (atomic_load(&world->stop) == 0 && booked < BOOK) {
		struct limiter_reservation r;
		const int64_t now_ms = atomic_load(&world->now_ms);
		int64_t wait_ms;

		if (limiter_shm_reserve(ring, rules, now_ms, next(&x) % 20000, &r, &wait_ms) != 0)
			continue;
		if (next(&x) % 8 == 0 && limiter_shm_cancel(ring, &r))
			continue;
		if (next(&x) % 2 == 0) {
			const int64_t used = r.tokens > 0 ? next(&x) % r.tokens : 0;

			if (limiter_shm_settle(ring, &r, used))
				r.tokens = used;
		}
		atomic_store(&world->book[me][booked].tokens, r.tokens);
		atomic_store(&world->book[me][booked].bucket,
			(int64_t)(r.handle >> 14 & ((UINT64_C(1) << 37) - 1)));
		booked++;
	}
	_exit(0);
}

static pid_t start(int me, const struct limiter_rules *rules, uint32_t x)
{
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		reserve_for_ever(me, rules, x != 0 ? x : 1);
	return pid;
}

static int by_bucket(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (x[0] > y[0]) - (x[0] < y[0]);
}

static size_t assert_book_within(const struct limiter_rules *rules)
{
	static int64_t all[PROCESSES * BOOK][2];
	size_t count = 0, from = 0;
	int64_t calls = 0, tokens = 0;

	for (int p = 0; p < PROCESSES; p++)
		for (int i = 0; i < BOOK && atomic_load(&world->book[p][i].bucket) != 0; i++) {
			all[count][0] = atomic_load(&world->book[p][i].bucket);
			all[count++][1] = atomic_load(&world->book[p][i].tokens);
		}
	qsort(all, count, sizeof all[0], by_bucket);
	for (size_t to = 0; to < count; to++) {
		calls++;
		tokens += all[to][1];
		while (all[to][0] - all[from][0] >= rules->width) {
			calls--;
			tokens -= all[from++][1];
		}
		assert_in_range(calls, 0, rules->call_limit);
		assert_in_range(tokens, 0, rules->token_limit);
	}
	return count;
}

/* The clock of the home runs through minutes while real time runs through milliseconds. */
static void killed_at_any_instruction_never_above_the_limit_nothing_lost(void **state)
{
	const struct limiter_rules rules = rules_of(2000, 8000000);
	struct timespec nap = {0, 200000};
	pid_t pids[PROCESSES];
	uint32_t x = seed != 0 ? seed : 1;
	size_t sent;
	struct limiter_reservation r;
	int64_t wait_ms, now_ms;
	int granted = 0;

	(void)state;
	atomic_store(&world->now_ms, NOW_MS);
	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start(i, &rules, next(&x));
	for (int kills = 0; kills < 500; kills++) {
		const int i = (int)(next(&x) % PROCESSES);

		nap.tv_nsec = next(&x) % 400000;
		(void)nanosleep(&nap, NULL);
		(void)kill(pids[i], SIGKILL);
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
		atomic_fetch_add(&world->now_ms, (int64_t)(next(&x) % 500));
		pids[i] = start(i, &rules, next(&x));
	}
	atomic_store(&world->stop, 1);
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	sent = assert_book_within(&rules);
	print_message("%zu calls booked by %d processes under 500 kills\n", sent, PROCESSES);
	assert_true(sent > 1000);

	/* A window later the whole limit is there again. */
	now_ms = atomic_load(&world->now_ms) + 30000 + 61500;
	used_at(&rules, now_ms, 0, 0);
	while (limiter_shm_reserve(ring, &rules, now_ms, 1, &r, &wait_ms) == 0)
		granted++;
	for (now_ms += 30000; limiter_shm_reserve(ring, &rules, now_ms, 1, &r, &wait_ms) == 0;)
		granted++;
	assert_int_equal(granted, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(settle_corrects_what_was_charged_and_only_once),
		TEST(settle_with_exactly_the_estimate_counts_as_settled),
		TEST(cancel_gives_call_and_tokens_back),
		TEST(share_of_the_dead_returns_with_the_window),
		TEST(full_ring_refuses_goes_round_and_old_handles_hit_nothing),
		TEST(reader_with_an_old_clock_is_sent_back),
		TEST(reset_frees_what_was_sent),
		TEST(longer_pause_wins),
		TEST(each_scope_has_its_own_ring_until_all_are_taken),
		TEST(published_limits_are_learned_once_by_everybody),
		TEST(one_process_a_second_tries_a_lost_redis),
		TEST(killed_at_any_instruction_never_above_the_limit_nothing_lost),
	};
	const char *given = getenv("TEST_SEED");

	seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	printf("TEST_SEED=%u\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
