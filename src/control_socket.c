#include "control_socket.h"

#include "fdio.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* More would only wait longer: each turn of the master accepts some. */
enum { BACKLOG = 128 };

/* A socket file that answers belongs to a daemon that lives; one that does not is a leftover. */
static bool somebody_listens(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers = false;

	if (fd != -1)
		answers = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
			  errno == EAGAIN;
	fd_close(&fd);
	return answers;
}

static int make_way(const struct sockaddr_un *address, struct err *err)
{
	const char *path = address->sun_path;
	struct stat st;

	if (somebody_listens(address))
		return err_set(err, ERR_SYSTEM, "socket",
			"another daemon listens on %s: stop it, or give this one its own "
			"status.socket",
			path);
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(err, ERR_SYSTEM, "socket",
			"status.socket %s is there and no socket: remove it, or name another path",
			path);
	(void)unlink(path);
	return 0;
}

/* For the daemon's user and its group alone; of a umask, because chmod() would follow a link that was put in the file's place. */
static int bind_for_group(int fd, const struct sockaddr_un *address)
{
	const mode_t before = umask(0117);
	const int rc = bind(fd, (const struct sockaddr *)address, sizeof *address);

	(void)umask(before);
	return rc;
}

/* Nobody can connect before listen(). The file is taken hold of first: by its path it might be another one each time. */
static int take_hold(struct control_socket *s, struct err *err)
{
	int file = open(s->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int rc = file != -1 ? fstat(file, &st) : -1;

	if (rc == 0 && !S_ISSOCK(st.st_mode)) {
		errno = ENOTSOCK;
		rc = -1;
	}
	if (rc == 0) {
		s->device = st.st_dev;
		s->inode = st.st_ino;
		s->owner = (struct control_owner){st.st_uid, st.st_gid};
	}
	if (rc != 0)
		(void)err_errno(err, ERR_SYSTEM, "cannot look at the control socket %s", s->path);
	fd_close(&file);
	return rc;
}

int control_socket_open(struct control_socket *s, const char *path, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*s = (struct control_socket){.fd = -1};
	if (strlen(path) >= sizeof address.sun_path)
		return err_set(err, ERR_SYSTEM, "socket",
			"status.socket %s is longer than %zu characters", path,
			sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (make_way(&address, err) != 0)
		return -1;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd == -1)
		return err_errno(err, ERR_SYSTEM, "cannot make the control socket");
	if (bind_for_group(s->fd, &address) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot make the control socket %s", path);
	s->path = mem_strdup(path);
	if (take_hold(s, err) != 0)
		return -1;
	if (listen(s->fd, BACKLOG) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot listen on %s", path);
	return 0;
}

/* While the socket is open its inode is in use, and its number no other file's. */
static bool is_ours(const struct control_socket *s)
{
	struct stat st;

	return s->fd != -1 && s->path != NULL && lstat(s->path, &st) == 0 &&
	       st.st_dev == s->device && st.st_ino == s->inode;
}

void control_socket_close(struct control_socket *s)
{
	if (is_ours(s))
		(void)unlink(s->path);
	fd_close(&s->fd);
	free(s->path);
	s->path = NULL;
}
