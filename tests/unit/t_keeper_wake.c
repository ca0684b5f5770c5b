/* keeper_wake: one sleeper for an event, the next for each claim made. */
#include "keeper_wake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { WORKERS = 5 };

struct host {
	struct scoreboard *board;
	struct waking waking;
};

static int open_host(void **state)
{
	static struct host host;
	struct err err;

	host = (struct host){0};
	if (scoreboard_new(&host.board, WORKERS, 0, &err) != 0)
		return -1;
	scoreboard_post(host.board, SB_KEEPER, SB_RUNNING, 100, 1);
	for (int slot = 1; slot <= WORKERS; slot++) {
		scoreboard_post(host.board, slot, SB_RUNNING, 100 + slot, 1);
		scoreboard_state(host.board, slot, SB_IDLE);
	}
	*state = &host;
	return 0;
}

static int close_host(void **state)
{
	scoreboard_free(((struct host *)*state)->board);
	return 0;
}

/* Who was woken since the last time: the only one, 0 = nobody; -1 = a herd. */
static int woken(const struct host *h)
{
	int who = 0;

	for (int slot = 1; slot <= WORKERS; slot++)
		if (scoreboard_woken(h->board, slot))
			who = who == 0 ? slot : -1;
	return who;
}

static int tend(struct host *h, bool event)
{
	waking_tend(&h->waking, h->board, event);
	return woken(h);
}

static void make_claim(struct host *h, int slot)
{
	scoreboard_state(h->board, slot, SB_READING);
	scoreboard_count(h->board, slot, SB_CLAIMS_MADE, 1);
}

static void an_event_wakes_one_and_no_event_nobody(void **state)
{
	struct host *h = *state;

	assert_int_equal(tend(h, false), 0);
	assert_true(tend(h, true) > 0);
	assert_int_equal(tend(h, false), 0);
}

static void each_claim_wakes_the_next_until_nobody_claims(void **state)
{
	struct host *h = *state;
	int slot = tend(h, true);

	for (int claims = 1; claims < WORKERS; claims++) {
		int next;

		make_claim(h, slot);
		next = tend(h, false);
		assert_true(next > 0 && next != slot);
		slot = next;
	}
	assert_int_equal(tend(h, false), 0);
}

static void claims_made_at_once_wake_one_who_wakes_the_next(void **state)
{
	struct host *h = *state;

	make_claim(h, 1);
	make_claim(h, 2);
	assert_true(tend(h, false) > 2);
	assert_int_equal(tend(h, false), 0);
}

static void who_goes_to_sleep_while_a_wake_up_is_owed_is_woken(void **state)
{
	struct host *h = *state;

	for (int slot = 1; slot <= WORKERS; slot++)
		scoreboard_state(h->board, slot, slot == 3 ? SB_CLAIMING : SB_READING);
	assert_int_equal(tend(h, true), 0);
	assert_int_equal(tend(h, false), 0);
	scoreboard_state(h->board, 3, SB_IDLE);
	assert_int_equal(tend(h, false), 3);
	assert_int_equal(tend(h, false), 0);
}

static void a_wake_up_stays_owed_through_a_pause(void **state)
{
	struct host *h = *state;

	scoreboard_pause(h->board, true);
	(void)woken(h);
	assert_int_equal(tend(h, true), 0);
	scoreboard_pause(h->board, false);
	(void)woken(h);
	assert_true(tend(h, false) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			an_event_wakes_one_and_no_event_nobody, open_host, close_host),
		cmocka_unit_test_setup_teardown(
			each_claim_wakes_the_next_until_nobody_claims, open_host, close_host),
		cmocka_unit_test_setup_teardown(
			claims_made_at_once_wake_one_who_wakes_the_next, open_host, close_host),
		cmocka_unit_test_setup_teardown(
			who_goes_to_sleep_while_a_wake_up_is_owed_is_woken, open_host, close_host),
		cmocka_unit_test_setup_teardown(
			a_wake_up_stays_owed_through_a_pause, open_host, close_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
