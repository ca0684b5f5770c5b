/* lifeline: a child without a master finishes within a bound, and never spins for ever. */
#include "lifeline.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void the_bound_is_a_drain_and_a_minute_at_most(void **state)
{
	static const struct {
		int64_t drain_ms, extra_ms, bound_ms;
	} table[] = {
		{0, 0, 0}, /* given back at once */
		{2000, 0, 2000},
		{60000, 0, 60000},
		{300000, 0, 60000},
		{2000, 15000, 17000}, /* the keeper, behind the workers */
		{300000, 15000, 75000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const struct set_supervise s = {.drain_timeout_ms = table[i].drain_ms};

		assert_int_equal(
			lifeline_limits(&s, table[i].extra_ms).bound_ms, table[i].bound_ms);
	}
}

/* The master sees more, and says why: its own limit always comes first. */
static void spinning_is_ended_behind_the_master_s_own_limit(void **state)
{
	(void)state;
	for (int64_t hang_ms = 1000; hang_ms <= 3600000; hang_ms *= 2) {
		const struct set_supervise s = {.hang_timeout_ms = hang_ms};

		assert_true(lifeline_limits(&s, 0).spin_ms >= hang_ms + 10000);
	}
}

static void the_cut_is_told_once_and_then_watched_no_more(void **state)
{
	const struct lifeline_limits limits = {.bound_ms = 3600000, .spin_ms = 3600000};
	struct lifeline l;
	struct pollfd fd;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	lifeline_init(&l, ends[0], limits);
	assert_false(lifeline_is_cut_now(&l));
	assert_false(lifeline_is_cut(&l));
	assert_int_equal(lifeline_poll_fd(&l, &fd), 1);
	assert_int_equal(fd.fd, ends[0]);
	(void)close(ends[1]);
	assert_true(lifeline_is_cut_now(&l));
	assert_false(lifeline_is_cut_now(&l));
	assert_true(lifeline_is_cut(&l));
	assert_int_equal(lifeline_poll_fd(&l, &fd), 0);
	assert_false(lifeline_is_over(&l));
	l.limits.bound_ms = -1;
	assert_true(lifeline_is_over(&l));
	(void)close(ends[0]);
}

static void a_child_that_spins_without_a_look_is_killed(void **state)
{
	const struct lifeline_limits limits = {.bound_ms = 3600000, .spin_ms = 0};
	int status;
	const pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct lifeline l;

		lifeline_init(&l, STDIN_FILENO, limits);
		for (volatile unsigned long n = 0;; n++)
			;
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bound_is_a_drain_and_a_minute_at_most),
		cmocka_unit_test(spinning_is_ended_behind_the_master_s_own_limit),
		cmocka_unit_test(the_cut_is_told_once_and_then_watched_no_more),
		cmocka_unit_test(a_child_that_spins_without_a_look_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
