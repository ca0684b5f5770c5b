/* pace: when the keeper looks at a queue next. */
#include "pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { NOW_MS = 1000000 };

/* The span until the next look, after this many quiet ones. */
static int64_t span_after(
	int looks, bool is_idle, bool hears, int64_t poll_interval_ms, double chance)
{
	const struct pace_seen seen = {.now_ms = NOW_MS, .is_idle = is_idle, .hears = hears};
	struct pace p = {0};

	for (int i = 0; i < looks; i++)
		pace_looked(&p, &seen, poll_interval_ms, chance);
	return p.due_ms - NOW_MS;
}

static void the_first_look_is_due_at_once(void **state)
{
	const struct pace p = {0};

	(void)state;
	assert_true(p.due_ms <= NOW_MS);
}

static void spans_grow_only_where_nothing_is_to_be_done_and_notifications_would_tell(void **state)
{
	static const struct {
		int looks;
		bool is_idle, hears;
		int64_t poll_interval_ms, span_ms;
	} cells[] = {
		{1, true, true, 5000, 5000},
		{2, true, true, 5000, 10000},
		{9, true, true, 5000, 10000},
		{3, true, true, 1000, 4000},
		{5, true, true, 1000, 10000},
		{99, true, true, 100, 10000},
		{9, true, true, 60000, 60000},
		{9, true, false, 5000, 5000},
		{9, false, true, 5000, 5000},
		{9, false, false, 100, 100},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
		assert_int_equal(span_after(cells[i].looks, cells[i].is_idle, cells[i].hears,
					 cells[i].poll_interval_ms, 0),
			cells[i].span_ms);
}

static void chance_makes_a_span_shorter_by_a_quarter_at_most_and_never_longer(void **state)
{
	(void)state;
	assert_int_equal(span_after(1, true, false, 4000, 0), 4000);
	assert_int_equal(span_after(1, true, false, 4000, 0.5), 3500);
	assert_int_equal(span_after(1, true, false, 4000, 1), 3000);
}

static void what_happens_is_looked_at_soon_but_once_a_second_at_most(void **state)
{
	struct pace p = {0};

	(void)state;
	pace_looked(&p, &(struct pace_seen){.now_ms = NOW_MS, .took_ms = 3}, 5000, 0);
	pace_stir(&p, NOW_MS + 10);
	assert_int_equal(p.due_ms, NOW_MS + PACE_LEAST_MS);
	pace_stir(&p, NOW_MS + 700);
	assert_int_equal(p.due_ms, NOW_MS + PACE_LEAST_MS);
	pace_looked(&p, &(struct pace_seen){.now_ms = NOW_MS, .took_ms = 3}, 5000, 0);
	pace_stir(&p, NOW_MS + 3000);
	assert_int_equal(p.due_ms, NOW_MS + 3000 + PACE_SOON_MS);
	pace_looked(&p, &(struct pace_seen){.now_ms = NOW_MS, .took_ms = 3}, 5000, 0);
	pace_stir(&p, NOW_MS + 4900);
	assert_int_equal(p.due_ms, NOW_MS + 5000);
}

static void a_look_that_takes_long_is_not_repeated_soon(void **state)
{
	struct pace p = {0};

	(void)state;
	pace_looked(&p, &(struct pace_seen){.now_ms = NOW_MS, .took_ms = 150}, 5000, 0);
	pace_stir(&p, NOW_MS + 10);
	assert_int_equal(p.due_ms, NOW_MS + 150 * PACE_TIMES_IT_TOOK);
	pace_looked(&p, &(struct pace_seen){.now_ms = NOW_MS, .took_ms = 900}, 5000, 0);
	pace_stir(&p, NOW_MS + 10);
	assert_int_equal(p.due_ms, NOW_MS + 5000);
}

static void after_something_happened_spans_are_short_again(void **state)
{
	const struct pace_seen quiet = {.now_ms = NOW_MS, .is_idle = true, .hears = true};
	struct pace p = {0};

	(void)state;
	for (int i = 0; i < 5; i++)
		pace_looked(&p, &quiet, 1000, 0);
	assert_int_equal(p.due_ms, NOW_MS + PACE_QUIET_MS);
	pace_stir(&p, NOW_MS);
	pace_looked(&p, &quiet, 1000, 0);
	assert_int_equal(p.due_ms, NOW_MS + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_look_is_due_at_once),
		cmocka_unit_test(
			spans_grow_only_where_nothing_is_to_be_done_and_notifications_would_tell),
		cmocka_unit_test(chance_makes_a_span_shorter_by_a_quarter_at_most_and_never_longer),
		cmocka_unit_test(what_happens_is_looked_at_soon_but_once_a_second_at_most),
		cmocka_unit_test(a_look_that_takes_long_is_not_repeated_soon),
		cmocka_unit_test(after_something_happened_spans_are_short_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
