/*
 * worker_source - one environment as a worker sees it: is it worth asking, and what did asking say
 *
 * The keeper tells of each environment whether it can be reached, and raises its news when a row may have become ready there.
 * Where the keeper hears of every such row, an environment without news is not asked: a claim goes to the database that has
 * the document, and a database that is slow or gone delays nobody who has nothing to fetch there.
 *
 * Ownership  source_open() fills the caller's struct, source_fini() empties it; settings and scoreboard are borrowed.
 * Processes  worker.
 */
#ifndef INDEXOCR_WORKER_SOURCE_H
#define INDEXOCR_WORKER_SOURCE_H

#include "queue.h"
#include "scoreboard.h"
#include "settings.h"

/* From here on a database is too slow to be asked for nothing. */
enum { SOURCE_SLOW_MS = 500 };

struct source {
	const struct set_environment *settings;
	struct queue *queue; /* owned */
	int index;           /* in the scoreboard */
	int64_t closed_ms;   /* boot time until which no claim is tried there */
	int failures;        /* in a row */
	uint64_t empty_news; /* the news when nothing was found there */
	int passed;          /* gate_pass() of its storage, for the document in work */
};

int source_open(struct source *s, struct scoreboard *board,
	const struct set_environment *environment, const struct set_queue *settings,
	const char *worker_id, struct err *err);
void source_fini(struct source *s);

/* What the keeper tells, against the news of the last look that found nothing: pure. */
bool source_has_news(const struct sb_environment_view *told, uint64_t empty_news);

/* keeper_is_silent: nobody tells anything; whoever is not closed is asked. */
bool source_is_worth_asking(
	const struct source *s, const struct scoreboard *board, bool keeper_is_silent);

/* Asked and answered: rc of queue_claim(), with the news that were known before it was sent. */
void source_answered(struct source *s, int rc, uint64_t news, const struct err *err);

#endif
