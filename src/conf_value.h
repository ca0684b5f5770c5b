/*
 * conf_value - one value of the configuration, between its text in the file and its field
 *
 * base is the struct the key's offset counts from: struct settings, or struct set_environment for
 * keys of section "environment".
 *
 * Ownership  conf_value_set() owns what it puts into the field, and frees what stood there.
 * Processes  as conf.h.
 */
#ifndef INDEXOCR_CONF_VALUE_H
#define INDEXOCR_CONF_VALUE_H

#include "conf_table.h"
#include "settings.h"

#include <stdbool.h>
#include <stdio.h>

enum { CONF_LIST_MAX = 64 };

/* Is this one value (one element, for lists) allowed for this key? */
bool conf_value_fits(const struct conf_key *key, const char *value);

/* Puts a value that fits into its field. Lists, buckets: adds one element. NULL = not set, or an
 * empty list. A CONF_SECRET_FILE key takes the secret itself. */
void conf_value_set(const struct conf_key *key, void *base, const char *value);

/* Frees what the field owns. */
void conf_value_fini(const struct conf_key *key, void *base);

/* Of numbers, words and texts. */
bool conf_value_equal(const struct conf_key *key, const void *a, const void *b);
void conf_value_copy(const struct conf_key *key, void *to, const void *from);

/* For texts and secrets: NULL = not set. Borrowed. */
const char *conf_value_text(const struct conf_key *key, const void *base);

/* As in a file, secrets masked; nothing for a key that is not set. */
void conf_value_print(const struct conf_key *key, const void *base, const char *indent, FILE *out);

/* Lists that are no key's value, too. text is taken; NULL = an empty list. */
void conf_list_add(struct set_list *list, char *text);
void conf_list_fini(struct set_list *list);

/* Does this secret's text hold anything to hide? Masked ones and URLs without a password do not. */
bool conf_value_is_secret(const struct conf_key *key, const char *value);

#endif
