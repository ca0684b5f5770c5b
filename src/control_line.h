/*
 * control_line - one request of the control protocol, taken apart: pure
 *
 *     word LF
 *     word SP argument LF
 *
 * A word is lower-case letters, an argument printable ASCII without spaces; no more than
 * CONTROL_LINE_BYTES, the line feed among them. Everything else is refused at the first byte that
 * cannot belong to a request: nobody waits for the end of garbage.
 *
 * Processes  master.
 */
#ifndef INDEXOCR_CONTROL_LINE_H
#define INDEXOCR_CONTROL_LINE_H

#include <stddef.h>

enum {
	CONTROL_LINE_BYTES = 256,
	CONTROL_REPLY_BYTES = 16 << 20 /* of an answer: enough for every slot there can be */
};

enum control_line_verdict {
	CONTROL_LINE_PARTIAL, /* good so far, the line feed has not come */
	CONTROL_LINE_WHOLE,
	CONTROL_LINE_BAD
};

struct control_line {
	char word[CONTROL_LINE_BYTES];
	char argument[CONTROL_LINE_BYTES]; /* "" = none */
};

/*
 * Looks at all bytes that have come so far; what stands behind the line feed is not looked at. Fills out where the line is
 * whole; *fault, a constant sentence for the client, where it is bad.
 */
enum control_line_verdict control_line_parse(
	const char *bytes, size_t len, struct control_line *out, const char **fault);

#endif
