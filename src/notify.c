#include "notify.h"

#include "buf.h"
#include "fdio.h"
#include "log.h"
#include "mem.h"
#include "utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	STATUS_EVERY_MS = 5000,
	STATUS_BYTES = 1024,
	MESSAGE_BYTES = 2048,   /* systemd reads up to 4,096 */
	PATIENCE_MS = 30 * 1000 /* asked for while starting and stopping, again with every status */
};

enum state { STARTING, READY, RELOADING, STOPPING };

struct notify {
	int fd;
	struct sockaddr_un address;
	socklen_t address_bytes;
	enum state state;
	bool state_owed; /* it has not gone out yet */
	int64_t reloading_us;
	char status[STATUS_BYTES]; /* the newest */
	char told[STATUS_BYTES];   /* the last that went out */
	int64_t status_ms;         /* the next one not before */
	int64_t watchdog_ms;       /* how often it is fed; 0 = there is none */
	int64_t feed_ms;           /* when it is due */
	bool unreachable;          /* said so */
};

/* ---- what the manager asks for */

/* Half of its interval, as sd_watchdog_enabled(3) advises; 0 = it is not meant for this process. */
static int64_t watchdog_every_ms(const char *interval_us, const char *pid)
{
	char *end;
	uint64_t us;

	if (interval_us == NULL || *interval_us < '0' || *interval_us > '9')
		return 0;
	errno = 0;
	us = strtoull(interval_us, &end, 10);
	if (errno != 0 || *end != '\0' || us > INT64_MAX)
		return 0;
	if (pid != NULL && strtol(pid, NULL, 10) != getpid())
		return 0;
	return (int64_t)(us / 2000);
}

/* A path, or "@" and a name in the abstract namespace. */
static int set_address(struct notify *n, const char *where)
{
	const size_t len = strlen(where);

	if ((where[0] != '/' && where[0] != '@') || len < 2 || len >= sizeof n->address.sun_path)
		return -1;
	n->address.sun_family = AF_UNIX;
	memcpy(n->address.sun_path, where, len + 1);
	n->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (where[0] == '@')
		n->address.sun_path[0] = '\0';
	else
		n->address_bytes++;
	return 0;
}

static void forget_variables(void)
{
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

struct notify *notify_open(void)
{
	const char *where = getenv("NOTIFY_SOCKET");
	struct notify *n = NULL;

	if (where != NULL && *where != '\0') {
		n = mem_calloc(1, sizeof *n);
		n->watchdog_ms = watchdog_every_ms(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (set_address(n, where) != 0) {
			log_event(LEVEL_WARN, "master", NULL,
				"The service manager is told nothing: NOTIFY_SOCKET is \"%s\", "
				"neither a path nor @ and a name",
				where);
			notify_close(n);
			n = NULL;
		}
	}
	forget_variables();
	return n;
}

void notify_close(struct notify *n)
{
	if (n == NULL)
		return;
	fd_close(&n->fd);
	free(n);
}

void notify_forget(struct notify *n)
{
	if (n != NULL)
		fd_close(&n->fd);
}

/* ---- messages */

/* A line break would let a text of others add fields of its own. */
static void set_status(struct notify *n, const char *status)
{
	size_t len;

	if (status == NULL)
		return;
	len = utf8_cut(status, sizeof n->status - 1);
	memcpy(n->status, status, len);
	n->status[len] = '\0';
	for (char *c = n->status; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
}

static int add_state(const struct notify *n, struct buf *b)
{
	switch (n->state) {
	case STARTING:
		return 0;
	case READY:
		return buf_addf(b, "READY=1\nMAINPID=%ld\n", (long)getpid());
	case RELOADING:
		return buf_addf(b, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\n", n->reloading_us);
	case STOPPING:
		return buf_addf(b, "STOPPING=1\n");
	}
	return 0;
}

/* False: it stays to be said. */
static bool send_message(struct notify *n, const struct buf *message)
{
	const ssize_t sent = sendto(n->fd, message->data, message->len, MSG_NOSIGNAL | MSG_DONTWAIT,
		(const struct sockaddr *)&n->address, n->address_bytes);

	if (sent < 0 && !n->unreachable)
		log_event(LEVEL_WARN, "master",
			&(struct log_more){.ms = -1, .error = strerror(errno)},
			"The service manager cannot be told, trying again");
	n->unreachable = sent < 0;
	return sent >= 0;
}

/* All that is due goes in one message: it is taken as a whole, or stays due as a whole. */
static void tell(struct notify *n, bool feed, int64_t now_ms)
{
	const bool timed = n->state == STARTING || n->state == STOPPING;
	const bool turn = n->state_owed || now_ms >= n->status_ms;
	const bool changed = strcmp(n->status, n->told) != 0;
	struct buf b;
	int rc = 0;

	buf_init(&b, MESSAGE_BYTES);
	if (n->state_owed)
		rc |= add_state(n, &b);
	if (turn && changed)
		rc |= buf_addf(&b, "STATUS=%s\n", n->status);
	if (turn && timed)
		rc |= buf_addf(&b, "EXTEND_TIMEOUT_USEC=%d\n", PATIENCE_MS * 1000);
	if (feed)
		rc |= buf_addf(&b, "WATCHDOG=1\n");
	if (rc == 0 && b.len > 0 && send_message(n, &b)) {
		n->state_owed = false;
		if (turn && (changed || timed))
			n->status_ms = now_ms + STATUS_EVERY_MS;
		if (turn)
			memcpy(n->told, n->status, sizeof n->told);
		if (feed)
			n->feed_ms = now_ms + n->watchdog_ms;
	}
	buf_fini(&b);
}

static void enter(struct notify *n, enum state state, const char *status, int64_t now_ms)
{
	n->state = state;
	n->state_owed = true;
	set_status(n, status);
	tell(n, false, now_ms);
}

void notify_ready(struct notify *n, const char *status, int64_t now_ms)
{
	if (n != NULL)
		enter(n, READY, status, now_ms);
}

void notify_reloading(struct notify *n, int64_t monotonic_us, int64_t now_ms)
{
	if (n == NULL)
		return;
	n->reloading_us = monotonic_us;
	enter(n, RELOADING, NULL, now_ms);
}

void notify_stopping(struct notify *n, const char *status, int64_t now_ms)
{
	if (n != NULL && n->state != STOPPING)
		enter(n, STOPPING, status, now_ms);
}

void notify_turn(struct notify *n, const char *status, bool alive, int64_t now_ms)
{
	if (n == NULL)
		return;
	set_status(n, status);
	tell(n, alive && n->watchdog_ms > 0 && now_ms >= n->feed_ms, now_ms);
}

int64_t notify_due_ms(const struct notify *n, int64_t now_ms)
{
	return n != NULL && n->watchdog_ms > 0 && n->feed_ms > now_ms ? n->feed_ms : -1;
}
