/*
 * Calls engine.h for test_tesseract.py: tesseract_driver do=probe|read name=value... image=FILE...
 *
 * helper= languages= datadir= helpers= timeout_ms= table=0|1 cancel=N (calls cancelled once all that
 * fit are started). Prints one JSON object a page, in the order they finish.
 */
#include "engine.h"
#include "fdio.h"
#include "json.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES_MAX = 64, FDS_MAX = 64, IMAGE_MAX_BYTES = 64 << 20, WAIT_MS = 100 };

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
	settings->workers = 1;
	settings->tesseract_helper = value(args, "helper");
	settings->engine.request_timeout_ms = number(args, "timeout_ms", 60000);
	settings->tesseract = (struct set_tesseract){.languages = value(args, "languages"),
		.datadir = value(args, "datadir"),
		.helpers = number(args, "helpers", 2)};
}

static int load_pages(struct page *pages, char **args, struct err *err)
{
	int count = 0;

	for (; *args != NULL && count < PAGES_MAX; args++) {
		if (strncmp(*args, "image=", 6) != 0)
			continue;
		buf_init(&pages[count].image, IMAGE_MAX_BYTES);
		if (fd_read_file(*args + 6, &pages[count].image, err) != 0)
			return -1;
		pages[count].dpi = 200;
		pages[count].number = count + 1;
		count++;
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
}

static void print(cJSON *out)
{
	char *text = json_print(out);

	(void)puts(text);
	(void)fflush(stdout);
	free(text);
	cJSON_Delete(out);
}

static void print_answer(const struct page *page, struct engine_answer *answer)
{
	cJSON *out = cJSON_CreateObject();

	json_add_int(out, "page", page->number);
	json_add_text(out, "model", answer->model);
	json_add_int(out, "ms", answer->ms);
	add_error(out, &answer->error);
	if (answer->body != NULL) {
		cJSON_AddItemToObject(out, "body", answer->body);
		answer->body = NULL;
	}
	engine_answer_fini(answer);
	print(out);
}

struct run {
	struct engine *e;
	struct http *http;
	struct engine_prompt prompt;
	struct page pages[PAGES_MAX];
	struct engine_call *calls[PAGES_MAX];
	int count, next, running;
};

static int start_some(struct run *r, struct err *err)
{
	while (r->next < r->count && r->running < engine_tesseract.capacity(r->e)) {
		struct page *page = &r->pages[r->next];

		if (engine_tesseract.start(r->e, &r->prompt, page, page, &r->calls[r->next], err) !=
			0)
			return -1;
		r->next++;
		r->running++;
	}
	return 0;
}

static int read_pages(struct run *r, int cancel, struct err *err)
{
	if (start_some(r, err) != 0)
		return -1;
	for (int i = 0; i < cancel; i++, r->running--)
		engine_tesseract.cancel(r->e, r->calls[i]);
	if (start_some(r, err) != 0)
		return -1;
	while (r->running > 0) {
		struct pollfd fds[FDS_MAX];
		const size_t n = engine_tesseract.poll_fds(r->e, fds, FDS_MAX);
		struct engine_answer answer;
		void *owner;

		if (http_wait(r->http, fds, n, WAIT_MS, err) != 0)
			return -1;
		while (engine_tesseract.finished(r->e, &answer, &owner)) {
			r->running--;
			print_answer(owner, &answer);
		}
		if (start_some(r, err) != 0)
			return -1;
	}
	return 0;
}

static int run(char **args, struct run *r, struct err *err)
{
	struct settings settings = {0};
	const struct engine_context context = {&settings, r->http};
	int rc = -1;

	fill_settings(&settings, args);
	r->prompt = (struct engine_prompt){"", number(args, "table", 0) != 0};
	r->count = load_pages(r->pages, args, err);
	if (r->count >= 0 && engine_tesseract.open(&r->e, &context, err) == 0)
		rc = strcmp(value(args, "do"), "probe") == 0
			     ? engine_tesseract.probe(r->e, err)
			     : read_pages(r, number(args, "cancel", 0), err);
	engine_tesseract.close(r->e);
	for (int i = 0; i < PAGES_MAX; i++)
		buf_fini(&r->pages[i].image);
	return rc;
}

int main(int argc, char **argv)
{
	static struct run r;
	struct err err = {0};
	cJSON *out = cJSON_CreateObject();
	int rc;

	(void)argc;
	(void)signal(SIGPIPE, SIG_IGN);
	rc = http_new(&r.http, &err);
	if (rc == 0)
		rc = run(argv, &r, &err);
	cJSON_AddBoolToObject(out, "ok", rc == 0);
	add_error(out, &err);
	print(out);
	http_free_all(r.http);
	return 0;
}
