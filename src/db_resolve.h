/*
 * db_resolve - the addresses of a host name, never later than a deadline
 *
 * libpq looks names up with getaddrinfo(), which nothing bounds. Here the lookup runs in a thread of
 * the C library's own; one that is overtaken by its deadline is left to end by itself and its answer
 * taken up by the next call, so that at most one is under way.
 *
 * Ownership  the list and its strings are the caller's: db_addresses_fini().
 * Units      deadlines in boot time, milliseconds.
 * Errors     ERR_TRANSIENT "resolve"; the texts do not name the host, for a password
 * with an unescaped @ ends up there.
 * Processes  those that have a db.
 */
#ifndef INDEXOCR_DB_RESOLVE_H
#define INDEXOCR_DB_RESOLVE_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { DB_MAX_ADDRESSES = 8 };

struct db_addresses {
	char *items[DB_MAX_ADDRESSES]; /* numeric */
	size_t count;
};

struct db_lookup;

struct db_lookup *db_lookup_new(void);
/* A lookup still under way keeps its few bytes: the C library writes there. */
void db_lookup_free(struct db_lookup *lookup);

/* check (may be NULL) is called several times a second; -1 from it ends the wait. */
int db_resolve(struct db_lookup *lookup, const char *host, int64_t deadline_ms,
	int (*check)(void *arg, struct err *err), void *arg, struct db_addresses *out,
	struct err *err);
void db_addresses_fini(struct db_addresses *addresses);

#endif
