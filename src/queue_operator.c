/* What people ask for through indexocrctl: add, requeue, show. */
#include "queue.h"

#include "mem.h"
#include "queue_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEUE_AT_ONCE = 1000 };

/* An id that cannot be one is the person's mistake, not the program's; the server says which it is. */
static int not_an_id(struct err *err)
{
	if (strcmp(err->code, "22P02") != 0 && strcmp(err->code, "22003") != 0)
		return -1;
	err->kind = ERR_REQUEST;
	(void)snprintf(err->code, sizeof err->code, "not-an-id");
	return err_prefix(err, "not an id of this table: ");
}

int queue_add(struct queue *q, const char *source, const char *document_number, const char *path,
	char id[JOB_ID_BYTES], struct err *err)
{
	const char *const params[] = {source, document_number, path};
	struct db_result *r = NULL;

	if (queue_run(q, "add", 3, params, &r, err) != 0)
		return -1;
	(void)snprintf(id, JOB_ID_BYTES, "%s", db_text(r, 0, 0));
	db_result_free(r);
	return 0;
}

static int requeue_batch(struct queue *q, const char *const *ids, size_t count, bool steal,
	queue_requeued *say, void *arg, struct err *err)
{
	char *array = queue_array(ids, count);
	const char *const params[] = {array, steal ? "true" : "false"};
	struct db_result *r = NULL;
	const int rc = queue_run(q, "requeue", 2, params, &r, err);

	for (int i = 0; rc == 0 && i < db_rows(r); i++)
		say(arg, ids[i], db_text(r, i, 0), db_text(r, i, 1));
	db_result_free(r);
	free(array);
	return rc == 0 ? 0 : not_an_id(err);
}

int queue_requeue(struct queue *q, const char *const *ids, size_t count, bool steal,
	queue_requeued *say, void *arg, struct err *err)
{
	int rc = 0;

	for (size_t at = 0; at < count && rc == 0; at += REQUEUE_AT_ONCE) {
		const size_t left = count - at;

		rc = requeue_batch(q, ids + at, left < REQUEUE_AT_ONCE ? left : REQUEUE_AT_ONCE,
			steal, say, arg, err);
	}
	return rc;
}

int queue_requeue_failed(struct queue *q, const char *reason, int64_t *count, struct err *err)
{
	char at_most[QUEUE_NUMBER_BYTES];
	const char *params[] = {q->sources, NULL, reason, queue_number(at_most, REQUEUE_AT_ONCE)};
	struct db_result *now = NULL;
	struct db_result *r = NULL;
	int64_t batch = REQUEUE_AT_ONCE;

	*count = 0;
	if (queue_run(q, "now", 0, NULL, &now, err) != 0)
		return -1;
	params[1] = db_text(now, 0, 0);
	while (batch == REQUEUE_AT_ONCE &&
		queue_run(q, "requeue_failed", 4, params, &r, err) == 0) {
		batch = db_affected(r);
		*count += batch;
		db_result_free(r);
	}
	db_result_free(now);
	return batch == REQUEUE_AT_ONCE ? -1 : 0;
}

int queue_show(struct queue *q, const char *id, char **json, struct err *err)
{
	char attempts[QUEUE_NUMBER_BYTES];
	const char *const params[] = {
		id, q->sources, queue_number(attempts, q->settings->max_attempts)};
	struct db_result *r = NULL;
	int rc = 1;

	*json = NULL;
	if (queue_run(q, "show", 3, params, &r, err) != 0)
		return not_an_id(err);
	if (db_rows(r) > 0) {
		*json = mem_strdup(db_text(r, 0, 0));
		rc = 0;
	}
	db_result_free(r);
	return rc;
}

int queue_is_locked(struct queue *q, const char *id, bool *locked, struct err *err)
{
	const char *const params[] = {id};
	struct db_result *r = NULL;

	if (queue_run(q, "locked", 1, params, &r, err) != 0)
		return not_an_id(err);
	*locked = db_rows(r) == 0;
	db_result_free(r);
	return 0;
}
