/*
 * permissions - what the daemon must reach as its user, once the rights of root are gone
 *
 * A start as root can read everything; the reload after it cannot. So what a reload will read, what it
 * will run and where it will write is tried beforehand as the user, by doing it, not by comparing modes:
 * access lists, groups and mounts count too.
 *
 * Errors     of what is tried: one line each on standard error, with the remedy.
 * Processes  indexocrd at its start and with -t, before there are children.
 */
#ifndef INDEXOCR_PERMISSIONS_H
#define INDEXOCR_PERMISSIONS_H

#include "err.h"
#include "privileges.h"
#include "settings.h"

/* How a reload will read the configuration: the new settings, or NULL with *err. */
struct permissions_reload {
	struct settings *(*load)(void *arg, struct err *err);
	void (*free)(struct settings *settings);
	void *arg;
};

/* 0 = all can be reached, 1 = faults were said, -1 = it could not be tried. Nothing to do where nothing is dropped. */
int permissions_check(const struct settings *settings, const struct privileges *privileges,
	const struct permissions_reload *reload, struct err *err);

/*
 * Makes the directories of pid file, socket, logs and temporary files where they are missing, for the user; only the
 * last of each path. What is there stays as it is.
 */
int permissions_make_directories(
	const struct settings *settings, const struct privileges *privileges, struct err *err);

/* May this process remove and make files beside that one? */
bool permissions_may_write_beside(const char *path);

#endif
