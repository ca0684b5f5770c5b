#include "control.h"

#include "buf.h"
#include "clock.h"
#include "fdio.h"
#include "json.h"
#include "mem.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	CLIENTS_MAX = CONTROL_FDS_MAX - 1,
	LINE_MAX_BYTES = 256,
	REPLY_MAX_BYTES = 4 << 20,
	CLIENT_MS = 5000,
	ACCEPT_RETRY_MS = 1000
};

struct client {
	int fd; /* -1 = free */
	int64_t deadline_ms;
	char line[LINE_MAX_BYTES];
	size_t line_len;
	struct buf reply; /* not empty: being sent */
	size_t sent;
};

struct control {
	int fd;
	char *path;
	int64_t accept_ms; /* no new client before: descriptors had run out */
	struct client clients[CLIENTS_MAX];
};

/* A socket file that answers belongs to a daemon that lives; one that does not is a leftover. */
static bool somebody_listens(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers = false;

	if (fd != -1)
		answers = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
			  errno == EAGAIN;
	fd_close(&fd);
	return answers;
}

static int listen_at(int fd, const char *path, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(path) >= sizeof address.sun_path)
		return err_set(err, ERR_SYSTEM, "socket",
			"status.socket %s is longer than %zu characters", path,
			sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (somebody_listens(&address))
		return err_set(err, ERR_SYSTEM, "socket", "another daemon listens on %s", path);
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(err, ERR_SYSTEM, "socket",
			"status.socket %s is there and no socket: remove it, or name another path",
			path);
	(void)unlink(path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
		chmod(path, 0660) != 0 || listen(fd, CLIENTS_MAX) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot listen on %s", path);
	return 0;
}

/* The group of the daemon's user may connect. */
static void give_to_group(const char *path, const char *user)
{
	const struct passwd *pw = geteuid() == 0 && user[0] != '\0' ? getpwnam(user) : NULL;

	if (pw != NULL)
		(void)!chown(path, (uid_t)-1, pw->pw_gid);
}

static int open_listener(int *fd, const char *path, const char *user, struct err *err)
{
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd == -1)
		return err_errno(err, ERR_SYSTEM, "cannot make the control socket");
	if (listen_at(*fd, path, err) != 0) {
		fd_close(fd);
		return -1;
	}
	give_to_group(path, user);
	return 0;
}

int control_open(struct control **out, const char *path, const char *user, struct err *err)
{
	struct control *c = mem_calloc(1, sizeof *c);

	for (int i = 0; i < CLIENTS_MAX; i++)
		c->clients[i].fd = -1;
	if (open_listener(&c->fd, path, user, err) != 0) {
		control_close(c);
		return -1;
	}
	c->path = mem_strdup(path);
	*out = c;
	return 0;
}

int control_move(struct control *c, const char *path, const char *user, struct err *err)
{
	int fd;

	if (c == NULL || strcmp(path, c->path) == 0)
		return 0;
	if (open_listener(&fd, path, user, err) != 0)
		return -1;
	(void)unlink(c->path);
	free(c->path);
	fd_close(&c->fd);
	c->fd = fd;
	c->path = mem_strdup(path);
	return 0;
}

/* A listener that cannot be served would be readable for ever. */
static bool may_accept(const struct control *c)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i].fd == -1)
			return clock_boot_ms() >= c->accept_ms;
	return false;
}

size_t control_poll_fds(const struct control *c, struct pollfd *fds)
{
	size_t count = 0;

	if (c == NULL)
		return 0;
	if (may_accept(c))
		fds[count++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i].fd != -1)
			fds[count++] = (struct pollfd){.fd = c->clients[i].fd,
				.events = c->clients[i].reply.len > 0 ? POLLOUT : POLLIN};
	return count;
}

static void drop(struct client *client)
{
	fd_close(&client->fd);
	buf_fini(&client->reply);
}

static void accept_clients(struct control *c)
{
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &c->clients[i];

		if (client->fd != -1)
			continue;
		client->fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (client->fd == -1) {
			if (errno != EAGAIN && errno != EINTR)
				c->accept_ms = clock_boot_ms() + ACCEPT_RETRY_MS;
			return;
		}
		client->deadline_ms = clock_boot_ms() + CLIENT_MS;
		client->line_len = 0;
		client->sent = 0;
		buf_init(&client->reply, REPLY_MAX_BYTES);
	}
}

/* 1 = a whole line stands in client->line, 0 = not yet, -1 = gone or nonsense. */
static int read_line(struct client *client)
{
	const ssize_t n = read(
		client->fd, client->line + client->line_len, LINE_MAX_BYTES - 1 - client->line_len);
	char *end;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	client->line_len += (size_t)n;
	client->line[client->line_len] = '\0';
	end = strchr(client->line, '\n');
	if (end == NULL)
		return n == 0 || client->line_len == LINE_MAX_BYTES - 1 ? -1 : 0;
	*end = '\0';
	return 1;
}

static void answer(struct client *client,
	cJSON *(*handler)(void *arg, const char *command, const char *argument), void *arg)
{
	char *argument = strchr(client->line, ' ');
	cJSON *reply;
	char *text;

	if (argument != NULL)
		*argument++ = '\0';
	reply = handler(arg, client->line, argument != NULL ? argument : "");
	text = json_print(reply);
	if (buf_addf(&client->reply, "%s\n", text) != 0)
		drop(client);
	free(text);
	cJSON_Delete(reply);
}

static void send_reply(struct client *client)
{
	const ssize_t n = send(client->fd, client->reply.data + client->sent,
		client->reply.len - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		client->sent += (size_t)n;
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || client->sent == client->reply.len)
		drop(client);
}

void control_serve(struct control *c,
	cJSON *(*handler)(void *arg, const char *command, const char *argument), void *arg)
{
	if (c == NULL)
		return;
	accept_clients(c);
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &c->clients[i];
		int rc = 0;

		if (client->fd == -1)
			continue;
		if (client->reply.len == 0)
			rc = read_line(client);
		if (rc == 1)
			answer(client, handler, arg);
		if (rc == -1 || clock_boot_ms() > client->deadline_ms)
			drop(client);
		else if (client->fd != -1 && client->reply.len > 0)
			send_reply(client);
	}
}

void control_forget(struct control *c)
{
	if (c == NULL)
		return;
	fd_close(&c->fd);
	for (int i = 0; i < CLIENTS_MAX; i++)
		drop(&c->clients[i]);
}

void control_close(struct control *c)
{
	if (c == NULL)
		return;
	control_forget(c);
	if (c->path != NULL)
		(void)unlink(c->path);
	free(c->path);
	free(c);
}
