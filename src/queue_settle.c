/* Checkpoint, complete, fail, release: the fenced writes of the worker that holds the claim. */
#include "queue.h"

#include "clock.h"
#include "queue_private.h"

/* A settling statement is sent this often, with a growing pause between, and not again once three of
 * its deadlines have passed. */
enum { SETTLE_TRIES = 4, SETTLE_PAUSE_MS = 250 };

static int lost(const struct job *job, struct err *err)
{
	err_set(err, ERR_LOST, "claim-lost", "the claim of document %s is no longer ours", job->id);
	return 1;
}

/*
 * Sends a fenced statement until it is answered. 0: answered, *affected rows, *resent where an
 * earlier sending may have been done already. A statement sent again waits for the row lock of the
 * first, if the server still works on that.
 */
static int send_fenced(struct queue *q, const char *statement, int param_count,
	const char *const *params, int64_t *affected, bool *resent, struct err *err)
{
	const int64_t deadline_ms = clock_boot_ms() + 3 * q->settings->statement_timeout_ms;
	struct db_result *r = NULL;
	int rc = -1;

	*resent = false;
	for (int sent = 1; sent <= SETTLE_TRIES && rc != 0; sent++) {
		*resent = sent > 1;
		rc = queue_run(q, statement, param_count, params, &r, err);
		if (rc != 0 && (err->kind != ERR_TRANSIENT || sent == SETTLE_TRIES ||
				       clock_left_ms(deadline_ms) == 0))
			return -1;
		if (rc != 0 && queue_pause(q, (int64_t)SETTLE_PAUSE_MS * sent, err) != 0)
			return -1;
	}
	*affected = db_affected(r);
	db_result_free(r);
	return rc;
}

/* Does the token stand on the row beside one of these statuses: was the statement done, though its
 * answer was lost? */
static int was_settled(
	struct queue *q, const struct job *job, int status, int other_status, struct err *err)
{
	const char *const params[] = {job->id, job->token};
	struct db_result *r = NULL;
	int64_t found;
	int rc;

	if (queue_run(q, "settled", 2, params, &r, err) != 0)
		return -1;
	found = db_rows(r) > 0 ? db_int(r, 0, 0) : -1;
	rc = db_rows(r) > 0 && (found == status || found == other_status) ? 0 : lost(job, err);
	db_result_free(r);
	return rc;
}

int queue_checkpoint(struct queue *q, const char *worker_id, const struct job *job,
	const char *page_key, const char *pages_json, struct err *err)
{
	const char *const params[] = {job->id, worker_id, job->token, page_key, pages_json};
	struct db_result *r = NULL;
	int rc;

	if (queue_run(q, "checkpoint", 5, params, &r, err) != 0)
		return -1;
	rc = db_int(r, 0, 0) == 1 ? 0 : lost(job, err);
	db_result_free(r);
	return rc;
}

int queue_checkpoints(struct queue *q, const struct job *job, const char *page_key,
	void (*fn)(void *arg, int page), void *arg, struct err *err)
{
	const char *const params[] = {job->id, page_key};
	struct db_result *r = NULL;

	if (queue_run(q, "checkpoints", 2, params, &r, err) != 0)
		return -1;
	for (int i = 0; i < db_rows(r); i++)
		fn(arg, (int)db_int(r, i, 0));
	db_result_free(r);
	return 0;
}

/* On no row the token decides, however often and by whichever call it was sent: an earlier sending may
 * have been done long ago. */
static int settle(struct queue *q, const char *statement, int param_count,
	const char *const *params, const struct job *job, int status, int other_status,
	struct err *err)
{
	int64_t affected = 0;
	bool resent = false;

	if (send_fenced(q, statement, param_count, params, &affected, &resent, err) != 0)
		return -1;
	return affected > 0 ? 0 : was_settled(q, job, status, other_status, err);
}

int queue_complete(struct queue *q, const char *worker_id, const struct job *job,
	const char *page_key, const char *envelope_json, const char *pages_json, struct err *err)
{
	const char *const params[] = {
		job->id,
		worker_id,
		job->token,
		page_key,
		envelope_json,
		pages_json,
		q->settings->result_format == RESULT_TEXT ? "true" : "false",
	};
	const int done = q->settings->status_done;

	return settle(q, "complete", 7, params, job, done, done, err);
}

/* Would another text be taken? Not where the database is away, or where we are to stop. */
static bool is_refused(const struct err *err)
{
	return err->kind != ERR_TRANSIENT && err->kind != ERR_STOPPED;
}

int queue_fail(struct queue *q, const char *worker_id, const struct job *job,
	int64_t retry_after_ms, const char *error, struct err *err)
{
	char delay[QUEUE_NUMBER_BYTES];
	char attempts[QUEUE_NUMBER_BYTES];
	const char *params[] = {
		job->id,
		worker_id,
		job->token,
		retry_after_ms >= 0 ? queue_number(delay, retry_after_ms) : NULL,
		queue_number(attempts, q->settings->max_attempts),
		error,
	};
	const int ready = q->settings->status_ready;
	const int failed = q->settings->status_failed;
	int rc = settle(q, "fail", 6, params, job, ready, failed, err);

	/* An encoding or a constraint refuses the text: a row whose failure cannot be written would
	 * be taken up for ever. */
	if (rc == -1 && is_refused(err)) {
		params[5] = "the error text could not be stored";
		rc = settle(q, "fail", 6, params, job, ready, failed, err);
	}
	return rc;
}

int queue_release(struct queue *q, const char *worker_id, const struct job *job, int64_t delay_ms,
	const char *why, struct err *err)
{
	char delay[QUEUE_NUMBER_BYTES];
	const char *params[] = {
		job->id,
		worker_id,
		job->token,
		delay_ms > 0 ? queue_number(delay, delay_ms) : NULL,
		why,
	};
	int64_t affected = 0;
	bool resent = false;
	int rc = send_fenced(q, "release", 5, params, &affected, &resent, err);

	if (rc != 0 && why != NULL && is_refused(err)) {
		params[4] = NULL;
		rc = send_fenced(q, "release", 5, params, &affected, &resent, err);
	}
	if (rc != 0)
		return -1;
	/* It clears the token, so nothing is left to ask for. Sent twice, gone is what was wanted. */
	return affected > 0 || resent ? 0 : lost(job, err);
}
