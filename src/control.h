/*
 * control - the master's side of the control socket
 *
 * A unix stream socket; a client sends one line (control_line.h), gets one JSON object in one line back,
 * and the connection ends; indexocrd(8) describes it for others. No client delays the master or locks
 * others out: sockets are non-blocking; a turn accepts and answers a bounded number; a request
 * and its reply have a deadline each; where all places are taken, the client that has kept its own
 * longest without a whole request gives way to the next.
 *
 * Who may: the file is for the daemon's user and its group, and every client is looked at besides
 * (control_peer.h). Those who may not are told so, take no place, and are logged, rate-limited.
 *
 * Ownership  control_open() creates the socket file (that of a dead daemon is replaced);
 *            control_close() unlinks it where it is still the same.
 * Units      milliseconds of boot time, given by the caller.
 * Errors     -1 with ERR_SYSTEM; one that answers on the path is "another daemon listens".
 * Processes  master.
 */
#ifndef INDEXOCR_CONTROL_H
#define INDEXOCR_CONTROL_H

#include "err.h"

#include <cjson/cJSON.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CONTROL_FDS_MAX = 65 };

struct control;

/* One request, of somebody who may make it. Borrowed for the length of the call. */
struct control_request {
	const char *word;
	const char *argument; /* "" = none */
	uid_t uid;            /* who asks */
	pid_t pid;
};

enum {
	CONTROL_ARGUMENT = 1, /* wants one; the others take none */
	CONTROL_LOOKS = 2,    /* changes nothing; the others are logged, with who asked */
	CONTROL_WHILE_DRAINING = 4
};

struct control_command {
	const char *word; /* NULL ends the table */
	/* Returns the reply, which is taken. */
	cJSON *(*run)(void *arg, const struct control_request *request);
	unsigned flags;
};

int control_open(struct control **out, const char *path, struct err *err);
/* Listens at path instead, where that is another one: clients stay connected, the old file goes. -1: nothing has changed. c may be NULL. */
int control_move(struct control *c, const char *path, struct err *err);
/* What to poll for; at most CONTROL_FDS_MAX. */
size_t control_poll_fds(const struct control *c, struct pollfd *fds);
/* Answers what has come by these commands; what a turn leaves undone is still ready for the next poll. */
void control_serve(struct control *c, int64_t now_ms, const struct control_command *commands,
	bool draining, void *arg);
/* In a child: closes the descriptors, leaves the file alone. */
void control_forget(struct control *c);
void control_close(struct control *c);

/* {"ok":true} */
cJSON *control_done(void);
/* {"ok":false,"code":...,"error":...}; code is one word for programs: see indexocrd(8). */
cJSON *control_refusal(const char *code, const char *error);

#endif
