/* Is an answer what engine.h says? Every type and bound is looked at here, so that what makes the
 * page of it cannot fail. Messages say where, never what: it is document text. */
#include "result_private.h"

#include "json.h"

#include <math.h>
#include <string.h>

enum {
	CELLS_MAX = 24,
	CELL_BYTES_MAX = 16 * 1024,
	WARNINGS_MAX = 32,
	WARNING_BYTES_MAX = 200,
	DETECTED_MAX = 100000
};

const char *const result_header_keys[RESULT_HEADER_KEYS] = {
	"circonscription", "cadastre", "lot", "feuille"};

const cJSON *result_member(const cJSON *body, const char *key)
{
	const cJSON *item = json_get(body, key);

	return cJSON_IsNull(item) ? NULL : item;
}

static int bad(struct err *err, const char *what)
{
	return err_set(err, ERR_REQUEST, "bad-answer", "the engine's answer has %s", what);
}

static int bad_at(struct err *err, const char *list, int number, const char *what)
{
	return err_set(err, ERR_REQUEST, "bad-answer",
		"the engine's answer has in %s, entry %d, %s", list, number, what);
}

static bool is_text(const cJSON *item, size_t max_bytes)
{
	return cJSON_IsString(item) && strlen(item->valuestring) <= max_bytes;
}

bool result_is_whole(const cJSON *item, int min, int max)
{
	return cJSON_IsNumber(item) && item->valuedouble >= min && item->valuedouble <= max &&
	       floor(item->valuedouble) == item->valuedouble;
}

static int check_header(const cJSON *header, struct err *err)
{
	if (header == NULL)
		return 0;
	if (!cJSON_IsObject(header))
		return bad(err, "a header that is no object");
	for (size_t i = 0; i < RESULT_HEADER_KEYS; i++) {
		const cJSON *value = result_member(header, result_header_keys[i]);

		if (value != NULL && !is_text(value, CELL_BYTES_MAX))
			return bad(err, "a header with something else than short texts");
	}
	return 0;
}

/* Adds the bytes of the row's texts to *bytes. */
static int check_row(const cJSON *row, int number, size_t *bytes, struct err *err)
{
	const cJSON *cell;

	if (!cJSON_IsArray(row) || cJSON_GetArraySize(row) > CELLS_MAX)
		return bad_at(err, "rows", number, "no list of cells, or too many");
	cJSON_ArrayForEach(cell, row)
	{
		if (cJSON_IsNull(cell))
			continue;
		if (!is_text(cell, CELL_BYTES_MAX))
			return bad_at(err, "rows", number, "a cell that is no text, or too long");
		*bytes += strlen(cell->valuestring);
	}
	return 0;
}

static int check_rows(const cJSON *rows, size_t *bytes, struct err *err)
{
	const cJSON *row;
	int number = 0;

	if (rows == NULL)
		return 0;
	if (!cJSON_IsArray(rows) || cJSON_GetArraySize(rows) > RESULT_ROWS_MAX)
		return bad(err, "rows that are no list, or too many");
	cJSON_ArrayForEach(row, rows) if (check_row(row, ++number, bytes, err) != 0) return -1;
	return 0;
}

static int check_lines(const cJSON *lines, size_t *bytes, struct err *err)
{
	const cJSON *line;
	int number = 0;

	if (lines == NULL)
		return 0;
	if (!cJSON_IsArray(lines) || cJSON_GetArraySize(lines) > RESULT_ROWS_MAX)
		return bad(err, "lines that are no list, or too many");
	cJSON_ArrayForEach(line, lines)
	{
		number++;
		if (!is_text(line, CELL_BYTES_MAX))
			return bad_at(err, "lines", number, "what is no text, or too long");
		*bytes += strlen(line->valuestring);
	}
	return 0;
}

static int check_confidence(const cJSON *confidence, struct err *err)
{
	const cJSON *score;
	int number = 0;

	if (confidence == NULL)
		return 0;
	if (!cJSON_IsArray(confidence) || cJSON_GetArraySize(confidence) > RESULT_ROWS_MAX)
		return bad(err, "confidences that are no list, or too many");
	cJSON_ArrayForEach(score, confidence)
	{
		number++;
		if (cJSON_IsNull(score))
			continue;
		if (!cJSON_IsNumber(score) || !(score->valuedouble >= 0 && score->valuedouble <= 1))
			return bad_at(err, "confidence", number, "no number from 0 to 1");
	}
	return 0;
}

static int check_struck(const cJSON *struck, struct err *err)
{
	const cJSON *row;

	if (struck == NULL)
		return 0;
	if (!cJSON_IsArray(struck) || cJSON_GetArraySize(struck) > RESULT_ROWS_MAX)
		return bad(err, "struck rows that are no list, or too many");
	cJSON_ArrayForEach(row, struck) if (!cJSON_IsNumber(row)) return bad(
		err, "struck rows that are no numbers");
	return 0;
}

static int check_warnings(const cJSON *warnings, struct err *err)
{
	const cJSON *warning;

	if (warnings == NULL)
		return 0;
	if (!cJSON_IsArray(warnings) || cJSON_GetArraySize(warnings) > WARNINGS_MAX)
		return bad(err, "warnings that are no list, or too many");
	cJSON_ArrayForEach(warning, warnings) if (!is_text(warning, WARNING_BYTES_MAX)) return bad(
		err, "warnings that are no short texts");
	return 0;
}

static int check_values(const cJSON *body, size_t bytes, struct err *err)
{
	const cJSON *text = result_member(body, "text");
	const cJSON *detected = result_member(body, "detected");
	const cJSON *rotation = result_member(body, "rotation");

	if (text != NULL && !is_text(text, RESULT_PAGE_BYTES_MAX))
		return bad(err, "a text that is no string, or too long");
	if (detected != NULL && !result_is_whole(detected, 0, DETECTED_MAX))
		return bad(err, "a count of lines that is no count");
	if (rotation != NULL && !result_is_whole(rotation, -360, 360))
		return bad(err, "a rotation that is no number of degrees");
	if (bytes > RESULT_PAGE_BYTES_MAX)
		return bad(err, "more text than a page can hold");
	return 0;
}

int result_check(const cJSON *body, struct err *err)
{
	size_t bytes = 0;

	if (body == NULL)
		return err_set(err, ERR_EMPTY, "empty", "the engine's answer has no content");
	if (!cJSON_IsObject(body))
		return bad(err, "no object");
	if (result_member(body, "rows") == NULL && result_member(body, "lines") == NULL)
		return err_set(
			err, ERR_EMPTY, "empty", "the engine's answer has neither rows nor lines");
	if (check_header(result_member(body, "header"), err) != 0 ||
		check_rows(result_member(body, "rows"), &bytes, err) != 0 ||
		check_lines(result_member(body, "lines"), &bytes, err) != 0 ||
		check_confidence(result_member(body, "confidence"), err) != 0 ||
		check_struck(result_member(body, "struck"), err) != 0 ||
		check_warnings(result_member(body, "warnings"), err) != 0 ||
		check_values(body, bytes, err) != 0)
		return -1;
	return 0;
}
