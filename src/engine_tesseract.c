#include "clock.h"
#include "engine.h"
#include "engine_tesseract_reader.h"
#include "mem.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A local engine of several readers, each a process that has one call at a time; it is started by
 * the first call that finds it missing, and stays.
 */

enum { READERS_MAX = 256, PROBE_LIMIT_MS = 30 * 1000 };

struct engine {
	const struct settings *settings; /* borrowed */
	struct http *http;               /* borrowed */
	struct reader *readers;
	size_t reader_count;
	int64_t last_id;
};

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
		tesseract_call_free(e->readers[i].call);
		(void)tesseract_reader_end(&e->readers[i]);
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
	if (tesseract_reader_is_stale(r))
		(void)tesseract_reader_end(r);
	if (r->state == READER_NONE && tesseract_reader_begin(e->settings, r, err) != 0)
		return -1;
	*out = r->call = call_new(e, prompt->table, page, owner);
	tesseract_reader_move_along(e->settings, r);
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
		if (n < max && !tesseract_call_is_sent(r->call))
			fds[n++] = (struct pollfd){.fd = r->helper.in, .events = POLLOUT};
	}
	return n;
}

static bool tesseract_finished(struct engine *e, struct engine_answer *answer, void **owner)
{
	for (size_t i = 0; i < e->reader_count; i++)
		tesseract_reader_move_along(e->settings, &e->readers[i]);
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
			(void)tesseract_reader_end(r);
		r->call = NULL;
		tesseract_call_free(call);
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
			(void)tesseract_reader_end(r);
			return err_set(err, ERR_TRANSIENT, "timeout",
				"the local reader was not ready within %d s",
				PROBE_LIMIT_MS / 1000);
		}
		if (http_wait(e->http, &fd, 1, left_ms, err) != 0 ||
			tesseract_reader_listen(e->settings, r, err) != 0)
			return -1;
	}
	return 0;
}

static int tesseract_probe(struct engine *e, struct err *err)
{
	struct reader *r = free_reader(e);

	if (r == NULL)
		return 0; /* all are reading: what could be better proof */
	if (tesseract_reader_is_stale(r))
		(void)tesseract_reader_end(r);
	if (r->state == READER_NONE && tesseract_reader_begin(e->settings, r, err) != 0)
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
