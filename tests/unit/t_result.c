#include "result.h"

#include "json.h"
#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a page read from an answer's body ----------------------------------------------------- */

static const struct engine_prompt table = {.text = "", .table = true};
static const struct engine_prompt plain = {.text = "", .table = false};

static int read_page(
	const struct engine_prompt *prompt, const char *body, cJSON **out, struct err *err)
{
	const struct page page = {.number = 3, .width = 1700, .height = 2200};
	struct engine_answer answer = {
		.model = "model-1", .finish_reason = "STOP", .tokens = {10, 20, 5, 35}, .ms = 4100};
	int rc;

	answer.body = body != NULL ? json_parse(body, strlen(body)) : NULL;
	if (body != NULL)
		assert_non_null(answer.body);
	rc = result_page(&page, prompt, &answer, out, err);
	cJSON_Delete(answer.body);
	return rc;
}

static cJSON *page_of(const struct engine_prompt *prompt, const char *body)
{
	struct err err;
	cJSON *page;

	if (read_page(prompt, body, &page, &err) != 0)
		fail_msg("%s: %s", err.code, err.text);
	return page;
}

static const cJSON *line(const cJSON *page, int number)
{
	const cJSON *found = cJSON_GetArrayItem(json_get(page, "lines"), number - 1);

	assert_non_null(found);
	return found;
}

static void line_has(const cJSON *page, int number, const char *key, const char *value)
{
	assert_string_equal(json_text(line(page, number), key), value);
}

static bool warns(const cJSON *page, const char *code)
{
	const cJSON *warning;

	cJSON_ArrayForEach(warning, json_get(page, "warnings")) if (strcmp(warning->valuestring,
									    code) == 0) return true;
	return false;
}

static void prints_as(const cJSON *tree, const char *expected)
{
	char *text = json_print(tree);

	assert_string_equal(text, expected);
	free(text);
}

/* A body with this one row in it. */
static cJSON *page_of_row(const char *cells)
{
	char body[2000];

	(void)snprintf(body, sizeof body, "{\"rows\":[[%s]]}", cells);
	return page_of(&table, body);
}

/* A body with one row for each text, which stands in the first column. */
static cJSON *page_of_column(const char *const *cells, size_t count)
{
	cJSON *body = cJSON_CreateObject();
	cJSON *rows = cJSON_AddArrayToObject(body, "rows");
	cJSON *page;
	char *text;

	for (size_t i = 0; i < count; i++)
		cJSON_AddItemToArray(rows, cJSON_CreateStringArray(&cells[i], 1));
	text = json_print(body);
	page = page_of(&table, text);
	free(text);
	cJSON_Delete(body);
	return page;
}

static void an_index_page_has_its_header_and_a_line_for_each_inscription(void **state)
{
	cJSON *page = page_of(&table, "{\"header\":{\"circonscription\":\"Laprairie\",\"cadastre\":"
				      "\"Saint-Rémi\",\"lot\":\"12\","
				      "\"feuille\":\"3\"},\"rotation\":0,\"rows\":[[\"Roy, "
				      "Jean\",\"Vente\",\"1901-02-03\","
				      "\"4567\",\"\",\"solde\"]],\"struck\":[1],\"detected\":1}");

	(void)state;
	prints_as(page,
		"{\"page\":3,\"isCompleted\":true,\"totalLinesDetected\":1,\"model\":\"model-1\","
		"\"finishReason\":\"STOP\",\"tokens\":{\"input\":10,\"output\":20,\"thinking\":5,"
		"\"total\":35},\"ms\":4100,\"width\":1700,\"height\":2200,"
		"\"header\":{\"circonscription\":\"Laprairie\",\"cadastre\":\"Saint-Rémi\","
		"\"lot\":\"12\",\"feuille\":\"3\"},"
		"\"lines\":[{\"index\":1,\"rawLine\":\"Roy, Jean|Vente|1901-02-03|4567||solde\","
		"\"party\":\"Roy, Jean\",\"nature\":\"Vente\",\"date\":\"1901-02-03\","
		"\"publicationNo\":\"4567\",\"radiation\":\"\",\"remarks\":\"solde\","
		"\"confidence\":null,\"struck\":true}],"
		"\"text\":\"Laprairie\\tSaint-Rémi\\t12\\t3\\n"
		"Roy, Jean\\tVente\\t1901-02-03\\t4567\\t\\tsolde\",\"warnings\":[]}");
	cJSON_Delete(page);
}

