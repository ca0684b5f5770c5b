/* Single documents of a queue: requeue, show. */
#include "ctl.h"

#include "json.h"
#include "mem.h"
#include "queue.h"
#include "utf8.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* ---- requeue */

/* What is said of each id, and what it comes to. */
struct requeue_report {
	bool json;
	const char *environment;
	cJSON *documents; /* owned; with json only */
	int64_t requeued, busy, odd;
};

/* done: it is ready again. busy: --steal would take it. */
static const struct outcome {
	const char *name;
	bool done, busy;
	const char *words;
} outcomes[] = {
	{"requeued", true, false, "is ready again"},
	{"stolen", true, false, "is ready again, taken from"},
	{"claimed", false, true, "left alone: it is being read by"},
	{"foreign", false, true, "left alone: it is claimed by another program,"},
	{"other", false, false, "left alone: its status is none that indexocr uses"},
	{"missing", false, false, "is not there"},
};

static const struct outcome *find_outcome(const char *name)
{
	for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++)
		if (strcmp(outcomes[i].name, name) == 0)
			return &outcomes[i];
	return &outcomes[0];
}

static void note(void *arg, const char *id, const char *name, const char *worker)
{
	struct requeue_report *report = arg;
	const struct outcome *outcome = find_outcome(name);
	const bool had = worker != NULL && (outcome->busy || strcmp(name, "stolen") == 0);
	cJSON *document;

	report->requeued += outcome->done;
	report->busy += outcome->busy;
	report->odd += !outcome->done && !outcome->busy;
	if (!report->json) {
		(void)printf("%s: document %s %s%s%s\n", report->environment, id, outcome->words,
			had ? " " : "", had ? worker : "");
		return;
	}
	document = cJSON_CreateObject();
	json_add_text(document, "id", id);
	json_add_text(document, "outcome", name);
	if (had)
		json_add_text(document, "worker", worker);
	cJSON_AddItemToArray(report->documents, document);
}

static void print_requeue_json(struct requeue_report *report, bool failed)
{
	cJSON *out = cJSON_CreateObject();

	json_add_text(out, "environment", report->environment);
	json_add_int(out, "requeued", report->requeued);
	if (!failed) {
		json_add_int(out, "refused", report->busy + report->odd);
		cJSON_AddItemToObject(out, "documents", report->documents);
		report->documents = NULL;
	}
	ctl_print_json(out);
	cJSON_Delete(out);
}

static int requeue_status(const struct requeue_report *report)
{
	if (report->busy > 0) {
		(void)fprintf(stderr,
			"indexocrctl: %lld left alone, they are claimed; --steal takes them from "
			"their worker\n",
			(long long)report->busy);
		return EX_TEMPFAIL;
	}
	return report->odd > 0 ? EX_DATAERR : EX_OK;
}

/* ids NULL: all that failed. */
static int requeue(struct ctl *ctl, const struct set_environment *environment,
	const char *const *ids, size_t count, const char *reason, bool steal)
{
	struct requeue_report report = {.json = ctl->json,
		.environment = environment->name,
		.documents = cJSON_CreateArray()};
	struct queue *q = NULL;
	struct err err;
	int status = ctl_open_queue(ctl, environment, &q);
	int rc = 0;

	if (status == EX_OK) {
		rc = ids != NULL ? queue_requeue(q, ids, count, steal, note, &report, &err)
				 : queue_requeue_failed(q, reason, &report.requeued, &err);
		if (ctl->json)
			print_requeue_json(&report, ids == NULL);
		else if (ids == NULL)
			(void)printf("%s: %lld document%s ready again\n", environment->name,
				(long long)report.requeued, report.requeued == 1 ? "" : "s");
		status = rc == 0 ? requeue_status(&report) : ctl_fail(&err);
	}
	cJSON_Delete(report.documents);
	queue_free(q);
	return status;
}

int ctl_requeue(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"failed", no_argument, NULL, 'f'},
		{"reason", required_argument, NULL, 'r'},
		{"steal", no_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	const struct set_environment *environment;
	const char *reason = NULL;
	bool failed = false, steal = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'f')
			failed = true;
		else if (option == 'r')
			reason = optarg;
		else if (option == 's')
			steal = true;
		else
			return EX_USAGE;
	}
	if (optind == argc || failed == (optind < argc - 1))
		return ctl_usage("requeue takes an environment and either ids or --failed");
	if (failed ? steal : reason != NULL)
		return ctl_usage("--reason goes with --failed, --steal with ids");
	environment = ctl_environment(ctl, argv[optind++]);
	if (environment == NULL)
		return EX_CONFIG;
	return requeue(ctl, environment, failed ? NULL : (const char *const *)(argv + optind),
		(size_t)(argc - optind), reason, steal);
}

/* ---- show */

/* What stands in the row may hold anything, also what a terminal would obey. */
static void print_field(const char *name, const char *text)
{
	char *clean;

	if (text == NULL || text[0] == '\0')
		return;
	clean = utf8_clean(text, strlen(text));
	(void)printf("%-14s %s\n", name, clean);
	free(clean);
}

