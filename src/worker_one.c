/* The one-document commands: `indexocrctl read` and `process`. The same way as any document's, for somebody who waits. */
#include "json.h"
#include "log.h"
#include "spool.h"
#include "worker_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static int status_of(const struct err *err)
{
	switch (err->kind) {
	case ERR_CONFIG:
		return EX_CONFIG;
	case ERR_DOCUMENT:
	case ERR_MISSING:
	case ERR_REQUEST:
		return EX_DATAERR;
	case ERR_TRANSIENT:
		return EX_UNAVAILABLE;
	case ERR_QUOTA:
	case ERR_QUOTA_DAY:
	case ERR_LOST:
	case ERR_STOPPED:
		return EX_TEMPFAIL;
	case ERR_SYSTEM:
		return EX_OSERR;
	default:
		return EX_SOFTWARE;
	}
}

static int read_file(struct worker *w, const struct one_document *one)
{
	struct err err;

	if (worker_open_engine(w, &err) == 0 && spool_run(&w->pipeline, one, &err) == 0)
		return EX_OK;
	log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = err.text},
		"Cannot read %s", one->path);
	return status_of(&err);
}

/* ---- a row of a queue */

static const char *const fate_names[FATES] = {
	[FATE_DONE] = "done",
	[FATE_FAILED] = "failed",
	[FATE_RETRIED] = "retried",
	[FATE_RELEASED] = "released",
	[FATE_LOST] = "lost",
	[FATE_UNWRITTEN] = "unwritten",
	[FATE_KEPT] = "unwritten",
};

static int status_of_fate(const struct outcome *outcome)
{
	switch (outcome->fate) {
	case FATE_DONE:
		return EX_OK;
	case FATE_FAILED:
		return EX_DATAERR;
	case FATE_RELEASED:
		return status_of(&outcome->why);
	case FATE_UNWRITTEN:
	case FATE_KEPT:
		return EX_UNAVAILABLE;
	default:
		return EX_TEMPFAIL;
	}
}

static void print_json(const struct one_document *one, const struct outcome *outcome)
{
	cJSON *out = cJSON_CreateObject();
	char *text;

	json_add_text(out, "environment", one->environment);
	json_add_text(out, "id", one->id);
	json_add_text(out, "outcome", fate_names[outcome->fate]);
	if (outcome->fate == FATE_DONE) {
		json_add_int(out, "pages", outcome->pages);
		json_add_int(out, "pagesRead", outcome->pages_read);
		json_add_int(out, "lines", outcome->lines);
		json_add_int(out, "tokens", outcome->tokens);
		json_add_int(out, "ms", outcome->ms);
	} else {
		json_add_text(out, "code", outcome->why.code);
		json_add_text(out, "error", outcome->why.text);
	}
	if (outcome->fate == FATE_RETRIED)
		json_add_int(out, "retryMs", outcome->retry_ms);
	text = json_print(out);
	(void)puts(text);
	free(text);
	cJSON_Delete(out);
}

static void print_text(const struct one_document *one, const struct outcome *outcome)
{
	const char *const why = outcome->why.text;

	(void)printf("%s: document %s ", one->environment, one->id);
	switch (outcome->fate) {
	case FATE_DONE:
		(void)printf("is done: %d pages, %d of them read now, %lld lines, %lld ms\n",
			outcome->pages, outcome->pages_read, (long long)outcome->lines,
			(long long)outcome->ms);
		break;
	case FATE_FAILED:
		(void)printf("has failed for good: %s\n", why);
		break;
	case FATE_RETRIED:
		(void)printf("is to be tried again in %lld s: %s\n",
			(long long)outcome->retry_ms / 1000, why);
		break;
	case FATE_RELEASED:
		(void)printf("is ready again, the attempt does not count: %s\n", why);
		break;
	case FATE_LOST:
		(void)printf("was taken away meanwhile: nothing has been written\n");
		break;
	default:
		(void)printf("could not be settled, the database is away: %s\n", why);
		break;
	}
}

/* It cannot be claimed: the row says why. */
static int say_why_not(const struct source *s, const struct one_document *one)
{
	char *text = NULL;
	struct err err;
	const int rc = queue_show(s->queue, one->id, &text, &err);
	cJSON *row = rc == 0 ? json_parse(text, strlen(text)) : NULL;
	const char *reason = json_text(row, "notClaimedBecause");

	if (rc == 1)
		reason = "there is none of that id";
	else if (rc == -1)
		reason = err.text;
	(void)fprintf(stderr, "indexocrctl: document %s of %s is not taken: %s\n", one->id,
		one->environment, reason != NULL ? reason : "somebody has the row locked");
	cJSON_Delete(row);
	free(text);
	return rc == 1 ? EX_DATAERR : EX_TEMPFAIL;
}

static int process_row(struct worker *w, const struct one_document *one)
{
	struct source *s = &w->sources[0];
	struct outcome outcome;
	struct err err;
	const int rc = worker_claim(w, s, one->id, &err);

	if (rc == 1)
		return say_why_not(s, one);
	if (rc == -1) {
		log_event(LEVEL_ERROR, "worker", &(struct log_more){.ms = -1, .error = err.text},
			"Cannot claim document %s of %s", one->id, one->environment);
		return status_of(&err);
	}
	worker_work_on(w, s, &outcome);
	if (outcome.fate == FATE_KEPT)
		worker_finish_kept(w, &outcome);
	if (one->json)
		print_json(one, &outcome);
	else
		print_text(one, &outcome);
	return fflush(stdout) == 0 ? status_of_fate(&outcome) : EX_IOERR;
}

int worker_one(struct worker *w)
{
	const struct one_document *one = w->process->one;

	return one->id != NULL ? process_row(w, one) : read_file(w, one);
}
