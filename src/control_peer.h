/*
 * control_peer - who is at the other end of a control connection, and whether that one may command
 *
 * Whom the kernel names (SO_PEERCRED, SO_PEERGROUPS), as of the connect: root, the daemon's own
 * user, and members of the socket's group may. The socket's permissions say the same; they can be
 * changed by accident, this cannot.
 *
 * Errors     one that the kernel does not name may nothing.
 * Processes  master.
 */
#ifndef INDEXOCR_CONTROL_PEER_H
#define INDEXOCR_CONTROL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct control_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* for people only: it may be another process by now */
};

/* The socket's owner and group. */
struct control_owner {
	uid_t uid;
	gid_t gid;
};

/* Pure: groups are the peer's supplementary ones. */
bool control_peer_may(const struct control_peer *peer, const gid_t *groups, size_t group_count,
	const struct control_owner *owner);

/* Asks the kernel; peer is filled (with -1 where unknown) whatever the answer. */
bool control_peer_check(int fd, const struct control_owner *owner, struct control_peer *peer);

#endif
