/*
 * master - keeps a keeper and N workers alive, and tells how they are
 *
 * Opens no database, no HTTP, no document. What can block, crash or be attacked happens in a child.
 * It sleeps in one ppoll() on its eventfd (signals, children) and the control socket, and wakes for
 * restarts that are due.
 *
 * Ownership  master_run() takes the settings and frees them.
 * Errors     the exit status: EX_OK after a drain, EX_CANTCREAT for pid file, lock or socket,
 *            EX_OSERR.
 * Processes  the master.
 */
#ifndef INDEXOCR_MASTER_H
#define INDEXOCR_MASTER_H

#include "process.h"
#include "settings.h"

struct master_plan {
	const struct role *worker;
	const struct role *keeper;
	/* For a reload: the new settings, or NULL with the reason in err. */
	struct settings *(*load)(void *arg, struct err *err);
	void *load_arg;
	/* Called once, when nothing that could refuse the start is left; may be NULL. */
	void (*ready)(void *arg);
	/* Called while children of the previous daemon are waited for; false = give up. May be NULL. */
	bool (*waiting)(void *arg);
	void *arg; /* of both */
	/* NULL = the queue; else a private daemon for one file: no lock, no socket. */
	const struct one_document *one;
};

int master_run(struct settings *settings, const struct master_plan *plan);

#endif
