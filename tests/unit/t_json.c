#include "json.h"

#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define FFFD "\xEF\xBF\xBD"

static cJSON *parse(const char *text)
{
	return json_parse(text, strlen(text));
}

static void reads_as(const char *json, const char *expected)
{
	cJSON *tree = parse(json);

	assert_non_null(tree);
	assert_string_equal(json_text(tree, "t"), expected);
	cJSON_Delete(tree);
}

static void an_escaped_nul_does_not_cut_the_string(void **state)
{
	(void)state;
	reads_as("{\"t\":\"a\\u0000b\"}", "a" FFFD "b");
	reads_as("{\"t\":\"\\u0000\\u0000\"}", FFFD FFFD);
}

static void a_lone_surrogate_does_not_refuse_the_document(void **state)
{
	(void)state;
	reads_as("{\"t\":\"a\\ud83db\"}", "a" FFFD "b");
	reads_as("{\"t\":\"\\uDE00\"}", FFFD);
	reads_as("{\"t\":\"\\ud83d\\ud83d\\ude00\"}", FFFD "\xF0\x9F\x98\x80");
	reads_as("{\"t\":\"\\ud83d\\u00e9\"}", FFFD "é");
	reads_as("{\"t\":\"\\ude00\\ud83d\"}", FFFD FFFD);
	reads_as("{\"t\":\"\\ud83d\\n\"}", FFFD "\n");
}

static void a_pair_of_surrogates_stays_one_character(void **state)
{
	(void)state;
	reads_as("{\"t\":\"\\ud83d\\ude00\"}", "\xF0\x9F\x98\x80");
	reads_as("{\"t\":\"\\uD83D\\uDE00\\u0000\"}", "\xF0\x9F\x98\x80" FFFD);
}

static void an_escaped_backslash_before_a_u_is_no_escape(void **state)
{
	(void)state;
	reads_as("{\"t\":\"\\\\u0000\"}", "\\u0000");
	reads_as("{\"t\":\"\\\\\\u0000\"}", "\\" FFFD);
	reads_as("{\"t\":\"\\\\\\\\ud83d\"}", "\\\\ud83d");
	reads_as("{\"t\":\"C:\\\\ud83d\\\\\"}", "C:\\ud83d\\");
}

static void keys_are_mended_like_values(void **state)
{
	cJSON *tree = parse("{\"a\\u0000b\":1,\"a\":2}");

	(void)state;
	assert_non_null(tree);
	assert_int_equal(json_int(tree, "a", 0), 2);
	assert_int_equal(json_int(tree, "a" FFFD "b", 0), 1);
	cJSON_Delete(tree);
}

