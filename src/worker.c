#include "worker.h"

#include "clock.h"
#include "limiter.h"
#include "log.h"
#include "mem.h"
#include "signals.h"
#include "worker_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	KEEPER_SILENT_MS = 15 * 1000,
	NAP_MS = 1000,
	LONG_NAP_MS = 5 * 1000, /* of a sleeper that has nothing to look after */
	GATE_TRY_MS =
		60 * 1000 /* then another may try what the one who tries has not come back from */
};

/* ---- what every wait looks at */

static void watch(struct worker *w);

static void notice_lifeline(struct worker *w)
{
	if (lifeline_is_cut_now(&w->lifeline)) {
		w->draining = true;
		watch(w);
		log_event(LEVEL_WARN, "worker", NULL, "The master is gone: finishing");
	}
	if (lifeline_is_over(&w->lifeline))
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
	const bool finished = w->pipeline.pages_finished != w->pages_seen;
	struct sb_slot_view v;
	int64_t spent_ms;

	if (finished)
		stall_begin(&w->stall, clock_boot_ms());
	w->pages_seen = w->pipeline.pages_finished;
	spent_ms = stall_look(&w->stall, excused, clock_boot_ms());
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
	worker_title_show(&w->title, w->board, w->slot, w->id, w->draining);
	if (w->deciding)
		return 0;
	if (w->interrupted)
		return err_set(err, ERR_STOPPED, "stopped", "interrupted");
	if (w->current != NULL && scoreboard_is_lost(w->board, w->slot, w->job.token))
		return err_set(err, ERR_LOST, "lost", "the claim was lost");
	return w->current != NULL ? check_progress(w, err) : 0;
}

static void watch(struct worker *w)
{
	struct pollfd fds[2] = {{.fd = scoreboard_event_fd(w->board, w->slot), .events = POLLIN}};
	size_t count = 1;

	count += lifeline_poll_fd(&w->lifeline, &fds[count]);
	http_watch(w->http, fds, count, check, w);
}

void worker_nap(struct worker *w, int64_t ms)
{
	struct err err;

	(void)http_wait(w->http, NULL, 0, (int)ms, &err); /* a stop shows in the flags */
}

double worker_random(void)
{
	return (double)random() / ((double)RAND_MAX + 1.0);
}

int64_t worker_jitter(int64_t ms)
{
	return ms - ms / 4 + random() % (ms / 2 + 1);
}

/* ---- opening */

int worker_open_engine(struct worker *w, struct err *err)
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
	p->engine_gate =
		scoreboard_engine_gate(w->board); /* a local one fails for each page by itself */
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

		if (source_open(s, w->board, &w->settings->environments[i], &w->settings->queue,
			    w->id, err) != 0)
			return -1;
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
	w->started_ms = clock_boot_ms();
	lifeline_init(
		&w->lifeline, process->lifeline_fd, lifeline_limits(&w->settings->supervise, 0));
	(void)snprintf(w->id, sizeof w->id, "%s-%d", w->settings->worker_id, w->slot);
	if (log_open(&w->settings->log, w->id, w->id, err) != 0)
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
		source_fini(&w->sources[i]);
	free(w->sources);
	http_free_all(w->http);
}

/* ---- claiming */

static int claim_row(struct worker *w, struct source *s, const char *id, struct err *err)
{
	struct sb_environment_view told;
	int rc;

	if (id != NULL)
		return queue_claim_id(s->queue, w->id, id, &w->job, err);
	scoreboard_environment_get(w->board, s->index, &told);
	rc = queue_claim(s->queue, w->id, &(struct queue_told){told.created_after, told.hears},
		&w->job, err);
	source_answered(s, rc, told.news, err);
	return rc;
}

