#include "helpers/page.h"

#include "buf.h"
#include "clock.h"
#include "helpers/columns.h"
#include "helpers/header.h"
#include "helpers/image.h"
#include "helpers/rules.h"
#include "helpers/table.h"
#include "mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_LIMIT_MS = 60 * 1000, /* a page that takes longer is no print */
	TEXT_MAX_BYTES = 4 << 20,
	TITLE_ROWS_MAX = 3, /* the titles stand high on the page: no other line is read for them */
	TITLES_MIN = 4,     /* of six: one may be wrapped, one misread */
	EM_UNKNOWN = 40,
	DPI_MIN = 70,
	DPI_UNKNOWN = 300
};
/* Mean score of a word: printed tables have 0.9 and more, handwritten ones less than 0.47. */
static const double legible_score = 0.55;

/* What a page is made of while it is being read. */
struct work {
	struct reader *reader;
	struct page_image image;
	struct shapes shapes;
	int em; /* height of a line, twice that of an x */
	struct buf text;
	cJSON *body;
};

static double two_digits(double value)
{
	return floor(value * 100 + 0.5) / 100;
}

/* Mean of the words' scores; null where there are none. */
static void add_score(cJSON *confidence, double score, int words)
{
	cJSON_AddItemToArray(confidence,
		words > 0 ? cJSON_CreateNumber(two_digits(score / words)) : cJSON_CreateNull());
}

static void add_text_line(struct buf *text, const char *line)
{
	(void)!buf_addf(text, "%s%s", text->len > 0 ? "\n" : "", line);
}

static void add_warning(cJSON *body, const char *code)
{
	cJSON *warnings = cJSON_GetObjectItemCaseSensitive(body, "warnings");

	if (warnings == NULL)
		warnings = cJSON_AddArrayToObject(body, "warnings");
	cJSON_AddItemToArray(warnings, cJSON_CreateString(code));
}

/* ---- the header -------------------------------------------------------------------------------- */

static void add_header(cJSON *body, const struct read_lines *lines)
{
	const char **texts = mem_calloc(lines->count, sizeof *texts);
	cJSON *object = NULL;
	struct header header;

	for (size_t i = 0; i < lines->count; i++)
		texts[i] = lines->items[i].text;
	header_find(&header, texts, lines->count);
	for (int f = 0; f < HEADER_FIELDS; f++) {
		if (header.value[f] == NULL)
			continue;
		if (object == NULL)
			object = cJSON_CreateObject();
		cJSON_AddStringToObject(
			object, header_field_name((enum header_field)f), header.value[f]);
	}
	cJSON_AddItemToObject(body, "header", object != NULL ? object : cJSON_CreateNull());
	header_fini(&header);
	free(texts);
}

/* ---- pages of text ----------------------------------------------------------------------------- */

/* Lines of text counted from shapes: each is a band of words that follow each other. */
static int count_lines(const struct shapes *shapes, int em)
{
	struct text_line *lines = mem_calloc(shapes->word_count, sizeof *lines);
	const size_t n = text_lines_find(shapes->words, shapes->word_count, em, lines);

	free(lines);
	return (int)n;
}

static void add_lines(struct work *w, const struct read_lines *lines)
{
	cJSON *texts = cJSON_AddArrayToObject(w->body, "lines");
	cJSON *confidence = cJSON_AddArrayToObject(w->body, "confidence");

	cJSON_AddItemToObject(w->body, "rows", cJSON_CreateNull());
	for (size_t i = 0; i < lines->count; i++) {
		const struct read_line *line = &lines->items[i];

		cJSON_AddItemToArray(texts, cJSON_CreateString(line->text));
		add_score(confidence, line->score, line->words);
		add_text_line(&w->text, line->text);
	}
	cJSON_AddNumberToObject(w->body, "detected", count_lines(&w->shapes, w->em));
}

static void read_text(struct work *w, bool with_header)
{
	struct read_lines lines = {0};

	reader_read(w->reader, NULL, READ_PAGE, &lines);
	if (with_header)
		add_header(w->body, &lines);
	else
		cJSON_AddItemToObject(w->body, "header", cJSON_CreateNull());
	add_lines(w, &lines);
	read_lines_fini(&lines);
}

