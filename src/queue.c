#include "queue.h"

#include "clock.h"
#include "embed.h"
#include "mem.h"
#include "queue_private.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHECK_EVERY_MS = 200,
	REPLAN_MS =
		50 /* a prepared claim that took longer is planned anew: the table is not what it was */
};

/* Columns of catalogue.sql. */
enum {
	CAT_SCHEMA,
	CAT_PAGES_SCHEMA,
	CAT_ID_TYPE,
	CAT_CONTENT_TYPE,
	CAT_BOOSTED_TYPE,
	CAT_ABSENT,
	CAT_UNMIGRATED,
	CAT_HAS_CLAIM_INDEX,
	CAT_NOTIFIES
};

/* ---- its life ------------------------------------------------------------------------------- */

static void shape_fini(struct queue_shape *s)
{
	free(s->schema);
	free(s->pages_schema);
	free(s->id_type);
	free(s->content_type);
	free(s->boosted_type);
	*s = (struct queue_shape){0};
}

int queue_new(struct queue **out, const struct set_environment *environment,
	const struct set_queue *settings, const char *application_name, struct err *err)
{
	struct queue *q;

	*out = NULL;
	if (environment->database == NULL || environment->database[0] == '\0')
		return err_set(err, ERR_CONFIG, "database", "environment %s has no database",
			environment->name);
	q = mem_calloc(1, sizeof *q);
	q->environment = environment;
	q->settings = settings;
	q->application_name = mem_strdup(application_name);
	q->sources =
		queue_array((const char *const *)settings->sources.items, settings->sources.count);
	q->db = db_new(environment->database, application_name, settings->connect_timeout_ms,
		settings->statement_timeout_ms);
	*out = q;
	return 0;
}

void queue_free(struct queue *q)
{
	if (q == NULL)
		return;
	shape_fini(&q->shape);
	db_free(q->db);
	db_free(q->listener);
	free(q->foreign);
	free(q->application_name);
	free(q->sources);
	free(q);
}

bool queue_is_open(const struct queue *q)
{
	return db_is_open(q->db);
}

bool queue_is_idle(const struct queue *q)
{
	return db_is_open(q->db) &&
	       clock_boot_ms() - db_last_used_ms(q->db) >= q->settings->idle_close_ms;
}

void queue_rest(struct queue *q)
{
	db_close(q->db);
}

struct db *queue_db(struct queue *q)
{
	return q->db;
}

void queue_watch(struct queue *q, int (*check)(void *arg, struct err *err), void *arg)
{
	q->check = check;
	q->check_arg = arg;
	db_watch(q->db, check, arg);
	if (q->listener != NULL)
		db_watch(q->listener, check, arg);
}

/* ---- parameters ----------------------------------------------------------------------------- */

static size_t quoted_size(const char *item)
{
	size_t size = 3;

	for (; *item != '\0'; item++)
		size += *item == '"' || *item == '\\' ? 2 : 1;
	return size;
}

char *queue_array(const char *const *items, size_t count)
{
	size_t size = 3;
	char *array;
	char *to;

	for (size_t i = 0; i < count; i++)
		size += quoted_size(items[i]);
	array = mem_calloc(size, 1);
	to = array;
	*to++ = '{';
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			*to++ = ',';
		*to++ = '"';
		for (const char *from = items[i]; *from != '\0'; from++) {
			if (*from == '"' || *from == '\\')
				*to++ = '\\';
			*to++ = *from;
		}
		*to++ = '"';
	}
	*to = '}';
	return array;
}

const char *queue_number(char text[QUEUE_NUMBER_BYTES], int64_t number)
{
	(void)snprintf(text, QUEUE_NUMBER_BYTES, "%lld", (long long)number);
	return text;
}

int queue_pause(struct queue *q, int64_t wait_ms, struct err *err)
{
	const int64_t until_ms = clock_boot_ms() + wait_ms;
	int left;

	while ((left = clock_left_ms(until_ms)) > 0) {
		if (q->check != NULL && q->check(q->check_arg, err) != 0)
			return -1;
		(void)poll(NULL, 0, left < CHECK_EVERY_MS ? left : CHECK_EVERY_MS);
	}
	return 0;
}

