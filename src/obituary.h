/*
 * obituary - what is written about a process that has ended: pure
 *
 * Three readers: the log has a line with everything, status keeps the last death of each slot, and the
 * row of the document that was in work has a sentence for whoever asks why it failed.
 *
 * Trust      what the dead process wrote about itself is bounded and cleaned here, since it may have
 *            been taken over before it died: a state or a page may be nonsense then, never a text that
 *            breaks a line, a terminal or a document of JSON.
 * Processes  master.
 */
#ifndef INDEXOCR_OBITUARY_H
#define INDEXOCR_OBITUARY_H

#include "restart.h"
#include "scoreboard.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OBITUARY_BYTES = 320 };

/* last: the slot as the dead process left it. */
void obituary_begin(struct sb_death *death, const struct sb_slot_view *last,
	const struct restart_decision *decision);

/* "reading prod/456 page 4 of 10", "idle"; environment may be NULL. */
void obituary_doing(
	const struct sb_death *death, const char *environment, char text[OBITUARY_BYTES]);

/* "crashed by SIGSEGV", "ended by SIGKILL", "hung: no sign of life for 30 s". */
void obituary_how(const struct restart_decision *decision, char text[OBITUARY_BYTES]);

/*
 * For the document's row: "worker crashed by SIGSEGV at page 3", "worker hung: no sign of life for 30 s while reading prod/456 page
 * 4 of 10".
 */
void obituary_of_document(const struct sb_death *death, const struct restart_decision *decision,
	const char *environment, char *text, size_t size);

/* Whose claim it can have been, as the master knows. */
struct obituary_owner {
	int slot;
	const char *daemon;
	int64_t spawn;
};

/*
 * The claim's token without its number, "<worker id>/<daemon>/<spawn>/"; false where it is not the
 * owner's: nobody gives back the claims of others by dying.
 */
bool obituary_prefix(
	const struct obituary_owner *owner, const char *token, char prefix[CLAIM_TOKEN_BYTES]);

#endif