static void a_text_page_has_a_line_for_each_line_with_the_same_keys(void **state)
{
	cJSON *page = page_of(&plain, "{\"header\":null,\"rows\":null,\"lines\":[\"L'an mil neuf "
				      "cent|\"],\"confidence\":[0.91249]}");

	(void)state;
	prints_as(json_get(page, "lines"),
		"[{\"index\":1,\"rawLine\":\"L'an mil neuf cent|\",\"party\":null,\"nature\":null,"
		"\"date\":null,\"publicationNo\":null,\"radiation\":null,\"remarks\":null,"
		"\"confidence\":0.912,\"struck\":false}]");
	assert_true(cJSON_IsNull(json_get(page, "header")));
	assert_false(warns(page, "columns_unavailable"));
	cJSON_Delete(page);
}

static void an_index_page_without_columns_says_so(void **state)
{
	cJSON *page = page_of(
		&table, "{\"rows\":null,\"lines\":[\"a\"],\"warnings\":[\"columns_unavailable\"]}");

	(void)state;
	line_has(page, 1, "rawLine", "a");
	assert_true(cJSON_IsNull(json_get(line(page, 1), "party")));
	prints_as(json_get(page, "warnings"), "[\"columns_unavailable\"]");
	cJSON_Delete(page);
}

static void blank_lines_part_paragraphs_and_are_no_entries(void **state)
{
	cJSON *page = page_of(&plain,
		"{\"lines\":[\"un\",\"\",\"  \",\"deux\"],\"confidence\":[0.1,null,null,0.4]}");

	(void)state;
	assert_int_equal(cJSON_GetArraySize(json_get(page, "lines")), 2);
	assert_int_equal(json_int(line(page, 2), "index", 0), 2);
	assert_true(json_double(line(page, 2), "confidence", 0) > 0.39);
	assert_string_equal(json_text(page, "text"), "un\n\n\ndeux");
	cJSON_Delete(page);
}

static void the_engines_own_text_is_kept_where_it_gives_one(void **state)
{
	cJSON *page = page_of(&plain, "{\"lines\":[\"a\"],\"text\":\"  a\\r\\n\\r\\nb\\n\\n\"}");

	(void)state;
	assert_string_equal(json_text(page, "text"), "  a\n\nb");
	cJSON_Delete(page);
}

static void a_page_on_which_nothing_stands_is_a_page_without_lines(void **state)
{
	cJSON *page = page_of(&plain, "{\"lines\":[]}");

	(void)state;
	prints_as(json_get(page, "lines"), "[]");
	assert_string_equal(json_text(page, "text"), "");
	assert_int_equal(json_int(page, "totalLinesDetected", -1), 0);
	cJSON_Delete(page);
}

/* ---- cells --------------------------------------------------------------------------------- */

static void bars_and_backslashes_in_a_cell_are_escaped_in_the_raw_line_only(void **state)
{
	cJSON *page = page_of_row("\"a|b\",\"c\\\\d\",\"\",\"|\",\"\\\\|\",\"\"");

	(void)state;
	line_has(page, 1, "rawLine", "a\\|b|c\\\\d||\\||\\\\\\||");
	line_has(page, 1, "party", "a|b");
	line_has(page, 1, "nature", "c\\d");
	cJSON_Delete(page);
}

static void missing_cells_are_empty(void **state)
{
	cJSON *page = page_of_row("\"a\",null");

	(void)state;
	line_has(page, 1, "rawLine", "a|||||");
	line_has(page, 1, "remarks", "");
	prints_as(json_get(page, "warnings"), "[]");
	cJSON_Delete(page);
}

static void cells_too_many_go_to_the_remarks_with_a_warning(void **state)
{
	cJSON *page = page_of_row("\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"\",\"8\"");
	cJSON *without = page_of_row("\"1\",\"2\",\"3\",\"4\",\"5\",\"\",\"7\"");

	(void)state;
	line_has(page, 1, "remarks", "6 | 7 | 8");
	line_has(page, 1, "rawLine", "1|2|3|4|5|6 \\| 7 \\| 8");
	assert_true(warns(page, "too_many_cells"));
	line_has(without, 1, "remarks", "7");
	cJSON_Delete(page);
	cJSON_Delete(without);
}

