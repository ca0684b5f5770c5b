/*
 * reader - text lines of a page or a part of it; libtesseract behind it
 *
 * Ownership  reader_open() makes, reader_close() frees; read_lines are the caller's:
 * read_lines_fini(). The image is borrowed from reader_show() until the next one.
 * Errors     ERR_CONFIG "language-missing"; a part that cannot be read adds no lines.
 * Processes  indexocr-tesseract.
 */
#ifndef INDEXOCR_HELPERS_READER_H
#define INDEXOCR_HELPERS_READER_H

#include "err.h"
#include "helpers/columns.h"

#include <stdbool.h>
#include <stdint.h>

struct Pix;
struct reader;

struct read_line {
	struct box box;
	char *text;   /* owned; words joined by one space */
	int column;   /* for the caller's use; 0 */
	double score; /* sum of the words' scores, each 0..1 */
	int words;
};

struct read_lines {
	struct read_line *items; /* owned */
	size_t count, room;
};

enum read_mode { READ_PAGE, READ_BLOCK, READ_LINE };

int reader_open(struct reader **out, const char *languages, const char *datadir, struct err *err);
void reader_close(struct reader *r);
const char *reader_version(void);

/* The page to read from, at this resolution; no recognition goes on past deadline_ms (boot time). */
void reader_show(struct reader *r, struct Pix *grey, int dpi, int64_t deadline_ms);

/* Appends the lines of the part (NULL = the whole page), in reading order. */
void reader_read(
	struct reader *r, const struct box *part, enum read_mode mode, struct read_lines *lines);

/* Whether the deadline cut something off since reader_show(). */
bool reader_late(const struct reader *r);

void read_lines_fini(struct read_lines *lines);

#endif
