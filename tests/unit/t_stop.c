/* stop: the phases in which a daemon comes to its end. */
#include "stop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { DRAIN_MS = 300000, NOW = 1000000 };

static struct stop in_phase(enum stop_phase phase)
{
	return (struct stop){.phase = phase, .ends_ms = NOW};
}

static void an_order_begins_its_phase_with_its_time(void **state)
{
	static const struct {
		enum stop_phase wanted;
		int64_t lasts_ms;
	} rows[] = {
		{STOP_DRAIN, DRAIN_MS},
		{STOP_INTERRUPT, STOP_INTERRUPT_MS},
		{STOP_CLOSE, STOP_CLOSE_MS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct stop s = in_phase(STOP_NONE);

		assert_true(stop_order(&s, rows[i].wanted, DRAIN_MS, NOW));
		assert_int_equal(s.phase, rows[i].wanted);
		assert_int_equal(s.ends_ms, NOW + rows[i].lasts_ms);
	}
}

static void no_order_leads_back_or_makes_a_phase_longer(void **state)
{
	(void)state;
	for (int phase = STOP_DRAIN; phase <= STOP_OVER; phase++)
		for (int wanted = STOP_DRAIN; wanted <= phase; wanted++) {
			struct stop s = in_phase((enum stop_phase)phase);

			assert_false(stop_order(&s, (enum stop_phase)wanted, DRAIN_MS, NOW - 5));
			assert_int_equal(s.phase, phase);
			assert_int_equal(s.ends_ms, NOW);
		}
}

/* Every phase, with every combination of who is left, in time and late. */
static void each_phase_moves_along_with_what_is_left_and_what_is_late(void **state)
{
	static const struct {
		enum stop_phase phase;
		int workers;
		bool keeper;
		enum stop_phase in_time, late;
	} rows[] = {
		{STOP_NONE, 0, false, STOP_NONE, STOP_NONE},
		{STOP_NONE, 3, true, STOP_NONE, STOP_NONE},
		{STOP_DRAIN, 3, true, STOP_DRAIN, STOP_INTERRUPT},
		{STOP_DRAIN, 3, false, STOP_DRAIN, STOP_INTERRUPT},
		{STOP_DRAIN, 0, true, STOP_CLOSE, STOP_CLOSE},
		{STOP_DRAIN, 0, false, STOP_OVER, STOP_OVER},
		{STOP_INTERRUPT, 3, true, STOP_INTERRUPT, STOP_KILL},
		{STOP_INTERRUPT, 3, false, STOP_INTERRUPT, STOP_KILL},
		{STOP_INTERRUPT, 0, true, STOP_CLOSE, STOP_CLOSE},
		{STOP_INTERRUPT, 0, false, STOP_OVER, STOP_OVER},
		{STOP_KILL, 1, true, STOP_KILL, STOP_KILL},
		{STOP_KILL, 1, false, STOP_KILL, STOP_KILL},
		{STOP_KILL, 0, true, STOP_CLOSE, STOP_CLOSE},
		{STOP_KILL, 0, false, STOP_OVER, STOP_OVER},
		{STOP_CLOSE, 0, true, STOP_CLOSE, STOP_ABANDON},
		{STOP_CLOSE, 0, false, STOP_OVER, STOP_OVER},
		{STOP_ABANDON, 0, true, STOP_ABANDON, STOP_ABANDON},
		{STOP_ABANDON, 0, false, STOP_OVER, STOP_OVER},
		{STOP_OVER, 0, false, STOP_OVER, STOP_OVER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct stop_seen seen = {rows[i].workers, rows[i].keeper};
		struct stop s = in_phase(rows[i].phase);

		print_message("%s, %d workers%s\n", stop_phase_name(s.phase), seen.workers,
			seen.keeper ? ", keeper" : "");
		assert_int_equal(
			stop_advance(&s, &seen, NOW - 1), rows[i].in_time != rows[i].phase);
		assert_int_equal(s.phase, rows[i].in_time);
		s = in_phase(rows[i].phase);
		(void)stop_advance(&s, &seen, NOW);
		assert_int_equal(s.phase, rows[i].late);
	}
}

static void a_kill_that_did_not_end_somebody_is_sent_again(void **state)
{
	const struct stop_seen seen = {1, true};
	struct stop s = in_phase(STOP_KILL);

	(void)state;
	assert_true(stop_advance(&s, &seen, NOW));
	assert_int_equal(s.phase, STOP_KILL);
	assert_int_equal(s.ends_ms, NOW + STOP_KILL_AGAIN_MS);
	assert_false(stop_advance(&s, &seen, NOW + 1));
}

/* The bound that operators are promised: whatever does not react, drain_timeout + 5 s. */
static void a_stop_in_which_nobody_reacts_to_anything_but_a_kill_is_over_in_time(void **state)
{
	struct stop_seen seen = {8, true};
	struct stop s = {.phase = STOP_NONE};
	int64_t now = NOW;

	(void)state;
	assert_true(stop_order(&s, STOP_DRAIN, DRAIN_MS, now));
	for (; s.phase != STOP_OVER; now += 10) {
		assert_in_range(now - NOW, 0, DRAIN_MS + 5000);
		if (!stop_advance(&s, &seen, now))
			continue;
		if (s.phase == STOP_KILL)
			seen.workers = 0;
		else if (s.phase == STOP_ABANDON)
			seen.keeper = false;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_order_begins_its_phase_with_its_time),
		cmocka_unit_test(no_order_leads_back_or_makes_a_phase_longer),
		cmocka_unit_test(each_phase_moves_along_with_what_is_left_and_what_is_late),
		cmocka_unit_test(a_kill_that_did_not_end_somebody_is_sent_again),
		cmocka_unit_test(
			a_stop_in_which_nobody_reacts_to_anything_but_a_kill_is_over_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
