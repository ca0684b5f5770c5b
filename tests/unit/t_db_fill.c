#include "db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct db_variable vars[] = {
	{"queue", "extraction_queue"},
	{"odd", "a\"b'c\\d"},
	{"ready", "3"},
	{"id_type", "bigint"},
	{"", "never"},
	{NULL, NULL},
};

struct row {
	const char *sql;
	const char *filled;
};

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct err err;
		char *filled = db_fill(rows[i].sql, vars, &err);

		assert_non_null(filled);
		assert_string_equal(filled, rows[i].filled);
		free(filled);
	}
}

static void fills_identifiers_literals_and_raw_values(void **state)
{
	static const struct row rows[] = {
		{"", ""},
		{"SELECT 1", "SELECT 1"},
		{":\"queue\"", "\"extraction_queue\""},
		{":'queue'", "'extraction_queue'"},
		{"status = :ready;", "status = 3;"},
		{"CAST($1 AS :id_type[])", "CAST($1 AS bigint[])"},
		{"q.:\"queue\".:ready", "q.\"extraction_queue\".3"},
		{":ready:ready", "33"},
		{"(:ready)::text", "(3)::text"},
	};

	(void)state;
	check(rows, sizeof rows / sizeof rows[0]);
}

static void quotes_what_would_end_a_name_or_a_literal(void **state)
{
	static const struct row rows[] = {
		{":\"odd\"", "\"a\"\"b'c\\d\""},
		{":'odd'", " E'a\"b''c\\\\d'"},
	};

	(void)state;
	check(rows, sizeof rows / sizeof rows[0]);
}

static void leaves_quoted_text_and_comments_alone(void **state)
{
	static const struct row rows[] = {
		{"':ready'", "':ready'"},
		{"'it''s :ready' :ready", "'it''s :ready' 3"},
		{"'\\' :ready", "'\\' 3"},
		{"E'\\' :ready' :ready", "E'\\' :ready' 3"},
		{"\":ready\" :ready", "\":ready\" 3"},
		{"-- :ready '\n:ready", "-- :ready '\n3"},
		{"/* :ready /* :ready */ ' */ :ready", "/* :ready /* :ready */ ' */ 3"},
		{"$$ :ready ' $$ :ready", "$$ :ready ' $$ 3"},
		{"$a$ :ready $$ $b$ $a$ :ready", "$a$ :ready $$ $b$ $a$ 3"},
		{"a$b :ready a$b", "a$b 3 a$b"},
		{"$1 :ready $1", "$1 3 $1"},
	};

	(void)state;
	check(rows, sizeof rows / sizeof rows[0]);
}

static void leaves_colons_that_start_no_variable_alone(void **state)
{
	static const struct row rows[] = {
		{"a::ready", "a::ready"},
		{"a := ready", "a := ready"},
		{"a : b", "a : b"},
		{":", ":"},
		{":\"queue", ":\"queue"},
		{":''", ":''"},
	};

	(void)state;
	check(rows, sizeof rows / sizeof rows[0]);
}

static void stops_at_the_end_of_what_is_not_closed(void **state)
{
	static const struct row rows[] = {
		{"'", "'"},
		{"E'\\", "E'\\"},
		{"\":ready", "\":ready"},
		{"/* /* */ :ready", "/* /* */ :ready"},
		{"$x$ :ready", "$x$ :ready"},
		{"--", "--"},
		{"$", "$"},
	};

	(void)state;
	check(rows, sizeof rows / sizeof rows[0]);
}

static void refuses_a_variable_without_a_value(void **state)
{
	static const char *const statements[] = {
		":nowhere", ":'nowhere'", ":\"nowhere\"", ":read", ":readyy"};

	(void)state;
	for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
		struct err err;

		assert_null(db_fill(statements[i], vars, &err));
		assert_int_equal(err.kind, ERR_BUG);
		assert_non_null(strstr(err.text, "variable"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_identifiers_literals_and_raw_values),
		cmocka_unit_test(quotes_what_would_end_a_name_or_a_literal),
		cmocka_unit_test(leaves_quoted_text_and_comments_alone),
		cmocka_unit_test(leaves_colons_that_start_no_variable_alone),
		cmocka_unit_test(stops_at_the_end_of_what_is_not_closed),
		cmocka_unit_test(refuses_a_variable_without_a_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
