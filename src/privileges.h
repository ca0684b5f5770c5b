/*
 * privileges - from root to the user of the configuration, and never back
 *
 * Root is there to make directories, to write a pid file where only root may, and to raise limits. Then
 * the whole daemon, the master too, becomes the user: user, group and supplementary groups, in all of the
 * kernel's copies, which is verified. Whoever starts it without being root stays who he is.
 *
 * Ownership  struct privileges borrows the user's name from the settings.
 * Errors     ERR_CONFIG: no user to become, or no such account; ERR_SYSTEM: the kernel refused.
 * Processes  master, before it has children.
 */
#ifndef INDEXOCR_PRIVILEGES_H
#define INDEXOCR_PRIVILEGES_H

#include "err.h"

#include <stdbool.h>
#include <sys/types.h>

struct privileges {
	const char *user; /* to become */
	uid_t uid;        /* who the daemon runs as */
	gid_t gid;
	bool dropped; /* started as root, and user is not root */
};

/* user: as configured. "root" is how a daemon is told to stay root; "" is refused to root. */
int privileges_find(struct privileges *p, const char *user, struct err *err);

/* Nothing to do for who is not root, or stays it. Seals too. */
int privileges_drop(const struct privileges *p, struct err *err);

/*
 * Keys and documents will be in this memory: no core file, nobody of the same user looks in, and no program that is
 * executed from here on gains anything by its set-uid bit. Children inherit all three.
 */
void privileges_seal(void);

/*
 * Runs fn in a child that has dropped privileges as privileges_drop() does, and waits for it. Returns what fn returned
 * (0 to 255), -1 where it could not be run.
 */
int privileges_try(const struct privileges *p, int (*fn)(void *arg), void *arg, struct err *err);

#endif
