/*
 * queue_private - what the files of the queue share: its state, and how a statement is run
 *
 * Included by queue*.c only.
 */
#ifndef INDEXOCR_QUEUE_PRIVATE_H
#define INDEXOCR_QUEUE_PRIVATE_H

#include "db.h"
#include "queue.h"

enum { QUEUE_NUMBER_BYTES = 24, QUEUE_PROOF_BYTES = 33 };

/* Learned from the catalogue once per connection. All owned; NULL until then. */
struct queue_shape {
	char *schema;
	char *pages_schema;
	char *id_type;
	char *content_type;
	char *boosted_type;
	bool notifies; /* its triggers tell of every row that becomes ready */
};

struct queue_foreign;

struct queue {
	const struct set_environment *environment; /* borrowed */
	const struct set_queue *settings;          /* borrowed */
	char *application_name;
	char *sources; /* settings->sources as an array literal */
	struct db *db;
	bool is_no_session;                  /* whatever the keeper says */
	char claims_after[QUEUE_TIME_BYTES]; /* lower bound of the start of claims; "" = none */
	unsigned shape_of;                   /* the connection that shape was learned on */
	struct queue_shape shape;
	int (*check)(void *arg, struct err *err);
	void *check_arg;
	/* queue_foreign.c: owned */
	struct queue_foreign *foreign;
	size_t foreign_count;
	/* queue_listen.c */
	struct db *listener;           /* NULL where the statements' connection listens */
	unsigned listening_on;         /* which of its connections does; 0 = none */
	char proof[QUEUE_PROOF_BYTES]; /* payload on its way; "" = none */
	bool is_ready;                 /* something became ready since the last queue_notified() */
};

/*
 * Runs one of src/sql/<name>.sql, its variables filled in for this database, in one round trip.
 * Asks the catalogue first where the connection is new. As db_exec() otherwise.
 */
int queue_run(struct queue *q, const char *name, int param_count, const char *const *params,
	struct db_result **out, struct err *err);

/* Notifications come in through another database URL than statements go out to. */
bool queue_listens_elsewhere(const struct queue *q);

/* The statement filled in, from names as they are configured: before the catalogue was asked. */
char *queue_fill_unasked(struct queue *q, const char *name, struct err *err);

/* "schema"."table" of the queue as db sees it, migrated or not; free() it. NULL with ERR_CONFIG
 * where it cannot be the queue. */
char *queue_find_table(struct queue *q, struct db *db, struct err *err);

/* Elements as a PostgreSQL array literal; free() it. */
char *queue_array(const char *const *items, size_t count);
/* The number as a text, in the caller's storage. */
const char *queue_number(char text[QUEUE_NUMBER_BYTES], int64_t number);
/* Waits between two tries of a statement; -1 where the watcher says stop. */
int queue_pause(struct queue *q, int64_t wait_ms, struct err *err);

#endif
