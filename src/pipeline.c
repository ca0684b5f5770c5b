#include "pipeline.h"

#include "buf.h"
#include "clock.h"
#include "hash.h"
#include "json.h"
#include "log.h"
#include "mem.h"
#include "prompt.h"
#include "reader.h"
#include "render.h"
#include "result.h"
#include "storage.h"

#include <stdlib.h>
#include <string.h>

enum {
	PENDING_ENOUGH_BYTES = 8 << 20,
	PENDING_MAX_BYTES = 256 << 20,
	STORE_EVERY_MS = 100 /* where pages come faster, several go into one statement */
};

/* One document on its way. Every stage fills in its part; run_end() frees them all. */
struct run {
	struct pipeline *p;
	const struct set_environment *environment;
	const struct job *job;
	const struct pipeline_store *store;
	struct pipeline_result *result;
	int64_t started_ms;
	struct document document;
	struct prompt prompt;
	struct render *render;
	bool *known; /* owned; [page] = stored by an earlier attempt */
	int known_count, known_max;
	int done;
	struct buf pending;   /* pages that are read and not stored: a JSON array without its end */
	int64_t store_due_ms; /* boot time until which others may still join them */
};

static struct scoreboard *board(const struct run *run)
{
	return run->p->process->scoreboard;
}

static int slot(const struct run *run)
{
	return run->p->process->slot;
}

static const struct settings *settings(const struct run *run)
{
	return run->p->process->settings;
}

/* ---- fetch */

/* Also that an object is not there, or is none, is an answer. */
static void storage_answered(const struct run *run, enum err_kind kind)
{
	if (run->p->storage_gate != NULL && (kind == ERR_NONE || kind == ERR_MISSING ||
						    kind == ERR_DOCUMENT || kind == ERR_CONFIG))
		gate_open(run->p->storage_gate);
}

static int fetch(struct run *run, struct err *err)
{
	const int64_t before = clock_boot_ms();

	scoreboard_state(board(run), slot(run), SB_FETCHING);
	if (run->environment == NULL) {
		if (document_take(run->p->http, &settings(run)->storage, run->p->process->one->fd,
			    run->job->path, &run->document, err) != 0)
			return -1;
	} else if (storage_fetch(run->p->http, run->environment, &settings(run)->storage, run->job,
			   &run->document, err) != 0) {
		storage_answered(run, err->kind);
		return -1;
	}
	storage_answered(run, ERR_NONE);
	log_event(LEVEL_DEBUG, "fetch", &(struct log_more){.ms = clock_boot_ms() - before},
		"Fetched %lld bytes", (long long)run->document.bytes);
	return 0;
}

/* ---- what is known already */

/* Document, engine, model and prompt: with any of them another, a stored page is another page. */
static char *page_key(const struct run *run)
{
	char *text = mem_printf("%s\n%s\n%s\n%s\n", run->document.sha256, run->p->type->name,
		run->p->type->model(run->p->engine), run->prompt.sha256);
	char *key = mem_calloc(HASH_TEXT_BYTES, 1);

	hash_text(text, key);
	free(text);
	return key;
}

static void note_known(void *arg, int page)
{
	struct run *run = arg;

	if (page < 1 || page > run->known_max || run->known[page])
		return;
	run->known[page] = true;
	run->known_count++;
}

static int recall(struct run *run, struct err *err)
{
	int rc;

	run->result->place = PIPELINE_ENGINE;
	if (prompt_load(settings(run)->engine.prompt_directory, run->job->source, &run->prompt,
		    err) != 0)
		return -1;
	run->result->page_key = page_key(run);
	run->known_max = settings(run)->render.max_pages;
	run->known = mem_calloc((size_t)run->known_max + 1, sizeof *run->known);
	rc = run->store->known(
		run->store->arg, run->job, run->result->page_key, note_known, run, err);
	if (rc != 0)
		run->result->place = PIPELINE_DATABASE;
	return rc;
}

/* ---- render */

static int render(struct run *run, struct err *err)
{
	const struct settings *s = settings(run);
	const char *format = run->p->type->image_format;

	return render_open(&run->render, &s->render, s->render_helper, run->document.fd,
		format != NULL ? format : s->render.format, run->known, run->known_max + 1, err);
}

/* ---- read, checkpoint */

static void sending(void *arg, int page)
{
	struct run *run = arg;

	scoreboard_page(board(run), slot(run), page, render_page_count(run->render));
	scoreboard_count(board(run), slot(run), SB_ENGINE_CALLS, 1);
}

