#include "db.h"

#include "clock.h"
#include "db_resolve.h"
#include "mem.h"
#include "utf8.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_EVERY_MS = 50, MAX_OPTIONS = 96, SQLSTATE_BYTES = 6, LAST_WORDS_BYTES = 160 };

struct db {
	char *conninfo; /* owned, secret */
	char *application_name;
	int64_t connect_timeout_ms;
	int64_t statement_timeout_ms;
	int64_t last_used_ms;
	unsigned opened;
	unsigned prepared_on; /* the connection on which the statement is prepared; 0 = none */
	bool prepared_is_stale;
	PGconn *conn; /* owned; NULL while closed */
	/* Why the server ended this connection; "" = it did not say. */
	char last_words[LAST_WORDS_BYTES];
	struct db_lookup *lookup;
	int (*check)(void *arg, struct err *err);
	void *check_arg;
};

struct db *db_new(const char *conninfo, const char *application_name, int64_t connect_timeout_ms,
	int64_t statement_timeout_ms)
{
	struct db *db = mem_calloc(1, sizeof *db);

	db->conninfo = mem_strdup(conninfo);
	db->application_name = mem_strdup(application_name);
	db->connect_timeout_ms = connect_timeout_ms;
	db->statement_timeout_ms = statement_timeout_ms;
	db->lookup = db_lookup_new();
	return db;
}

void db_close(struct db *db)
{
	PQfinish(db->conn);
	db->conn = NULL;
}

void db_set_timeouts(struct db *db, int64_t connect_timeout_ms, int64_t statement_timeout_ms)
{
	db->connect_timeout_ms = connect_timeout_ms;
	db->statement_timeout_ms = statement_timeout_ms;
}

void db_free(struct db *db)
{
	if (db == NULL)
		return;
	db_close(db);
	db_lookup_free(db->lookup);
	mem_free_secret(db->conninfo);
	free(db->application_name);
	free(db);
}

bool db_is_open(const struct db *db)
{
	return db->conn != NULL;
}

int db_fd(const struct db *db)
{
	return db->conn != NULL ? PQsocket(db->conn) : -1;
}

int64_t db_last_used_ms(const struct db *db)
{
	return db->last_used_ms;
}

unsigned db_opened(const struct db *db)
{
	return db->opened;
}

int db_backend_pid(const struct db *db)
{
	return db->conn != NULL ? PQbackendPID(db->conn) : 0;
}

void db_watch(struct db *db, int (*check)(void *arg, struct err *err), void *arg)
{
	db->check = check;
	db->check_arg = arg;
}

/* 1: ready; 0: the deadline passed; -1: the watcher ended the wait, or poll() failed. */
static int wait_ready(struct db *db, short events, int64_t deadline_ms, struct err *err)
{
	struct pollfd p = {.fd = PQsocket(db->conn), .events = events};

	for (;;) {
		int left = clock_left_ms(deadline_ms);
		int ready;

		if (db->check != NULL && db->check(db->check_arg, err) != 0)
			return -1;
		if (db->check != NULL && left > CHECK_EVERY_MS)
			left = CHECK_EVERY_MS;
		ready = poll(&p, 1, left);
		if (ready < 0 && errno != EINTR)
			return err_errno(err, ERR_SYSTEM, "waiting for the database failed");
		if (ready > 0)
			return 1;
		if (clock_left_ms(deadline_ms) == 0)
			return 0;
	}
}

int db_wait(struct db *db, int64_t wait_ms, struct err *err)
{
	return wait_ready(db, POLLIN, clock_boot_ms() + wait_ms, err) < 0 ? -1 : 0;
}

/* ---- what went wrong ---------------------------------------------------------------------- */

static bool has_class(const char *sqlstate, const char *const *classes)
{
	for (; *classes != NULL; classes++)
		if (strncmp(sqlstate, *classes, strlen(*classes)) == 0)
			return true;
	return false;
}

static enum err_kind kind_of(const char *sqlstate)
{
	static const char *const ours[] = {"42601", NULL};
	static const char *const later[] = {"08", "53", "57", "58", "40", "55", "25006", NULL};
	static const char *const person[] = {"42", "28", "3D", "3F", "0A", NULL};
	static const char *const too_large[] = {"54", NULL};

	if (has_class(sqlstate, ours))
		return ERR_BUG;
	if (has_class(sqlstate, later))
		return ERR_TRANSIENT;
	if (has_class(sqlstate, person))
		return ERR_CONFIG;
	return has_class(sqlstate, too_large) ? ERR_DOCUMENT : ERR_BUG;
}

/* libpq gives no SQLSTATE for a refused connection, but its verbose text has it:
 * "FATAL:  28P01: password ...". */
