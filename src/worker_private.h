/*
 * worker_private - what the files of the worker share: its state, and what became of a document
 *
 *     worker.c         its life: waits, opening, claiming, sleeping
 *     worker_source.c  one environment as it sees it: is it worth asking?
 *     worker_settle.c  a claimed document through the pipeline, and its result or failure into the queue
 *     worker_kept.c    what waits for its database
 *     worker_one.c     the one-document commands
 *
 * Included by worker*.c only.
 */
#ifndef INDEXOCR_WORKER_PRIVATE_H
#define INDEXOCR_WORKER_PRIVATE_H

#include "http.h"
#include "lifeline.h"
#include "pipeline.h"
#include "process.h"
#include "queue.h"
#include "stall.h"
#include "worker_source.h"
#include "worker_title.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What became of a claimed document. */
enum fate {
	FATE_DONE,
	FATE_FAILED,   /* for good */
	FATE_RETRIED,  /* ready again after a while */
	FATE_RELEASED, /* given back: nobody's attempt */
	FATE_LOST,     /* somebody else has it */
	FATE_UNWRITTEN, /* the database took neither result nor failure: the keeper gives the claim back */
	FATE_KEPT, /* not decided: it waits for its database */
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

enum kept_what {
	KEPT_RESULT,  /* read to its end, to be completed */
	KEPT_FAILURE, /* failed, to be said so */
	KEPT_WORK /* half read: its pages to be stored, then gone on with under the same claim */
};

/* A claim whose database is away. */
struct kept {
	enum kept_what what;
	struct source *source;             /* NULL = the place is free */
	struct job job;                    /* owned */
	char *page_key, *envelope, *pages; /* owned; as in struct pipeline_result */
	struct outcome outcome;
	int64_t due_ms; /* boot time of the next try */
	int tries;
	bool stored; /* half read, and its pages are stored: worker_resume() may have it */
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
	int pages_seen;     /* of pipeline.pages_finished */
	int64_t claims;     /* number of the last claim */
	int64_t started_ms;
	int64_t paused_ms; /* boot time until which nothing is claimed at all: the engine is not usable */
	int engine_passed; /* gate_pass() of the engine, for the document in work */
	bool woken;        /* somebody said there is work */
	bool draining;
	bool interrupted;
	bool said_outage;    /* of the database, while this document is in work */
	int64_t save_due_ms; /* boot time until which pages are not tried to be stored */
	bool deciding; /* a statement that takes or ends a claim is under way: only its deadline ends it */
	struct lifeline lifeline;
	struct worker_title title;
	struct kept kept[SB_KEPT]; /* by place in the scoreboard */
	struct outcome last_kept;  /* what became of the last one that was settled */
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
/* The keeper probes what is down, for everybody: a hundred workers shall not wait for it one after the other. */
bool worker_is_down(const struct worker *w, const struct source *s);
/* The claimed document through the pipeline, settled or kept, and the claim put away. */
void worker_work_on(struct worker *w, struct source *s, struct outcome *outcome);

/*
 * No new document, but those that are kept: written, or gone on with to their end, until somebody interrupts or waits for
 * us. outcome: of the last of them, unchanged where none came to one.
 */
void worker_finish_kept(struct worker *w, struct outcome *outcome);

/* ---- worker_settle.c */

void worker_process(struct worker *w, struct outcome *outcome);
/* What outcome->why means for this claim, written or kept. is_outage: see retry_document(). */
void worker_settle_failure(struct worker *w, struct source *s, struct job *job,
	enum pipeline_place place, bool is_outage, struct outcome *outcome);
/* As queue_fail(), for a document that is FATE_RETRIED or FATE_FAILED. */
int worker_write_failure(struct worker *w, struct source *s, const struct job *job,
	const struct outcome *outcome, struct err *err);
/* Counted and logged. */
void worker_note_done(struct worker *w, const struct job *job, const struct outcome *outcome);
void worker_note_failure(struct worker *w, const struct outcome *outcome, const struct err *err);
void worker_note_lost(struct worker *w, const char *what);

/* ---- worker_kept.c */

/*
 * Takes job and the texts of result (may be NULL) until their database is back; the worker is free for other
 * environments. Waits where SB_KEPT are kept already; false = interrupted meanwhile, nothing is taken.
 */
bool worker_keep(struct worker *w, enum kept_what what, struct source *s, struct job *job,
	struct pipeline_result *result, const struct outcome *outcome);
bool worker_keeps(const struct worker *w);
/* Tries to write what is due, where its database is back. */
void worker_tend_kept(struct worker *w);
/* A document half read whose database is back becomes the current job: its source, NULL = there is none. */
bool worker_can_resume(struct worker *w);
struct source *worker_resume(struct worker *w);
/* At the end: a last try where there is a database; what is left then is given back by the keeper, or by the next daemon. */
void worker_drop_kept(struct worker *w);

/* ---- worker_one.c: the exit status */

int worker_one(struct worker *w);

#endif