static void answered(void *arg, int page, const struct engine_answer *answer)
{
	struct run *run = arg;
	const bool good = answer->error.kind == ERR_NONE;

	run->result->no_answer = answer->error.kind == ERR_TRANSIENT;
	if (!run->result->no_answer && run->p->engine_gate != NULL)
		gate_open(run->p->engine_gate);
	scoreboard_count(board(run), slot(run), SB_TOKENS_INPUT, (uint64_t)answer->tokens.input);
	scoreboard_count(board(run), slot(run), SB_TOKENS_OUTPUT, (uint64_t)answer->tokens.output);
	scoreboard_count(
		board(run), slot(run), SB_TOKENS_THINKING, (uint64_t)answer->tokens.thinking);
	if (!good)
		scoreboard_count(board(run), slot(run), SB_ENGINE_FAILURES, 1);
	log_event(good ? LEVEL_DEBUG : LEVEL_WARN, "engine",
		&(struct log_more){
			.page = page, .ms = answer->ms, .error = good ? NULL : answer->error.text},
		"%s", good ? "Page read" : "Page not read");
}

static void waited(void *arg, int64_t ms)
{
	struct run *run = arg;

	scoreboard_count(board(run), slot(run), SB_LIMIT_WAIT_MS, (uint64_t)ms);
}

/* Past its lease a claim may belong to somebody else any moment: no call is paid for then. */
static bool lease_is_good(const struct run *run)
{
	int64_t until_ms = 0;

	if (run->environment == NULL)
		return true;
	until_ms = scoreboard_valid_until(board(run), slot(run), run->job->number);
	if (until_ms < run->job->valid_until_ms)
		until_ms = run->job->valid_until_ms;
	return clock_boot_ms() < until_ms;
}

/* Nor for more than can be kept in memory while the database is away. */
static bool may_send(void *arg)
{
	const struct run *run = arg;

	return lease_is_good(run) && run->pending.len < PENDING_ENOUGH_BYTES;
}

static void pace(void *arg, enum reader_pace pace)
{
	static const enum sb_state states[] = {
		[READER_WORKS] = SB_READING,
		[READER_QUOTA] = SB_QUOTA,
		[READER_RETRY] = SB_BACKOFF,
		[READER_LEASE] = SB_OUTAGE,
	};
	struct run *run = arg;

	scoreboard_state(board(run), slot(run), states[pace]);
}

static bool is_last(const struct run *run)
{
	return run->known_count + run->done == render_page_count(run->render);
}

static void tally(struct run *run, const cJSON *page)
{
	const bool completed = json_bool(page, "isCompleted", false);

	run->done++;
	run->p->pages_finished++;
	run->result->lines += cJSON_GetArraySize(json_get(page, "lines"));
	run->result->tokens += json_int(page, "tokens.total", 0);
	scoreboard_count(board(run), slot(run), completed ? SB_PAGES_DONE : SB_PAGES_FAILED, 1);
	if (json_bool(page, "blank", false))
		scoreboard_count(board(run), slot(run), SB_PAGES_BLANK, 1);
}

static int checkpoint(void *arg, int number, cJSON *page, struct err *err)
{
	struct run *run = arg;
	const int64_t tokens = json_int(page, "tokens.total", 0);
	char *text = json_print(page);
	const int rc = buf_addf(&run->pending, "%c{\"page\":%d,\"tokens\":%lld,\"result\":%s}",
		run->pending.len == 0 ? '[' : ',', number, (long long)tokens, text);

	tally(run, page);
	free(text);
	cJSON_Delete(page);
	return rc == 0 ? 0
		       : err_set(err, ERR_DOCUMENT, "result-too-large",
				 "what was read on its pages is too large to be kept");
}

/* Those pending as a JSON array, no longer pending. free() it. */
static char *take_pending(struct run *run)
{
	char *text = run->pending.len > 0 ? mem_printf("%s]", buf_text(&run->pending)) : NULL;

	buf_reset(&run->pending);
	return text;
}

/* 1: not now. */
static int store_pending(struct run *run, struct err *err)
{
	char *text = mem_printf("%s]", buf_text(&run->pending));
	const int rc =
		run->store->save(run->store->arg, run->job, run->result->page_key, text, err);

	free(text);
	if (rc == 0)
		buf_reset(&run->pending);
	else if (rc == -1)
		run->result->place = PIPELINE_DATABASE;
	return rc;
}

