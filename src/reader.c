#include "reader.h"

#include "clock.h"
#include "mem.h"
#include "result.h"
#include "retry.h"

#include <stdlib.h>
#include <string.h>

enum { READINGS_MAX = 64, ENGINE_FDS_MAX = 130, WAIT_MAX_MS = 1000 };

/* The way of a page: free -> waiting (for its time) -> reserved (has a slot of the limit) -> flying -> free. */
enum reading_state { FREE, WAITING, RESERVED, FLYING };

struct reading {
	enum reading_state state;
	struct page page; /* owned */
	int tries;        /* that count */
	int64_t not_before_ms;
	enum reader_pace waits_for; /* while waiting */
	int64_t waiting_since_ms;
	struct limiter_reservation reservation;
	struct engine_call *call;
};

struct reader {
	const struct reader_plan *plan;
	struct reading readings[READINGS_MAX];
	int capacity;
	bool rendered;        /* the renderer has nothing more */
	int64_t next_send_ms; /* api_delay_ms */
	struct err failure;   /* a page was given up: what flies may land, nothing new starts */
};

static double random_unit(void)
{
	return (double)random() / ((double)RAND_MAX + 1.0);
}

static int count(const struct reader *r, enum reading_state state)
{
	int n = 0;

	for (int i = 0; i < r->capacity; i++)
		n += r->readings[i].state == state;
	return n;
}

static struct reading *find(struct reader *r, enum reading_state state)
{
	for (int i = 0; i < r->capacity; i++)
		if (r->readings[i].state == state)
			return &r->readings[i];
	return NULL;
}

static void release(struct reading *g)
{
	page_fini(&g->page);
	*g = (struct reading){.state = FREE};
}

static bool failed(const struct reader *r)
{
	return r->failure.kind != ERR_NONE;
}

static int deliver(struct reader *r, int number, cJSON *page, struct err *err)
{
	return r->plan->events.deliver(r->plan->events.arg, number, page, err);
}

/*
 * The page will not be read: kept as incomplete, or the end of this attempt at the document. What only fails for now
 * (an outage) always ends the attempt: the next one may well read it.
 */
static int give_up(struct reader *r, int number, const struct err *why, bool fails_attempt,
	const struct engine_answer *answer, struct err *err)
{
	if (r->plan->settings->queue.keep_incomplete && !fails_attempt)
		return deliver(r, number, result_failed_page(number, why, answer), err);
	if (!failed(r)) {
		r->failure = *why;
		(void)err_prefix(&r->failure, "page %d: ", number);
	}
	return 0;
}

/* ---- from the renderer */

static int place(struct reader *r, struct reading *g, struct page *page, struct err *err)
{
	int rc;

	if (page->error.kind != ERR_NONE)
		rc = give_up(r, page->number, &page->error, page->error.kind == ERR_TRANSIENT, NULL,
			err);
	else if (page->blank)
		rc = deliver(r, page->number, result_blank_page(page), err);
	else {
		*g = (struct reading){.state = WAITING,
			.page = *page,
			.waits_for = READER_QUOTA,
			.waiting_since_ms = clock_boot_ms()};
		return 0;
	}
	page_fini(page);
	return rc;
}

static int take_pages(struct reader *r, struct err *err)
{
	while (!r->rendered && !failed(r)) {
		struct reading *g = find(r, FREE);
		struct page page = {0};
		int rc;

		if (g == NULL)
			return 0;
		rc = render_next(r->plan->render, &page, err);
		if (rc == 2)
			r->rendered = true;
		if (rc != 1)
			return rc == -1 ? -1 : 0;
		if (place(r, g, &page, err) != 0)
			return -1;
	}
	return 0;
}

/* ---- to the engine */

/* The first page whose time has come; pages that wait for another try are not in the way of fresh ones. */
static struct reading *next_waiting(struct reader *r)
{
	const int64_t now = clock_boot_ms();
	struct reading *best = NULL;

	for (int i = 0; i < r->capacity; i++) {
		struct reading *g = &r->readings[i];

		if (g->state == WAITING && g->not_before_ms <= now &&
			(best == NULL || g->page.number < best->page.number))
			best = g;
	}
	return best;
}

static void wait_until(struct reading *g, enum reader_pace what_for, int64_t delay_ms)
{
	g->waits_for = what_for;
	g->not_before_ms = clock_boot_ms() + delay_ms;
}

