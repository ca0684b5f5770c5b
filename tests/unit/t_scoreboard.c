/* scoreboard: shared by forked processes, readable whatever happens to a writer. */
#include "scoreboard.h"

#include "json.h"
#include "status.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 8, KILLS = 200 };

static int open_board(void **state)
{
	struct scoreboard *sb;
	struct err err;

	if (scoreboard_new(&sb, LIMIT, 128, &err) != 0)
		return -1;
	*state = sb;
	return 0;
}

static int close_board(void **state)
{
	scoreboard_free(*state);
	return 0;
}

static void a_slot_shows_what_its_process_wrote(void **state)
{
	struct scoreboard *sb = *state;
	struct sb_slot_view v;
	int status;
	const pid_t pid = fork();

	if (pid == 0) {
		scoreboard_claim(sb, 3, 1, 7, "host-3/abc/9/7");
		scoreboard_document(sb, 3, "4711");
		scoreboard_page(sb, 3, 2, 5);
		scoreboard_state(sb, 3, SB_READING);
		scoreboard_count(sb, 3, SB_PAGES_DONE, 2);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(scoreboard_look(sb, 3, &v));
	assert_string_equal(v.token, "host-3/abc/9/7");
	assert_string_equal(v.document, "4711");
	assert_int_equal(v.environment, 1);
	assert_int_equal(v.page, 2);
	assert_int_equal(v.pages, 5);
	assert_int_equal(v.state, SB_READING);
	assert_int_equal(v.counters[SB_PAGES_DONE], 2);
}

/* A writer in a tight loop: "aaaa…" or "bbbb…"; a copy of both would be torn. */
static _Noreturn void write_for_ever(struct scoreboard *sb)
{
	char a[CLAIM_TOKEN_BYTES], b[CLAIM_TOKEN_BYTES];

	memset(a, 'a', sizeof a - 1);
	memset(b, 'b', sizeof b - 1);
	a[sizeof a - 1] = b[sizeof b - 1] = '\0';
	for (;;) {
		scoreboard_claim(sb, 1, 0, 1, a);
		scoreboard_claim(sb, 1, 0, 2, b);
	}
}

static void assert_not_torn(const struct sb_slot_view *v)
{
	for (const char *c = v->token; *c != '\0'; c++)
		assert_int_equal(*c, v->token[0]);
}

static void no_copy_is_torn_and_a_kill_never_blocks_a_reader(void **state)
{
	struct scoreboard *sb = *state;
	struct sb_slot_view v;
	int status, whole = 0;

	for (int i = 0; i < KILLS; i++) {
		const pid_t pid = fork();

		if (pid == 0)
			write_for_ever(sb);
		for (int reads = 0; reads < 50; reads++) {
			whole += scoreboard_look(sb, 1, &v);
			assert_not_torn(&v);
		}
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		(void)scoreboard_look(sb, 1, &v); /* returns, whatever the lock's state */
		scoreboard_bury(sb, 1);
		assert_true(scoreboard_look(sb, 1, &v));
		assert_string_equal(v.token, "");
	}
	assert_true(whole > 0);
}

/* Dies in the middle of a write under the lock: what it copies from cannot be read. */
static void die_writing(
	struct scoreboard *sb, void (*write)(struct scoreboard *sb, void *unreadable))
{
	void *unreadable = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL); /* cmocka would go on with the next test */
		write(sb, unreadable);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	(void)munmap(unreadable, 65536);
}

static void write_claim(struct scoreboard *sb, void *unreadable)
{
	scoreboard_claim(sb, 1, 0, 2, unreadable);
}

static void write_environment(struct scoreboard *sb, void *unreadable)
{
	scoreboard_environment(sb, 0, unreadable);
}

static void a_slot_s_lock_left_odd_holds_up_no_reader_and_is_mended_with_the_burial(void **state)
{
	enum { LOOKS = 10000 };
	struct scoreboard *sb = *state;
	struct sb_slot_view v;

	scoreboard_claim(sb, 1, 0, 1, "whole");
	scoreboard_page(sb, 1, 2, 5);
	die_writing(sb, write_claim);
	for (int i = 0; i < LOOKS; i++) {
		assert_false(scoreboard_look(sb, 1, &v));
		assert_string_equal(v.token, "");
		assert_string_equal(v.document, "");
		assert_int_equal(v.claim, 1);
		assert_int_equal(v.pages, 5);
	}
	scoreboard_mend(sb, 1, &v);
	assert_true(scoreboard_look(sb, 1, &v));
	scoreboard_bury(sb, 1);
	scoreboard_claim(sb, 1, 0, 3, "next");
	assert_true(scoreboard_look(sb, 1, &v));
	assert_string_equal(v.token, "next");
}

