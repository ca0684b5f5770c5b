/* restart: what follows from a child's end. */
#include "restart.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static const struct set_supervise policy = {
	.restart_backoff_ms = 1000, .restart_backoff_max_ms = 60000};

static int exited(int status)
{
	return status << 8;
}

static struct restart_decision after(int wait_status, int young_deaths, int64_t lived_ms)
{
	const struct restart_end end = {.wait_status = wait_status,
		.was_ready = true,
		.lived_ms = lived_ms,
		.past.young_deaths = young_deaths};

	return restart_decide(&end, &policy);
}

static void the_first_restart_comes_at_once(void **state)
{
	(void)state;
	assert_int_equal(after(SIGSEGV, 0, 100).delay_ms, 0);
}

static void each_young_death_doubles_the_wait_up_to_the_cap(void **state)
{
	static const int64_t waits[] = {0, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	int young = 0;

	(void)state;
	for (size_t i = 0; i < LENGTH(waits); i++) {
		const struct restart_decision d = after(SIGABRT, young, 100);

		assert_int_equal(d.delay_ms, waits[i]);
		young = d.past.young_deaths;
	}
}

static void one_that_stayed_up_starts_afresh(void **state)
{
	(void)state;
	assert_int_equal(after(SIGSEGV, 7, RESTART_HEALTHY_MS).delay_ms, 0);
	assert_int_equal(after(SIGSEGV, 7, RESTART_HEALTHY_MS).past.young_deaths, 1);
}

static void one_that_keeps_dying_is_throttled_with_its_reason(void **state)
{
	const struct restart_decision d = after(SIGSEGV, RESTART_THROTTLED_AFTER - 1, 100);

	(void)state;
	assert_true(d.throttled);
	assert_string_equal(d.reason, "SIGSEGV");
	assert_false(after(SIGSEGV, 0, 100).throttled);
}

static void a_death_before_ready_says_so(void **state)
{
	const struct restart_end end = {.wait_status = 70 << 8};

	(void)state;
	assert_string_equal(restart_decide(&end, &policy).reason, "exit status 70, before ready");
}

static void a_configuration_fault_is_held_until_a_reload(void **state)
{
	(void)state;
	assert_true(after(exited(EX_CONFIG), 0, 100).hold);
	assert_false(after(exited(EX_SOFTWARE), 0, 100).hold);
}

/* An end with status 0: who asked for it, and how long it had been there, decide. */
static void an_end_that_nobody_asked_for_is_a_death_unless_it_comes_late(void **state)
{
	static const struct {
		bool told, ready;
		int64_t lived_ms;
		int young; /* after five */
		const char *reason;
	} cells[] = {
		{true, true, 100, 0, ""},
		{true, false, 0, 0, ""},
		{false, true, RESTART_HEALTHY_MS, 0, ""},
		{false, true, 100, 6, "exit status 0, which nobody asked for"},
		{false, false, 0, 6, "exit status 0, which nobody asked for, before ready"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cells); i++) {
		const struct restart_end end = {.told_to_end = cells[i].told,
			.was_ready = cells[i].ready,
			.lived_ms = cells[i].lived_ms,
			.past.young_deaths = 5};
		const struct restart_decision d = restart_decide(&end, &policy);

		assert_int_equal(d.past.young_deaths, cells[i].young);
		assert_string_equal(d.reason, cells[i].reason);
		assert_int_equal(d.delay_ms, cells[i].young == 0 ? 0 : 16000);
		assert_false(d.crashed);
	}
}

static void the_time_in_which_one_hung_is_no_health(void **state)
{
	const struct restart_end end = {.wait_status = SIGABRT,
		.was_ready = true,
		.lived_ms = RESTART_HEALTHY_MS - 1,
		.hung_ms = 30000,
		.past.young_deaths = 2};
	const struct restart_decision d = restart_decide(&end, &policy);

	(void)state;
	assert_int_equal(d.past.young_deaths, 3);
	assert_true(d.throttled);
	assert_string_equal(d.reason, "hung: no sign of life for 30 s");
}

/* Whichever of our signals it died of in the end. */
static void a_hang_is_a_crash(void **state)
{
	const struct restart_end aborted = {.wait_status = SIGABRT, .hung_ms = 30999};
	const struct restart_end killed = {
		.wait_status = SIGKILL, .hung_ms = 60000, .told_to_end = true};

	(void)state;
	assert_true(restart_decide(&aborted, &policy).crashed);
	assert_true(restart_decide(&killed, &policy).crashed);
	assert_string_equal(restart_decide(&killed, &policy).reason,
		"hung: no sign of life for 60 s, before ready");
}

static void one_that_never_was_ready_does_not_get_healthy_by_waiting(void **state)
{
	const struct restart_end end = {.wait_status = SIGKILL,
		.lived_ms = 2 * RESTART_HEALTHY_MS,
		.past = {.young_deaths = 4, .unready_deaths = 1}};

	(void)state;
	assert_int_equal(restart_decide(&end, &policy).past.young_deaths, 5);
	assert_int_equal(restart_decide(&end, &policy).past.unready_deaths, 2);
}

static void one_that_did_not_stop_in_time_is_no_crash(void **state)
{
	const struct restart_end end = {
		.wait_status = SIGKILL, .told_to_end = true, .was_ready = true};

	(void)state;
	assert_false(restart_decide(&end, &policy).crashed);
	assert_string_equal(restart_decide(&end, &policy).reason, "SIGKILL, did not stop in time");
}

static void whose_fault_it_was(void **state)
{
	static const struct {
		int wait_status;
		bool crashed;
	} cells[] = {
		{SIGSEGV, true},
		{SIGABRT, true},
		{SIGBUS, true},
		{SIGKILL, false}, /* a person, or the kernel short of memory */
		{SIGTERM, false},
		{EX_SOFTWARE << 8, true},
		{EX_CONFIG << 8, false},
		{0, false},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cells); i++) {
		const struct restart_end end = {.wait_status = cells[i].wait_status};

		assert_int_equal(restart_decide(&end, &policy).crashed, cells[i].crashed);
	}
}

