#include "document.h"

#include "fdio.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 * 1024, TURN_BYTES = 1024 * 1024 };

static const char magic[] = "%PDF-";

void document_fini(struct document *document)
{
	fd_close(&document->fd);
	*document = (struct document){.fd = -1};
}

int document_intake_begin(
	struct document_intake *in, const struct set_storage *settings, struct err *err)
{
	*in = (struct document_intake){.settings = settings, .fd = -1};
	in->in_memory = settings->memory_document_bytes > 0;
	in->hash = hash_new();
	in->fd = fd_unnamed(settings->tmpdir, in->in_memory, err);
	return in->fd == -1 ? -1 : 0;
}

void document_intake_fini(struct document_intake *in)
{
	fd_close(&in->fd);
	hash_free(in->hash);
	in->hash = NULL;
}

/* Would it fit if nothing else were there? What has come of it so far is known; how much follows is not. */
static bool could_hold(const struct document_intake *in, int cause)
{
	struct statvfs fs;

	if (cause == EFBIG || statvfs(in->settings->tmpdir, &fs) != 0)
		return false;
	return (int64_t)(fs.f_blocks * fs.f_frsize) > in->bytes + in->bytes / 4;
}

/* A disk that is full of other things is nobody's attempt. Where it could never hold this document, or a
 * limit forbids it, the document is too large for here. */
static int write_failed(const struct document_intake *in, int cause, struct err *err)
{
	if (cause != ENOSPC && cause != EDQUOT && cause != EFBIG)
		return err_prefix(err, "temporary file in %s: ", in->settings->tmpdir);
	if (could_hold(in, cause))
		return err_set(err, ERR_SYSTEM, "tmpdir-full",
			"no room for the document in %s: %s; make room there", in->settings->tmpdir,
			strerror(cause));
	return err_set(err, ERR_DOCUMENT, "tmpdir-small",
		"the document does not fit into %s: %s; raise the limit, or set storage.tmpdir",
		in->settings->tmpdir, strerror(cause));
}

static int move_to_disk(struct document_intake *in, struct err *err)
{
	int fd = fd_unnamed(in->settings->tmpdir, false, err);

	if (fd == -1)
		return -1;
	errno = 0;
	if (fd_copy(in->fd, fd, in->bytes, err) != 0) {
		(void)write_failed(in, errno, err);
		fd_close(&fd);
		return -1;
	}
	fd_close(&in->fd);
	in->fd = fd;
	in->in_memory = false;
	return 0;
}

static bool looks_like_markup(const struct document_intake *in)
{
	size_t i = 0;

	while (i < in->head_len && isspace((unsigned char)in->head[i]))
		i++;
	return i < in->head_len && (in->head[i] == '<' || in->head[i] == '{');
}

static int check_head(struct document_intake *in, struct err *err)
{
	in->head_checked = true;
	if (memmem(in->head, in->head_len, magic, sizeof magic - 1) != NULL)
		return 0;
	return err_set(err, ERR_DOCUMENT, "not-a-pdf",
		"the file is not a PDF: no %s in its first %d bytes%s", magic, DOCUMENT_HEAD_BYTES,
		looks_like_markup(in) ? "; it begins like HTML or JSON" : "");
}

static int keep_head(struct document_intake *in, const void *data, size_t len, struct err *err)
{
	const size_t room = sizeof in->head - in->head_len;
	const size_t n = len < room ? len : room;

	memcpy(in->head + in->head_len, data, n);
	in->head_len += n;
	return in->head_len == sizeof in->head && !in->head_checked ? check_head(in, err) : 0;
}

int document_intake_add(struct document_intake *in, const void *data, size_t len, struct err *err)
{
	if ((int64_t)len > in->settings->max_bytes - in->bytes)
		return err_set(err, ERR_DOCUMENT, "too-large",
			"the file is larger than storage.document_max, %lld bytes",
			(long long)in->settings->max_bytes);
	if (keep_head(in, data, len, err) != 0)
		return -1;
	if (in->in_memory && in->bytes + (int64_t)len > in->settings->memory_document_bytes &&
		move_to_disk(in, err) != 0)
		return -1;
	if (fd_write_all(in->fd, data, len, err) != 0)
		return write_failed(in, errno, err);
	hash_add(in->hash, data, len);
	in->bytes += (int64_t)len;
	return 0;
}

/* A slow disk is no hang: the process shows that it lives, and hears that it is to stop. */
static int take_turn(
	const struct document_intake *in, int64_t before, struct http *http, struct err *err)
{
	if (http == NULL || in->bytes / TURN_BYTES == before / TURN_BYTES)
		return 0;
	return http_wait(http, NULL, 0, 0, err);
}

int document_intake_add_fd(
	struct document_intake *in, struct http *http, int fd, const char *name, struct err *err)
{
	char chunk[CHUNK_BYTES];

	for (;;) {
		const int64_t before = in->bytes;
		const ssize_t n = read(fd, chunk, sizeof chunk);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* a bad sector is this document's alone */
			return err_errno(err, ERR_TRANSIENT, "cannot read %s", name);
		if (n == 0)
			return 0;
		if (document_intake_add(in, chunk, (size_t)n, err) != 0 ||
			take_turn(in, before, http, err) != 0)
			return -1;
	}
}

int document_intake_end(struct document_intake *in, struct document *document, struct err *err)
{
	if (in->bytes == 0)
		return err_set(err, ERR_DOCUMENT, "empty", "the file is empty");
	if (!in->head_checked && check_head(in, err) != 0)
		return -1;
	if (lseek(in->fd, 0, SEEK_SET) == -1)
		return err_errno(err, ERR_SYSTEM, "cannot rewind a temporary file");
	document->bytes = in->bytes;
	hash_end(in->hash, document->sha256);
	in->hash = NULL;
	document->fd = in->fd;
	in->fd = -1;
	return 0;
}

int document_take(struct http *http, const struct set_storage *settings, int fd, const char *name,
	struct document *document, struct err *err)
{
	struct document_intake in = {.fd = -1};
	struct stat st;
	int rc = -1;

	*document = (struct document){.fd = -1};
	if (fstat(fd, &st) != 0)
		err_errno(err, ERR_SYSTEM, "cannot look at %s", name);
	else if (!S_ISREG(st.st_mode))
		err_set(err, ERR_DOCUMENT, "not-a-file", "%s is not a regular file", name);
	else if (document_intake_begin(&in, settings, err) == 0 &&
		 document_intake_add_fd(&in, http, fd, name, err) == 0)
		rc = document_intake_end(&in, document, err);
	document_intake_fini(&in);
	return rc;
}
