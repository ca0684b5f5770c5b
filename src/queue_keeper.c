/* Renew, reclaim, promote, prune, depth: what the keeper does for all workers of its host. */
#include "queue.h"

#include "mem.h"
#include "queue_private.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	PRUNE_AT_ONCE = 5000,
	PROMOTE_AT_ONCE = 1000,
	PROMOTE_AGAIN_MS = 1000,
	DEPTH_AT_MOST = 100001
};

static enum queue_lease_fate fate_of(const struct db_result *r, int row)
{
	if (db_text(r, row, 1)[0] == 't')
		return QUEUE_LEASE_RENEWED;
	return db_text(r, row, 0)[0] == 't' ? QUEUE_LEASE_LOCKED : QUEUE_LEASE_LOST;
}

int queue_renew(struct queue *q, const struct queue_lease *leases, size_t count,
	void (*say)(void *arg, size_t index, enum queue_lease_fate fate), void *arg,
	struct err *err)
{
	const char **texts = mem_calloc(count, sizeof *texts);
	char number[QUEUE_NUMBER_BYTES];
	const char *params[3];
	struct db_result *r = NULL;
	char *ids;
	char *tokens;
	int rc = 0;

	for (size_t i = 0; i < count; i++)
		texts[i] = leases[i].id;
	ids = queue_array(texts, count);
	for (size_t i = 0; i < count; i++)
		texts[i] = leases[i].token;
	tokens = queue_array(texts, count);
	params[0] = ids;
	params[1] = tokens;
	params[2] = queue_number(number, q->settings->lease_ms);
	if (count > 0)
		rc = queue_run(q, "renew", 3, params, &r, err);
	for (int i = 0; r != NULL && i < db_rows(r); i++)
		say(arg, (size_t)i, fate_of(r, i));
	db_result_free(r);
	free(ids);
	free(tokens);
	free(texts);
	return rc;
}

void queue_bound_claims(struct queue *q, const char *started_after)
{
	(void)snprintf(q->claims_after, sizeof q->claims_after, "%s", started_after);
}

static const char *claims_after(const struct queue *q)
{
	return q->claims_after[0] != '\0' ? q->claims_after : "-infinity";
}

static int reclaim(struct queue *q, const char *statement, const char *const *params, int *count,
	struct err *err)
{
	struct db_result *r = NULL;

	if (queue_run(q, statement, 4, params, &r, err) != 0)
		return -1;
	*count = (int)db_affected(r);
	db_result_free(r);
	return 0;
}

int queue_reclaim_prefix(struct queue *q, const char *prefix, bool crashed, const char *reason,
	int *count, struct err *err)
{
	char attempts[QUEUE_NUMBER_BYTES];
	const char *const as_crash[] = {
		prefix, reason, queue_number(attempts, q->settings->max_attempts), claims_after(q)};
	const char *const as_loss[] = {"prefix", prefix, reason, claims_after(q)};

	return crashed ? reclaim(q, "reclaim_crashed", as_crash, count, err)
		       : reclaim(q, "reclaim_lost", as_loss, count, err);
}

int queue_reclaim_expired(struct queue *q, const char *own_daemon, int *count, struct err *err)
{
	const char *const params[] = {
		"expired", own_daemon, "its host was not heard of in time", claims_after(q)};

	return reclaim(q, "reclaim_lost", params, count, err);
}

int queue_reclaim_daemon(struct queue *q, const char *daemon, int *count, struct err *err)
{
	const char *const params[] = {
		"daemon", daemon, "its daemon ended without giving it back", claims_after(q)};

	return reclaim(q, "reclaim_lost", params, count, err);
}

int queue_claims(struct queue *q, const char *daemon,
	void (*fn)(void *arg, const char *id, const char *token), void *arg, struct err *err)
{
	const char *const params[] = {daemon, claims_after(q)};
	struct db_result *r = NULL;

	if (queue_run(q, "claims", 2, params, &r, err) != 0)
		return -1;
	for (int i = 0; i < db_rows(r); i++)
		fn(arg, db_text(r, i, 0), db_text(r, i, 1));
	db_result_free(r);
	return 0;
}

int queue_promote(struct queue *q, int *count, int64_t *next_ms, struct err *err)
{
	char number[QUEUE_NUMBER_BYTES];
	const char *const params[] = {q->sources, queue_number(number, PROMOTE_AT_ONCE)};
	struct db_result *r = NULL;

	if (queue_run(q, "promote", 2, params, &r, err) != 0)
		return -1;
	*count = (int)db_int(r, 0, 0);
	*next_ms = db_text(r, 0, 1) != NULL ? db_int(r, 0, 1) : -1;
	/* One whose time has come and that was passed over is locked by somebody: no hurry, unless
	 * the batch was full. */
	if (db_text(r, 0, 1) != NULL && *next_ms <= 0)
		*next_ms = *count == PROMOTE_AT_ONCE ? 0 : PROMOTE_AGAIN_MS;
	db_result_free(r);
	return 0;
}

int queue_prune(struct queue *q, char behind[JOB_ID_BYTES], int *count, struct err *err)
{
	char days[QUEUE_NUMBER_BYTES];
	char at_most[QUEUE_NUMBER_BYTES];
	const char *const params[] = {
		behind[0] != '\0' ? behind : NULL,
		queue_number(days, q->settings->checkpoint_days),
		queue_number(at_most, PRUNE_AT_ONCE),
	};
	struct db_result *r = NULL;

	*count = 0;
	if (queue_run(q, "prune", 3, params, &r, err) != 0)
		return -1;
	*count = (int)db_int(r, 0, 0);
	(void)snprintf(
		behind, JOB_ID_BYTES, "%s", db_text(r, 0, 1) != NULL ? db_text(r, 0, 1) : "");
	db_result_free(r);
	return 0;
}

int queue_depth(struct queue *q, struct queue_depth *out, struct err *err)
{
	char number[QUEUE_NUMBER_BYTES];
	const char *const params[] = {q->sources, queue_number(number, DEPTH_AT_MOST)};
	struct db_result *r = NULL;
	const char *created;

	*out = (struct queue_depth){.oldest_ready_ms = -1, .due_ms = -1};
	if (queue_run(q, "depth", 2, params, &r, err) != 0)
		return -1;
	out->ready = db_int(r, 0, 0);
	out->waiting = db_int(r, 0, 1);
	out->claimed = db_int(r, 0, 2);
	out->foreign = db_int(r, 0, 3);
	out->failed = db_int(r, 0, 4);
	if (db_text(r, 0, 5) != NULL)
		out->oldest_ready_ms = db_int(r, 0, 5);
	created = db_text(r, 0, 6);
	if (created != NULL)
		(void)snprintf(out->created_after, sizeof out->created_after, "%s", created);
	if (db_text(r, 0, 7) != NULL)
		out->due_ms = db_int(r, 0, 7);
	if (db_text(r, 0, 8) != NULL)
		(void)snprintf(out->claims_after, sizeof out->claims_after, "%s", db_text(r, 0, 8));
	db_result_free(r);
	return 0;
}