/* ---- statements ----------------------------------------------------------------------------- */

/* "schema.table" as configured: the table's part, and the schema's ("" where it has none). */
static const char *table_part(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL ? dot + 1 : name;
}

static char *schema_part(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL ? mem_strndup(name, (size_t)(dot - name)) : mem_strdup("");
}

/* shape NULL: names as they are configured. */
static char *fill(
	const struct queue *q, const char *name, const struct queue_shape *shape, struct err *err)
{
	const struct set_queue *s = q->settings;
	char numbers[4][QUEUE_NUMBER_BYTES];
	char *schema = schema_part(s->table);
	char *pages_schema = schema_part(s->pages_table);
	char *file = mem_printf("sql/%s.sql", name);
	const struct db_variable vars[] = {
		{"schema", shape != NULL ? shape->schema : schema},
		{"queue", table_part(s->table)},
		{"pages_schema", shape != NULL ? shape->pages_schema : pages_schema},
		{"pages", table_part(s->pages_table)},
		{"id", s->id_column},
		{"source", s->source_column},
		{"number", s->number_column},
		{"path", s->path_column},
		{"status", s->status_column},
		{"worker", s->worker_column},
		{"content", s->content_column},
		{"boosted", s->boosted_column},
		{"created", s->created_column},
		{"ready", queue_number(numbers[0], s->status_ready)},
		{"claimed", queue_number(numbers[1], s->status_claimed)},
		{"done", queue_number(numbers[2], s->status_done)},
		{"failed", queue_number(numbers[3], s->status_failed)},
		{"id_type", shape != NULL ? shape->id_type : ""},
		{"content_type", shape != NULL ? shape->content_type : ""},
		{"boosted_type", shape != NULL ? shape->boosted_type : ""},
		{NULL, NULL},
	};
	char *sql = db_fill(embed_get(file), vars, err);

	free(file);
	free(schema);
	free(pages_schema);
	return sql;
}

char *queue_fill_unasked(struct queue *q, const char *name, struct err *err)
{
	return fill(q, name, NULL, err);
}

static bool is_result_type(const char *type)
{
	return strcmp(type, "jsonb") == 0 || strcmp(type, "json") == 0 || strcmp(type, "text") == 0;
}

static int unmigrated(const struct queue *q, const char *what, struct err *err)
{
	return err_set(err, ERR_CONFIG, "unmigrated",
		"run indexocrctl migrate %s: table %s of environment %s lacks %s",
		q->environment->name, q->settings->table, q->environment->name, what);
}

/* Is it a table that we can work with, once it is migrated? */
static int check_table(const struct queue *q, const struct db_result *r, struct err *err)
{
	const char *const table = q->settings->table;
	const char *const environment = q->environment->name;

	if (db_rows(r) == 0)
		return err_set(err, ERR_CONFIG, "no-table",
			"the database of environment %s has no table %s; check queue.table and the "
			"database",
			environment, table);
	if (db_rows(r) > 1)
		return err_set(err, ERR_CONFIG, "no-table",
			"the database of environment %s has several tables %s; write queue.table "
			"as "
			"schema.table",
			environment, table);
	if (db_text(r, 0, CAT_ABSENT) != NULL)
		return err_set(err, ERR_CONFIG, "no-column",
			"table %s of environment %s has no column %s; name its columns in the "
			"configuration",
			table, environment, db_text(r, 0, CAT_ABSENT));
	if (!is_result_type(db_text(r, 0, CAT_CONTENT_TYPE)) ||
		!is_result_type(db_text(r, 0, CAT_BOOSTED_TYPE)))
		return err_set(err, ERR_CONFIG, "column-type",
			"the result columns of table %s of environment %s are of type %s and %s; "
			"jsonb, "
			"json or text is needed",
			table, environment, db_text(r, 0, CAT_CONTENT_TYPE),
			db_text(r, 0, CAT_BOOSTED_TYPE));
	return 0;
}