static void an_environment_s_lock_left_odd_holds_up_no_reader_until_the_next_keeper_writes(
	void **state)
{
	struct scoreboard *sb = *state;
	struct sb_environment_view v = {.ready = 7, .oldest_ready_ms = -1};

	assert_int_equal(scoreboard_environment_index(sb, "prod", "db"), 0);
	scoreboard_environment(sb, 0, &v);
	die_writing(sb, write_environment);
	scoreboard_environment_get(sb, 0, &v);
	assert_int_equal(v.ready, 0);
	v.ready = 8;
	scoreboard_environment(sb, 0, &v);
	scoreboard_environment_get(sb, 0, &v);
	assert_int_equal(v.ready, 8);
}

static void status_is_whole_with_every_lock_left_odd(void **state)
{
	struct scoreboard *sb = *state;
	char worker_id[] = "test", name[] = "prod", database[] = "db";
	struct set_environment environment = {.name = name, .database = database};
	const struct settings settings = {
		.worker_id = worker_id, .environments = &environment, .environment_count = 1};
	const struct status_facts facts = {.settings = &settings, .reload_error = ""};
	cJSON *made, *read;
	char *text;

	assert_int_equal(scoreboard_environment_index(sb, "prod", "db"), 0);
	scoreboard_post(sb, 1, SB_RUNNING, 4711, 1);
	die_writing(sb, write_claim);
	die_writing(sb, write_environment);
	made = status_json(sb, &facts);
	text = json_print(made);
	read = json_parse(text, strlen(text));
	assert_non_null(read);
	assert_string_equal(json_text(json_get(read, "environments")->child, "name"), "prod");
	assert_int_equal(json_int(json_get(read, "processes")->child, "pid", 0), 4711);
	cJSON_Delete(read);
	cJSON_Delete(made);
	free(text);
}

static void a_pause_wakes_everybody_and_so_does_its_end(void **state)
{
	struct scoreboard *sb = *state;

	assert_int_equal(scoreboard_paused_since(sb), 0);
	for (int i = 0; i < 4; i++) {
		const bool pause = i % 2 == 0;

		scoreboard_pause(sb, pause);
		scoreboard_pause(sb, pause); /* says nothing new */
		assert_int_equal(scoreboard_paused_since(sb) != 0, pause);
		for (int slot = 0; slot <= LIMIT; slot++)
			assert_true(scoreboard_woken(sb, slot));
	}
	scoreboard_pause(sb, false);
	assert_false(scoreboard_woken(sb, 1));
}

static void totals_never_fall_when_a_slot_is_retired(void **state)
{
	struct scoreboard *sb = *state;
	uint64_t before[SB_COUNTERS], after[SB_COUNTERS];

	scoreboard_post(sb, 5, SB_RUNNING, 100, 1);
	scoreboard_count(sb, 5, SB_DOCUMENTS_DONE, 3);
	scoreboard_totals(sb, before);
	scoreboard_retire(sb, 5);
	scoreboard_totals(sb, after);
	assert_int_equal(after[SB_DOCUMENTS_DONE], before[SB_DOCUMENTS_DONE]);
	scoreboard_count(sb, 5, SB_DOCUMENTS_DONE, 1);
	scoreboard_totals(sb, after);
	assert_int_equal(after[SB_DOCUMENTS_DONE], before[SB_DOCUMENTS_DONE] + 1);
}

static void slots_that_never_had_a_process_need_not_be_looked_at(void **state)
{
	struct scoreboard *sb = *state;

	assert_int_equal(scoreboard_used(sb), 0);
	scoreboard_post(sb, SB_KEEPER, SB_RUNNING, 100, 1);
	assert_int_equal(scoreboard_used(sb), 1);
	scoreboard_post(sb, 4, SB_RUNNING, 101, 1);
	scoreboard_post(sb, 2, SB_RUNNING, 102, 1);
	assert_int_equal(scoreboard_used(sb), 5);
	scoreboard_retire(sb, 4);
	assert_int_equal(scoreboard_used(sb), 5);
}

/* A worker of its own process, whose state changes a moment after everybody else's. */
static void sleep_now(struct scoreboard *sb, int slot)
{
	const struct timespec moment = {.tv_nsec = 2000000};

	scoreboard_post(sb, slot, SB_RUNNING, 100 + slot, 1);
	scoreboard_state(sb, slot, SB_CLAIMING);
	(void)nanosleep(&moment, NULL);
	scoreboard_state(sb, slot, SB_IDLE);
}

