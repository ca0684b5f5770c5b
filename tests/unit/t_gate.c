/* gate: who tries a service that failed, and when */
#include "gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { TRY_MS = 60000 };

static void an_open_gate_lets_everybody_pass(void **state)
{
	struct gate g = {0};

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(gate_pass(&g, 1000, TRY_MS), 0);
	assert_int_equal(gate_failures(&g), 0);
	assert_int_equal(gate_shut_ms(&g, 1000), 0);
}

static void a_failure_shuts_it_and_then_one_at_a_time_tries(void **state)
{
	struct gate g = {0};

	(void)state;
	assert_true(gate_fail(&g, gate_pass(&g, 1000, TRY_MS), 3000));
	assert_int_equal(gate_pass(&g, 2999, TRY_MS), -1);
	assert_int_equal(gate_shut_ms(&g, 2999), 1);
	assert_int_equal(gate_pass(&g, 3000, TRY_MS), 1);
	assert_int_equal(gate_pass(&g, 3000, TRY_MS), -1);
	assert_true(gate_fail(&g, 1, 9000));
	assert_int_equal(gate_failures(&g), 2);
	assert_int_equal(gate_pass(&g, 8999, TRY_MS), -1);
	assert_int_equal(gate_pass(&g, 9000, TRY_MS), 2);
}

static void those_who_passed_together_count_as_one_failure(void **state)
{
	struct gate g = {0};

	(void)state;
	assert_true(gate_fail(&g, 0, 3000));
	assert_false(gate_fail(&g, 0, 5000));
	assert_int_equal(gate_failures(&g), 1);
	assert_int_equal(gate_shut_ms(&g, 1000), 2000);
}

static void a_success_opens_it_for_all(void **state)
{
	struct gate g = {0};

	(void)state;
	assert_true(gate_fail(&g, 0, 3000));
	gate_open(&g);
	assert_int_equal(gate_pass(&g, 1000, TRY_MS), 0);
	assert_int_equal(gate_pass(&g, 1000, TRY_MS), 0);
	assert_int_equal(gate_shut_ms(&g, 1000), 0);
}

static void who_does_not_try_leaves_the_turn_to_the_next(void **state)
{
	struct gate g = {0};

	(void)state;
	assert_true(gate_fail(&g, 0, 3000));
	assert_int_equal(gate_pass(&g, 3000, TRY_MS), 1);
	gate_unused(&g, 1, 3001);
	assert_int_equal(gate_pass(&g, 3001, TRY_MS), 1);
	gate_unused(&g, 0, 3002); /* passed while it was open */
	assert_int_equal(gate_pass(&g, 3002, TRY_MS), -1);
}

static void the_turn_of_one_that_died_is_taken_after_a_while(void **state)
{
	struct gate g = {0};

	(void)state;
	assert_true(gate_fail(&g, 0, 3000));
	assert_int_equal(gate_pass(&g, 3000, TRY_MS), 1);
	assert_int_equal(gate_pass(&g, 3000 + TRY_MS - 1, TRY_MS), -1);
	assert_int_equal(gate_pass(&g, 3000 + TRY_MS, TRY_MS), 1);
}

/* Eight processes, each of a thousand turns: one and only one of them passes in each. */
static void of_many_processes_one_passes(void **state)
{
	struct shared {
		struct gate gate;
		_Atomic int passed[1000];
		_Atomic int there;
	} *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(s != MAP_FAILED);
	assert_true(gate_fail(&s->gate, 0, 0));
	for (int child = 0; child < 8; child++) {
		if (fork() != 0)
			continue;
		for (int turn = 0; turn < 1000; turn++)
			if (gate_pass(&s->gate, (int64_t)turn * TRY_MS, TRY_MS) == 1)
				atomic_fetch_add(&s->passed[turn], 1);
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	for (int turn = 0; turn < 1000; turn++)
		assert_in_range(s->passed[turn], 0, 1);
	assert_int_equal(s->passed[0], 1);
	(void)munmap(s, sizeof *s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_gate_lets_everybody_pass),
		cmocka_unit_test(a_failure_shuts_it_and_then_one_at_a_time_tries),
		cmocka_unit_test(those_who_passed_together_count_as_one_failure),
		cmocka_unit_test(a_success_opens_it_for_all),
		cmocka_unit_test(who_does_not_try_leaves_the_turn_to_the_next),
		cmocka_unit_test(the_turn_of_one_that_died_is_taken_after_a_while),
		cmocka_unit_test(of_many_processes_one_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
