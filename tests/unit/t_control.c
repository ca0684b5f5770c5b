/* control: hostile, slow and many clients, on a clock of the test's own. */
#include "control.h"

#include "buf.h"
#include "control_peer.h"
#include "json.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { PLACES = CONTROL_FDS_MAX - 1, BIG_BYTES = 2 << 20, TURNS_MAX = 1000 };

struct scene {
	char directory[32];
	char path[64];
	struct control *control;
	int64_t now_ms;
	int answered; /* by the commands */
	char argument[32];
};

/* ---- commands */

static cJSON *status(void *arg, const struct control_request *request)
{
	struct scene *s = arg;
	cJSON *out = cJSON_CreateObject();

	s->answered++;
	json_add_int(out, "uid", request->uid);
	json_add_int(out, "pid", request->pid);
	return out;
}

static cJSON *big(void *arg, const struct control_request *request)
{
	struct scene *s = arg;
	cJSON *out = cJSON_CreateObject();
	char *text = calloc(1, BIG_BYTES + 1);

	(void)request;
	s->answered++;
	assert_non_null(text);
	memset(text, 'x', BIG_BYTES);
	json_add_text(out, "text", text);
	free(text);
	return out;
}

static cJSON *scale(void *arg, const struct control_request *request)
{
	struct scene *s = arg;

	(void)snprintf(s->argument, sizeof s->argument, "%s", request->argument);
	return control_done();
}

static const struct control_command commands[] = {
	{"status", status, CONTROL_LOOKS | CONTROL_WHILE_DRAINING},
	{"big", big, CONTROL_LOOKS},
	{"scale", scale, CONTROL_LOOKS | CONTROL_ARGUMENT},
	{NULL, NULL, 0},
};

static void serve(struct scene *s)
{
	control_serve(s->control, s->now_ms, commands, false, s);
}

/* ---- the scene */

static int enter(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	struct err err;

	if (s == NULL)
		return -1;
	(void)snprintf(s->directory, sizeof s->directory, "/tmp/t_control-XXXXXX");
	if (mkdtemp(s->directory) == NULL)
		return -1;
	(void)snprintf(s->path, sizeof s->path, "%s/socket", s->directory);
	s->now_ms = 1000000;
	*state = s;
	return control_open(&s->control, s->path, &err);
}

static int leave(void **state)
{
	struct scene *s = *state;

	control_close(s->control);
	(void)unlink(s->path);
	(void)rmdir(s->directory);
	free(s);
	return 0;
}

static int connected(const struct scene *s)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", s->path);
	assert_int_not_equal(fd, -1);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void say(int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

static int asking(const struct scene *s, const char *line)
{
	const int fd = connected(s);

	say(fd, line, strlen(line));
	return fd;
}

/* What has come so far; true = and the end. */
static bool take(int fd, struct buf *reply)
{
	for (;;) {
		char *room = buf_reserve(reply, 65536);
		ssize_t n;

		assert_non_null(room);
		n = recv(fd, room, 65536, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET)) /* he had not read all of ours */
			return true;
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			return false;
		}
		reply->len += (size_t)n;
		reply->data[reply->len] = '\0';
	}
}

/* Serves until this client's connection has ended: one line of JSON, parsed; NULL where nothing came. */
static cJSON *answer_to(struct scene *s, int fd)
{
	struct buf reply;
	cJSON *tree = NULL;
	bool ended = false;

	buf_init(&reply, 2 * BIG_BYTES);
	for (int i = 0; i < TURNS_MAX && !ended; i++) {
		ended = take(fd, &reply);
		serve(s);
	}
	assert_true(ended);
	if (reply.len > 0) {
		assert_int_equal(reply.data[reply.len - 1], '\n');
		assert_ptr_equal(strchr(reply.data, '\n'), reply.data + reply.len - 1);
		tree = json_parse(reply.data, reply.len);
		assert_non_null(tree);
	}
	buf_fini(&reply);
	(void)close(fd);
	return tree;
}

static void assert_refused(cJSON *reply, const char *code, const char *error)
{
	assert_non_null(reply);
	assert_false(json_bool(reply, "ok", true));
	assert_string_equal(json_text(reply, "code"), code);
	if (strstr(json_text(reply, "error"), error) == NULL)
		fail_msg("%s", json_text(reply, "error"));
	cJSON_Delete(reply);
}

static void assert_answered(struct scene *s, int fd)
{
	cJSON *reply = answer_to(s, fd);

	assert_int_equal(json_int(reply, "uid", -1), getuid());
	cJSON_Delete(reply);
}

