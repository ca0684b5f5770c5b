/* hang: when a silent process is killed, and when its silence says nothing. */
#include "hang.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { TICK_MS = 1000, TIMEOUT_MS = 30000, BORN_MS = 1000000 };

/* A life as the master sees it, tick by tick. */
struct life {
	struct hang hang;
	int64_t now_ms;
	int64_t stamp_ms;
};

static struct life born(void)
{
	struct life l = {.now_ms = BORN_MS};

	hang_begin(&l.hang, BORN_MS);
	return l;
}

/* The last verdict of so much time, in which it stamps every `every_ms` (0 = never); stops at the first that is not fine. */
static enum hang_verdict pass(struct life *l, int64_t ms, int64_t every_ms, int64_t timeout_ms)
{
	const int64_t until_ms = l->now_ms + ms;
	enum hang_verdict verdict = HANG_FINE;

	while (verdict == HANG_FINE && l->now_ms < until_ms) {
		l->now_ms += TICK_MS;
		if (every_ms != 0 && l->now_ms % every_ms == 0)
			l->stamp_ms = l->now_ms;
		verdict = hang_look(&l->hang, l->stamp_ms, l->now_ms, timeout_ms);
	}
	return verdict;
}

static struct life at_work(void)
{
	struct life l = born();

	assert_int_equal(pass(&l, 10 * TICK_MS, TICK_MS, TIMEOUT_MS), HANG_FINE);
	return l;
}

static void one_that_stamps_is_left_alone_for_ever(void **state)
{
	struct life l = at_work();

	(void)state;
	assert_int_equal(pass(&l, 86400 * 1000, TICK_MS, TIMEOUT_MS), HANG_FINE);
	assert_int_equal(pass(&l, 86400 * 1000, TIMEOUT_MS - TICK_MS, TIMEOUT_MS), HANG_FINE);
}

static void silence_is_aborted_once_then_killed_after_two_seconds_until_it_is_gone(void **state)
{
	struct life l = at_work();
	const int64_t heard_ms = l.now_ms;

	(void)state;
	assert_int_equal(pass(&l, 10 * TIMEOUT_MS, 0, TIMEOUT_MS), HANG_ABORT);
	assert_int_equal(l.now_ms - heard_ms, TIMEOUT_MS);
	assert_int_equal(l.hang.silent_ms, TIMEOUT_MS);
	assert_int_equal(pass(&l, TICK_MS, 0, TIMEOUT_MS), HANG_FINE);
	assert_int_equal(pass(&l, TICK_MS, 0, TIMEOUT_MS), HANG_KILL);
	assert_int_equal(pass(&l, TICK_MS, 0, TIMEOUT_MS), HANG_KILL);
}

static void one_that_was_aborted_is_not_saved_by_a_stamp(void **state)
{
	struct life l = at_work();

	(void)state;
	assert_int_equal(pass(&l, TIMEOUT_MS, 0, TIMEOUT_MS), HANG_ABORT);
	assert_int_equal(pass(&l, HANG_EVIDENCE_MS, TICK_MS, TIMEOUT_MS), HANG_KILL);
}

static void one_that_never_stamped_has_the_time_of_a_start(void **state)
{
	struct life l = born();

	(void)state;
	assert_int_equal(pass(&l, HANG_START_MS - TICK_MS, 0, TIMEOUT_MS), HANG_FINE);
	assert_int_equal(pass(&l, TICK_MS, 0, TIMEOUT_MS), HANG_ABORT);
	l = born();
	assert_int_equal(pass(&l, 2 * HANG_START_MS - TICK_MS, 0, 2 * HANG_START_MS), HANG_FINE);
	assert_int_equal(pass(&l, TICK_MS, 0, 2 * HANG_START_MS), HANG_ABORT);
}

static void no_silence_under_five_seconds_is_judged(void **state)
{
	struct life l = at_work();

	(void)state;
	assert_int_equal(pass(&l, HANG_LEAST_MS - TICK_MS, 0, 500), HANG_FINE);
	assert_int_equal(pass(&l, TICK_MS, 0, 500), HANG_ABORT);
}

/* Suspended, stopped or starved: how long is not known, and whoever slept with us shall have woken up. */
static void what_the_master_did_not_watch_is_forgiven(void **state)
{
	struct life l = at_work();

	(void)state;
	assert_int_equal(pass(&l, TIMEOUT_MS - TICK_MS, 0, TIMEOUT_MS), HANG_FINE);
	l.now_ms += 3600 * 1000;
	assert_int_equal(hang_look(&l.hang, l.stamp_ms, l.now_ms, TIMEOUT_MS), HANG_FINE);
	assert_int_equal(pass(&l, TIMEOUT_MS - TICK_MS, 0, TIMEOUT_MS), HANG_FINE);
	assert_int_equal(pass(&l, TICK_MS, 0, TIMEOUT_MS), HANG_ABORT);
}

static void a_turn_that_came_late_forgives_nothing(void **state)
{
	struct life l = at_work();

	(void)state;
	assert_int_equal(pass(&l, TIMEOUT_MS - HANG_UNWATCHED_MS, 0, TIMEOUT_MS), HANG_FINE);
	l.now_ms += HANG_UNWATCHED_MS;
	assert_int_equal(hang_look(&l.hang, l.stamp_ms, l.now_ms, TIMEOUT_MS), HANG_ABORT);
}

/* The stamp is what somebody else wrote: past, future, nonsense. */
static void only_a_change_of_the_stamp_is_a_sign_of_life(void **state)
{
	static const int64_t stamps[] = {1, -1, INT64_MAX, INT64_MIN, BORN_MS * 10};

	(void)state;
	for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
		struct life l = at_work();

		l.stamp_ms = stamps[i];
		assert_int_equal(pass(&l, TIMEOUT_MS, 0, TIMEOUT_MS), HANG_FINE);
		assert_int_equal(pass(&l, TICK_MS, 0, TIMEOUT_MS), HANG_ABORT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_stamps_is_left_alone_for_ever),
		cmocka_unit_test(
			silence_is_aborted_once_then_killed_after_two_seconds_until_it_is_gone),
		cmocka_unit_test(one_that_was_aborted_is_not_saved_by_a_stamp),
		cmocka_unit_test(one_that_never_stamped_has_the_time_of_a_start),
		cmocka_unit_test(no_silence_under_five_seconds_is_judged),
		cmocka_unit_test(what_the_master_did_not_watch_is_forgiven),
		cmocka_unit_test(a_turn_that_came_late_forgives_nothing),
		cmocka_unit_test(only_a_change_of_the_stamp_is_a_sign_of_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
