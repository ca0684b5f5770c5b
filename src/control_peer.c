#include "control_peer.h"

#include "mem.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>

bool control_peer_may(const struct control_peer *peer, const gid_t *groups, size_t group_count,
	const struct control_owner *owner)
{
	if (peer->uid == 0 || peer->uid == owner->uid || peer->gid == owner->gid)
		return true;
	for (size_t i = 0; i < group_count; i++)
		if (groups[i] == owner->gid)
			return true;
	return false;
}

/* The supplementary groups; free() them. NULL where there are none. */
static gid_t *groups_of(int fd, size_t *count)
{
	socklen_t bytes = 0;
	gid_t *groups;

	*count = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) == 0 || errno != ERANGE ||
		bytes > NGROUPS_MAX * sizeof *groups)
		return NULL;
	groups = mem_calloc(1, bytes);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0)
		*count = bytes / sizeof *groups;
	return groups;
}

bool control_peer_check(int fd, const struct control_owner *owner, struct control_peer *peer)
{
	struct ucred credentials;
	socklen_t bytes = sizeof credentials;
	size_t count;
	gid_t *groups;
	bool may;

	*peer = (struct control_peer){(uid_t)-1, (gid_t)-1, -1};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0)
		return false;
	*peer = (struct control_peer){credentials.uid, credentials.gid, credentials.pid};
	groups = groups_of(fd, &count);
	may = control_peer_may(peer, groups, count, owner);
	free(groups);
	return may;
}
