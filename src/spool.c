#include "spool.h"

#include "fdio.h"
#include "json.h"
#include "mem.h"
#include "result.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spool {
	cJSON **pages; /* owned; [page - 1], NULL = not there yet */
	int max;
};

static int none_known(void *arg, const struct job *job, const char *page_key,
	void (*fn)(void *arg, int page), void *fn_arg, struct err *err)
{
	(void)arg, (void)job, (void)page_key, (void)fn, (void)fn_arg, (void)err;
	return 0;
}

/* Takes the "result" of each {"page", "result"} to its place. */
static int keep(void *arg, const struct job *job, const char *page_key, const char *pages_json,
	struct err *err)
{
	struct spool *spool = arg;
	cJSON *entries = json_parse(pages_json, strlen(pages_json));
	const cJSON *entry;

	(void)job, (void)page_key, (void)err;
	cJSON_ArrayForEach(entry, entries)
	{
		const int64_t page = json_int(entry, "page", 0);

		if (page < 1 || page > spool->max)
			continue;
		cJSON_Delete(spool->pages[page - 1]);
		spool->pages[page - 1] = cJSON_Duplicate(json_get(entry, "result"), true);
	}
	cJSON_Delete(entries);
	return 0;
}

static bool is_here(void *arg)
{
	(void)arg;
	return false;
}

static void nothing_to_do(void *arg)
{
	(void)arg;
}

static char *join(struct spool *spool, const char *envelope)
{
	cJSON *pages = cJSON_CreateArray();
	char *text;
	char *document;

	for (int i = 0; i < spool->max; i++) {
		if (spool->pages[i] != NULL)
			cJSON_AddItemToArray(pages, spool->pages[i]);
		spool->pages[i] = NULL;
	}
	text = json_print(pages);
	cJSON_Delete(pages);
	document = result_join(envelope, text);
	free(text);
	return document;
}

static int print(const char *document, bool as_text, struct err *err)
{
	char *text = as_text ? result_text(document) : NULL;
	const char *out = as_text ? text : document;
	int rc = -1;

	if (out == NULL)
		(void)err_set(err, ERR_BUG, "result", "the result is not JSON");
	else if (fd_write_all(STDOUT_FILENO, out, strlen(out), err) == 0 &&
		 fd_write_all(STDOUT_FILENO, "\n", 1, err) == 0)
		rc = 0;
	free(text);
	return rc;
}

int spool_run(struct pipeline *p, const struct one_document *one, struct err *err)
{
	struct spool spool = {.max = p->process->settings->render.max_pages};
	const struct pipeline_store store = {none_known, keep, is_here, nothing_to_do, &spool};
	struct pipeline_result result = {0};
	struct job job = {.environment = "", .id = "0", .attempt = 1, .max_attempts = 1};
	char *document = NULL;
	int rc = -1;

	job.path = mem_strdup(one->path);
	job.source = mem_strdup(one->source);
	spool.pages = mem_calloc((size_t)spool.max, sizeof(cJSON *));
	if (pipeline_run(p, NULL, &job, &store, &result, err) == 0 &&
		keep(&spool, &job, "", result.last_pages, err) == 0) {
		document = join(&spool, result.envelope);
		rc = document != NULL ? print(document, one->text, err)
				      : err_set(err, ERR_BUG, "result", "the result is not JSON");
	}
	for (int i = 0; i < spool.max; i++)
		cJSON_Delete(spool.pages[i]);
	free(spool.pages);
	free(document);
	pipeline_result_fini(&result);
	job_fini(&job);
	return rc;
}
