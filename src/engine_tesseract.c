#include "buf.h"
#include "clock.h"
#include "engine.h"
#include "frame.h"
#include "helper.h"
#include "json.h"
#include "mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * A local engine of several readers, each a process of indexocr-tesseract that has one call at a
 * time; it is started by the first call that finds it missing, and stays. All pipes are
 * non-blocking: finished() writes and reads what can be, and looks at the deadlines. SIGPIPE must
 * be ignored.
 */

enum {
	META_MAX_BYTES = 128,
	READERS_MAX = 256,
	PROBE_LIMIT_MS = 30 * 1000,
	PACKAGES_MAX_BYTES = 200
};
/* A page of the largest size is 64 MB grey and held several times over. */
static const int64_t helper_memory_bytes = (int64_t)2 << 30;

enum reader_state { READER_NONE, READER_STARTING, READER_READY };

struct engine_call {
	void *owner;
	const struct page *page; /* borrowed until the call ends */
	unsigned char head[FRAME_HEAD_BYTES];
	char meta[META_MAX_BYTES];
	size_t sent_bytes; /* of head, meta and image together */
	int64_t id;
	int64_t started_ms, deadline_ms; /* boot time */
	bool done;
	struct engine_answer answer; /* once done */
};

struct reader {
	struct helper helper;
	struct frame_reader frame;
	enum reader_state state;
	struct engine_call *call; /* owned until it is handed out; NULL = free for one */
};

struct engine {
	const struct settings *settings; /* borrowed */
	struct http *http;               /* borrowed */
	struct reader *readers;
	size_t reader_count;
	int64_t last_id;
};

/* ---- one reader -------------------------------------------------------------------------------- */

static int reader_end(struct reader *r)
{
	if (r->state == READER_NONE)
		return 0;
	frame_reader_fini(&r->frame);
	r->state = READER_NONE;
	return helper_stop(&r->helper);
}

static int reader_begin(const struct engine *e, struct reader *r, struct err *err)
{
	static const char *const environment[] = {"OMP_THREAD_LIMIT=1", "LC_ALL=C.UTF-8", NULL};
	const struct set_tesseract *set = &e->settings->tesseract;
	const char *const argv[] = {"indexocr-tesseract", "--languages", set->languages,
		set->datadir != NULL ? "--datadir" : NULL, set->datadir, NULL};
	const struct helper_command command = {
		.path = e->settings->tesseract_helper,
		.argv = argv,
		.environment = environment,
		.input_fd = -1,
		.memory_bytes = helper_memory_bytes,
	};

	if (helper_start(&r->helper, &command, err) != 0)
		return -1;
	frame_reader_init(&r->frame, 0); /* answers are metas; no body comes behind them */
	r->state = READER_STARTING;
	return 0;
}

/* Its pipe broke; a new one takes its place with the next call. */
static int reader_died(struct reader *r, struct err *err)
{
	char how[96];

	helper_how_ended(reader_end(r), how, sizeof how);
	return err_set(err, ERR_TRANSIENT, "helper-died", "the local reader %s", how);
}

/* What it says cannot be understood, nor can what it will say next. */
static int reader_strayed(struct reader *r, struct err *err)
{
	(void)reader_end(r);
	return err_set(err, ERR_TRANSIENT, "helper-died", "the local reader broke the protocol");
}

/* Nothing is owed by an idle reader: whatever its pipe says, it is its end. */
static bool reader_is_stale(const struct reader *r)
{
	struct pollfd fd = {.fd = r->helper.out, .events = POLLIN};

	return r->state == READER_READY && poll(&fd, 1, 0) != 0;
}

/* "tesseract-ocr-fra tesseract-ocr-chi-sim" for "fra+chi_sim". */
static void debian_packages(const char *languages, char *out, size_t size)
{
	struct buf b;
	bool begins = true;

	buf_init(&b, size - 1);
	for (const char *p = languages; *p != '\0'; p++) {
		if (begins && buf_addf(&b, "%stesseract-ocr-", b.len > 0 ? " " : "") != 0)
			break;
		begins = *p == '+';
		if (!begins && buf_addf(&b, "%c", *p == '_' ? '-' : *p) != 0)
			break;
	}
	(void)snprintf(out, size, "%s", buf_text(&b));
	buf_fini(&b);
}

