/* status_line: what a scoreboard says in one line. */
#include "status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LIMIT = 8, LINE = 1024, NAMES = 64, MANY = SB_ENVIRONMENTS_MAX - 2 };

static char prod[] = "prod", staging[] = "staging";
static char prod_database[] = "postgresql://prod", staging_database[] = "postgresql://staging";
static struct set_environment environments[] = {
	{.name = prod, .database = prod_database},
	{.name = staging, .database = staging_database},
};

static int open_board(void **state)
{
	struct scoreboard *sb;
	struct err err;

	if (scoreboard_new(&sb, LIMIT, 128, &err) != 0)
		return -1;
	for (int i = 0; i < 2; i++)
		(void)scoreboard_environment_index(
			sb, environments[i].name, environments[i].database);
	*state = sb;
	return 0;
}

static int close_board(void **state)
{
	scoreboard_free(*state);
	return 0;
}

static void assert_line(struct scoreboard *sb, const char *reload_error, const char *phase,
	int64_t now_ms, const char *wanted)
{
	const struct settings settings = {.environments = environments, .environment_count = 2};
	const struct status_facts facts = {
		.settings = &settings, .reload_error = reload_error, .stop_phase = phase};
	char text[LINE];

	status_line(sb, &facts, now_ms, text, sizeof text);
	assert_string_equal(text, wanted);
}

static void set_environment(struct scoreboard *sb, int index, enum sb_reach reach, int64_t ready,
	int64_t oldest_ms, int64_t looked_ms)
{
	scoreboard_environment(sb, index,
		&(struct sb_environment_view){.reach = reach,
			.ready = ready,
			.oldest_ready_ms = oldest_ms,
			.looked_ms = looked_ms});
}

static void a_pool_that_works(void **state)
{
	struct scoreboard *sb = *state;

	for (int i = 0; i <= 4; i++)
		scoreboard_post(sb, i, i == 4 ? SB_THROTTLED : SB_RUNNING, 100 + i, i);
	scoreboard_claim(sb, 1, 0, 1, "test-1/d/1/1");
	scoreboard_claim(sb, 2, 0, 1, "test-2/d/2/1");
	set_environment(sb, 0, SB_UP, 12, 40000, 5000);
	set_environment(sb, 1, SB_DOWN, 0, -1, 5000);
	assert_line(sb, "", NULL, 6000,
		"4 workers, 2 busy, 1 throttled; prod 12 ready, oldest 41 s; staging down");
}

static void workers_that_are_wanted_count_before_they_are_started(void **state)
{
	const struct settings settings = {0};
	const struct status_facts facts = {
		.settings = &settings, .reload_error = "", .pool_wanted = 4};
	struct scoreboard *sb = *state;
	char text[LINE];

	status_line(sb, &facts, 0, text, sizeof text);
	assert_string_equal(text, "4 workers");
	for (int i = 1; i <= 5; i++)
		scoreboard_post(sb, i, SB_RUNNING, 100 + i, i);
	status_line(sb, &facts, 0, text, sizeof text);
	assert_string_equal(text, "5 workers");
}

static void every_post_and_fault_has_its_word(void **state)
{
	struct scoreboard *sb = *state;

	scoreboard_post(sb, SB_KEEPER, SB_THROTTLED, 0, 1);
	scoreboard_post(sb, 1, SB_WAITING, 0, 2);
	scoreboard_post(sb, 2, SB_HELD, 0, 3);
	scoreboard_post(sb, 3, SB_RUNNING, 30, 4);
	scoreboard_state(sb, 3, SB_PAUSED);
	scoreboard_redis(sb, SB_REDIS_DOWN);
	set_environment(sb, 1, SB_NO_MIGRATION, 0, -1, 5000);
	assert_line(sb, "", NULL, 6000,
		"3 workers, 1 paused, 1 restarting, 1 held by a configuration fault; keeper "
		"throttled; Redis down; prod not asked yet; "
		"staging not migrated");
}

