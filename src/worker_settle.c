/* A claimed document through the pipeline, and what became of it into the queue. */
#include "clock.h"
#include "json.h"
#include "log.h"
#include "retry.h"
#include "worker_private.h"

#include <stdlib.h>
#include <string.h>

enum { WRITE_RETRY_MS = 1000, RECALL_PATIENCE_MS = 5000 };

/* ---- the document's pages, stored in the queue's database */

/* Nothing is given up for it: what is read is kept, and the same statement is tried again. */
static void note_outage(struct worker *w, const struct err *err)
{
	if (!w->said_outage)
		log_event(LEVEL_WARN, "worker", &(struct log_more){.ms = -1, .error = err->text},
			"The database is away: keeping what has been read");
	w->said_outage = true;
	w->save_due_ms = clock_boot_ms() + worker_jitter(WRITE_RETRY_MS);
}

static int known_pages(void *arg, const struct job *job, const char *page_key,
	void (*fn)(void *arg, int page), void *fn_arg, struct err *err)
{
	struct worker *w = arg;
	const int64_t until_ms = clock_boot_ms() + RECALL_PATIENCE_MS;
	int rc;

	while ((rc = queue_checkpoints(w->current->queue, job, page_key, fn, fn_arg, err)) == -1 &&
		err->kind == ERR_TRANSIENT && clock_left_ms(until_ms) > 0) {
		note_outage(w, err);
		scoreboard_state(w->board, w->slot, SB_OUTAGE);
		if (http_sleep(w->http, worker_jitter(WRITE_RETRY_MS), err) != 0)
			return -1;
	}
	return rc;
}

static bool is_away(void *arg)
{
	struct worker *w = arg;

	return worker_is_down(w, w->current);
}

static int save_pages(void *arg, const struct job *job, const char *page_key,
	const char *pages_json, struct err *err)
{
	struct worker *w = arg;
	int rc;

	if (w->save_due_ms > clock_boot_ms() || is_away(w))
		return 1;
	rc = queue_checkpoint(w->current->queue, w->id, job, page_key, pages_json, err);
	if (rc == 1)
		return -1;
	if (rc == 0)
		w->said_outage = false;
	if (rc == 0 || err->kind != ERR_TRANSIENT)
		return rc;
	note_outage(w, err);
	return 1;
}

static void turn(void *arg)
{
	worker_tend_kept(arg);
}

/* ---- settling */

static void count(struct worker *w, enum sb_counter counter)
{
	scoreboard_count(w->board, w->slot, counter, 1);
}

void worker_note_done(struct worker *w, const struct job *job, const struct outcome *outcome)
{
	cJSON *data = cJSON_CreateObject();

	json_add_int(data, "pages", outcome->pages);
	json_add_int(data, "pagesRead", outcome->pages_read);
	json_add_int(data, "lines", outcome->lines);
	json_add_int(data, "tokens", outcome->tokens);
	json_add_int(data, "attempt", job->attempt);
	count(w, SB_DOCUMENTS_DONE);
	log_event(LEVEL_SUCCESS, "worker", &(struct log_more){.ms = outcome->ms, .data = data},
		"Job completed successfully");
}

void worker_note_lost(struct worker *w, const char *what)
{
	count(w, SB_CLAIMS_LOST);
	log_event(LEVEL_WARN, "worker", NULL, "The claim was lost, %s dropped", what);
}

/* Nobody's attempt: what is at fault is left alone for a while, the environment or everything. */
static void pause_after(struct worker *w, struct source *s, const struct err *why,
	enum pipeline_place place, int64_t delay_ms)
{
	const int64_t until_ms = clock_boot_ms() + worker_jitter(delay_ms);

