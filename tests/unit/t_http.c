/*
 * Specification of http.h, against a server of a few lines that this test forks.
 */
#include "clock.h"
#include "http.h"
#include "http_body.h"
#include "mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT_S = 60, MANY = 6 };

/* ---- the server: one process a connection, one answer a request -------------------------------
 */

struct served {
	char path[512];
	size_t body_bytes;
	char *body;
	char head[8192];
};

static void say(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
}

static bool read_request(int fd, struct served *r)
{
	size_t len = 0;
	char *end = NULL;
	const char *length;
	size_t have;

	memset(r->head, 0, sizeof r->head);
	while (end == NULL && len < sizeof r->head - 1) {
		const ssize_t n = read(fd, r->head + len, sizeof r->head - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		if (r->head[0] == 0x16) /* the hello of TLS */
			return false;
		end = strstr(r->head, "\r\n\r\n");
	}
	if (end == NULL || sscanf(r->head, "%*s %511s", r->path) != 1)
		return false;
	length = strstr(r->head, "Content-Length: ");
	r->body_bytes = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
	r->body = calloc(r->body_bytes + 1, 1);
	have = len - (size_t)(end + 4 - r->head);
	memcpy(r->body, end + 4, have);
	while (have < r->body_bytes) {
		const ssize_t n = read(fd, r->body + have, r->body_bytes - have);

		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	return true;
}

static void answer(int fd, int status, const char *headers, const char *body, size_t bytes)
{
	char head[9216];

	(void)snprintf(head, sizeof head, "HTTP/1.1 %d Status\r\n%sContent-Length: %zu\r\n\r\n",
		status, headers, bytes);
	say(fd, head);
	(void)!write(fd, body, bytes);
}

static void serve_endless(int fd, int status)
{
	static const char junk[4096];
	char head[64];

	(void)snprintf(head, sizeof head, "HTTP/1.1 %d Status\r\n\r\n", status);
	say(fd, head);
	while (write(fd, junk, sizeof junk) > 0)
		;
}

/* false: close the connection. */
static bool serve(int fd, const struct served *r)
{
	if (strcmp(r->path, "/echo") == 0)
		answer(fd, 200, "X-Kind: echo\r\n", r->body, r->body_bytes);
	else if (strcmp(r->path, "/head") == 0)
		answer(fd, 200, "", r->head, strlen(r->head));
	else if (strncmp(r->path, "/path/", 6) == 0)
		answer(fd, 200, "", r->path, strlen(r->path));
	else if (strcmp(r->path, "/503") == 0)
		answer(fd, 503, "retry-after: 7\r\n", "busy", 4);
	else if (strcmp(r->path, "/redirect") == 0)
		answer(fd, 302, "Location: /echo\r\n", "", 0);
	else if (strcmp(r->path, "/endless") == 0)
		serve_endless(fd, 200);
	else if (strcmp(r->path, "/endless-error") == 0)
		serve_endless(fd, 500);
	else if (strcmp(r->path, "/cut") == 0)
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
	else if (strcmp(r->path, "/garbage") == 0)
		say(fd, "SSH-2.0-OpenSSH_9.2\r\n");
	else if (strcmp(r->path, "/headers") == 0)
		for (say(fd, "HTTP/1.1 200 OK\r\n"); write(fd, "X-Y: z\r\n", 8) > 0;)
			;
	else if (strcmp(r->path, "/silent") == 0)
		(void)pause();
	else
		return false;
	return strcmp(r->path, "/cut") != 0 && strcmp(r->path, "/garbage") != 0;
}

static void serve_connection(int fd)
{
	struct served r;

	(void)alarm(LIMIT_S);
	while (read_request(fd, &r) && serve(fd, &r))
		free(r.body);
	_exit(0);
}

static void serve_all(int listener)
{
	(void)alarm(LIMIT_S);
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		const int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			_exit(0);
		if (fork() == 0)
			serve_connection(fd);
		(void)close(fd);
	}
}

struct world {
	pid_t server;
	uint16_t port;
	pid_t unix_server;
	char unix_path[64];
	char directory[32];
	struct http *http;
	struct err err;
};

/* A group of its own, so that tear_down() ends its connections with it; the alarm is for a test
 * that never gets there. */
static pid_t fork_server(int listener)
{
	const pid_t pid = fork();

	if (pid == 0) {
		(void)setpgid(0, 0);
		serve_all(listener);
	}
	(void)setpgid(pid, pid);
	(void)close(listener);
	return pid;
}

static int listen_tcp(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	const int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static int listen_unix(struct world *w)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(w->directory, sizeof w->directory, "/tmp/t_http.XXXXXX");
	assert_non_null(mkdtemp(w->directory));
	(void)snprintf(w->unix_path, sizeof w->unix_path, "%s/s", w->directory);
	(void)snprintf(at.sun_path, sizeof at.sun_path, "%s", w->unix_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	(void)alarm(LIMIT_S);
	(void)signal(SIGPIPE, SIG_IGN);
	w->server = fork_server(listen_tcp(&w->port));
	w->unix_server = fork_server(listen_unix(w));
	/* A proxy that is not there: loopback must not ask it. */
	(void)setenv("http_proxy", "http://127.0.0.1:1", 1);
	*state = w;
	return http_new(&w->http, &w->err);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	http_free_all(w->http);
	(void)kill(-w->server, SIGKILL);
	(void)kill(-w->unix_server, SIGKILL);
	(void)waitpid(w->server, NULL, 0);
	(void)waitpid(w->unix_server, NULL, 0);
	(void)unlink(w->unix_path);
	(void)rmdir(w->directory);
	free(w);
	return 0;
}

/* ---- helpers ----------------------------------------------------------------------------------
 */

static char url_text[1024];

static const char *url(const struct world *w, const char *path)
{
	(void)snprintf(url_text, sizeof url_text, "http://127.0.0.1:%u%s", w->port, path);
	return url_text;
}

static struct http_request get(const struct world *w, const char *path)
{
	return (struct http_request){.method = "GET",
		.url = url(w, path),
		.timeout_ms = 20000,
		.connect_timeout_ms = 5000,
		.max_response_bytes = 1 << 20};
}

static struct http_exchange *run(struct world *w, const struct http_request *request)
{
	struct http_exchange *x;

	if (http_run(w->http, request, &x, &w->err) != 0)
		fail_msg("%s: %s", w->err.code, w->err.text);
	return x;
}

static void expect_fault(
	struct world *w, const struct http_request *request, enum err_kind kind, const char *code)
{
	struct http_exchange *x;

	assert_int_equal(http_run(w->http, request, &x, &w->err), -1);
	assert_null(x);
	assert_string_equal(w->err.code, code);
	assert_int_equal(w->err.kind, kind);
}

/* ---- the body ---------------------------------------------------------------------------------
 */

static void base64_is_that_of_rfc_4648(void **state)
{
	static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
		{"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "+//+"}};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		const struct http_part part = {pairs[i][0], strlen(pairs[i][0]), true};
		struct http_body body;
		char text[64] = "";

		http_body_init(&body, &part, 1);
		assert_int_equal(http_body_bytes(&body), strlen(pairs[i][1]));
		text[http_body_read(&body, text, sizeof text - 1)] = '\0';
		assert_string_equal(text, pairs[i][1]);
		http_body_fini(&body);
	}
}

static const struct http_part mixed[] = {{"{\"data\":\"", 9, false}, {"", 0, true},
	{"any carnal pleas", 16, true}, {"", 0, false}, {"\"}", 2, false}};
static const char mixed_text[] = "{\"data\":\"YW55IGNhcm5hbCBwbGVhcw==\"}";

static void a_body_can_be_read_from_every_position_in_pieces_of_every_size(void **state)
{
	struct http_body body;
	const size_t whole = sizeof mixed_text - 1;

	(void)state;
	http_body_init(&body, mixed, sizeof mixed / sizeof mixed[0]);
	assert_int_equal(http_body_bytes(&body), whole);
	for (size_t from = 0; from <= whole + 1; from++)
		for (size_t piece = 1; piece <= whole; piece++) {
			char text[64] = "";
			size_t len = 0;
			size_t n;

			http_body_seek(&body, (int64_t)from);
			while ((n = http_body_read(&body, text + len, piece)) > 0)
				len += n;
			assert_string_equal(text, from < whole ? mixed_text + from : "");
		}
	http_body_fini(&body);
}

static void a_body_arrives_as_its_parts_with_an_exact_length(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/echo");
	struct http_exchange *x;

	request.method = "POST";
	request.parts = mixed;
	request.part_count = sizeof mixed / sizeof mixed[0];
	x = run(w, &request);
	assert_int_equal(http_status(x), 200);
	assert_string_equal(buf_text(http_body(x)), mixed_text);
	assert_string_equal(http_header(x, "x-kind"), "echo");
	assert_string_equal(http_header(x, "X-KIND"), "echo");
	assert_null(http_header(x, "x-other"));
	http_free(x);
}

static void a_large_body_is_sent_whole_and_without_expect(void **state)
{
	enum { BYTES = 3000001 };
	struct world *w = *state;
	struct http_request request = get(w, "/echo");
	char *image = mem_calloc(BYTES, 1);
	const struct http_part part = {image, BYTES, true};
	struct http_exchange *x;

	memset(image, 'x', BYTES);
	request.method = "PUT";
	request.parts = &part;
	request.part_count = 1;
	request.max_response_bytes = 8 << 20;
	x = run(w, &request);
	assert_int_equal(http_body(x)->len, (BYTES + 2) / 3 * 4);
	http_free(x);
	free(image);
}

/* ---- the request ------------------------------------------------------------------------------
 */

static void headers_are_sent_and_the_program_names_itself(void **state)
{
	struct world *w = *state;
	const char *const headers[] = {"x-goog-api-key: secret", NULL};
	struct http_request request = get(w, "/head");
	struct http_exchange *x;

	request.headers = headers;
	request.method = "POST";
	x = run(w, &request);
	assert_non_null(strstr(buf_text(http_body(x)), "x-goog-api-key: secret\r\n"));
	assert_non_null(strstr(buf_text(http_body(x)), "User-Agent: indexocr/" PACKAGE_VERSION));
	assert_non_null(strstr(buf_text(http_body(x)), "Content-Length: 0\r\n"));
	assert_null(strstr(buf_text(http_body(x)), "Expect"));
	http_free(x);
}

static void a_path_is_sent_as_it_is(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/path/a/../b/./%2e%2e/c%2Fd");
	struct http_exchange *x = run(w, &request);

	assert_string_equal(buf_text(http_body(x)), "/path/a/../b/./%2e%2e/c%2Fd");
	http_free(x);
}

static void what_cannot_be_an_address_is_refused_before_anything_is_sent(void **state)
{
	struct world *w = *state;
	static const char *const bad[] = {"", "127.0.0.1/x", "ftp://127.0.0.1/x",
		"file:///etc/passwd", "http://", "http://user:geheim@127.0.0.1/",
		"http://127.0.0.1:99999/", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct http_request request = get(w, "/");

		request.url = bad[i];
		expect_fault(w, &request, ERR_CONFIG, "url");
		assert_null(strstr(w->err.text, "geheim"));
	}
}

static void a_line_break_in_a_header_is_refused_and_its_value_not_shown(void **state)
{
	struct world *w = *state;
	const char *const headers[] = {"apikey: geheim\nX: y", NULL};
	struct http_request request = get(w, "/head");

	request.headers = headers;
	expect_fault(w, &request, ERR_CONFIG, "header");
	assert_non_null(strstr(w->err.text, "apikey"));
	assert_null(strstr(w->err.text, "geheim"));
}

/* ---- the answer -------------------------------------------------------------------------------
 */

static void other_statuses_are_answers_too(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/503");
	struct http_exchange *x = run(w, &request);

	assert_int_equal(http_status(x), 503);
	assert_string_equal(buf_text(http_body(x)), "busy");
	assert_string_equal(http_header(x, "Retry-After"), "7");
	http_free(x);
}

static void redirects_are_not_followed(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/redirect");
	struct http_exchange *x = run(w, &request);

	assert_int_equal(http_status(x), 302);
	http_free(x);
}

static void an_answer_past_the_bound_is_an_error(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/endless");

	expect_fault(w, &request, ERR_DOCUMENT, "too-large");
}

static void an_explanation_past_its_bound_is_cut(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/endless-error");
	struct http_exchange *x = run(w, &request);

	assert_int_equal(http_status(x), 500);
	assert_true(http_body(x)->len <= request.max_response_bytes);
	http_free(x);
}

static void endless_headers_are_cut_off(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/headers");

	expect_fault(w, &request, ERR_TRANSIENT, "cut");
}

static int count_bytes(void *arg, const void *data, size_t len, struct err *err)
{
	size_t *sum = arg;

	(void)data;
	*sum += len;
	if (*sum > 100000)
		return err_set(err, ERR_SYSTEM, "disk-full", "no room");
	return 0;
}

static void a_sink_gets_the_content_and_can_end_it(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/endless");
	size_t sum = 0;

	request.sink = count_bytes;
	request.sink_arg = &sum;
	expect_fault(w, &request, ERR_SYSTEM, "disk-full");
	assert_true(sum > 100000);
}

static void a_sink_gets_no_explanations(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/503");
	struct http_exchange *x;
	size_t sum = 0;

	request.sink = count_bytes;
	request.sink_arg = &sum;
	x = run(w, &request);
	assert_int_equal(sum, 0);
	assert_string_equal(buf_text(http_body(x)), "busy");
	http_free(x);
}

static void broken_answers_are_transient_and_name_no_path(void **state)
{
	struct world *w = *state;
	static const char *const paths[] = {"/cut", "/garbage", "/close?token=geheim"};

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		struct http_request request = get(w, paths[i]);

		expect_fault(w, &request, ERR_TRANSIENT, "cut");
		assert_non_null(strstr(w->err.text, "127.0.0.1"));
		assert_null(strstr(w->err.text, "geheim"));
	}
}

static void silence_ends_with_the_timeout(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/silent");

	request.timeout_ms = 100;
	expect_fault(w, &request, ERR_TRANSIENT, "timeout");
}

static void a_closed_port_is_a_connect_fault(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/");
	uint16_t port;
	const int fd = listen_tcp(&port);
	char address[64];

	(void)close(fd);
	(void)snprintf(address, sizeof address, "http://127.0.0.1:%u/", port);
	request.url = address;
	expect_fault(w, &request, ERR_TRANSIENT, "connect");
}

static void tls_with_who_speaks_none_is_a_tls_fault(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/");
	char address[64];

	(void)snprintf(address, sizeof address, "https://127.0.0.1:%u/", w->port);
	request.url = address;
	expect_fault(w, &request, ERR_TRANSIENT, "tls");
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static void exchanges_run_side_by_side_and_each_is_given_out_once(void **state)
{
	struct world *w = *state;
	struct http_request silent = get(w, "/silent");
	struct http_exchange *hanging;
	struct http_exchange *x;
	int owners[MANY] = {0};
	int seen = 0;

	assert_int_equal(http_start(w->http, &silent, &hanging, &w->err), 0);
	for (int i = 0; i < MANY; i++) {
		struct http_request request = get(w, "/503");

		request.owner = &owners[i];
		assert_int_equal(http_start(w->http, &request, &x, &w->err), 0);
	}
	while (seen < MANY) {
		assert_int_equal(http_wait(w->http, NULL, 0, 1000, &w->err), 0);
		while ((x = http_finished(w->http)) != NULL) {
			if (http_result(x, &w->err) != 0)
				fail_msg("%s: %s", w->err.code, w->err.text);
			assert_int_equal(http_status(x), 503);
			++*(int *)http_owner(x);
			seen++;
			http_free(x);
		}
	}
	for (int i = 0; i < MANY; i++)
		assert_int_equal(owners[i], 1);
	http_free(hanging);
}

static void a_sleep_moves_exchanges_along_and_is_not_cut_short_by_their_end(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/503");
	struct http_exchange *x;
	int64_t before_ms;

	assert_int_equal(http_start(w->http, &request, &x, &w->err), 0);
	for (int naps = 0; (x = http_finished(w->http)) == NULL && naps < 1000; naps++)
		assert_int_equal(http_sleep(w->http, 10, &w->err), 0);
	assert_non_null(x);
	http_free(x);
	/* An answer that nobody takes: http_wait() does not wait any more. */
	assert_int_equal(http_start(w->http, &request, &x, &w->err), 0);
	for (int waits = 0; waits < 50; waits++)
		assert_int_equal(http_wait(w->http, NULL, 0, 20, &w->err), 0);
	before_ms = clock_boot_ms();
	assert_int_equal(http_sleep(w->http, 100, &w->err), 0);
	assert_true(clock_boot_ms() - before_ms >= 100);
	http_free(x);
}

static void a_hang_up_of_an_extra_descriptor_is_seen(void **state)
{
	struct world *w = *state;
	int ends[2];
	struct pollfd fds[2];

	assert_int_equal(pipe(ends), 0);
	fds[0] = (struct pollfd){.fd = -1, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = ends[0], .events = POLLIN};
	(void)close(ends[1]);
	assert_int_equal(http_wait(w->http, fds, 2, 10000, &w->err), 0);
	assert_int_equal(fds[0].revents, 0);
	assert_true(fds[1].revents & POLLHUP);
	(void)close(ends[0]);
}

static int stop(void *arg, struct err *err)
{
	const int fd = *(int *)arg;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 0) == 1)
		return err_set(err, ERR_STOPPED, "stopped", "asked to stop");
	return 0;
}