static int check_migrated(const struct queue *q, const struct db_result *r, struct err *err)
{
	if (db_text(r, 0, CAT_UNMIGRATED) != NULL)
		return unmigrated(q, db_text(r, 0, CAT_UNMIGRATED), err);
	if (db_text(r, 0, CAT_PAGES_SCHEMA) == NULL)
		return unmigrated(q, q->settings->pages_table, err);
	if (strcmp(db_text(r, 0, CAT_HAS_CLAIM_INDEX), "t") != 0)
		return unmigrated(q, "the claim index", err);
	return 0;
}

static int ask_catalogue(struct queue *q, struct db *db, struct db_result **out, struct err *err)
{
	char *sql = fill(q, "catalogue", NULL, err);
	int rc = sql != NULL ? db_exec(db, sql, 0, NULL, out, err) : -1;

	free(sql);
	return rc == 0 ? check_table(q, *out, err) : rc;
}

char *queue_find_table(struct queue *q, struct db *db, struct err *err)
{
	struct db_result *r = NULL;
	char *table = NULL;

	if (ask_catalogue(q, db, &r, err) == 0) {
		const struct db_variable vars[] = {
			{"schema", db_text(r, 0, CAT_SCHEMA)},
			{"queue", table_part(q->settings->table)},
			{NULL, NULL},
		};

		table = db_fill(":\"schema\".:\"queue\"", vars, err);
	}
	db_result_free(r);
	return table;
}

static int learn_shape(struct queue *q, struct err *err)
{
	struct db_result *r = NULL;
	int rc = ask_catalogue(q, q->db, &r, err);

	if (rc == 0)
		rc = check_migrated(q, r, err);
	if (rc != 0)
		goto out;
	shape_fini(&q->shape);
	q->shape = (struct queue_shape){
		.schema = mem_strdup(db_text(r, 0, CAT_SCHEMA)),
		.pages_schema = mem_strdup(db_text(r, 0, CAT_PAGES_SCHEMA)),
		.id_type = mem_strdup(db_text(r, 0, CAT_ID_TYPE)),
		.content_type = mem_strdup(db_text(r, 0, CAT_CONTENT_TYPE)),
		.boosted_type = mem_strdup(db_text(r, 0, CAT_BOOSTED_TYPE)),
		.notifies = strcmp(db_text(r, 0, CAT_NOTIFIES), "t") == 0,
	};
	q->shape_of = db_opened(q->db);
out:
	db_result_free(r);
	return rc;
}

typedef int exec_fn(struct db *db, const char *sql, int param_count, const char *const *params,
	struct db_result **out, struct err *err);

static int run(struct queue *q, const char *name, exec_fn *exec, int param_count,
	const char *const *params, struct db_result **out, struct err *err)
{
	const bool is_known =
		q->shape.schema != NULL && db_is_open(q->db) && q->shape_of == db_opened(q->db);
	char *sql;
	int rc;

	if (!is_known && learn_shape(q, err) != 0)
		return -1;
	sql = fill(q, name, &q->shape, err);
	if (sql == NULL)
		return -1;
	rc = exec(q->db, sql, param_count, params, out, err);
	/* The table may have changed under us: ask again before the next statement. */
	if (rc != 0 && err->kind == ERR_CONFIG)
		shape_fini(&q->shape);
	free(sql);
	return rc;
}

int queue_run(struct queue *q, const char *name, int param_count, const char *const *params,
	struct db_result **out, struct err *err)
{
	return run(q, name, db_exec, param_count, params, out, err);
}

/* ---- claim ---------------------------------------------------------------------------------- */

static char *dup_or_null(const char *text)
{
	return text != NULL ? mem_strdup(text) : NULL;
}

/* 0: the row is in job; 1: there is none. */
static int take_row(
	const struct queue *q, const struct db_result *r, int64_t sent_ms, struct job *job)
{
	if (db_rows(r) == 0)
		return 1;
	job->environment = q->environment->name;
	(void)snprintf(job->id, sizeof job->id, "%s", db_text(r, 0, 0));
	job->source = dup_or_null(db_text(r, 0, 1));
	job->document_number = dup_or_null(db_text(r, 0, 2));
	job->path = dup_or_null(db_text(r, 0, 3));
	job->attempt = (int)db_int(r, 0, 4);
	job->max_attempts = (int)db_int(r, 0, 5);
	job->waited_ms = db_int(r, 0, 6);
	job->valid_until_ms = sent_ms + q->settings->lease_ms;
	return 0;
}

