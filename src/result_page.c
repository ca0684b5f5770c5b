/* What one engine call answered becomes one element of "pages". */
#include "result_private.h"

#include "buf.h"
#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	COLUMNS = 6,
	REMARKS = COLUMNS - 1,
	/* Of a checked text, NFC makes three times as much at the most, escaping twice. */
	MADE_BYTES_MAX = 8 * RESULT_PAGE_BYTES_MAX,
	/* A mark of one byte can stand for a whole cell, on every line of the page. */
	DITTO_BYTES_MAX = RESULT_PAGE_BYTES_MAX
};

static const char *const column_keys[COLUMNS] = {
	"party", "nature", "date", "publicationNo", "radiation", "remarks"};

/* ---- texts --------------------------------------------------------------------------------- */

/* Clean, on one line, without white space at its ends. */
static char *one_line(const char *text)
{
	char *clean = utf8_clean(text, strlen(text));
	size_t start = strspn(clean, " \t\n");
	size_t len = strlen(clean + start);

	while (len > 0 && strchr(" \t\n", clean[start + len - 1]) != NULL)
		len--;
	memmove(clean, clean + start, len);
	clean[len] = '\0';
	for (char *p = clean; (p = strpbrk(p, "\t\n")) != NULL;)
		*p = ' ';
	return clean;
}

/* result_check() has seen to it that what is made stays below the bound. */
static void put(struct buf *b, const char *text)
{
	if (buf_add(b, text, strlen(text)) != 0)
		abort();
}

static void put_escaped(struct buf *b, const char *cell)
{
	while (*cell != '\0') {
		const size_t plain = strcspn(cell, "|\\");

		if (buf_add(b, cell, plain) != 0)
			abort();
		cell += plain;
		if (*cell == '\0')
			return;
		put(b, *cell == '|' ? "\\|" : "\\\\");
		cell++;
	}
}

/* What a register's clerk wrote instead of repeating the entry above. "Do" with a capital is a
 * family name. */
static bool is_ditto_word(const char *word, size_t len)
{
	static const char *const marks[] = {"\"", "''", "〃", "″", "“", "”", "„", "«", "»", "« »",
		"do", "do.", "d°", "dito", "ditto"};
	static const char *const any_case[] = {"id", "id.", "idem", "idem."};

	for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
		if (strlen(marks[i]) == len && memcmp(marks[i], word, len) == 0)
			return true;
	for (size_t i = 0; i < sizeof any_case / sizeof any_case[0]; i++)
		if (strlen(any_case[i]) == len && strncasecmp(any_case[i], word, len) == 0)
			return true;
	return false;
}

static bool is_ditto(const char *cell)
{
	if (*cell == '\0')
		return false;
	while (*cell != '\0') {
		const size_t len = strcspn(cell, " ");

		if (!is_ditto_word(cell, len))
			return false;
		cell += len;
		cell += strspn(cell, " ");
	}
	return true;
}

/* ---- the page ------------------------------------------------------------------------------ */

static void warn(cJSON *warnings, const char *code)
{
	const cJSON *warning;

	cJSON_ArrayForEach(warning, warnings) if (strcmp(warning->valuestring, code) == 0) return;
	if (!cJSON_AddItemToArray(warnings, cJSON_CreateString(code)))
		abort();
}

static void add_tokens(cJSON *page, const struct engine_tokens *tokens)
{
	cJSON *object = cJSON_AddObjectToObject(page, "tokens");

	json_add_int(object, "input", tokens->input);
	json_add_int(object, "output", tokens->output);
	json_add_int(object, "thinking", tokens->thinking);
	json_add_int(object, "total", tokens->total);
}

/* What every page has in front of its text; answer may be NULL: no engine was asked. */
static cJSON *new_page(int number, bool complete, const struct engine_answer *answer)
{
	static const struct engine_answer none;
	cJSON *page = cJSON_CreateObject();

	if (answer == NULL)
		answer = &none;
	json_add_int(page, "page", number);
	cJSON_AddBoolToObject(page, "isCompleted", complete);
	json_add_int(page, "totalLinesDetected", 0);
	result_add_clean(page, "model", answer->model);
	result_add_clean(page, "finishReason", answer->finish_reason);
	add_tokens(page, &answer->tokens);
	json_add_int(page, "ms", answer->ms);
	return page;
}

static void add_size(cJSON *page, const struct page *image)
{
	json_add_int(page, "width", image->width);
	json_add_int(page, "height", image->height);
}

/* The end of a page on which nothing was read. */
static void add_no_text(cJSON *page)
{
	json_add_text(page, "header", NULL);
	cJSON_AddArrayToObject(page, "lines");
	json_add_text(page, "text", "");
	cJSON_AddArrayToObject(page, "warnings");
}

