/*
 * queue - claim and settle documents in the PostgreSQL queue table of one environment
 *
 * A claim is a lease on one row, known by its token (job.token), new for every claim. Every later
 * write carries the fence (id, status claimed, worker, token): a worker that lost its claim changes
 * nothing. Statements stand in src/sql, one a file.
 *
 * Calls that settle (complete, fail, release) resolve a broken connection themselves: the same
 * fenced statement is sent again. Within a bound of tries and time; then -1, and the caller keeps the
 * result. On no row the status and token standing there decide, so complete and fail may be called
 * again after -1: what an earlier call did counts as done.
 *
 * Ownership  queue_claim() fills the caller's struct job; call job_fini(). The settings are
 *            borrowed.
 * Units      leases and delays in milliseconds.
 * Errors     0 done; 1 nothing there (claim) or the claim was lost (all fenced writes: ERR_LOST in
 *            *err); -1 failed, see db.h; a database without the migration: ERR_CONFIG naming
 *            `indexocrctl migrate`.
 * Processes  worker, keeper, ctl; one struct queue per process and environment, never across fork.
 */
#ifndef INDEXOCR_QUEUE_H
#define INDEXOCR_QUEUE_H

#include "err.h"
#include "job.h"
#include "settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;
struct db;

enum { QUEUE_TIME_BYTES = 40 };

int queue_new(struct queue **out, const struct set_environment *environment,
	const struct set_queue *settings, const char *application_name, struct err *err);
void queue_free(struct queue *q);
bool queue_is_open(const struct queue *q);
/* Its connection is open, and was not used for idle_close_ms. */
bool queue_is_idle(const struct queue *q);
/* Closes it; the next statement opens it again. */
void queue_rest(struct queue *q);
struct db *queue_db(struct queue *q);
/* db_watch() for its connection. */
void queue_watch(struct queue *q, int (*check)(void *arg, struct err *err), void *arg);

/* What the keeper knows of the queue. */
struct queue_told {
	const char *created_after; /* a lower bound for what is ready; "" = none */
	bool hears; /* notifications are delivered on this database's connections: so they are sessions */
};

/*
 * Oldest ready row of our sources. worker_id and job->token are filled in by the caller first (the
 * token must stand in the slot before). Where nothing stands above the lower bound, one more try is
 * made without.
 */
int queue_claim(struct queue *q, const char *worker_id, const struct queue_told *told,
	struct job *job, struct err *err);

/* Like queue_claim(), for this row only (indexocrctl process), also while it waits for its time or where it
 * has failed; 1 where it is neither. */
int queue_claim_id(
	struct queue *q, const char *worker_id, const char *id, struct job *job, struct err *err);

/* Stores page results, one array element a page: pages_json is a JSON array of {"page": n,
 * "result": {...}, "tokens": n}. */
int queue_checkpoint(struct queue *q, const char *worker_id, const struct job *job,
	const char *page_key, const char *pages_json, struct err *err);

/* Page numbers stored under this key for this document: calls fn for each. */
int queue_checkpoints(struct queue *q, const struct job *job, const char *page_key,
	void (*fn)(void *arg, int page), void *arg, struct err *err);

/*
 * Writes the result: pages stored under page_key and pages_json (same shape as for checkpoint,
 * those not stored yet) are put in order into envelope_json (an object; its "pages", "totalLines",
 * "totalPages" and indexocr.tokens are computed in SQL).
 */
int queue_complete(struct queue *q, const char *worker_id, const struct job *job,
	const char *page_key, const char *envelope_json, const char *pages_json, struct err *err);

/* retry_after_ms < 0: failed for good. Else ready again after that delay. error is stored in
 * ocr_error; where the database refuses that text, a fixed one is. */
int queue_fail(struct queue *q, const char *worker_id, const struct job *job,
	int64_t retry_after_ms, const char *error, struct err *err);

/*
 * Gives an unused claim back; the attempt does not count. Ready again after delay_ms (0: at once). why is
 * stored in ocr_error, where it is taken; NULL leaves what stands there.
 */
int queue_release(struct queue *q, const char *worker_id, const struct job *job, int64_t delay_ms,
	const char *why, struct err *err);

/* Keeper: renews exactly these (id, token) pairs; say is called with the index of each and what
 * became of it. */
struct queue_lease {
	const char *id;
	const char *token;
};
enum queue_lease_fate {
	QUEUE_LEASE_RENEWED,
	QUEUE_LEASE_LOCKED, /* the claim stands, its lease ends as before: somebody has the row locked */
	QUEUE_LEASE_LOST
};
int queue_renew(struct queue *q, const struct queue_lease *leases, size_t count,
	void (*say)(void *arg, size_t index, enum queue_lease_fate fate), void *arg,
	struct err *err);

/*
 * Reclaims and queue_claims() look at claims that were not started before this, as queue_depth() found; "" = at all. Where
 * an old snapshot keeps dead rows, an hour of them need not be looked through for what was claimed just now.
 */
void queue_bound_claims(struct queue *q, const char *started_after);

