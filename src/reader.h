/*
 * reader - the pages of one document on their way through the engine
 *
 * Takes page images from the renderer as there is room, asks the limiter when each may be sent,
 * keeps as many calls in flight as the engine can serve, tries again what retry.c says is worth it,
 * and delivers each page's JSON once. Slow pages hold nobody back.
 *
 * Ownership  everything in struct reader_plan is borrowed for the length of reader_run().
 * Errors     of the document (render), of a page that is given up unless incomplete pages are kept,
 *            configuration faults, and whatever http_wait()'s check says.
 * Processes  worker.
 */
#ifndef INDEXOCR_READER_H
#define INDEXOCR_READER_H

#include "engine.h"
#include "http.h"
#include "limiter.h"
#include "render.h"
#include "settings.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether anything can get further now, and if not, what all pages in work wait for. */
enum reader_pace {
	READER_WORKS, /* a page is being rendered or read */
	READER_QUOTA, /* their share of the limits */
	READER_RETRY, /* the time to try again what failed for now */
	READER_LEASE  /* the claim's lease has run out, and nobody renews it */
};

/* What happened, for counters and status; each may be called at any time during reader_run(). */
struct reader_events {
	void (*sending)(void *arg, int page);
	void (*answered)(void *arg, int page, const struct engine_answer *answer);
	void (*waited)(void *arg, int64_t ms); /* for the limiter */
	/* A page has come to its end; page is taken. 0, or -1 with *err to end the document. */
	int (*deliver)(void *arg, int number, cJSON *page, struct err *err);
	/* After each round, all that has come in it delivered. 1: what flies may land, nothing new starts, and
	 * the document ends with *err; -1: it ends now. */
	int (*turn)(void *arg, struct err *err);
	/* Boot time at which turn() wants to be called at the latest; INT64_MAX = no matter when. */
	int64_t (*turn_due)(void *arg);
	/* May a call be sent now (is the claim's lease still good)? */
	bool (*may_send)(void *arg);
	/* Told before every wait. */
	void (*pace)(void *arg, enum reader_pace pace);
	void *arg;
};

struct reader_plan {
	const struct settings *settings;
	struct http *http;
	const struct engine_type *type;
	struct engine *engine;
	struct limiter *limiter; /* NULL = calls are not metered */
	struct render *render;
	const struct engine_prompt *prompt;
	struct reader_events events;
};

int reader_run(const struct reader_plan *plan, struct err *err);

#endif
