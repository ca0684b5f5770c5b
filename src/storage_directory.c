#include "storage_directory.h"

#include "fdio.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Segment by segment, following no link at all. */
static int walk_beneath(int directory, const char *path, int flags)
{
	char *copy = mem_strdup(path);
	char *segment = copy;
	int at = directory;
	int next = -1;

	for (char *slash; segment != NULL; segment = slash != NULL ? slash + 1 : NULL) {
		slash = strchr(segment, '/');
		if (slash != NULL)
			*slash = '\0';
		errno = EXDEV;
		next = strcmp(segment, "..") == 0
			       ? -1
			       : openat(at, segment,
					 (slash != NULL ? O_PATH | O_DIRECTORY : flags) |
						 O_NOFOLLOW | O_CLOEXEC);
		if (at != directory)
			(void)close(at);
		if (next == -1)
			break;
		at = next;
	}
	free(copy);
	return next;
}

/* The kernel keeps links inside; where it does not know how (before 5.6, under valgrind), links are
 * not followed. glibc of Debian 12 has no wrapper. */
static int open_beneath(int directory, const char *path, int flags)
{
	const struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	const int fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);

	return fd == -1 && errno == ENOSYS ? walk_beneath(directory, path, flags) : fd;
}

static int open_bucket(const char *directory, const char *bucket, struct err *err)
{
	int base = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (base == -1) {
		err_errno(err, ERR_CONFIG, "cannot open the storage directory %s", directory);
		(void)snprintf(err->code, sizeof err->code, "no-bucket");
		return -1;
	}
	fd = open_beneath(base, bucket, O_RDONLY | O_DIRECTORY);
	if (fd == -1) {
		err_errno(err, ERR_CONFIG, "cannot open the bucket %s/%s", directory, bucket);
		(void)snprintf(err->code, sizeof err->code, "no-bucket");
	}
	fd_close(&base);
	return fd;
}

static int open_fault(const struct storage_place *place, struct err *err)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return err_set(err, ERR_MISSING, "missing", "there is no file %s/%s", place->bucket,
			place->path);
	case EXDEV:
	case ELOOP:
		return err_set(err, ERR_DOCUMENT, "bad-path", "%s/%s leads out of the directory",
			place->bucket, place->path);
	case ENAMETOOLONG:
		return err_set(err, ERR_DOCUMENT, "bad-path", "supabase_path has too long a name");
	case EACCES:
		return err_set(err, ERR_MISSING, "unreadable", "%s/%s may not be read by this user",
			place->bucket, place->path);
	case EAGAIN:
		return err_set(err, ERR_TRANSIENT, "busy", "%s/%s was being renamed", place->bucket,
			place->path);
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return err_errno(err, ERR_SYSTEM, "cannot open %s/%s", place->bucket, place->path);
	default: /* a bad sector, a server that is away: others may be read all the same */
		return err_errno(
			err, ERR_TRANSIENT, "cannot open %s/%s", place->bucket, place->path);
	}
}

int storage_directory_fetch(struct http *http, const char *directory,
	const struct storage_place *place, struct document_intake *in, struct err *err)
{
	int bucket = open_bucket(directory, place->bucket, err);
	int fd = -1;
	int rc = -1;
	struct stat st;

	if (bucket == -1)
		return -1;
	/* O_NONBLOCK: a named pipe without a writer would be waited for. */
	fd = open_beneath(bucket, place->path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		open_fault(place, err);
	else if (fstat(fd, &st) != 0)
		err_errno(err, ERR_TRANSIENT, "cannot look at %s/%s", place->bucket, place->path);
	else if (!S_ISREG(st.st_mode))
		err_set(err, ERR_DOCUMENT, "bad-path", "%s/%s is not a regular file", place->bucket,
			place->path);
	else
		rc = document_intake_add_fd(in, http, fd, place->path, err);
	fd_close(&fd);
	fd_close(&bucket);
	return rc;
}

int storage_directory_check(const char *directory, const char *bucket, struct err *err)
{
	int fd = open_bucket(directory, bucket, err);

	if (fd == -1)
		return -1;
	fd_close(&fd);
	return 0;
}

/* ---- putting -----------------------------------------------------------------------------------
 */

/* Opens the directory of that name below *at, made if need be, in place of *at. */
static int descend(int *at, const char *name, struct err *err)
{
	int next;

	if (mkdirat(*at, name, 0750) != 0 && errno != EEXIST)
		return err_errno(err, ERR_SYSTEM, "cannot make the directory %s", name);
	next = open_beneath(*at, name, O_RDONLY | O_DIRECTORY);
	if (next == -1)
		return err_errno(err, ERR_SYSTEM, "cannot open the directory %s", name);
	fd_close(at);
	*at = next;
	return 0;
}

/* The directory that is to hold the object; *name points at the last segment of path. */
static int open_parent(const char *directory, const struct storage_place *place, char *path,
	const char **name, struct err *err)
{
	int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (at == -1)
		return err_errno(
			err, ERR_CONFIG, "cannot open the storage directory %s", directory);
	rc = descend(&at, place->bucket, err);
	for (char *slash; rc == 0 && (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		*slash = '\0';
		rc = descend(&at, path, err);
	}
	*name = path;
	if (rc != 0)
		fd_close(&at);
	return at;
}

static int copy_into(int parent, const char *temporary, int from, struct err *err)
{
	int fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	struct stat st;
	int rc;

	if (fd == -1)
		return err_errno(err, ERR_SYSTEM, "cannot create %s", temporary);
	if (fstat(from, &st) != 0)
		rc = err_errno(err, ERR_SYSTEM, "cannot look at the file");
	else
		rc = fd_copy(from, fd, st.st_size, err);
	if (rc == 0 && fsync(fd) != 0)
		rc = err_errno(err, ERR_SYSTEM, "cannot write %s", temporary);
	fd_close(&fd);
	return rc;
}

static int place_file(int parent, const char *name, int from, struct err *err)
{
	char *temporary = mem_printf(".indexocr-%ld", (long)getpid());
	int rc = copy_into(parent, temporary, from, err);

	if (rc == 0 && renameat(parent, temporary, parent, name) != 0)
		rc = err_errno(err, ERR_SYSTEM, "cannot rename a file to %s", name);
	if (rc != 0)
		(void)unlinkat(parent, temporary, 0);
	free(temporary);
	return rc;
}

int storage_directory_put(
	const char *directory, const struct storage_place *place, const char *file, struct err *err)
{
	char *path = mem_strdup(place->path);
	const char *name = NULL;
	int from = open(file, O_RDONLY | O_CLOEXEC);
	int parent = -1;
	int rc = -1;

	if (from == -1)
		err_errno(err, ERR_DOCUMENT, "cannot open %s", file);
	else if ((parent = open_parent(directory, place, path, &name, err)) != -1)
		rc = place_file(parent, name, from, err);
	fd_close(&parent);
	fd_close(&from);
	free(path);
	return rc;
}
