#include "http_body.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP_IN = 3, GROUP_OUT = 4 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void http_body_init(struct http_body *b, const struct http_part *parts, size_t count)
{
	*b = (struct http_body){.count = count};
	b->parts = mem_calloc(count, sizeof *parts);
	if (count > 0)
		memcpy(b->parts, parts, count * sizeof *parts);
}

void http_body_fini(struct http_body *b)
{
	free(b->parts);
	*b = (struct http_body){0};
}

static size_t sent_bytes(const struct http_part *part)
{
	if (!part->base64)
		return part->bytes;
	return (part->bytes + GROUP_IN - 1) / GROUP_IN * GROUP_OUT;
}

int64_t http_body_bytes(const struct http_body *b)
{
	int64_t sum = 0;

	for (size_t i = 0; i < b->count; i++)
		sum += (int64_t)sent_bytes(&b->parts[i]);
	return sum;
}

static void encode_group(const unsigned char *in, size_t left, char out[GROUP_OUT])
{
	const unsigned a = in[0];
	const unsigned b = left > 1 ? in[1] : 0;
	const unsigned c = left > 2 ? in[2] : 0;

	out[0] = alphabet[a >> 2];
	out[1] = alphabet[(a & 3) << 4 | b >> 4];
	out[2] = '=';
	out[3] = '=';
	if (left > 1)
		out[2] = alphabet[(b & 15) << 2 | c >> 6];
	if (left > 2)
		out[3] = alphabet[c & 63];
}

/* Reading may start and end inside a group of four. */
static size_t read_base64(const struct http_part *part, size_t offset, char *out, size_t room)
{
	const unsigned char *data = part->data;
	size_t done = 0;

	while (done < room && offset < sent_bytes(part)) {
		const size_t at = offset / GROUP_OUT * GROUP_IN;
		const size_t skip = offset % GROUP_OUT;
		char group[GROUP_OUT];
		size_t n = GROUP_OUT - skip;

		encode_group(data + at, part->bytes - at, group);
		if (n > room - done)
			n = room - done;
		memcpy(out + done, group + skip, n);
		done += n;
		offset += n;
	}
	return done;
}

static size_t read_plain(const struct http_part *part, size_t offset, char *out, size_t room)
{
	const size_t left = part->bytes - offset;
	const size_t n = left < room ? left : room;

	if (n > 0)
		memcpy(out, (const char *)part->data + offset, n);
	return n;
}

size_t http_body_read(struct http_body *b, char *out, size_t room)
{
	size_t done = 0;

	while (b->part < b->count && done < room) {
		const struct http_part *part = &b->parts[b->part];
		const size_t n = part->base64
					 ? read_base64(part, b->offset, out + done, room - done)
					 : read_plain(part, b->offset, out + done, room - done);

		done += n;
		b->offset += n;
		if (b->offset == sent_bytes(part)) {
			b->part++;
			b->offset = 0;
		}
	}
	return done;
}

void http_body_seek(struct http_body *b, int64_t position)
{
	size_t left = position > 0 ? (size_t)position : 0;

	for (b->part = 0; b->part < b->count; b->part++) {
		if (left < sent_bytes(&b->parts[b->part]))
			break;
		left -= sent_bytes(&b->parts[b->part]);
	}
	b->offset = b->part < b->count ? left : 0;
}
