#include "fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

void fd_close(int *fd)
{
	if (*fd != -1)
		(void)close(*fd);
	*fd = -1;
}

int fd_set_nonblocking(int fd, struct err *err)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return err_errno(err, ERR_SYSTEM, "cannot make a descriptor non-blocking");
	return 0;
}

int fd_write_all(int fd, const void *data, size_t len, struct err *err)
{
	const char *p = data;

	while (len > 0) {
		const ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_SYSTEM, "cannot write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static ssize_t read_retrying(int fd, void *data, size_t len)
{
	ssize_t n;

	do
		n = read(fd, data, len);
	while (n < 0 && errno == EINTR);
	return n;
}

static int read_all(int fd, const char *path, struct buf *b, struct err *err)
{
	enum { CHUNK_BYTES = 16 * 1024 };
	char beyond; /* a file of just max_bytes is none too large: only a byte more tells */

	for (;;) {
		const size_t left = b->max_bytes - b->len;
		const size_t want = left < CHUNK_BYTES ? left : CHUNK_BYTES;
		char *room = buf_reserve(b, want);
		const ssize_t n = read_retrying(fd, left > 0 ? room : &beyond, left > 0 ? want : 1);

		if (n < 0)
			return err_errno(err, ERR_SYSTEM, "cannot read %s", path);
		if (n > 0 && left == 0)
			return err_set(err, ERR_SYSTEM, "too-large", "%s is larger than %zu bytes",
				path, b->max_bytes);
		if (n == 0)
			return 0;
		b->len += (size_t)n;
		b->data[b->len] = '\0';
	}
}

int fd_read_file(const char *path, struct buf *b, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc;

	if (fd == -1)
		return err_errno(err, ERR_SYSTEM, "cannot open %s", path);
	rc = read_all(fd, path, b, err);
	fd_close(&fd);
	if (b->data != NULL)
		b->data[b->len] = '\0';
	return rc;
}

int fd_unnamed(const char *tmpdir, bool memory, struct err *err)
{
	int fd = -1;

	if (!memory) {
		fd = open(tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd == -1 && errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
			return err_errno(
				err, ERR_SYSTEM, "cannot make a temporary file in %s", tmpdir);
	}
	if (fd == -1)
		fd = memfd_create("indexocr-document", MFD_CLOEXEC);
	if (fd == -1)
		return err_errno(err, ERR_SYSTEM, "cannot make a memory file");
	return fd;
}

int fd_copy(int from, int to, int64_t bytes, struct err *err)
{
	off_t at = 0;

	while (at < bytes) {
		const ssize_t n = sendfile(to, from, &at, (size_t)(bytes - at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_SYSTEM, "cannot copy a temporary file");
		if (n == 0)
			return err_set(
				err, ERR_SYSTEM, "cut", "a temporary file is shorter than it was");
	}
	return 0;
}
