/*
 * pipeline - the way of one document: fetch, render, read, checkpoint, assemble
 *
 * Knows nothing of the queue: what is stored goes through struct pipeline_store, so that a local
 * file (`indexocrctl read`) takes the same way as a claimed row.
 *
 * Ownership  struct pipeline and the store are the worker's, borrowed; pipeline_result_fini() frees
 *            what pipeline_run() filled in.
 * Errors     as of the stages, with their context in the text.
 * Processes  worker.
 */
#ifndef INDEXOCR_PIPELINE_H
#define INDEXOCR_PIPELINE_H

#include "engine.h"
#include "http.h"
#include "job.h"
#include "limiter.h"
#include "process.h"

#include <stdbool.h>
#include <stdint.h>

struct pipeline {
	const struct process *process;
	struct http *http;
	const struct engine_type *type;
	struct engine *engine;
	struct limiter *limiter; /* NULL = the engine is not metered */
	int pages_finished;      /* so far, of the document in work */
	/* Opened where storage and engine answer; NULL = there is none before it. */
	struct gate *storage_gate, *engine_gate;
};

struct pipeline_store {
	/* Calls fn for each page that is stored under this key already. */
	int (*known)(void *arg, const struct job *job, const char *page_key,
		void (*fn)(void *arg, int page), void *fn_arg, struct err *err);
	/* Stores pages: a JSON array of {"page", "result", "tokens"}. 1: not now, they are to be kept and
	 * given again. */
	int (*save)(void *arg, const struct job *job, const char *page_key, const char *pages_json,
		struct err *err);
	/* Is what stores them away, so far as is known? */
	bool (*away)(void *arg);
	/* Called at least once a second. */
	void (*turn)(void *arg);
	void *arg;
};

/* Where a failure came from. */
enum pipeline_place { PIPELINE_STORAGE, PIPELINE_DATABASE, PIPELINE_ENGINE };

/* What is left to be written when all pages have been read, or as many as could be. */
struct pipeline_result {
	char *page_key; /* pages stored under it belong to this result; NULL where none was looked for */
	char *envelope;   /* the document without its pages; NULL after a failure */
	char *last_pages; /* JSON array: pages that are not stored yet; NULL = none */
	int pages;
	int pages_read; /* in this attempt; the others were stored before */
	int64_t lines;
	int64_t tokens;
	int64_t ms;
	enum pipeline_place place; /* of a failure */
	bool no_answer; /* after a failure at the engine: its last answer was that it has none for now */
};

/*
 * environment is NULL for a local file, whose path is job->path. ERR_TRANSIENT "database-away": pages cannot be
 * stored, and the lease is over; the claim may stand all the same, and the document can be gone on with.
 */
int pipeline_run(struct pipeline *p, const struct set_environment *environment,
	const struct job *job, const struct pipeline_store *store, struct pipeline_result *result,
	struct err *err);
void pipeline_result_fini(struct pipeline_result *result);

#endif
