/*
 * conf_check - values that are each allowed but do not go together; environments left out
 *
 * Ownership  changes the caller's settings: environments that are not configured go (and are
 *            freed), warnings about them come, what is derived from other values is filled in.
 * Errors     ERR_CONFIG, "file:line: ...".
 * Processes  as conf.h.
 */
#ifndef INDEXOCR_CONF_CHECK_H
#define INDEXOCR_CONF_CHECK_H

#include "conf_table.h"
#include "err.h"
#include "settings.h"

#include <stdbool.h>

enum { CONF_ENVIRONMENTS_MAX = 32 };

/* Where in the file each key was set. */
struct conf_places {
	const char *path; /* borrowed; NULL = no file */
	int *lines;       /* one for each key of the table; 0 = not in the file */
	int *environment_lines[CONF_ENVIRONMENTS_MAX]; /* the same for each environment */
};

/* err_set() with the place of a key in front; environment -1 = not in one. */
int conf_places_err(const struct conf_places *places, int environment, const struct conf_key *key,
	struct err *err, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

int conf_check(struct settings *settings, const struct conf_places *places, bool no_queue,
	struct err *err);

/* Frees what an environment owns. */
void conf_environment_fini(struct set_environment *environment);

#endif
