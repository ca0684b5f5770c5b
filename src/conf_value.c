#include "conf_value.h"

#include "mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char mask[] = "********";
/* For libpq strings, so that what is printed can be loaded. */
static const char masked_database[] = "password=********";

static void *field(const struct conf_key *key, void *base)
{
	return (char *)base + key->offset;
}

static const void *const_field(const struct conf_key *key, const void *base)
{
	return (const char *)base + key->offset;
}

/* ---- numbers ------------------------------------------------------------------------------- */

/*
 * [-]digits[.digits], at most 15 digits, so that the double is exact in the file's unit. No octal,
 * no exponent, no locale: strtod() and libconfuse's own integers have them.
 */
static bool parse_number(const char *text, bool whole, double *out)
{
	const bool negative = text[0] == '-';
	double value = 0;
	double scale = 1;
	int digits = 0;
	bool fraction = false;

	if (negative)
		text++;
	if (!isdigit((unsigned char)text[0]))
		return false;
	for (; *text != '\0'; text++) {
		if (*text == '.' && !fraction && !whole && isdigit((unsigned char)text[1])) {
			fraction = true;
			continue;
		}
		if (!isdigit((unsigned char)*text) || ++digits > 15)
			return false;
		value = value * 10 + (*text - '0');
		if (fraction)
			scale *= 10;
	}
	*out = negative ? -value / scale : value / scale;
	return true;
}

static double scale_of(const struct conf_key *key)
{
	switch (key->type) {
	case CONF_SECONDS:
		return 1000;
	case CONF_MEGABYTES:
		return 1024 * 1024;
	default:
		return 1;
	}
}

static void store_integer(void *to, size_t width, int64_t value)
{
	if (width == sizeof(int64_t))
		*(int64_t *)to = value;
	else if (width == sizeof(int))
		*(int *)to = (int)value;
	else
		*(bool *)to = value != 0;
}

static int64_t load_integer(const void *from, size_t width)
{
	if (width == sizeof(int64_t))
		return *(const int64_t *)from;
	if (width == sizeof(int))
		return *(const int *)from;
	return *(const bool *)from;
}

static int64_t unset_integer(const struct conf_key *key)
{
	if (key->type == CONF_BOOL)
		return -1;
	return key->width == sizeof(int64_t) ? INT64_MIN : INT_MIN;
}

/* ---- words and booleans ---------------------------------------------------------------------- */

static int word_index(const char *const *words, const char *value)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], value) == 0)
			return i;
	return -1;
}

static int bool_value(const char *value)
{
	static const char *const names[] = {"false", "true", "no", "yes", "off", "on", NULL};
	const int i = word_index(names, value);

	return i < 0 ? -1 : i % 2;
}

/* ---- is it allowed? ------------------------------------------------------------------------ */

static bool text_fits(const struct conf_key *key, const char *value)
{
	if (value[0] == '\0')
		return key->empty;
	if (key->words != NULL)
		return word_index(key->words, value) >= 0;
	return key->form->fits(value);
}

static bool number_fits(const struct conf_key *key, const char *value)
{
	const bool whole = key->type == CONF_INTEGER || key->type == CONF_MEGABYTES;
	double number;

	return parse_number(value, whole, &number) && number >= key->min && number <= key->max;
}

bool conf_value_fits(const struct conf_key *key, const char *value)
{
	switch (key->type) {
	case CONF_INTEGER:
	case CONF_SECONDS:
	case CONF_MEGABYTES:
	case CONF_REAL:
		return number_fits(key, value);
	case CONF_BOOL:
		return bool_value(value) >= 0;
	case CONF_WORD:
		return word_index(key->words, value) >= 0;
	case CONF_TEXT:
	case CONF_LIST:
	case CONF_BUCKETS:
	case CONF_SECRET:
	case CONF_SECRET_FILE:
		break;
	}
	return text_fits(key, value);
}

/* ---- into the field ---------------------------------------------------------------------------- */

void conf_list_fini(struct set_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	list->items = NULL;
	list->count = 0;
}

void conf_list_add(struct set_list *list, char *text)
{
	list->items = mem_realloc(list->items, (list->count + 2) * sizeof list->items[0]);
	if (text != NULL)
		list->items[list->count++] = text;
	list->items[list->count] = NULL;
}

static void buckets_fini(struct set_storage *storage)
{
	for (size_t i = 0; i < storage->bucket_count; i++) {
		free(storage->buckets[i].source);
		free(storage->buckets[i].bucket);
	}
	free(storage->buckets);
	storage->buckets = NULL;
	storage->bucket_count = 0;
}

