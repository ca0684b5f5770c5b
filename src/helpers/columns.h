/*
 * columns - where the six columns and the rows of a register page are: arithmetic on boxes, nothing
 * else
 *
 * Coordinates are pixels of a straightened page, x to the right, y down; intervals are half open.
 * `em` is the height of a line of text, about twice the height of an x; every tolerance is taken
 * from it, none from the page's size.
 *
 * Ownership  callers own all arrays; nothing is allocated that outlives a call.
 * Errors     none: what is not convincing is not found.
 * Processes  indexocr-tesseract, unit tests. No leptonica, no tesseract.
 */
#ifndef INDEXOCR_HELPERS_COLUMNS_H
#define INDEXOCR_HELPERS_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

enum { TABLE_COLUMNS = 6, TABLE_MAX_ROWS = 400 };

struct box {
	int x, y, w, h;
};

/* Whether the middle of b lies in area. */
bool box_holds_middle(const struct box *area, const struct box *b);
/* What of b lies in area; w and h are 0 where nothing does. */
struct box box_within(const struct box *area, const struct box *b);

/* A piece of a ruling line: at its middle, from its start to its end along its direction. */
struct stroke {
	int at, from, to;
};

struct table {
	int edge[TABLE_COLUMNS + 1]; /* column c is [edge[c], edge[c + 1]) */
	int top, bottom;             /* of title row to last row */
	bool ruled;                  /* found by rules, not by gaps */
	int row_count; /* bands between horizontal rules; 0 where rows are not ruled */
	int row[TABLE_MAX_ROWS + 1]; /* band r is [row[r], row[r + 1]) */
};

/*
 * From ruling lines. Pieces of one line are put together, lines too short to be a column's or lying
 * beside the table are left out; six columns stand between seven lines, or between five where the
 * table is open at both sides.
 */
bool table_from_rules(struct table *t, const struct stroke *vertical, size_t vertical_count,
	const struct stroke *horizontal, size_t horizontal_count, int em);

/*
 * From gaps: the boxes of words (or of words run together) of a page without rules. The title row is
 * the first line from which on exactly five gaps, wider than the space between words, run through
 * all lines below.
 */
bool table_from_gaps(struct table *t, const struct box *words, size_t count, int em);

/* A line that may hold the columns' titles: it falls into six pieces. What they say is for others. */
struct title_row {
	struct box title[TABLE_COLUMNS];
};

/* The first such lines from above, at most room; returns how many. */
size_t title_rows_find(
	const struct box *words, size_t count, int em, struct title_row *rows, size_t room);

/*
 * From a line known to hold the six titles, where the gaps alone are too narrow to say: each
 * boundary is the widest gap between two neighbouring titles that nothing from the titles down
 * covers. Not found where two titles have none between them.
 */
bool table_from_titles(struct table *t, const struct title_row *row, const struct box *words,
	size_t count, int em);

/* The column in which most of a box lies; -1 outside the table. */
int table_column(const struct table *t, const struct box *b);

/* The band in which the middle of a box lies; -1 outside, or without bands. */
int table_band(const struct table *t, const struct box *b);

/* A line of text of the table, over all columns: which of them have something on it. */
struct text_line {
	int base;       /* y of its middle */
	unsigned cells; /* bit c = column c */
};

/* Puts boxes of words side by side together to lines, from top to bottom; lines has room for count.
 * Cells are left empty. Returns how many. */
size_t text_lines_find(const struct box *words, size_t count, int em, struct text_line *lines);

/*
 * Which lines begin an inscription: starts[i] for lines[i], sorted from top to bottom. Lines of one
 * inscription stand closer than inscriptions do; where all stand alike, one begins at each line with
 * a date or, without, a party and a publication number.
 */
void table_row_starts(const struct text_line *lines, size_t count, bool *starts);

#endif
