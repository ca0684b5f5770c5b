#include "helpers/columns.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

bool box_holds_middle(const struct box *area, const struct box *b)
{
	const int x = b->x + b->w / 2;
	const int y = b->y + b->h / 2;

	return x >= area->x && x < area->x + area->w && y >= area->y && y < area->y + area->h;
}

struct box box_within(const struct box *area, const struct box *b)
{
	const int left = b->x > area->x ? b->x : area->x;
	const int top = b->y > area->y ? b->y : area->y;
	const int right = b->x + b->w < area->x + area->w ? b->x + b->w : area->x + area->w;
	const int bottom = b->y + b->h < area->y + area->h ? b->y + b->h : area->y + area->h;

	if (right <= left || bottom <= top)
		return (struct box){left, top, 0, 0};
	return (struct box){left, top, right - left, bottom - top};
}

/* ---- ruling lines ------------------------------------------------------------------------------ */

static int by_at(const void *a, const void *b)
{
	return ((const struct stroke *)a)->at - ((const struct stroke *)b)->at;
}

struct span {
	int from, to;
};

/*
 * Pieces whose middles lie within tolerance of their neighbour's become one line, from the first
 * start to the last end; `ink` keeps how much of that is really drawn. Returns how many lines.
 */
struct line {
	int at, from, to, ink;
};

static void line_add(struct line *line, const struct stroke *s)
{
	const int length = s->to - s->from;

	/* The longest pieces say best where a line is. */
	line->at = (int)(((long long)line->at * line->ink + (long long)s->at * length) /
			 (line->ink + length > 0 ? line->ink + length : 1));
	line->ink += length;
	if (s->from < line->from)
		line->from = s->from;
	if (s->to > line->to)
		line->to = s->to;
}

static size_t join_strokes(
	const struct stroke *strokes, size_t count, int tolerance, struct line *lines)
{
	struct stroke *sorted = mem_calloc(count, sizeof *sorted);
	size_t n = 0;

	if (count > 0)
		memcpy(sorted, strokes, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, by_at);
	for (size_t i = 0; i < count; i++) {
		if (n == 0 || sorted[i].at - lines[n - 1].at > tolerance)
			lines[n++] = (struct line){sorted[i].at, sorted[i].from, sorted[i].from, 0};
		line_add(&lines[n - 1], &sorted[i]);
	}
	free(sorted);
	return n;
}

static size_t keep_long(struct line *lines, size_t count, int min_ink)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (lines[i].ink >= min_ink)
			lines[kept++] = lines[i];
	return kept;
}

static int longest(const struct line *lines, size_t count)
{
	int most = 0;

	for (size_t i = 0; i < count; i++)
		if (lines[i].ink > most)
			most = lines[i].ink;
	return most;
}

/* Lines beside the table (an edge of the sheet, a fold) reach no horizontal rule. */
static size_t keep_between(struct line *lines, size_t count, int from, int to)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (lines[i].at >= from && lines[i].at <= to)
			lines[kept++] = lines[i];
	return kept;
}

static bool set_edges(struct table *t, const struct line *lines, size_t count, int left, int right)
{
	if (count == TABLE_COLUMNS + 1) {
		for (int i = 0; i <= TABLE_COLUMNS; i++)
			t->edge[i] = lines[i].at;
	} else if (count == TABLE_COLUMNS - 1) {
		t->edge[0] = left;
		for (int i = 1; i < TABLE_COLUMNS; i++)
			t->edge[i] = lines[i - 1].at;
		t->edge[TABLE_COLUMNS] = right;
	} else {
		return false;
	}
	for (int i = 0; i < TABLE_COLUMNS; i++)
		if (t->edge[i + 1] <= t->edge[i])
			return false;
	return true;
}

