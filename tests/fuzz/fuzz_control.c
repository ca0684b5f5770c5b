/*
 * The control socket against clients of any kind. An input is a play of up to CROWD clients on a clock of its own: who connects,
 * says what bytes, reads, hangs up, and when the master looks. Whatever they do, every answer is one
 * whole line of JSON, and one more client gets his.
 */
#include "fuzz.h"

#include "buf.h"
#include "control.h"
#include "json.h"
#include "log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	CROWD = 100,
	BIG_BYTES = 300 * 1024, /* more than a socket takes at once */
	BIG_ANSWERS = 2,        /* of a play: they take time */
	SMALL_BYTES = 64 * 1024,
	TURNS_MAX = 200,
	TICK_MS = 50,
	PATH_BYTES = 64
};

enum act { CONNECT, SAY, SERVE, READ, WAIT, SHUT, CLOSE, REQUEST, ACTS };

struct client {
	int fd; /* -1 = none */
	struct buf got;
};

struct play {
	struct control *control;
	char path[PATH_BYTES];
	int64_t now_ms;
	int big_answers;
	struct client crowd[CROWD];
	const uint8_t *script; /* what is left of it */
	size_t left;
};

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "not so: %s\n", what);
	abort();
}

/* ---- the master's side */

static void check_request(const struct control_request *request)
{
	must(strlen(request->word) < 32, "only words of the table are run");
	must(strlen(request->argument) < 256, "arguments are bounded");
	for (const char *c = request->argument; *c != '\0'; c++)
		must(*c > ' ' && *c <= '~', "arguments are printable");
	must(request->uid == getuid(), "the kernel says who asks");
}

static cJSON *status(void *arg, const struct control_request *request)
{
	cJSON *out = control_done();

	(void)arg;
	check_request(request);
	json_add_text(out, "argument", request->argument);
	return out;
}

static cJSON *big(void *arg, const struct control_request *request)
{
	static char text[BIG_BYTES];
	struct play *p = arg;
	cJSON *out = control_done();

	check_request(request);
	memset(text, 'x', sizeof text - 1);
	if (p->big_answers++ < BIG_ANSWERS)
		json_add_text(out, "big", text);
	return out;
}

static const struct control_command commands[] = {
	{"status", status, CONTROL_LOOKS | CONTROL_WHILE_DRAINING},
	{"drain", status, CONTROL_WHILE_DRAINING},
	{"scale", status, CONTROL_ARGUMENT},
	{"big", big, CONTROL_LOOKS},
	{NULL, NULL, 0},
};

static void serve(struct play *p)
{
	struct pollfd fds[CONTROL_FDS_MAX + 1];

	control_serve(p->control, p->now_ms, commands, false, p);
	must(control_poll_fds(p->control, fds) <= CONTROL_FDS_MAX, "places are bounded");
}

/* ---- the clients' side */

static int connected(const struct play *p)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, p->path, sizeof p->path);
	if (fd != -1 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		(void)close(fd); /* too many wait at the door */
		fd = -1;
	}
	return fd;
}

/* True = the connection has ended. */
static bool read_all(struct client *c)
{
	static char bytes[SMALL_BYTES];

	for (;;) {
		const ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n <= 0)
			return true;
		must(buf_add(&c->got, bytes, (size_t)n) == 0, "an answer is bounded");
	}
}

/* One line of JSON; a big one may have been given up on its way. */
static void check_answer(const struct client *c)
{
	const char *text = buf_text(&c->got);
	const char *end = strchr(text, '\n');
	cJSON *tree;

	if (c->got.len == 0 || (end == NULL && c->got.len > SMALL_BYTES))
		return;
	must(end != NULL && end == text + c->got.len - 1, "an answer is one line");
	tree = json_parse(text, c->got.len);
	must(tree != NULL, "an answer is JSON");
	must(json_bool(tree, "ok", false) || json_text(tree, "code") != NULL,
		"a refusal has its code");
	cJSON_Delete(tree);
}

static void hang_up(struct client *c)
{
	if (c->fd == -1)
		return;
	if (read_all(c))
		check_answer(c);
	(void)close(c->fd);
	c->fd = -1;
	buf_fini(&c->got);
}

/* ---- the play */

static uint8_t next(struct play *p)
{
	if (p->left == 0)
		return 0;
	p->left--;
	return *p->script++;
}

static void say(struct play *p, int fd)
{
	const size_t wanted = next(p);
	const size_t len = wanted < p->left ? wanted : p->left;

	if (fd != -1)
		(void)!send(fd, p->script, len, MSG_NOSIGNAL);
	p->script += len;
	p->left -= len;
}

static void request(int fd, uint8_t which)
{
	static const char *const lines[] = {"status\n", "big\n", "scale 7\n", "drain\n"};
	const char *line = lines[which % (sizeof lines / sizeof lines[0])];

	if (fd != -1)
		(void)!send(fd, line, strlen(line), MSG_NOSIGNAL);
}

static void act(struct play *p)
{
	const enum act what = next(p) % ACTS;
	const uint8_t who = next(p);
	struct client *c = &p->crowd[who % CROWD];

	if (what == CONNECT && c->fd == -1)
		c->fd = connected(p);
	else if (what == SAY)
		say(p, c->fd);
	else if (what == REQUEST)
		request(c->fd, next(p));
	else if (what == SERVE)
		serve(p);
	else if (what == WAIT)
		p->now_ms += who * TICK_MS;
	else if (what == READ && c->fd != -1 && read_all(c))
		hang_up(c);
	else if (what == SHUT && c->fd != -1)
		(void)shutdown(c->fd, SHUT_WR);
	else if (what == CLOSE)
		hang_up(c);
}

/* Whoever is still there and whatever they are up to: he asks, and is answered. */
static void answer_one_more(struct play *p)
{
	struct client c = {.fd = -1};
	bool ended = false;

	buf_init(&c.got, 1 << 20);
	for (int i = 0; i < TURNS_MAX && c.fd == -1; i++) {
		c.fd = connected(p);
		if (c.fd == -1)
			serve(p);
	}
	must(c.fd != -1, "one more client comes in");
	request(c.fd, 0);
	for (int i = 0; i < TURNS_MAX && !ended; i++) {
		serve(p);
		ended = read_all(&c);
	}
	must(ended && c.got.len > 0, "one more client is answered");
	hang_up(&c);
}

static void begin(struct play *p)
{
	static const struct set_log silent = {.to_stderr = LOG_STDERR_NONE};
	struct err err;

	(void)log_open(&silent, "fuzz", NULL, &err);
	(void)snprintf(p->path, sizeof p->path, "/tmp/fuzz_control.%ld", (long)getpid());
	must(control_open(&p->control, p->path, &err) == 0, err.text);
	for (int i = 0; i < CROWD; i++) {
		p->crowd[i].fd = -1;
		buf_init(&p->crowd[i].got, 1 << 20);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play p = {.now_ms = 1000000, .script = data, .left = size};

	begin(&p);
	while (p.left > 0)
		act(&p);
	answer_one_more(&p);
	for (int i = 0; i < CROWD; i++)
		hang_up(&p.crowd[i]);
	control_close(p.control);
	must(access(p.path, F_OK) != 0, "the file is gone");
	return 0;
}
