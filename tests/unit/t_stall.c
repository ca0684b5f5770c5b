/* stall: which time counts against a document that gets no further. */
#include "stall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { START_MS = 777 };

/* One second a letter: w = at work, q = excused, p = a page is finished, S = an hour in which the process stood still. */
static int64_t after(const char *story)
{
	struct stall s;
	int64_t now_ms = START_MS;
	int64_t spent_ms = 0;

	stall_begin(&s, now_ms);
	for (; *story != '\0'; story++) {
		now_ms += *story == 'S' ? 3600 * 1000 : 1000;
		if (*story == 'p')
			stall_begin(&s, now_ms);
		spent_ms = stall_look(&s, *story == 'q', now_ms);
	}
	return spent_ms;
}

static void only_work_counts_and_a_finished_page_begins_anew(void **state)
{
	static const struct {
		const char *story;
		int64_t spent_ms;
	} cells[] = {
		{"", 0},
		{"w", 1000},
		{"wwww", 4000},
		{"qqqqqqqqqq", 0},
		{"wqqqqw", 2000},
		{"qwqwqwq", 3000},
		{"wwwwp", 0},
		{"wwwwpww", 2000},
		{"pqqqw", 1000},
		{"S", STALL_STEP_MAX_MS},
		{"wSw", 2000 + STALL_STEP_MAX_MS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
		assert_int_equal(after(cells[i].story), cells[i].spent_ms);
}

static void however_often_one_looks_the_sum_is_the_same(void **state)
{
	struct stall often, seldom;

	(void)state;
	stall_begin(&often, START_MS);
	stall_begin(&seldom, START_MS);
	for (int64_t ms = 1; ms <= 10000; ms++)
		(void)stall_look(&often, false, START_MS + ms);
	for (int64_t ms = 2500; ms <= 10000; ms += 2500)
		(void)stall_look(&seldom, false, START_MS + ms);
	assert_int_equal(often.spent_ms, 10000);
	assert_int_equal(seldom.spent_ms, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_work_counts_and_a_finished_page_begins_anew),
		cmocka_unit_test(however_often_one_looks_the_sum_is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