/*
 * Keeper: gives back claims whose token starts with prefix ("<worker id>/<daemon>/<spawn>/").
 * crashed = true: an attempt, the document may be the cause, reason is stored and the row fails
 * when attempts are used up; false: a loss (ocr_losses + 1, failed at 10). *count = rows given
 * back.
 */
int queue_reclaim_prefix(struct queue *q, const char *prefix, bool crashed, const char *reason,
	int *count, struct err *err);
/* Claims of any daemon but this one (second token segment) whose lease has ended: losses. */
int queue_reclaim_expired(struct queue *q, const char *own_daemon, int *count, struct err *err);
/* Claims whose token carries this daemon id: losses (this host's previous daemon). */
int queue_reclaim_daemon(struct queue *q, const char *daemon, int *count, struct err *err);
/* Other programs' claims that stayed unchanged for queue.adopt_foreign_after, as this process saw
 * them, become ready: to be called now and then. Does nothing where that is 0. */
int queue_adopt_foreign(struct queue *q, int *count, struct err *err);
/* Every claim of this daemon as it stands in the database: calls fn for each id and token (borrowed).
 * What the keeper compares with the claims it knows. */
int queue_claims(struct queue *q, const char *daemon,
	void (*fn)(void *arg, const char *id, const char *token), void *arg, struct err *err);
/* Rows whose ocr_not_before has passed become ready; *next_ms = until the next one, -1 = none
 * waits. */
int queue_promote(struct queue *q, int *count, int64_t *next_ms, struct err *err);

/*
 * Deletes stored pages that are older than queue.checkpoint_days, of documents that nobody works on or that are gone; a
 * batch. behind: where the last one ended, "" = from the beginning; "" again when the end of the table is reached.
 */
int queue_prune(struct queue *q, char behind[JOB_ID_BYTES], int *count, struct err *err);

/* Counts are exact up to 100,000, then 100,001. */
struct queue_depth {
	int64_t ready, waiting, claimed, foreign, failed;
	int64_t oldest_ready_ms; /* age of the oldest ready row; -1 = none */
	int64_t due_ms;          /* until the first that waits is due; -1 = none waits */
	/* For queue_claim(): what is ready was not created before, nor is what becomes ready, with few
	 * exceptions; "" = none. */
	char created_after[QUEUE_TIME_BYTES];
	char claims_after[QUEUE_TIME_BYTES]; /* for queue_bound_claims() */
};
int queue_depth(struct queue *q, struct queue_depth *out, struct err *err);

/*
 * LISTEN on the statements' connection, or on one of its own where listen_database is another, proved
 * by a NOTIFY through a connection that does not listen. 0: it delivers; 1: it is accepted and
 * delivers nothing (a transaction pooler): poll, and try again in a while; -1: failed. May wait 3 s
 * for the proof.
 */
int queue_listen(struct queue *q, struct err *err);
/* -1 while not listening: also after a statement had to open its connection again. What is notified
 * while a statement runs has been read when the statement returns; this descriptor tells nothing of
 * it. */
int queue_listen_fd(const struct queue *q);
/* It listens, and the queue's triggers notify of every row that becomes ready. */
bool queue_hears(const struct queue *q);
/* Once a minute: sends the next proof and looks for the last one. 0 fine; 1: nothing is delivered
 * any more; -1 lost; on both, call queue_listen() again. */
int queue_listen_prove(struct queue *q, struct err *err);
/* 1: something became ready since the last call (once for each burst); 0: nothing; -1: connection
 * lost, call queue_listen() again. */
int queue_notified(struct queue *q, struct err *err);

/* Operators: a new row; its id is written to id. */
int queue_add(struct queue *q, const char *source, const char *document_number, const char *path,
	char id[JOB_ID_BYTES], struct err *err);

/*
 * Makes these rows ready again from their first attempt, in batches. say is called for each id in order,
 * with what was done and the worker that has or had it (NULL: none): "requeued"; "stolen", with steal
 * only; or left alone: "claimed" (one of ours works on it), "foreign" (another program does), "other" (a
 * status that is none of ours), "missing". -1: what say was told before is done.
 */
typedef void queue_requeued(void *arg, const char *id, const char *outcome, const char *worker);
int queue_requeue(struct queue *q, const char *const *ids, size_t count, bool steal,
	queue_requeued *say, void *arg, struct err *err);
/* All failed rows of our sources, or those whose ocr_error contains reason; *count is exact also on -1. */
int queue_requeue_failed(struct queue *q, const char *reason, int64_t *count, struct err *err);

/* One row with its bookkeeping, as a JSON object text (free() it); 1 where there is no such row. */
int queue_show(struct queue *q, const char *id, char **json, struct err *err);
/* Has an open transaction the row locked, so that every claim passes over it? */
int queue_is_locked(struct queue *q, const char *id, bool *locked, struct err *err);

/*
 * Adds what is missing (CONTRACTS 1, Migration). notify = false leaves the triggers out. say is
 * called with each statement before it is run, or with all of them instead of running when
 * print_only. The database must be reached directly or through a session pooler (ERR_CONFIG
 * "pooler").
 */
int queue_migrate(struct queue *q, bool notify, bool print_only,
	void (*say)(void *arg, const char *sql), void *arg, struct err *err);

#endif