/* ---- register pages ---------------------------------------------------------------------------- */

/* The part cut down to the words in it and a little paper around; w = 0 where there are none. */
static struct box around_words(const struct shapes *shapes, const struct box *part, int margin)
{
	struct box all = {part->x + part->w, part->y + part->h, 0, 0};
	int right = 0;
	int bottom = 0;

	for (size_t i = 0; i < shapes->word_count; i++) {
		const struct box *b = &shapes->words[i];

		if (!box_holds_middle(part, b))
			continue;
		all.x = b->x < all.x ? b->x : all.x;
		all.y = b->y < all.y ? b->y : all.y;
		right = b->x + b->w > right ? b->x + b->w : right;
		bottom = b->y + b->h > bottom ? b->y + b->h : bottom;
	}
	all.w = right - all.x + 2 * margin;
	all.h = bottom - all.y + 2 * margin;
	all.x -= margin;
	all.y -= margin;
	return right > 0 ? box_within(part, &all) : (struct box){0, 0, 0, 0};
}

static void read_part(
	struct work *w, struct box part, enum read_mode mode, struct read_lines *lines)
{
	const struct box page = {0, 0, w->image.width, w->image.height};
	const struct box inside = box_within(&page, &part);
	const struct box words = around_words(&w->shapes, &inside, w->em / 2);

	if (words.w > 2 && words.h > 2)
		reader_read(w->reader, &words, mode, lines);
}

static void add_row_text(struct buf *text, const struct table_row *row)
{
	for (int c = 0; c < TABLE_COLUMNS; c++)
		(void)!buf_addf(
			text, "%s%s", c > 0 ? " | " : (text->len > 0 ? "\n" : ""), row->cell[c]);
}

static void add_rows(struct work *w, const struct table_rows *rows)
{
	cJSON *array = cJSON_AddArrayToObject(w->body, "rows");
	cJSON *confidence = cJSON_AddArrayToObject(w->body, "confidence");

	for (size_t i = 0; i < rows->count; i++) {
		const struct table_row *row = &rows->items[i];

		add_row_text(&w->text, row);
		if (i == 0 && rows->titled)
			continue;
		cJSON_AddItemToArray(array,
			cJSON_CreateStringArray((const char *const *)row->cell, TABLE_COLUMNS));
		add_score(confidence, row->score, row->words);
	}
}

static void read_columns(struct work *w, const struct table *t, struct read_lines *lines)
{
	for (int c = 0; c < TABLE_COLUMNS; c++) {
		const size_t before = lines->count;

		read_part(w,
			(struct box){t->edge[c], t->top, t->edge[c + 1] - t->edge[c],
				t->bottom - t->top},
			READ_BLOCK, lines);
		for (size_t i = before; i < lines->count; i++)
			lines->items[i].column = c;
	}
}

/* Handwriting, mostly: cells made of words that are guessed would look like inscriptions. */
static bool is_legible(const struct read_line *lines, size_t count)
{
	double score = 0;
	int words = 0;

	for (size_t i = 0; i < count; i++) {
		score += lines[i].score;
		words += lines[i].words;
	}
	return words == 0 || score >= legible_score * words;
}

static void add_table(
	struct work *w, const struct table *t, const struct read_line *lines, size_t count)
{
	struct cell_line *cells = mem_calloc(count, sizeof *cells);
	struct table_rows rows;

	for (size_t i = 0; i < count; i++)
		cells[i] = (struct cell_line){lines[i].box, lines[i].column, lines[i].text,
			lines[i].score, lines[i].words};
	table_rows_make(&rows, t, cells, count, w->em);
	add_rows(w, &rows);
	cJSON_AddNumberToObject(w->body, "detected",
		table_count_rows(t, w->shapes.words, w->shapes.word_count, w->em) - rows.titled);
	table_rows_fini(&rows);
	free(cells);
}

static void add_all_text(struct buf *text, const struct read_line *lines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		add_text_line(text, lines[i].text);
}