/* ---- everybody at once */

static enum restart_word judge(enum restart_loop *loop, int wanted, int ready, int failing)
{
	const struct restart_crowd crowd = {wanted, ready, failing};

	return restart_judge(loop, &crowd);
}

static void a_loop_is_told_once_and_once_that_it_is_over(void **state)
{
	enum restart_loop loop = RESTART_LOOP_NONE;

	(void)state;
	assert_int_equal(judge(&loop, 4, 0, 3), RESTART_SAY_NOTHING);
	assert_int_equal(judge(&loop, 4, 0, 4), RESTART_SAY_LOOP);
	assert_int_equal(judge(&loop, 4, 0, 4), RESTART_SAY_NOTHING);
	assert_int_equal(judge(&loop, 4, 0, 3), RESTART_SAY_NOTHING); /* one is being tried */
	assert_int_equal(loop, RESTART_LOOP_ON);
	assert_int_equal(judge(&loop, 4, 1, 3), RESTART_SAY_OVER);
	assert_int_equal(judge(&loop, 4, 1, 3), RESTART_SAY_NOTHING);
	assert_int_equal(loop, RESTART_LOOP_NONE);
}

static void as_long_as_one_is_ready_the_others_are_no_loop(void **state)
{
	enum restart_loop loop = RESTART_LOOP_NONE;

	(void)state;
	assert_int_equal(judge(&loop, 4, 1, 4), RESTART_SAY_NOTHING);
	assert_int_equal(loop, RESTART_LOOP_NONE);
}

static void where_no_worker_is_wanted_none_fails(void **state)
{
	enum restart_loop loop = RESTART_LOOP_NONE;

	(void)state;
	assert_int_equal(judge(&loop, 0, 0, 0), RESTART_SAY_NOTHING);
	assert_int_equal(loop, RESTART_LOOP_NONE);
	loop = RESTART_LOOP_ON;
	assert_int_equal(judge(&loop, 0, 0, 0), RESTART_SAY_NOTHING);
	assert_int_equal(loop, RESTART_LOOP_NONE);
}

static void what_a_reload_did_not_mend_is_told_again_and_what_it_did_too(void **state)
{
	enum restart_loop loop = RESTART_LOOP_FORGIVEN;

	(void)state;
	assert_int_equal(judge(&loop, 2, 0, 1), RESTART_SAY_NOTHING);
	assert_int_equal(loop, RESTART_LOOP_FORGIVEN);
	assert_int_equal(judge(&loop, 2, 0, 2), RESTART_SAY_LOOP);
	loop = RESTART_LOOP_FORGIVEN;
	assert_int_equal(judge(&loop, 2, 1, 1), RESTART_SAY_OVER);
}

static void a_reload_lets_everybody_try_at_once_but_once(void **state)
{
	const struct restart_past many = {9, 9};
	const struct restart_past none = {0, 0};
	const struct restart_past left = restart_forgive(&many);

	(void)state;
	assert_int_equal(left.unready_deaths, 0);
	assert_int_equal(after(SIGSEGV, left.young_deaths, 0).delay_ms, policy.restart_backoff_ms);
	assert_int_equal(restart_forgive(&none).young_deaths, 0);
}