static void bucket_add(struct set_storage *storage, const char *value)
{
	const char *equals = strchr(value, '=');
	struct set_bucket *added;

	if (storage->bucket_count == CONF_LIST_MAX)
		return;
	storage->buckets = mem_realloc(
		storage->buckets, (storage->bucket_count + 1) * sizeof storage->buckets[0]);
	added = &storage->buckets[storage->bucket_count++];
	added->source = mem_strndup(value, (size_t)(equals - value));
	added->bucket = mem_strdup(equals + 1);
}

static void set_number(const struct conf_key *key, void *base, const char *value)
{
	double number = 0;

	if (value == NULL)
		store_integer(field(key, base), key->width, unset_integer(key));
	else if (parse_number(value, false, &number))
		store_integer(
			field(key, base), key->width, (int64_t)llround(number * scale_of(key)));
}

static void set_real(double *to, const char *value)
{
	if (value == NULL)
		*to = NAN;
	else
		(void)parse_number(value, false, to);
}

/* "" stays "" only where the default is a text: elsewhere it means not set. */
static void set_text(const struct conf_key *key, char **to, const char *value)
{
	const bool keep_empty = key->type == CONF_TEXT && key->fallback != NULL;

	if (value != NULL && (value[0] != '\0' || keep_empty))
		*to = mem_strdup(value);
}

void conf_value_set(const struct conf_key *key, void *base, const char *value)
{
	if (key->type == CONF_LIST) {
		if (((struct set_list *)field(key, base))->count < CONF_LIST_MAX)
			conf_list_add(field(key, base), value != NULL ? mem_strdup(value) : NULL);
		return;
	}
	if (key->type == CONF_BUCKETS) {
		if (value != NULL)
			bucket_add(&((struct settings *)base)->storage, value);
		return;
	}
	conf_value_fini(key, base);
	switch (key->type) {
	case CONF_REAL:
		set_real(field(key, base), value);
		break;
	case CONF_BOOL:
		store_integer(field(key, base), key->width, value != NULL ? bool_value(value) : -1);
		break;
	case CONF_WORD:
		store_integer(field(key, base), key->width, word_index(key->words, value));
		break;
	case CONF_TEXT:
	case CONF_SECRET:
	case CONF_SECRET_FILE:
		set_text(key, field(key, base), value);
		break;
	default:
		set_number(key, base, value);
	}
}

void conf_value_fini(const struct conf_key *key, void *base)
{
	char **text = field(key, base);

	switch (key->type) {
	case CONF_TEXT:
		free(*text);
		*text = NULL;
		break;
	case CONF_SECRET:
	case CONF_SECRET_FILE:
		mem_free_secret(*text);
		*text = NULL;
		break;
	case CONF_LIST:
		conf_list_fini(field(key, base));
		break;
	case CONF_BUCKETS:
		buckets_fini(&((struct settings *)base)->storage);
		break;
	default:
		break;
	}
}

const char *conf_value_text(const struct conf_key *key, const void *base)
{
	return *(char *const *)const_field(key, base);
}

/* ---- out of the field -------------------------------------------------------------------------- */

static void print_quoted(FILE *out, const char *text)
{
	(void)fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\' || *text == '$')
			(void)fputc('\\', out);
		(void)fputc(*text, out);
	}
	(void)fputc('"', out);
}

static void print_number(const struct conf_key *key, const void *base, FILE *out)
{
	const int64_t value = load_integer(const_field(key, base), key->width);
	const int64_t scale = (int64_t)scale_of(key);
	char fraction[16];
	size_t len;

	(void)fprintf(out, "%" PRId64, value / scale);
	if (key->type != CONF_SECONDS || value % scale == 0)
		return;
	(void)snprintf(fraction, sizeof fraction, "%03d", (int)(value % scale));
	for (len = strlen(fraction); fraction[len - 1] == '0'; len--)
		fraction[len - 1] = '\0';
	(void)fprintf(out, ".%s", fraction);
}

static bool mentions_password(const char *text)
{
	return strcasestr(text, "pass") != NULL;
}

bool conf_value_is_secret(const struct conf_key *key, const char *value)
{
	const char *authority = strstr(value, "://");
	const char *at = strrchr(value, '@');
	const char *colon;

	if (value[0] == '\0' || strcmp(value, mask) == 0 || strcmp(value, masked_database) == 0)
		return false;
	if (key->form == &conf_form_header)
		return true;
	if (authority == NULL)
		return mentions_password(value);
	authority += 3;
	if (mentions_password(at != NULL ? at : authority))
		return true;
	if (at == NULL)
		return false;
	colon = memchr(authority, ':', (size_t)(at - authority));
	return colon != NULL && at - colon > 1 && strncmp(colon + 1, mask, strlen(mask)) != 0;
}

