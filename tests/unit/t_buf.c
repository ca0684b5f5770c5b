#include "buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void an_empty_buf_reads_as_an_empty_text(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_string_equal(buf_text(&b), "");
	assert_int_equal(b.len, 0);
	buf_fini(&b);
	buf_fini(&b);
	assert_string_equal(buf_text(&b), "");
}

static void what_is_added_follows_what_was_there_and_ends_with_a_nul(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_add(&b, "abc", 3), 0);
	assert_int_equal(buf_addf(&b, "%d-%s", 42, "x"), 0);
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_string_equal(buf_text(&b), "abc42-x");
	assert_int_equal(b.len, 7);
	buf_fini(&b);
}

static void the_bound_may_be_reached_but_not_passed(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	assert_int_equal(buf_add(&b, "abcd", 4), 0);
	assert_int_equal(buf_add(&b, "ef", 2), -1);
	assert_int_equal(buf_addf(&b, "%s", "ef"), -1);
	assert_null(buf_reserve(&b, 2));
	assert_string_equal(buf_text(&b), "abcd");
	assert_int_equal(buf_add(&b, "e", 1), 0);
	assert_string_equal(buf_text(&b), "abcde");
	assert_int_equal(buf_add(&b, "f", 1), -1);
	buf_fini(&b);
}

static void lengths_near_the_end_of_the_range_are_refused(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(buf_add(&b, "abc", 3), 0);
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_null(buf_reserve(&b, SIZE_MAX - 2));
	assert_int_equal(b.len, 3);
	buf_fini(&b);
}

static void it_grows_over_many_additions(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 20000; i++)
		assert_int_equal(buf_addf(&b, "%05d,", i), 0);
	assert_int_equal(b.len, 120000);
	assert_memory_equal(b.data + 6 * 12345, "12345,", 6);
	assert_int_equal(b.data[b.len], '\0');
	buf_fini(&b);
}

static void reset_empties_and_keeps_the_memory(void **state)
{
	struct buf b;
	const char *before;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_add(&b, "abc", 3), 0);
	before = b.data;
	buf_reset(&b);
	assert_string_equal(buf_text(&b), "");
	assert_int_equal(buf_add(&b, "de", 2), 0);
	assert_ptr_equal(b.data, before);
	assert_string_equal(buf_text(&b), "de");
	buf_fini(&b);
}

static void reserved_room_is_the_callers_to_fill(void **state)
{
	struct buf b;
	char *room;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_add(&b, "abc", 3), 0);
	room = buf_reserve(&b, 600);
	assert_non_null(room);
	memset(room, 'x', 600);
	b.len += 600;
	assert_int_equal(strlen(buf_text(&b)), 603);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buf_reads_as_an_empty_text),
		cmocka_unit_test(what_is_added_follows_what_was_there_and_ends_with_a_nul),
		cmocka_unit_test(the_bound_may_be_reached_but_not_passed),
		cmocka_unit_test(lengths_near_the_end_of_the_range_are_refused),
		cmocka_unit_test(it_grows_over_many_additions),
		cmocka_unit_test(reset_empties_and_keeps_the_memory),
		cmocka_unit_test(reserved_room_is_the_callers_to_fill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
