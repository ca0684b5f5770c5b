/*
 * lockfile - one daemon per pid file
 *
 * The lock is an flock on "<pid file>.lock", a file that is never unlinked; master and workers hold
 * it (the descriptor is inherited), helpers do not. It holds the id of the daemon that locked it
 * last: its successor reads there whose claims it may free at once. Device and inode are compared
 * again after locking, so that a file replaced meanwhile does not lock two daemons past each other.
 *
 * Ownership  lockfile_take() opens *fd, the caller keeps it open for life.
 * Errors     1 = held by someone else; -1 with ERR_SYSTEM: cannot create.
 * Processes  master.
 */
#ifndef INDEXOCR_LOCKFILE_H
#define INDEXOCR_LOCKFILE_H

#include "err.h"

#include <stddef.h>
#include <sys/types.h>

/* previous receives the id standing in the file ("" = none); own_id is written in its place. */
int lockfile_take(const char *pid_file, const char *own_id, char *previous, size_t previous_size,
	int *fd, struct err *err);

/* Pid in the pid file, 0 = none: to name the daemon that is in the way. */
pid_t lockfile_pid(const char *pid_file);

/* Written to a new file and renamed into place. */
int lockfile_write_pid(const char *pid_file, struct err *err);

#endif