int worker_claim(struct worker *w, struct source *s, const char *id, struct err *err)
{
	int rc;

	w->job = (struct job){.environment = s->settings->name, .number = ++w->claims};
	(void)snprintf(w->job.token, sizeof w->job.token, "%s/%s/%lld/%lld", w->id,
		scoreboard_daemon(w->board), (long long)w->process->spawn, (long long)w->claims);
	scoreboard_claim(w->board, w->slot, s->index, w->claims, w->job.token);
	w->deciding = true;
	rc = claim_row(w, s, id, err);
	w->deciding = false;
	if (rc == 0) {
		scoreboard_document(w->board, w->slot, w->job.id);
		scoreboard_count(w->board, w->slot, SB_CLAIMS_MADE, 1);
		scoreboard_wake(w->board, SB_KEEPER); /* which wakes the next sleeper */
		log_job(s->settings->name, w->job.id);
		log_event(LEVEL_INFO, "worker", &(struct log_more){.ms = w->job.waited_ms},
			"Claimed job");
		return 0;
	}
	scoreboard_claim(w->board, w->slot, -1, 0, "");
	return rc;
}

static void leave_gates(struct worker *w, struct source *s)
{
	gate_unused(scoreboard_storage_gate(w->board, s->index), s->passed, clock_boot_ms());
	gate_unused(scoreboard_engine_gate(w->board), w->engine_passed, clock_boot_ms());
}

void worker_work_on(struct worker *w, struct source *s, struct outcome *outcome)
{
	w->current = s;
	w->pipeline.storage_gate = scoreboard_storage_gate(w->board, s->index);
	worker_process(w, outcome);
	leave_gates(w, s); /* where nothing came of trying, it is the next one's turn */
	w->current = NULL;
	job_fini(&w->job);
	log_job(NULL, NULL);
	scoreboard_claim(w->board, w->slot, -1, 0, "");
}

static bool keeper_is_silent(const struct worker *w)
{
	const int64_t alive_ms = scoreboard_alive_ms(w->board, SB_KEEPER);
	const int64_t heard_ms = alive_ms > w->started_ms ? alive_ms : w->started_ms;

	return clock_boot_ms() - heard_ms > KEEPER_SILENT_MS;
}

bool worker_is_down(const struct worker *w, const struct source *s)
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

static bool pass(struct gate *gate, int *passed)
{
	*passed = gate_pass(gate, clock_boot_ms(), GATE_TRY_MS);
	return *passed >= 0;
}

static bool claim_from(struct worker *w, struct source *s)
{
	struct gate *gate = scoreboard_storage_gate(w->board, s->index);
	struct err err;
	int rc;

	if (!source_is_worth_asking(s, w->board, keeper_is_silent(w)) || !pass(gate, &s->passed))
		return false;
	rc = worker_claim(w, s, NULL, &err);
	if (rc != 0)
		gate_unused(gate, s->passed, clock_boot_ms());
	return rc == 0;
}

/* What is kept and can be gone on with, else the oldest document of the first environment that has one. */
static struct source *next_document(struct worker *w)
{
	struct source *s = may_claim(w) ? worker_resume(w) : NULL;

	if (s != NULL) {
		s->passed = gate_failures(scoreboard_storage_gate(w->board, s->index));
		return s;
	}
	scoreboard_state(w->board, w->slot, SB_CLAIMING);
	for (size_t i = 0; i < w->source_count && may_claim(w); i++)
		if (claim_from(w, &w->sources[i]))
			return &w->sources[i];
	return NULL;
}

/* True = a document was taken, and settled one way or the other. */
static bool work_once(struct worker *w)
{
	struct gate *engine = scoreboard_engine_gate(w->board);
	struct outcome outcome;
	struct source *s;

	w->woken = false;
	worker_tend_kept(w);
	if (!pass(engine, &w->engine_passed))
		return false;
	s = next_document(w);
	if (s != NULL)
		worker_work_on(w, s, &outcome);
	else
		gate_unused(engine, w->engine_passed, clock_boot_ms());
	return s != NULL;
}

/* ---- sleeping */

