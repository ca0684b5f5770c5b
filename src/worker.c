#include "worker.h"

#include "clock.h"
#include "engine.h"
#include "http.h"
#include "json.h"
#include "limiter.h"
#include "log.h"
#include "mem.h"
#include "pipeline.h"
#include "queue.h"
#include "retry.h"
#include "signals.h"
#include "spool.h"
#include "stall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	ORPHAN_MS = 60 * 1000, /* the master is gone: time to finish */
	KEEPER_SILENT_MS = 15 * 1000,
	OUTAGE_MS = 1000,
	OUTAGE_MAX_MS = 30 * 1000,
	WRITE_RETRY_MS = 1000,
	NAP_MS = 1000
};

/* One environment as this worker sees it. */
struct source {
	const struct set_environment *settings;
	struct queue *queue;
	int index;         /* in the scoreboard */
	int64_t closed_ms; /* boot time until which no claim is tried there */
	int failures;      /* in a row */
};

struct worker {
	const struct process *process;
	const struct settings *settings;
	struct scoreboard *board;
	int slot;
	char id[128];
	struct http *http;
	struct pipeline pipeline;
	struct source *sources; /* owned */
	size_t source_count;
	struct source *current; /* whose document is in work; NULL = none */
	struct job job;
	struct stall stall; /* of that document */
	int64_t claims;     /* number of the last claim */
	int64_t paused_ms; /* boot time until which nothing is claimed at all: the engine is not usable */
	bool woken;        /* somebody said there is work */
	bool draining;
	bool interrupted;
	bool said_outage; /* of the database, while this document is in work */
	bool deciding; /* a statement that takes or ends a claim is under way: only its deadline ends it */
	int64_t orphaned_ms; /* boot time; 0 = the master lives */
};

/* ---- what every wait looks at */

static void watch(struct worker *w);

static void notice_lifeline(struct worker *w)
{
	struct pollfd fd = {.fd = w->process->lifeline_fd, .events = POLLIN};

	if (w->orphaned_ms == 0 && poll(&fd, 1, 0) == 1) {
		w->orphaned_ms = clock_boot_ms();
		w->draining = true;
		watch(w);
		log_event(LEVEL_WARN, "worker", NULL, "The master is gone: finishing");
	}
	if (w->orphaned_ms != 0 && clock_boot_ms() - w->orphaned_ms > ORPHAN_MS)
		w->interrupted = true;
}

/* Waits that end by themselves, and are nobody's fault here. */
static bool is_excused(enum sb_state state)
{
	return state == SB_QUOTA || state == SB_BACKOFF || state == SB_OUTAGE;
}

static int check_progress(struct worker *w, struct err *err)
{
	const bool excused = is_excused(scoreboard_state_of(w->board, w->slot));
	const int64_t spent_ms = stall_look(&w->stall, excused, clock_boot_ms());
	struct sb_slot_view v;

	if (spent_ms < w->settings->supervise.job_timeout_ms)
		return 0;
	(void)scoreboard_look(w->board, w->slot, &v);
	return err_set(err, ERR_TRANSIENT, "job-timeout",
		"no page finished for %lld s (supervise.job_timeout), last: page %d of %d",
		(long long)(spent_ms / 1000), v.page, v.pages);
}

static int check(void *arg, struct err *err)
{
	struct worker *w = arg;

	scoreboard_alive(w->board, w->slot);
	w->woken = scoreboard_woken(w->board, w->slot) || w->woken;
	if (signals_take(SIGUSR1))
		log_reopen();
	if (signals_take(SIGTERM))
		w->draining = true;
	if (signals_take(SIGQUIT))
		w->interrupted = true;
	notice_lifeline(w);
	if (w->deciding)
		return 0;
	if (w->interrupted)
		return err_set(err, ERR_STOPPED, "stopped", "interrupted");
	if (w->current != NULL && scoreboard_is_lost(w->board, w->slot, w->job.number))
		return err_set(err, ERR_LOST, "lost", "the claim was lost");
	return w->current != NULL ? check_progress(w, err) : 0;
}

