/*
 * queue_driver - calls queue.h for the tests: one JSON object a line in, one out
 *
 * The first line is the configuration: {"database", "listenDatabase", "sources", "table", ...}; what
 * it leaves out has the default of the program. Every other line is {"call": "claim", ...} and is
 * answered by {"rc": 0, ...}, with "kind", "code" and "text" of the error where rc is not 0.
 */
#include "queue.h"

#include "clock.h"
#include "db.h"
#include "json.h"
#include "keeper_lease.h"
#include "mem.h"
#include "scoreboard.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct driver {
	struct set_environment environment;
	struct set_queue settings;
	struct queue *q;
};

/* ---- configuration -------------------------------------------------------------------------- */

static char *text_or(const cJSON *object, const char *key, const char *otherwise)
{
	const char *text = json_text(object, key);

	return mem_strdup(text != NULL ? text : otherwise);
}

static struct set_list list_of(const cJSON *array)
{
	struct set_list list = {0};
	const cJSON *item;

	list.items = mem_calloc((size_t)cJSON_GetArraySize(array) + 1, sizeof *list.items);
	cJSON_ArrayForEach(item, array) list.items[list.count++] = mem_strdup(item->valuestring);
	return list;
}

static void list_fini(struct set_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

static void configure(struct driver *d, const cJSON *c)
{
	struct set_queue *s = &d->settings;

	d->environment.name = text_or(c, "environment", "prod");
	d->environment.database = text_or(c, "database", "");
	if (json_text(c, "listenDatabase") != NULL)
		d->environment.listen_database = mem_strdup(json_text(c, "listenDatabase"));
	s->sources = list_of(json_get(c, "sources"));
	s->table = text_or(c, "table", "extraction_queue");
	s->pages_table = text_or(c, "pagesTable", "extraction_queue_page");
	s->id_column = text_or(c, "idColumn", "id");
	s->source_column = text_or(c, "sourceColumn", "document_source");
	s->number_column = text_or(c, "numberColumn", "document_number");
	s->path_column = text_or(c, "pathColumn", "supabase_path");
	s->status_column = text_or(c, "statusColumn", "status_id");
	s->worker_column = text_or(c, "workerColumn", "worker_id");
	s->content_column = text_or(c, "contentColumn", "file_content");
	s->boosted_column = text_or(c, "boostedColumn", "boosted_file_content");
	s->created_column = text_or(c, "createdColumn", "created_at");
	s->status_ready = (int)json_int(c, "statusReady", 3);
	s->status_claimed = (int)json_int(c, "statusClaimed", 2);
	s->status_done = (int)json_int(c, "statusDone", 4);
	s->status_failed = (int)json_int(c, "statusFailed", 5);
	s->lease_ms = json_int(c, "leaseMs", 60000);
	s->idle_close_ms = json_int(c, "idleCloseMs", 60000);
	s->connect_timeout_ms = json_int(c, "connectTimeoutMs", 10000);
	s->statement_timeout_ms = json_int(c, "statementTimeoutMs", 20000);
	s->adopt_foreign_after_ms = json_int(c, "adoptForeignAfterMs", 0);
	s->checkpoint_days = (int)json_int(c, "checkpointDays", 30);
	s->max_attempts = (int)json_int(c, "maxAttempts", 3);
	s->result_format = json_bool(c, "resultText", false) ? RESULT_TEXT : RESULT_PAGES;
}

static void driver_fini(struct driver *d)
{
	struct set_queue *s = &d->settings;
	char *const texts[] = {d->environment.name, d->environment.database,
		d->environment.listen_database, s->table, s->pages_table, s->id_column,
		s->source_column, s->number_column, s->path_column, s->status_column,
		s->worker_column, s->content_column, s->boosted_column, s->created_column};

	queue_free(d->q);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(texts[i]);
	list_fini(&s->sources);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void job_from(const cJSON *c, struct job *job)
{
	*job = (struct job){0};
	(void)snprintf(job->id, sizeof job->id, "%s",
		json_text(c, "id") != NULL ? json_text(c, "id") : "");
	(void)snprintf(job->token, sizeof job->token, "%s",
		json_text(c, "token") != NULL ? json_text(c, "token") : "");
}

static void add_job(cJSON *answer, const struct job *job)
{
	json_add_text(answer, "id", job->id);
	json_add_text(answer, "source", job->source);
	json_add_text(answer, "documentNumber", job->document_number);
	json_add_text(answer, "path", job->path);
	json_add_int(answer, "attempt", job->attempt);
	json_add_int(answer, "maxAttempts", job->max_attempts);
	json_add_int(answer, "waitedMs", job->waited_ms);
	json_add_int(answer, "validForMs", job->valid_until_ms - clock_boot_ms());
}

static int call_claim(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	const char *const after = json_text(c, "createdAfter");
	const struct queue_told told = {
		.created_after = after != NULL ? after : "",
		.hears = json_bool(c, "hears", false),
	};
	struct job job;
	int rc;

	job_from(c, &job);
	if (json_text(c, "id") != NULL)
		rc = queue_claim_id(d->q, json_text(c, "worker"), json_text(c, "id"), &job, err);
	else
		rc = queue_claim(d->q, json_text(c, "worker"), &told, &job, err);
	if (rc == 0)
		add_job(answer, &job);
	job_fini(&job);
	return rc;
}

static int call_checkpoint(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	struct job job;

	(void)answer;
	job_from(c, &job);
	return queue_checkpoint(d->q, json_text(c, "worker"), &job, json_text(c, "key"),
		json_text(c, "pages"), err);
}

static void add_page(void *arg, int page)
{
	cJSON_AddItemToArray(arg, cJSON_CreateNumber(page));
}

static int call_checkpoints(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	struct job job;

	job_from(c, &job);
	return queue_checkpoints(d->q, &job, json_text(c, "key"), add_page,
		cJSON_AddArrayToObject(answer, "pages"), err);
}

static int call_complete(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	struct job job;

	(void)answer;
	job_from(c, &job);
	return queue_complete(d->q, json_text(c, "worker"), &job, json_text(c, "key"),
		json_text(c, "envelope"), json_text(c, "pages"), err);
}

static int call_fail(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	struct job job;

	(void)answer;
	job_from(c, &job);
	return queue_fail(d->q, json_text(c, "worker"), &job, json_int(c, "retryAfterMs", -1),
		json_text(c, "error"), err);
}

static int call_release(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	struct job job;

	(void)answer;
	job_from(c, &job);
	return queue_release(d->q, json_text(c, "worker"), &job, json_int(c, "delayMs", 0),
		json_text(c, "why"), err);
}

/* Into the answer: the indexes that are lost, and those that were locked. */
static void add_fate(void *arg, size_t index, enum queue_lease_fate fate)
{
	if (fate != QUEUE_LEASE_RENEWED)
		cJSON_AddItemToArray(
			cJSON_GetObjectItem(arg, fate == QUEUE_LEASE_LOST ? "lost" : "locked"),
			cJSON_CreateNumber((double)index));
}

static int call_renew(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	const cJSON *given = json_get(c, "leases");
	struct queue_lease *leases = mem_calloc((size_t)cJSON_GetArraySize(given), sizeof *leases);
	size_t count = 0;
	const cJSON *item;
	int rc;

	cJSON_ArrayForEach(item, given) leases[count++] = (struct queue_lease){
		.id = json_text(item, "id"), .token = json_text(item, "token")};
	cJSON_AddArrayToObject(answer, "lost");
	cJSON_AddArrayToObject(answer, "locked");
	rc = queue_renew(d->q, leases, count, add_fate, answer, err);
	free(leases);
	return rc;
}

/* The keeper's renewal over a scoreboard with a slot for each lease: how much longer each claim is
 * good, 0 = nothing said, and which are lost. */
static int call_renew_slots(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	const cJSON *given = json_get(c, "leases");
	const int count = cJSON_GetArraySize(given);
	const int64_t now_ms = clock_boot_ms();
	cJSON *left = cJSON_AddArrayToObject(answer, "leftMs");
	cJSON *lost = cJSON_AddArrayToObject(answer, "lost");
	struct scoreboard *board;
	int rc;

	if (scoreboard_new(&board, count, 0, err) != 0)
		return -1;
	for (int i = 0; i < count; i++) {
		const cJSON *lease = cJSON_GetArrayItem(given, i);

		scoreboard_post(board, i + 1, SB_RUNNING, 0, 1);
		scoreboard_alive(board, i + 1);
		scoreboard_claim(board, i + 1, 0, i + 1, json_text(lease, "token"));
		scoreboard_document(board, i + 1, json_text(lease, "id"));
	}
	rc = lease_renew(board, d->q, 0, d->settings.lease_ms, err);
	for (int i = 0; i < count; i++) {
		const int64_t until_ms = scoreboard_valid_until(board, i + 1, i + 1);
		const char *token = json_text(cJSON_GetArrayItem(given, i), "token");

		cJSON_AddItemToArray(
			left, cJSON_CreateNumber(until_ms == 0 ? 0 : (double)(until_ms - now_ms)));
		cJSON_AddItemToArray(
			lost, cJSON_CreateBool(scoreboard_is_lost(board, i + 1, token)));
	}
	scoreboard_free(board);
	return rc;
}

static int call_reclaim(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	const char *const bound = json_text(c, "claimsAfter");
	int count = 0;
	int rc;

	queue_bound_claims(d->q, bound != NULL ? bound : "");
	if (json_text(c, "prefix") != NULL)
		rc = queue_reclaim_prefix(d->q, json_text(c, "prefix"),
			json_bool(c, "crashed", false), json_text(c, "reason"), &count, err);
	else if (json_text(c, "ownDaemon") != NULL)
		rc = queue_reclaim_expired(d->q, json_text(c, "ownDaemon"), &count, err);
	else
		rc = queue_reclaim_daemon(d->q, json_text(c, "daemon"), &count, err);
	json_add_int(answer, "count", count);
	return rc;
}

static int call_adopt(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	int count = 0;
	const int rc = queue_adopt_foreign(d->q, &count, err);

	(void)c;
	json_add_int(answer, "count", count);
	return rc;
}

static void add_claim(void *arg, const char *id, const char *token)
{
	cJSON *claim = cJSON_CreateObject();

	json_add_text(claim, "id", id);
	json_add_text(claim, "token", token);
	cJSON_AddItemToArray(arg, claim);
}

static int call_claims(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	return queue_claims(d->q, json_text(c, "daemon"), add_claim,
		cJSON_AddArrayToObject(answer, "claims"), err);
}

static int call_promote(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	int count = 0;
	int64_t next_ms = 0;
	const int rc = queue_promote(d->q, &count, &next_ms, err);

	(void)c;
	json_add_int(answer, "count", count);
	json_add_int(answer, "nextMs", next_ms);
	return rc;
}

static int call_depth(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	struct queue_depth depth;
	const int rc = queue_depth(d->q, &depth, err);

	(void)c;
	json_add_int(answer, "ready", depth.ready);
	json_add_int(answer, "waiting", depth.waiting);
	json_add_int(answer, "claimed", depth.claimed);
	json_add_int(answer, "foreign", depth.foreign);
	json_add_int(answer, "failed", depth.failed);
	json_add_int(answer, "oldestReadyMs", depth.oldest_ready_ms);
	json_add_text(answer, "createdAfter", depth.created_after);
	json_add_text(answer, "claimsAfter", depth.claims_after);
	json_add_int(answer, "dueMs", depth.due_ms);
	return rc;
}

static int call_listen(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	(void)c;
	(void)answer;
	return queue_listen(d->q, err);
}

static int call_prove(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	(void)c;
	(void)answer;
	return queue_listen_prove(d->q, err);
}

/* Waits up to waitMs for one: rc 1 as soon as it is there. */
static int call_notified(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	const int64_t deadline_ms = clock_boot_ms() + json_int(c, "waitMs", 0);
	int rc;

	(void)answer;
	while ((rc = queue_notified(d->q, err)) == 0 && clock_left_ms(deadline_ms) > 0) {
		struct pollfd p = {.fd = queue_listen_fd(d->q), .events = POLLIN};

		(void)poll(&p, 1, clock_left_ms(deadline_ms));
	}
	return rc;
}

static int call_prune(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	char behind[JOB_ID_BYTES] = "";
	int count = 0;
	int rc;

	if (json_text(c, "behind") != NULL)
		(void)snprintf(behind, sizeof behind, "%s", json_text(c, "behind"));
	rc = queue_prune(d->q, behind, &count, err);
	json_add_int(answer, "count", count);
	json_add_text(answer, "behind", behind);
	return rc;
}

static int call_add(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	char id[JOB_ID_BYTES] = "";
	const int rc = queue_add(d->q, json_text(c, "source"), json_text(c, "documentNumber"),
		json_text(c, "path"), id, err);

	json_add_text(answer, "id", id);
	return rc;
}

static void add_outcome(void *arg, const char *id, const char *outcome, const char *worker)
{
	(void)id;
	(void)worker;
	cJSON_AddItemToArray(arg, cJSON_CreateString(outcome));
}

/* Without ids: all that failed. */
static int call_requeue(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	struct set_list ids = list_of(json_get(c, "ids"));
	int64_t count = 0;
	int rc;

	if (json_get(c, "ids") != NULL)
		rc = queue_requeue(d->q, (const char *const *)ids.items, ids.count,
			json_bool(c, "steal", false), add_outcome,
			cJSON_AddArrayToObject(answer, "outcomes"), err);
	else
		rc = queue_requeue_failed(d->q, json_text(c, "reason"), &count, err);
	json_add_int(answer, "count", count);
	list_fini(&ids);
	return rc;
}

static int call_show(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	char *text = NULL;
	const int rc = queue_show(d->q, json_text(c, "id"), &text, err);

	if (rc == 0)
		cJSON_AddItemToObject(answer, "row", json_parse(text, strlen(text)));
	free(text);
	return rc;
}

static int call_locked(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	bool locked = false;
	const int rc = queue_is_locked(d->q, json_text(c, "id"), &locked, err);

	cJSON_AddBoolToObject(answer, "locked", locked);
	return rc;
}

static void add_statement(void *arg, const char *sql)
{
	cJSON_AddItemToArray(arg, cJSON_CreateString(sql));
}

static int call_migrate(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	return queue_migrate(d->q, json_bool(c, "notify", true), json_bool(c, "printOnly", false),
		add_statement, cJSON_AddArrayToObject(answer, "statements"), err);
}

static int call_close(struct driver *d, const cJSON *c, cJSON *answer, struct err *err)
{
	(void)c;
	(void)answer;
	(void)err;
	db_close(queue_db(d->q));
	return 0;
}

static const struct call {
	const char *name;
	int (*run)(struct driver *d, const cJSON *c, cJSON *answer, struct err *err);
} calls[] = {
	{"claim", call_claim},
	{"checkpoint", call_checkpoint},
	{"checkpoints", call_checkpoints},
	{"complete", call_complete},
	{"fail", call_fail},
	{"release", call_release},
	{"renew", call_renew},
	{"renewSlots", call_renew_slots},
	{"reclaim", call_reclaim},
	{"adopt", call_adopt},
	{"claims", call_claims},
	{"promote", call_promote},
	{"prune", call_prune},
	{"depth", call_depth},
	{"listen", call_listen},
	{"prove", call_prove},
	{"notified", call_notified},
	{"add", call_add},
	{"requeue", call_requeue},
	{"show", call_show},
	{"locked", call_locked},
	{"migrate", call_migrate},
	{"close", call_close},
};

static void answer_line(struct driver *d, const char *line)
{
	cJSON *c = json_parse(line, strlen(line));
	cJSON *answer = cJSON_CreateObject();
	const char *name = json_text(c, "call");
	struct err err = {0};
	char *text;
	int rc = -1;

	err_set(&err, ERR_BUG, "driver", "no such call");
	for (size_t i = 0; name != NULL && i < sizeof calls / sizeof calls[0]; i++)
		if (strcmp(calls[i].name, name) == 0)
			rc = calls[i].run(d, c, answer, &err);
	json_add_int(answer, "rc", rc);
	if (rc != 0) {
		json_add_text(answer, "kind", err_kind_name(err.kind));
		json_add_text(answer, "code", err.code);
		json_add_text(answer, "text", err.text);
	}
	text = json_print(answer);
	(void)printf("%s\n", text);
	(void)fflush(stdout);
	free(text);
	cJSON_Delete(answer);
	cJSON_Delete(c);
}

int main(void)
{
	struct driver d = {0};
	struct err err;
	char *line = NULL;
	size_t size = 0;
	cJSON *configuration;
	int rc = EXIT_FAILURE;

	if (getline(&line, &size, stdin) < 0)
		goto out;
	configuration = json_parse(line, strlen(line));
	configure(&d, configuration);
	cJSON_Delete(configuration);
	if (queue_new(&d.q, &d.environment, &d.settings, "queue_driver", &err) != 0) {
		(void)fprintf(stderr, "queue_driver: %s\n", err.text);
		goto out;
	}
	while (getline(&line, &size, stdin) >= 0)
		answer_line(&d, line);
	rc = EXIT_SUCCESS;
out:
	free(line);
	driver_fini(&d);
	return rc;
}
