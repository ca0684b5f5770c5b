/* What waits for its database: results and failures that could not be written, documents half read. */
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "retry.h"
#include "worker_private.h"

#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 1000, RETRY_MAX_MS = 15 * 1000, FULL_NAP_MS = 1000 };

static const char *const what_names[] = {
	[KEPT_RESULT] = "The result",
	[KEPT_FAILURE] = "The failure",
	[KEPT_WORK] = "What has been read",
};

static void forget(struct worker *w, struct kept *k)
{
	scoreboard_unkeep(w->board, w->slot, (int)(k - w->kept));
	job_fini(&k->job);
	free(k->page_key);
	free(k->envelope);
	free(k->pages);
	*k = (struct kept){0};
}

static struct kept *find_place(struct worker *w)
{
	for (int i = 0; i < SB_KEPT; i++)
		if (w->kept[i].source == NULL)
			return &w->kept[i];
	return NULL;
}

static char *take_text(char **text)
{
	char *taken = *text;

	*text = NULL;
	return taken;
}

/* It has to stand in the scoreboard before the claim leaves its place there as the current one. */
static void show(struct worker *w, const struct kept *k)
{
	struct sb_kept_view view = {.claim = k->job.number, .environment = k->source->index};

	memcpy(view.token, k->job.token, sizeof view.token);
	memcpy(view.document, k->job.id, sizeof view.document);
	scoreboard_keep(w->board, w->slot, (int)(k - w->kept), &view);
}

/* Where all places are taken, the next is waited for: so much is kept in memory, and not more. */
bool worker_keep(struct worker *w, enum kept_what what, struct source *s, struct job *job,
	struct pipeline_result *result, const struct outcome *outcome)
{
	struct kept *k;

	while ((k = find_place(w)) == NULL && !w->interrupted) {
		worker_nap(w, FULL_NAP_MS);
		worker_tend_kept(w);
	}
	if (k == NULL)
		return false;
	*k = (struct kept){.what = what, .source = s, .job = *job, .outcome = *outcome};
	k->due_ms = clock_boot_ms() + worker_jitter(RETRY_MS);
	if (result != NULL) {
		k->page_key = take_text(&result->page_key);
		k->envelope = take_text(&result->envelope);
		k->pages = take_text(&result->last_pages);
	}
	show(w, k);
	*job = (struct job){.environment = k->job.environment};
	log_event(LEVEL_WARN, "worker", &(struct log_more){.ms = -1, .error = outcome->why.text},
		"%s is kept until %s can "
		"take it",
		what_names[what], s->settings->name);
	return true;
}

bool worker_keeps(const struct worker *w)
{
	for (int i = 0; i < SB_KEPT; i++)
		if (w->kept[i].source != NULL)
			return true;
	return false;
}

/* Also where no page is pending: it says whether the claim stands, and the database is there. */
static int write_kept(struct worker *w, struct kept *k, struct err *err)
{
	if (k->what == KEPT_RESULT)
		return queue_complete(
			k->source->queue, w->id, &k->job, k->page_key, k->envelope, k->pages, err);
	if (k->what == KEPT_FAILURE)
		return worker_write_failure(w, k->source, &k->job, &k->outcome, err);
	return queue_checkpoint(k->source->queue, w->id, &k->job, k->page_key,
		k->pages != NULL ? k->pages : "[]", err);
}

/* The database takes no result; the next attempt shall know all pages. */
static void keep_pages(struct worker *w, const struct kept *k)
{
	struct err ignored; /* the refusal itself is told */

	if (k->what == KEPT_RESULT)
		(void)queue_checkpoint(
			k->source->queue, w->id, &k->job, k->page_key, k->pages, &ignored);
}