static void a_cell_is_one_line_in_nfc_without_control_characters(void **state)
{
	cJSON *page = page_of_row("\" Re\\u0301mi\\r\\net fils\\t\",\"a\\u0000b\",\"\\ud800\"");

	(void)state;
	line_has(page, 1, "party", "Rémi et fils");
	line_has(page, 1, "nature",
		"a\xEF\xBF\xBD"
		"b");
	line_has(page, 1, "date", "\xEF\xBF\xBD");
	cJSON_Delete(page);
}

static void rows_are_counted_and_numbered(void **state)
{
	const char *const cells[] = {"a", "b", "c"};
	cJSON *page = page_of_column(cells, 3);

	(void)state;
	assert_int_equal(json_int(page, "totalLinesDetected", 0), 3);
	assert_int_equal(json_int(line(page, 3), "index", 0), 3);
	cJSON_Delete(page);
}

/* ---- ditto marks --------------------------------------------------------------------------- */

static void a_ditto_mark_is_kept_in_the_raw_line_and_resolved_in_the_field(void **state)
{
	const char *const marks[] = {"\"", "〃", "«", "»", "« »", "« \"", "\" \"", "id.", "Idem",
		"ID", "do", "do.", "d°"};

	(void)state;
	for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
		const char *const cells[] = {"Roy, Jean", marks[i]};
		cJSON *page = page_of_column(cells, 2);
		char raw[40];

		(void)snprintf(raw, sizeof raw, "%s|||||", marks[i]);
		line_has(page, 2, "rawLine", raw);
		line_has(page, 2, "party", "Roy, Jean");
		prints_as(json_get(page, "warnings"), "[]");
		cJSON_Delete(page);
	}
}

static void a_chain_of_ditto_marks_means_the_entry_at_its_top(void **state)
{
	const char *const cells[] = {"Roy", "\"", "id.", "Tremblay", "〃"};
	cJSON *page = page_of_column(cells, 5);

	(void)state;
	line_has(page, 2, "party", "Roy");
	line_has(page, 3, "party", "Roy");
	line_has(page, 5, "party", "Tremblay");
	cJSON_Delete(page);
}

static void a_cell_with_more_than_a_ditto_mark_is_no_ditto_mark(void **state)
{
	const char *const cells[] = {
		"Roy", "\" et fils", "idem, Jean", "Do", "domaine", "-", "id,"};
	cJSON *page = page_of_column(cells, 7);

	(void)state;
	for (int i = 1; i < 7; i++)
		line_has(page, i + 1, "party", cells[i]);
	cJSON_Delete(page);
}

static void a_ditto_mark_below_an_empty_cell_means_empty(void **state)
{
	const char *const cells[] = {"Roy", "", "\""};
	cJSON *page = page_of_column(cells, 3);

	(void)state;
	line_has(page, 3, "party", "");
	cJSON_Delete(page);
}

static void a_ditto_mark_with_nothing_above_stays_with_a_warning(void **state)
{
	const char *const cells[] = {"\"", "id.", "Roy", "\""};
	cJSON *page = page_of_column(cells, 4);

	(void)state;
	line_has(page, 1, "party", "\"");
	line_has(page, 2, "party", "id.");
	line_has(page, 4, "party", "Roy");
	prints_as(json_get(page, "warnings"), "[\"ditto_without_entry_above\"]");
	cJSON_Delete(page);
}

static void columns_are_resolved_apart(void **state)
{
	cJSON *page = page_of(&table, "{\"rows\":[[\"Roy\",\"Vente\",\"1901\",\"1\"],"
				      "[\"\\\"\",\"Quittance\",\"\\\"\",\"2\"]]}");

	(void)state;
	line_has(page, 2, "party", "Roy");
	line_has(page, 2, "nature", "Quittance");
	line_has(page, 2, "date", "1901");
	line_has(page, 2, "publicationNo", "2");
	cJSON_Delete(page);
}

/* ---- counts, struck rows, rotation ---------------------------------------------------------- */

