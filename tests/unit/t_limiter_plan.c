/*
 * The limiter's arithmetic: when the next call may be sent.
 */
#include "limiter_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct limiter_rules rules_of(int64_t calls, int64_t tokens)
{
	return limiter_rules(calls, tokens, LIMITER_WINDOW_MS, LIMITER_GUARD_MS);
}

/* A log as a home keeps it: everything that was ever reserved. */
enum { MANY = 400000 };
struct past {
	size_t count;
	struct one {
		int64_t bucket, tokens;
	} all[MANY];
};

static struct past past;

static bool reserve(const struct limiter_rules *rules, int64_t now_ms, int64_t tokens,
	struct limiter_slot *slot)
{
	struct limiter_log log;

	limiter_log_init(&log, rules, now_ms);
	for (size_t i = past.count; i > 0 && past.count - i < 20000; i--)
		limiter_log_add(&log, past.all[i - 1].bucket, 1, past.all[i - 1].tokens);
	if (!limiter_plan(rules, &log, now_ms, tokens, slot))
		return false;
	assert_true(past.count < MANY);
	past.all[past.count++] = (struct one){slot->bucket, limiter_clamp(rules, tokens)};
	return true;
}

static void first_call_goes_at_once(void **state)
{
	const struct limiter_rules rules = rules_of(1600, 6400000);
	struct limiter_slot slot;

	(void)state;
	past.count = 0;
	assert_true(reserve(&rules, 1000123, 15000, &slot));
	assert_int_equal(slot.send_at_ms, 1000123);
	assert_int_equal(slot.bucket, 1000123 / LIMITER_BUCKET_MS);
	assert_true(slot.send_until_ms > slot.send_at_ms);
}

static void window_is_sixty_seconds_guard_and_a_bucket(void **state)
{
	(void)state;
	assert_int_equal(rules_of(1, 0).width, 245);
}

static void full_window_is_answered_with_the_slot_after_it(void **state)
{
	const struct limiter_rules rules = rules_of(3, 0);
	struct limiter_log log;
	struct limiter_slot slot;
	const int64_t now_ms = 100000000;
	const int64_t now = now_ms / LIMITER_BUCKET_MS;

	(void)state;
	limiter_log_init(&log, &rules, now_ms);
	limiter_log_add(&log, now - 200, 3, 0);
	assert_true(limiter_plan(&rules, &log, now_ms, 0, &slot));
	assert_int_equal(slot.bucket, now + 45);

	limiter_log_init(&log, &rules, now_ms);
	limiter_log_add(&log, now - 100, 3, 0);
	assert_false(limiter_plan(&rules, &log, now_ms, 0, &slot));
	assert_true(slot.wait_ms > 0);
}

static void calls_are_paced(void **state)
{
	const struct limiter_rules rules = rules_of(60, 0);
	struct limiter_slot slot;
	int64_t before = 0;

	(void)state;
	past.count = 0;
	for (int i = 0; i < 30; i++) {
		assert_true(reserve(&rules, 50000000, 0, &slot));
		if (i > 0)
			assert_in_range(slot.send_at_ms - before, 500, 1021);
		before = slot.send_at_ms;
	}
}

static void no_limit_means_no_wait(void **state)
{
	const struct limiter_rules rules = rules_of(0, 0);
	struct limiter_slot slot;

	(void)state;
	past.count = 0;
	for (int i = 0; i < 5000; i++) {
		assert_true(reserve(&rules, 77000, 100000000, &slot));
		assert_int_equal(slot.send_at_ms, 77000);
	}
}

static void reservation_above_the_whole_limit_waits_for_an_empty_window_not_for_ever(void **state)
{
	const struct limiter_rules rules = rules_of(0, 1000);
	struct limiter_log log;
	struct limiter_slot slot;
	const int64_t now_ms = 100000000;
	const int64_t now = now_ms / LIMITER_BUCKET_MS;

	(void)state;
	limiter_log_init(&log, &rules, now_ms);
	assert_true(limiter_plan(&rules, &log, now_ms, 5000, &slot));
	assert_int_equal(slot.send_at_ms, now_ms);
	limiter_log_add(&log, now - 244 + 20, 1, 1);
	assert_true(limiter_plan(&rules, &log, now_ms, 5000, &slot));
	assert_int_equal(slot.bucket, now + 21);
}