	if (why->kind == ERR_CONFIG && place != PIPELINE_ENGINE)
		s->closed_ms = until_ms;
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

void worker_note_failure(struct worker *w, const struct outcome *outcome, const struct err *err)
{
	static const enum sb_counter counters[] = {
		[FATE_FAILED] = SB_DOCUMENTS_FAILED,
		[FATE_RETRIED] = SB_DOCUMENTS_RETRIED,
		[FATE_RELEASED] = SB_DOCUMENTS_RELEASED,
	};

	if (outcome->fate == FATE_LOST)
		worker_note_lost(w, "its failure");
	else if (outcome->fate == FATE_UNWRITTEN)
		log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = err->text},
			"The failure could not be written; the keeper gives the claim back");
	else
		count(w, counters[outcome->fate]);
}

int worker_write_failure(struct worker *w, struct source *s, const struct job *job,
	const struct outcome *outcome, struct err *err)
{
	return queue_fail(s->queue, w->id, job,
		outcome->fate == FATE_RETRIED ? outcome->retry_ms : -1, outcome->why.text, err);
}

/* Written one way or the other, or kept to be written later. */
static void write_decision(struct worker *w, struct source *s, struct job *job,
	enum pipeline_place place, const struct retry_decision *d, struct outcome *outcome)
{
	const struct err *why = &outcome->why;
	struct err err;
	int rc;

	if (d->action == RETRY_RELEASE || d->action == RETRY_POSTPONE) {
		outcome->fate = FATE_RELEASED;
		if (d->action == RETRY_RELEASE)
			pause_after(w, s, why, place, d->delay_ms);
		rc = queue_release(s->queue, w->id, job, d->waits ? worker_jitter(d->delay_ms) : 0,
			why->kind != ERR_STOPPED ? why->text : NULL, &err);
	} else {
		outcome->fate = d->action == RETRY_AGAIN ? FATE_RETRIED : FATE_FAILED;
		rc = worker_write_failure(w, s, job, outcome, &err);
		/* As persistent as a result: who failed for good shall not be read and paid for again. */
		if (rc == -1 && err.kind == ERR_TRANSIENT &&
			worker_keep(w, KEPT_FAILURE, s, job, NULL, outcome)) {
			outcome->fate = FATE_KEPT;
			return;
		}
	}
	if (rc != 0)
		outcome->fate = rc == 1 ? FATE_LOST : FATE_UNWRITTEN;
	worker_note_failure(w, outcome, &err);
}

void worker_settle_failure(struct worker *w, struct source *s, struct job *job,
	enum pipeline_place place, bool is_outage, struct outcome *outcome)
{
	const struct retry_decision d = retry_document(&outcome->why, is_outage, job->attempt,
		job->max_attempts, &w->settings->queue, worker_random());

	outcome->retry_ms = d.delay_ms;
	if (d.action == RETRY_DROP) {
		outcome->fate = FATE_LOST;
		worker_note_lost(w, "the work on it");
		return;
	}
	log_failure(&outcome->why);
	w->deciding = true;
	write_decision(w, s, job, place, &d, outcome);
	w->deciding = false;
}

/* ---- one document */

/*
 * What all documents need failed: it is left alone for a while, longer each time, and tried by one process then. True
 * where it was failing already; the first who meets it cannot know that it is not the document.
 */
static bool shut_gate(
	struct gate *gate, int passed, const char *what, const char *whose, const struct err *why)
{
	const bool was_failing = gate_failures(gate) > 0;
	const int64_t pause_ms = retry_outage_ms(passed + 1, worker_random());

	if (gate_fail(gate, passed, clock_boot_ms() + pause_ms))
		log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = why->text},
			"%s%s does not work, it is tried again in %lld ms", what, whose,
			(long long)pause_ms);
	return was_failing;
}

static bool is_outage(struct worker *w, const struct pipeline_result *result, const struct err *why)
{
	const struct source *s = w->current;

	if (why->kind != ERR_TRANSIENT)
		return false;
	if (result->place == PIPELINE_STORAGE)
		return shut_gate(w->pipeline.storage_gate, s->passed, "The storage of ",
			s->settings->name, why);
	if (result->place == PIPELINE_ENGINE && result->no_answer &&
		w->pipeline.engine_gate != NULL)
		return shut_gate(w->pipeline.engine_gate, w->engine_passed, "The engine ",
			w->pipeline.type->name, why);
	return false;
}

