#include "buf.h"
#include "read_page.h"

#include <stdio.h>
#include <stdlib.h>

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

/* What marks stand for may fill one page's bytes; behind that short ones still find room. */
static void ditto_marks_that_make_too_much_stay_as_they_are(void **state)
{
	enum { CELL = 16000, ROWS = 2000, RESOLVED = 1024 * 1024 / CELL };
	struct buf body;
	char cell[CELL + 1];
	cJSON *page;
	char *text;

	(void)state;
	memset(cell, 'x', CELL);
	cell[CELL] = '\0';
	buf_init(&body, 1 << 20);
	assert_int_equal(buf_addf(&body, "{\"rows\":[[\"%s\",\"Vente\"]", cell), 0);
	for (int i = 1; i < ROWS; i++)
		assert_int_equal(buf_addf(&body, ",[\"id.\",\"\\\"\"]"), 0);
	assert_int_equal(buf_addf(&body, "]}"), 0);
	page = page_of(&table, buf_text(&body));
	line_has(page, 2, "party", cell);
	line_has(page, RESOLVED, "party", cell);
	line_has(page, RESOLVED + 2, "party", "id.");
	line_has(page, RESOLVED + 2, "nature", "Vente");
	line_has(page, ROWS, "party", "id.");
	prints_as(json_get(page, "warnings"), "[\"ditto_too_long\"]");
	text = json_print(page);
	assert_true(strlen(text) < 2 * 1024 * 1024);
	free(text);
	cJSON_Delete(page);
	buf_fini(&body);
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
		cmocka_unit_test(ditto_marks_that_make_too_much_stay_as_they_are),
		cmocka_unit_test(columns_are_resolved_apart),
		cmocka_unit_test(a_count_that_differs_much_from_the_independent_one_is_a_warning),
		cmocka_unit_test(a_struck_row_that_is_not_there_is_a_warning),
		cmocka_unit_test(a_turned_page_says_by_how_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