static bool is_waiting(const struct run *run)
{
	return run->pending.len > 0 && !is_last(run);
}

static int64_t turn_due(void *arg)
{
	const struct run *run = arg;

	return is_waiting(run) ? run->store_due_ms : INT64_MAX;
}

/*
 * A page is stored as soon as it is there, so that no crash pays for it twice; where several come within a moment, they go
 * together. The last ones go with the result itself. While the database is away they are kept, and reading goes on as
 * long as the lease is good.
 */
static int turn(void *arg, struct err *err)
{
	struct run *run = arg;
	const bool waiting = is_waiting(run) && run->store_due_ms <= clock_boot_ms();
	const int rc = waiting ? store_pending(run, err) : 0;

	if (waiting)
		run->store_due_ms = clock_boot_ms() + STORE_EVERY_MS;
	run->store->turn(run->store->arg);
	if (rc == -1)
		return -1;
	if (is_last(run) || lease_is_good(run) ||
		(rc == 0 && (waiting || !run->store->away(run->store->arg))))
		return 0;
	run->result->place = PIPELINE_DATABASE;
	(void)err_set(err, ERR_TRANSIENT, "database-away",
		"the database is away, and the lease of the claim is over");
	return 1;
}

static int read_pages(struct run *run, struct err *err)
{
	const struct reader_plan plan = {
		.settings = settings(run),
		.http = run->p->http,
		.type = run->p->type,
		.engine = run->p->engine,
		.limiter = run->p->limiter,
		.render = run->render,
		.prompt = &run->prompt.engine,
		.events = {sending, answered, waited, checkpoint, turn, turn_due, may_send, pace,
			run},
	};

	scoreboard_state(board(run), slot(run), SB_READING);
	return reader_run(&plan, err);
}

/* ---- assemble */

/* Unique for each claim: the token without its worker id. */
static char *run_id(const struct job *job)
{
	const char *life = strchr(job->token, '/');
	char *id = mem_printf("job-%s-%s", job->id, life != NULL ? life + 1 : "0");

	for (char *c = id; *c != '\0'; c++)
		if (*c == '/')
			*c = '-';
	return id;
}

static int assemble(struct run *run, struct err *err)
{
	struct pipeline_result *result = run->result;
	char *id = run_id(run->job);
	const struct result_facts facts = {
		.job = run->job,
		.engine = run->p->type->name,
		.model = run->p->type->model(run->p->engine),
		.prompt_sha256 = run->prompt.sha256,
		.document_sha256 = run->document.sha256,
		.source_url = run->job->path,
		.run_id = id,
		.total_pages = render_page_count(run->render),
		.processing_ms = clock_boot_ms() - run->started_ms,
	};

	result->pages = facts.total_pages;
	result->pages_read = run->done;
	result->ms = facts.processing_ms;
	if (run->pending.len == 0)
		result->last_pages = mem_strdup("[]");
	if (run->known_count + run->done != facts.total_pages)
		(void)err_set(err, ERR_BUG, "pages", "%d pages known and %d read do not make %d",
			run->known_count, run->done, facts.total_pages);
	else
		result->envelope = result_envelope(&facts);
	free(id);
	return result->envelope != NULL ? 0 : -1;
}

static void run_end(struct run *run)
{
	render_close(run->render);
	prompt_fini(&run->prompt);
	document_fini(&run->document);
	buf_fini(&run->pending);
	free(run->known);
}

int pipeline_run(struct pipeline *p, const struct set_environment *environment,
	const struct job *job, const struct pipeline_store *store, struct pipeline_result *result,
	struct err *err)
{
	struct run run = {
		.p = p,
		.environment = environment,
		.job = job,
		.store = store,
		.result = result,
		.started_ms = clock_boot_ms(),
		.document = {.fd = -1},
	};
	int rc = -1;

	result->place = PIPELINE_STORAGE;
	buf_init(&run.pending, PENDING_MAX_BYTES);
	if (fetch(&run, err) == 0 && recall(&run, err) == 0 && render(&run, err) == 0 &&
		read_pages(&run, err) == 0 && assemble(&run, err) == 0)
		rc = 0;
	if (result->last_pages == NULL)
		result->last_pages = take_pending(&run);
	run_end(&run);
	return rc;
}

void pipeline_result_fini(struct pipeline_result *result)
{
	free(result->page_key);
	free(result->envelope);
	free(result->last_pages);
	*result = (struct pipeline_result){0};
}