static bool is_database_away(const struct pipeline_result *result, const struct err *why)
{
	return result->place == PIPELINE_DATABASE && why->kind == ERR_TRANSIENT &&
	       strcmp(why->code, "job-timeout") != 0;
}

/* The document comes to no result now; the next attempt shall know all pages, the last ones too. */
static void keep_last_pages(struct worker *w, const struct pipeline_result *result)
{
	struct err ignored; /* there is one to be told already */

	w->deciding = true;
	(void)queue_checkpoint(
		w->current->queue, w->id, &w->job, result->page_key, result->last_pages, &ignored);
	w->deciding = false;
}

/* 0 and 1 as queue_complete(); -1: it is a failure to be settled, unless outcome says that it is kept. */
static int write_result(struct worker *w, struct pipeline_result *result, struct outcome *outcome)
{
	int rc;

	w->deciding = true;
	scoreboard_state(w->board, w->slot, SB_WRITING);
	result->place = PIPELINE_DATABASE;
	rc = queue_complete(w->current->queue, w->id, &w->job, result->page_key, result->envelope,
		result->last_pages, &outcome->why);
	w->deciding = false;
	if (rc == -1 && outcome->why.kind != ERR_TRANSIENT)
		keep_last_pages(w, result);
	if (rc == -1 && outcome->why.kind == ERR_TRANSIENT &&
		worker_keep(w, KEPT_RESULT, w->current, &w->job, result, outcome))
		outcome->fate = FATE_KEPT;
	return rc;
}

static int read_and_write(struct worker *w, struct pipeline_result *result, struct outcome *outcome)
{
	const struct pipeline_store store = {known_pages, save_pages, is_away, turn, w};

	if (worker_open_engine(w, &outcome->why) != 0)
		return -1;
	if (pipeline_run(&w->pipeline, w->current->settings, &w->job, &store, result,
		    &outcome->why) == 0) {
		outcome->pages = result->pages;
		outcome->pages_read = result->pages_read;
		outcome->lines = result->lines;
		outcome->tokens = result->tokens;
		outcome->ms = result->ms;
		return write_result(w, result, outcome);
	}
	if (is_database_away(result, &outcome->why) &&
		worker_keep(w, KEPT_WORK, w->current, &w->job, result, outcome))
		outcome->fate = FATE_KEPT;
	return -1;
}

void worker_process(struct worker *w, struct outcome *outcome)
{
	/* Before the first stage: an engine that cannot be opened. */
	struct pipeline_result result = {.place = PIPELINE_ENGINE};
	int rc;

	*outcome = (struct outcome){.fate = FATE_DONE};
	w->said_outage = false;
	w->save_due_ms = 0;
	stall_begin(&w->stall, clock_boot_ms());
	w->pages_seen = w->pipeline.pages_finished = 0;
	log_event(LEVEL_INFO, "worker", NULL, "Processing job");
	rc = read_and_write(w, &result, outcome);
	if (rc == 0) {
		worker_note_done(w, &w->job, outcome);
	} else if (rc == 1) {
		outcome->fate = FATE_LOST;
		worker_note_lost(w, "the result");
	} else if (outcome->fate != FATE_KEPT) {
		/* Not kept: there was no waiting for a place. */
		if (is_database_away(&result, &outcome->why))
			(void)err_set(&outcome->why, ERR_STOPPED, "stopped", "interrupted");
		scoreboard_state(w->board, w->slot, SB_WRITING);
		if (result.place != PIPELINE_DATABASE && result.last_pages != NULL)
			keep_last_pages(w, &result); /* paid for, though no others follow */
		worker_settle_failure(w, w->current, &w->job, result.place,
			is_outage(w, &result, &outcome->why), outcome);
	}
	pipeline_result_fini(&result);
}
