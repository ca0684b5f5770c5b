/*
 * control - the master's side of the control socket
 *
 * A unix stream socket; a client sends one line ("status", "scale 8"), gets one JSON object back
 * and the connection ends. Nothing here blocks the master: sockets are non-blocking, clients are
 * few, each has a deadline.
 *
 * Ownership  control_open() creates the socket file (an old one that nobody listens on is
 *            replaced); control_close() unlinks it.
 * Errors     -1 with ERR_SYSTEM.
 * Processes  master.
 */
#ifndef INDEXOCR_CONTROL_H
#define INDEXOCR_CONTROL_H

#include "err.h"

#include <cjson/cJSON.h>
#include <poll.h>
#include <stddef.h>

enum { CONTROL_FDS_MAX = 17 };

struct control;

int control_open(struct control **out, const char *path, const char *user, struct err *err);
/* Listens at path instead, where that is another one: clients stay connected, the old file goes. -1: nothing has changed. c may be NULL. */
int control_move(struct control *c, const char *path, const char *user, struct err *err);
/* What to poll for; at most CONTROL_FDS_MAX. */
size_t control_poll_fds(const struct control *c, struct pollfd *fds);
/* Answers what has come. handler returns the reply (taken). */
void control_serve(struct control *c,
	cJSON *(*handler)(void *arg, const char *command, const char *argument), void *arg);
/* In a child: closes the descriptors, leaves the file alone. */
void control_forget(struct control *c);
void control_close(struct control *c);

#endif
