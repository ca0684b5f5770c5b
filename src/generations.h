/*
 * generations - the configuration in force, the one before it, and the one that waits
 *
 * A reload checks the new file first; a bad one changes nothing and leaves its error standing. A
 * good one becomes `current`; the one before it is `retiring` for as long as somebody works under
 * it. While there is a retiring one, a further good file waits as `pending`, a later one takes its
 * place: never more than two generations live, and what was checked is what is taken over.
 *
 * Ownership  the struct owns all three settings; children borrow what they were forked with.
 * Processes  master.
 */
#ifndef INDEXOCR_GENERATIONS_H
#define INDEXOCR_GENERATIONS_H

#include "err.h"
#include "scoreboard.h"
#include "settings.h"

#include <stdbool.h>

struct generations {
	struct settings *current;      /* never NULL */
	struct settings *retiring;     /* NULL = nobody works under another than current */
	struct settings *pending;      /* NULL = none waits */
	int number;                    /* of current: 1, 2, ... */
	char error[SB_ERROR_BYTES];    /* of the last reload; "" = it was good */
	struct scoreboard *scoreboard; /* borrowed; where environments are registered */
};

enum reload_outcome {
	RELOAD_REFUSED, /* g->error says why */
	RELOAD_WAITS,   /* good, and pending */
	RELOAD_READY    /* good, and pending: nothing is in its way, generations_take() now */
};

/*
 * For current, before anything is logged or forked: its secrets are masked from now on, its environments have their places
 * in the scoreboard, which is borrowed.
 */
int generations_register(struct generations *g, struct scoreboard *scoreboard, struct err *err);
void generations_fini(struct generations *g);

/* Takes fresh; NULL = it could not be loaded, *why says why. */
enum reload_outcome generations_offer(
	struct generations *g, struct settings *fresh, const struct err *why);

/* May the pending one be taken over now? */
bool generations_due(const struct generations *g);

/* pending becomes current; what cannot change without a restart stays, and is named in the log. */
void generations_take(struct generations *g);
/* pending is given up. */
void generations_refuse(struct generations *g, const struct err *why);

/* Nobody works under the retiring settings any more. */
void generations_retired(struct generations *g);

#endif
