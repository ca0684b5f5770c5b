/*
 * The keeper's wake-ups: LISTEN, and the proof that it delivers.
 *
 * Where listen_database is the database itself, the connection of the statements listens too. Each new connection has to
 * listen, and to prove it, anew.
 */
#include "queue.h"

#include "clock.h"
#include "hash.h"
#include "queue_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROOF_WAIT_MS = 3000 };

#define CHANNEL "indexocr_ready"
/* What no trigger sends, so that one daemon's proof does not wake the others. */
#define PROOF_PREFIX "proof "

bool queue_listens_elsewhere(const struct queue *q)
{
	return q->environment->listen_database != NULL &&
	       strcmp(q->environment->listen_database, q->environment->database) != 0;
}

static struct db *db_at(const struct queue *q, const char *where)
{
	struct db *db = db_new(where, q->application_name, q->settings->connect_timeout_ms,
		q->settings->statement_timeout_ms);

	db_watch(db, q->check, q->check_arg);
	return db;
}

/* Where notifications come in. */
static struct db *ear(struct queue *q)
{
	if (!queue_listens_elsewhere(q))
		return q->db;
	if (q->listener == NULL)
		q->listener = db_at(q, q->environment->listen_database);
	return q->listener;
}

static bool is_listening(const struct queue *q)
{
	const struct db *db = queue_listens_elsewhere(q) ? q->listener : q->db;

	return db != NULL && db_is_open(db) && q->listening_on == db_opened(db);
}

static int not_listening(struct err *err)
{
	return err_set(err, ERR_TRANSIENT, "broken", "not listening for notifications");
}

/* ---- the proof */

static int send_proof(struct queue *q, struct db *through, struct err *err)
{
	char payload[sizeof PROOF_PREFIX + QUEUE_PROOF_BYTES];
	const char *const params[] = {CHANNEL, payload};
	char *sql = queue_fill_unasked(q, "notify", err);
	int rc;

	if (sql == NULL)
		return -1;
	hash_random_hex(q->proof, QUEUE_PROOF_BYTES - 1);
	(void)snprintf(payload, sizeof payload, PROOF_PREFIX "%s", q->proof);
	rc = db_exec(through, sql, 2, params, NULL, err);
	free(sql);
	return rc;
}

static void take_notification(void *arg, const char *channel, const char *payload)
{
	struct queue *q = arg;

	(void)channel;
	if (strncmp(payload, PROOF_PREFIX, strlen(PROOF_PREFIX)) != 0)
		q->is_ready = true;
	else if (strcmp(payload + strlen(PROOF_PREFIX), q->proof) == 0)
		q->proof[0] = '\0';
}

static int await_proof(struct queue *q, struct err *err)
{
	const int64_t deadline_ms = clock_boot_ms() + PROOF_WAIT_MS;

	while (q->proof[0] != '\0') {
		const int left = clock_left_ms(deadline_ms);

		if (left == 0)
			return 1;
		if (db_wait(ear(q), left, err) != 0 ||
			db_notifications(ear(q), take_notification, q, err) != 0)
			return -1;
	}
	return 0;
}

/*
 * The first proof goes out through another connection, opened for it where there is none: a transaction pooler may deliver
 * to a session what that session sends itself, and nothing else.
 */
static int prove(struct queue *q, struct err *err)
{
	struct db *other = queue_listens_elsewhere(q) ? q->db : db_at(q, q->environment->database);
	int rc = send_proof(q, other, err);

	if (rc == 0)
		rc = await_proof(q, err);
	if (other != q->db)
		db_free(other);
	return rc;
}

/* ---- listening */

/* The statements' own connection stays open; behind a pooler it leaves as little behind as it can. */
static void stop_listening(struct queue *q)
{
	struct err ignored;

	q->listening_on = 0;
	if (queue_listens_elsewhere(q))
		db_close(q->listener);
	else if (db_is_open(q->db))
		(void)db_exec(q->db, "UNLISTEN " CHANNEL, 0, NULL, NULL, &ignored);
}

int queue_listen(struct queue *q, struct err *err)
{
	int rc = db_exec(ear(q), "LISTEN " CHANNEL, 0, NULL, NULL, err);

	if (rc == 0) {
		q->listening_on = db_opened(ear(q));
		rc = prove(q, err);
	}
	if (rc == 0 && !is_listening(q))
		rc = not_listening(err);
	if (rc != 0)
		stop_listening(q);
	return rc;
}

int queue_listen_prove(struct queue *q, struct err *err)
{
	if (!is_listening(q))
		return not_listening(err);
	if (db_notifications(ear(q), take_notification, q, err) != 0)
		return -1;
	if (q->proof[0] != '\0') {
		stop_listening(q);
		return 1;
	}
	return send_proof(q, q->db, err);
}

int queue_listen_fd(const struct queue *q)
{
	if (!is_listening(q))
		return -1;
	return db_fd(queue_listens_elsewhere(q) ? q->listener : q->db);
}

bool queue_hears(const struct queue *q)
{
	return is_listening(q) && q->shape.notifies;
}

int queue_notified(struct queue *q, struct err *err)
{
	bool was_ready;

	if (!is_listening(q))
		return not_listening(err);
	if (db_notifications(ear(q), take_notification, q, err) != 0)
		return -1;
	was_ready = q->is_ready;
	q->is_ready = false;
	return was_ready ? 1 : 0;
}
