#include "buf.h"

#include "mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256 };

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){.max_bytes = max_bytes};
}

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max_bytes = b->max_bytes};
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

void *buf_reserve(struct buf *b, size_t len)
{
	size_t cap = b->cap > 0 ? b->cap : FIRST_BYTES;

	if (len > b->max_bytes || b->len > b->max_bytes - len)
		return NULL;
	while (cap <= b->len + len)
		cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
	if (cap != b->cap) {
		b->data = mem_realloc(b->data, cap);
		b->cap = cap;
	}
	b->data[b->len + len] = '\0';
	return b->data + b->len;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	void *room = buf_reserve(b, len);

	if (room == NULL)
		return -1;
	if (len > 0)
		memcpy(room, data, len);
	b->len += len;
	return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	void *room;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0 || (room = buf_reserve(b, (size_t)len)) == NULL)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(room, (size_t)len + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)len;
	return 0;
}

const char *buf_text(const struct buf *b)
{
	return b->data != NULL ? b->data : "";
}