/* Bands lower than a line of text are where top or bottom and their rule do not quite meet. */
static void set_bands(struct table *t, const struct line *lines, size_t count, int em)
{
	t->row_count = 0;
	t->row[0] = t->top;
	for (size_t i = 0; i < count && t->row_count < TABLE_MAX_ROWS; i++)
		if (lines[i].at - t->row[t->row_count] > em / 2)
			t->row[++t->row_count] = lines[i].at;
	if (t->row_count < TABLE_MAX_ROWS && t->bottom - t->row[t->row_count] > em / 2)
		t->row[++t->row_count] = t->bottom;
}

/* From the first start to the last end. */
static struct span extent(const struct line *lines, size_t count)
{
	struct span all = {lines[0].from, lines[0].to};

	for (size_t i = 1; i < count; i++) {
		all.from = lines[i].from < all.from ? lines[i].from : all.from;
		all.to = lines[i].to > all.to ? lines[i].to : all.to;
	}
	return all;
}

/* v and h are changed. */
static bool table_from_lines(
	struct table *t, struct line *v, size_t nv, struct line *h, size_t nh, int em)
{
	struct span across = {0, 0};
	struct span down;

	nh = keep_long(h, nh, longest(h, nh) / 2);
	if (nh > 0) {
		across = extent(h, nh);
		nv = keep_between(v, nv, across.from - em, across.to + em);
	}
	nv = keep_long(v, nv, longest(v, nv) / 2);
	if (nv == 0 || !set_edges(t, v, nv, across.from, across.to))
		return false;
	down = extent(v, nv);
	t->top = down.from;
	t->bottom = down.to;
	nh = keep_between(h, nh, t->top - em / 2, t->bottom + em / 2);
	set_bands(t, h, nh, em);
	return t->bottom - t->top > 2 * em;
}

bool table_from_rules(struct table *t, const struct stroke *vertical, size_t vertical_count,
	const struct stroke *horizontal, size_t horizontal_count, int em)
{
	struct line *v = mem_calloc(vertical_count, sizeof *v);
	struct line *h = mem_calloc(horizontal_count, sizeof *h);
	const size_t nv = join_strokes(vertical, vertical_count, em / 2, v);
	const size_t nh = join_strokes(horizontal, horizontal_count, em / 3, h);
	bool found;

	*t = (struct table){.ruled = true};
	found = table_from_lines(t, v, nv, h, nh, em);
	free(v);
	free(h);
	return found;
}

/* ---- gaps -------------------------------------------------------------------------------------- */

static int by_middle(const void *a, const void *b)
{
	const struct box *p = a;
	const struct box *q = b;

	return (2 * p->y + p->h) - (2 * q->y + q->h);
}

static int by_from(const void *a, const void *b)
{
	return ((const struct span *)a)->from - ((const struct span *)b)->from;
}

/* Words sorted by by_middle(): where each line begins; begins[n] is count. Returns n. */
static size_t find_lines(const struct box *words, size_t count, int em, size_t *begins)
{
	size_t n = 0;
	int middle = 0;

	for (size_t i = 0; i < count; i++) {
		const int here = words[i].y + words[i].h / 2;

		if (n == 0 || here - middle > em / 2) {
			begins[n++] = i;
			middle = here;
		}
	}
	begins[n] = count;
	return n;
}

size_t text_lines_find(const struct box *words, size_t count, int em, struct text_line *lines)
{
	struct box *sorted = mem_calloc(count, sizeof *sorted);
	size_t *begins = mem_calloc(count + 1, sizeof *begins);
	size_t n;

	if (count > 0)
		memcpy(sorted, words, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, by_middle);
	n = find_lines(sorted, count, em, begins);
	for (size_t i = 0; i < n; i++)
		lines[i] =
			(struct text_line){.base = sorted[begins[i]].y + sorted[begins[i]].h / 2};
	free(begins);
	free(sorted);
	return n;
}

/* Puts the horizontal extents of words[] together wherever less than gap lies between; returns how
 * many remain, from left to right. */
