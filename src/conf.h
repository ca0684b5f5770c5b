/*
 * conf - the configuration file becomes a struct settings, or one sentence says why not
 *
 * conf_load() reads the file (libconfuse), expands ${NAME} and ${NAME:-default} from the process'
 * environment, then from environment_file, checks every value against the table in conf_table.c and
 * the values against each other, and reads the secrets that stand in files of their own. It starts
 * nothing and keeps no state: a reload loads anew, compares, and swaps the pointer.
 *
 * Ownership  conf_load() gives the caller *out: conf_free(), which wipes the secrets. path and
 *            overrides are borrowed for the call.
 * Units      see settings.h.
 * Errors     ERR_CONFIG, code "config", text "file:line: what is wrong; what is allowed" (the
 *            caller exits 78). No text holds a secret.
 * Processes  master and ctl at start, master at reload. Not from two threads at once (libconfuse's
 *            scanner is global).
 */
#ifndef INDEXOCR_CONF_H
#define INDEXOCR_CONF_H

#include "err.h"
#include "settings.h"

#include <stdbool.h>
#include <stdio.h>

/* What the command line says; wins over the file. 0, NULL and false = nothing said. */
struct conf_overrides {
	int workers;           /* -n */
	const char *worker_id; /* --worker-id */
	const char *redis_url; /* --redis-url */
	const char *engine;    /* read --engine */
	/* process: only this environment; it has to be there. NULL = all */
	const char *environment;
	/* One document without a queue (indexocrctl read): no environment and no user are needed. */
	bool no_queue;
};

/*
 * Loads path. NULL: no file, every key at its default, no environments (as with no_queue).
 * overrides may be NULL. On -1 *out is NULL; nothing half-read is ever handed out.
 */
int conf_load(struct settings **out, const char *path, const struct conf_overrides *overrides,
	struct err *err) __attribute__((warn_unused_result));
void conf_free(struct settings *settings);

/* Writes the settings in force as a configuration file that conf_load() takes, secrets masked. -1
 * with errno when the stream failed. */
int conf_print(const struct settings *settings, FILE *out);

/*
 * What a reload cannot change: the keys in which the two differ and that need a restart, as
 * "user, pid_file"; NULL where there are none. The caller's: free().
 */
char *conf_diff(const struct settings *running, const struct settings *wanted);

/* Gives wanted the running values of those keys, so that it says what is in force. */
void conf_keep(struct settings *wanted, const struct settings *running);

#endif
