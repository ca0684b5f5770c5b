/*
 * db - one PostgreSQL connection with deadlines of its own; libpq behind it
 *
 * Opened when first used, closed by db_close(), opened again by the next statement. Works behind a
 * transaction pooler: unnamed statements, no session state. Every call ends within its deadline,
 * name lookups included; a statement that passes it costs the connection (the server may still
 * commit it: the caller resolves that by its fence). Only the server's clock counts.
 *
 * Of several hosts or addresses each is tried in turn, with its share of the connect timeout.
 *
 * Ownership  the db copies what it needs of the connection string; results are owned by the caller:
 *            db_result_free().
 * Errors     ERR_TRANSIENT "connect" and "resolve" (nothing was sent), "timeout" and "broken" (the
 *            connection was lost after the statement was sent: its fate is unknown), SQLSTATE
 *            classes 08, 53, 57, 58, 40, 55 and 25006 likewise with the SQLSTATE as code;
 *            ERR_CONFIG with the SQLSTATE for a missing table, column, privilege or a refused login
 *            (42, 28, 3D, 3F, 0A), "conninfo" for a connection string that cannot be read;
 *            ERR_DOCUMENT for more than PostgreSQL can hold (54); ERR_BUG otherwise. Texts carry no
 *            secrets.
 * Processes  worker, keeper, ctl; never across fork.
 */
#ifndef INDEXOCR_DB_H
#define INDEXOCR_DB_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct db_result;

/* conninfo: a libpq string or URL. application_name shows in pg_stat_activity. Connects to nothing
 * yet. */
struct db *db_new(const char *conninfo, const char *application_name, int64_t connect_timeout_ms,
	int64_t statement_timeout_ms);
void db_free(struct db *db);
/* Other limits from the next connect and statement on: short ones to probe a server that was silent. */
void db_set_timeouts(struct db *db, int64_t connect_timeout_ms, int64_t statement_timeout_ms);
void db_close(struct db *db);
bool db_is_open(const struct db *db);
/* -1 while closed. */
int db_fd(const struct db *db);
int64_t db_last_used_ms(const struct db *db);
/* How many connections it has opened so far: what was learned on one may not hold on the next. */
unsigned db_opened(const struct db *db);
/* The server process that a direct connection reports at its start; 0 while closed. */
int db_backend_pid(const struct db *db);

/* What a long wait looks at several times a second: -1 with *err ends it and closes. May be NULL.
 */
void db_watch(struct db *db, int (*check)(void *arg, struct err *err), void *arg);

/* One round trip. params are texts, NULL = SQL null. *out may be NULL where nothing comes back. */
int db_exec(struct db *db, const char *sql, int param_count, const char *const *params,
	struct db_result **out, struct err *err);

/*
 * As db_exec(), with a named statement that is prepared once on each connection: half the server's work for one that is used
 * often. Only for a connection that is known to be a session; where the server does not know the statement after all, code
 * "26000". db_forget_prepared(): it is prepared, and planned, anew at its next use.
 */
int db_exec_prepared(struct db *db, const char *name, const char *sql, int param_count,
	const char *const *params, struct db_result **out, struct err *err);
void db_forget_prepared(struct db *db);

int db_rows(const struct db_result *r);
/* Rows an UPDATE, INSERT or DELETE touched. */
int64_t db_affected(const struct db_result *r);
/* NULL for SQL null; borrowed until db_result_free(). */
const char *db_text(const struct db_result *r, int row, int column);
int64_t db_int(const struct db_result *r, int row, int column); /* 0 for null */
void db_result_free(struct db_result *r);

/* Notifications that have arrived (LISTEN was sent by db_exec): calls fn for each channel and
 * payload; -1 where the connection is lost. */
int db_notifications(struct db *db, void (*fn)(void *arg, const char *channel, const char *payload),
	void *arg, struct err *err);

/* Waits until something arrives on the connection or wait_ms have passed. 0, or -1 as db_watch()
 * says. */
int db_wait(struct db *db, int64_t wait_ms, struct err *err);

struct db_variable {
	const char *name;
	const char *value;
};

/*
 * Fills psql variables into a statement, as psql does: :"name" an identifier (quoted, one name: a
 * schema is a variable of its own), :'name' a literal, :name raw. Knows strings, quoted
 * identifiers, comments, dollar quotes and `::` casts, and leaves them alone. free() the result.
 * vars ends with a name NULL. NULL and ERR_BUG for a name it does not have.
 */
char *db_fill(const char *sql, const struct db_variable *vars, struct err *err);

#endif
