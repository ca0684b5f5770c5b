/*
 * frame - messages between a worker and its helper programs, over pipes
 *
 * A frame is a 16-byte head, a JSON object (the meta) and a body of raw bytes (a page image; often
 * none):
 *
 *     bytes 0-3   "IOF1"
 *     bytes 4-7   length of the meta, unsigned, little endian, at most FRAME_META_MAX_BYTES
 *     bytes 8-15  length of the body, unsigned, little endian, at most the reader's bound
 *
 * The meta always has a string "type". What comes from a helper is hostile: lengths are checked
 * before anything is allocated, and a reader gets what a struct buf of its own bound can hold, or
 * an error.
 *
 * Ownership  the caller owns every struct; frame_reader_fini() frees what a reader holds.
 * Errors     -1 and *err: ERR_BUG/"frame" for a malformed frame, ERR_SYSTEM for a failed read or
 *            write.
 * Processes  workers and helpers.
 */
#ifndef INDEXOCR_FRAME_H
#define INDEXOCR_FRAME_H

#include "buf.h"
#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { FRAME_HEAD_BYTES = 16, FRAME_META_MAX_BYTES = 8 << 20 };

struct frame_reader {
	struct buf meta; /* complete once frame_read() returned 1: a NUL-terminated JSON text */
	struct buf body;
	unsigned char head[FRAME_HEAD_BYTES];
	size_t head_len;
	uint64_t meta_left;
	uint64_t body_left;
};

/* body_max_bytes bounds what one frame may carry. */
void frame_reader_init(struct frame_reader *r, size_t body_max_bytes);
void frame_reader_fini(struct frame_reader *r);

/*
 * Reads on from fd, which may be blocking or not. 1: a whole frame is in meta and body, the next
 * call starts a new one; 0: would block, call again when readable; -1: *err, code "eof" where the
 * stream ended between two frames.
 */
int frame_read(struct frame_reader *r, int fd, struct err *err);

/* Fills head for a frame with these lengths. */
void frame_head(unsigned char head[FRAME_HEAD_BYTES], size_t meta_bytes, uint64_t body_bytes);

/* Writes a whole frame to a blocking fd (helpers have nothing better to do than wait). */
int frame_write(int fd, const char *meta, const void *body, size_t body_bytes, struct err *err);

#endif
