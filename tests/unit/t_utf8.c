#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define FFFD "\xEF\xBF\xBD"

static void cleans_to(const char *text, size_t len, const char *expected)
{
	char *clean = utf8_clean(text, len);

	assert_string_equal(clean, expected);
	free(clean);
}

#define CLEANS_TO(text, expected) cleans_to(text, sizeof(text) - 1, expected)

static void ordinary_text_stays_as_it_is(void **state)
{
	(void)state;
	CLEANS_TO("", "");
	CLEANS_TO("Lot 3 456 789 — hypothèque, « radiée » œuvre\tÉté\n",
		"Lot 3 456 789 — hypothèque, « radiée » œuvre\tÉté\n");
	CLEANS_TO("\xF0\x9D\x84\x9E", "\xF0\x9D\x84\x9E");
}

static void accents_become_one_character(void **state)
{
	(void)state;
	CLEANS_TO("E\xCC\x81t\xE9", "\xC3\x89t" FFFD);
	CLEANS_TO("e\xCC\x81", "\xC3\xA9");
	CLEANS_TO("c\xCC\xA7", "\xC3\xA7");
	/* Order of marks: cedilla below, acute above, whichever came first. */
	CLEANS_TO("c\xCC\x81\xCC\xA7", "\xE1\xB8\x89");
	CLEANS_TO("c\xCC\xA7\xCC\x81", "\xE1\xB8\x89");
}

static void nothing_that_the_database_refuses_comes_through(void **state)
{
	(void)state;
	CLEANS_TO("a\0b", "a" FFFD "b");
	CLEANS_TO("\0", FFFD);
	CLEANS_TO("a\xED\xA0\x80z", "a" FFFD "z");
	CLEANS_TO("a\xFFz", "a" FFFD "z");
	CLEANS_TO("caf\xE9", "caf" FFFD);
}

static void controls_become_spaces_but_tab_and_line_feed_stay(void **state)
{
	(void)state;
	CLEANS_TO("a\x01\x1B\x7F"
		  "b",
		"a   b");
	CLEANS_TO("a\xC2\x85z", "a z");
	CLEANS_TO("a\tb\nc", "a\tb\nc");
	CLEANS_TO("\xC2\xA0", "\xC2\xA0");
}

static void line_ends_become_line_feeds(void **state)
{
	(void)state;
	CLEANS_TO("a\r\nb\r\n", "a\nb\n");
	CLEANS_TO("a\rb", "a b");
	CLEANS_TO("a\r\r\n", "a \n");
	CLEANS_TO("\r", " ");
}

/* The hard cases of Kuhn's stress test: over-long forms, lonely and missing continuation bytes,
 * surrogates, beyond U+10FFFF. */
static const struct {
	const char *bytes;
	bool valid;
} torture[] = {
	{"\xC2\x80", true},
	{"\xDF\xBF", true},
	{"\xE0\xA0\x80", true},
	{"\xED\x9F\xBF", true},
	{"\xEE\x80\x80", true},
	{"\xEF\xBF\xBF", true},
	{"\xF0\x90\x80\x80", true},
	{"\xF4\x8F\xBF\xBF", true},
	{"\xF4\x90\x80\x80", false},
	{"\x80", false},
	{"\xBF\xBF\xBF", false},
	{"\xC0\xAF", false},
	{"\xC1\xBF", false},
	{"\xE0\x80\xAF", false},
	{"\xE0\x9F\xBF", false},
	{"\xF0\x80\x80\xAF", false},
	{"\xF0\x8F\xBF\xBF", false},
	{"\xF8\x88\x80\x80\x80", false},
	{"\xFC\x84\x80\x80\x80\x80", false},
	{"\xFE", false},
	{"\xFF", false},
	{"\xC3", false},
	{"\xC3 ", false},
	{"\xE2\x82", false},
	{"\xE2\x82 ", false},
	{"\xF0\x9D\x84", false},
	{"\xED\xA0\x80", false},
	{"\xED\xBF\xBF", false},
	{"\xED\xA0\xBD\xED\xB8\x80", false},
};