static const struct {
	int lines;
	int detected;
	bool warns;
} counts[] = {{0, 0, false}, {0, 3, false}, {0, 4, true}, {10, 13, false}, {10, 14, true},
	{40, 48, false}, {40, 51, true}, {100, 80, false}, {100, 83, false}, {100, 79, true},
	{4, 0, true}};

static void a_count_that_differs_much_from_the_independent_one_is_a_warning(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		cJSON *body = cJSON_CreateObject();
		cJSON *lines = cJSON_AddArrayToObject(body, "lines");
		char *text;
		cJSON *page;

		for (int n = 0; n < counts[i].lines; n++)
			cJSON_AddItemToArray(lines, cJSON_CreateString("x"));
		json_add_int(body, "detected", counts[i].detected);
		text = json_print(body);
		page = page_of(&plain, text);
		assert_int_equal(json_int(page, "totalLinesDetected", -1), counts[i].detected);
		if (warns(page, "line_count_differs") != counts[i].warns)
			fail_msg("%d lines, %d detected", counts[i].lines, counts[i].detected);
		cJSON_Delete(page);
		free(text);
		cJSON_Delete(body);
	}
}

static void a_struck_row_that_is_not_there_is_a_warning(void **state)
{
	cJSON *page =
		page_of(&table, "{\"rows\":[[\"a\"],[\"b\"]],\"struck\":[2,3,0,-1,1.5,1e300]}");

	(void)state;
	assert_false(json_bool(line(page, 1), "struck", true));
	assert_true(json_bool(line(page, 2), "struck", false));
	prints_as(json_get(page, "warnings"), "[\"struck_row_unknown\"]");
	cJSON_Delete(page);
}

static void a_turned_page_says_by_how_much(void **state)
{
	cJSON *page = page_of(&table, "{\"rows\":[],\"rotation\":-90}");

	(void)state;
	assert_int_equal(json_int(page, "rotation", 0), 270);
	cJSON_Delete(page);
}

/* ---- bodies of another shape ----------------------------------------------------------------- */

static void refused_as(const char *body, enum err_kind kind)
{
	struct err err;
	cJSON *page;

	if (read_page(&table, body, &page, &err) == 0)
		fail_msg("accepted: %s", body);
	assert_null(page);
	assert_int_equal(err.kind, kind);
	assert_true(strlen(err.text) > 0);
}

static void a_body_without_content_is_empty(void **state)
{
	(void)state;
	refused_as(NULL, ERR_EMPTY);
	refused_as("{}", ERR_EMPTY);
	refused_as("{\"rows\":null,\"lines\":null,\"text\":\"x\"}", ERR_EMPTY);
}