/* Who is woken next keeps his connections: whatever comes is claimed without opening one. True = some are open. */
static bool let_connections_rest(struct worker *w)
{
	bool any = false;

	for (size_t i = 0; i < w->source_count; i++) {
		struct queue *q = w->sources[i].queue;

		if (queue_is_idle(q) && scoreboard_next_sleeper(w->board) != w->slot)
			queue_rest(q);
		any = any || queue_is_open(q);
	}
	return any;
}

/* An idle host costs next to nothing, however many workers it has; but a sleeper is known to live. */
static int64_t sleeper_nap_ms(struct worker *w)
{
	const int64_t known_ms = w->settings->supervise.hang_timeout_ms / 3;
	const int64_t nap_ms = let_connections_rest(w) || worker_keeps(w) ? NAP_MS : LONG_NAP_MS;

	return nap_ms < known_ms ? nap_ms : known_ms;
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
	while ((nap_ms = pause_nap_ms(w)) > 0 && !w->draining && !w->interrupted) {
		(void)let_connections_rest(w);
		worker_nap(w, nap_ms);
		worker_tend_kept(w);
	}
}

/* The keeper polls for the whole host and wakes us; only where it is silent do we look ourselves. */
static void sleep_until_woken(struct worker *w)
{
	const int64_t until = clock_boot_ms() + worker_jitter(w->settings->queue.poll_interval_ms);

	scoreboard_state(w->board, w->slot, SB_IDLE);
	scoreboard_wake(w->board, SB_KEEPER); /* which may owe somebody a wake-up */
	while (!w->draining && !w->interrupted && !w->woken && !worker_can_resume(w) &&
		scoreboard_paused_since(w->board) == 0 &&
		(clock_boot_ms() < until || !keeper_is_silent(w))) {
		worker_nap(w, sleeper_nap_ms(w));
		worker_tend_kept(w);
	}
}

/*
 * A reload drops nothing. But the next one waits for us, and may be the one that says where the database is now: it does
 * so for as long as a drain would.
 */
static bool is_waited_for(const struct worker *w)
{
	const int64_t since_ms = scoreboard_reload_waits_since(w->board);

	return since_ms != 0 &&
	       clock_boot_ms() - since_ms >= w->settings->supervise.drain_timeout_ms;
}

void worker_finish_kept(struct worker *w, struct outcome *outcome)
{
	struct source *s;

	w->last_kept = *outcome;
	while (worker_keeps(w) && !w->interrupted && !is_waited_for(w)) {
		worker_tend_kept(w);
		*outcome = w->last_kept;
		s = worker_resume(w);
		if (s != NULL) {
			worker_work_on(w, s, outcome);
		} else if (worker_keeps(w)) {
			scoreboard_state(w->board, w->slot, SB_OUTAGE);
			worker_nap(w, NAP_MS);
		}
	}
	worker_drop_kept(w);
}

/*
 * Begins asleep: the keeper wakes whoever has work, and a pool that starts, or is replaced, opens no connection for
 * each to be told that there is none.
 */
static void work(struct worker *w)
{
	bool looks = false;

	worker_nap(w, 0); /* its loop turns: it is ready */
	while (!w->draining && !w->interrupted) {
		if (pause_nap_ms(w) > 0)
			sit_out_pause(w);
		else if (!looks || !work_once(w))
			sleep_until_woken(w);
		looks = true;
	}
}

static int worker_main(const struct process *process)
{
	struct worker w = {0};
	struct outcome outcome = {.fate = FATE_KEPT};
	struct err err;
	int status = EX_OK;

	if (open_worker(&w, process, &err) != 0) {
		log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = err.text},
			"Cannot start");
		status = err.kind == ERR_CONFIG ? EX_CONFIG : EX_SOFTWARE;
	} else if (process->one != NULL) {
		status = worker_one(&w);
	} else {
		work(&w);
		worker_finish_kept(&w, &outcome);
	}
	scoreboard_state(w.board, w.slot, SB_ENDING);
	close_worker(&w);
	return status;
}

const struct role worker_role = {"worker", worker_main};
