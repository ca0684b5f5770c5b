/*
 * conf_env - the variables that a configuration file may use
 *
 * ${NAME} is looked up in the process' environment, then in environment_file; ${HOSTNAME} is what
 * gethostname() says. ${NAME:-default} gives the default where NAME is unset or empty.
 *
 * environment_file: lines [export] NAME=value, the value bare, 'quoted' or "quoted", # comments,
 * nothing expanded: only what systemd, dotenv and sh read alike; the rest is refused by line.
 *
 * Ownership  conf_env_free() wipes the values. Texts returned are borrowed from the struct or from
 *            the process' environment.
 * Errors     ERR_CONFIG, "file:line: ...".
 * Processes  as conf.h.
 */
#ifndef INDEXOCR_CONF_ENV_H
#define INDEXOCR_CONF_ENV_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>

struct conf_env;

/* Without a file: the process' environment and HOSTNAME only. */
struct conf_env *conf_env_new(void);
void conf_env_free(struct conf_env *env);

/* Adds the variables of a file's text; name is for error texts. */
int conf_env_add(struct conf_env *env, const char *name, const char *text, struct err *err);

/* NULL = not set anywhere. */
const char *conf_env_get(const struct conf_env *env, const char *name);

/*
 * Copies a configuration file's text to out with its variables filled in, each as part of a quoted
 * string, so that no value can change the structure of the file. Comments are blanked (libconfuse
 * 3.3 counts their lines more than once); lines stay where they are. env NULL: every variable is
 * empty.
 */
int conf_env_expand(const struct conf_env *env, const char *name, const char *text, struct buf *out,
	struct err *err);

#endif
