#include "engine.h"

#include "gemini.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum {
	CONNECT_TIMEOUT_MS = 10000,
	PROBE_TIMEOUT_MS = 15000,
	PROBE_MAX_BYTES = 256 * 1024,
	ANSWER_MAX_BYTES = 8 << 20,
	/* The server gives up a little earlier than we do, so that its own word arrives. */
	SERVER_AHEAD_MS = 5000,
	SERVER_LEAST_MS = 1000
};

static const double RATIO_MIN = 0.25, RATIO_MAX = 4.0, RATIO_WEIGHT = 0.1;

struct engine_call {
	struct engine_call *next;
	struct http_exchange *exchange; /* owned */
	struct gemini_request request;  /* owned */
	bool table;
	int64_t estimate; /* without the ratio */
	void *owner;
};

struct engine {
	const struct settings *settings; /* borrowed */
	struct http *http;               /* borrowed */
	char *url;                       /* of a call */
	char *key_header;                /* secret */
	char *timeout_header;
	struct engine_call *calls; /* in flight */
	double answer_tokens; /* an answer's, thoughts included, as learned; counted where limits.tpm_counts is "total" */
	double ratio; /* tokens of the input that were, over those that were expected */
};

static char *timeout_header(const struct set_engine *settings)
{
	int64_t ms = settings->request_timeout_ms - SERVER_AHEAD_MS;

	if (ms < SERVER_LEAST_MS)
		ms = SERVER_LEAST_MS;
	return mem_printf("X-Server-Timeout: %lld", (long long)(ms / 1000));
}

static int open_gemini(struct engine **out, const struct engine_context *context, struct err *err)
{
	const struct set_gemini *settings = &context->settings->gemini;
	struct engine *e;

	*out = NULL;
	if (settings->api_key == NULL || settings->api_key[0] == '\0')
		return err_set(err, ERR_CONFIG, "no-key", "gemini.api_key is empty");
	e = mem_calloc(1, sizeof *e);
	e->settings = context->settings;
	e->http = context->http;
	e->ratio = 1.0;
	e->answer_tokens = settings->max_output_tokens;
	e->url = gemini_url(settings, ":generateContent");
	e->key_header = mem_printf("x-goog-api-key: %s", settings->api_key);
	e->timeout_header = timeout_header(&context->settings->engine);
	*out = e;
	return 0;
}

static int64_t estimate(
	const struct engine *e, const struct engine_prompt *prompt, const struct page *page)
{
	const double input = (double)gemini_estimate(&e->settings->gemini, prompt, page) * e->ratio;
	const bool total = e->settings->limits.tpm_counts == TPM_TOTAL;

	return (int64_t)(input + (total ? e->answer_tokens : 0)) + 1;
}

static int capacity(const struct engine *e)
{
	return e->settings->engine.page_concurrency;
}

static void unlink_call(struct engine *e, struct engine_call *call)
{
	struct engine_call **link = &e->calls;

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
}

static void free_call(struct engine_call *call)
{
	http_free(call->exchange);
	gemini_request_fini(&call->request);
	free(call);
}

static int start(struct engine *e, const struct engine_prompt *prompt, const struct page *page,
	void *owner, struct engine_call **out, struct err *err)
{
	const char *const headers[] = {
		e->key_header, "Content-Type: application/json", e->timeout_header, NULL};
	struct engine_call *call = mem_calloc(1, sizeof *call);
	struct http_request request = {.method = "POST",
		.url = e->url,
		.headers = headers,
		.parts = call->request.parts,
		.part_count = GEMINI_PARTS,
		.timeout_ms = e->settings->engine.request_timeout_ms,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.max_response_bytes = ANSWER_MAX_BYTES,
		.owner = call};

	*out = NULL;
	call->table = prompt->table;
	call->owner = owner;
	call->estimate = gemini_estimate(&e->settings->gemini, prompt, page);
	gemini_request_init(&call->request, &e->settings->gemini, prompt, page);
	if (http_start(e->http, &request, &call->exchange, err) != 0) {
		free_call(call);
		return -1;
	}
	call->next = e->calls;
	e->calls = call;
	*out = call;
	return 0;
}

/* Everything is inside http. */
static size_t poll_fds(const struct engine *e, struct pollfd *fds, size_t max)
{
	(void)e;
	(void)fds;
	(void)max;
	return 0;
}

static void learn(
	struct engine *e, const struct engine_call *call, const struct engine_tokens *tokens)
{
	double seen;

	if (tokens->input <= 0)
		return;
	seen = (double)(tokens->output + tokens->thinking);
	e->answer_tokens += (seen - e->answer_tokens) * RATIO_WEIGHT;
	seen = (double)tokens->input / (double)call->estimate;
	seen = seen < RATIO_MIN ? RATIO_MIN : seen > RATIO_MAX ? RATIO_MAX : seen;
	e->ratio += (seen - e->ratio) * RATIO_WEIGHT;
}

static void read_answer(
	const struct engine *e, const struct engine_call *call, struct engine_answer *answer)
{
	const struct http_exchange *x = call->exchange;

	*answer = (struct engine_answer){0};
	if (http_result(x, &answer->error) == 0)
		gemini_answer(http_status(x), http_header(x, "Retry-After"), buf_text(http_body(x)),
			http_body(x)->len, e->settings->gemini.api_key, call->table, answer);
	else if (answer->error.kind == ERR_DOCUMENT) /* the document is not to blame */
		answer->error.kind = ERR_TRUNCATED;
	answer->ms = http_elapsed_ms(x);
}

static bool finished(struct engine *e, struct engine_answer *answer, void **owner)
{
	struct http_exchange *x = http_finished(e->http);
	struct engine_call *call;

	if (x == NULL)
		return false;
	call = http_owner(x);
	read_answer(e, call, answer);
	learn(e, call, &answer->tokens);
	*owner = call->owner;
	unlink_call(e, call);
	free_call(call);
	return true;
}

static void cancel(struct engine *e, struct engine_call *call)
{
	unlink_call(e, call);
	free_call(call);
}

static const char *model(const struct engine *e)
{
	return e->settings->gemini.model;
}

/* Asks for the model's own page: shows whether address, key and model are right, and costs nothing. */
static int probe(struct engine *e, struct err *err)
{
	const char *const headers[] = {e->key_header, NULL};
	char *url = gemini_url(&e->settings->gemini, "");
	const struct http_request request = {.method = "GET",
		.url = url,
		.headers = headers,
		.timeout_ms = PROBE_TIMEOUT_MS,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.max_response_bytes = PROBE_MAX_BYTES};
	struct http_exchange *x;
	int rc = http_run(e->http, &request, &x, err);

	free(url);
	if (rc == 0 && http_status(x) != 200)
		rc = gemini_fault(http_status(x), http_header(x, "Retry-After"),
			buf_text(http_body(x)), http_body(x)->len, e->settings->gemini.api_key,
			err);
	if (x != NULL)
		http_free(x);
	return rc;
}

static void close_gemini(struct engine *e)
{
	if (e == NULL)
		return;
	while (e->calls != NULL)
		cancel(e, e->calls);
	mem_free_secret(e->key_header);
	free(e->timeout_header);
	free(e->url);
	free(e);
}

const struct engine_type engine_gemini = {.name = "gemini",
	.image_format = NULL,
	.metered = true,
	.open = open_gemini,
	.estimate = estimate,
	.capacity = capacity,
	.start = start,
	.poll_fds = poll_fds,
	.finished = finished,
	.cancel = cancel,
	.model = model,
	.probe = probe,
	.close = close_gemini};