static void torture_is_told_valid_or_not_and_always_cleaned(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof torture / sizeof torture[0]; i++) {
		const char *bytes = torture[i].bytes;
		char *clean = utf8_clean(bytes, strlen(bytes));

		if (utf8_valid(bytes, strlen(bytes)) != torture[i].valid)
			fail_msg("case %zu", i);
		assert_true(utf8_valid(clean, strlen(clean)));
		assert_int_equal(strstr(clean, FFFD) == NULL, torture[i].valid);
		free(clean);
	}
}

static void a_nul_alone_is_valid_text_but_is_cleaned(void **state)
{
	(void)state;
	assert_true(utf8_valid("a\0b", 3));
	assert_true(utf8_valid("", 0));
}

static void good_text_around_bad_bytes_survives(void **state)
{
	(void)state;
	CLEANS_TO("\xE2\x82"
		  "abc",
		FFFD "abc");
	CLEANS_TO("\xF0\x9D\x84"
		  "\xC3\xA9",
		FFFD "\xC3\xA9");
	CLEANS_TO("\xC3\n", FFFD "\n");
}

static void check_random(unsigned seed)
{
	char noise[400];
	const size_t len = (size_t)(rand_r(&seed) % (int)sizeof noise);
	char *clean;
	char *again;

	for (size_t i = 0; i < len; i++)
		noise[i] = (char)(rand_r(&seed) % 256);
	clean = utf8_clean(noise, len);
	again = utf8_clean(clean, strlen(clean));
	assert_true(utf8_valid(clean, strlen(clean)));
	assert_null(strchr(clean, '\r'));
	assert_string_equal(clean, again);
	for (size_t cut = 0; cut <= strlen(clean); cut++) {
		assert_true(utf8_cut(clean, cut) <= cut);
		assert_true(cut - utf8_cut(clean, cut) <= 3);
		assert_true(utf8_valid(clean, utf8_cut(clean, cut)));
	}
	free(clean);
	free(again);
}

static void any_bytes_become_valid_text_that_stays_the_same_cleaned_again(void **state)
{
	const unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned i = 0; i < 2000; i++)
		check_random(seed + i);
}

static void a_cut_never_splits_a_character(void **state)
{
	(void)state;
	assert_int_equal(utf8_cut("été", 0), 0);
	assert_int_equal(utf8_cut("été", 1), 0);
	assert_int_equal(utf8_cut("été", 2), 2);
	assert_int_equal(utf8_cut("été", 3), 3);
	assert_int_equal(utf8_cut("été", 4), 3);
	assert_int_equal(utf8_cut("été", 5), 5);
	assert_int_equal(utf8_cut("été", 500), 5);
	assert_int_equal(utf8_cut("", 0), 0);
	assert_int_equal(utf8_cut("abc", SIZE_MAX), 3);
}

static void many_marks_on_one_letter_take_no_quadratic_time(void **state)
{
	/* 200,000 marks in the worst order; a quadratic sort would not end within the test's limit.
	 */
	const size_t marks = 200000;
	char *text = malloc(2 * marks + 1);
	char *clean;

	(void)state;
	assert_non_null(text);
	text[0] = 'a';
	for (size_t i = 0; i < marks; i++)
		memcpy(text + 1 + 2 * i, i % 2 == 0 ? "\xCC\x81" : "\xCC\xA7", 2);
	clean = utf8_clean(text, 2 * marks + 1);
	assert_true(utf8_valid(clean, strlen(clean)));
	free(clean);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_text_stays_as_it_is),
		cmocka_unit_test(accents_become_one_character),
		cmocka_unit_test(nothing_that_the_database_refuses_comes_through),
		cmocka_unit_test(controls_become_spaces_but_tab_and_line_feed_stay),
		cmocka_unit_test(line_ends_become_line_feeds),
		cmocka_unit_test(torture_is_told_valid_or_not_and_always_cleaned),
		cmocka_unit_test(a_nul_alone_is_valid_text_but_is_cleaned),
		cmocka_unit_test(good_text_around_bad_bytes_survives),
		cmocka_unit_test(any_bytes_become_valid_text_that_stays_the_same_cleaned_again),
		cmocka_unit_test(a_cut_never_splits_a_character),
		cmocka_unit_test(many_marks_on_one_letter_take_no_quadratic_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