static size_t merge_spans(const struct box *words, size_t count, int gap, struct span *spans)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		spans[i] = (struct span){words[i].x, words[i].x + words[i].w};
	qsort(spans, count, sizeof *spans, by_from);
	for (size_t i = 0; i < count; i++) {
		if (n > 0 && spans[i].from - spans[n - 1].to < gap) {
			if (spans[i].to > spans[n - 1].to)
				spans[n - 1].to = spans[i].to;
		} else {
			spans[n++] = spans[i];
		}
	}
	return n;
}

static void edges_from_spans(struct table *t, const struct span *spans, int em)
{
	t->edge[0] = spans[0].from - em / 2;
	for (int i = 1; i < TABLE_COLUMNS; i++)
		t->edge[i] = (spans[i - 1].to + spans[i].from) / 2;
	t->edge[TABLE_COLUMNS] = spans[TABLE_COLUMNS - 1].to + em / 2;
}

bool table_from_gaps(struct table *t, const struct box *words, size_t count, int em)
{
	struct box *sorted = mem_calloc(count, sizeof *sorted);
	struct span *spans = mem_calloc(count, sizeof *spans);
	size_t *begins = mem_calloc(count + 1, sizeof *begins);
	const int gap = em * 2 / 3;
	bool found = false;
	size_t lines;

	if (count > 0)
		memcpy(sorted, words, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, by_middle);
	lines = find_lines(sorted, count, em, begins);
	*t = (struct table){0};
	/* The title row fills all six columns by itself, and the whole below keeps to them. */
	for (size_t i = 0; i + 1 < lines && !found; i++) {
		const size_t first = begins[i];

		if (merge_spans(sorted + first, begins[i + 1] - first, gap, spans) <
				TABLE_COLUMNS ||
			merge_spans(sorted + first, count - first, gap, spans) != TABLE_COLUMNS)
			continue;
		edges_from_spans(t, spans, em);
		t->top = sorted[first].y - em / 2;
		t->bottom = sorted[count - 1].y + sorted[count - 1].h + em / 2;
		found = true;
	}
	free(begins);
	free(spans);
	free(sorted);
	return found;
}

/* ---- a title row ------------------------------------------------------------------------------- */

/* The titles of a line that falls into six pieces by itself. */
static bool titles_from_line(
	const struct box *line, size_t count, int em, struct span *spans, struct box *titles)
{
	int top = line[0].y;
	int bottom = line[0].y + line[0].h;

	if (merge_spans(line, count, em * 2 / 3, spans) != TABLE_COLUMNS)
		return false;
	for (size_t i = 1; i < count; i++) {
		top = line[i].y < top ? line[i].y : top;
		bottom = line[i].y + line[i].h > bottom ? line[i].y + line[i].h : bottom;
	}
	for (int c = 0; c < TABLE_COLUMNS; c++)
		titles[c] =
			(struct box){spans[c].from, top, spans[c].to - spans[c].from, bottom - top};
	return true;
}

size_t title_rows_find(
	const struct box *words, size_t count, int em, struct title_row *rows, size_t room)
{
	struct box *sorted = mem_calloc(count, sizeof *sorted);
	struct span *spans = mem_calloc(count, sizeof *spans);
	size_t *begins = mem_calloc(count + 1, sizeof *begins);
	size_t found = 0;
	size_t lines;

	if (count > 0)
		memcpy(sorted, words, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, by_middle);
	lines = find_lines(sorted, count, em, begins);
	for (size_t i = 0; i + 1 < lines && found < room; i++)
		found += titles_from_line(sorted + begins[i], begins[i + 1] - begins[i], em, spans,
			rows[found].title);
	free(begins);
	free(spans);
	free(sorted);
	return found;
}

/* The middle of the widest gap between the spans that lies between two titles; -1 where none is
 * wide enough to be sure of. */
static int widest_gap(const struct span *spans, size_t count, const struct box *left,
	const struct box *right, int least)
{
	int widest = least - 1;
	int middle = -1;

	for (size_t i = 1; i < count; i++) {
		const int from = spans[i - 1].to;
		const int to = spans[i].from;

		if (from >= left->x + left->w && to <= right->x && to - from > widest) {
			widest = to - from;
			middle = (from + to) / 2;
		}
	}
	return middle;
}