static void watch(struct worker *w)
{
	struct pollfd fds[2] = {{.fd = scoreboard_event_fd(w->board, w->slot), .events = POLLIN}};
	size_t count = 1;

	if (w->orphaned_ms == 0) /* at its end it is always readable */
		fds[count++] = (struct pollfd){.fd = w->process->lifeline_fd, .events = POLLIN};
	http_watch(w->http, fds, count, check, w);
}

static void nap(struct worker *w, int64_t ms)
{
	struct err err;

	(void)http_wait(w->http, NULL, 0, (int)ms, &err); /* a stop shows in the flags */
}

static double random_unit(void)
{
	return (double)random() / ((double)RAND_MAX + 1.0);
}

static int64_t jitter(int64_t ms)
{
	return ms - ms / 4 + random() % (ms / 2 + 1);
}

/* ---- opening */

static int open_engine(struct worker *w, struct err *err)
{
	const struct engine_context context = {w->settings, w->http};
	struct pipeline *p = &w->pipeline;
	char scope[160];

	if (p->engine != NULL)
		return 0;
	p->type = engine_find(w->settings->engine.use);
	if (p->type == NULL)
		return err_set(err, ERR_CONFIG, "engine", "there is no engine \"%s\"",
			w->settings->engine.use);
	if (p->type->open(&p->engine, &context, err) != 0)
		return -1;
	if (!p->type->metered)
		return 0;
	(void)snprintf(scope, sizeof scope, "%s:%s", p->type->name, p->type->model(p->engine));
	if (limiter_open(&p->limiter, &w->settings->limits, &w->settings->redis,
		    scoreboard_limiter(w->board), scope, err) == 0)
		return 0;
	p->type->close(p->engine);
	p->engine = NULL;
	return -1;
}

static int open_sources(struct worker *w, struct err *err)
{
	w->source_count = w->settings->environment_count;
	w->sources = mem_calloc(w->source_count, sizeof *w->sources);
	for (size_t i = 0; i < w->source_count; i++) {
		struct source *s = &w->sources[i];

		s->settings = &w->settings->environments[i];
		s->index = scoreboard_environment_index(
			w->board, s->settings->name, s->settings->database);
		if (queue_new(&s->queue, s->settings, &w->settings->queue, w->id, err) != 0)
			return err_prefix(err, "environment %s: ", s->settings->name);
		queue_watch(s->queue, check, w);
	}
	return 0;
}

static int open_worker(struct worker *w, const struct process *process, struct err *err)
{
	static const int caught[] = {SIGTERM, SIGQUIT, SIGUSR1, 0};
	static const int ignored[] = {SIGINT, SIGHUP, SIGTTIN, SIGTTOU, 0};

	w->process = process;
	w->settings = process->settings;
	w->board = process->scoreboard;
	w->slot = process->slot;
	(void)snprintf(w->id, sizeof w->id, "%s-%d", w->settings->worker_id, w->slot);
	if (log_open(&w->settings->log, w->id, w->id, "", err) != 0)
		log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = err->text},
			"Going on without a log file");
	srandom((unsigned)clock_real_ms() ^ (unsigned)getpid() << 8);
	signals_catch(caught, ignored, scoreboard_event_fd(w->board, w->slot));
	w->pipeline.process = process;
	if (http_new(&w->http, err) != 0)
		return -1;
	w->pipeline.http = w->http;
	watch(w);
	return open_sources(w, err);
}

static void close_worker(struct worker *w)
{
	if (w->pipeline.engine != NULL)
		w->pipeline.type->close(w->pipeline.engine);
	limiter_close(w->pipeline.limiter);
	for (size_t i = 0; i < w->source_count; i++)
		queue_free(w->sources[i].queue);
	free(w->sources);
	http_free_all(w->http);
}

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
	return http_sleep(w->http, jitter(WRITE_RETRY_MS), err);
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
		(void)http_sleep(w->http, jitter(WRITE_RETRY_MS), &ignored);
	}
	return rc;
}

/* Nobody's attempt: what is at fault is left alone for a while, the environment or everything. */
static void pause_after(
	struct worker *w, const struct err *why, bool environment_at_fault, int64_t delay_ms)
{
	const int64_t until_ms = clock_boot_ms() + delay_ms;

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
		(void)http_sleep(w->http, jitter(WRITE_RETRY_MS), &ignored);
	return rc;
}

