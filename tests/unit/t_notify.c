/* notify: the datagrams a service manager gets, read from a socket that the test owns. */
#include "notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* More messages than any queue holds. */
enum { MANY = 100000 };

struct manager {
	int fd;
	char name[64]; /* as in NOTIFY_SOCKET */
};

static void listen_at(struct manager *m, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t len = strlen(name);

	(void)snprintf(m->name, sizeof m->name, "%s", name);
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_not_equal(m->fd, -1);
	assert_int_equal(bind(m->fd, (const struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
		0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static int open_manager(void **state)
{
	static struct manager m;
	char name[64];

	(void)snprintf(name, sizeof name, "@indexocr-t_notify-%ld", (long)getpid());
	listen_at(&m, name);
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	*state = &m;
	return 0;
}

static int close_manager(void **state)
{
	const struct manager *m = *state;

	(void)close(m->fd);
	if (m->name[0] == '/')
		(void)unlink(m->name);
	return 0;
}

/* The next message; "" = there is none. */
static const char *next(const struct manager *m)
{
	static char text[4096];
	const ssize_t len = recv(m->fd, text, sizeof text - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

static const char *ready_text(const char *status)
{
	static char text[256];

	(void)snprintf(
		text, sizeof text, "READY=1\nMAINPID=%ld\nSTATUS=%s\n", (long)getpid(), status);
	return text;
}

static void without_a_manager_nothing_is_said(void **state)
{
	(void)state;
	(void)unsetenv("NOTIFY_SOCKET");
	assert_null(notify_open());
	assert_int_equal(setenv("NOTIFY_SOCKET", "vsock:2:1234", 1), 0);
	assert_null(notify_open());
	notify_ready(NULL, "", 0);
	notify_reloading(NULL, 0, 0);
	notify_stopping(NULL, "", 0);
	notify_turn(NULL, "", true, 0);
	assert_int_equal(notify_due_ms(NULL, 0), -1);
	notify_forget(NULL);
	notify_close(NULL);
}

static void the_variables_leave_the_environment(void **state)
{
	struct notify *n;

	(void)state;
	assert_int_equal(setenv("WATCHDOG_USEC", "1000000", 1), 0);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
	n = notify_open();
	assert_non_null(n);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
	notify_close(n);
}

static void a_life_is_told_in_order(void **state)
{
	const struct manager *m = *state;
	struct notify *n = notify_open();

	notify_ready(n, "starting", 0);
	assert_string_equal(next(m), ready_text("starting"));
	notify_reloading(n, 123456789, 1);
	assert_string_equal(next(m), "RELOADING=1\nMONOTONIC_USEC=123456789\n");
	notify_ready(n, "reload refused: a.conf:3: no", 2);
	assert_string_equal(next(m), ready_text("reload refused: a.conf:3: no"));
	notify_stopping(n, "draining: waiting for 3 workers", 3);
	assert_string_equal(next(m), "STOPPING=1\nSTATUS=draining: waiting for 3 "
				     "workers\nEXTEND_TIMEOUT_USEC=30000000\n");
	notify_stopping(n, "again", 4);
	assert_string_equal(next(m), "");
	notify_close(n);
}

static void a_socket_in_the_file_system_serves_as_well(void **state)
{
	struct manager *m = *state;
	struct notify *n;
	char name[64];

	(void)close(m->fd);
	(void)snprintf(name, sizeof name, "/tmp/indexocr-t_notify-%ld", (long)getpid());
	listen_at(m, name);
	n = notify_open();
	notify_ready(n, "s", 0);
	assert_string_equal(next(m), ready_text("s"));
	notify_close(n);
}

static void status_goes_out_when_changed_and_every_few_seconds_at_most(void **state)
{
	const struct manager *m = *state;
	struct notify *n = notify_open();

	notify_ready(n, NULL, 1000);
	(void)next(m);
	notify_turn(n, "one", true, 1001);
	assert_string_equal(next(m), "STATUS=one\n");
	notify_turn(n, "two", true, 2000);
	notify_turn(n, "three", true, 6000);
	assert_string_equal(next(m), "");
	notify_turn(n, "three", true, 6001);
	assert_string_equal(next(m), "STATUS=three\n");
	notify_turn(n, "three", true, 60000);
	assert_string_equal(next(m), "");
	notify_turn(n, "four", true, 60001);
	assert_string_equal(next(m), "STATUS=four\n");
	notify_close(n);
}

static void a_status_can_forge_no_field_and_is_cut_between_characters(void **state)
{
	const struct manager *m = *state;
	struct notify *n = notify_open();
	char text[1400];

	notify_ready(n, NULL, 0);
	(void)next(m);
	notify_turn(n,
		"a\nMAINPID=1\r\x7f"
		"b",
		true, 0);
	assert_string_equal(next(m), "STATUS=a MAINPID=1  b\n");
	for (size_t i = 0; i + 2 <= sizeof text; i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	text[sizeof text - 2] = '\0';
	notify_turn(n, text, true, 5000);
	assert_int_equal(strlen(next(m)), strlen("STATUS=") + 1022 + 1);
	notify_close(n);
}

static void a_start_that_waits_is_given_more_time(void **state)
{
	const struct manager *m = *state;
	struct notify *n = notify_open();

	notify_turn(n, "waiting", true, 100);
	assert_string_equal(next(m), "STATUS=waiting\nEXTEND_TIMEOUT_USEC=30000000\n");
	notify_turn(n, "waiting", true, 5099);
	assert_string_equal(next(m), "");
	notify_turn(n, "waiting", true, 5100);
	assert_string_equal(next(m), "EXTEND_TIMEOUT_USEC=30000000\n");
	notify_ready(n, "s", 6000);
	assert_string_equal(next(m), ready_text("s"));
	notify_turn(n, "s", true, 60000);
	assert_string_equal(next(m), "");
	notify_close(n);
}

static void a_stop_is_given_more_time_while_it_is_told_of(void **state)
{
	const struct manager *m = *state;
	struct notify *n = notify_open();

	notify_ready(n, NULL, 0);
	notify_stopping(n, "draining", 0);
	(void)next(m);
	(void)next(m);
	notify_turn(n, "draining", true, 4999);
	assert_string_equal(next(m), "");
	notify_turn(n, "draining", true, 5000);
	assert_string_equal(next(m), "EXTEND_TIMEOUT_USEC=30000000\n");
	notify_turn(n, "drained", true, 10000);
	assert_string_equal(next(m), "STATUS=drained\nEXTEND_TIMEOUT_USEC=30000000\n");
	notify_close(n);
}

static void the_watchdog_is_fed_at_half_its_interval_while_all_live(void **state)
{
	const struct manager *m = *state;
	struct notify *n;
	char pid[32];

	(void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
	assert_int_equal(setenv("WATCHDOG_USEC", "60000000", 1), 0);
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	n = notify_open();
	notify_ready(n, NULL, 1000);
	(void)next(m);
	notify_turn(n, NULL, true, 1000);
	assert_string_equal(next(m), "WATCHDOG=1\n");
	assert_int_equal(notify_due_ms(n, 1000), 31000);
	notify_turn(n, NULL, true, 30999);
	assert_string_equal(next(m), "");
	notify_turn(n, NULL, false, 31000);
	assert_string_equal(next(m), "");
	assert_int_equal(notify_due_ms(n, 31000), -1);
	notify_turn(n, "back", true, 32000);
	assert_string_equal(next(m), "STATUS=back\nWATCHDOG=1\n");
	notify_turn(n, "back", true, 61999);
	assert_string_equal(next(m), "");
	notify_turn(n, "back", true, 62000);
	assert_string_equal(next(m), "WATCHDOG=1\n");
	notify_close(n);
}

static void a_watchdog_of_another_process_or_of_nonsense_is_none(void **state)
{
	static const char *const rows[][2] = {{"60000000", "1"}, {"", NULL}, {"x", NULL},
		{"-5", NULL}, {"60000000x", NULL}, {"99999999999999999999", NULL}, {"0", NULL}};
	struct manager *m = *state;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct notify *n;

		assert_int_equal(setenv("NOTIFY_SOCKET", m->name, 1), 0);
		assert_int_equal(setenv("WATCHDOG_USEC", rows[i][0], 1), 0);
		if (rows[i][1] != NULL)
			assert_int_equal(setenv("WATCHDOG_PID", rows[i][1], 1), 0);
		n = notify_open();
		notify_ready(n, NULL, 0);
		(void)next(m);
		notify_turn(n, NULL, true, 100);
		assert_string_equal(next(m), "");
		notify_close(n);
	}
}

static void a_manager_that_does_not_read_delays_nobody_and_hears_the_newest(void **state)
{
	const struct manager *m = *state;
	struct notify *n = notify_open();
	const char *text;

	(void)alarm(60); /* ends a test that waits for the reader */
	for (int i = 0; i < MANY; i++)
		notify_turn(n, i % 2 == 0 ? "even" : "odd", true, (int64_t)i * 5000);
	notify_ready(n, "here I am", INT64_C(1) << 40);
	for (text = next(m); *text != '\0'; text = next(m))
		assert_true(strncmp(text, "STATUS=even\n", strlen("STATUS=even\n")) == 0 ||
			    strncmp(text, "STATUS=odd\n", strlen("STATUS=odd\n")) == 0);
	notify_turn(n, "here I am", true, (INT64_C(1) << 40) + 1);
	assert_string_equal(next(m), ready_text("here I am"));
	(void)alarm(0);
	notify_close(n);
}

static void a_child_says_nothing(void **state)
{
	const struct manager *m = *state;
	struct notify *n = notify_open();

	notify_forget(n);
	notify_ready(n, "from a child", 0);
	assert_string_equal(next(m), "");
	notify_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			without_a_manager_nothing_is_said, open_manager, close_manager),
		cmocka_unit_test_setup_teardown(
			the_variables_leave_the_environment, open_manager, close_manager),
		cmocka_unit_test_setup_teardown(
			a_life_is_told_in_order, open_manager, close_manager),
		cmocka_unit_test_setup_teardown(
			a_socket_in_the_file_system_serves_as_well, open_manager, close_manager),
		cmocka_unit_test_setup_teardown(
			status_goes_out_when_changed_and_every_few_seconds_at_most, open_manager,
			close_manager),
		cmocka_unit_test_setup_teardown(
			a_status_can_forge_no_field_and_is_cut_between_characters, open_manager,
			close_manager),
		cmocka_unit_test_setup_teardown(
			a_start_that_waits_is_given_more_time, open_manager, close_manager),
		cmocka_unit_test_setup_teardown(
			a_stop_is_given_more_time_while_it_is_told_of, open_manager, close_manager),
		cmocka_unit_test_setup_teardown(
			the_watchdog_is_fed_at_half_its_interval_while_all_live, open_manager,
			close_manager),
		cmocka_unit_test_setup_teardown(
			a_watchdog_of_another_process_or_of_nonsense_is_none, open_manager,
			close_manager),
		cmocka_unit_test_setup_teardown(
			a_manager_that_does_not_read_delays_nobody_and_hears_the_newest,
			open_manager, close_manager),
		cmocka_unit_test_setup_teardown(a_child_says_nothing, open_manager, close_manager),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
