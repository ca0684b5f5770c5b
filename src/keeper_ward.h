/*
 * keeper_ward - one environment in the keeper's care: leases, lost claims, rows whose time has come, depth, notifications
 *
 * Its duties are done one at a time, the most urgent first, so that a slow database holds up the others by one statement and
 * no more. What the keeper sees is published in the scoreboard; whatever may have made a row ready raises the news there.
 *
 * Ownership  ward_open() makes it, ward_free() frees it; settings and scoreboard are borrowed.
 * Errors     none: an outage is logged once, shown in the scoreboard and probed with back-off.
 * Processes  keeper.
 */
#ifndef INDEXOCR_KEEPER_WARD_H
#define INDEXOCR_KEEPER_WARD_H

#include "scoreboard.h"
#include "settings.h"

struct ward;

struct ward_home {
	struct scoreboard *board;
	const struct settings *settings;
	bool for_one; /* the keeper of one document: who works on that waits for no other */
	/* Looked at several times a second while a statement runs: may call ward_attend() of others. */
	int (*check)(void *arg, struct err *err);
	void *check_arg;
};

int ward_open(struct ward **out, const struct ward_home *home,
	const struct set_environment *environment, bool retiring, struct err *err);
void ward_free(struct ward *w);

const char *ward_name(const struct ward *w);
int ward_index(const struct ward *w);
bool ward_is_retiring(const struct ward *w);
bool ward_is_down(const struct ward *w);

/* Does what is due first. True = something was; there may be more. */
bool ward_tend(struct ward *w);
/* Boot time at which something will be due. */
int64_t ward_due_ms(const struct ward *w);

/* Takes the notifications that have come. Nothing while the ward is being tended. */
void ward_attend(struct ward *w);
/* True once after rows may have become ready; the news have been published. */
bool ward_take_event(struct ward *w);
/* Readable when notifications come; -1 = none do. */
int ward_fd(const struct ward *w);

/* Dead children that held a claim here wait for it to be given back. */
bool ward_has_obituaries(const struct ward *w);
/* The workers are gone: what they left behind is given back, where the database answers. */
void ward_close(struct ward *w);
/* No longer configured, and nobody holds a claim there: gone from the scoreboard. */
void ward_forget(struct ward *w);

#endif