/* Of a URL the host and database stay readable; what could hold a password does not. */
static void print_masked(const struct conf_key *key, FILE *out, const char *value)
{
	const char *authority = strstr(value, "://");
	const char *at = strrchr(value, '@');

	if (authority == NULL || key->form == &conf_form_header) {
		const char *masked = key->form == &conf_form_database ? masked_database : mask;

		print_quoted(out, conf_value_is_secret(key, value) ? masked : value);
		return;
	}
	authority += 3;
	if (mentions_password(at != NULL ? at : authority))
		(void)fprintf(out, "\"%.*s%s\"", (int)(authority - value), value, mask);
	else if (at == NULL)
		print_quoted(out, value);
	else {
		char *shown =
			mem_printf("%.*s%s:%s%s", (int)(authority - value), value, mask, mask, at);

		print_quoted(out, shown);
		free(shown);
	}
}

static void print_text(const struct conf_key *key, const char *text, FILE *out)
{
	if (text == NULL)
		text = "";
	if (key->type == CONF_SECRET)
		print_masked(key, out, text);
	else
		print_quoted(out, text);
}

static void print_list(const struct set_list *list, FILE *out)
{
	(void)fputc('{', out);
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			(void)fputs(", ", out);
		print_quoted(out, list->items[i]);
	}
	(void)fputc('}', out);
}

static void print_buckets(const struct set_storage *storage, FILE *out)
{
	(void)fputc('{', out);
	for (size_t i = 0; i < storage->bucket_count; i++) {
		char *pair =
			mem_printf("%s=%s", storage->buckets[i].source, storage->buckets[i].bucket);

		if (i > 0)
			(void)fputs(", ", out);
		print_quoted(out, pair);
		free(pair);
	}
	(void)fputc('}', out);
}

/* A text that is not set is printed as "" where its default would otherwise come back. */
static bool is_shown(const struct conf_key *key, const void *base)
{
	const bool has_default = key->fallback != NULL && key->fallback[0] != '\0';

	switch (key->type) {
	case CONF_TEXT:
	case CONF_SECRET:
		return has_default || conf_value_text(key, base) != NULL;
	case CONF_REAL:
		return !isnan(*(const double *)const_field(key, base));
	case CONF_INTEGER:
	case CONF_BOOL:
		return load_integer(const_field(key, base), key->width) != unset_integer(key);
	case CONF_SECRET_FILE:
		return false;
	default:
		return true;
	}
}

void conf_value_print(const struct conf_key *key, const void *base, const char *indent, FILE *out)
{
	const void *from = const_field(key, base);

	if (!is_shown(key, base))
		return;
	(void)fprintf(out, "%s%s = ", indent, key->name);
	switch (key->type) {
	case CONF_REAL:
		(void)fprintf(out, "%.15g", *(const double *)from);
		break;
	case CONF_BOOL:
		(void)fputs(load_integer(from, key->width) != 0 ? "true" : "false", out);
		break;
	case CONF_WORD:
		print_quoted(out, key->words[load_integer(from, key->width)]);
		break;
	case CONF_TEXT:
	case CONF_SECRET:
		print_text(key, conf_value_text(key, base), out);
		break;
	case CONF_LIST:
		print_list(from, out);
		break;
	case CONF_BUCKETS:
		print_buckets(&((const struct settings *)base)->storage, out);
		break;
	default:
		print_number(key, base, out);
	}
	(void)fputc('\n', out);
}

/* ---- two values ------------------------------------------------------------------------------ */

bool conf_value_equal(const struct conf_key *key, const void *a, const void *b)
{
	const char *left;
	const char *right;

	switch (key->type) {
	case CONF_TEXT:
	case CONF_SECRET:
	case CONF_SECRET_FILE:
		left = conf_value_text(key, a);
		right = conf_value_text(key, b);
		return left == right || (left != NULL && right != NULL && strcmp(left, right) == 0);
	default:
		return memcmp(const_field(key, a), const_field(key, b), key->width) == 0;
	}
}

void conf_value_copy(const struct conf_key *key, void *to, const void *from)
{
	conf_value_fini(key, to);
	if (key->type == CONF_TEXT)
		set_text(key, field(key, to), conf_value_text(key, from));
	else
		memcpy(field(key, to), const_field(key, from), key->width);
}