static size_t places_taken(const struct scene *s)
{
	struct pollfd fds[CONTROL_FDS_MAX];

	return control_poll_fds(s->control, fds) - 1;
}

/* Something is to be done without waiting. */
static bool is_busy(const struct scene *s)
{
	struct pollfd fds[CONTROL_FDS_MAX];

	return poll(fds, (nfds_t)control_poll_fds(s->control, fds), 0) > 0;
}

/* ---- requests */

static void a_request_gets_one_line_of_json_and_the_end(void **state)
{
	struct scene *s = *state;
	cJSON *reply = answer_to(s, asking(s, "status\n"));

	assert_int_equal(json_int(reply, "uid", -1), getuid());
	assert_int_equal(json_int(reply, "pid", -1), getpid());
	cJSON_Delete(reply);
	reply = answer_to(s, asking(s, "scale 12\n"));
	assert_true(json_bool(reply, "ok", false));
	assert_string_equal(s->argument, "12");
	cJSON_Delete(reply);
	assert_int_equal(places_taken(s), 0);
}

static void a_request_may_come_byte_by_byte_and_what_follows_it_is_not_read(void **state)
{
	struct scene *s = *state;
	const char line[] = "status\nscale 3\n";
	const int fd = connected(s);

	for (size_t i = 0; i < sizeof line - 1 && s->answered == 0; i++) {
		say(fd, line + i, 1);
		serve(s);
	}
	assert_int_equal(s->answered, 1);
	assert_answered(s, fd);
	assert_answered(s, asking(s, "status\nscale 3\n"));
	assert_string_equal(s->argument, "");
}

static void an_unknown_or_wrong_command_is_told_so(void **state)
{
	struct scene *s = *state;

	assert_refused(answer_to(s, asking(s, "stat\n")), "request", "no such command");
	assert_refused(answer_to(s, asking(s, "status now\n")), "request", "takes no argument");
	assert_refused(answer_to(s, asking(s, "scale\n")), "request", "wants an argument");
	assert_int_equal(s->answered, 0);
}

static void garbage_gets_one_answer_and_the_end(void **state)
{
	struct scene *s = *state;
	char long_line[20000];
	int fd = connected(s);

	memset(long_line, 'a', sizeof long_line);
	say(fd, long_line, sizeof long_line);
	assert_refused(answer_to(s, fd), "request", "256 bytes");
	fd = connected(s);
	say(fd, "status\0\n", 8);
	assert_refused(answer_to(s, fd), "request", "printable");
	fd = connected(s);
	say(fd, "\x16\x03\x01", 3); /* no line feed: answered all the same */
	assert_refused(answer_to(s, fd), "request", "printable");
	fd = asking(s, "status");
	(void)shutdown(fd, SHUT_WR);
	assert_refused(answer_to(s, fd), "request", "line feed");
	fd = connected(s);
	(void)shutdown(fd, SHUT_WR);
	assert_null(answer_to(s, fd));
	assert_int_equal(s->answered, 0);
	assert_int_equal(places_taken(s), 0);
}

static void while_draining_only_what_makes_sense_is_done(void **state)
{
	struct scene *s = *state;
	int fd = asking(s, "scale 3\n");

	control_serve(s->control, s->now_ms, commands, true, s);
	assert_refused(answer_to(s, fd), "draining", "draining");
	fd = asking(s, "status\n");
	control_serve(s->control, s->now_ms, commands, true, s);
	assert_answered(s, fd);
}

/* ---- those who take their time */

static void a_request_that_does_not_come_whole_within_a_second_is_given_up(void **state)
{
	struct scene *s = *state;
	const int fd = asking(s, "stat");

	serve(s);
	s->now_ms += 999;
	say(fd, "u", 1); /* every byte in time buys no time */
	serve(s);
	assert_int_equal(places_taken(s), 1);
	s->now_ms += 1;
	serve(s);
	assert_int_equal(places_taken(s), 0);
	assert_refused(answer_to(s, fd), "late", "within a second");
}

static void a_slow_reader_gets_a_big_reply_whole_and_holds_up_nobody(void **state)
{
	struct scene *s = *state;
	const int fd = asking(s, "big\n");
	cJSON *reply;

	serve(s);
	assert_int_equal(places_taken(s), 1);
	assert_answered(s, asking(s, "status\n"));
	s->now_ms += 4000;
	reply = answer_to(s, fd);
	assert_int_equal(strlen(json_text(reply, "text")), BIG_BYTES);
	cJSON_Delete(reply);
}