static void the_next_to_be_woken_is_the_sleeper_that_was_active_last(void **state)
{
	struct scoreboard *sb = *state;

	assert_int_equal(scoreboard_next_sleeper(sb), 0);
	scoreboard_post(sb, SB_KEEPER, SB_RUNNING, 100, 1);
	scoreboard_state(sb, SB_KEEPER, SB_IDLE);
	assert_int_equal(scoreboard_next_sleeper(sb), 0);
	sleep_now(sb, 2);
	sleep_now(sb, 5);
	sleep_now(sb, 3);
	assert_int_equal(scoreboard_next_sleeper(sb), 3);
	scoreboard_state(sb, 3, SB_READING);
	assert_int_equal(scoreboard_next_sleeper(sb), 5);
	scoreboard_post(sb, 5, SB_DRAINING, 105, 1);
	assert_int_equal(scoreboard_next_sleeper(sb), 2);
	sleep_now(sb, 3);
	assert_int_equal(scoreboard_next_sleeper(sb), 3);
}

static void the_mailbox_speaks_of_one_claim_only(void **state)
{
	struct scoreboard *sb = *state;

	assert_false(scoreboard_is_lost(sb, 2, ""));
	scoreboard_claim_lost(sb, 2, "w-2/d1/8/1");
	assert_true(scoreboard_is_lost(sb, 2, "w-2/d1/8/1"));
	assert_false(scoreboard_is_lost(sb, 2, "w-2/d1/8/2"));
	assert_false(scoreboard_is_lost(sb, 2, "w-2/d1/9/1")); /* the first of the next life */
	scoreboard_claim_valid(sb, 2, 42, 123456789);
	assert_int_equal(scoreboard_valid_until(sb, 2, 42), 123456789);
	assert_int_equal(scoreboard_valid_until(sb, 2, 43), 0);
}

/* A claim that goes from one place to the other is at least in one of them at any moment. */
static void a_claim_that_is_kept_stands_beside_the_current_one(void **state)
{
	static const struct sb_kept_view claim = {
		.claim = 7, .environment = 2, .token = "host-3/abc/9/7", .document = "4711"};
	struct scoreboard *sb = *state;
	struct sb_kept_view v;

	assert_false(scoreboard_kept(sb, 3, 0, &v));
	scoreboard_claim(sb, 3, 2, 7, claim.token);
	scoreboard_keep(sb, 3, SB_KEPT - 1, &claim);
	scoreboard_claim(sb, 3, -1, 0, "");
	assert_true(scoreboard_kept(sb, 3, SB_KEPT - 1, &v));
	assert_int_equal(v.claim, 7);
	assert_int_equal(v.environment, 2);
	assert_string_equal(v.token, claim.token);
	assert_string_equal(v.document, claim.document);
	assert_true(scoreboard_keeps(sb, 3, 7));
	assert_false(scoreboard_keeps(sb, 3, 8));
	assert_false(scoreboard_keeps(sb, 3, 0));
	assert_false(scoreboard_keeps(sb, 4, 7));
	scoreboard_kept_valid(sb, 3, SB_KEPT - 1, 7, 123456789);
	assert_int_equal(scoreboard_kept_valid_until(sb, 3, SB_KEPT - 1, 7), 123456789);
	assert_int_equal(scoreboard_kept_valid_until(sb, 3, SB_KEPT - 1, 8), 0);
	scoreboard_unkeep(sb, 3, SB_KEPT - 1);
	assert_false(scoreboard_kept(sb, 3, SB_KEPT - 1, &v));
	scoreboard_keep(sb, 3, 0, &claim);
	scoreboard_bury(sb, 3);
	assert_false(scoreboard_keeps(sb, 3, 7));
}

static void waking_is_seen_once(void **state)
{
	struct scoreboard *sb = *state;

	(void)scoreboard_woken(sb, 4);
	assert_false(scoreboard_woken(sb, 4));
	scoreboard_wake(sb, 4);
	scoreboard_wake(sb, 4);
	assert_true(scoreboard_woken(sb, 4));
	assert_false(scoreboard_woken(sb, 4));
}

static void obituaries_wait_until_they_are_cleared(void **state)
{
	struct scoreboard *sb = *state;
	struct sb_obituary words = {
		.environment = 1, .crashed = true, .prefix = "h-6/d/1/", .reason = "SIGSEGV"};
	struct sb_obituary out;

	for (int i = 0; i < SB_OBITUARIES; i++) {
		assert_true(scoreboard_obituary_room(sb, 6));
		scoreboard_obituary_add(sb, 6, &words);
	}
	assert_false(scoreboard_obituary_room(sb, 6));
	assert_true(scoreboard_obituary_get(sb, 6, 1, &out));
	assert_string_equal(out.prefix, "h-6/d/1/");
	scoreboard_obituary_clear(sb, 6, 1);
	assert_false(scoreboard_obituary_get(sb, 6, 1, &out));
	assert_true(scoreboard_obituary_room(sb, 6));
}

