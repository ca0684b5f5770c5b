/* Adds to a live table what indexocr needs, without stopping those who use it. */
#include "queue.h"

#include "mem.h"
#include "queue_private.h"

#include <stdlib.h>
#include <string.h>

/* A step that needs a lock of its own gets it within the lock timeout or lets everybody pass and
 * tries again. An index on ten million rows takes minutes. */
enum {
	LOCK_TRIES = 240,
	LOCK_PAUSE_MS = 500,
	STATEMENT_MS = 6 * 3600 * 1000,
	MAX_TABLE_BYTES = 50, /* the indexes' names have to fit behind it */
	POOLER_LOOKS = 5
};

/* Columns of migrate.sql. */
enum { PLAN_STEP, PLAN_HOW, PLAN_STATEMENT };

struct migration {
	struct queue *q;
	struct db *db; /* owned; a session of its own, with a long deadline */
	char *table;   /* quoted, with its schema; owned */
	void (*say)(void *arg, const char *sql);
	void *say_arg;
};

static int run(struct db *db, const char *sql, struct err *err)
{
	return db_exec(db, sql, 0, NULL, NULL, err);
}

static struct db *connection_new(const struct queue *q)
{
	struct db *db = db_new(q->environment->database, q->application_name,
		q->settings->connect_timeout_ms, STATEMENT_MS);

	db_watch(db, q->check, q->check_arg);
	return db;
}

/* ---- is it a session? ----------------------------------------------------------------------- */

static int backend_of(struct db *db, int64_t *pid, struct err *err)
{
	struct db_result *r = NULL;

	if (db_exec(db, "SELECT pg_backend_pid()", 0, NULL, &r, err) != 0)
		return -1;
	*pid = db_int(r, 0, 0);
	db_result_free(r);
	return 0;
}

/* One look from two connections: a transaction pooler lends the server process of the one, idle, to
 * the transaction of the other. */
static int look_for_pooler(struct db *db, struct db *other, bool *is_shared, struct err *err)
{
	int64_t before = 0;
	int64_t others = 0;
	int64_t after = 0;
	struct err ignored;
	int rc;

	if (backend_of(db, &before, err) != 0 || run(other, "BEGIN", err) != 0)
		return -1;
	rc = backend_of(other, &others, err);
	after = before;
	if (rc == 0 && others != before)
		rc = backend_of(db, &after, err);
	(void)run(other, "ROLLBACK", &ignored);
	*is_shared = others == before || after != before;
	return rc;
}

/* Session settings, locks held over statements and CREATE INDEX CONCURRENTLY need a session. A
 * pooler of either mode makes up the process number that it reports. */
static int refuse_pooler(const struct migration *m, struct err *err)
{
	struct db *other = connection_new(m->q);
	bool is_shared = false;
	int64_t pid = 0;
	int rc = backend_of(m->db, &pid, err);

	for (int i = 0; rc == 0 && pid != db_backend_pid(m->db) && !is_shared && i < POOLER_LOOKS;
		i++)
		rc = look_for_pooler(m->db, other, &is_shared, err);
	db_free(other);
	if (rc == 0 && is_shared)
		return err_set(err, ERR_CONFIG, "pooler",
			"the connection of environment %s goes through a transaction pooler, which "
			"cannot "
			"migrate; give a direct or session-mode address: indexocrctl migrate %s "
			"--database "
			"URL",
			m->q->environment->name, m->q->environment->name);
	return rc;
}

static int begin_session(const struct migration *m, struct err *err)
{
	struct db_result *r = NULL;
	int rc;

	if (run(m->db, "SET statement_timeout = 0", err) != 0 ||
		run(m->db, "SET lock_timeout = 0", err) != 0 ||
		db_exec(m->db, "SELECT pg_try_advisory_lock(hashtext('indexocr migrate'))", 0, NULL,
			&r, err) != 0)
		return -1;
	rc = db_text(r, 0, 0)[0] == 't' ? 0
					: err_set(err, ERR_TRANSIENT, "busy",
						  "another migration of this database is running");
	db_result_free(r);
	return rc;
}

