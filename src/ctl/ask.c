/* The client's side of the control socket. */
#include "buf.h"
#include "clock.h"
#include "control_line.h"
#include "ctl.h"
#include "fdio.h"
#include "json.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, REPLY_MS = 5000, AGAIN_MS = 50 };

/* A daemon can be asked although the file on the disk is bad meanwhile: that is when people ask. */
static const char *socket_path(struct ctl *ctl)
{
	const struct settings *s = ctl->socket == NULL ? ctl_settings(ctl) : NULL;

	if (ctl->socket != NULL)
		return ctl->socket;
	return s != NULL ? s->status.socket : RUNSTATEDIR "/indexocr/control.sock";
}

static int no_connection(const char *path, struct err *err)
{
	if (errno == EACCES || errno == EPERM)
		return err_set(err, ERR_SYSTEM, "denied",
			"you may not open %s: root, the daemon's user and members of its group may",
			path);
	if (errno == EAGAIN)
		return err_set(err, ERR_TRANSIENT, "timeout",
			"the daemon takes no connections on %s: is its master stopped?", path);
	return err_errno(err, ERR_TRANSIENT, "no daemon answers on %s", path);
}

/* Where the daemon takes nobody in, connect() would wait for ever. */
static int connect_to(const char *path, struct err *err)
{
	const struct timeval most = {.tv_sec = REPLY_MS / 1000};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof address.sun_path)
		return err_set(err, ERR_CONFIG, "socket", "%s is longer than %zu characters", path,
			sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most) != 0 ||
		connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		(void)no_connection(path, err);
		fd_close(&fd);
	}
	return fd;
}

/* 0 = all of it, 1 = the connection ended before a byte came. */
static int read_reply(int fd, struct buf *reply, int64_t deadline_ms, struct err *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		char *room = buf_reserve(reply, READ_BYTES);
		ssize_t n;

		if (room == NULL)
			return err_set(err, ERR_BUG, "reply",
				"the daemon's answer is over %d bytes", CONTROL_REPLY_BYTES);
		if (poll(&p, 1, clock_left_ms(deadline_ms)) == 0)
			return err_set(err, ERR_TRANSIENT, "timeout",
				"the daemon did not answer within %d s", REPLY_MS / 1000);
		n = recv(fd, room, READ_BYTES, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <=
			0) /* also a reset: what we sent was not read, as an answer stood before it came */
			return reply->len == 0 ? 1 : 0;
		reply->len += (size_t)n;
		reply->data[reply->len] = '\0';
	}
}

/* As read_reply(). That the daemon reads nothing more is no fault: it may have answered already. */
static int exchange(
	const char *path, const char *line, struct buf *reply, int64_t deadline_ms, struct err *err)
{
	int fd = connect_to(path, err);
	int rc;

	if (fd == -1)
		return -1;
	(void)!send(fd, line, strlen(line), MSG_NOSIGNAL);
	rc = read_reply(fd, reply, deadline_ms, err);
	fd_close(&fd);
	return rc;
}

/* Where the daemon has more clients than places it may let one go without a word: that one comes again. */
static int persist(const char *path, const char *line, struct buf *reply, struct err *err)
{
	const int64_t deadline_ms = clock_boot_ms() + REPLY_MS;
	int rc;

	while ((rc = exchange(path, line, reply, deadline_ms, err)) == 1) {
		if (clock_left_ms(deadline_ms) == 0)
			return err_set(err, ERR_TRANSIENT, "busy",
				"the daemon has no place for another client on %s", path);
		(void)poll(NULL, 0, AGAIN_MS);
	}
	return rc;
}

cJSON *ctl_ask(struct ctl *ctl, const char *command, struct err *err)
{
	char line[CONTROL_LINE_BYTES];
	cJSON *out = NULL;
	struct buf reply;

	(void)snprintf(line, sizeof line, "%s\n", command);
	buf_init(&reply, CONTROL_REPLY_BYTES);
	if (persist(socket_path(ctl), line, &reply, err) == 0) {
		out = json_parse(buf_text(&reply), reply.len);
		if (out == NULL)
			(void)err_set(
				err, ERR_TRANSIENT, "reply", "the daemon's answer was cut off");
	}
	buf_fini(&reply);
	return out;
}

int ctl_judge(const cJSON *reply, struct err *err)
{
	const char *code = json_text(reply, "code");
	const char *error = json_text(reply, "error");

	if (json_bool(reply, "ok", true))
		return 0;
	code = code != NULL ? code : "refused";
	return err_set(err, strcmp(code, "config") == 0 ? ERR_CONFIG : ERR_TRANSIENT, code, "%s",
		error != NULL ? error : "the daemon refuses, and does not say why");
}

void ctl_print_json(const cJSON *tree)
{
	char *text = json_print(tree);

	(void)puts(text);
	free(text);
}