static void settle_failure(struct worker *w, const struct err *why, bool environment_at_fault)
{
	const struct retry_decision d = retry_document(
		why, w->job.attempt, w->job.max_attempts, &w->settings->queue, random_unit());
	struct queue *q = w->current->queue;
	enum sb_counter outcome = SB_DOCUMENTS_RELEASED;
	struct err err;
	int rc;

	if (d.action == RETRY_DROP) {
		log_lost(w, "the work on it");
		return;
	}
	log_failure(why);
	w->deciding = true;
	scoreboard_state(w->board, w->slot, SB_WRITING);
	if (d.action == RETRY_RELEASE) {
		pause_after(w, why, environment_at_fault, d.delay_ms);
		rc = queue_release(q, w->id, &w->job, &err);
	} else {
		outcome = d.action == RETRY_AGAIN ? SB_DOCUMENTS_RETRIED : SB_DOCUMENTS_FAILED;
		rc = write_failure(w, why, d.action == RETRY_AGAIN ? d.delay_ms : -1, &err);
	}
	if (rc == 0)
		count(w, outcome);
	else if (rc == 1)
		log_lost(w, "its failure");
	else
		log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = err.text},
			"The failure could not be written; the keeper gives the claim back");
}

static void process_job(struct worker *w)
{
	const struct pipeline_store store = {known_pages, save_pages, w};
	struct pipeline_result result = {0};
	struct err err;
	int rc;

	w->said_outage = false;
	stall_begin(&w->stall, clock_boot_ms());
	log_event(LEVEL_INFO, "worker", NULL, "Processing job");
	if (open_engine(w, &err) != 0 ||
		pipeline_run(&w->pipeline, w->current->settings, &w->job, &store, &result, &err) !=
			0 ||
		(rc = write_result(w, &result, &err)) == -1) {
		settle_failure(w, &err, result.environment_at_fault);
	} else if (rc == 1) {
		log_lost(w, "the result");
	} else {
		count(w, SB_DOCUMENTS_DONE);
		log_done(w, &result);
	}
	w->deciding = false;
	pipeline_result_fini(&result);
}

/* ---- claiming */

/* An environment that cannot be asked is left alone for a while, longer each time. */
static void close_source(struct source *s, const struct err *why)
{
	const int64_t pause =
		retry_backoff_ms(++s->failures, OUTAGE_MS, OUTAGE_MAX_MS, random_unit());

	s->closed_ms = clock_boot_ms() + pause;
	if (s->failures == 1 && why->kind != ERR_STOPPED)
		log_event(LEVEL_ERROR, "claim", &(struct log_more){.ms = -1, .error = why->text},
			"Cannot claim from %s", s->settings->name);
}

static int claim(struct worker *w, struct source *s, struct err *err)
{
	struct sb_environment_view seen;
	int rc;

	w->job = (struct job){.environment = s->settings->name, .number = ++w->claims};
	(void)snprintf(w->job.token, sizeof w->job.token, "%s/%s/%lld/%lld", w->id,
		scoreboard_daemon(w->board), (long long)w->process->spawn, (long long)w->claims);
	scoreboard_environment_get(w->board, s->index, &seen);
	scoreboard_claim(w->board, w->slot, s->index, w->claims, w->job.token);
	w->deciding = true;
	rc = queue_claim(s->queue, w->id, seen.oldest_created, &w->job, err);
	w->deciding = false;
	if (rc == 0) {
		s->failures = 0;
		scoreboard_document(w->board, w->slot, w->job.id);
		count(w, SB_CLAIMS_MADE);
		scoreboard_wake(w->board, SB_KEEPER); /* which wakes the next sleeper */
		log_job(s->settings->name, w->job.id);
		log_event(LEVEL_INFO, "worker", &(struct log_more){.ms = w->job.waited_ms},
			"Claimed job");
		return 0;
	}
	scoreboard_claim(w->board, w->slot, -1, 0, "");
	return rc;
}

static bool keeper_is_silent(const struct worker *w)
{
	struct sb_slot_view v;

	(void)scoreboard_look(w->board, SB_KEEPER, &v);
	return clock_boot_ms() - v.alive_ms > KEEPER_SILENT_MS;
}