/* The document is settled, whatever it took; what is half read is gone on with by worker_resume(). */
static void settle_kept(struct worker *w, struct kept *k, int rc, const struct err *err)
{
	struct outcome *outcome = &k->outcome;

	k->due_ms = INT64_MAX; /* whatever is waited for meanwhile, this is not tried again */
	if (rc == 1)
		outcome->fate = FATE_LOST;
	if (rc == -1) {
		outcome->why = *err;
		keep_pages(w, k);
		worker_settle_failure(w, k->source, &k->job, PIPELINE_DATABASE, false, outcome);
	} else if (rc == 1) {
		worker_note_lost(w, "what was kept of it");
	} else if (k->what == KEPT_RESULT) {
		outcome->fate = FATE_DONE;
		worker_note_done(w, &k->job, outcome);
	} else {
		worker_note_failure(w, outcome, NULL);
	}
	w->last_kept = *outcome;
	forget(w, k);
}

static void try_kept(struct worker *w, struct kept *k)
{
	const bool was_deciding = w->deciding;
	struct err err;
	int rc;

	log_job(k->source->settings->name, k->job.id);
	w->deciding = true;
	rc = write_kept(w, k, &err);
	w->deciding = was_deciding;
	if (rc == -1 && err.kind == ERR_TRANSIENT) {
		k->due_ms = clock_boot_ms() +
			    retry_backoff_ms(++k->tries, RETRY_MS, RETRY_MAX_MS, worker_random());
	} else if (rc == 0 && k->what == KEPT_WORK) {
		free(k->pages);
		k->pages = NULL;
		k->stored = true;
	} else {
		settle_kept(w, k, rc, &err);
	}
	if (w->current != NULL)
		log_job(w->current->settings->name, w->job.id);
	else
		log_job(NULL, NULL);
}

void worker_tend_kept(struct worker *w)
{
	for (int i = 0; i < SB_KEPT; i++) {
		struct kept *k = &w->kept[i];

		if (k->source != NULL && !k->stored && k->due_ms <= clock_boot_ms() &&
			!worker_is_down(w, k->source))
			try_kept(w, k);
	}
}

static struct kept *find_resumable(struct worker *w)
{
	for (int i = 0; i < SB_KEPT; i++)
		if (w->kept[i].source != NULL && w->kept[i].stored)
			return &w->kept[i];
	return NULL;
}

bool worker_can_resume(struct worker *w)
{
	return find_resumable(w) != NULL;
}

struct source *worker_resume(struct worker *w)
{
	struct kept *k = find_resumable(w);
	struct source *s;
	int64_t until_ms;

	if (k == NULL)
		return NULL;
	s = k->source;
	w->job = k->job;
	k->job = (struct job){0};
	until_ms =
		scoreboard_kept_valid_until(w->board, w->slot, (int)(k - w->kept), w->job.number);
	if (w->job.valid_until_ms < until_ms)
		w->job.valid_until_ms = until_ms;
	scoreboard_claim(w->board, w->slot, s->index, w->job.number, w->job.token);
	scoreboard_document(w->board, w->slot, w->job.id);
	forget(w, k);
	log_job(s->settings->name, w->job.id);
	log_event(LEVEL_INFO, "worker", NULL, "The database is back: going on");
	return s;
}

/* A last try; what is still not taken goes back with its attempt, its pages stored. True = nothing of it is left to do. */
static bool end_kept(struct worker *w, struct kept *k)
{
	struct err err;

	if (worker_is_down(w, k->source))
		return false;
	if (!k->stored)
		try_kept(w, k);
	if (k->source == NULL)
		return true;
	keep_pages(w, k);
	return queue_release(k->source->queue, w->id, &k->job, 0, NULL, &err) != -1;
}

void worker_drop_kept(struct worker *w)
{
	w->deciding = true;
	for (int i = 0; i < SB_KEPT; i++) {
		struct kept *k = &w->kept[i];

		if (k->source == NULL)
			continue;
		log_job(k->source->settings->name, k->job.id);
		if (!end_kept(w, k))
			log_event(LEVEL_WARN, "worker", NULL,
				"%s could not be written before the end: the claim is given back "
				"by whoever comes next",
				what_names[k->what]);
		if (k->source != NULL)
			forget(w, k);
	}
	w->deciding = false;
}