/* A time, and how far off it is by the database's clock. */
static void print_until(const char *name, const cJSON *row, const char *at, const char *ms)
{
	const int64_t left_ms = json_int(row, ms, 0);

	if (json_text(row, at) == NULL)
		return;
	(void)printf("%-14s %s (%s%lld s%s)\n", name, json_text(row, at), left_ms >= 0 ? "in " : "",
		(long long)(left_ms >= 0 ? left_ms : -left_ms) / 1000, left_ms >= 0 ? "" : " ago");
}

/* 1, 2, 3, 7 as "1-3, 7". */
static void print_page_ranges(const cJSON *pages)
{
	const int count = cJSON_GetArraySize(pages);

	for (int i = 0, last; i < count; i = last + 1) {
		const int from = cJSON_GetArrayItem(pages, i)->valueint;

		for (last = i; last + 1 < count; last++)
			if (cJSON_GetArrayItem(pages, last + 1)->valueint != from + last + 1 - i)
				break;
		(void)printf("%s%d", i > 0 ? ", " : "", from);
		if (last > i)
			(void)printf("-%d", from + last - i);
	}
}

static void print_checkpoints(const cJSON *stored)
{
	const cJSON *pages = json_get(stored, "pages");
	const int count = cJSON_GetArraySize(pages);

	if (count == 0)
		return;
	(void)printf("%-14s %d page%s (", "stored", count, count == 1 ? "" : "s");
	print_page_ranges(pages);
	(void)printf("), %lld tokens, the last at %s\n", (long long)json_int(stored, "tokens", 0),
		json_text(stored, "newestAt"));
	if (json_int(stored, "keys", 1) > 1)
		print_field(
			"", "not all of one document, model and prompt: some will be read again");
}

static void print_row(const char *environment, const cJSON *row)
{
	(void)printf("%-14s %s in %s\n", "document", json_text(row, "id"), environment);
	print_field("source", json_text(row, "source"));
	print_field("number", json_text(row, "documentNumber"));
	print_field("path", json_text(row, "path"));
	if (json_text(row, "path") == NULL)
		print_field("path", "none: it will fail, storage has nothing to look for");
	(void)printf("%-14s %s (%lld)\n", "status", json_text(row, "status"),
		(long long)json_int(row, "statusId", 0));
	(void)printf("%-14s %lld of %lld, losses %lld\n", "attempts",
		(long long)json_int(row, "attempts", 0), (long long)json_int(row, "maxAttempts", 0),
		(long long)json_int(row, "losses", 0));
	print_field("created", json_text(row, "createdAt"));
	print_field("started", json_text(row, "startedAt"));
	print_field("completed", json_text(row, "completedAt"));
	print_field("held by", json_text(row, "worker"));
	print_field("claim", json_text(row, "claim"));
	print_until("held until", row, "leaseUntil", "leaseMs");
	print_until("waits until", row, "notBefore", "notBeforeMs");
	print_field("last error", json_text(row, "error"));
	print_field("", json_text(row, "lastErrorAt"));
	print_checkpoints(json_get(row, "checkpoints"));
	if (json_int(row, "contentBytes", 0) > 0)
		(void)printf("%-14s %lld bytes\n", "result",
			(long long)json_int(row, "contentBytes", 0));
	print_field("not claimed", json_text(row, "notClaimedBecause"));
}

/* Where the row itself is no reason, somebody's lock may be, or the daemon. */
static void complete_reason(
	struct ctl *ctl, struct queue *q, const char *environment, const char *id, cJSON *row)
{
	bool locked = false;
	cJSON *status;
	struct err err;
	char *why;

	if (json_text(row, "notClaimedBecause") != NULL)
		return;
	if (queue_is_locked(q, id, &locked, &err) == 0 && locked) {
		why = mem_strdup("somebody has the row locked: an open transaction");
	} else {
		status = ctl_ask(ctl, "status", &err);
		why = ctl_why_not_claimed(row, environment, status);
		cJSON_Delete(status);
	}
	cJSON_DeleteItemFromObjectCaseSensitive(row, "notClaimedBecause");
	json_add_text(row, "notClaimedBecause", why);
	free(why);
}

static int show(struct ctl *ctl, const char *environment, const char *id, struct queue *q)
{
	char *text = NULL;
	struct err err;
	const int rc = queue_show(q, id, &text, &err);
	cJSON *row;

	if (rc == -1)
		return ctl_fail(&err);
	if (rc == 1) {
		(void)fprintf(
			stderr, "indexocrctl: there is no document %s in %s\n", id, environment);
		return EX_DATAERR;
	}
	row = json_parse(text, strlen(text));
	free(text);
	complete_reason(ctl, q, environment, id, row);
	if (ctl->json)
		ctl_print_json(row);
	else
		print_row(environment, row);
	cJSON_Delete(row);
	return EX_OK;
}

int ctl_show(struct ctl *ctl, int argc, char **argv)
{
	const struct set_environment *environment;
	struct queue *q = NULL;
	int status;

	if (argc != 3)
		return ctl_usage("show takes an environment and an id");
	environment = ctl_environment(ctl, argv[1]);
	if (environment == NULL)
		return EX_CONFIG;
	status = ctl_open_queue(ctl, environment, &q);
	if (status == EX_OK)
		status = show(ctl, environment->name, argv[2], q);
	queue_free(q);
	return status;
}
