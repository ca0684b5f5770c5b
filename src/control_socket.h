/*
 * control_socket - the file of the control socket: made, given to whom it is for, taken away
 *
 * The socket of a dead daemon is replaced; one that answers belongs to a daemon that lives, and is an
 * error. The file is unlinked at the end only where it is still the one that was made here.
 *
 * Ownership  control_socket_open() fills the caller's struct; control_socket_close() works after a
 *            failed open too.
 * Errors     -1 with ERR_SYSTEM.
 * Processes  master.
 */
#ifndef INDEXOCR_CONTROL_SOCKET_H
#define INDEXOCR_CONTROL_SOCKET_H

#include "control_peer.h"
#include "err.h"

#include <sys/types.h>

struct control_socket {
	int fd;     /* listening, non-blocking; -1 = none */
	char *path; /* owned; NULL = there is no file of ours */
	dev_t device;
	ino_t inode;
	struct control_owner owner;
};

/* The file belongs to whoever this process is by now: the daemon's user and his group. */
int control_socket_open(struct control_socket *s, const char *path, struct err *err);
void control_socket_close(struct control_socket *s);

#endif
