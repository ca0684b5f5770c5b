#include "err.h"

#include "utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void setting_fills_everything_and_returns_a_failure(void **state)
{
	struct err err = {.retry_after_ms = 99};

	(void)state;
	assert_int_equal(err_set(&err, ERR_QUOTA, "http-429", "slow down, %d", 7), -1);
	assert_int_equal(err.kind, ERR_QUOTA);
	assert_int_equal(err.retry_after_ms, 0);
	assert_string_equal(err.code, "http-429");
	assert_string_equal(err.text, "slow down, 7");
}

static void a_text_has_one_line(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, ERR_BUG, "x",
		"a\nb\tc\r\x7F"
		"d");
	assert_string_equal(err.text, "a b c  d");
}

static void what_errno_means_stands_behind_the_text(void **state)
{
	struct err err;

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_errno(&err, ERR_SYSTEM, "cannot open %s", "f"), -1);
	assert_int_equal(errno, ENOENT);
	assert_string_equal(err.code, "system");
	assert_string_equal(err.text, "cannot open f: No such file or directory");
}

static void context_comes_in_front(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, ERR_DOCUMENT, "damaged", "the page is damaged");
	assert_int_equal(err_prefix(&err, "page %d: ", 3), -1);
	assert_int_equal(err_prefix(&err, "document %s: ", "7"), -1);
	assert_string_equal(err.text, "document 7: page 3: the page is damaged");
	assert_string_equal(err.code, "damaged");
	assert_int_equal(err.kind, ERR_DOCUMENT);
}

/* How many bytes of the text are whole UTF-8 sequences; its length if all are. */
static size_t whole_bytes(const char *text)
{
	size_t i = 0;

	while (text[i] != '\0') {
		const unsigned char lead = (unsigned char)text[i];
		const size_t len = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

		for (size_t k = 1; k < len; k++)
			if (((unsigned char)text[i + k] & 0xC0) != 0x80)
				return i;
		i += len;
	}
	return i;
}

/* With each padding the cut falls on another byte of a character. */
static void a_long_text_is_cut_between_characters(void **state)
{
	static const char *const characters[] = {"é", "€", "𝄞"};

	(void)state;
	for (size_t c = 0; c < 3; c++)
		for (int padding = 0; padding < 5; padding++) {
			char text[1200] = "xxxx";
			struct err err;

			text[padding < 4 ? padding : 4] = '\0';
			while (strlen(text) + 5 < sizeof text)
				memcpy(text + strlen(text), characters[c],
					strlen(characters[c]) + 1);
			err_set(&err, ERR_BUG, "x", "%s", text);
			assert_true(strlen(err.text) >= sizeof err.text - 6);
			assert_int_equal(whole_bytes(err.text), strlen(err.text));
			err_prefix(&err, "p%.*s: ", padding, "abcdefg");
			assert_true(strlen(err.text) >= sizeof err.text - 8);
			assert_int_equal(whole_bytes(err.text), strlen(err.text));
		}
}

/* Each byte that belongs to no character becomes one '?', wherever it stands. */
static void what_is_not_utf8_is_replaced(void **state)
{
	static const struct {
		const char *given;
		const char *text;
	} cases[] = {
		{"a\x80z", "a?z"},
		{"\xC3", "?"},
		{"\xE2\x82; check", "??; check"},
		{"\xC0\xAF", "??"},
		{"\xE0\x9F\xBF", "???"},
		{"\xED\xA0\x80", "???"},
		{"\xF0\x8F\xBF\xBF", "????"},
		{"\xF4\x90\x80\x80", "????"},
		{"\xF5\xFF\xFE", "???"},
		{"\xC3(\xC3\xA9", "?(é"},
		{"\xF0\x9D\x84\x9E\xED\x9F\xBF\xF4\x8F\xBF\xBF", "𝄞\xED\x9F\xBF\xF4\x8F\xBF\xBF"},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		err_set(&err, ERR_BUG, "x", "%s", cases[i].given);
		assert_string_equal(err.text, cases[i].text);
		err_set(&err, ERR_BUG, "x", "end");
		err_prefix(&err, "%s", cases[i].given);
		assert_memory_equal(err.text, cases[i].text, strlen(cases[i].text));
		assert_string_equal(err.text + strlen(cases[i].text), "end");
	}
	err_set(&err, ERR_BUG, "x", "%.*s", 2, "né");
	assert_string_equal(err.text, "n?");
}

static void random_bytes_make_a_valid_text(void **state)
{
	(void)state;
	srand(20261107); /* the seed */
	for (int round = 0; round < 2000; round++) {
		char bytes[700];
		struct err err;

		for (size_t i = 0; i < sizeof bytes - 1; i++)
			bytes[i] = (char)(rand() % 3 != 0 ? 0x80 + rand() % 128 : 1 + rand() % 255);
		bytes[sizeof bytes - 1] = '\0';
		err_set(&err, ERR_BUG, "x", "%s", bytes);
		assert_true(utf8_valid(err.text, strlen(err.text)));
		err_prefix(&err, "%.*s", 100, bytes);
		assert_true(utf8_valid(err.text, strlen(err.text)));
	}
}

static void a_secret_is_overwritten_wherever_it_stands(void **state)
{
	char text[] = "key k3y! refused: k3y!k3y! is not k3y";

	(void)state;
	err_scrub(text, NULL);
	err_scrub(text, "");
	assert_string_equal(text, "key k3y! refused: k3y!k3y! is not k3y");
	err_scrub(text, "k3y!");
	assert_string_equal(text, "key **** refused: ******** is not k3y");
}

static void a_prefix_longer_than_its_room_is_cut(void **state)
{
	char prefix[2000];
	struct err err;

	(void)state;
	memset(prefix, 'p', sizeof prefix - 1);
	prefix[sizeof prefix - 1] = '\0';
	err_set(&err, ERR_BUG, "x", "the end");
	err_prefix(&err, "%s", prefix);
	assert_true(strlen(err.text) < sizeof err.text);
	assert_string_equal(err.text + strlen(err.text) - 7, "the end");
}

static void a_code_that_is_too_long_is_cut(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, ERR_BUG, "a-code-of-more-than-thirty-one-letters", "x");
	assert_int_equal(strlen(err.code), sizeof err.code - 1);
}

static void every_kind_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < ERR_KINDS; i++) {
		assert_non_null(err_kind_name((enum err_kind)i));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(
				err_kind_name((enum err_kind)i), err_kind_name((enum err_kind)k));
	}
	assert_string_equal(err_kind_name(ERR_KINDS), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setting_fills_everything_and_returns_a_failure),
		cmocka_unit_test(a_text_has_one_line),
		cmocka_unit_test(what_errno_means_stands_behind_the_text),
		cmocka_unit_test(context_comes_in_front),
		cmocka_unit_test(a_long_text_is_cut_between_characters),
		cmocka_unit_test(what_is_not_utf8_is_replaced),
		cmocka_unit_test(random_bytes_make_a_valid_text),
		cmocka_unit_test(a_secret_is_overwritten_wherever_it_stands),
		cmocka_unit_test(a_prefix_longer_than_its_room_is_cut),
		cmocka_unit_test(a_code_that_is_too_long_is_cut),
		cmocka_unit_test(every_kind_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
