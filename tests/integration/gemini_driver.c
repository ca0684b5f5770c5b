/*
 * Calls engine.h for test_gemini.py: gemini_driver do=probe|read name=value... image=FILE...
 *
 * base_url= key= model= table=0|1 prompt= at_once= timeout_ms= store= thinking_level= cancel=N (calls
 * cancelled once all are started). Prints one JSON object a page, in the order they finish.
 */
#include "engine.h"
#include "fdio.h"
#include "json.h"

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES_MAX = 64, IMAGE_MAX_BYTES = 32 << 20, WAIT_MS = 1000 };

struct reading {
	struct page page;
	struct engine_call *call; /* NULL once finished */
	int64_t estimate;
};

static char *value(char **args, const char *key)
{
	const size_t len = strlen(key);

	for (; *args != NULL; args++)
		if (strncmp(*args, key, len) == 0 && (*args)[len] == '=')
			return *args + len + 1;
	return NULL;
}

static int number(char **args, const char *key, int otherwise)
{
	const char *text = value(args, key);

	return text != NULL ? (int)strtol(text, NULL, 10) : otherwise;
}

static void fill_settings(struct settings *settings, char **args)
{
	settings->engine.page_concurrency = number(args, "at_once", 4);
	settings->engine.request_timeout_ms = number(args, "timeout_ms", 20000);
	settings->gemini = (struct set_gemini){.api_key = value(args, "key"),
		.model = value(args, "model"),
		.base_url = value(args, "base_url"),
		.max_output_tokens = 8192,
		.thinking_level = value(args, "thinking_level"),
		.temperature = NAN,
		.thinking_budget = INT_MIN,
		.store = number(args, "store", -1)};
}

/* Big endian, as PNG has its numbers. */
static int edge(const char *at)
{
	const unsigned char *b = (const unsigned char *)at;

	return b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

static int load_pages(struct reading *readings, char **args, struct err *err)
{
	int count = 0;

	for (; *args != NULL && count < PAGES_MAX; args++) {
		struct page *page = &readings[count].page;

		if (strncmp(*args, "image=", 6) != 0)
			continue;
		buf_init(&page->image, IMAGE_MAX_BYTES);
		if (fd_read_file(*args + 6, &page->image, err) != 0)
			return -1;
		(void)snprintf(page->mime, sizeof page->mime, "image/png");
		page->number = ++count;
		if (page->image.len > 24) {
			page->width = edge(page->image.data + 16);
			page->height = edge(page->image.data + 20);
		}
	}
	return count;
}

static void add_error(cJSON *out, const struct err *err)
{
	cJSON *error;

	if (err->kind == ERR_NONE)
		return;
	error = cJSON_AddObjectToObject(out, "error");
	json_add_text(error, "kind", err_kind_name(err->kind));
	json_add_text(error, "code", err->code);
	json_add_text(error, "text", err->text);
	json_add_int(error, "retry_after_ms", err->retry_after_ms);
}

static void print(cJSON *out)
{
	char *text = json_print(out);

	(void)puts(text);
	free(text);
	cJSON_Delete(out);
}

static void print_answer(const struct reading *r, struct engine_answer *answer)
{
	cJSON *out = cJSON_CreateObject();
	cJSON *tokens = cJSON_AddObjectToObject(out, "tokens");

	json_add_int(out, "page", r->page.number);
	json_add_int(out, "estimate", r->estimate);
	json_add_text(out, "model", answer->model);
	json_add_text(out, "finish_reason", answer->finish_reason);
	json_add_int(out, "http_status", answer->http_status);
	json_add_int(out, "ms", answer->ms);
	json_add_int(tokens, "input", answer->tokens.input);
	json_add_int(tokens, "output", answer->tokens.output);
	json_add_int(tokens, "thinking", answer->tokens.thinking);
	json_add_int(tokens, "total", answer->tokens.total);
	add_error(out, &answer->error);
	if (answer->body != NULL) {
		cJSON_AddItemToObject(out, "body", answer->body);
		answer->body = NULL;
	}
	engine_answer_fini(answer);
	print(out);
}

static int start_some(struct engine *e, const struct engine_prompt *prompt,
	struct reading *readings, int count, int *next, int *running, struct err *err)
{
	while (*next < count && *running < engine_gemini.capacity(e)) {
		struct reading *r = &readings[*next];

		r->estimate = engine_gemini.estimate(e, prompt, &r->page);
		if (engine_gemini.start(e, prompt, &r->page, r, &r->call, err) != 0)
			return -1;
		++*next;
		++*running;
	}
	return 0;
}

static void cancel_some(struct engine *e, struct reading *readings, int wanted, int *running)
{
	for (int i = 0; i < wanted; i++) {
		engine_gemini.cancel(e, readings[i].call);
		--*running;
	}
}

static int read_pages(struct engine *e, struct http *http, char **args, struct reading *readings,
	int count, struct err *err)
{
	const struct engine_prompt prompt = {value(args, "prompt"), number(args, "table", 0) != 0};
	int next = 0;
	int running = 0;

	if (start_some(e, &prompt, readings, count, &next, &running, err) != 0)
		return -1;
	cancel_some(e, readings, number(args, "cancel", 0), &running);
	while (running > 0) {
		struct engine_answer answer;
		void *owner;

		if (http_wait(http, NULL, 0, WAIT_MS, err) != 0)
			return -1;
		while (engine_gemini.finished(e, &answer, &owner)) {
			running--;
			print_answer(owner, &answer);
		}
		if (start_some(e, &prompt, readings, count, &next, &running, err) != 0)
			return -1;
	}
	return 0;
}

static int run(char **args, struct http *http, struct err *err)
{
	struct settings settings = {0};
	const struct engine_context context = {&settings, http};
	struct reading readings[PAGES_MAX] = {0};
	struct engine *e = NULL;
	int count = load_pages(readings, args, err);
	int rc = -1;

	fill_settings(&settings, args);
	if (count >= 0 && engine_gemini.open(&e, &context, err) == 0)
		rc = strcmp(value(args, "do"), "probe") == 0
			     ? engine_gemini.probe(e, err)
			     : read_pages(e, http, args, readings, count, err);
	engine_gemini.close(e);
	for (int i = 0; i < PAGES_MAX; i++)
		buf_fini(&readings[i].page.image);
	return rc;
}

int main(int argc, char **argv)
{
	struct http *http;
	struct err err = {0};
	cJSON *out = cJSON_CreateObject();
	int rc;

	(void)argc;
	(void)signal(SIGPIPE, SIG_IGN);
	rc = http_new(&http, &err);
	if (rc == 0)
		rc = run(argv, http, &err);
	cJSON_AddBoolToObject(out, "ok", rc == 0);
	add_error(out, &err);
	print(out);
	http_free_all(http);
	return 0;
}