static void one_who_does_not_read_his_reply_is_given_up_after_five_seconds(void **state)
{
	struct scene *s = *state;
	const int fd = asking(s, "big\n");

	serve(s);
	s->now_ms += 4999;
	serve(s);
	assert_int_equal(places_taken(s), 1);
	s->now_ms += 1;
	serve(s);
	assert_int_equal(places_taken(s), 0);
	(void)close(fd);
}

/* ---- many */

static void raise_descriptors(rlim_t wanted)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void a_thousand_half_open_clients_keep_nobody_waiting(void **state)
{
	enum { CROWD = 1000 };
	struct scene *s = *state;
	int crowd[CROWD];

	raise_descriptors(CROWD + 200);
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = i % 2 == 0 ? connected(s) : asking(s, "stat");
		if (i % 20 == 0)
			serve(s);
		if (i % 100 == 0)
			assert_answered(s, asking(s, "status\n"));
	}
	assert_answered(s, asking(s, "status\n"));
	assert_in_range(places_taken(s), PLACES - 1, PLACES);
	for (int i = 0; i < CROWD; i++)
		(void)close(crowd[i]);
	serve(s);
	assert_int_equal(places_taken(s), 0);
}

/* Those in the crowd came before him; one of them has the place that he needs. */
static void the_oldest_without_a_request_gives_way_to_the_next(void **state)
{
	struct scene *s = *state;
	int crowd[PLACES];
	int late;

	for (int i = 0; i < PLACES; i++) {
		crowd[i] = connected(s);
		serve(s);
	}
	late = connected(s);
	serve(s);
	assert_null(answer_to(s, crowd[0])); /* ended, without a word */
	say(crowd[1], "status\n", 7);
	assert_answered(s, crowd[1]);
	say(late, "status\n", 7);
	assert_answered(s, late);
	for (int i = 2; i < PLACES; i++)
		(void)close(crowd[i]);
}

static void a_house_full_of_those_who_do_not_read_lets_the_next_in(void **state)
{
	struct scene *s = *state;
	int crowd[PLACES];

	for (int i = 0; i < PLACES; i++) {
		crowd[i] = asking(s, "big\n");
		serve(s);
	}
	assert_int_equal(places_taken(s), PLACES);
	assert_answered(s, asking(s, "status\n"));
	for (int i = 0; i < PLACES; i++)
		(void)close(crowd[i]);
}

static void a_turn_answers_a_bounded_number_and_the_next_goes_on(void **state)
{
	enum { CROWD = 100 };
	struct scene *s = *state;
	int crowd[CROWD];
	int turns = 0;

	for (int i = 0; i < CROWD; i++)
		crowd[i] = asking(s, "status\n");
	while (s->answered < CROWD) {
		const int before = s->answered;

		assert_true(is_busy(s)); /* what is left undone does not wait for a timeout */
		serve(s);
		assert_in_range(s->answered - before, 1, 4);
		assert_true(++turns < TURNS_MAX);
	}
	for (int i = 0; i < CROWD; i++)
		assert_answered(s, crowd[i]);
	assert_false(is_busy(s));
}

/* ---- who may */