static void add_header(cJSON *page, const cJSON *header)
{
	cJSON *object;

	if (header == NULL) {
		json_add_text(page, "header", NULL);
		return;
	}
	object = cJSON_AddObjectToObject(page, "header");
	for (size_t i = 0; i < RESULT_HEADER_KEYS; i++) {
		const char *given = json_text(header, result_header_keys[i]);
		char *value = one_line(given != NULL ? given : "");

		json_add_text(object, result_header_keys[i], value);
		free(value);
	}
}

/* A score of the engine, to three digits; null where it measured none. */
static void add_confidence(cJSON *line, const cJSON *confidence, int row)
{
	const cJSON *score = cJSON_GetArrayItem(confidence, row);

	if (cJSON_IsNumber(score))
		cJSON_AddNumberToObject(
			line, "confidence", round(score->valuedouble * 1000) / 1000);
	else
		cJSON_AddNullToObject(line, "confidence");
}

/* fields NULL: the line has no columns. */
static void add_line(cJSON *lines, const char *raw, char *const fields[COLUMNS],
	const cJSON *confidence, int row, bool struck)
{
	cJSON *line = cJSON_CreateObject();

	json_add_int(line, "index", cJSON_GetArraySize(lines) + 1);
	json_add_text(line, "rawLine", raw);
	for (int i = 0; i < COLUMNS; i++)
		json_add_text(line, column_keys[i], fields != NULL ? fields[i] : NULL);
	add_confidence(line, confidence, row);
	cJSON_AddBoolToObject(line, "struck", struck);
	cJSON_AddItemToArray(lines, line);
}

static void free_cells(char *cells[COLUMNS])
{
	for (int i = 0; i < COLUMNS; i++) {
		free(cells[i]);
		cells[i] = NULL;
	}
}

/* Exactly six cells: empty ones for those missing, those too many behind the remarks. */
static void read_cells(const cJSON *row, char *cells[COLUMNS], cJSON *warnings)
{
	const cJSON *cell;
	int i = 0;

	cJSON_ArrayForEach(cell, row)
	{
		char *text = one_line(cJSON_IsString(cell) ? cell->valuestring : "");

		if (i < COLUMNS) {
			cells[i++] = text;
			continue;
		}
		warn(warnings, "too_many_cells");
		if (*text != '\0') {
			char *remarks = mem_printf("%s%s%s", cells[REMARKS],
				*cells[REMARKS] != '\0' ? " | " : "", text);

			free(cells[REMARKS]);
			cells[REMARKS] = remarks;
		}
		free(text);
	}
	for (; i < COLUMNS; i++)
		cells[i] = mem_strdup("");
}

/* What the field of a column says: the cell, or what a ditto mark in it stands for. above: the last
 * entry of the column, NULL before the first; room: what marks of this page may still add. */
static char *resolve(char *cell, char **above, size_t *room, cJSON *warnings)
{
	size_t len;

	if (!is_ditto(cell)) {
		free(*above);
		*above = mem_strdup(cell);
		return cell;
	}
	if (*above == NULL) {
		warn(warnings, "ditto_without_entry_above");
		return cell;
	}
	len = strlen(*above);
	if (len > *room) {
		warn(warnings, "ditto_too_long");
		return cell;
	}
	*room -= len;
	return *above;
}

static char *raw_line(char *const cells[COLUMNS])
{
	struct buf b;

	buf_init(&b, MADE_BYTES_MAX);
	for (int i = 0; i < COLUMNS; i++) {
		if (i > 0)
			put(&b, "|");
		put_escaped(&b, cells[i]);
	}
	return mem_realloc(b.data, b.len + 1);
}

/* One line of text, cells apart by tabs. */
static void put_row(struct buf *text, char *const cells[COLUMNS])
{
	for (int i = 0; i < COLUMNS; i++) {
		put(text, cells[i]);
		put(text, i < REMARKS ? "\t" : "\n");
	}
}

static void mark_struck(
	const cJSON *struck, int rows, bool marked[RESULT_ROWS_MAX], cJSON *warnings)
{
	const cJSON *number;

	cJSON_ArrayForEach(number, struck)
	{
		if (result_is_whole(number, 1, rows))
			marked[(int)number->valuedouble - 1] = true;
		else
			warn(warnings, "struck_row_unknown");
	}
}

static void add_rows(cJSON *lines, const cJSON *body, struct buf *text, cJSON *warnings)
{
	const cJSON *rows = result_member(body, "rows");
	const cJSON *confidence = result_member(body, "confidence");
	bool struck[RESULT_ROWS_MAX] = {false};
	char *above[COLUMNS] = {NULL};
	size_t room = DITTO_BYTES_MAX;
	const cJSON *row;
	int number = 0;

	mark_struck(result_member(body, "struck"), cJSON_GetArraySize(rows), struck, warnings);
	cJSON_ArrayForEach(row, rows)
	{
		char *cells[COLUMNS];
		char *fields[COLUMNS]; /* borrowed of cells and above */
		char *raw;

		read_cells(row, cells, warnings);
		for (int i = 0; i < COLUMNS; i++)
			fields[i] = resolve(cells[i], &above[i], &room, warnings);
		raw = raw_line(cells);
		add_line(lines, raw, fields, confidence, number, struck[number]);
		put_row(text, cells);
		number++;
		free(raw);
		free_cells(cells);
	}
	free_cells(above);
}