static void an_environment_keeps_its_index(void **state)
{
	struct scoreboard *sb = *state;
	char name[16];

	assert_int_equal(scoreboard_environment_index(sb, "prod", "db"), 0);
	assert_int_equal(scoreboard_environment_index(sb, "dev", "db"), 1);
	assert_int_equal(scoreboard_environment_index(sb, "prod", "db"), 0);
	assert_string_equal(scoreboard_environment_name(sb, 1), "dev");
	assert_null(scoreboard_environment_name(sb, 2));
	/* Another database under the same name is another environment: its claims are not those of the first. */
	assert_int_equal(scoreboard_environment_index(sb, "prod", "another db"), 2);
	for (int i = 3; i < SB_ENVIRONMENTS_MAX; i++) {
		(void)snprintf(name, sizeof name, "e%d", i);
		assert_int_equal(scoreboard_environment_index(sb, name, "db"), i);
	}
	assert_int_equal(scoreboard_environment_index(sb, "one too many", "db"), -1);
}

static void the_last_death_of_a_slot_stays_until_the_slot_is_retired(void **state)
{
	struct scoreboard *sb = *state;
	const struct sb_death death = {
		.at_ms = 1, .pid = 4711, .reason = "SIGSEGV", .document = "456", .page = 3};
	struct sb_death seen;

	assert_false(scoreboard_death_get(sb, 7, &seen));
	scoreboard_death(sb, 7, &death);
	scoreboard_bury(sb, 7);
	assert_true(scoreboard_death_get(sb, 7, &seen));
	assert_string_equal(seen.reason, "SIGSEGV");
	assert_string_equal(seen.document, "456");
	assert_int_equal(seen.pid, 4711);
	scoreboard_retire(sb, 7);
	assert_false(scoreboard_death_get(sb, 7, &seen));
}

static void a_loop_is_there_until_it_is_taken_back(void **state)
{
	struct scoreboard *sb = *state;
	struct sb_loop seen;

	assert_false(scoreboard_loop_get(sb, &seen));
	scoreboard_loop(sb, &(struct sb_loop){.workers = 4, .reason = "SIGSEGV, before ready"});
	assert_true(scoreboard_loop_get(sb, &seen));
	assert_string_equal(seen.reason, "SIGSEGV, before ready");
	scoreboard_loop(sb, &(struct sb_loop){0});
	assert_false(scoreboard_loop_get(sb, &seen));
}

static void last_words_are_forgotten_with_the_burial(void **state)
{
	struct scoreboard *sb = *state;
	struct crash_words words;

	scoreboard_last_words(sb, 8)->signal = SIGSEGV;
	assert_true(crash_read(scoreboard_last_words(sb, 8), &words));
	scoreboard_bury(sb, 8);
	assert_false(crash_read(scoreboard_last_words(sb, 8), &words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_slot_shows_what_its_process_wrote, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			no_copy_is_torn_and_a_kill_never_blocks_a_reader, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			a_slot_s_lock_left_odd_holds_up_no_reader_and_is_mended_with_the_burial,
			open_board, close_board),
		cmocka_unit_test_setup_teardown(
			an_environment_s_lock_left_odd_holds_up_no_reader_until_the_next_keeper_writes,
			open_board, close_board),
		cmocka_unit_test_setup_teardown(
			status_is_whole_with_every_lock_left_odd, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			a_pause_wakes_everybody_and_so_does_its_end, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			totals_never_fall_when_a_slot_is_retired, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			slots_that_never_had_a_process_need_not_be_looked_at, open_board,
			close_board),
		cmocka_unit_test_setup_teardown(
			the_next_to_be_woken_is_the_sleeper_that_was_active_last, open_board,
			close_board),
		cmocka_unit_test_setup_teardown(
			the_mailbox_speaks_of_one_claim_only, open_board, close_board),
		cmocka_unit_test_setup_teardown(waking_is_seen_once, open_board, close_board),
		cmocka_unit_test_setup_teardown(a_claim_that_is_kept_stands_beside_the_current_one,
			open_board, close_board),
		cmocka_unit_test_setup_teardown(
			obituaries_wait_until_they_are_cleared, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			the_last_death_of_a_slot_stays_until_the_slot_is_retired, open_board,
			close_board),
		cmocka_unit_test_setup_teardown(
			a_loop_is_there_until_it_is_taken_back, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			last_words_are_forgotten_with_the_burial, open_board, close_board),
		cmocka_unit_test_setup_teardown(
			an_environment_keeps_its_index, open_board, close_board),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
