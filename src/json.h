/*
 * json - reading JSON that strangers wrote; cJSON behind it
 *
 * cJSON cuts strings at \u0000, refuses whole documents for a lone surrogate, ignores what stands
 * behind the value and finds keys in any case. These functions parse after mending the first two
 * (both become U+FFFD) and look keys up exactly.
 *
 * Ownership  json_parse() returns a tree for cJSON_Delete(); the getters borrow.
 * Processes  any.
 */
#ifndef INDEXOCR_JSON_H
#define INDEXOCR_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NULL where text is not one JSON value with nothing but white space behind it, or not UTF-8. */
cJSON *json_parse(const char *text, size_t len);

/* By exact key; NULL where object is none, or has none. Path form: json_get(tree, "error.details")
 * goes down objects. */
const cJSON *json_get(const cJSON *object, const char *path);
const char *json_text(const cJSON *object, const char *path); /* NULL unless a string */
int64_t json_int(const cJSON *object, const char *path,
	int64_t otherwise); /* numbers only, saturated, truncated */
double json_double(const cJSON *object, const char *path, double otherwise);
bool json_bool(const cJSON *object, const char *path, bool otherwise);

/* Overwrites every occurrence of the secret in the texts of the tree, keys excepted, with '*'. */
void json_scrub(cJSON *tree, const char *secret);

/* Compact text; free() it. Never NULL. */
char *json_print(const cJSON *tree);

/* Adds, with key and value copied; the integer is printed exactly at any size (cJSON numbers are
 * doubles). NULL text adds null. */
void json_add_int(cJSON *object, const char *key, int64_t value);
void json_add_text(cJSON *object, const char *key, const char *text);

#endif
