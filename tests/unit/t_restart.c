/* restart: what follows from a child's end. */
#include "restart.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

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
		.young_deaths = young_deaths};

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
	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
		const struct restart_decision d = after(SIGABRT, young, 100);

		assert_int_equal(d.delay_ms, waits[i]);
		young = d.young_deaths;
	}
}

static void one_that_stayed_up_starts_afresh(void **state)
{
	(void)state;
	assert_int_equal(after(SIGSEGV, 7, RESTART_HEALTHY_MS).delay_ms, 0);
	assert_int_equal(after(SIGSEGV, 7, RESTART_HEALTHY_MS).young_deaths, 1);
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

static void a_clean_end_is_no_death(void **state)
{
	const struct restart_decision d = after(exited(0), 5, 100);

	(void)state;
	assert_int_equal(d.young_deaths, 0);
	assert_int_equal(d.delay_ms, 0);
	assert_string_equal(d.reason, "");
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
	for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
		const struct restart_end end = {.wait_status = cells[i].wait_status};

		assert_int_equal(restart_decide(&end, &policy).crashed, cells[i].crashed);
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
		cmocka_unit_test(a_clean_end_is_no_death),
		cmocka_unit_test(one_that_did_not_stop_in_time_is_no_crash),
		cmocka_unit_test(whose_fault_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
