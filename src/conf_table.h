/*
 * conf_table - every key of the configuration file, once
 *
 * The parser's options, the checks, `indexocrd -T`, and the tests of the sample file and of
 * indexocr.conf(5) all come from this table. To add a key: a field in settings.h, a line here, its
 * entry in etc/indexocr.conf and man/indexocr.conf.5; `make check` names what was forgotten.
 *
 * Ownership  constant.
 * Processes  any.
 */
#ifndef INDEXOCR_CONF_TABLE_H
#define INDEXOCR_CONF_TABLE_H

#include "conf_form.h"

#include <stdbool.h>
#include <stddef.h>

enum conf_type {
	CONF_INTEGER,     /* int or int64_t */
	CONF_SECONDS,     /* int64_t milliseconds; three decimals in the file */
	CONF_MEGABYTES,   /* int64_t bytes */
	CONF_REAL,        /* double */
	CONF_BOOL,        /* int, -1 = not set */
	CONF_WORD,        /* enum or bool: the word's number */
	CONF_TEXT,        /* char *; NULL where not set and without a default */
	CONF_LIST,        /* struct set_list */
	CONF_BUCKETS,     /* the buckets of struct set_storage */
	CONF_SECRET,      /* char *, wiped; NULL where empty */
	CONF_SECRET_FILE, /* path of a file with the secret of the same field */
};

struct conf_key {
	const char *section; /* "" = outside any; "environment" = in each of them */
	const char *name;
	enum conf_type type;
	const char *fallback;     /* as written in the file, without quotes; NULL = not set */
	double min, max;          /* numbers, in the unit of the file */
	const char *unit;         /* "seconds", ...; NULL = none */
	const char *const *words; /* NULL-ended; CONF_WORD, and texts with a choice */
	const struct conf_form *form;
	size_t offset; /* in struct settings or struct set_environment */
	size_t width;  /* of the field, bytes */
	bool empty;    /* "" is allowed */
	bool restart;  /* a reload cannot change it */
	const char *help;
};

extern const struct conf_key conf_keys[];
extern const size_t conf_key_count;

/* NULL = no such key. section "" or NULL = outside any. */
const struct conf_key *conf_key_find(const char *section, const char *name);
size_t conf_key_index(const struct conf_key *key);

/* The section names in the order of the file, without "" and "environment"; NULL-ended. */
extern const char *const conf_sections[];

bool conf_key_in_environment(const struct conf_key *key);

enum { CONF_TEXT_BYTES = 400 };

/* "queue.lease", "environment prod: database". */
void conf_key_title(const struct conf_key *key, const char *environment, char out[CONF_TEXT_BYTES]);
/* "1 to 3600 seconds", "\"fail\" or \"keep\"". */
void conf_key_allowed(const struct conf_key *key, char out[CONF_TEXT_BYTES]);
/* As written in a file: 60, "gemini", {"index"}; "" = not set. */
void conf_key_default(const struct conf_key *key, char out[CONF_TEXT_BYTES]);

#endif