static void later_reservations_keep_their_room(void **state)
{
	const struct limiter_rules rules = rules_of(0, 1000);
	struct limiter_log log;
	struct limiter_slot slot;
	const int64_t now_ms = 100000000;
	const int64_t now = now_ms / LIMITER_BUCKET_MS;

	(void)state;
	limiter_log_init(&log, &rules, now_ms);
	limiter_log_add(&log, now + 100, 1, 900);
	assert_true(limiter_plan(&rules, &log, now_ms, 100, &slot));
	assert_int_equal(slot.bucket, now); /* fits beside it */
	assert_false(limiter_plan(&rules, &log, now_ms, 200, &slot));
}

static void tokens_returned_free_the_room_at_once(void **state)
{
	const struct limiter_rules rules = rules_of(0, 1000);
	struct limiter_log log;
	struct limiter_slot slot;
	const int64_t now_ms = 100000000;

	(void)state;
	limiter_log_init(&log, &rules, now_ms);
	limiter_log_add(&log, now_ms / LIMITER_BUCKET_MS - 5, 1, 900);
	assert_false(limiter_plan(&rules, &log, now_ms, 500, &slot));
	limiter_log_add(&log, now_ms / LIMITER_BUCKET_MS - 5, 0, -600);
	assert_true(limiter_plan(&rules, &log, now_ms, 500, &slot));
	assert_int_equal(slot.send_at_ms, now_ms);
}

static void share_leaves_the_others_their_ceiling(void **state)
{
	(void)state;
	assert_int_equal(limiter_ceiling(2000, 0.8), 1600);
	assert_int_equal(limiter_ceiling(10, 0.7), 7);
	assert_int_equal(limiter_ceiling(1, 0.1), 1);
	assert_int_equal(limiter_ceiling(0, 0.8), 0);
	assert_int_equal(limiter_share(2000, 0.8, 4), 100);
	assert_int_equal(limiter_share(2000, 0.4, 4), 200);
	assert_int_equal(limiter_share(2000, 1.0, 4), 0);
	assert_int_equal(limiter_share(10, 0.8, 3), 0);
	assert_int_equal(limiter_share(0, 0.8, 3), -1);
	assert_int_equal(limiter_share(2000, 0.8, 0), 400);
}

/* ---- property: many arrivals, the truth afterwards ---- */

static unsigned seed;

static int64_t below(int64_t n)
{
	return (int64_t)(((uint64_t)rand() << 20 ^ (uint64_t)rand()) % (uint64_t)n);
}

static int by_bucket(const void *a, const void *b)
{
	const struct one *x = a, *y = b;

	return (x->bucket > y->bucket) - (x->bucket < y->bucket);
}

/*
 * The worst that can arrive in 60 s: any calls whose buckets lie less than `width` apart may do so
 * (sent at the end of the first, at the start of the last, the guard between them).
 */
static void assert_never_above(const struct limiter_rules *rules)
{
	int64_t calls = 0, tokens = 0;
	size_t from = 0;

	qsort(past.all, past.count, sizeof past.all[0], by_bucket);
	for (size_t to = 0; to < past.count; to++) {
		calls++;
		tokens += past.all[to].tokens;
		while (past.all[to].bucket - past.all[from].bucket >= rules->width) {
			calls--;
			tokens -= past.all[from++].tokens;
		}
		if (rules->call_limit > 0)
			assert_in_range(calls, 0, rules->call_limit);
		if (rules->token_limit > 0)
			assert_in_range(tokens, 0, rules->token_limit);
	}
}

static void forget_one_of_the_future(int64_t now)
{
	for (size_t i = past.count; i > 0 && past.count - i < 30; i--)
		if (past.all[i - 1].bucket >= now && below(2) == 0) {
			past.all[i - 1] = past.all[--past.count];
			return;
		}
}