/* One outstanding reservation a worker, so that a pause reaches everybody. */
static int reserve(struct reader *r, struct err *err)
{
	const struct reader_plan *p = r->plan;
	struct reading *g = find(r, RESERVED) == NULL ? next_waiting(r) : NULL;
	int rc;

	if (g == NULL || failed(r))
		return 0;
	if (p->limiter == NULL) {
		g->reservation = (struct limiter_reservation){.send_until_ms = INT64_MAX};
		g->state = RESERVED;
		return 0;
	}
	rc = limiter_reserve(p->limiter, p->type->estimate(p->engine, p->prompt, &g->page),
		&g->reservation, err);
	if (rc == 0)
		g->state = RESERVED;
	else if (rc == 1 || err->kind == ERR_TRANSIENT)
		wait_until(g, READER_QUOTA,
			err->retry_after_ms > 0 ? err->retry_after_ms : WAIT_MAX_MS);
	else
		return -1;
	return 0;
}

static int send_reserved(struct reader *r, struct err *err)
{
	const struct reader_plan *p = r->plan;
	struct reading *g = find(r, RESERVED);
	const int64_t now = clock_boot_ms();

	if (g == NULL || g->reservation.send_at_ms > now || r->next_send_ms > now || failed(r) ||
		!p->events.may_send(p->events.arg))
		return 0;
	if (p->limiter != NULL && !limiter_confirm(p->limiter, &g->reservation)) {
		g->state = WAITING;
		return 0;
	}
	p->events.waited(p->events.arg, now - g->waiting_since_ms);
	p->events.sending(p->events.arg, g->page.number);
	if (p->type->start(p->engine, p->prompt, &g->page, g, &g->call, err) != 0) {
		if (p->limiter != NULL)
			limiter_cancel(p->limiter, &g->reservation);
		g->state = WAITING;
		return -1;
	}
	r->next_send_ms = now + p->settings->engine.api_delay_ms;
	g->state = FLYING;
	return 0;
}

static int send_pages(struct reader *r, struct err *err)
{
	int before;

	do {
		before = count(r, FLYING);
		if (reserve(r, err) != 0 || send_reserved(r, err) != 0)
			return -1;
	} while (count(r, FLYING) > before);
	return 0;
}

/* ---- from the engine */

static int try_again(struct reading *g, const struct err *why, int64_t delay_ms)
{
	g->state = WAITING;
	g->waiting_since_ms = clock_boot_ms();
	wait_until(g, why->kind == ERR_QUOTA ? READER_QUOTA : READER_RETRY, delay_ms);
	return 0;
}

static int handle_failure(struct reader *r, struct reading *g, const struct engine_answer *answer,
	const struct err *why, struct err *err)
{
	struct retry_decision d =
		retry_page(why, g->tries + 1, r->plan->settings->engine.page_tries, random_unit());
	int rc;

	g->tries += d.counts;
	if (d.pause_all && r->plan->limiter != NULL) /* whoever learns it first tells the fleet */
		limiter_pause(r->plan->limiter, d.delay_ms);
	if (d.action == RETRY_AGAIN && !failed(r))
		return try_again(g, why, d.delay_ms);
	if (d.action == RETRY_RELEASE || d.action == RETRY_DROP) {
		*err = *why;
		return err_prefix(err, "page %d: ", g->page.number);
	}
	rc = give_up(r, g->page.number, why, d.fails_attempt, answer, err);
	release(g);
	return rc;
}

static int handle_answer(
	struct reader *r, struct reading *g, const struct engine_answer *answer, struct err *err)
{
	struct err why = answer->error;
	cJSON *page = NULL;
	int rc;

	if (why.kind != ERR_NONE ||
		result_page(&g->page, r->plan->prompt, answer, &page, &why) != 0)
		return handle_failure(r, g, answer, &why, err);
	rc = deliver(r, g->page.number, page, err);
	release(g);
	return rc;
}

/* What a failed call used is unknown unless it says so; the estimate stands then. */
static int64_t tokens_used(
	const struct reader *r, const struct reading *g, const struct engine_answer *answer)
{
	if (answer->tokens.total == 0)
		return g->reservation.tokens;
	return r->plan->settings->limits.tpm_counts == TPM_TOTAL ? answer->tokens.total
								 : answer->tokens.input;
}