static void a_body_of_another_shape_is_refused(void **state)
{
	const char *const bad[] = {"[]", "\"text\"", "1", "{\"rows\":\"x\"}", "{\"rows\":{}}",
		"{\"rows\":[\"x\"]}", "{\"rows\":[{\"party\":\"x\"}]}", "{\"rows\":[[1]]}",
		"{\"rows\":[[[\"x\"]]]}", "{\"rows\":[null]}", "{\"lines\":[1]}",
		"{\"lines\":[null]}", "{\"lines\":\"x\"}", "{\"rows\":[],\"header\":\"x\"}",
		"{\"rows\":[],\"header\":{\"lot\":12}}", "{\"rows\":[],\"confidence\":0.5}",
		"{\"rows\":[[\"x\"]],\"confidence\":[1.01]}",
		"{\"rows\":[[\"x\"]],\"confidence\":[-1]}",
		"{\"rows\":[[\"x\"]],\"confidence\":[\"1\"]}", "{\"rows\":[],\"struck\":1}",
		"{\"rows\":[],\"struck\":[\"1\"]}", "{\"rows\":[],\"text\":[]}",
		"{\"rows\":[],\"detected\":-1}", "{\"rows\":[],\"detected\":1e9}",
		"{\"rows\":[],\"detected\":2.5}", "{\"rows\":[],\"detected\":\"2\"}",
		"{\"rows\":[],\"warnings\":[1]}", "{\"rows\":[],\"warnings\":\"x\"}",
		"{\"rows\":[],\"rotation\":\"90\"}", "{\"rows\":[],\"rotation\":1e99}"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refused_as(bad[i], ERR_REQUEST);
}

/* "prefix" + count times "item" with commas between + "suffix" */
static char *repeated(const char *prefix, const char *item, int count, const char *suffix)
{
	const size_t size =
		strlen(prefix) + (strlen(item) + 1) * (size_t)count + strlen(suffix) + 1;
	char *text = malloc(size);
	size_t len;

	assert_non_null(text);
	len = (size_t)snprintf(text, size, "%s", prefix);
	for (int i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%s", i > 0 ? "," : "", item);
	(void)snprintf(text + len, size - len, "%s", suffix);
	return text;
}

static void bound_stands_at(const char *prefix, const char *item, int max, const char *suffix)
{
	char *fits = repeated(prefix, item, max, suffix);
	char *over = repeated(prefix, item, max + 1, suffix);

	cJSON_Delete(page_of(&table, fits));
	refused_as(over, ERR_REQUEST);
	free(fits);
	free(over);
}

static void lists_have_bounds(void **state)
{
	(void)state;
	bound_stands_at("{\"rows\":[", "[\"a\"]", 2000, "]}");
	bound_stands_at("{\"lines\":[", "\"a\"", 2000, "]}");
	bound_stands_at("{\"rows\":[[", "\"a\"", 24, "]]}");
	bound_stands_at("{\"rows\":[],\"confidence\":[", "0.5", 2000, "]}");
	bound_stands_at("{\"rows\":[],\"struck\":[", "1", 2000, "]}");
	bound_stands_at("{\"rows\":[],\"warnings\":[", "\"w\"", 32, "]}");
}

static char *body_with_text(const char *prefix, size_t len, const char *suffix)
{
	char *text = malloc(strlen(prefix) + len + strlen(suffix) + 1);

	assert_non_null(text);
	memcpy(text, prefix, strlen(prefix));
	memset(text + strlen(prefix), 'x', len);
	memcpy(text + strlen(prefix) + len, suffix, strlen(suffix) + 1);
	return text;
}

static void length_stands_at(const char *prefix, size_t max, const char *suffix)
{
	char *fits = body_with_text(prefix, max, suffix);
	char *over = body_with_text(prefix, max + 1, suffix);

	cJSON_Delete(page_of(&table, fits));
	refused_as(over, ERR_REQUEST);
	free(fits);
	free(over);
}

static void texts_have_bounds(void **state)
{
	(void)state;
	length_stands_at("{\"rows\":[[\"", 16384, "\"]]}");
	length_stands_at("{\"lines\":[\"", 16384, "\"]}");
	length_stands_at("{\"rows\":[],\"header\":{\"lot\":\"", 16384, "\"}}");
	length_stands_at("{\"rows\":[],\"text\":\"", 1024 * 1024, "\"}");
	length_stands_at("{\"rows\":[],\"warnings\":[\"", 200, "\"]}");
}

static void a_page_holds_no_more_than_a_megabyte(void **state)
{
	char *line = body_with_text("\"", 16384, "\"");

	(void)state;
	bound_stands_at("{\"lines\":[", line, 64, "]}");
	free(line);
}

static void the_worst_text_that_is_let_in_comes_out_whole(void **state)
{
	/* Each bar is escaped, so that the line is twice as long. */
	char *bars = body_with_text("\"", 16384, "\"");
	char *row;
	char *body;
	cJSON *page;

	(void)state;
	memset(bars + 1, '|', 16384);
	row = repeated("[", bars, 4, "]");
	body = repeated("{\"rows\":[", row, 16, "]}");
	page = page_of(&table, body);
	assert_int_equal(strlen(json_text(line(page, 16), "rawLine")), 4 * 2 * 16384 + 5);
	cJSON_Delete(page);
	free(body);
	free(row);
	free(bars);
}

static void an_error_says_where_but_not_what_stands_there(void **state)
{
	struct err err;
	cJSON *page;

	(void)state;
	assert_int_equal(read_page(&table, "{\"rows\":[[\"a\"],[\"SECRET\",7]]}", &page, &err), -1);
	assert_string_equal(err.code, "bad-answer");
	assert_non_null(strstr(err.text, "rows, entry 2"));
	assert_null(strstr(err.text, "SECRET"));
}

static void mutate(char *text, size_t len, unsigned *seed)
{
	static const char alphabet[] = "{}[]\",:0123456789.-eEnulltrfas\\ |\x01\x7F";

	for (int hits = rand_r(seed) % 6; hits >= 0; hits--)
		text[(size_t)rand_r(seed) % len] =
			alphabet[(size_t)rand_r(seed) % (sizeof alphabet - 1)];
}

static void check_page(const cJSON *page)
{
	const cJSON *item;
	char *printed = json_print(page);
	cJSON *again = json_parse(printed, strlen(printed));

	assert_non_null(again);
	assert_true(cJSON_IsArray(json_get(page, "lines")));
	assert_true(cJSON_IsArray(json_get(page, "warnings")));
	assert_non_null(json_text(page, "text"));
	cJSON_ArrayForEach(item, json_get(page, "lines"))
	{
		assert_int_equal(cJSON_GetArraySize(item), 10);
		assert_non_null(json_text(item, "rawLine"));
		assert_null(strchr(json_text(item, "rawLine"), '\n'));
	}
	cJSON_Delete(again);
	free(printed);
}

static void mutated_answers_are_refused_or_make_a_page_of_the_right_shape(void **state)
{
	static const char sound[] =
		"{\"header\":{\"lot\":\"12\",\"cadastre\":\"x\"},\"rotation\":90,\"rows\":[[\"a\","
		"\"b\","
		"\"\\\"\",\"4\",\"5\",\"6\"],[\"\\\"\",\"id.\",\"\",\"\",\"\",\"|\",\"7\"]],"
		"\"lines\":[\"u\",\"v\"],\"confidence\":[0.5,null],\"struck\":[1],\"text\":\"t\","
		"\"detected\":2,\"warnings\":[\"w\"]}";
	unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();
	int made = 0;

	(void)state;
	print_message("seed %u\n", seed);
	for (int round = 0; round < 20000; round++) {
		const struct page image = {.number = 1};
		struct engine_answer answer = {.ms = 1};
		char text[sizeof sound];
		struct err err;
		cJSON *page = NULL;

		memcpy(text, sound, sizeof sound);
		mutate(text, sizeof sound - 1, &seed);
		answer.body = json_parse(text, sizeof sound - 1);
		if (answer.body != NULL && result_page(&image, round % 2 == 0 ? &table : &plain,
						   &answer, &page, &err) == 0) {
			check_page(page);
			made++;
		}
		cJSON_Delete(page);
		cJSON_Delete(answer.body);
	}
	assert_true(made > 0);
}

/* ---- pages without a reading ----------------------------------------------------------------- */

static void a_blank_page_is_complete_and_says_so_with_its_ink(void **state)
{
	const struct page image = {
		.number = 2, .width = 10, .height = 20, .ink = 0.00012345678, .blank = true};
	cJSON *page = result_blank_page(&image);

	(void)state;
	prints_as(page, "{\"page\":2,\"isCompleted\":true,\"totalLinesDetected\":0,\"model\":null,"
			"\"finishReason\":null,\"tokens\":{\"input\":0,\"output\":0,\"thinking\":0,"
			"\"total\":0},"
			"\"ms\":0,\"width\":10,\"height\":20,\"blank\":true,\"ink\":0.000123,"
			"\"header\":null,"
			"\"lines\":[],\"text\":\"\",\"warnings\":[]}");
	cJSON_Delete(page);
}

static void a_failed_page_says_why_and_what_it_cost(void **state)
{
	struct err why;
	const struct engine_answer answer = {.model = "m",
		.finish_reason = "RECITATION",
		.tokens = {.input = 7, .total = 7},
		.ms = 12};
	cJSON *page;

	(void)state;
	err_set(&why, ERR_REFUSED, "recitation", "page 4: the model will not read it");
	page = result_failed_page(4, &why, &answer);
	prints_as(page,
		"{\"page\":4,\"isCompleted\":false,\"totalLinesDetected\":0,\"model\":\"m\","
		"\"finishReason\":\"RECITATION\",\"tokens\":{\"input\":7,\"output\":0,\"thinking\":"
		"0,"
		"\"total\":7},\"ms\":12,\"error\":{\"kind\":\"refused\",\"code\":\"recitation\","
		"\"message\":\"page 4: the model will not read it\"},\"header\":null,\"lines\":[],"
		"\"text\":\"\",\"warnings\":[]}");
	cJSON_Delete(page);
}

static void a_page_can_fail_before_any_engine_was_asked(void **state)
{
	struct err why;
	cJSON *page;

	(void)state;
	err_set(&why, ERR_DOCUMENT, "damaged", "the page is damaged: \xFF");
	page = result_failed_page(1, &why, NULL);
	assert_true(cJSON_IsNull(json_get(page, "model")));
	assert_string_equal(json_text(page, "error.message"), "the page is damaged: \xEF\xBF\xBD");
	cJSON_Delete(page);
}

/* ---- documents ------------------------------------------------------------------------------- */

static char *envelope_with(int64_t processing_ms, const struct set_list *warnings)
{
	const struct job job = {.id = "456", .attempt = 2};
	const struct result_facts facts = {.job = &job,
		.engine = "gemini",
		.model = "model-1",
		.prompt_sha256 = "aa",
		.document_sha256 = "bb",
		.source_url = "https://x/y.pdf",
		.run_id = "job-456-7",
		.total_pages = 2,
		.processing_ms = processing_ms,
		.warnings = warnings};

	return result_envelope(&facts);
}

static void hide_time(char *json)
{
	char *time = strstr(json, "\"createdAt\":\"");

	assert_non_null(time);
	time += strlen("\"createdAt\":\"");
	assert_int_equal(strcspn(time, "\""), strlen("2026-11-23T22:25:37.123Z"));
	memset(time, '0', strcspn(time, "\""));
}

static void the_envelope_has_everything_but_pages_and_sums(void **state)
{
	char warning[] = "p2: columns_unavailable";
	char *items[] = {warning, NULL};
	const struct set_list warnings = {items, 1};
	char *text = envelope_with(9007199254740993, &warnings);

	(void)state;
	hide_time(text);
	assert_string_equal(text,
		"{\"sourceUrl\":\"https://x/y.pdf\",\"createdAt\":\"000000000000000000000000\","
		"\"runId\":\"job-456-7\",\"totalPages\":2,\"processingTimeMs\":9007199254740993,"
		"\"models\":{\"extraction\":\"gemini\"},\"indexocr\":{\"version\":"
		"\"" PACKAGE_VERSION
		"\",\"engine\":\"gemini\",\"model\":\"model-1\",\"promptSha256\":\"aa\","
		"\"documentSha256\":\"bb\",\"attempt\":2,"
		"\"warnings\":[\"p2: columns_unavailable\"]}}");
	free(text);
}

#define PAGE(n, lines, text)                                                                       \
	"{\"page\":" n ",\"tokens\":1,\"result\":{\"page\":" n ",\"tokens\":{\"input\":" n         \
	"0,\"output\":3,\"thinking\":1,\"total\":9},\"lines\":" lines ",\"text\":\"" text "\"}}"

static void a_local_document_is_envelope_pages_in_order_and_sums(void **state)
{
	char *envelope = envelope_with(41200, NULL);
	char *text = result_join(envelope, "[" PAGE("2", "[{},{}]", "deux") "," PAGE("1", "[{}]",
						   "un") "," PAGE("3", "[]", "trois") "]");

	(void)state;
	assert_non_null(text);
	hide_time(text);
	assert_string_equal(text,
		"{\"pages\":["
		"{\"page\":1,\"tokens\":{\"input\":10,\"output\":3,\"thinking\":1,\"total\":9},"
		"\"lines\":[{}],\"text\":\"un\"},"
		"{\"page\":2,\"tokens\":{\"input\":20,\"output\":3,\"thinking\":1,\"total\":9},"
		"\"lines\":[{},{}],\"text\":\"deux\"},"
		"{\"page\":3,\"tokens\":{\"input\":30,\"output\":3,\"thinking\":1,\"total\":9},"
		"\"lines\":[],\"text\":\"trois\"}],"
		"\"sourceUrl\":\"https://x/y.pdf\",\"createdAt\":\"000000000000000000000000\","
		"\"runId\":\"job-456-7\",\"totalPages\":3,\"totalLines\":3,\"processingTimeMs\":"
		"41200,"
		"\"models\":{\"extraction\":\"gemini\"},\"indexocr\":{\"version\":"
		"\"" PACKAGE_VERSION
		"\",\"engine\":\"gemini\",\"model\":\"model-1\",\"promptSha256\":\"aa\","
		"\"documentSha256\":\"bb\","
		"\"tokens\":{\"input\":60,\"output\":9,\"thinking\":3,\"total\":27},\"attempt\":2,"
		"\"warnings\":[]}}");
	free(text);
	free(envelope);
}

static void what_is_no_document_is_not_joined(void **state)
{
	char *envelope = envelope_with(1, NULL);

	(void)state;
	assert_null(result_join("{", "[]"));
	assert_null(result_join("{}", "[]"));
	assert_null(result_join("[]", "[]"));
	assert_null(result_join(envelope, "{}"));
	assert_null(result_join(envelope, "["));
	assert_null(result_join(envelope, "[{\"page\":1}]"));
	assert_null(result_join(envelope, "[" PAGE("1", "[]", "a") ",{\"page\":2,\"result\":7}]"));
	free(envelope);
}

static void text_of(const char *document, const char *expected)
{
	char *text = result_text(document);

	assert_string_equal(text, expected);
	free(text);
}

static void the_plain_text_has_a_form_feed_between_pages(void **state)
{
	(void)state;
	text_of("{\"pages\":[{\"text\":\"un\"},{},{\"text\":\"trois\\n\"}]}", "un\f\ftrois\n");
	text_of("{\"pages\":[{\"text\":\"\"}]}", "");
	text_of("{\"pages\":[]}", "");
	text_of("{}", "");
	text_of("no JSON", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_index_page_has_its_header_and_a_line_for_each_inscription),
		cmocka_unit_test(a_text_page_has_a_line_for_each_line_with_the_same_keys),
		cmocka_unit_test(an_index_page_without_columns_says_so),
		cmocka_unit_test(blank_lines_part_paragraphs_and_are_no_entries),
		cmocka_unit_test(the_engines_own_text_is_kept_where_it_gives_one),
		cmocka_unit_test(a_page_on_which_nothing_stands_is_a_page_without_lines),
		cmocka_unit_test(bars_and_backslashes_in_a_cell_are_escaped_in_the_raw_line_only),
		cmocka_unit_test(missing_cells_are_empty),
		cmocka_unit_test(cells_too_many_go_to_the_remarks_with_a_warning),
		cmocka_unit_test(a_cell_is_one_line_in_nfc_without_control_characters),
		cmocka_unit_test(rows_are_counted_and_numbered),
		cmocka_unit_test(a_ditto_mark_is_kept_in_the_raw_line_and_resolved_in_the_field),
		cmocka_unit_test(a_chain_of_ditto_marks_means_the_entry_at_its_top),
		cmocka_unit_test(a_cell_with_more_than_a_ditto_mark_is_no_ditto_mark),
		cmocka_unit_test(a_ditto_mark_below_an_empty_cell_means_empty),
		cmocka_unit_test(a_ditto_mark_with_nothing_above_stays_with_a_warning),
		cmocka_unit_test(columns_are_resolved_apart),
		cmocka_unit_test(a_count_that_differs_much_from_the_independent_one_is_a_warning),
		cmocka_unit_test(a_struck_row_that_is_not_there_is_a_warning),
		cmocka_unit_test(a_turned_page_says_by_how_much),
		cmocka_unit_test(a_body_without_content_is_empty),
		cmocka_unit_test(a_body_of_another_shape_is_refused),
		cmocka_unit_test(lists_have_bounds),
		cmocka_unit_test(texts_have_bounds),
		cmocka_unit_test(a_page_holds_no_more_than_a_megabyte),
		cmocka_unit_test(the_worst_text_that_is_let_in_comes_out_whole),
		cmocka_unit_test(an_error_says_where_but_not_what_stands_there),
		cmocka_unit_test(mutated_answers_are_refused_or_make_a_page_of_the_right_shape),
		cmocka_unit_test(a_blank_page_is_complete_and_says_so_with_its_ink),
		cmocka_unit_test(a_failed_page_says_why_and_what_it_cost),
		cmocka_unit_test(a_page_can_fail_before_any_engine_was_asked),
		cmocka_unit_test(the_envelope_has_everything_but_pages_and_sums),
		cmocka_unit_test(a_local_document_is_envelope_pages_in_order_and_sums),
		cmocka_unit_test(what_is_no_document_is_not_joined),
		cmocka_unit_test(the_plain_text_has_a_form_feed_between_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
