/*
 * status - the scoreboard as JSON: what `indexocrctl status --json` prints
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

cJSON *status_json(struct scoreboard *scoreboard, const struct settings *settings, int generation,
	const char *reload_error);

#endif