/* The session ends a moment after its connection: the next migration shall not have to wait. */
static void end_session(const struct migration *m)
{
	struct err ignored;

	if (db_is_open(m->db))
		(void)run(m->db, "SELECT pg_advisory_unlock_all()", &ignored);
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* First the lock that stops only vacuums and other migrations, patiently (a vacuum gives way to it);
 * then the statements, whose own locks stop readers or writers behind them in the queue. */
static int try_step(
	const struct migration *m, const struct db_result *plan, int from, int to, struct err *err)
{
	char *lock = mem_printf("LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE", m->table);
	int rc = run(m->db, "BEGIN", err);

	if (rc == 0)
		rc = run(m->db, "SET LOCAL lock_timeout = '60s'", err);
	if (rc == 0)
		rc = run(m->db, lock, err);
	if (rc == 0)
		rc = run(m->db, "SET LOCAL lock_timeout = '200ms'", err);
	for (int row = from; row < to && rc == 0; row++)
		rc = run(m->db, db_text(plan, row, PLAN_STATEMENT), err);
	if (rc == 0)
		rc = run(m->db, "COMMIT", err);
	free(lock);
	return rc;
}

static int run_step(
	const struct migration *m, const struct db_result *plan, int from, int to, struct err *err)
{
	struct err ignored;

	for (int tries = 1;; tries++) {
		if (try_step(m, plan, from, to, err) == 0)
			return 0;
		if (db_is_open(m->db))
			(void)run(m->db, "ROLLBACK", &ignored);
		if (strcmp(err->code, "55P03") != 0)
			return -1;
		if (tries == LOCK_TRIES)
			return err_set(err, ERR_TRANSIENT, "locked",
				"table %s is locked by others; run the migration again when they "
				"are done",
				m->q->settings->table);
		if (queue_pause(m->q, LOCK_PAUSE_MS, err) != 0)
			return -1;
	}
}

static int run_plan(const struct migration *m, const struct db_result *plan, struct err *err)
{
	int rc = 0;
	int to;

	for (int from = 0; from < db_rows(plan) && rc == 0; from = to) {
		const bool is_short = strcmp(db_text(plan, from, PLAN_HOW), "short") == 0;

		for (to = from + 1; is_short && to < db_rows(plan); to++)
			if (db_int(plan, to, PLAN_STEP) != db_int(plan, from, PLAN_STEP))
				break;
		for (int row = from; row < to; row++)
			m->say(m->say_arg, db_text(plan, row, PLAN_STATEMENT));
		rc = is_short ? run_step(m, plan, from, to, err)
			      : run(m->db, db_text(plan, from, PLAN_STATEMENT), err);
	}
	return rc;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int get_plan(
	const struct migration *m, bool notify, struct db_result **plan, struct err *err)
{
	const char *const params[] = {notify ? "true" : "false"};
	char *sql = queue_fill_unasked(m->q, "migrate", err);
	int rc = sql != NULL ? db_exec(m->db, sql, 1, params, plan, err) : -1;

	free(sql);
	return rc;
}

static int migrate(struct migration *m, bool notify, bool print_only, struct err *err)
{
	struct db_result *plan = NULL;
	int rc = -1;

	m->table = queue_find_table(m->q, m->db, err);
	if (m->table == NULL)
		return -1;
	if (!print_only && (refuse_pooler(m, err) != 0 || begin_session(m, err) != 0))
		return -1;
	rc = get_plan(m, notify, &plan, err);
	if (rc == 0 && !print_only)
		rc = run_plan(m, plan, err);
	for (int row = 0; rc == 0 && print_only && row < db_rows(plan); row++)
		m->say(m->say_arg, db_text(plan, row, PLAN_STATEMENT));
	db_result_free(plan);
	if (!print_only)
		end_session(m);
	return rc;
}

int queue_migrate(struct queue *q, bool notify, bool print_only,
	void (*say)(void *arg, const char *sql), void *arg, struct err *err)
{
	struct migration m = {.q = q, .say = say, .say_arg = arg};
	int rc;

	if (strlen(q->settings->table) > MAX_TABLE_BYTES)
		return err_set(err, ERR_CONFIG, "table-name",
			"the name of table %s is longer than %d bytes: its indexes could not be "
			"named "
			"after it",
			q->settings->table, MAX_TABLE_BYTES);
	m.db = connection_new(q);
	rc = migrate(&m, notify, print_only, err);
	if (rc != 0 && strcmp(err->code, "42501") == 0)
		err_prefix(err,
			"only the table's owner can migrate (indexocrctl migrate %s --database "
			"URL): ",
			q->environment->name);
	db_free(m.db);
	free(m.table);
	/* The next statement asks the catalogue again. */
	db_close(q->db);
	return rc;
}
