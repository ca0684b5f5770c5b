/*
 * buf - bytes that grow up to a bound
 *
 * Everything whose size another party decides is collected here: bodies, page images, answers. data
 * is always followed by a NUL that len does not count, so that texts can be read as strings.
 *
 * Ownership  buf_init() takes the caller's storage; buf_fini() frees what it holds, and may be
 *            called twice.
 * Errors     buf_add*() return -1 once the bound would be passed; nothing is added then.
 * Processes  any.
 */
#ifndef INDEXOCR_BUF_H
#define INDEXOCR_BUF_H

#include <stddef.h>

struct buf {
	char *data; /* owned; NULL until something is added */
	size_t len;
	size_t cap;
	size_t max_bytes;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);

/* Empties it, keeps the memory. */
void buf_reset(struct buf *b);

int buf_add(struct buf *b, const void *data, size_t len) __attribute__((warn_unused_result));
int buf_addf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), warn_unused_result));

/* Room for len more bytes at the end, to be filled by the caller, who then adds to b->len; NULL
 * past the bound. */
void *buf_reserve(struct buf *b, size_t len);

/* The text so far, "" when empty. Borrowed, until the next change. */
const char *buf_text(const struct buf *b);

#endif
