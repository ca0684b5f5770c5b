/*
 * lockfile - one daemon per pid file, and its successor
 *
 * "<pid file>.lock" is never unlinked and carries two locks:
 *
 *     record lock   the master's alone, gone with it: who has it is the daemon of this pid file
 *     flock         the master's and, inherited, its children's, not the helpers': who has it may claim
 *                   documents under this daemon's worker ids
 *
 * So a new master tells a live one, which it must not stand beside, from children that finish after theirs
 * was killed, for whom it waits. The record lock is taken first. Device and inode are compared after
 * locking: a file that was replaced meanwhile does not lock two daemons past each other.
 *
 * The file holds the id of the daemon that took it last: its successor reads there whose claims it may
 * free at once. Whatever else stands in it is no obstacle.
 *
 * A record lock is lost when the process closes any descriptor of the file: nothing else in the master may
 * open it.
 *
 * Ownership  lockfile_open() gives *out; lockfile_close(). lockfile_close(NULL) is legal.
 * Errors     -1 with ERR_SYSTEM.
 * Processes  master; children keep the flock and call lockfile_forget().
 */
#ifndef INDEXOCR_LOCKFILE_H
#define INDEXOCR_LOCKFILE_H

#include "err.h"

#include <stddef.h>
#include <sys/types.h>

struct lockfile;

/*
 * Makes this process the daemon of pid_file, and writes its pid there. 1 = another one lives: *other is its pid,
 * 0 where that cannot be seen (it may be another container's). A lock file that root makes is given to uid, so
 * that the daemon can also be started without root.
 */
int lockfile_open(struct lockfile **out, const char *pid_file, uid_t uid, gid_t gid, pid_t *other,
	struct err *err);

/*
 * Takes the flock: then previous receives the id standing in the file ("" = none), and own_id is written in its place.
 * 1 = children of the previous daemon still hold it; ask again.
 */
int lockfile_take(struct lockfile *l, const char *own_id, char *previous, size_t previous_size,
	struct err *err);

const char *lockfile_path(const struct lockfile *l);

/* In a child: what is only the master's to close. */
void lockfile_forget(struct lockfile *l);

/* Removes the pid file; where its directory is not this user's, it is left empty: no daemon. */
void lockfile_close(struct lockfile *l);

#endif
