/*
 * retry - what to do about a failure: pure tables, no I/O, no clock, no random source of its own
 *
 * Two questions. A page's call failed: call again, when, or is the page given up, or the whole
 * document handed back? A document's attempt failed: ready again after a delay, failed for good, or
 * released because nobody's attempt was used? Attempts are counted in one layer only: page tries
 * within an attempt are bounded by engine.page_tries, attempts by the row. An outage of what all documents need is
 * nobody's attempt.
 *
 * Processes  any.
 */
#ifndef INDEXOCR_RETRY_H
#define INDEXOCR_RETRY_H

#include "err.h"
#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

enum retry_action {
	RETRY_AGAIN,    /* after delay_ms */
	RETRY_GIVE_UP,  /* page: marked incomplete; document: failed for good */
	RETRY_RELEASE,  /* nobody's attempt: give the claim back, and pause claiming for delay_ms */
	RETRY_POSTPONE, /* document, nobody's attempt either: give it back, it waits delay_ms */
	RETRY_DROP      /* the claim is lost: write nothing */
};

struct retry_decision {
	enum retry_action action;
	int64_t delay_ms;
	bool counts;    /* page: does this try count against page_tries (a 429 does not) */
	bool pause_all; /* page: everybody who uses this quota waits delay_ms */
	/* page, given up: only for now, so the document's attempt ends with this error, whatever
	 * incomplete_pages says; false = the page is marked incomplete for good. */
	bool fails_attempt;
	/* document, released: it waits delay_ms too, so that others come first; it may be the only one
	 * that this host has no room for */
	bool waits;
};

/* random is in [0, 1): full jitter. tries: calls made so far for this page, this one included. */
struct retry_decision retry_page(const struct err *err, int tries, int max_tries, double random);
/* is_outage: what failed was failing already, for everybody: this document is not to blame. */
struct retry_decision retry_document(const struct err *err, bool is_outage, int attempt,
	int max_attempts, const struct set_queue *settings, double random);

/* How long a service that failed so often in a row is left alone. */
int64_t retry_outage_ms(int failures, double random);

/* Exponential with full jitter: random x min(cap, base x 2^(n-1)), never under a tenth of that
 * bound. */
int64_t retry_backoff_ms(int n, int64_t base_ms, int64_t cap_ms, double random);

#endif
