#include "frame.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static const unsigned char magic[4] = {'I', 'O', 'F', '1'};

static uint64_t get_le(const unsigned char *p, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | p[bytes];
	return value;
}

static void put_le(unsigned char *p, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++, value >>= 8)
		p[i] = (unsigned char)(value & 0xFF);
}

void frame_head(unsigned char head[FRAME_HEAD_BYTES], size_t meta_bytes, uint64_t body_bytes)
{
	memcpy(head, magic, sizeof magic);
	put_le(head + 4, 4, meta_bytes);
	put_le(head + 8, 8, body_bytes);
}

void frame_reader_init(struct frame_reader *r, size_t body_max_bytes)
{
	*r = (struct frame_reader){0};
	buf_init(&r->meta, FRAME_META_MAX_BYTES);
	buf_init(&r->body, body_max_bytes);
}

void frame_reader_fini(struct frame_reader *r)
{
	buf_fini(&r->meta);
	buf_fini(&r->body);
}

static int start_frame(struct frame_reader *r, struct err *err)
{
	if (memcmp(r->head, magic, sizeof magic) != 0)
		return err_set(err, ERR_BUG, "frame", "a helper sent something that is no frame");
	r->meta_left = get_le(r->head + 4, 4);
	r->body_left = get_le(r->head + 8, 8);
	if (r->meta_left > r->meta.max_bytes || r->body_left > r->body.max_bytes)
		return err_set(err, ERR_BUG, "frame",
			"a helper sent a frame of %llu + %llu bytes, over its bound",
			(unsigned long long)r->meta_left, (unsigned long long)r->body_left);
	buf_reset(&r->meta);
	buf_reset(&r->body);
	return 0;
}

/* One read() of at most len bytes. 1: *got bytes, 0: would block, -1: error or end. */
static int read_some(int fd, void *data, size_t len, size_t *got, struct err *err)
{
	ssize_t n;

	do
		n = read(fd, data, len);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		*got = (size_t)n;
		return 1;
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n < 0)
		return err_errno(err, ERR_SYSTEM, "cannot read from a helper");
	return err_set(err, ERR_SYSTEM, "eof", "the helper closed its pipe");
}

static int read_head(struct frame_reader *r, int fd, struct err *err)
{
	while (r->head_len < FRAME_HEAD_BYTES) {
		const size_t want = FRAME_HEAD_BYTES - r->head_len;
		size_t got = 0;
		const int rc = read_some(fd, r->head + r->head_len, want, &got, err);

		if (rc == -1 && r->head_len > 0)
			(void)err_set(err, ERR_SYSTEM, "cut",
				"the helper ended in the middle of a frame");
		if (rc != 1)
			return rc;
		r->head_len += got;
		if (r->head_len == FRAME_HEAD_BYTES && start_frame(r, err) != 0)
			return -1;
	}
	return 1;
}

static int read_part(struct buf *b, uint64_t *left, int fd, struct err *err)
{
	enum { CHUNK_BYTES = 64 * 1024 };

	while (*left > 0) {
		const size_t want = *left < CHUNK_BYTES ? (size_t)*left : CHUNK_BYTES;
		char *room = buf_reserve(b, want);
		size_t got = 0;
		int rc;

		if (room == NULL)
			return err_set(err, ERR_BUG, "frame", "a frame outgrew its bound");
		rc = read_some(fd, room, want, &got, err);
		if (rc == -1)
			return err_set(err, ERR_SYSTEM, "cut",
				"the helper ended in the middle of a frame");
		if (rc == 0)
			return 0;
		b->len += got;
		b->data[b->len] = '\0';
		*left -= got;
	}
	return 1;
}

int frame_read(struct frame_reader *r, int fd, struct err *err)
{
	int rc;

	if ((rc = read_head(r, fd, err)) != 1 ||
		(rc = read_part(&r->meta, &r->meta_left, fd, err)) != 1 ||
		(rc = read_part(&r->body, &r->body_left, fd, err)) != 1)
		return rc;
	r->head_len = 0;
	return 1;
}

static int write_all(int fd, struct iovec *iov, int count, struct err *err)
{
	while (count > 0) {
		ssize_t n = writev(fd, iov, count);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_SYSTEM, "cannot write a frame");
		while (count > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			count--;
		}
		if (count > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int frame_write(int fd, const char *meta, const void *body, size_t body_bytes, struct err *err)
{
	unsigned char head[FRAME_HEAD_BYTES];
	union {
		const void *in;
		void *out;
	} text = {meta}, bytes = {body}; /* writev() wants no const; it writes nothing there */
	struct iovec iov[3] = {
		{head, sizeof head},
		{text.out, strlen(meta)},
		{bytes.out, body_bytes},
	};

	frame_head(head, iov[1].iov_len, body_bytes);
	return write_all(fd, iov, body_bytes > 0 ? 3 : 2, err);
}