/* Blank lines set paragraphs apart in the text; they are no entries. */
static void add_lines(cJSON *lines, const cJSON *body, struct buf *text, cJSON *warnings)
{
	const cJSON *given = result_member(body, "lines");
	const cJSON *confidence = result_member(body, "confidence");
	bool struck[RESULT_ROWS_MAX] = {false};
	const cJSON *item;
	int number = 0;

	mark_struck(result_member(body, "struck"), cJSON_GetArraySize(given), struck, warnings);
	cJSON_ArrayForEach(item, given)
	{
		char *line = one_line(item->valuestring);

		if (*line != '\0')
			add_line(lines, line, NULL, confidence, number, struck[number]);
		put(text, line);
		put(text, "\n");
		number++;
		free(line);
	}
}

static void put_header(struct buf *text, const cJSON *header)
{
	const cJSON *value;
	bool any = false;

	cJSON_ArrayForEach(value, header)
	{
		if (*value->valuestring == '\0')
			continue;
		put(text, any ? "\t" : "");
		put(text, value->valuestring);
		any = true;
	}
	if (any)
		put(text, "\n");
}

/* The engine's own text of the page where it gave one, else what the lines make. */
static void add_text(cJSON *page, const cJSON *body, const struct buf *made)
{
	const char *given = json_text(body, "text");
	char *text = given != NULL ? utf8_clean(given, strlen(given)) : mem_strdup(buf_text(made));
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	json_add_text(page, "text", text);
	free(text);
}

/* Engine and independent count agree within a fifth of the larger, or within three lines. */
static void compare_counts(cJSON *page, const cJSON *body, int lines, cJSON *warnings)
{
	const int detected = (int)json_int(body, "detected", lines);
	const int apart = abs(detected - lines);
	const int larger = detected > lines ? detected : lines;

	cJSON_ReplaceItemInObjectCaseSensitive(
		page, "totalLinesDetected", cJSON_CreateNumber(detected));
	if (apart > 3 && apart * 5 > larger)
		warn(warnings, "line_count_differs");
}

static cJSON *new_warnings(const cJSON *given)
{
	cJSON *warnings = cJSON_CreateArray();
	const cJSON *warning;

	cJSON_ArrayForEach(warning, given)
	{
		char *text = one_line(warning->valuestring);

		warn(warnings, text);
		free(text);
	}
	return warnings;
}

static void add_rotation(cJSON *page, const cJSON *body)
{
	const int64_t degrees = (json_int(body, "rotation", 0) + 360) % 360;

	if (degrees != 0)
		json_add_int(page, "rotation", degrees);
}

int result_page(const struct page *page, const struct engine_prompt *prompt,
	const struct engine_answer *answer, cJSON **out, struct err *err)
{
	const cJSON *body = answer->body;
	cJSON *made;
	cJSON *lines;
	cJSON *warnings;
	struct buf text;

	*out = NULL;
	if (result_check(body, err) != 0)
		return -1;
	made = new_page(page->number, true, answer);
	add_size(made, page);
	add_rotation(made, body);
	add_header(made, result_member(body, "header"));
	lines = cJSON_AddArrayToObject(made, "lines");
	warnings = new_warnings(result_member(body, "warnings"));
	buf_init(&text, MADE_BYTES_MAX);
	put_header(&text, result_member(made, "header"));
	if (result_member(body, "rows") != NULL)
		add_rows(lines, body, &text, warnings);
	else
		add_lines(lines, body, &text, warnings);
	if (prompt->table && result_member(body, "rows") == NULL)
		warn(warnings, "columns_unavailable");
	compare_counts(made, body, cJSON_GetArraySize(lines), warnings);
	add_text(made, body, &text);
	cJSON_AddItemToObject(made, "warnings", warnings);
	buf_fini(&text);
	*out = made;
	return 0;
}

cJSON *result_blank_page(const struct page *page)
{
	cJSON *made = new_page(page->number, true, NULL);

	add_size(made, page);
	cJSON_AddBoolToObject(made, "blank", true);
	cJSON_AddNumberToObject(made, "ink", round(page->ink * 1e6) / 1e6);
	add_no_text(made);
	return made;
}

cJSON *result_failed_page(int number, const struct err *why, const struct engine_answer *answer)
{
	cJSON *made = new_page(number, false, answer);
	cJSON *error = cJSON_AddObjectToObject(made, "error");

	json_add_text(error, "kind", err_kind_name(why->kind));
	result_add_clean(error, "code", why->code);
	result_add_clean(error, "message", why->text);
	add_no_text(made);
	return made;
}
