#include "control.h"

#include "buf.h"
#include "control_line.h"
#include "control_peer.h"
#include "control_socket.h"
#include "fdio.h"
#include "json.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CLIENTS_MAX = CONTROL_FDS_MAX - 1,
	TURN_ACCEPTS = 32, /* under CLIENTS_MAX: nobody is let in and put out in the same turn */
	TURN_ANSWERS = 4,
	REQUEST_MS = 1000,
	REPLY_MS = 5000,
	ACCEPT_RETRY_MS = 1000,
	DENIAL_LOG_MS = 10 * 1000
};

enum phase {
	ASKING,    /* its line has not come whole */
	ASKED,     /* not answered yet: the turn had answered enough */
	ANSWERING, /* its reply has not gone out whole */
};

struct client {
	int fd; /* -1 = free */
	enum phase phase;
	int64_t deadline_ms;
	uint64_t moved; /* order in which they were let in, or last took some of their reply */
	struct control_peer peer;
	char line[CONTROL_LINE_BYTES];
	size_t line_len;
	struct control_line request;
	struct buf reply;
	size_t sent;
};

struct control {
	struct control_socket socket;
	int64_t accept_ms; /* no new client before: descriptors had run out */
	int64_t denial_ms; /* when one was logged last; 0 = never */
	int denials;       /* since then */
	size_t first;      /* who is served first: the one behind the last that was answered */
	uint64_t moves;
	struct client clients[CLIENTS_MAX];
};

/* One turn: what is handed down from control_serve(). */
struct turn {
	struct control *c;
	int64_t now_ms;
	const struct control_command *commands;
	bool draining;
	void *arg;
	int answers_left;
};

int control_open(struct control **out, const char *path, struct err *err)
{
	struct control *c = mem_calloc(1, sizeof *c);

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		c->clients[i].fd = -1;
	if (control_socket_open(&c->socket, path, err) != 0) {
		control_close(c);
		return -1;
	}
	*out = c;
	return 0;
}

int control_move(struct control *c, const char *path, struct err *err)
{
	struct control_socket fresh;

	if (c == NULL || strcmp(path, c->socket.path) == 0)
		return 0;
	if (control_socket_open(&fresh, path, err) != 0) {
		control_socket_close(&fresh);
		return -1;
	}
	control_socket_close(&c->socket);
	c->socket = fresh;
	return 0;
}

size_t control_poll_fds(const struct control *c, struct pollfd *fds)
{
	size_t count = 0;

	if (c == NULL)
		return 0;
	if (c->accept_ms == 0)
		fds[count++] = (struct pollfd){.fd = c->socket.fd, .events = POLLIN};
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i].fd != -1)
			fds[count++] = (struct pollfd){.fd = c->clients[i].fd,
				.events = c->clients[i].phase == ASKING ? POLLIN : POLLOUT};
	return count;
}

/* ---- replies */

cJSON *control_done(void)
{
	cJSON *out = cJSON_CreateObject();

	cJSON_AddTrueToObject(out, "ok");
	return out;
}

cJSON *control_refusal(const char *code, const char *error)
{
	cJSON *out = cJSON_CreateObject();

	cJSON_AddFalseToObject(out, "ok");
	json_add_text(out, "code", code);
	json_add_text(out, "error", error);
	return out;
}

static void forget(struct client *client)
{
	fd_close(&client->fd);
	buf_fini(&client->reply);
}

/* What the client has sent beyond its line is taken first: a close over unread bytes would show it a broken connection. */
static void drop(struct client *client)
{
	char rest[4096];

	(void)!recv(client->fd, rest, sizeof rest, MSG_DONTWAIT);
	forget(client);
}

/* One answer that nobody waits for, and the end. */
static void refuse(struct client *client, const char *code, const char *error)
{
	cJSON *reply = control_refusal(code, error);
	char *text = json_print(reply);
	char *line = mem_printf("%s\n", text);

	(void)!send(client->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
	free(line);
	free(text);
	cJSON_Delete(reply);
	drop(client);
}

static void send_reply(struct turn *t, struct client *client)
{
	const ssize_t n = send(client->fd, client->reply.data + client->sent,
		client->reply.len - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0) {
		client->sent += (size_t)n;
		client->moved = ++t->c->moves;
	}
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || client->sent == client->reply.len)
		drop(client);
}

/* Who does what to the daemon stands in its log. */
static cJSON *run(const struct turn *t, const struct control_request *request)
{
	const struct control_command *command = t->commands;
	const bool has_argument = request->argument[0] != '\0';

	while (command->word != NULL && strcmp(command->word, request->word) != 0)
		command++;
	if (command->word == NULL)
		return control_refusal("request", "there is no such command");
	if (has_argument != ((command->flags & CONTROL_ARGUMENT) != 0))
		return control_refusal("request", has_argument ? "this command takes no argument"
							       : "this command wants an argument");
	if ((command->flags & CONTROL_LOOKS) == 0)
		log_event(LEVEL_INFO, "master", NULL, "indexocrctl %s%s%s, by uid %ld (pid %ld)",
			request->word, has_argument ? " " : "", request->argument,
			(long)request->uid, (long)request->pid);
	if (t->draining && (command->flags & CONTROL_WHILE_DRAINING) == 0)
		return control_refusal("draining", "the daemon is draining");
	return command->run(t->arg, request);
}

