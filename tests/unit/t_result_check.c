#include "read_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_without_content_is_empty),
		cmocka_unit_test(a_body_of_another_shape_is_refused),
		cmocka_unit_test(lists_have_bounds),
		cmocka_unit_test(texts_have_bounds),
		cmocka_unit_test(a_page_holds_no_more_than_a_megabyte),
		cmocka_unit_test(the_worst_text_that_is_let_in_comes_out_whole),
		cmocka_unit_test(an_error_says_where_but_not_what_stands_there),
		cmocka_unit_test(mutated_answers_are_refused_or_make_a_page_of_the_right_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
