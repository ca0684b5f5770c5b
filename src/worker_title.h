/*
 * worker_title - a worker's work, as ps(1) shows it
 *
 *     worker index-ocr-h-3
 *     worker index-ocr-h-3 prod/456 page 4/10 (draining)
 *
 * Taken from the scoreboard's own words, so that the stages that set them know nothing of titles.
 *
 * Ownership  the caller's storage, zeroed before the first call.
 * Processes  worker.
 */
#ifndef INDEXOCR_WORKER_TITLE_H
#define INDEXOCR_WORKER_TITLE_H

#include "scoreboard.h"

#include <stdbool.h>
#include <stdint.h>

struct worker_title {
	bool shown; /* what follows is what the title says */
	int64_t claim;
	bool named; /* the document of the claim is known */
	int page, pages;
	bool draining;
};

/* At every turn of the loop; the title is set where it has changed. */
void worker_title_show(struct worker_title *t, const struct scoreboard *board, int slot,
	const char *id, bool draining);

#endif
