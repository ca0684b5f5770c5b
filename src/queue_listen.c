/* The keeper's wake-ups: LISTEN on a connection of its own, and the proof that it delivers. */
#include "queue.h"

#include "clock.h"
#include "hash.h"
#include "queue_private.h"

#include <stdio.h>
#include <string.h>

enum { PROOF_WAIT_MS = 3000 };

#define CHANNEL "indexocr_ready"
/* What no trigger sends, so that one daemon's proof does not wake the others. */
#define PROOF_PREFIX "proof "

/* A proof goes out through the other connection: a transaction pooler may deliver to a session what
 * that session sends itself, and nothing else. */
static int send_proof(struct queue *q, struct err *err)
{
	char payload[sizeof PROOF_PREFIX + QUEUE_PROOF_BYTES];
	const char *const params[] = {CHANNEL, payload};

	hash_random_hex(q->proof, QUEUE_PROOF_BYTES - 1);
	(void)snprintf(payload, sizeof payload, PROOF_PREFIX "%s", q->proof);
	return queue_run(q, "notify", 2, params, NULL, err);
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
		if (db_wait(q->listener, left, err) != 0 ||
			db_notifications(q->listener, take_notification, q, err) != 0)
			return -1;
	}
	return 0;
}

int queue_listen(struct queue *q, struct err *err)
{
	const char *const where = q->environment->listen_database != NULL
					  ? q->environment->listen_database
					  : q->environment->database;
	int rc;

	if (q->listener == NULL) {
		q->listener = db_new(where, q->application_name, q->settings->connect_timeout_ms,
			q->settings->statement_timeout_ms);
		db_watch(q->listener, q->check, q->check_arg);
	}
	rc = db_exec(q->listener, "LISTEN " CHANNEL, 0, NULL, NULL, err);
	if (rc == 0)
		rc = send_proof(q, err);
	if (rc == 0)
		rc = await_proof(q, err);
	if (rc != 0)
		db_close(q->listener);
	return rc;
}

int queue_listen_prove(struct queue *q, struct err *err)
{
	if (queue_listen_fd(q) < 0)
		return err_set(err, ERR_TRANSIENT, "broken", "not listening for notifications");
	if (db_notifications(q->listener, take_notification, q, err) != 0)
		return -1;
	if (q->proof[0] != '\0') {
		db_close(q->listener);
		return 1;
	}
	return send_proof(q, err);
}

int queue_listen_fd(const struct queue *q)
{
	return q->listener != NULL ? db_fd(q->listener) : -1;
}

int queue_notified(struct queue *q, struct err *err)
{
	bool was_ready;

	if (queue_listen_fd(q) < 0)
		return err_set(err, ERR_TRANSIENT, "broken", "not listening for notifications");
	if (db_notifications(q->listener, take_notification, q, err) != 0)
		return -1;
	was_ready = q->is_ready;
	q->is_ready = false;
	return was_ready ? 1 : 0;
}