static const char *sqlstate_in(const char *text, char sqlstate[SQLSTATE_BYTES])
{
	for (const char *at = strstr(text, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
		size_t len = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

		if (len != 5 || at[8] != ':')
			continue;
		(void)snprintf(sqlstate, SQLSTATE_BYTES, "%.5s", at + 3);
		return at + 10;
	}
	sqlstate[0] = '\0';
	return NULL;
}

/* What libpq says about a connection, without where it was going to and with what. */
static int connect_failed(PGconn *conn, struct err *err)
{
	char *text = mem_strdup(PQerrorMessage(conn));
	char sqlstate[SQLSTATE_BYTES];
	const char *server_said;
	const char *what;

	err_scrub(text, PQpass(conn));
	server_said = sqlstate_in(text, sqlstate);
	what = strstr(text, "failed: ");
	what = server_said != NULL ? server_said : what != NULL ? what + 8 : "no connection";
	err_set(err, server_said != NULL ? kind_of(sqlstate) : ERR_TRANSIENT,
		server_said != NULL ? sqlstate : "connect",
		"the database refused the connection: %.*s", (int)strcspn(what, "\n"), what);
	if (err->kind == ERR_BUG || err->kind == ERR_DOCUMENT)
		err->kind = ERR_TRANSIENT;
	free(text);
	return -1;
}

static int statement_failed(struct db *db, const PGresult *result, struct err *err)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	char *text;

	if (sqlstate == NULL || message == NULL)
		return err_set(err, ERR_TRANSIENT, "broken",
			"the connection to the database was lost during a statement");
	text = mem_strdup(message);
	err_scrub(text, PQpass(db->conn));
	err_set(err, kind_of(sqlstate), sqlstate, "the database answered %s: %s", sqlstate, text);
	free(text);
	return -1;
}

/* ---- connecting ----------------------------------------------------------------------------- */

static const char *option(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword != NULL; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->val != NULL && options->val[0] != '\0' ? options->val
									       : NULL;
	return NULL;
}

/* A `service` that names a host is left to libpq, whose lookup is not bounded. */
static int find_targets(struct db *db, const PQconninfoOption *options, int64_t deadline_ms,
	struct db_targets *out, struct err *err)
{
	const struct db_hosts hosts = {
		.names = option(options, "host"),
		.addresses = option(options, "hostaddr"),
		.ports = option(options, "port"),
	};
	const struct db_wait wait = {
		.deadline_ms = deadline_ms, .check = db->check, .check_arg = db->check_arg};

	return db_find_targets(db->lookup, &hosts, &wait, out, err);
}

/* What libpq is called with: the user's options, the target, and what we add where he says
 * nothing. */
struct parameters {
	const char *keywords[MAX_OPTIONS];
	const char *values[MAX_OPTIONS];
	size_t count;
};

static void add_parameter(struct parameters *p, const char *keyword, const char *value)
{
	if (value == NULL || p->count + 1 >= MAX_OPTIONS)
		return;
	p->keywords[p->count] = keyword;
	p->values[p->count++] = value;
}

static void add_defaults(struct parameters *p, const struct db *db, const PQconninfoOption *options)
{
	const char *const defaults[][2] = {
		{"application_name", db->application_name},
		{"client_encoding", "UTF8"},
		{"gssencmode", "disable"}, /* asks a ticket server, without a deadline */
		{"keepalives", "1"},
		{"keepalives_idle", "30"},
		{"keepalives_interval", "10"},
		{"keepalives_count", "3"},
		{"tcp_user_timeout", "30000"},
	};

	for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
		if (option(options, defaults[i][0]) == NULL)
			add_parameter(p, defaults[i][0], defaults[i][1]);
}

static void set_parameters(struct parameters *p, const struct db *db,
	const PQconninfoOption *options, const struct db_target *target)
{
	*p = (struct parameters){0};
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		if (strcmp(o->keyword, "host") != 0 && strcmp(o->keyword, "hostaddr") != 0 &&
			strcmp(o->keyword, "port") != 0)
			add_parameter(p, o->keyword, option(options, o->keyword));
	add_parameter(p, "host", target->host);
	add_parameter(p, "hostaddr", target->hostaddr);
	add_parameter(p, "port", target->port);
	add_defaults(p, db, options);
}

static int shake_hands(struct db *db, int64_t deadline_ms, struct err *err)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	PQsetErrorVerbosity(db->conn, PQERRORS_VERBOSE);
	while (PQstatus(db->conn) != CONNECTION_BAD && state != PGRES_POLLING_OK) {
		int ready = wait_ready(
			db, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms, err);

		if (ready == 0)
			return err_set(err, ERR_TRANSIENT, "connect",
				"the database did not accept a connection in time");
		if (ready < 0)
			return -1;
		state = PQconnectPoll(db->conn);
		if (state == PGRES_POLLING_FAILED)
			break;
	}
	if (state != PGRES_POLLING_OK || PQsetnonblocking(db->conn, 1) != 0)
		return connect_failed(db->conn, err);
	return 0;
}

