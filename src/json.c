#include "json.h"

#include "err.h"
#include "mem.h"
#include "utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ESCAPE_BYTES = 6 }; /* \uXXXX */

/* The largest integer that cJSON prints as it is. */
static const int64_t EXACT_MAX = 999999999999999;

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The code unit of an escape \uXXXX; -1 where there is none. text ends with a NUL. */
static int escaped_unit(const char *text)
{
	int unit = 0;

	if (text[0] != '\\' || text[1] != 'u')
		return -1;
	for (int i = 2; i < ESCAPE_BYTES; i++) {
		const int digit = hex_digit(text[i]);

		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

static bool is_high(int unit)
{
	return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low(int unit)
{
	return unit >= 0xDC00 && unit <= 0xDFFF;
}

/*
 * Makes \u0000 and unpaired surrogates U+FFFD, in place and of the same length. A backslash always
 * takes the next character with it, so that an escaped backslash before a u is no escape. False for
 * a \u without four digits: cJSON would take it for \u0000.
 */
static bool mend_escapes(char *text)
{
	static const char replacement[] = "\\ufffd";

	while ((text = strchr(text, '\\')) != NULL) {
		const int unit = escaped_unit(text);

		if (unit < 0 && text[1] == 'u')
			return false;
		if (is_high(unit) && is_low(escaped_unit(text + ESCAPE_BYTES))) {
			text += 2 * (size_t)ESCAPE_BYTES;
			continue;
		}
		if (unit == 0 || is_high(unit) || is_low(unit))
			memcpy(text, replacement, ESCAPE_BYTES);
		text += text[1] != '\0' ? 2 : 1;
	}
	return true;
}

cJSON *json_parse(const char *text, size_t len)
{
	char *copy;
	cJSON *tree = NULL;

	if (memchr(text, '\0', len) != NULL || !utf8_valid(text, len))
		return NULL;
	copy = mem_strndup(text, len);
	/* cJSON wants the NUL counted, and with the last argument sees that nothing follows. */
	if (mend_escapes(copy))
		tree = cJSON_ParseWithLengthOpts(copy, len + 1, NULL, 1);
	free(copy);
	return tree;
}

static const cJSON *member(const cJSON *object, const char *key, size_t key_len)
{
	const cJSON *item;

	if (!cJSON_IsObject(object))
		return NULL;
	cJSON_ArrayForEach(item, object) if (strncmp(item->string, key, key_len) == 0 &&
					     item->string[key_len] == '\0') return item;
	return NULL;
}

const cJSON *json_get(const cJSON *object, const char *path)
{
	const cJSON *item = object;

	for (;;) {
		const size_t key_len = strcspn(path, ".");

		item = member(item, path, key_len);
		if (item == NULL || path[key_len] == '\0')
			return item;
		path += key_len + 1;
	}
}

const char *json_text(const cJSON *object, const char *path)
{
	return cJSON_GetStringValue(json_get(object, path));
}

double json_double(const cJSON *object, const char *path, double otherwise)
{
	const cJSON *item = json_get(object, path);

	return cJSON_IsNumber(item) && isfinite(item->valuedouble) ? item->valuedouble : otherwise;
}

int64_t json_int(const cJSON *object, const char *path, int64_t otherwise)
{
	/* 2^63: the first double above every int64_t. */
	const double limit = 9223372036854775808.0;
	const cJSON *item = json_get(object, path);

	if (!cJSON_IsNumber(item) || isnan(item->valuedouble))
		return otherwise;
	if (item->valuedouble >= limit)
		return INT64_MAX;
	if (item->valuedouble < -limit)
		return INT64_MIN;
	return (int64_t)item->valuedouble;
}

bool json_bool(const cJSON *object, const char *path, bool otherwise)
{
	const cJSON *item = json_get(object, path);

	return cJSON_IsBool(item) ? cJSON_IsTrue(item) : otherwise;
}

/* cJSON answers NULL and false only without memory here. */
static void *must(void *made)
{
	if (made == NULL)
		abort();
	return made;
}

/* No deeper than cJSON parses: CJSON_NESTING_LIMIT. */
void json_scrub(cJSON *tree, const char *secret)
{
	cJSON *child;

	if (cJSON_IsString(tree))
		err_scrub(tree->valuestring, secret);
	cJSON_ArrayForEach(child, tree) json_scrub(child, secret);
}

char *json_print(const cJSON *tree)
{
	return must(cJSON_PrintUnformatted(tree));
}

static void add(cJSON *object, const char *key, cJSON *item)
{
	if (!cJSON_AddItemToObject(object, key, must(item)))
		abort();
}

void json_add_int(cJSON *object, const char *key, int64_t value)
{
	char exact[24];

	if (value >= -EXACT_MAX && value <= EXACT_MAX) {
		add(object, key, cJSON_CreateNumber((double)value));
		return;
	}
	(void)snprintf(exact, sizeof exact, "%lld", (long long)value);
	add(object, key, cJSON_CreateRaw(exact));
}

void json_add_text(cJSON *object, const char *key, const char *text)
{
	add(object, key, text != NULL ? cJSON_CreateString(text) : cJSON_CreateNull());
}
