/* worker_source: is an environment worth asking? */
#include "worker_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void an_environment_is_asked_where_it_may_have_something(void **state)
{
	static const struct {
		const char *what;
		enum sb_reach reach;
		bool hears;
		int64_t answer_ms;
		uint64_t news, stale_news, empty_news;
		bool asked;
	} cells[] = {
		{"nobody has looked yet", SB_UNKNOWN, false, 0, 0, 0, 0, false},
		{"it is down", SB_DOWN, true, 1, 7, 0, 0, false},
		{"it is not migrated", SB_NO_MIGRATION, false, 1, 7, 0, 0, false},
		{"nothing has happened there", SB_UP, true, 1, 0, 0, 0, false},
		{"something has", SB_UP, true, 1, 1, 0, 0, true},
		{"this worker found nothing since", SB_UP, true, 1, 4, 1, 4, false},
		{"the keeper found nothing since", SB_UP, true, 1, 4, 4, 1, false},
		{"something has happened after that", SB_UP, true, 1, 5, 4, 4, true},
		{"only polling tells", SB_UP, false, 1, 4, 4, 4, true},
		{"only polling tells, and it is slow", SB_UP, false, SOURCE_SLOW_MS, 4, 4, 4,
			false},
		{"it is slow, and polling has told", SB_UP, false, SOURCE_SLOW_MS, 5, 4, 4, true},
		{"it is slow, and something has happened", SB_UP, true, 9999, 5, 4, 4, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
		const struct sb_environment_view told = {
			.reach = cells[i].reach,
			.hears = cells[i].hears,
			.answer_ms = cells[i].answer_ms,
			.news = cells[i].news,
			.stale_news = cells[i].stale_news,
		};

		if (source_has_news(&told, cells[i].empty_news) != cells[i].asked)
			fail_msg("%s", cells[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_environment_is_asked_where_it_may_have_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
