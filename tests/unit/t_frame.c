#include "fdio.h"
#include "frame.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BODY_MAX_BYTES = 1000 };

struct line {
	int from;
	int to;
	struct frame_reader reader;
	struct err err;
};

static int open_line(void **state)
{
	struct line *l = calloc(1, sizeof *l);
	int ends[2];

	if (l == NULL || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	l->from = ends[0];
	l->to = ends[1];
	frame_reader_init(&l->reader, BODY_MAX_BYTES);
	*state = l;
	return 0;
}

static int close_line(void **state)
{
	struct line *l = *state;

	fd_close(&l->from);
	fd_close(&l->to);
	frame_reader_fini(&l->reader);
	free(l);
	return 0;
}

static void send_bytes(struct line *l, const void *bytes, size_t len)
{
	assert_int_equal(fd_write_all(l->to, bytes, len, &l->err), 0);
}

static void send_head(struct line *l, size_t meta_bytes, uint64_t body_bytes)
{
	unsigned char head[FRAME_HEAD_BYTES];

	frame_head(head, meta_bytes, body_bytes);
	send_bytes(l, head, sizeof head);
}

static void expect_failure(struct line *l, enum err_kind kind, const char *code)
{
	assert_int_equal(frame_read(&l->reader, l->from, &l->err), -1);
	assert_int_equal(l->err.kind, kind);
	assert_string_equal(l->err.code, code);
}

static void the_head_is_little_endian(void **state)
{
	static const unsigned char expected[FRAME_HEAD_BYTES] = {
		'I', 'O', 'F', '1', 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1};
	unsigned char head[FRAME_HEAD_BYTES];

	(void)state;
	frame_head(head, 0x01020304, 0x0102030405060708);
	assert_memory_equal(head, expected, sizeof head);
}

static void what_is_written_is_read_frame_by_frame(void **state)
{
	struct line *l = *state;

	assert_int_equal(frame_write(l->to, "{\"a\":1}", "body\0x", 6, &l->err), 0);
	assert_int_equal(frame_write(l->to, "{}", NULL, 0, &l->err), 0);
	assert_int_equal(frame_read(&l->reader, l->from, &l->err), 1);
	assert_string_equal(buf_text(&l->reader.meta), "{\"a\":1}");
	assert_int_equal(l->reader.body.len, 6);
	assert_memory_equal(l->reader.body.data, "body\0x", 6);
	assert_int_equal(frame_read(&l->reader, l->from, &l->err), 1);
	assert_string_equal(buf_text(&l->reader.meta), "{}");
	assert_int_equal(l->reader.body.len, 0);
	assert_int_equal(frame_read(&l->reader, l->from, &l->err), 0);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
	static const char frame[] = "IOF1\x02\0\0\0\x03\0\0\0\0\0\0\0{}xyz";
	struct line *l = *state;

	for (size_t i = 0; i < sizeof frame - 1; i++) {
		assert_int_equal(frame_read(&l->reader, l->from, &l->err), 0);
		send_bytes(l, frame + i, 1);
	}
	assert_int_equal(frame_read(&l->reader, l->from, &l->err), 1);
	assert_string_equal(buf_text(&l->reader.meta), "{}");
	assert_string_equal(buf_text(&l->reader.body), "xyz");
}

static void a_body_of_just_the_bound_is_read_and_one_byte_more_refused(void **state)
{
	static const char body[BODY_MAX_BYTES];
	struct line *l = *state;

	assert_int_equal(frame_write(l->to, "{}", body, sizeof body, &l->err), 0);
	assert_int_equal(frame_read(&l->reader, l->from, &l->err), 1);
	assert_int_equal(l->reader.body.len, BODY_MAX_BYTES);
	send_head(l, 2, BODY_MAX_BYTES + 1);
	expect_failure(l, ERR_BUG, "frame");
}

static void lengths_over_the_bound_are_refused_before_anything_is_allocated(void **state)
{
	struct line *l = *state;

	send_head(l, 0xFFFFFFFF, 0);
	expect_failure(l, ERR_BUG, "frame");
	assert_int_equal(l->reader.meta.cap, 0);
}

static void a_body_of_any_64_bit_length_is_refused(void **state)
{
	struct line *l = *state;

	send_head(l, 2, UINT64_MAX);
	expect_failure(l, ERR_BUG, "frame");
	assert_int_equal(l->reader.body.cap, 0);
}

static void what_does_not_begin_as_a_frame_is_refused(void **state)
{
	struct line *l = *state;

	send_bytes(l, "HTTP/1.1 200 OK\r\n", 17);
	expect_failure(l, ERR_BUG, "frame");
}

static void an_end_between_frames_is_told_from_one_within(void **state)
{
	struct line *l = *state;

	assert_int_equal(frame_write(l->to, "{}", NULL, 0, &l->err), 0);
	fd_close(&l->to);
	assert_int_equal(frame_read(&l->reader, l->from, &l->err), 1);
	expect_failure(l, ERR_SYSTEM, "eof");
}

static void an_end_within_a_head_is_a_cut(void **state)
{
	struct line *l = *state;

	send_bytes(l, "IOF1", 4);
	fd_close(&l->to);
	expect_failure(l, ERR_SYSTEM, "cut");
}

static void an_end_within_a_body_is_a_cut(void **state)
{
	struct line *l = *state;

	send_head(l, 2, 100);
	send_bytes(l, "{}half", 6);
	fd_close(&l->to);
	expect_failure(l, ERR_SYSTEM, "cut");
}

static void writing_to_nobody_is_an_error(void **state)
{
	struct line *l = *state;

	signal(SIGPIPE, SIG_IGN);
	fd_close(&l->from);
	assert_int_equal(frame_write(l->to, "{}", "x", 1, &l->err), -1);
	assert_int_equal(l->err.kind, ERR_SYSTEM);
}

#define LINE_TEST(name) cmocka_unit_test_setup_teardown(name, open_line, close_line)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_head_is_little_endian),
		LINE_TEST(what_is_written_is_read_frame_by_frame),
		LINE_TEST(a_frame_may_come_byte_by_byte),
		LINE_TEST(a_body_of_just_the_bound_is_read_and_one_byte_more_refused),
		LINE_TEST(lengths_over_the_bound_are_refused_before_anything_is_allocated),
		LINE_TEST(a_body_of_any_64_bit_length_is_refused),
		LINE_TEST(what_does_not_begin_as_a_frame_is_refused),
		LINE_TEST(an_end_between_frames_is_told_from_one_within),
		LINE_TEST(an_end_within_a_head_is_a_cut),
		LINE_TEST(an_end_within_a_body_is_a_cut),
		LINE_TEST(writing_to_nobody_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