static void text_that_is_not_one_whole_value_is_refused(void **state)
{
	const char *const bad[] = {"", " ", "{", "}", "{\"a\":1} junk", "{}{}", "1 2", "1.5.5",
		"nul", "NaN", "{\"a\":}", "[1,]", "{\"a\" 1}", "\"open", "\"\\u12\"", "\"\\u00zz\"",
		"\"\\", "\"\\u", "\"\\ud83d\\u", "'a'", "\xEF\xBB\xBF"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		cJSON *tree = parse(bad[i]);

		if (tree != NULL)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void white_space_around_a_value_and_a_byte_order_mark_are_fine(void **state)
{
	const char *const good[] = {" {} \r\n\t", "null", "1", "\"\"", "[]", "\xEF\xBB\xBF{}"};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		cJSON *tree = parse(good[i]);

		if (tree == NULL)
			fail_msg("refused: %s", good[i]);
		cJSON_Delete(tree);
	}
}

static void raw_nul_bytes_and_invalid_utf8_are_refused(void **state)
{
	(void)state;
	assert_null(json_parse("{\"a\":\"x\0y\"}", 11));
	assert_null(json_parse("{}\0", 3));
	assert_null(parse("{\"a\":\"\xE9\"}"));
	assert_null(parse("{\"a\":\"\xED\xA0\x80\"}"));
}

static void only_len_bytes_are_read(void **state)
{
	const char text[] = {'{', '}', 'x'};
	cJSON *tree = json_parse(text, 2);

	(void)state;
	assert_non_null(tree);
	cJSON_Delete(tree);
	assert_null(json_parse(text, 3));
}

static void nesting_without_end_is_refused_and_does_no_harm(void **state)
{
	char deep[100001];

	(void)state;
	memset(deep, '[', sizeof deep - 1);
	deep[sizeof deep - 1] = '\0';
	assert_null(parse(deep));
}

static void keys_are_found_exactly_and_along_a_path(void **state)
{
	cJSON *tree = parse("{\"Error\":{\"code\":1},\"error\":{\"code\":2,\"co\":3,\"codes\":4},"
			    "\"list\":[{\"a\":1}],"
			    "\"t\":\"x\",\"b\":true,\"n\":null}");

	(void)state;
	assert_int_equal(json_int(tree, "error.code", 0), 2);
	assert_int_equal(json_int(tree, "error.co", 0), 3);
	assert_int_equal(json_int(tree, "ERROR.code", 7), 7);
	assert_null(json_get(tree, "error.code.deeper"));
	assert_null(json_get(tree, "list.a"));
	assert_null(json_get(tree, "t.x"));
	assert_null(json_get(tree, ""));
	assert_null(json_get(tree, "."));
	assert_null(json_get(NULL, "error"));
	assert_non_null(json_get(tree, "n"));
	cJSON_Delete(tree);
}

static void a_value_of_another_type_counts_as_absent(void **state)
{
	cJSON *tree = parse("{\"text\":\"12\",\"number\":12.9,\"yes\":true,\"huge\":1e400}");

	(void)state;
	assert_null(json_text(tree, "number"));
	assert_int_equal(json_int(tree, "text", -5), -5);
	assert_int_equal(json_int(tree, "number", 0), 12);
	assert_true(json_double(tree, "number", 0) > 12.89);
	assert_true(json_double(tree, "huge", -1) < 0);
	assert_true(json_double(tree, "yes", -1) < 0);
	assert_true(json_bool(tree, "yes", false));
	assert_true(json_bool(tree, "number", true));
	assert_false(json_bool(tree, "absent", false));
	cJSON_Delete(tree);
}

static void integers_saturate_at_64_bits_not_at_32(void **state)
{
	cJSON *tree = parse("{\"a\":3000000000,\"b\":1e300,\"c\":-1e300,\"d\":9223372036854775808,"
			    "\"e\":-9223372036854775808,\"f\":1e400}");

	(void)state;
	assert_true(json_int(tree, "a", 0) == 3000000000);
	assert_true(json_int(tree, "b", 0) == INT64_MAX);
	assert_true(json_int(tree, "c", 0) == INT64_MIN);
	assert_true(json_int(tree, "d", 0) == INT64_MAX);
	assert_true(json_int(tree, "e", 0) == INT64_MIN);
	assert_true(json_int(tree, "f", 0) == INT64_MAX);
	cJSON_Delete(tree);
}

static void integers_of_any_size_are_printed_exactly(void **state)
{
	cJSON *tree = cJSON_CreateObject();
	char *text;

	(void)state;
	json_add_int(tree, "a", 0);
	json_add_int(tree, "b", -12);
	json_add_int(tree, "c", 999999999999999);
	json_add_int(tree, "d", 9007199254740993);
	json_add_int(tree, "e", INT64_MAX);
	json_add_int(tree, "f", INT64_MIN);
	text = json_print(tree);
	assert_string_equal(text, "{\"a\":0,\"b\":-12,\"c\":999999999999999,\"d\":9007199254740993,"
				  "\"e\":9223372036854775807,\"f\":-9223372036854775808}");
	free(text);
	cJSON_Delete(tree);
}

static void texts_are_copied_and_no_text_is_null(void **state)
{
	cJSON *tree = cJSON_CreateObject();
	char key[] = "key";
	char value[] = "\"é\"\n";
	char *text;

	(void)state;
	json_add_text(tree, key, value);
	json_add_text(tree, "none", NULL);
	key[0] = value[0] = 'x';
	text = json_print(tree);
	assert_string_equal(text, "{\"key\":\"\\\"é\\\"\\n\",\"none\":null}");
	free(text);
	cJSON_Delete(tree);
}

static void damage(char *text, size_t *len, unsigned *seed)
{
	static const char *const pieces[] = {"\\u0000", "\\ud800", "\\udc00", "\\", "\"", "{", "}",
		"[", "]", ",", "\\\\", "\xC3", "1e999", "-", "\\u12"};
	const char *piece = pieces[(size_t)rand_r(seed) % (sizeof pieces / sizeof pieces[0])];
	const size_t at = (size_t)rand_r(seed) % (*len + 1);
	const size_t piece_len = strlen(piece);

	switch (rand_r(seed) % 3) {
	case 0:
		if (at < *len)
			text[at] = (char)(rand_r(seed) % 256);
		break;
	case 1:
		memmove(text + at, text + at + (at < *len), *len - at - (at < *len));
		*len -= at < *len;
		break;
	default:
		memmove(text + at + piece_len, text + at, *len - at);
		memcpy(text + at, piece, piece_len);
		*len += piece_len;
	}
}

static void damaged_json_is_refused_or_read_as_clean_text(void **state)
{
	static const char sound[] = "{\"a\":\"x\\u00e9\\ud83d\\ude00\\\\u0000\",\"b\":[1,2.5e3,"
				    "{\"c\":null}],\"d\":{\"e\":true,\"f\":\"\\\"q\\\"\"}}";
	unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();

	(void)state;
	print_message("seed %u\n", seed);
	for (int round = 0; round < 20000; round++) {
		char text[sizeof sound + 100];
		size_t len = sizeof sound - 1;
		cJSON *tree;

		memcpy(text, sound, len);
		for (int hits = rand_r(&seed) % 8; hits >= 0; hits--)
			damage(text, &len, &seed);
		tree = json_parse(text, len);
		if (tree != NULL) {
			char *printed = json_print(tree);

			assert_true(utf8_valid(printed, strlen(printed)));
			(void)json_get(tree, "d.e.f");
			free(printed);
		}
		cJSON_Delete(tree);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_escaped_nul_does_not_cut_the_string),
		cmocka_unit_test(a_lone_surrogate_does_not_refuse_the_document),
		cmocka_unit_test(a_pair_of_surrogates_stays_one_character),
		cmocka_unit_test(an_escaped_backslash_before_a_u_is_no_escape),
		cmocka_unit_test(keys_are_mended_like_values),
		cmocka_unit_test(text_that_is_not_one_whole_value_is_refused),
		cmocka_unit_test(white_space_around_a_value_and_a_byte_order_mark_are_fine),
		cmocka_unit_test(raw_nul_bytes_and_invalid_utf8_are_refused),
		cmocka_unit_test(only_len_bytes_are_read),
		cmocka_unit_test(nesting_without_end_is_refused_and_does_no_harm),
		cmocka_unit_test(keys_are_found_exactly_and_along_a_path),
		cmocka_unit_test(a_value_of_another_type_counts_as_absent),
		cmocka_unit_test(integers_saturate_at_64_bits_not_at_32),
		cmocka_unit_test(integers_of_any_size_are_printed_exactly),
		cmocka_unit_test(texts_are_copied_and_no_text_is_null),
		cmocka_unit_test(damaged_json_is_refused_or_read_as_clean_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