static void root_the_daemon_s_user_and_members_of_its_group_may(void **state)
{
	static const struct control_owner owner = {1000, 2000};
	static const struct {
		struct control_peer peer;
		gid_t groups[2];
		size_t count;
		bool may;
	} rows[] = {
		{{0, 0, 1}, {0}, 0, true},
		{{1000, 1000, 1}, {0}, 0, true},
		{{1001, 2000, 1}, {0}, 0, true},
		{{1001, 1001, 1}, {4, 2000}, 2, true},
		{{1001, 1001, 1}, {4, 2000}, 1, false},
		{{1001, 1001, 1}, {4, 1000}, 2, false},
		{{2000, 1000, 1}, {0}, 0, false},
		{{1001, 0, 1}, {0}, 1, false},
		{{(uid_t)-1, (gid_t)-1, -1}, {0}, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (control_peer_may(&rows[i].peer, rows[i].groups, rows[i].count, &owner) !=
			rows[i].may)
			fail_msg("row %zu", i);
}

/* ---- the file */

static void the_file_is_for_user_and_group_and_gone_at_the_end(void **state)
{
	struct scene *s = *state;
	struct stat st;

	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0660);
	control_close(s->control);
	s->control = NULL;
	assert_int_equal(stat(s->path, &st), -1);
}

static void a_socket_that_answers_is_refused_and_left_alone(void **state)
{
	struct scene *s = *state;
	struct control *second;
	struct err err;

	assert_int_equal(control_open(&second, s->path, &err), -1);
	assert_non_null(strstr(err.text, "another daemon listens on /tmp/t_control-"));
	assert_answered(s, asking(s, "status\n"));
}

static void the_socket_of_a_dead_daemon_is_replaced(void **state)
{
	struct scene *s = *state;
	struct control *dead = s->control;
	struct err err;

	control_forget(dead); /* as a kill leaves it: the file stands, nobody listens */
	assert_int_equal(access(s->path, F_OK), 0);
	assert_int_equal(control_open(&s->control, s->path, &err), 0);
	control_close(dead);
	assert_answered(s, asking(s, "status\n"));
}

static void a_file_that_is_not_ours_any_more_stays_at_the_end(void **state)
{
	struct scene *s = *state;
	struct control *first = s->control;
	struct err err;

	assert_int_equal(unlink(s->path), 0);
	assert_int_equal(control_open(&s->control, s->path, &err), 0);
	control_close(first);
	assert_answered(s, asking(s, "status\n"));
}

static void it_can_be_moved_while_clients_are_connected(void **state)
{
	struct scene *s = *state;
	const int fd = asking(s, "stat");
	char moved[64];
	struct err err;

	serve(s);
	(void)snprintf(moved, sizeof moved, "%s/nowhere/socket", s->directory);
	assert_int_equal(control_move(s->control, moved, &err), -1);
	assert_answered(s, asking(s, "status\n"));
	assert_int_equal(control_move(s->control, s->path, &err), 0);
	assert_answered(s, asking(s, "status\n"));
	(void)snprintf(moved, sizeof moved, "%s/moved", s->directory);
	assert_int_equal(control_move(s->control, moved, &err), 0);
	assert_int_equal(access(s->path, F_OK), -1);
	(void)snprintf(s->path, sizeof s->path, "%s", moved);
	assert_answered(s, asking(s, "status\n"));
	say(fd, "us\n", 3);
	assert_answered(s, fd);
}

static void what_is_no_socket_is_not_removed(void **state)
{
	struct scene *s = *state;
	struct control *second;
	struct err err;
	int fd;

	control_close(s->control);
	s->control = NULL;
	fd = open(s->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	(void)close(fd);
	assert_int_equal(control_open(&second, s->path, &err), -1);
	assert_non_null(strstr(err.text, "is there and no socket"));
	assert_int_equal(access(s->path, F_OK), 0);
	assert_int_equal(control_open(&second,
				 "/tmp/a-path-that-is-longer-than-the-hundred-and-seven-characters-"
				 "that-an-address-of-a-unix-socket-has-room-for",
				 &err),
		-1);
	assert_non_null(strstr(err.text, "is longer than 107 characters"));
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, enter, leave)
	const struct CMUnitTest tests[] = {
		SCENE(a_request_gets_one_line_of_json_and_the_end),
		SCENE(a_request_may_come_byte_by_byte_and_what_follows_it_is_not_read),
		SCENE(an_unknown_or_wrong_command_is_told_so),
		SCENE(garbage_gets_one_answer_and_the_end),
		SCENE(while_draining_only_what_makes_sense_is_done),
		SCENE(a_request_that_does_not_come_whole_within_a_second_is_given_up),
		SCENE(a_slow_reader_gets_a_big_reply_whole_and_holds_up_nobody),
		SCENE(one_who_does_not_read_his_reply_is_given_up_after_five_seconds),
		SCENE(a_thousand_half_open_clients_keep_nobody_waiting),
		SCENE(the_oldest_without_a_request_gives_way_to_the_next),
		SCENE(a_house_full_of_those_who_do_not_read_lets_the_next_in),
		SCENE(a_turn_answers_a_bounded_number_and_the_next_goes_on),
		cmocka_unit_test(root_the_daemon_s_user_and_members_of_its_group_may),
		SCENE(the_file_is_for_user_and_group_and_gone_at_the_end),
		SCENE(a_socket_that_answers_is_refused_and_left_alone),
		SCENE(the_socket_of_a_dead_daemon_is_replaced),
		SCENE(a_file_that_is_not_ours_any_more_stays_at_the_end),
		SCENE(it_can_be_moved_while_clients_are_connected),
		SCENE(what_is_no_socket_is_not_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
