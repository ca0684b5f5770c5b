#include "helpers/table.h"

#include "helpers/header.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { BANDS_MIN = 4 }; /* fewer are a frame and a rule under the titles, not one for each row */

/* A line with the row it belongs to. */
struct placed {
	int middle, column, row;
	size_t index;
};

static int from_top(const void *a, const void *b)
{
	const struct placed *p = a;
	const struct placed *q = b;

	return p->middle != q->middle ? p->middle - q->middle : p->column - q->column;
}

static struct placed *place(const struct box *boxes, const int *columns, size_t count)
{
	struct placed *placed = mem_calloc(count, sizeof *placed);

	for (size_t i = 0; i < count; i++)
		placed[i] = (struct placed){boxes[i].y + boxes[i].h / 2, columns[i], 0, i};
	qsort(placed, count, sizeof *placed, from_top);
	return placed;
}

static bool has_bands(const struct table *t)
{
	return t->row_count >= BANDS_MIN;
}

static size_t rows_by_bands(const struct table *t, struct placed *placed, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct box point = {0, placed[i].middle, 0, 0};
		const int band = table_band(t, &point);

		placed[i].row =
			band >= 0 ? band : (placed[i].middle < t->top ? 0 : t->row_count - 1);
	}
	return (size_t)t->row_count;
}

/* Lines of different columns side by side are one line of the table. */
static size_t rows_by_lines(struct placed *placed, size_t count, int em)
{
	struct text_line *lines = mem_calloc(count, sizeof *lines);
	size_t *line_of = mem_calloc(count, sizeof *line_of);
	bool *starts = mem_calloc(count, sizeof *starts);
	size_t n = 0;
	int row = -1;

	for (size_t i = 0; i < count; i++) {
		if (n == 0 || placed[i].middle - lines[n - 1].base > em / 2)
			lines[n++] = (struct text_line){.base = placed[i].middle};
		lines[n - 1].cells |= 1U << placed[i].column;
		line_of[i] = n - 1;
	}
	table_row_starts(lines, n, starts);
	for (size_t i = 0; i < count; i++) {
		if ((i == 0 || line_of[i] != line_of[i - 1]) && starts[line_of[i]])
			row++;
		placed[i].row = row;
	}
	free(starts);
	free(line_of);
	free(lines);
	return (size_t)(row + 1);
}

static size_t find_rows(const struct table *t, struct placed *placed, size_t count, int em)
{
	return has_bands(t) ? rows_by_bands(t, placed, count) : rows_by_lines(placed, count, em);
}

static void append(char **cell, const char *text)
{
	char *longer = *cell == NULL ? mem_strdup(text) : mem_printf("%s %s", *cell, text);

	free(*cell);
	*cell = longer;
}

/* Bands in which nothing stands are no inscriptions. */
static void drop_empty(struct table_rows *rows)
{
	size_t kept = 0;

	for (size_t i = 0; i < rows->count; i++)
		if (rows->items[i].words > 0)
			rows->items[kept++] = rows->items[i];
	rows->count = kept;
	for (size_t i = 0; i < kept; i++)
		for (int c = 0; c < TABLE_COLUMNS; c++)
			if (rows->items[i].cell[c] == NULL)
				rows->items[i].cell[c] = mem_strdup("");
}

void table_rows_make(struct table_rows *rows, const struct table *t, const struct cell_line *lines,
	size_t count, int em)
{
	struct box *boxes = mem_calloc(count, sizeof *boxes);
	int *columns = mem_calloc(count, sizeof *columns);
	struct placed *placed;

	for (size_t i = 0; i < count; i++) {
		boxes[i] = lines[i].box;
		columns[i] = lines[i].column;
	}
	placed = place(boxes, columns, count);
	*rows = (struct table_rows){0};
	rows->count = find_rows(t, placed, count, em);
	rows->items = mem_calloc(rows->count, sizeof *rows->items);
	for (size_t i = 0; i < count; i++) {
		struct table_row *row = &rows->items[placed[i].row];
		const struct cell_line *line = &lines[placed[i].index];

		append(&row->cell[line->column], line->text);
		row->score += line->score;
		row->words += line->words;
	}
	free(placed);
	free(columns);
	free(boxes);
	drop_empty(rows);
	rows->titled =
		rows->count > 0 && header_is_title_row((const char *const *)rows->items[0].cell);
}

void table_rows_fini(struct table_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		for (int c = 0; c < TABLE_COLUMNS; c++)
			free(rows->items[i].cell[c]);
	free(rows->items);
	*rows = (struct table_rows){0};
}

int table_count_rows(const struct table *t, const struct box *words, size_t count, int em)
{
	int *columns = mem_calloc(count, sizeof *columns);
	struct box *inside = mem_calloc(count, sizeof *inside);
	struct placed *placed;
	size_t n = 0;
	int rows = 0;
	int last = -1;

	for (size_t i = 0; i < count; i++) {
		const int middle = words[i].y + words[i].h / 2;
		const int column = table_column(t, &words[i]);

		if (column < 0 || middle < t->top || middle >= t->bottom)
			continue;
		inside[n] = words[i];
		columns[n++] = column;
	}
	placed = place(inside, columns, n);
	(void)find_rows(t, placed, n, em);
	for (size_t i = 0; i < n; i++) {
		rows += placed[i].row != last;
		last = placed[i].row;
	}
	free(placed);
	free(inside);
	free(columns);
	return rows;
}
