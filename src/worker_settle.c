/* A claimed document through the pipeline, and what became of it into the queue. */
#include "clock.h"
#include "json.h"
#include "log.h"
#include "retry.h"
#include "worker_private.h"

#include <stdlib.h>

enum { WRITE_RETRY_MS = 1000 };

/* ---- the document's pages, stored in the queue's database */

/*
 * What was paid for is kept while the database is away: the same statement is tried again until the claim is lost or
 * we are told to stop. 0 = try again.
 */
static int outlast(struct worker *w, struct err *err)
{
	if (err->kind != ERR_TRANSIENT)
		return -1;
	if (!w->said_outage)
		log_event(LEVEL_WARN, "worker", &(struct log_more){.ms = -1, .error = err->text},
			"The database is away: keeping what has been read");
	w->said_outage = true;
	scoreboard_state(w->board, w->slot, SB_OUTAGE);
	return http_sleep(w->http, worker_jitter(WRITE_RETRY_MS), err);
}

static int known_pages(void *arg, const struct job *job, const char *page_key,
	void (*fn)(void *arg, int page), void *fn_arg, struct err *err)
{
	struct worker *w = arg;
	int rc;

	do
		rc = queue_checkpoints(w->current->queue, job, page_key, fn, fn_arg, err);
	while (rc == -1 && outlast(w, err) == 0);
	return rc;
}

static int save_pages(void *arg, const struct job *job, const char *page_key,
	const char *pages_json, struct err *err)
{
	struct worker *w = arg;
	int rc;

	stall_begin(&w->stall, clock_boot_ms());
	do
		rc = queue_checkpoint(w->current->queue, w->id, job, page_key, pages_json, err);
	while (rc == -1 && outlast(w, err) == 0);
	return rc == 0 ? 0 : -1;
}

/* ---- settling */

static void count(struct worker *w, enum sb_counter counter)
{
	scoreboard_count(w->board, w->slot, counter, 1);
}

static void log_done(const struct worker *w, const struct pipeline_result *result)
{
	cJSON *data = cJSON_CreateObject();

	json_add_int(data, "pages", result->pages);
	json_add_int(data, "pagesRead", result->pages_read);
	json_add_int(data, "lines", result->lines);
	json_add_int(data, "tokens", result->tokens);
	json_add_int(data, "attempt", w->job.attempt);
	log_event(LEVEL_SUCCESS, "worker", &(struct log_more){.ms = result->ms, .data = data},
		"Job completed successfully");
}

static void log_lost(struct worker *w, const char *what)
{
	count(w, SB_CLAIMS_LOST);
	log_event(LEVEL_WARN, "worker", NULL, "The claim was lost, %s dropped", what);
}

/* The database refuses the result; the next attempt shall know all pages, the last ones too. */
static void keep_last_pages(struct worker *w, const struct pipeline_result *result)
{
	struct err ignored; /* the refusal itself is told */

	(void)queue_checkpoint(
		w->current->queue, w->id, &w->job, result->page_key, result->last_pages, &ignored);
}

/* Kept and tried again while the claim stands: expiry alone forfeits nothing, and these pages were paid for. */
static int write_result(struct worker *w, struct pipeline_result *result, struct err *err)
{
	struct err ignored; /* a stop shows in the flags */
	int rc;

	w->deciding = true;
	scoreboard_state(w->board, w->slot, SB_WRITING);
	while ((rc = queue_complete(w->current->queue, w->id, &w->job, result->page_key,
			result->envelope, result->last_pages, err)) == -1) {
		if (err->kind != ERR_TRANSIENT) {
			result->environment_at_fault = true;
			keep_last_pages(w, result);
			return -1;
		}
		if (w->interrupted)
			return err_set(err, ERR_STOPPED, "stopped",
				"interrupted before the result could be written");
		log_event(LEVEL_WARN, "complete", &(struct log_more){.ms = -1, .error = err->text},
			"The result cannot be written yet");
		(void)http_sleep(w->http, worker_jitter(WRITE_RETRY_MS), &ignored);
	}
	return rc;
}

/* Nobody's attempt: what is at fault is left alone for a while, the environment or everything. */
static void pause_after(
	struct worker *w, const struct err *why, bool environment_at_fault, int64_t delay_ms)
{
	const int64_t until_ms = clock_boot_ms() + worker_jitter(delay_ms);

