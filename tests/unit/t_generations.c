/* generations: the configuration in force, the one before it, and the one that waits. */
#include "generations.h"

#include "conf.h"
#include "log.h"
#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct scoreboard *board;

/* Without a file everything stands at its default; workers tells one from the other. */
static struct settings *settings_with(int workers)
{
	const struct conf_overrides overrides = {
		.workers = workers, .engine = "tesseract", .no_queue = true};
	struct settings *settings;
	struct err err;

	assert_int_equal(conf_load(&settings, NULL, &overrides, &err), 0);
	return settings;
}

static int set_up(void **state)
{
	static const struct set_log quiet = {.level = LEVEL_ERROR, .to_stderr = LOG_STDERR_NONE};
	static struct generations g;
	struct err err;

	if (log_open(&quiet, "test", NULL, &err) != 0 || scoreboard_new(&board, 2, 64, &err) != 0)
		return -1;
	g = (struct generations){.current = settings_with(1), .number = 1};
	*state = &g;
	return generations_register(&g, board, &err);
}

static int tear_down(void **state)
{
	generations_fini(*state);
	scoreboard_free(board);
	return 0;
}

static enum reload_outcome offer_bad(struct generations *g, const char *text)
{
	struct err err;

	(void)err_set(&err, ERR_CONFIG, "config", "%s", text);
	return generations_offer(g, NULL, &err);
}

static enum reload_outcome offer(struct generations *g, int workers)
{
	return generations_offer(g, settings_with(workers), NULL);
}

static void a_bad_file_changes_nothing_and_leaves_its_error(void **state)
{
	struct generations *g = *state;

	assert_int_equal(offer_bad(g, "a.conf:3: no"), RELOAD_REFUSED);
	assert_string_equal(g->error, "a.conf:3: no");
	assert_int_equal(g->current->workers, 1);
	assert_int_equal(g->number, 1);
	assert_false(generations_due(g));
}

static void a_good_one_is_taken_over_and_the_one_before_retires(void **state)
{
	struct generations *g = *state;

	assert_int_equal(offer_bad(g, "a.conf:3: no"), RELOAD_REFUSED);
	assert_int_equal(offer(g, 2), RELOAD_READY);
	assert_string_equal(g->error, "");
	generations_take(g);
	assert_int_equal(g->current->workers, 2);
	assert_int_equal(g->retiring->workers, 1);
	assert_int_equal(g->number, 2);
	generations_retired(g);
	assert_null(g->retiring);
}

static void while_one_retires_the_last_good_one_waits_whatever_bad_ones_come(void **state)
{
	struct generations *g = *state;

	(void)offer(g, 2);
	generations_take(g);
	assert_int_equal(offer(g, 3), RELOAD_WAITS);
	assert_int_equal(offer(g, 4), RELOAD_WAITS);
	assert_int_equal(offer_bad(g, "a.conf:9: no"), RELOAD_REFUSED);
	assert_false(generations_due(g));
	assert_int_equal(g->number, 2);
	generations_retired(g);
	assert_true(generations_due(g));
	generations_take(g);
	assert_int_equal(g->current->workers, 4);
	assert_int_equal(g->number, 3);
}

static void what_the_system_refuses_is_given_up(void **state)
{
	struct generations *g = *state;
	struct err err;

	(void)offer(g, 2);
	(void)err_set(&err, ERR_SYSTEM, "socket", "cannot listen");
	generations_refuse(g, &err);
	assert_null(g->pending);
	assert_string_equal(g->error, "cannot listen");
	assert_int_equal(g->current->workers, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(a_bad_file_changes_nothing_and_leaves_its_error),
		TEST(a_good_one_is_taken_over_and_the_one_before_retires),
		TEST(while_one_retires_the_last_good_one_waits_whatever_bad_ones_come),
		TEST(what_the_system_refuses_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