/* The lines above the table, of each column and below it, read once whatever becomes of them. */
static void read_register(struct work *w, const struct table *t)
{
	const int width = w->image.width;
	struct read_lines lines = {0};
	size_t first;
	size_t past;

	read_part(w, (struct box){0, 0, width, t->top}, READ_BLOCK, &lines);
	add_header(w->body, &lines);
	first = lines.count;
	read_columns(w, t, &lines);
	past = lines.count;
	read_part(w, (struct box){0, t->bottom, width, w->image.height - t->bottom}, READ_BLOCK,
		&lines);
	if (is_legible(lines.items + first, past - first)) {
		add_all_text(&w->text, lines.items, first);
		add_table(w, t, lines.items + first, past - first);
		add_all_text(&w->text, lines.items + past, lines.count - past);
	} else {
		add_lines(w, &lines);
		add_warning(w->body, "columns_unavailable");
	}
	read_lines_fini(&lines);
}

/* What stands in each of the six places, read by itself. */
static bool says_titles(struct work *w, const struct title_row *row)
{
	const char *cells[TABLE_COLUMNS];
	struct read_lines lines[TABLE_COLUMNS] = {{0}};
	int alike;

	for (int c = 0; c < TABLE_COLUMNS; c++) {
		read_part(w, row->title[c], READ_LINE, &lines[c]);
		cells[c] = lines[c].count > 0 ? lines[c].items[0].text : "";
	}
	alike = header_count_titles(cells);
	for (int c = 0; c < TABLE_COLUMNS; c++)
		read_lines_fini(&lines[c]);
	return alike >= TITLES_MIN;
}

/* The titles are read only where they would lead to a table: reading takes time. */
static bool find_by_titles(struct work *w, struct table *t)
{
	const struct shapes *s = &w->shapes;
	struct title_row rows[TITLE_ROWS_MAX];
	const size_t n = title_rows_find(s->words, s->word_count, w->em, rows, TITLE_ROWS_MAX);

	for (size_t i = 0; i < n; i++)
		if (table_from_titles(t, &rows[i], s->words, s->word_count, w->em) &&
			says_titles(w, &rows[i]))
			return true;
	return false;
}

static bool find_table(struct work *w, struct table *t)
{
	const struct shapes *s = &w->shapes;

	return table_from_rules(t, s->vertical, s->vertical_count, s->horizontal,
		       s->horizontal_count, w->em) ||
	       table_from_gaps(t, s->words, s->word_count, w->em) || find_by_titles(w, t);
}

/* ---- a page ------------------------------------------------------------------------------------ */

static int effective_dpi(const struct page_image *image, int dpi)
{
	return dpi >= DPI_MIN ? (int)(dpi * image->scale + 0.5) : DPI_UNKNOWN;
}

static void read_page(struct work *w, const struct page_request *request)
{
	struct table table;

	w->em = w->image.x_height > 0 ? 2 * w->image.x_height : EM_UNKNOWN;
	shapes_find(&w->shapes, &w->image, w->em);
	reader_show(w->reader, w->image.grey, effective_dpi(&w->image, request->dpi),
		clock_boot_ms() + PAGE_LIMIT_MS);
	if (request->table && find_table(w, &table)) {
		read_register(w, &table);
	} else {
		read_text(w, request->table);
		if (request->table)
			add_warning(w->body, "columns_unavailable");
	}
	if (reader_late(w->reader))
		add_warning(w->body, "page_time_limit");
}

int page_read(
	struct reader *reader, const struct page_request *request, cJSON **body, struct err *err)
{
	struct work w = {.reader = reader};

	if (image_prepare(&w.image, request->image, request->image_bytes, err) != 0)
		return -1;
	buf_init(&w.text, TEXT_MAX_BYTES);
	w.body = cJSON_CreateObject();
	cJSON_AddNumberToObject(w.body, "rotation", 0);
	read_page(&w, request);
	cJSON_AddStringToObject(w.body, "text", buf_text(&w.text));
	*body = w.body;
	buf_fini(&w.text);
	shapes_fini(&w.shapes);
	image_fini(&w.image);
	return 0;
}
