/*
 * table - the lines read in each column of a register's table put together to inscriptions
 *
 * Ownership  table_rows frees with table_rows_fini(); lines are borrowed.
 * Errors     none.
 * Processes  indexocr-tesseract, unit tests. No leptonica, no tesseract.
 */
#ifndef INDEXOCR_HELPERS_TABLE_H
#define INDEXOCR_HELPERS_TABLE_H

#include "helpers/columns.h"

#include <stdbool.h>
#include <stddef.h>

/* A line of text in one cell. */
struct cell_line {
	struct box box;
	int column;
	const char *text; /* borrowed */
	double score;     /* sum of the words' scores, each 0..1 */
	int words;
};

struct table_row {
	char *cell[TABLE_COLUMNS]; /* owned; "" where nothing stands */
	double score;
	int words;
};

struct table_rows {
	struct table_row *items; /* owned */
	size_t count;
	bool titled; /* the first is the row of the columns' titles */
};

void table_rows_make(struct table_rows *rows, const struct table *t, const struct cell_line *lines,
	size_t count, int em);
void table_rows_fini(struct table_rows *rows);

/* How many inscriptions the page has, counted from shapes alone; words as for table_from_gaps(). */
int table_count_rows(const struct table *t, const struct box *words, size_t count, int em);

#endif