static void the_check_ends_a_wait_and_a_run(void **state)
{
	struct world *w = *state;
	struct http_request request = get(w, "/silent");
	struct pollfd watched;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	watched = (struct pollfd){.fd = ends[0], .events = POLLIN};
	http_watch(w->http, &watched, 1, stop, &ends[0]);
	assert_int_equal(http_wait(w->http, NULL, 0, 0, &w->err), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(http_wait(w->http, NULL, 0, 10000, &w->err), -1);
	assert_int_equal(w->err.kind, ERR_STOPPED);
	expect_fault(w, &request, ERR_STOPPED, "stopped");
	http_watch(w->http, NULL, 0, NULL, NULL);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* ---- streams ----------------------------------------------------------------------------------
 */

static void talk(struct http_stream *s)
{
	static const char request[] = "GET /path/x HTTP/1.1\r\nHost: x\r\n\r\n";
	struct err err;
	char text[256] = "";
	size_t len = 0;

	assert_int_equal(
		http_stream_send(s, request, sizeof request - 1, &err), sizeof request - 1);
	while (strstr(text, "/path/x") == NULL) {
		struct pollfd p = {.fd = http_stream_fd(s), .events = POLLIN};
		const long n = http_stream_recv(s, text + len, sizeof text - 1 - len, &err);

		assert_true(n >= 0);
		len += (size_t)n;
		if (n == 0)
			assert_int_equal(poll(&p, 1, 10000), 1);
	}
}

static void a_stream_carries_bytes_over_tcp(void **state)
{
	const struct world *w = *state;
	struct http_stream *s;
	struct err err;

	assert_int_equal(http_stream_open(&s, "127.0.0.1", w->port, false, NULL, 5000, &err), 0);
	talk(s);
	http_stream_close(s);
}

static void a_stream_carries_bytes_over_a_unix_socket(void **state)
{
	const struct world *w = *state;
	struct http_stream *s;
	struct err err;

	assert_int_equal(http_stream_open(&s, NULL, 0, false, w->unix_path, 5000, &err), 0);
	talk(s);
	http_stream_close(s);
}

static void the_end_of_a_stream_is_an_error(void **state)
{
	const struct world *w = *state;
	struct http_stream *s;
	struct err err;
	char text[16];
	long n;

	assert_int_equal(http_stream_open(&s, "127.0.0.1", w->port, false, NULL, 5000, &err), 0);
	assert_int_equal(http_stream_send(s, "GET /close HTTP/1.1\r\n\r\n", 23, &err), 23);
	while ((n = http_stream_recv(s, text, sizeof text, &err)) == 0) {
		struct pollfd p = {.fd = http_stream_fd(s), .events = POLLIN};

		assert_int_equal(poll(&p, 1, 10000), 1);
	}
	assert_int_equal(n, -1);
	assert_string_equal(err.code, "cut");
	http_stream_close(s);
}

static void a_stream_that_cannot_be_opened_says_why(void **state)
{
	struct http_stream *s;
	struct err err;

	(void)state;
	assert_int_equal(
		http_stream_open(&s, NULL, 0, false, "/nonexistent/socket", 1000, &err), -1);
	assert_null(s);
	assert_string_equal(err.code, "connect");
	assert_non_null(strstr(err.text, "/nonexistent/socket"));
}

static void escaping_leaves_nothing_that_means_something_in_a_path(void **state)
{
	char *text = http_escape("a b/c?d#e%f+é.pdf");

	(void)state;
	assert_string_equal(text, "a%20b%2Fc%3Fd%23e%25f%2B%C3%A9.pdf");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_is_that_of_rfc_4648),
		cmocka_unit_test(a_body_can_be_read_from_every_position_in_pieces_of_every_size),
		cmocka_unit_test(a_body_arrives_as_its_parts_with_an_exact_length),
		cmocka_unit_test(a_large_body_is_sent_whole_and_without_expect),
		cmocka_unit_test(headers_are_sent_and_the_program_names_itself),
		cmocka_unit_test(a_path_is_sent_as_it_is),
		cmocka_unit_test(what_cannot_be_an_address_is_refused_before_anything_is_sent),
		cmocka_unit_test(a_line_break_in_a_header_is_refused_and_its_value_not_shown),
		cmocka_unit_test(other_statuses_are_answers_too),
		cmocka_unit_test(redirects_are_not_followed),
		cmocka_unit_test(an_answer_past_the_bound_is_an_error),
		cmocka_unit_test(an_explanation_past_its_bound_is_cut),
		cmocka_unit_test(endless_headers_are_cut_off),
		cmocka_unit_test(a_sink_gets_the_content_and_can_end_it),
		cmocka_unit_test(a_sink_gets_no_explanations),
		cmocka_unit_test(broken_answers_are_transient_and_name_no_path),
		cmocka_unit_test(silence_ends_with_the_timeout),
		cmocka_unit_test(a_closed_port_is_a_connect_fault),
		cmocka_unit_test(tls_with_who_speaks_none_is_a_tls_fault),
		cmocka_unit_test(exchanges_run_side_by_side_and_each_is_given_out_once),
		cmocka_unit_test(a_sleep_moves_exchanges_along_and_is_not_cut_short_by_their_end),
		cmocka_unit_test(a_hang_up_of_an_extra_descriptor_is_seen),
		cmocka_unit_test(the_check_ends_a_wait_and_a_run),
		cmocka_unit_test(a_stream_carries_bytes_over_tcp),
		cmocka_unit_test(a_stream_carries_bytes_over_a_unix_socket),
		cmocka_unit_test(the_end_of_a_stream_is_an_error),
		cmocka_unit_test(a_stream_that_cannot_be_opened_says_why),
		cmocka_unit_test(escaping_leaves_nothing_that_means_something_in_a_path),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