/* ---- the schedule in the manual, played on a clock of our own */

enum { CROWD = 500, MINUTE_MS = 60 * 1000, TICK_MS = 100, MINUTES = 30 };

struct birth {
	int64_t due_ms;
	struct restart_past past;
	int forks; /* in this minute */
};

/* Every child ends as soon as it is born, and before it is ready; only the first is tried while all do. */
static int play_minute(struct birth *slots, int count, enum restart_loop *loop, int64_t from_ms)
{
	int most = 0;

	for (int i = 0; i < count; i++)
		slots[i].forks = 0;
	for (int64_t now = from_ms; now < from_ms + MINUTE_MS; now += TICK_MS) {
		struct restart_crowd crowd = {.wanted = count};

		for (int i = 0; i < (*loop == RESTART_LOOP_ON ? 1 : count); i++) {
			const struct restart_end end = {
				.wait_status = SIGSEGV, .past = slots[i].past};
			struct restart_decision d;

			if (slots[i].due_ms > now)
				continue;
			d = restart_decide(&end, &policy);
			slots[i].past = d.past;
			slots[i].due_ms = now + d.delay_ms;
			most = ++slots[i].forks > most ? slots[i].forks : most;
		}
		for (int i = 0; i < count; i++)
			crowd.failing += slots[i].past.unready_deaths >= RESTART_UNREADY_MAX;
		(void)restart_judge(loop, &crowd);
	}
	return most;
}

static int forks_of_all(const struct birth *slots, int count)
{
	int forks = 0;

	for (int i = 0; i < count; i++)
		forks += slots[i].forks;
	return forks;
}

static void one_that_dies_at_birth_is_born_seven_times_in_its_first_minute_then_once_a_minute(
	void **state)
{
	struct birth slot = {0};
	enum restart_loop loop = RESTART_LOOP_NONE;

	(void)state;
	assert_int_equal(play_minute(&slot, 1, &loop, 0), 7); /* at 0, 0, 1, 3, 7, 15, 31 s */
	for (int minute = 1; minute < MINUTES; minute++)
		assert_in_range(play_minute(&slot, 1, &loop, minute * MINUTE_MS), 0, 1);
}

static void a_crowd_that_dies_at_birth_costs_no_more_than_two_births_each_and_those_of_one(
	void **state)
{
	static struct birth slots[CROWD];
	enum restart_loop loop = RESTART_LOOP_NONE;

	(void)state;
	assert_in_range(play_minute(slots, CROWD, &loop, 0), 1, 10);
	assert_in_range(forks_of_all(slots, CROWD), CROWD, 2 * CROWD + 8);
	for (int minute = 1; minute < MINUTES; minute++) {
		(void)play_minute(slots, CROWD, &loop, minute * MINUTE_MS);
		assert_in_range(forks_of_all(slots, CROWD), 0, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_restart_comes_at_once),
		cmocka_unit_test(each_young_death_doubles_the_wait_up_to_the_cap),
		cmocka_unit_test(one_that_stayed_up_starts_afresh),
		cmocka_unit_test(one_that_keeps_dying_is_throttled_with_its_reason),
		cmocka_unit_test(a_death_before_ready_says_so),
		cmocka_unit_test(a_configuration_fault_is_held_until_a_reload),
		cmocka_unit_test(an_end_that_nobody_asked_for_is_a_death_unless_it_comes_late),
		cmocka_unit_test(the_time_in_which_one_hung_is_no_health),
		cmocka_unit_test(a_hang_is_a_crash),
		cmocka_unit_test(one_that_never_was_ready_does_not_get_healthy_by_waiting),
		cmocka_unit_test(one_that_did_not_stop_in_time_is_no_crash),
		cmocka_unit_test(whose_fault_it_was),
		cmocka_unit_test(a_loop_is_told_once_and_once_that_it_is_over),
		cmocka_unit_test(as_long_as_one_is_ready_the_others_are_no_loop),
		cmocka_unit_test(where_no_worker_is_wanted_none_fails),
		cmocka_unit_test(what_a_reload_did_not_mend_is_told_again_and_what_it_did_too),
		cmocka_unit_test(a_reload_lets_everybody_try_at_once_but_once),
		cmocka_unit_test(
			one_that_dies_at_birth_is_born_seven_times_in_its_first_minute_then_once_a_minute),
		cmocka_unit_test(
			a_crowd_that_dies_at_birth_costs_no_more_than_two_births_each_and_those_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
