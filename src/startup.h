/*
 * startup - from whoever started it to the one daemon of its pid file, running as its user
 *
 * The order matters. As root: directories are made, the lock that only one master can have is taken, the
 * pid is written, limits are raised. Then the rights of root are given up, for good and in this process
 * too. As the user: the log is opened, and children of the previous daemon, whose master was killed, are
 * waited for: they may still write under the worker ids that this daemon will use.
 *
 * Ownership  the lock is the caller's: lockfile_close(), also where startup_run() failed. Everything in
 *            the plan is borrowed.
 * Errors     ERR_CONFIG, or what cannot be created.
 * Processes  master, once, with its signals caught.
 */
#ifndef INDEXOCR_STARTUP_H
#define INDEXOCR_STARTUP_H

#include "err.h"
#include "lockfile.h"
#include "settings.h"

#include <stdbool.h>
#include <stddef.h>

struct startup_plan {
	const struct settings *settings;
	bool alone;         /* one document, beside whatever else runs: no directories, no lock */
	const char *daemon; /* own id */
	int wake_fd;        /* readable when a signal came */
	/* Called several times a second during the wait; false = stop. May be NULL. */
	bool (*waiting)(void *arg);
	void *waiting_arg;
};

/*
 * 0 = go on; previous has the id of the daemon before ("" = none known). 1 = told to stop while waiting. *lock is NULL
 * where there is none.
 */
int startup_run(const struct startup_plan *plan, struct lockfile **lock, char *previous,
	size_t previous_size, struct err *err);

#endif