static void answer(struct turn *t, struct client *client)
{
	const struct control_request request = {
		client->request.word, client->request.argument, client->peer.uid, client->peer.pid};
	cJSON *reply = run(t, &request);
	char *text = json_print(reply);
	const int rc = buf_addf(&client->reply, "%s\n", text);

	free(text);
	cJSON_Delete(reply);
	t->answers_left--;
	t->c->first = ((size_t)(client - t->c->clients) + 1) % CLIENTS_MAX;
	client->phase = ANSWERING;
	client->deadline_ms = t->now_ms + REPLY_MS;
	if (rc != 0)
		refuse(client, "internal", "the answer is over 16 MB");
	else
		send_reply(t, client);
}

/* ---- requests */

static void read_request(struct client *client)
{
	const ssize_t n = recv(client->fd, client->line + client->line_len,
		sizeof client->line - client->line_len, MSG_DONTWAIT);
	enum control_line_verdict verdict;
	const char *fault;

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			drop(client);
		return;
	}
	if (n == 0 && client->line_len > 0) {
		refuse(client, "request", "a request ends with a line feed");
		return;
	}
	if (n == 0) {
		drop(client);
		return;
	}
	client->line_len += (size_t)n;
	verdict = control_line_parse(client->line, client->line_len, &client->request, &fault);
	if (verdict == CONTROL_LINE_BAD)
		refuse(client, "request", fault);
	else if (verdict == CONTROL_LINE_WHOLE)
		client->phase = ASKED;
}

/* As far as this client can be brought without waiting. */
static void move_along(struct turn *t, struct client *client)
{
	if (client->phase == ASKING)
		read_request(client);
	else if (client->phase == ANSWERING)
		send_reply(t, client);
	if (client->fd != -1 && client->phase == ASKED && t->answers_left > 0)
		answer(t, client);
	if (client->fd == -1 || client->phase == ASKED || t->now_ms < client->deadline_ms)
		return;
	if (client->phase == ASKING)
		refuse(client, "late", "no whole request came within a second");
	else
		drop(client);
}

/* ---- new clients */

/* Somebody who waits for an answer of ours keeps his place; where all do, the next is let in when some have been answered. */
static bool has_room(const struct control *c)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i].fd == -1 || c->clients[i].phase != ASKED)
			return true;
	return false;
}

/* First whoever has taken longest over his request, then whoever has not touched his reply for longest. */
static struct client *who_gives_way(struct control *c)
{
	struct client *found = NULL;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &c->clients[i];

		if (client->phase == ASKED)
			continue;
		if (found == NULL || client->phase < found->phase ||
			(client->phase == found->phase && client->moved < found->moved))
			found = client;
	}
	return found;
}

/* Where has_room(). */
static struct client *make_place(struct control *c)
{
	struct client *client;

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i].fd == -1)
			return &c->clients[i];
	client = who_gives_way(c);
	drop(client);
	return client;
}

static void log_denial(struct turn *t, const struct control_peer *peer)
{
	struct control *c = t->c;

	c->denials++;
	if (c->denial_ms != 0 && t->now_ms - c->denial_ms < DENIAL_LOG_MS)
		return;
	log_event(LEVEL_WARN, "master", NULL,
		"Control socket: refused uid %ld (pid %ld), who is neither root, nor the daemon's "
		"user, nor in its group; %d refused since the last such line",
		(long)peer->uid, (long)peer->pid, c->denials);
	c->denial_ms = t->now_ms;
	c->denials = 0;
}

/* Whoever may not is gone again at once, and takes nobody's place. */
static void take_in(struct turn *t, int fd)
{
	struct client fresh = {.fd = fd};
	struct client *place;

	buf_init(&fresh.reply, CONTROL_REPLY_BYTES);
	if (!control_peer_check(fd, &t->c->socket.owner, &fresh.peer)) {
		log_denial(t, &fresh.peer);
		refuse(&fresh, "denied",
			"permission denied: root, the daemon's user and members of its group may "
			"connect");
		return;
	}
	fresh.moved = ++t->c->moves;
	fresh.deadline_ms = t->now_ms + REQUEST_MS;
	place = make_place(t->c);
	*place = fresh;
	move_along(t, place);
}

static void accept_clients(struct turn *t)
{
	struct control *c = t->c;

	if (t->now_ms < c->accept_ms)
		return;
	c->accept_ms = 0;
	for (int i = 0; i < TURN_ACCEPTS && has_room(c); i++) {
		const int fd = accept4(c->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd != -1) {
			take_in(t, fd);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			c->accept_ms = t->now_ms + ACCEPT_RETRY_MS;
		return;
	}
}

void control_serve(struct control *c, int64_t now_ms, const struct control_command *commands,
	bool draining, void *arg)
{
	struct turn t = {c, now_ms, commands, draining, arg, TURN_ANSWERS};
	size_t first;

	if (c == NULL)
		return;
	first = c->first;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *client = &c->clients[(first + i) % CLIENTS_MAX];

		if (client->fd != -1)
			move_along(&t, client);
	}
	accept_clients(&t);
}

static void forget_clients(struct control *c)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i].fd != -1)
			forget(&c->clients[i]);
}

void control_forget(struct control *c)
{
	if (c == NULL)
		return;
	forget_clients(c);
	fd_close(&c->socket.fd);
}

void control_close(struct control *c)
{
	if (c == NULL)
		return;
	forget_clients(c);
	control_socket_close(&c->socket);
	free(c);
}