/* What comes outside of a statement, which libpq would print: a server that ends a connection says why. */
static void hear(void *arg, const PGresult *notice)
{
	struct db *db = arg;
	const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *message = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
	char *text;

	if (severity == NULL || message == NULL ||
		(strcmp(severity, "FATAL") != 0 && strcmp(severity, "PANIC") != 0))
		return;
	text = mem_strdup(message);
	err_scrub(text, PQpass(db->conn));
	(void)snprintf(db->last_words, sizeof db->last_words, "%.*s",
		(int)utf8_cut(text, sizeof db->last_words - 1), text);
	free(text);
}

static int try_target(struct db *db, const PQconninfoOption *options,
	const struct db_target *target, int64_t deadline_ms, struct err *err)
{
	struct parameters p;
	int rc;

	set_parameters(&p, db, options, target);
	db->conn = PQconnectStartParams(p.keywords, p.values, 0);
	if (db->conn == NULL)
		return err_set(err, ERR_SYSTEM, "memory", "no memory for a database connection");
	db->last_words[0] = '\0';
	(void)PQsetNoticeReceiver(db->conn, hear, db);
	rc = shake_hands(db, deadline_ms, err);
	if (rc != 0)
		db_close(db);
	return rc;
}

static int open_connection(struct db *db, struct err *err)
{
	const int64_t deadline_ms = clock_boot_ms() + db->connect_timeout_ms;
	PQconninfoOption *options = PQconninfoParse(db->conninfo, NULL);
	struct db_targets t = {0};
	int rc = -1;

	if (options == NULL)
		return err_set(err, ERR_CONFIG, "conninfo",
			"the connection string cannot be read; write "
			"postgresql://user:password@host/"
			"database with special characters percent-encoded, or key=value pairs");
	if (find_targets(db, options, deadline_ms, &t, err) != 0)
		goto out;
	for (size_t i = 0; i < t.count && rc != 0; i++) {
		const int64_t share = clock_left_ms(deadline_ms) / (int64_t)(t.count - i);

		rc = try_target(db, options, &t.items[i], clock_boot_ms() + share, err);
		if (rc != 0 && err->kind == ERR_STOPPED)
			break;
	}
	db->opened += rc == 0;
out:
	db_targets_fini(&t);
	PQconninfoFree(options);
	return rc;
}

/* A server that went away while we were idle has said so by now; nothing is lost by finding out
 * before a statement is sent. Its last words are read first, then the end. */
static bool still_there(struct db *db)
{
	struct pollfd p = {.fd = PQsocket(db->conn), .events = POLLIN};

	for (int reads = 0; reads < 4 && poll(&p, 1, 0) > 0; reads++)
		if (!PQconsumeInput(db->conn))
			break;
	return PQstatus(db->conn) == CONNECTION_OK;
}

/* ---- statements ----------------------------------------------------------------------------- */

static int lost(const struct db *db, struct err *err)
{
	const bool is_told = db->last_words[0] != '\0';

	return err_set(err, ERR_TRANSIENT, "broken",
		"the connection to the database was lost%s%s%s; whether the statement was done is "
		"not known",
		is_told ? " (" : "", db->last_words, is_told ? ")" : "");
}