/* The keeper probes what is down, for everybody: a hundred workers shall not wait for it one after the other. */
static bool is_down(const struct worker *w, const struct source *s)
{
	struct sb_environment_view v;

	scoreboard_environment_get(w->board, s->index, &v);
	return v.reach == SB_DOWN && !keeper_is_silent(w);
}

/* Looked at right before each claim: a drain or a pause holds from the moment in which the master says so. */
static bool may_claim(struct worker *w)
{
	if (scoreboard_is_draining(w->board))
		w->draining = true;
	return !w->draining && !w->interrupted && scoreboard_paused_since(w->board) == 0;
}

/* True = a document was taken, and settled one way or the other. */
static bool work_once(struct worker *w)
{
	struct err err;

	w->woken = false;
	scoreboard_state(w->board, w->slot, SB_CLAIMING);
	for (size_t i = 0; i < w->source_count && may_claim(w); i++) {
		struct source *s = &w->sources[i];
		int rc;

		if (s->closed_ms > clock_boot_ms() || is_down(w, s))
			continue;
		rc = claim(w, s, &err);
		if (rc == -1)
			close_source(s, &err);
		if (rc != 0)
			continue;
		w->current = s;
		process_job(w);
		w->current = NULL;
		job_fini(&w->job);
		log_job(NULL, NULL);
		scoreboard_claim(w->board, w->slot, -1, 0, "");
		return true;
	}
	return false;
}

/* ---- sleeping */

static void let_connections_rest(struct worker *w)
{
	for (size_t i = 0; i < w->source_count; i++)
		queue_idle(w->sources[i].queue);
}

/* How long to sleep before it is looked at again whether the pause, an operator's or our own, is over; 0 = there is none. */
static int pause_nap_ms(const struct worker *w)
{
	const int own_ms = clock_left_ms(w->paused_ms);

	if (scoreboard_paused_since(w->board) != 0)
		return NAP_MS;
	return own_ms < NAP_MS ? own_ms : NAP_MS;
}

/* Nothing is claimed before the pause is over; then work is looked for at once. */
static void sit_out_pause(struct worker *w)
{
	int nap_ms;

	scoreboard_state(w->board, w->slot, SB_PAUSED);
	let_connections_rest(w);
	while ((nap_ms = pause_nap_ms(w)) > 0 && !w->draining && !w->interrupted)
		nap(w, nap_ms);
}

/* The keeper polls for the whole host and wakes us; only where it is silent do we look ourselves. */
static void sleep_until_woken(struct worker *w)
{
	const int64_t until = clock_boot_ms() + jitter(w->settings->queue.poll_interval_ms);

	scoreboard_state(w->board, w->slot, SB_IDLE);
	let_connections_rest(w);
	while (!w->draining && !w->interrupted && !w->woken &&
		scoreboard_paused_since(w->board) == 0 &&
		(clock_boot_ms() < until || !keeper_is_silent(w)))
		nap(w, NAP_MS);
}

/* `indexocrctl read`: one local file, the same way. */
static int read_one(struct worker *w, const struct one_document *one)
{
	struct err err;

	if (open_engine(w, &err) == 0 && spool_run(&w->pipeline, one, &err) == 0)
		return EX_OK;
	log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = err.text},
		"Cannot read %s", one->path);
	if (err.kind == ERR_CONFIG)
		return EX_CONFIG;
	return err.kind == ERR_DOCUMENT || err.kind == ERR_MISSING ? EX_DATAERR : EX_SOFTWARE;
}

static int worker_main(const struct process *process)
{
	struct worker w = {0};
	struct err err;
	int status = EX_OK;

	if (open_worker(&w, process, &err) != 0) {
		log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = err.text},
			"Cannot start");
		status = err.kind == ERR_CONFIG ? EX_CONFIG : EX_SOFTWARE;
	} else if (process->one != NULL) {
		status = read_one(&w, process->one);
	} else {
		/* The keeper wakes whoever has work: a pool that starts opens no connection for each to be told that there is none. */
		sleep_until_woken(&w);
		while (!w.draining && !w.interrupted)
			if (pause_nap_ms(&w) > 0)
				sit_out_pause(&w);
			else if (!work_once(&w))
				sleep_until_woken(&w);
	}
	scoreboard_state(w.board, w.slot, SB_ENDING);
	close_worker(&w);
	return status;
}

const struct role worker_role = {"worker", worker_main};