static int collect(struct reader *r, struct err *err)
{
	const struct reader_plan *p = r->plan;
	struct engine_answer answer = {0};
	void *owner;
	int rc = 0;

	while (rc == 0 && p->type->finished(p->engine, &answer, &owner)) {
		struct reading *g = owner;

		g->call = NULL;
		if (p->limiter != NULL)
			limiter_settle(p->limiter, &g->reservation, tokens_used(r, g, &answer));
		p->events.answered(p->events.arg, g->page.number, &answer);
		rc = handle_answer(r, g, &answer, err);
		engine_answer_fini(&answer);
		answer = (struct engine_answer){0};
	}
	return rc;
}

/* ---- the loop */

static bool all_done(const struct reader *r)
{
	if (failed(r))
		return count(r, FLYING) == 0;
	return r->rendered && count(r, FREE) == r->capacity;
}

/* Only what lies ahead: what is due and did not happen waits for something else, and is looked at again with that. */
static void earlier(int64_t *until_ms, int64_t ms)
{
	if (ms > clock_boot_ms() && ms < *until_ms)
		*until_ms = ms;
}

static bool is_rendering(struct reader *r)
{
	return !r->rendered && find(r, FREE) != NULL;
}

static int wait_timeout(struct reader *r)
{
	const int64_t due_ms = r->plan->events.turn_due(r->plan->events.arg);
	int64_t until_ms = clock_boot_ms() + WAIT_MAX_MS;

	if (due_ms < until_ms)
		until_ms = due_ms;
	for (int i = 0; i < r->capacity; i++) {
		const struct reading *g = &r->readings[i];

		if (g->state == WAITING && find(r, RESERVED) == NULL)
			earlier(&until_ms, g->not_before_ms);
		if (g->state == RESERVED)
			earlier(&until_ms, g->reservation.send_at_ms > r->next_send_ms
						   ? g->reservation.send_at_ms
						   : r->next_send_ms);
	}
	if (is_rendering(r))
		earlier(&until_ms, render_deadline_ms(r->plan->render));
	return clock_left_ms(until_ms);
}

static enum reader_pace pace(struct reader *r)
{
	const struct reading *waiting = find(r, WAITING);

	if (count(r, FLYING) > 0 || is_rendering(r))
		return READER_WORKS;
	if (!r->plan->events.may_send(r->plan->events.arg))
		return READER_LEASE;
	return find(r, RESERVED) == NULL && waiting != NULL ? waiting->waits_for : READER_QUOTA;
}

static int wait(struct reader *r, struct err *err)
{
	const struct reader_plan *p = r->plan;
	struct pollfd fds[1 + ENGINE_FDS_MAX];
	size_t n = 0;

	if (is_rendering(r) && render_fd(p->render) != -1)
		fds[n++] = (struct pollfd){.fd = render_fd(p->render), .events = POLLIN};
	n += p->type->poll_fds(p->engine, fds + n, ENGINE_FDS_MAX);
	p->events.pace(p->events.arg, pace(r));
	return http_wait(p->http, fds, n, wait_timeout(r), err);
}

static void abandon(struct reader *r)
{
	for (int i = 0; i < r->capacity; i++) {
		struct reading *g = &r->readings[i];

		if (g->state == FLYING && g->call != NULL)
			r->plan->type->cancel(r->plan->engine, g->call);
		else if (g->state == RESERVED && r->plan->limiter != NULL)
			limiter_cancel(r->plan->limiter, &g->reservation);
		release(g);
	}
}

static int round_of(struct reader *r, struct err *err)
{
	return take_pages(r, err) != 0 || send_pages(r, err) != 0 || collect(r, err) != 0 ? -1 : 0;
}

/* Also after a round that failed: what it delivered before is not to be lost. */
static int end_round(struct reader *r, int rc, struct err *err)
{
	struct err why;
	const int turn = r->plan->events.turn(r->plan->events.arg, &why);

	if (rc == 0 && turn == -1)
		*err = why;
	else if (rc == 0 && turn == 1 && !failed(r))
		r->failure = why;
	return rc == 0 && turn != -1 ? 0 : -1;
}

int reader_run(const struct reader_plan *plan, struct err *err)
{
	struct reader *r = mem_calloc(1, sizeof *r);
	int rc = 0;

	r->plan = plan;
	r->capacity = plan->type->capacity(plan->engine);
	if (r->capacity > READINGS_MAX)
		r->capacity = READINGS_MAX;
	while ((rc = end_round(r, round_of(r, err), err)) == 0 && !all_done(r))
		if ((rc = wait(r, err)) != 0)
			break;
	if (rc == 0 && failed(r)) {
		*err = r->failure;
		rc = -1;
	}
	abandon(r);
	free(r);
	return rc;
}