/* Sends what is still to be sent, reads what comes, until a result can be had without blocking. */
static int await_result(struct db *db, int64_t deadline_ms, struct err *err)
{
	int unsent = PQflush(db->conn);

	while (unsent > 0 || PQisBusy(db->conn)) {
		const short events = (short)(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
		const int ready = wait_ready(db, events, deadline_ms, err);

		if (ready == 0)
			return err_set(err, ERR_TRANSIENT, "timeout",
				"the database did not answer in %lld ms",
				(long long)db->statement_timeout_ms);
		if (ready < 0)
			return -1;
		if (!PQconsumeInput(db->conn))
			return lost(db, err);
		unsent = PQflush(db->conn);
	}
	return unsent < 0 ? lost(db, err) : 0;
}

/* Reads to the end of the answer; keeps the last result, or the first error. */
static int read_answer(struct db *db, PGresult **kept, struct err *err)
{
	const int64_t deadline_ms = clock_boot_ms() + db->statement_timeout_ms;
	PGresult *next;

	for (;;) {
		if (await_result(db, deadline_ms, err) != 0)
			return -1;
		next = PQgetResult(db->conn);
		if (next == NULL)
			break;
		if (*kept != NULL && PQresultStatus(*kept) == PGRES_FATAL_ERROR) {
			PQclear(next);
			continue;
		}
		PQclear(*kept);
		*kept = next;
	}
	if (*kept == NULL)
		return lost(db, err);
	if (PQresultStatus(*kept) != PGRES_COMMAND_OK && PQresultStatus(*kept) != PGRES_TUPLES_OK)
		return statement_failed(db, *kept, err);
	return 0;
}

static int ensure_open(struct db *db, struct err *err)
{
	if (db->conn != NULL && !still_there(db))
		db_close(db);
	return db->conn == NULL ? open_connection(db, err) : 0;
}

/* A request was sent, or could not be: reads its answer. */
static int take_answer(struct db *db, bool was_sent, struct db_result **out, struct err *err)
{
	PGresult *result = NULL;
	int rc = was_sent ? read_answer(db, &result, err) : lost(db, err);

	if (rc != 0 && (PQstatus(db->conn) != CONNECTION_OK ||
			       PQtransactionStatus(db->conn) == PQTRANS_ACTIVE))
		db_close(db);
	db->last_used_ms = clock_boot_ms();
	if (rc == 0 && out != NULL)
		*out = (struct db_result *)result;
	else
		PQclear(result);
	return rc;
}

int db_exec(struct db *db, const char *sql, int param_count, const char *const *params,
	struct db_result **out, struct err *err)
{
	if (out != NULL)
		*out = NULL;
	if (ensure_open(db, err) != 0)
		return -1;
	return take_answer(db,
		PQsendQueryParams(db->conn, sql, param_count, NULL, params, NULL, NULL, 0) == 1,
		out, err);
}

/* ---- prepared ------------------------------------------------------------------------------- */

static int deallocate(struct db *db, const char *name, struct err *err)
{
	char *sql = mem_printf("DEALLOCATE %s", name);
	const bool was_sent = PQsendQueryParams(db->conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;

	free(sql);
	return take_answer(db, was_sent, NULL, err);
}

static int prepare(struct db *db, const char *name, const char *sql, struct err *err)
{
	const bool is_there = db->prepared_on == db->opened;

	if (is_there && !db->prepared_is_stale)
		return 0;
	if (is_there && deallocate(db, name, err) != 0)
		return -1;
	db->prepared_on = 0;
	if (take_answer(db, PQsendPrepare(db->conn, name, sql, 0, NULL) == 1, NULL, err) != 0)
		return -1;
	db->prepared_on = db->opened;
	db->prepared_is_stale = false;
	return 0;
}

int db_exec_prepared(struct db *db, const char *name, const char *sql, int param_count,
	const char *const *params, struct db_result **out, struct err *err)
{
	if (out != NULL)
		*out = NULL;
	if (ensure_open(db, err) != 0 || prepare(db, name, sql, err) != 0)
		return -1;
	return take_answer(db,
		PQsendQueryPrepared(db->conn, name, param_count, params, NULL, NULL, 0) == 1, out,
		err);
}

void db_forget_prepared(struct db *db)
{
	db->prepared_is_stale = true;
}

/* ---- results -------------------------------------------------------------------------------- */

static const PGresult *rows_of(const struct db_result *r)
{
	return (const PGresult *)r;
}

int db_rows(const struct db_result *r)
{
	return PQntuples(rows_of(r));
}

int64_t db_affected(const struct db_result *r)
{
	/* libpq takes the result without const, and only reads it. */
	union {
		const PGresult *read;
		PGresult *taken;
	} result = {.read = rows_of(r)};

	return strtoll(PQcmdTuples(result.taken), NULL, 10);
}

const char *db_text(const struct db_result *r, int row, int column)
{
	if (PQgetisnull(rows_of(r), row, column))
		return NULL;
	return PQgetvalue(rows_of(r), row, column);
}

int64_t db_int(const struct db_result *r, int row, int column)
{
	const char *text = db_text(r, row, column);

	return text != NULL ? strtoll(text, NULL, 10) : 0;
}

void db_result_free(struct db_result *r)
{
	PQclear((PGresult *)r);
}

int db_notifications(struct db *db, void (*fn)(void *arg, const char *channel, const char *payload),
	void *arg, struct err *err)
{
	PGnotify *n;

	if (db->conn == NULL)
		return lost(db, err);
	(void)PQconsumeInput(db->conn);
	while ((n = PQnotifies(db->conn)) != NULL) {
		fn(arg, n->relname, n->extra);
		PQfreemem(n);
	}
	if (PQstatus(db->conn) == CONNECTION_OK)
		return 0;
	db_close(db);
	return lost(db, err);
}
