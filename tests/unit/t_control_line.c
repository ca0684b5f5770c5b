/* control_line: what is a request, as far as it has come, and what can never become one. */
#include "control_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct row {
	const char *bytes;
	size_t len; /* 0 = strlen(bytes) */
	enum control_line_verdict verdict;
	const char *word, *argument; /* of a whole one */
	const char *fault;           /* begins so, of a bad one */
};

static const char printable[] = "a request is printable ASCII";
static const char word[] = "a request begins with a command";
static const char argument[] = "a request is a command, or";

static const struct row rows[] = {
	{"status\n", 0, CONTROL_LINE_WHOLE, "status", "", NULL},
	{"scale 8\n", 0, CONTROL_LINE_WHOLE, "scale", "8", NULL},
	{"scale -1\n", 0, CONTROL_LINE_WHOLE, "scale", "-1", NULL},
	{"a ~!\"{}\n", 0, CONTROL_LINE_WHOLE, "a", "~!\"{}", NULL},
	{"status\nscale 0\n", 0, CONTROL_LINE_WHOLE, "status", "", NULL},
	{"status\n\0\xFF", 9, CONTROL_LINE_WHOLE, "status", "", NULL},
	{"", 0, CONTROL_LINE_PARTIAL, NULL, NULL, NULL},
	{"s", 0, CONTROL_LINE_PARTIAL, NULL, NULL, NULL},
	{"status", 0, CONTROL_LINE_PARTIAL, NULL, NULL, NULL},
	{"scale ", 0, CONTROL_LINE_PARTIAL, NULL, NULL, NULL},
	{"scale 8", 0, CONTROL_LINE_PARTIAL, NULL, NULL, NULL},
	{"\n", 0, CONTROL_LINE_BAD, NULL, NULL, word},
	{" \n", 0, CONTROL_LINE_BAD, NULL, NULL, word},
	{" status\n", 0, CONTROL_LINE_BAD, NULL, NULL, word},
	{"Status\n", 0, CONTROL_LINE_BAD, NULL, NULL, word},
	{"GET / HTTP/1.1\r\n", 0, CONTROL_LINE_BAD, NULL, NULL, printable},
	{"GET", 0, CONTROL_LINE_BAD, NULL, NULL, word},
	{"8", 0, CONTROL_LINE_BAD, NULL, NULL, word},
	{"scale8\n", 0, CONTROL_LINE_BAD, NULL, NULL, word},
	{"sta-tus\n", 0, CONTROL_LINE_BAD, NULL, NULL, word},
	{"scale \n", 0, CONTROL_LINE_BAD, NULL, NULL, argument},
	{"scale  8\n", 0, CONTROL_LINE_BAD, NULL, NULL, argument},
	{"scale 8 9\n", 0, CONTROL_LINE_BAD, NULL, NULL, argument},
	{"scale 8 ", 0, CONTROL_LINE_BAD, NULL, NULL, argument},
	{"status\r\n", 0, CONTROL_LINE_BAD, NULL, NULL, printable},
	{"scale\t8\n", 0, CONTROL_LINE_BAD, NULL, NULL, printable},
	{"\0", 1, CONTROL_LINE_BAD, NULL, NULL, printable},
	{"status\0\n", 8, CONTROL_LINE_BAD, NULL, NULL, printable},
	{"scale 8\0", 8, CONTROL_LINE_BAD, NULL, NULL, printable},
	{"\x16\x03\x01\x02", 0, CONTROL_LINE_BAD, NULL, NULL, printable}, /* TLS */
	{"scale \x7F\n", 0, CONTROL_LINE_BAD, NULL, NULL, printable},
	{"scale \xC3\xA9\n", 0, CONTROL_LINE_BAD, NULL, NULL, printable},
	{"scale \x9B\n", 0, CONTROL_LINE_BAD, NULL, NULL, printable},
};

static void each_row_is_what_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *r = &rows[i];
		const size_t len = r->len > 0 ? r->len : strlen(r->bytes);
		struct control_line line;
		const char *fault;

		if (control_line_parse(r->bytes, len, &line, &fault) != r->verdict)
			fail_msg("row %zu: %s", i, r->bytes);
		if (r->word != NULL) {
			assert_string_equal(line.word, r->word);
			assert_string_equal(line.argument, r->argument);
		}
		if ((r->fault == NULL) != (fault == NULL) ||
			(fault != NULL && strncmp(fault, r->fault, strlen(r->fault)) != 0))
			fail_msg("row %zu: %s", i, fault);
	}
}

/* A request of len bytes, its line feed among them: "a bbbb…". */
static void fill(char *bytes, size_t len)
{
	memset(bytes, 'b', len);
	bytes[0] = 'a';
	bytes[1] = ' ';
	bytes[len - 1] = '\n';
}

static void the_longest_request_has_256_bytes(void **state)
{
	char bytes[CONTROL_LINE_BYTES + 1];
	struct control_line line;
	const char *fault;

	(void)state;
	fill(bytes, CONTROL_LINE_BYTES);
	assert_int_equal(
		control_line_parse(bytes, CONTROL_LINE_BYTES, &line, &fault), CONTROL_LINE_WHOLE);
	assert_int_equal(strlen(line.argument), CONTROL_LINE_BYTES - 3);
	assert_int_equal(control_line_parse(bytes, CONTROL_LINE_BYTES - 1, &line, &fault),
		CONTROL_LINE_PARTIAL);
	fill(bytes, CONTROL_LINE_BYTES + 1);
	assert_int_equal(
		control_line_parse(bytes, CONTROL_LINE_BYTES, &line, &fault), CONTROL_LINE_BAD);
	assert_string_equal(fault, "a request has 256 bytes at most");
	assert_int_equal(
		control_line_parse(bytes, CONTROL_LINE_BYTES + 1, &line, &fault), CONTROL_LINE_BAD);
}

/* Whether bytes come one by one or together makes no difference to what becomes of them. */
static void the_verdict_does_not_depend_on_how_the_bytes_come(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *r = &rows[i];
		const size_t len = r->len > 0 ? r->len : strlen(r->bytes);
		enum control_line_verdict verdict = CONTROL_LINE_PARTIAL;
		struct control_line line;
		const char *fault;

		for (size_t n = 1; n <= len && verdict == CONTROL_LINE_PARTIAL; n++)
			verdict = control_line_parse(r->bytes, n, &line, &fault);
		if (verdict != r->verdict)
			fail_msg("row %zu: %s", i, r->bytes);
		if (r->word != NULL)
			assert_string_equal(line.word, r->word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_is_what_the_table_says),
		cmocka_unit_test(the_longest_request_has_256_bytes),
		cmocka_unit_test(the_verdict_does_not_depend_on_how_the_bytes_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