/* After a claim whose answer was lost: did it take a row? One that commits later still is given
 * back by the keeper, which finds it among the claims of this worker that it does not work on. */
static int find_claim(struct queue *q, int64_t sent_ms, struct job *job, struct err *err)
{
	char number[QUEUE_NUMBER_BYTES];
	const char *const params[] = {job->token, queue_number(number, q->settings->max_attempts)};
	struct err ignored;
	struct db_result *r = NULL;
	int rc = -1;

	if (queue_run(q, "claimed", 2, params, &r, &ignored) == 0 &&
		take_row(q, r, sent_ms, job) == 0)
		rc = 0;
	db_result_free(r);
	if (rc != 0)
		err_prefix(err, "claim: ");
	return rc;
}

/* Without a connection nothing was sent: another try to connect would only double the wait. */
static bool was_sent(const struct err *err)
{
	return strcmp(err->code, "connect") != 0 && strcmp(err->code, "resolve") != 0;
}

static int exec_claim(struct db *db, const char *sql, int param_count, const char *const *params,
	struct db_result **out, struct err *err)
{
	const int64_t sent_ms = clock_boot_ms();
	const int rc = db_exec_prepared(db, "indexocr_claim", sql, param_count, params, out, err);

	if (rc != 0 || clock_boot_ms() - sent_ms > REPLAN_MS)
		db_forget_prepared(db);
	return rc;
}

/* Prepared where the connection is a session; a pooler that gave us another one is found out by its answer. */
static int run_claim(struct queue *q, const char *statement, bool is_session, int param_count,
	const char *const *params, struct db_result **out, struct err *err)
{
	int rc;

	if (!is_session || q->is_no_session)
		return queue_run(q, statement, param_count, params, out, err);
	rc = run(q, statement, exec_claim, param_count, params, out, err);
	if (rc == 0 || (strcmp(err->code, "26000") != 0 && strcmp(err->code, "42P05") != 0))
		return rc;
	q->is_no_session = true;
	return queue_run(q, statement, param_count, params, out, err);
}

static int claim(struct queue *q, const char *statement, bool is_session, int param_count,
	const char *const *params, struct job *job, struct err *err)
{
	const int64_t sent_ms = clock_boot_ms();
	struct db_result *r = NULL;
	int rc;

	if (run_claim(q, statement, is_session, param_count, params, &r, err) != 0)
		return err->kind == ERR_TRANSIENT && was_sent(err)
			       ? find_claim(q, sent_ms, job, err)
			       : -1;
	rc = take_row(q, r, sent_ms, job);
	db_result_free(r);
	return rc;
}

int queue_claim(struct queue *q, const char *worker_id, const struct queue_told *told,
	struct job *job, struct err *err)
{
	const bool is_bounded = told->created_after[0] != '\0';
	const bool is_session = told->hears && !queue_listens_elsewhere(q);
	const bool is_one = q->settings->sources.count == 1;
	const char *const statement = is_one ? "claim_one" : "claim";
	char lease[QUEUE_NUMBER_BYTES];
	char attempts[QUEUE_NUMBER_BYTES];
	const char *params[] = {
		is_one ? q->settings->sources.items[0] : q->sources,
		worker_id,
		job->token,
		queue_number(lease, q->settings->lease_ms),
		queue_number(attempts, q->settings->max_attempts),
		is_bounded ? told->created_after : "-infinity",
	};
	int rc = claim(q, statement, is_session, 6, params, job, err);

	if (rc == 1 && is_bounded) {
		params[5] = "-infinity";
		rc = claim(q, statement, is_session, 6, params, job, err);
	}
	return rc;
}

int queue_claim_id(
	struct queue *q, const char *worker_id, const char *id, struct job *job, struct err *err)
{
	char lease[QUEUE_NUMBER_BYTES];
	char attempts[QUEUE_NUMBER_BYTES];
	const char *const params[] = {
		id,
		worker_id,
		job->token,
		queue_number(lease, q->settings->lease_ms),
		queue_number(attempts, q->settings->max_attempts),
	};

	return claim(q, "claim_id", false, 5, params, job, err);
}