	if (why->kind == ERR_CONFIG && environment_at_fault)
		w->current->closed_ms = until_ms;
	else
		w->paused_ms = until_ms;
}

static void log_failure(const struct err *why)
{
	if (why->kind == ERR_STOPPED)
		log_event(LEVEL_INFO, "worker", NULL, "Interrupted, giving the claim back");
	else
		log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = why->text},
			"Job processing failed");
}

/* As persistent as a result: a document that failed for good shall not be read and paid for again. */
static int write_failure(struct worker *w, const struct err *why, int64_t delay_ms, struct err *err)
{
	struct err ignored;
	int rc;

	while ((rc = queue_fail(w->current->queue, w->id, &w->job, delay_ms, why->text, err)) ==
			-1 &&
		err->kind == ERR_TRANSIENT && !w->interrupted)
		(void)http_sleep(w->http, worker_jitter(WRITE_RETRY_MS), &ignored);
	return rc;
}

/* Written one way or the other; what came of that. */
static enum fate settle_as(struct worker *w, const struct err *why, const struct retry_decision *d,
	bool environment_at_fault, struct err *err)
{
	const bool again = d->action == RETRY_AGAIN;
	enum fate fate = again ? FATE_RETRIED : FATE_FAILED;
	int rc;

	w->deciding = true;
	scoreboard_state(w->board, w->slot, SB_WRITING);
	if (d->action == RETRY_RELEASE) {
		fate = FATE_RELEASED;
		pause_after(w, why, environment_at_fault, d->delay_ms);
		rc = queue_release(w->current->queue, w->id, &w->job,
			d->waits ? worker_jitter(d->delay_ms) : 0,
			why->kind != ERR_STOPPED ? why->text : NULL, err);
	} else {
		rc = write_failure(w, why, again ? d->delay_ms : -1, err);
	}
	if (rc != 0)
		return rc == 1 ? FATE_LOST : FATE_UNWRITTEN;
	return fate;
}

static void settle_failure(struct worker *w, bool environment_at_fault, struct outcome *outcome)
{
	static const enum sb_counter counters[] = {
		[FATE_FAILED] = SB_DOCUMENTS_FAILED,
		[FATE_RETRIED] = SB_DOCUMENTS_RETRIED,
		[FATE_RELEASED] = SB_DOCUMENTS_RELEASED,
	};
	const struct retry_decision d = retry_document(&outcome->why, w->job.attempt,
		w->job.max_attempts, &w->settings->queue, worker_random());
	struct err err;

	outcome->retry_ms = d.delay_ms;
	if (d.action == RETRY_DROP) {
		outcome->fate = FATE_LOST;
		log_lost(w, "the work on it");
		return;
	}
	log_failure(&outcome->why);
	outcome->fate = settle_as(w, &outcome->why, &d, environment_at_fault, &err);
	if (outcome->fate == FATE_LOST)
		log_lost(w, "its failure");
	else if (outcome->fate == FATE_UNWRITTEN)
		log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = err.text},
			"The failure could not be written; the keeper gives the claim back");
	else
		count(w, counters[outcome->fate]);
}

static void note_done(
	struct worker *w, const struct pipeline_result *result, struct outcome *outcome)
{
	*outcome = (struct outcome){
		.fate = FATE_DONE,
		.pages = result->pages,
		.pages_read = result->pages_read,
		.lines = result->lines,
		.tokens = result->tokens,
		.ms = result->ms,
	};
	count(w, SB_DOCUMENTS_DONE);
	log_done(w, result);
}

void worker_process(struct worker *w, struct outcome *outcome)
{
	const struct pipeline_store store = {known_pages, save_pages, w};
	struct pipeline_result result = {0};
	struct err *why = &outcome->why;
	int rc = -1;

	*outcome = (struct outcome){0};
	w->said_outage = false;
	stall_begin(&w->stall, clock_boot_ms());
	log_event(LEVEL_INFO, "worker", NULL, "Processing job");
	if (worker_open_engine(w, why) == 0 && pipeline_run(&w->pipeline, w->current->settings,
						       &w->job, &store, &result, why) == 0)
		rc = write_result(w, &result, why);
	if (rc == 0) {
		note_done(w, &result, outcome);
	} else if (rc == 1) {
		outcome->fate = FATE_LOST;
		log_lost(w, "the result");
	} else {
		settle_failure(w, result.environment_at_fault, outcome);
	}
	w->deciding = false;
	pipeline_result_fini(&result);
}
