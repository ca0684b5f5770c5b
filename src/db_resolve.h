/*
 * db_resolve - where a database is: hosts to addresses, never later than a deadline
 *
 * libpq looks names up with getaddrinfo(), which nothing bounds. Here the lookup runs in a thread of
 * the C library's own; one that is overtaken by its deadline is left to end by itself and its answer
 * taken up by the next call, so that at most one is under way.
 *
 * Ownership  targets and their strings are the caller's: db_targets_fini().
 * Units      deadlines in boot time, milliseconds.
 * Errors     ERR_TRANSIENT "resolve"; the texts do not name the host, for a password with an
 * unescaped @ ends up there.
 * Processes  those that have a db.
 */
#ifndef INDEXOCR_DB_RESOLVE_H
#define INDEXOCR_DB_RESOLVE_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { DB_MAX_TARGETS = 16 };

/* One place to try; NULL = libpq's default. */
struct db_target {
	char *host;
	char *hostaddr;
	char *port;
};

struct db_targets {
	struct db_target items[DB_MAX_TARGETS];
	size_t count;
};

/* As a connection string has them: comma-separated lists, NULL where it has none. Borrowed. */
struct db_hosts {
	const char *names;
	const char *addresses;
	const char *ports;
};

/* How long to wait. check (may be NULL) is called several times a second; -1 from it ends the wait.
 */
struct db_wait {
	int64_t deadline_ms;
	int (*check)(void *arg, struct err *err);
	void *check_arg;
};

struct db_lookup;

struct db_lookup *db_lookup_new(void);
/* A lookup still under way keeps its few bytes: the C library writes there. */
void db_lookup_free(struct db_lookup *lookup);

/* Every address of every host, in order; libpq's own default where nothing is given. A host that
 * cannot be looked up is passed over while there is another. */
int db_find_targets(struct db_lookup *lookup, const struct db_hosts *hosts,
	const struct db_wait *wait, struct db_targets *out, struct err *err);
void db_targets_fini(struct db_targets *targets);

#endif
