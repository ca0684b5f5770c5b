/* pool: how many workers there shall be. */
#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { LIMIT = 64 };

static struct settings following(int workers, int workers_max)
{
	return (struct settings){
		.workers = workers, .workers_max = workers_max, .scale = SCALE_QUEUE};
}

static struct pool pool_of(int asked, int wanted)
{
	return (struct pool){.asked = asked, .wanted = wanted};
}

static int wanted(struct pool *p, const struct settings *s, int busy, int64_t ready, int64_t now_ms)
{
	const struct pool_seen seen = {busy, ready};

	pool_follow(p, s, &seen, now_ms);
	return p->wanted;
}

static void a_static_pool_is_what_was_asked_for_whatever_waits(void **state)
{
	const struct settings s = {.workers = 4, .workers_max = 32, .scale = SCALE_STATIC};
	struct pool p = {0};

	(void)state;
	pool_ask(&p, 4, LIMIT);
	assert_int_equal(wanted(&p, &s, 4, 1000, 0), 4);
	pool_ask(&p, 7, LIMIT);
	assert_int_equal(wanted(&p, &s, 0, 0, 1), 7);
	pool_ask(&p, 2, LIMIT);
	assert_int_equal(wanted(&p, &s, 2, 1000, 2), 2);
}

static void what_is_asked_for_stays_within_the_slots(void **state)
{
	struct pool p = {0};

	(void)state;
	pool_ask(&p, LIMIT + 1, LIMIT);
	assert_int_equal(p.asked, LIMIT);
	pool_ask(&p, -1, LIMIT);
	assert_int_equal(p.asked, 0);
}

static void it_grows_at_once_to_what_is_in_work_and_what_is_ready(void **state)
{
	static const struct {
		int busy;
		int64_t ready;
		int expected;
	} rows[] = {
		{0, 0, 2},
		{0, 1, 2},
		{2, 0, 2},
		{2, 1, 3},
		{2, 6, 8},
		{2, 8, 10},
		{2, 9, 10},
		{10, 0, 10},
		{10, 100000, 10},
		{0, INT64_MAX, 10},
	};
	const struct settings s = following(2, 10);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pool p = pool_of(2, 2);

		assert_int_equal(wanted(&p, &s, rows[i].busy, rows[i].ready, 0), rows[i].expected);
	}
}

static void it_gives_up_one_worker_after_each_span_in_which_fewer_would_have_done(void **state)
{
	const struct settings s = following(2, 10);
	struct pool p = pool_of(2, 5);
	int64_t now = 1000;

	(void)state;
	assert_int_equal(wanted(&p, &s, 0, 0, now), 5);
	assert_int_equal(wanted(&p, &s, 0, 0, now + POOL_SHRINK_MS - 1), 5);
	for (int left = 4; left >= 2; left--) {
		now += POOL_SHRINK_MS;
		assert_int_equal(wanted(&p, &s, 0, 0, now), left);
	}
	assert_int_equal(wanted(&p, &s, 0, 0, now + 10 * POOL_SHRINK_MS), 2);
}

static void a_burst_in_between_begins_the_span_anew(void **state)
{
	const struct settings s = following(2, 10);
	struct pool p = pool_of(2, 5);

	(void)state;
	assert_int_equal(wanted(&p, &s, 0, 0, 1000), 5);
	assert_int_equal(wanted(&p, &s, 2, 3, 10000), 5);
	assert_int_equal(wanted(&p, &s, 0, 0, 1000 + POOL_SHRINK_MS), 5);
	assert_int_equal(wanted(&p, &s, 0, 0, 1000 + 2 * POOL_SHRINK_MS), 4);
}

static void a_reload_with_a_lower_bound_takes_effect_at_once(void **state)
{
	const struct settings s = following(2, 3);
	struct pool p = pool_of(2, 9);

	(void)state;
	assert_int_equal(wanted(&p, &s, 9, 1000, 0), 3);
}

static void whoever_asks_for_more_than_workers_max_gets_it(void **state)
{
	const struct settings s = following(2, 3);
	struct pool p = pool_of(2, 2);

	(void)state;
	pool_ask(&p, 6, LIMIT);
	assert_int_equal(wanted(&p, &s, 0, 0, 0), 6);
	assert_int_equal(pool_most(&p, &s), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_static_pool_is_what_was_asked_for_whatever_waits),
		cmocka_unit_test(what_is_asked_for_stays_within_the_slots),
		cmocka_unit_test(it_grows_at_once_to_what_is_in_work_and_what_is_ready),
		cmocka_unit_test(
			it_gives_up_one_worker_after_each_span_in_which_fewer_would_have_done),
		cmocka_unit_test(a_burst_in_between_begins_the_span_anew),
		cmocka_unit_test(a_reload_with_a_lower_bound_takes_effect_at_once),
		cmocka_unit_test(whoever_asks_for_more_than_workers_max_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
