/*
 * http_body - a request body made of parts, read piece by piece, base64 encoded on the fly
 *
 * The position is all the state there is, so that libcurl may go back and send again.
 *
 * Ownership  http_body_init() copies the table of parts; what they point to stays the caller's.
 * Processes  worker.
 */
#ifndef INDEXOCR_HTTP_BODY_H
#define INDEXOCR_HTTP_BODY_H

#include "http.h"

#include <stddef.h>
#include <stdint.h>

struct http_body {
	struct http_part *parts; /* owned table of borrowed data */
	size_t count;
	size_t part;   /* where we are: this part, */
	size_t offset; /* this byte of it as sent */
};

void http_body_init(struct http_body *b, const struct http_part *parts, size_t count);
void http_body_fini(struct http_body *b);

/* What will be sent in all. */
int64_t http_body_bytes(const struct http_body *b);

/* The next bytes, at most room; 0 = that was all. */
size_t http_body_read(struct http_body *b, char *out, size_t room);

/* Go to this byte of what is sent; beyond the end is the end. */
void http_body_seek(struct http_body *b, int64_t position);

#endif
