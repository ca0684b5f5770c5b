/*
 * worker_private - what the files of the worker share: its state, and what became of a document
 *
 *     worker.c         its life: waits, opening, claiming, sleeping
 *     worker_settle.c  a claimed document through the pipeline, and its result or failure into the queue
 *     worker_one.c     the one-document commands
 *
 * Included by worker*.c only.
 */
#ifndef INDEXOCR_WORKER_PRIVATE_H
#define INDEXOCR_WORKER_PRIVATE_H

#include "http.h"
#include "pipeline.h"
#include "process.h"
#include "queue.h"
#include "stall.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One environment as this worker sees it. */
struct source {
	const struct set_environment *settings;
	struct queue *queue;
	int index;         /* in the scoreboard */
	int64_t closed_ms; /* boot time until which no claim is tried there */
	int failures;      /* in a row */
};

struct worker {
	const struct process *process;
	const struct settings *settings;
	struct scoreboard *board;
	int slot;
	char id[128];
	struct http *http;
	struct pipeline pipeline;
	struct source *sources; /* owned */
	size_t source_count;
	struct source *current; /* whose document is in work; NULL = none */
	struct job job;
	struct stall stall; /* of that document */
	int64_t claims;     /* number of the last claim */
	int64_t paused_ms; /* boot time until which nothing is claimed at all: the engine is not usable */
	bool woken;        /* somebody said there is work */
	bool draining;
	bool interrupted;
	bool said_outage; /* of the database, while this document is in work */
	bool deciding; /* a statement that takes or ends a claim is under way: only its deadline ends it */
	int64_t orphaned_ms; /* boot time; 0 = the master lives */
};

/* What became of a claimed document. */
enum fate {
	FATE_DONE,
	FATE_FAILED,   /* for good */
	FATE_RETRIED,  /* ready again after a while */
	FATE_RELEASED, /* given back: nobody's attempt */
	FATE_LOST,     /* somebody else has it */
	FATE_UNWRITTEN, /* the database took neither result nor failure: the keeper gives the claim back */
	FATES
};

struct outcome {
	enum fate fate;
	struct err why; /* unless it is done */
	int64_t retry_ms;
	/* of a document that is done */
	int pages, pages_read;
	int64_t lines, tokens, ms;
};

/* ---- worker.c */

/* Sleeps, or less: until something happens. A stop shows in the flags. */
void worker_nap(struct worker *w, int64_t ms);
/* ms, a quarter more or less. */
int64_t worker_jitter(int64_t ms);
double worker_random(void); /* in [0, 1) */
int worker_open_engine(struct worker *w, struct err *err);
/* The oldest ready document there, or the row of that id. 0: w->job is claimed, and in the scoreboard; as queue_claim(). */
int worker_claim(struct worker *w, struct source *s, const char *id, struct err *err);
/* The claimed document through the pipeline, settled, and the claim put away. */
void worker_work_on(struct worker *w, struct source *s, struct outcome *outcome);

/* ---- worker_settle.c */

void worker_process(struct worker *w, struct outcome *outcome);

/* ---- worker_one.c: the exit status */

int worker_one(struct worker *w);

#endif
