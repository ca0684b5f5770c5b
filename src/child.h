/*
 * child - the process table: spawn, watch, reap, back off, escalate
 *
 * Knows a role only as name and main function. One entry a slot of the scoreboard. The table is the
 * master's own memory: no pid is ever taken from anywhere else.
 *
 * Ownership  the table owns its entries; settings are borrowed for the length of a call and by
 *            children for their life.
 * Processes  master.
 */
#ifndef INDEXOCR_CHILD_H
#define INDEXOCR_CHILD_H

#include "err.h"
#include "process.h"
#include "restart.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child_table;

enum child_stop {
	CHILD_DRAIN,     /* SIGTERM: finish what you have, take nothing new, go */
	CHILD_INTERRUPT, /* SIGQUIT: give back what you have, go */
	CHILD_KILL
};

/*
 * after_fork runs in the child first of all (the master's own descriptors are closed there).
 */
struct child_table *child_table_new(struct scoreboard *scoreboard, int lifeline_read_fd,
	int lifeline_write_fd, void (*after_fork)(void *arg), void *arg);
void child_table_free(struct child_table *t);

/* This slot shall have a process of this role, now and after each end. one may be NULL. */
void child_want(
	struct child_table *t, int slot, const struct role *role, const struct one_document *one);
/* This slot shall have none: drained if it runs, retired when it is gone. */
void child_unwant(struct child_table *t, int slot);

bool child_is_wanted(const struct child_table *t, int slot);
bool child_is_running(const struct child_table *t, int slot);
pid_t child_pid(const struct child_table *t, int slot);
int child_running(const struct child_table *t, int from, int to);
/* Which generation of the configuration it was born with. */
int child_generation(const struct child_table *t, int slot);

/* Each call sends the signal; a drain is sent once. */
void child_stop(struct child_table *t, int slot, enum child_stop how);

/*
 * Starts what is due under these settings; retiring are those of the generation before, NULL where nobody works under
 * them any more. Returns the boot time at which something will be due next; -1 = nothing.
 */
int64_t child_start_due(struct child_table *t, const struct settings *settings,
	const struct settings *retiring, int generation);
/* What waits for its time, or is held, may start now (after a reload). */
void child_forgive(struct child_table *t);

/*
 * Reaps all that have ended, decides what follows, and writes their obituaries: into the log, the scoreboard, and for the keeper where
 * a claim was held. ended is called for each. Slots not wanted are retired.
 */
void child_reap(struct child_table *t, const struct settings *settings,
	void (*ended)(void *arg, int slot, int wait_status), void *arg);

/*
 * At every turn of the master's loop, at least once a second: a process that gives no sign of life is aborted, then killed; where no
 * worker gets ready, that is said, and only one is tried from then on.
 */
void child_watch(struct child_table *t, const struct settings *settings);

/*
 * At the very end: waits until no descendant is left. What killed workers left behind, helpers, is being killed by the
 * kernel; strangers, which process 1 of a container inherits, may stay: hence the bound.
 */
void child_see_out(int wait_ms);

#endif