static int refused_to_start(const struct engine *e, const cJSON *meta, struct err *err)
{
	const struct set_tesseract *set = &e->settings->tesseract;
	const char *code = json_text(meta, "code");
	const char *message = json_text(meta, "message");
	char packages[PACKAGES_MAX_BYTES];

	if (code == NULL || strcmp(code, "language-missing") != 0)
		return err_set(err, ERR_CONFIG, "helper-refused", "the local reader: %.200s",
			message != NULL ? message : "refused to start");
	debian_packages(set->languages, packages, sizeof packages);
	if (set->datadir != NULL)
		return err_set(err, ERR_CONFIG, code,
			"%.160s; put its .traineddata there, or leave tesseract.datadir out and "
			"install the Debian package %s",
			message != NULL ? message : "language data are missing", packages);
	return err_set(err, ERR_CONFIG, code, "%.200s; install the Debian package %s",
		message != NULL ? message : "language data are missing", packages);
}

/* ---- one call ---------------------------------------------------------------------------------- */

static void call_free(struct engine_call *call)
{
	if (call == NULL)
		return;
	engine_answer_fini(&call->answer);
	free(call);
}

static void call_finish(struct engine_call *call, const struct err *why)
{
	if (why != NULL)
		call->answer.error = *why;
	call->answer.ms = clock_boot_ms() - call->started_ms;
	call->done = true;
}

/* The rest of one part of a request, of which the first *skip bytes are sent; returns how many
 * parts that is. */
static int rest_of(struct iovec *iov, const void *data, size_t bytes, size_t *skip)
{
	union {
		const void *in;
		char *out;
	} start = {data}; /* writev() wants no const; it writes nothing there */

	if (*skip >= bytes) {
		*skip -= bytes;
		return 0;
	}
	*iov = (struct iovec){start.out + *skip, bytes - *skip};
	*skip = 0;
	return 1;
}

static size_t call_bytes(const struct engine_call *call)
{
	return sizeof call->head + strlen(call->meta) + call->page->image.len;
}

static bool call_is_sent(const struct engine_call *call)
{
	return call->sent_bytes == call_bytes(call);
}

/* Writes what the pipe takes. -1: the pipe is broken. */
static int call_send(struct engine_call *call, int fd)
{
	while (!call_is_sent(call)) {
		struct iovec iov[3];
		size_t skip = call->sent_bytes;
		int parts = rest_of(iov, call->head, sizeof call->head, &skip);
		ssize_t n;

		parts += rest_of(iov + parts, call->meta, strlen(call->meta), &skip);
		parts += rest_of(iov + parts, call->page->image.data, call->page->image.len, &skip);
		n = writev(fd, iov, parts);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		call->sent_bytes += (size_t)n;
	}
	return 0;
}

static void take_answer(struct engine_call *call, cJSON *meta)
{
	cJSON *body = cJSON_DetachItemFromObjectCaseSensitive(meta, "body");

	if (cJSON_IsObject(body)) {
		call->answer.body = body;
	} else {
		cJSON_Delete(body);
		(void)err_set(&call->answer.error, ERR_BUG, "frame",
			"the local reader sent an answer without a body");
	}
	call_finish(call, NULL);
}

static void take_failure(struct engine_call *call, const cJSON *meta)
{
	const char *code = json_text(meta, "code");
	const char *message = json_text(meta, "message");

	(void)err_set(&call->answer.error, ERR_REQUEST, code != NULL ? code : "refused", "%.400s",
		message != NULL ? message : "the local reader could not read the page");
	call_finish(call, NULL);
}

/* ---- frames from a reader ---------------------------------------------------------------------- */