static void never_above_the_limit_in_any_window(void **state)
{
	(void)state;
	for (int round = 0; round < 40; round++) {
		const int64_t calls = below(4) == 0 ? 0 : 1 + below(below(2) == 0 ? 30 : 1500);
		const int64_t tokens = below(4) == 0 ? 0 : 1 + below(3000000);
		const struct limiter_rules rules = rules_of(calls, tokens);
		const int64_t dense_ms = 1 + below(2000);
		int64_t now_ms = 1000000 + below(1000000);
		struct limiter_slot slot;

		past.count = 0;
		for (int i = 0; i < 3000; i++) {
			now_ms += below(50) == 0 ? below(70000) : below(dense_ms);
			if (reserve(&rules, now_ms, below(40000), &slot)) {
				assert_true(slot.send_at_ms >= now_ms);
				assert_true(slot.send_at_ms <= slot.send_until_ms);
				assert_true(slot.bucket <=
					    now_ms / LIMITER_BUCKET_MS + LIMITER_HORIZON);
			} else {
				assert_in_range(slot.wait_ms, 1, LIMITER_WINDOW_MS);
			}
			if (below(10) == 0)
				forget_one_of_the_future(now_ms / LIMITER_BUCKET_MS);
		}
		assert_never_above(&rules);
	}
}

/* Callers who always want more, from the second minute on: the part of the limit they get. */
static void saturate(const char *what, int64_t calls, int64_t tokens, int64_t mean)
{
	const struct limiter_rules rules = rules_of(calls, tokens);
	int64_t now_ms = 5000000, sent = 0, used = 0;
	const int64_t from = now_ms / LIMITER_BUCKET_MS + 2 * rules.width;
	const int64_t to = from + 4 * rules.width;
	struct limiter_slot slot;
	double part_calls, part_tokens, minutes;

	past.count = 0;
	while (now_ms / LIMITER_BUCKET_MS < to) {
		if (reserve(&rules, now_ms, mean * 2 / 3 + below(mean * 2 / 3 + 1), &slot))
			continue;
		now_ms += slot.wait_ms;
	}
	for (size_t i = 0; i < past.count; i++)
		if (past.all[i].bucket >= from && past.all[i].bucket < to) {
			sent++;
			used += past.all[i].tokens;
		}
	assert_never_above(&rules);
	minutes = (double)((to - from) * LIMITER_BUCKET_MS) / LIMITER_WINDOW_MS;
	part_calls = calls > 0 ? (double)sent / ((double)calls * minutes) : 0;
	part_tokens = tokens > 0 ? (double)used / ((double)tokens * minutes) : 0;
	print_message("%-28s calls %5.1f %%  tokens %5.1f %% of the limit\n", what,
		100 * part_calls, 100 * part_tokens);
	assert_true(part_calls > 0.97 || part_tokens > 0.97);
	assert_true(part_calls <= 1.0 && part_tokens <= 1.0);
}

static void saturated_nearly_all_of_the_limit_is_used(void **state)
{
	(void)state;
	saturate("1,600 calls bind", 1600, 6400000, 3000);
	saturate("60 calls bind", 60, 6400000, 15000);
	saturate("300 calls bind", 300, 0, 1000);
	saturate("6.4 M tokens bind", 1600, 6400000, 15000);
	saturate("both bind", 1600, 6400000, 4000);
	saturate("tokens alone", 0, 400000, 2500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_call_goes_at_once),
		cmocka_unit_test(window_is_sixty_seconds_guard_and_a_bucket),
		cmocka_unit_test(full_window_is_answered_with_the_slot_after_it),
		cmocka_unit_test(calls_are_paced),
		cmocka_unit_test(no_limit_means_no_wait),
		cmocka_unit_test(
			reservation_above_the_whole_limit_waits_for_an_empty_window_not_for_ever),
		cmocka_unit_test(later_reservations_keep_their_room),
		cmocka_unit_test(tokens_returned_free_the_room_at_once),
		cmocka_unit_test(share_leaves_the_others_their_ceiling),
		cmocka_unit_test(never_above_the_limit_in_any_window),
		cmocka_unit_test(saturated_nearly_all_of_the_limit_is_used),
	};
	const char *given = getenv("TEST_SEED");

	seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	printf("TEST_SEED=%u\n", seed);
	srand(seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
