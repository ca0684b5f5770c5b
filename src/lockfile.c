#include "lockfile.h"

#include "fdio.h"
#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_TRIES = 10 };

/* 0 = locked and still the file of that name, 1 = held elsewhere, 2 = replaced meanwhile, -1. */
static int lock_same_file(const char *path, int fd, struct err *err)
{
	struct stat held, named;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? 1
					    : err_errno(err, ERR_SYSTEM, "cannot lock %s", path);
	if (fstat(fd, &held) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot look at %s", path);
	if (stat(path, &named) != 0 || held.st_dev != named.st_dev || held.st_ino != named.st_ino)
		return 2;
	return 0;
}

static int open_locked(const char *path, int *fd, struct err *err)
{
	int rc = 2;

	for (int i = 0; rc == 2 && i < OPEN_TRIES; i++) {
		*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0644);
		if (*fd == -1)
			return err_errno(err, ERR_SYSTEM, "cannot open lock file %s", path);
		rc = lock_same_file(path, *fd, err);
		if (rc != 0)
			fd_close(fd);
	}
	return rc == 2 ? err_set(err, ERR_SYSTEM, "lock", "%s is being replaced again and again",
				 path)
		       : rc;
}

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

int lockfile_take(const char *pid_file, const char *own_id, char *previous, size_t previous_size,
	int *fd, struct err *err)
{
	char *path = mem_printf("%s.lock", pid_file);
	char *line = mem_printf("%s\n", own_id);
	int rc = open_locked(path, fd, err);

	if (rc == 0) {
		read_id(*fd, previous, previous_size);
		if (ftruncate(*fd, 0) != 0 ||
			pwrite(*fd, line, strlen(line), 0) != (ssize_t)strlen(line)) {
			rc = err_errno(err, ERR_SYSTEM, "cannot write to %s", path);
			fd_close(fd);
		}
	}
	free(line);
	free(path);
	return rc;
}

pid_t lockfile_pid(const char *pid_file)
{
	struct buf text;
	struct err err;
	long pid = 0;

	buf_init(&text, 64);
	if (fd_read_file(pid_file, &text, &err) == 0)
		pid = strtol(buf_text(&text), NULL, 10);
	buf_fini(&text);
	return pid > 0 ? (pid_t)pid : 0;
}

int lockfile_write_pid(const char *pid_file, struct err *err)
{
	char *tmp = mem_printf("%s.new", pid_file);
	char text[32];
	const int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int rc = -1;

	if (fd == -1)
		(void)err_errno(err, ERR_SYSTEM, "cannot create pid file %s", tmp);
	else if ((rc = fd_write_all(fd, text, (size_t)len, err)) == 0 && rename(tmp, pid_file) != 0)
		rc = err_errno(err, ERR_SYSTEM, "cannot put pid file %s in place", pid_file);
	fd_close(&fd);
	free(tmp);
	return rc;
}
