/*
 * status - the scoreboard as JSON, which `indexocrctl status --json` prints, and as one line
 *
 * Pure: reads the scoreboard and the settings, no other source. Holds no secret and no document
 * text.
 *
 * Ownership  the tree is the caller's: cJSON_Delete().
 * Processes  any that has the scoreboard.
 */
#ifndef INDEXOCR_STATUS_H
#define INDEXOCR_STATUS_H

#include "scoreboard.h"
#include "settings.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* What the scoreboard does not know: the master's own. Borrowed for the call. */
struct status_facts {
	const struct settings *settings;
	int generation;
	bool reload_waits;        /* a good file waits for the generation before to end */
	const char *reload_error; /* of the last reload; "" = none */
	const char *stop_phase;   /* NULL = not stopping */
	int64_t stop_ends_ms;     /* boot time */
	int pool_asked, pool_wanted, pool_most;
};

cJSON *status_json(struct scoreboard *scoreboard, const struct status_facts *facts);

/* "waiting for 3 workers, oldest document 41 s" */
enum { STATUS_LINE_BYTES = 160 };
void status_drain_text(const struct scoreboard *scoreboard, char text[STATUS_LINE_BYTES]);

/*
 * "4 workers, 2 busy, 1 throttled; prod 12 ready, oldest 41 s; staging down"; what a stop still waits for, while there is
 * one. In front stands why the last reload was refused, where it was. A part that has no room is left out as a whole.
 */
void status_line(struct scoreboard *scoreboard, const struct status_facts *facts, int64_t now_ms,
	char *text, size_t size);

#endif
