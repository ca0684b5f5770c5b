/*
 * keeper_wake - one sleeper for an event, the next for each claim made: no herd, and none too few
 *
 * A wake-up stays owed while nobody sleeps, and through an operator's pause: whoever goes to sleep then is woken once more.
 *
 * Processes  keeper.
 */
#ifndef INDEXOCR_KEEPER_WAKE_H
#define INDEXOCR_KEEPER_WAKE_H

#include "scoreboard.h"

struct waking {
	uint64_t claims_seen;
	bool is_owed;
};

/* Pays what is owed, and what claims made since the last time owe. event: something became ready. */
void waking_tend(struct waking *w, const struct scoreboard *board, bool event);

#endif