/* -1: *err ends the reader's call; the reader is ended already where it must be. */
static int take_frame(const struct engine *e, struct reader *r, struct err *err)
{
	cJSON *meta = json_parse(buf_text(&r->frame.meta), r->frame.meta.len);
	const char *type = json_text(meta, "type");
	struct engine_call *call = r->call;
	const bool ours = call != NULL && json_int(meta, "id", -1) == call->id;
	int rc = 0;

	if (type == NULL)
		rc = reader_strayed(r, err);
	else if (r->state == READER_STARTING && strcmp(type, "ready") == 0)
		r->state = READER_READY;
	else if (r->state == READER_STARTING && strcmp(type, "error") == 0) {
		(void)reader_end(r);
		rc = refused_to_start(e, meta, err);
	} else if (ours && strcmp(type, "answer") == 0)
		take_answer(call, meta);
	else if (ours && strcmp(type, "failed") == 0)
		take_failure(call, meta);
	else
		rc = reader_strayed(r, err);
	cJSON_Delete(meta);
	return rc;
}

/* Everything that can be read now, until the call is done. */
static int take_frames(const struct engine *e, struct reader *r, struct err *err)
{
	int rc;

	while ((rc = frame_read(&r->frame, r->helper.out, err)) == 1) {
		if (take_frame(e, r, err) != 0)
			return -1;
		if (r->call == NULL || r->call->done)
			return 0;
	}
	if (rc == -1)
		return err->kind == ERR_BUG ? reader_strayed(r, err) : reader_died(r, err);
	return 0;
}

static void move_along(const struct engine *e, struct reader *r)
{
	struct engine_call *call = r->call;
	struct err err = {0};

	if (call == NULL || call->done)
		return;
	/* A broken pipe may still have the reason to be read at its other side. */
	if (call_send(call, r->helper.in) != 0)
		call->sent_bytes = call_bytes(call);
	if (take_frames(e, r, &err) != 0) {
		call_finish(call, &err);
	} else if (!call->done && clock_left_ms(call->deadline_ms) == 0) {
		(void)reader_end(r);
		(void)err_set(&err, ERR_TRANSIENT, "timeout",
			"the local reader did not answer within %lld ms",
			(long long)(call->deadline_ms - call->started_ms));
		call_finish(call, &err);
	}
}

/* ---- the engine -------------------------------------------------------------------------------- */

static size_t reader_count(const struct settings *settings)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);
	const int workers = settings->workers > 0 ? settings->workers : 1;
	long count =
		settings->tesseract.helpers > 0 ? settings->tesseract.helpers : cores / workers;

	if (count < 1)
		count = 1;
	return (size_t)(count < READERS_MAX ? count : READERS_MAX);
}

static int tesseract_open(
	struct engine **out, const struct engine_context *context, struct err *err)
{
	struct engine *e = mem_calloc(1, sizeof *e);

	(void)err; /* what can fail fails at the first call, or in probe() */
	e->settings = context->settings;
	e->http = context->http;
	e->reader_count = reader_count(context->settings);
	e->readers = mem_calloc(e->reader_count, sizeof *e->readers);
	for (size_t i = 0; i < e->reader_count; i++)
		e->readers[i].helper = HELPER_NONE;
	*out = e;
	return 0;
}

static void tesseract_close(struct engine *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < e->reader_count; i++) {
		call_free(e->readers[i].call);
		(void)reader_end(&e->readers[i]);
	}
	free(e->readers);
	free(e);
}

static int64_t tesseract_estimate(
	const struct engine *e, const struct engine_prompt *prompt, const struct page *page)
{
	(void)e, (void)prompt, (void)page;
	return 0;
}

static int tesseract_capacity(const struct engine *e)
{
	return (int)e->reader_count;
}

static const char *tesseract_model(const struct engine *e)
{
	return e->settings->tesseract.languages;
}

/* One that runs already before one that would have to be started. */
static struct reader *free_reader(const struct engine *e)
{
	struct reader *found = NULL;

	for (size_t i = 0; i < e->reader_count; i++) {
		struct reader *r = &e->readers[i];

		if (r->call == NULL && (found == NULL || r->state > found->state))
			found = r;
	}
	return found;
}

static struct engine_call *call_new(
	struct engine *e, bool table, const struct page *page, void *owner)
{
	struct engine_call *call = mem_calloc(1, sizeof *call);