bool table_from_titles(
	struct table *t, const struct title_row *row, const struct box *words, size_t count, int em)
{
	struct box *below = mem_calloc(count, sizeof *below);
	struct span *spans = mem_calloc(count, sizeof *spans);
	const struct box *title = row->title;
	const int least = em / 5 > 2 ? em / 5 : 2;
	bool found = true;
	size_t n = 0;
	size_t merged;

	*t = (struct table){.top = title[0].y - em / 2};
	for (size_t i = 0; i < count; i++) {
		if (words[i].y + words[i].h / 2 < title[0].y)
			continue;
		below[n++] = words[i];
		if (words[i].y + words[i].h + em / 2 > t->bottom)
			t->bottom = words[i].y + words[i].h + em / 2;
	}
	merged = merge_spans(below, n, least, spans);
	for (int c = 1; c < TABLE_COLUMNS && found; c++) {
		t->edge[c] = widest_gap(spans, merged, &title[c - 1], &title[c], least);
		found = t->edge[c] >= 0;
	}
	if (found) {
		t->edge[0] = spans[0].from - em / 2;
		t->edge[TABLE_COLUMNS] = spans[merged - 1].to + em / 2;
	}
	free(spans);
	free(below);
	return found;
}

/* ---- places in a table ------------------------------------------------------------------------- */

int table_column(const struct table *t, const struct box *b)
{
	int best = -1;
	int most = 0;

	for (int c = 0; c < TABLE_COLUMNS; c++) {
		const int from = b->x > t->edge[c] ? b->x : t->edge[c];
		const int to = b->x + b->w < t->edge[c + 1] ? b->x + b->w : t->edge[c + 1];

		if (to - from > most) {
			most = to - from;
			best = c;
		}
	}
	return best;
}

int table_band(const struct table *t, const struct box *b)
{
	const int middle = b->y + b->h / 2;

	for (int r = 0; r < t->row_count; r++)
		if (middle >= t->row[r] && middle < t->row[r + 1])
			return r;
	return -1;
}

/* ---- rows without rules ------------------------------------------------------------------------ */

enum { PARTY = 1 << 0, DATE = 1 << 2, NUMBER = 1 << 3 };

static int by_int(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/*
 * The step between lines from which on a new inscription begins: the middle of the widest jump among
 * the sorted steps, where that jump is clear; 0 where all lines stand alike.
 */
static int row_step(const struct text_line *lines, size_t count)
{
	int *steps = mem_calloc(count, sizeof *steps);
	int widest = 0;
	int between = 0;

	for (size_t i = 1; i < count; i++)
		steps[i - 1] = lines[i].base - lines[i - 1].base;
	if (count > 2)
		qsort(steps, count - 1, sizeof *steps, by_int);
	for (size_t i = 1; i + 1 < count; i++) {
		const int jump = steps[i] - steps[i - 1];

		/* Jumps among the large steps say nothing: a register may leave room anywhere. */
		if (jump > widest && jump * 5 > steps[i - 1] && steps[i - 1] * 2 < steps[0] * 3) {
			widest = jump;
			between = (steps[i] + steps[i - 1]) / 2;
		}
	}
	free(steps);
	return between;
}

void table_row_starts(const struct text_line *lines, size_t count, bool *starts)
{
	const int step = row_step(lines, count);

	for (size_t i = 0; i < count; i++) {
		const unsigned cells = lines[i].cells;
		const bool dated =
			(cells & DATE) != 0 || (cells & (PARTY | NUMBER)) == (PARTY | NUMBER);

		if (i == 0)
			starts[i] = true;
		else if (step > 0 && lines[i].base - lines[i - 1].base >= step)
			starts[i] = true;
		else
			starts[i] = step == 0 && dated;
	}
}
