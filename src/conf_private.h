/*
 * conf_private - what conf.c (the grammar, libconfuse) and conf_load.c (the order of things) share
 *
 * Ownership  marked at each field.
 * Processes  as conf.h.
 */
#ifndef INDEXOCR_CONF_PRIVATE_H
#define INDEXOCR_CONF_PRIVATE_H

#include "conf_check.h"
#include "conf_env.h"
#include "conf_table.h"
#include "err.h"
#include "settings.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * A file is parsed up to three times, each time by the same grammar: whether secrets are written
 * into it (only where others can read it), which environment_file it names, and what it says.
 */
enum conf_phase { CONF_PHASE_SECRETS, CONF_PHASE_ENVIRONMENT_FILE, CONF_PHASE_VALUES };

/* A key such as api_key_file: the secret is read when the whole file has been understood. */
struct conf_secret_file {
	const struct conf_key *key;
	int environment; /* -1 = not in one */
	char *path;      /* owned */
};

struct conf_reading {
	enum conf_phase phase;
	struct settings *s;               /* owned until handed out */
	struct conf_env *env;             /* owned */
	struct conf_places places;        /* lines owned */
	char *environment_file;           /* owned; NULL = the file does not name one */
	struct conf_secret_file *secrets; /* owned */
	size_t secret_count;
	int secret_line; /* where the last secret stood: nothing of this line is shown to anybody */
	bool failed;     /* err is filled; the first complaint counts */
	struct err *err;
	struct conf_reading *self;
};

/* Parses the text of the file, or "". env NULL: all variables are empty. */
int conf_parse(struct conf_reading *l, enum conf_phase phase, const char *text,
	const struct conf_env *env);

/* Gives every key of the settings, or of an environment, its default. */
void conf_set_defaults(const struct conf_reading *l, void *base, bool environment);

/* Fills the error of a value that does not fit its key; shows no secret. */
void conf_refuse_value(struct conf_reading *l, int line, const struct conf_key *key,
	const char *environment, const char *value);

#endif
