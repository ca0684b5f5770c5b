/*
 * ctl - indexocrctl's commands
 *
 * Each command gets what stands behind its name and returns an exit status (sysexits). Messages for
 * people go to stderr, results to stdout.
 *
 * Processes  indexocrctl.
 */
#ifndef INDEXOCR_CTL_H
#define INDEXOCR_CTL_H

#include "err.h"
#include "settings.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

struct queue;

struct ctl {
	const char *conf_path;
	bool conf_given;           /* -c */
	struct settings *settings; /* owned; loaded by ctl_settings() when a command needs it */
	const char *socket;        /* --socket; NULL = the configuration's */
	bool json;
};

struct ctl_command {
	const char *name;
	const char *arguments; /* for the usage text */
	const char *help;
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

/* NULL after saying why: the caller returns EX_CONFIG. */
const struct settings *ctl_settings(struct ctl *ctl);
/* NULL after saying which names there are. */
const struct set_environment *ctl_environment(struct ctl *ctl, const char *name);
/* Says it on stderr; returns the status for its kind. */
int ctl_fail(const struct err *err);
int ctl_usage(const char *what);

/* ctl/ask.c: one command through the control socket, one JSON object back; NULL with *err. */
cJSON *ctl_ask(struct ctl *ctl, const char *command, struct err *err);
/* 0, or -1 with the daemon's reason where it refuses. */
int ctl_judge(const cJSON *reply, struct err *err);
/* One line on stdout. */
void ctl_print_json(const cJSON *tree);

/* ctl/watch.c: the status again and again until somebody ends it; on a terminal in place. */
int ctl_watch(struct ctl *ctl, int seconds);

/* ctl/status.c: what goes through the control socket */
int ctl_status(struct ctl *ctl, int argc, char **argv);
int ctl_workers(struct ctl *ctl, int argc, char **argv);
int ctl_pause(struct ctl *ctl, int argc, char **argv);
int ctl_resume(struct ctl *ctl, int argc, char **argv);
int ctl_reload(struct ctl *ctl, int argc, char **argv);
int ctl_drain(struct ctl *ctl, int argc, char **argv);
int ctl_scale(struct ctl *ctl, int argc, char **argv);

/* ctl/queue.c: at the database */
int ctl_migrate(struct ctl *ctl, int argc, char **argv);
int ctl_add(struct ctl *ctl, int argc, char **argv);
int ctl_queue(struct ctl *ctl, int argc, char **argv);
/* EX_OK with *q for queue_free(), or the status of what was said on stderr. */
int ctl_open_queue(struct ctl *ctl, const struct set_environment *environment, struct queue **q);

/* ctl/document.c: one document, or some, in the queue */
int ctl_requeue(struct ctl *ctl, int argc, char **argv);
int ctl_show(struct ctl *ctl, int argc, char **argv);

/* ctl/why.c: why no worker of this host claims the row that queue_show() described, as far as the
 * daemon's status says so (NULL: none answers); NULL where nothing is in the way. free() it. */
char *ctl_why_not_claimed(const cJSON *row, const char *environment, const cJSON *status);

/* ctl/read.c, ctl/check.c */
int ctl_read(struct ctl *ctl, int argc, char **argv);
int ctl_process(struct ctl *ctl, int argc, char **argv);
int ctl_check(struct ctl *ctl, int argc, char **argv);
int ctl_limits(struct ctl *ctl, int argc, char **argv);

#endif
