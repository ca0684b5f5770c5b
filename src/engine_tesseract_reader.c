#include "engine_tesseract_reader.h"

#include "buf.h"
#include "clock.h"
#include "json.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PACKAGES_MAX_BYTES = 200 };
/* A page of the largest size is 64 MB grey and held several times over. */
static const int64_t helper_memory_bytes = (int64_t)2 << 30;

/* ---- one reader -------------------------------------------------------------------------------- */

int tesseract_reader_end(struct reader *r)
{
	if (r->state == READER_NONE)
		return 0;
	frame_reader_fini(&r->frame);
	r->state = READER_NONE;
	return helper_stop(&r->helper);
}

int tesseract_reader_begin(const struct settings *settings, struct reader *r, struct err *err)
{
	static const char *const environment[] = {"OMP_THREAD_LIMIT=1", "LC_ALL=C.UTF-8", NULL};
	const struct set_tesseract *set = &settings->tesseract;
	const char *const argv[] = {"indexocr-tesseract", "--languages", set->languages,
		set->datadir != NULL ? "--datadir" : NULL, set->datadir, NULL};
	const struct helper_command command = {
		.path = settings->tesseract_helper,
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

	helper_how_ended(tesseract_reader_end(r), how, sizeof how);
	return err_set(err, ERR_TRANSIENT, "helper-died", "the local reader %s", how);
}

/* What it says cannot be understood, nor can what it will say next. */
static int reader_strayed(struct reader *r, struct err *err)
{
	(void)tesseract_reader_end(r);
	return err_set(err, ERR_TRANSIENT, "helper-died", "the local reader broke the protocol");
}

/* Nothing is owed by an idle reader: whatever its pipe says, it is its end. */
bool tesseract_reader_is_stale(const struct reader *r)
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

static int refused_to_start(const struct settings *settings, const cJSON *meta, struct err *err)
{
	const struct set_tesseract *set = &settings->tesseract;
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

void tesseract_call_free(struct engine_call *call)
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

bool tesseract_call_is_sent(const struct engine_call *call)
{
	return call->sent_bytes == call_bytes(call);
}

/* Writes what the pipe takes. -1: the pipe is broken. */
static int call_send(struct engine_call *call, int fd)
{
	while (!tesseract_call_is_sent(call)) {
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
static int take_frame(const struct settings *settings, struct reader *r, struct err *err)
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
		(void)tesseract_reader_end(r);
		rc = refused_to_start(settings, meta, err);
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
int tesseract_reader_listen(const struct settings *settings, struct reader *r, struct err *err)
{
	int rc;

	while ((rc = frame_read(&r->frame, r->helper.out, err)) == 1) {
		if (take_frame(settings, r, err) != 0)
			return -1;
		if (r->call == NULL || r->call->done)
			return 0;
	}
	if (rc == -1)
		return err->kind == ERR_BUG ? reader_strayed(r, err) : reader_died(r, err);
	return 0;
}

void tesseract_reader_move_along(const struct settings *settings, struct reader *r)
{
	struct engine_call *call = r->call;
	struct err err = {0};

	if (call == NULL || call->done)
		return;
	/* A broken pipe may still have the reason to be read at its other side. */
	if (call_send(call, r->helper.in) != 0)
		call->sent_bytes = call_bytes(call);
	if (tesseract_reader_listen(settings, r, &err) != 0) {
		call_finish(call, &err);
	} else if (!call->done && clock_left_ms(call->deadline_ms) == 0) {
		(void)tesseract_reader_end(r);
		(void)err_set(&err, ERR_TRANSIENT, "timeout",
			"the local reader did not answer within %lld ms",
			(long long)(call->deadline_ms - call->started_ms));
		call_finish(call, &err);
	}
}
