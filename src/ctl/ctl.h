/*
 * ctl - indexocrctl's commands
 *
 * Each command gets what stands behind its name and returns an exit status (sysexits). Messages for people go to stderr, results to stdout.
 *
 * Processes  indexocrctl.
 */
#ifndef INDEXOCR_CTL_H
#define INDEXOCR_CTL_H

#include "err.h"
#include "settings.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

struct ctl {
	const char *conf_path;
	bool conf_given; /* -c */
	struct settings *settings; /* owned; loaded by ctl_settings() when a command needs it */
	const char *socket; /* --socket; NULL = the configuration's */
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

/* ctl/status.c: through the control socket */
int ctl_status(struct ctl *ctl, int argc, char **argv);
int ctl_reload(struct ctl *ctl, int argc, char **argv);
int ctl_drain(struct ctl *ctl, int argc, char **argv);
int ctl_scale(struct ctl *ctl, int argc, char **argv);

/* ctl/queue.c: at the database */
int ctl_migrate(struct ctl *ctl, int argc, char **argv);
int ctl_add(struct ctl *ctl, int argc, char **argv);
int ctl_requeue(struct ctl *ctl, int argc, char **argv);
int ctl_show(struct ctl *ctl, int argc, char **argv);
int ctl_queue(struct ctl *ctl, int argc, char **argv);

/* ctl/read.c, ctl/check.c */
int ctl_read(struct ctl *ctl, int argc, char **argv);
int ctl_check(struct ctl *ctl, int argc, char **argv);
int ctl_limits(struct ctl *ctl, int argc, char **argv);

#endif