static void what_keeps_the_pool_from_working_is_named(void **state)
{
	struct scoreboard *sb = *state;

	scoreboard_post(sb, 1, SB_WAITING, 0, 1);
	scoreboard_pause(sb, true);
	scoreboard_loop(
		sb, &(struct sb_loop){.workers = 1, .since_ms = 1, .reason = "exit status 70"});
	assert_line(sb, "", NULL, 0,
		"1 worker, 1 restarting; claiming is paused; no worker becomes ready: exit status "
		"70; prod not asked yet; staging not asked yet");
}

static void ages_and_counts_are_no_finer_than_needed(void **state)
{
	static const struct {
		int64_t ready, oldest_ms;
		const char *words;
	} rows[] = {
		{0, -1, "0 ready"},
		{1, 0, "1 ready, oldest 0 s"},
		{1, 119999, "1 ready, oldest 119 s"},
		{1, 120000, "1 ready, oldest 2 min"},
		{100000, INT64_C(7199999), "100000 ready, oldest 119 min"},
		{100001, INT64_C(7200000), "100000+ ready, oldest 2 h"},
		{3, INT64_C(172799999), "3 ready, oldest 47 h"},
		{3, INT64_C(172800000), "3 ready, oldest 2 d"},
		{3, -1, "3 ready"},
	};
	struct scoreboard *sb = *state;
	char wanted[LINE];

	scoreboard_post(sb, 1, SB_RUNNING, 10, 1);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		set_environment(sb, 0, SB_UP, rows[i].ready, rows[i].oldest_ms, 5000);
		(void)snprintf(wanted, sizeof wanted, "1 worker; prod %s; staging not asked yet",
			rows[i].words);
		assert_line(sb, "", NULL, 5000, wanted);
	}
}

static void a_stop_says_what_it_waits_for(void **state)
{
	struct scoreboard *sb = *state;

	for (int i = 0; i <= 3; i++)
		scoreboard_post(sb, i, SB_DRAINING, 100 + i, i);
	assert_line(sb, "", "drain", 0, "draining: waiting for 3 workers");
	scoreboard_claim(sb, 2, 0, 1, "test-2/d/2/1");
	assert_line(sb, "", "drain", 0, "draining: waiting for 3 workers, oldest document 0 s");
	scoreboard_retire(sb, 1);
	scoreboard_retire(sb, 2);
	assert_line(sb, "", "interrupt", 0, "stopping: waiting for 1 worker");
	scoreboard_retire(sb, 3);
	assert_line(sb, "", "close", 0, "stopping: waiting for the keeper");
}

static void a_refused_reload_stands_in_front(void **state)
{
	struct scoreboard *sb = *state;

	assert_line(sb, "/etc/indexocr.conf:12: queue.lease = \"x\" is no number", NULL, 0,
		"reload refused: /etc/indexocr.conf:12: queue.lease = \"x\" is no number; 0 "
		"workers; prod not asked yet; staging not asked yet");
}

static void what_has_no_room_is_left_out_as_a_whole(void **state)
{
	static struct set_environment many[MANY];
	static char names[MANY][NAMES];
	static const char last[] = " not asked yet";
	const struct settings settings = {.environments = many, .environment_count = MANY};
	const struct status_facts facts = {.settings = &settings, .reload_error = ""};
	struct scoreboard *sb = *state;
	char text[LINE];

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(names[i], NAMES, "environment-%02d-%030d", i, i);
		many[i] = (struct set_environment){.name = names[i], .database = prod_database};
	}
	status_line(sb, &facts, 0, text, sizeof text);
	assert_true(strlen(text) > LINE - NAMES - sizeof last);
	assert_string_equal(text + strlen(text) - (sizeof last - 1), last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pool_that_works, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			workers_that_are_wanted_count_before_they_are_started, open_board,
			close_board),
		cmocka_unit_test_setup_teardown(
			every_post_and_fault_has_its_word, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			what_keeps_the_pool_from_working_is_named, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			ages_and_counts_are_no_finer_than_needed, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			a_stop_says_what_it_waits_for, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			a_refused_reload_stands_in_front, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			what_has_no_room_is_left_out_as_a_whole, open_board, close_board),
	};

	return cmocka_run_group_tests_name("status_line", tests, NULL, NULL);
}