	call->owner = owner;
	call->page = page;
	call->id = ++e->last_id;
	call->started_ms = clock_boot_ms();
	call->deadline_ms = call->started_ms + e->settings->engine.request_timeout_ms;
	(void)snprintf(call->meta, sizeof call->meta,
		"{\"type\":\"read\",\"id\":%lld,\"table\":%s,\"dpi\":%d}", (long long)call->id,
		table ? "true" : "false", page->dpi);
	frame_head(call->head, strlen(call->meta), page->image.len);
	(void)snprintf(call->answer.model, sizeof call->answer.model, "%s", tesseract_model(e));
	return call;
}

static int tesseract_start(struct engine *e, const struct engine_prompt *prompt,
	const struct page *page, void *owner, struct engine_call **out, struct err *err)
{
	struct reader *r = free_reader(e);

	if (r == NULL)
		return err_set(err, ERR_BUG, "capacity", "more pages than local readers");
	if (reader_is_stale(r))
		(void)reader_end(r);
	if (r->state == READER_NONE && reader_begin(e, r, err) != 0)
		return -1;
	*out = r->call = call_new(e, prompt->table, page, owner);
	move_along(e, r);
	return 0;
}

static size_t tesseract_poll_fds(const struct engine *e, struct pollfd *fds, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < e->reader_count; i++) {
		const struct reader *r = &e->readers[i];

		if (r->state == READER_NONE || r->call == NULL || r->call->done)
			continue;
		if (n < max)
			fds[n++] = (struct pollfd){.fd = r->helper.out, .events = POLLIN};
		if (n < max && !call_is_sent(r->call))
			fds[n++] = (struct pollfd){.fd = r->helper.in, .events = POLLOUT};
	}
	return n;
}

static bool tesseract_finished(struct engine *e, struct engine_answer *answer, void **owner)
{
	for (size_t i = 0; i < e->reader_count; i++)
		move_along(e, &e->readers[i]);
	for (size_t i = 0; i < e->reader_count; i++) {
		struct engine_call *call = e->readers[i].call;

		if (call == NULL || !call->done)
			continue;
		e->readers[i].call = NULL;
		*answer = call->answer;
		*owner = call->owner;
		free(call);
		return true;
	}
	return false;
}

/* A reader in the middle of a page cannot be told to stop. */
static void tesseract_cancel(struct engine *e, struct engine_call *call)
{
	for (size_t i = 0; i < e->reader_count; i++) {
		struct reader *r = &e->readers[i];

		if (r->call != call)
			continue;
		if (!call->done)
			(void)reader_end(r);
		r->call = NULL;
		call_free(call);
		return;
	}
}

static int wait_until_ready(struct engine *e, struct reader *r, struct err *err)
{
	const int64_t deadline_ms = clock_boot_ms() + PROBE_LIMIT_MS;

	while (r->state == READER_STARTING) {
		struct pollfd fd = {.fd = r->helper.out, .events = POLLIN};
		const int left_ms = clock_left_ms(deadline_ms);

		if (left_ms == 0) {
			(void)reader_end(r);
			return err_set(err, ERR_TRANSIENT, "timeout",
				"the local reader was not ready within %d s",
				PROBE_LIMIT_MS / 1000);
		}
		if (http_wait(e->http, &fd, 1, left_ms, err) != 0 || take_frames(e, r, err) != 0)
			return -1;
	}
	return 0;
}

static int tesseract_probe(struct engine *e, struct err *err)
{
	struct reader *r = free_reader(e);

	if (r == NULL)
		return 0; /* all are reading: what could be better proof */
	if (reader_is_stale(r))
		(void)reader_end(r);
	if (r->state == READER_NONE && reader_begin(e, r, err) != 0)
		return -1;
	return wait_until_ready(e, r, err);
}

const struct engine_type engine_tesseract = {
	.name = "tesseract",
	.image_format = "pnm",
	.metered = false,
	.open = tesseract_open,
	.estimate = tesseract_estimate,
	.capacity = tesseract_capacity,
	.start = tesseract_start,
	.poll_fds = tesseract_poll_fds,
	.finished = tesseract_finished,
	.cancel = tesseract_cancel,
	.model = tesseract_model,
	.probe = tesseract_probe,
	.close = tesseract_close,
};
