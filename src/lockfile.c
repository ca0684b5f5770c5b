#include "lockfile.h"

#include "fdio.h"
#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_TRIES = 10 };

struct lockfile {
	char *path;
	char *pid_path;
	int fd;     /* of the lock file; open for life */
	int pid_fd; /* of the pid file; -1 = not written */
};

/* ---- the lock file */

/* In a directory that others can write to, a name may lead anywhere: only a plain file of one name is written to. */
static int look_at(const char *path, int fd, struct stat *st, struct err *err)
{
	if (fstat(fd, st) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot look at %s", path);
	if (!S_ISREG(st->st_mode) || st->st_nlink > 1)
		return err_set(err, ERR_SYSTEM, "lock",
			"%s is no plain file of its own: remove it, or name another pid_file",
			path);
	return 0;
}

static bool is_named(const char *path, const struct stat *held)
{
	struct stat named;

	return stat(path, &named) == 0 && held->st_dev == named.st_dev &&
	       held->st_ino == named.st_ino;
}

/* 0 = ours, 1 = another process', which *other names where it can be seen, -1. */
static int take_record_lock(const char *path, int fd, pid_t *other, struct err *err)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	*other = 0;
	if (fcntl(fd, F_SETLK, &whole) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return err_errno(err, ERR_SYSTEM, "cannot lock %s", path);
	if (fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK && whole.l_pid > 0)
		*other = whole.l_pid;
	return 1;
}

/* 0 = open and locked, 1 = another master's, 2 = replaced meanwhile, -1. */
static int open_once(struct lockfile *l, uid_t uid, gid_t gid, pid_t *other, struct err *err)
{
	struct stat st;
	int rc;

	l->fd = open(
		l->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0640);
	if (l->fd == -1)
		return err_errno(err, ERR_SYSTEM, "cannot open lock file %s", l->path);
	rc = look_at(l->path, l->fd, &st, err);
	if (rc == 0)
		rc = take_record_lock(l->path, l->fd, other, err);
	if (rc == 0 && !is_named(l->path, &st))
		rc = 2;
	if (rc == 0 && geteuid() == 0 && st.st_uid == 0 && uid != 0)
		(void)!fchown(l->fd, uid, gid);
	if (rc != 0)
		fd_close(&l->fd);
	return rc;
}

/* ---- the pid file */

/* Written to a new file and renamed into place: nobody reads half of it, and no name is followed anywhere. */
static int write_pid(struct lockfile *l, struct err *err)
{
	char *tmp = mem_printf("%s.new", l->pid_path);
	char text[32];
	const int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	int rc = -1;

	(void)unlink(tmp);
	l->pid_fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (l->pid_fd == -1)
		(void)err_errno(err, ERR_SYSTEM, "cannot create pid file %s", tmp);
	else if (fd_write_all(l->pid_fd, text, (size_t)len, err) != 0)
		(void)err_prefix(err, "pid file %s: ", tmp);
	else if (rename(tmp, l->pid_path) != 0)
		(void)err_errno(err, ERR_SYSTEM, "cannot put pid file %s in place", l->pid_path);
	else
		rc = 0;
	if (rc != 0 && l->pid_fd != -1) {
		(void)unlink(tmp);
		fd_close(&l->pid_fd);
	}
	free(tmp);
	return rc;
}

int lockfile_open(struct lockfile **out, const char *pid_file, uid_t uid, gid_t gid, pid_t *other,
	struct err *err)
{
	struct lockfile *l = mem_calloc(1, sizeof *l);
	int rc = 2;

	l->path = mem_printf("%s.lock", pid_file);
	l->pid_path = mem_strdup(pid_file);
	l->fd = l->pid_fd = -1;
	for (int i = 0; rc == 2 && i < OPEN_TRIES; i++)
		rc = open_once(l, uid, gid, other, err);
	if (rc == 2)
		rc = err_set(
			err, ERR_SYSTEM, "lock", "%s is being replaced again and again", l->path);
	if (rc == 0)
		rc = write_pid(l, err);
	*out = l;
	if (rc != 0) {
		lockfile_close(l);
		*out = NULL;
	}
	return rc;
}

/* ---- succession */

static void read_id(int fd, char *id, size_t size)
{
	const ssize_t n = pread(fd, id, size - 1, 0);
	size_t len = n > 0 ? (size_t)n : 0;

	id[len] = '\0';
	len = 0;
	while (isxdigit((unsigned char)id[len]))
		len++;
	id[len] = '\0';
}

/* Written before what is too much is cut off: a kill in between leaves a whole id. */
static int write_id(const struct lockfile *l, const char *id, struct err *err)
{
	char *line = mem_printf("%s\n", id);
	const ssize_t len = (ssize_t)strlen(line);
	int rc = 0;

	if (pwrite(l->fd, line, (size_t)len, 0) != len || ftruncate(l->fd, len) != 0)
		rc = err_errno(err, ERR_SYSTEM, "cannot write to %s", l->path);
	free(line);
	return rc;
}

int lockfile_take(struct lockfile *l, const char *own_id, char *previous, size_t previous_size,
	struct err *err)
{
	struct stat st;

	if (flock(l->fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK || errno == EINTR
			       ? 1
			       : err_errno(err, ERR_SYSTEM, "cannot lock %s", l->path);
	if (look_at(l->path, l->fd, &st, err) != 0)
		return -1;
	if (!is_named(l->path, &st))
		return err_set(err, ERR_SYSTEM, "lock",
			"%s was removed or replaced while this daemon waited for it: start it "
			"again",
			l->path);
	read_id(l->fd, previous, previous_size);
	return write_id(l, own_id, err);
}

const char *lockfile_path(const struct lockfile *l)
{
	return l->path;
}

void lockfile_forget(struct lockfile *l)
{
	if (l != NULL)
		fd_close(&l->pid_fd);
}

void lockfile_close(struct lockfile *l)
{
	if (l == NULL)
		return;
	if (l->pid_fd != -1 && unlink(l->pid_path) != 0)
		(void)!ftruncate(l->pid_fd, 0);
	fd_close(&l->pid_fd);
	fd_close(&l->fd);
	free(l->path);
	free(l->pid_path);
	free(l);
}
