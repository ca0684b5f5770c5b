#include "conf_form.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool all_of(const char *value, const char *more, size_t max)
{
	size_t len = 0;

	for (; value[len] != '\0'; len++)
		if (!isalnum((unsigned char)value[len]) && strchr(more, value[len]) == NULL)
			return false;
	return len > 0 && len <= max;
}

static bool starts(const char *value, const char *prefix)
{
	return strncasecmp(value, prefix, strlen(prefix)) == 0;
}

/* A host must follow the scheme, and nothing that would end a header or a URL early. */
static bool has_host(const char *value, const char *scheme)
{
	const size_t len = strlen(scheme);

	return starts(value, scheme) && value[len] != '\0' && strchr("/?#:", value[len]) == NULL &&
	       strpbrk(value, " \t\r\n\"<>\\") == NULL;
}

static bool fits_any(const char *value)
{
	return value[0] != '\0' && strlen(value) < 4096;
}

static bool fits_path(const char *value)
{
	return value[0] == '/' && strlen(value) < 4096;
}

static bool fits_name(const char *value)
{
	return all_of(value, "_-", 40);
}

static bool fits_worker_id(const char *value)
{
	return all_of(value, "._-:@", 100);
}

static bool fits_user(const char *value)
{
	return all_of(value, "._-", 32) && value[0] != '-';
}

/* PostgreSQL's names: 63 bytes; quoted by the statements, so that only the odd ones are refused. */
static bool fits_column(const char *value)
{
	return !isdigit((unsigned char)value[0]) && all_of(value, "_", 63);
}

static bool fits_table(const char *value)
{
	const char *dot = strchr(value, '.');
	char schema[64];

	if (dot == NULL)
		return fits_column(value);
	if ((size_t)(dot - value) >= sizeof schema)
		return false;
	memcpy(schema, value, (size_t)(dot - value));
	schema[dot - value] = '\0';
	return fits_column(schema) && fits_column(dot + 1);
}

static bool fits_http(const char *value)
{
	return (has_host(value, "http://") || has_host(value, "https://")) &&
	       strpbrk(value, "?#@") == NULL;
}

static bool fits_database(const char *value)
{
	return starts(value, "postgresql://") || starts(value, "postgres://") ||
	       (strchr(value, '=') != NULL && strstr(value, "://") == NULL);
}

static bool fits_redis(const char *value)
{
	return has_host(value, "redis://") || has_host(value, "rediss://") ||
	       (starts(value, "unix:///") && value[8] != '\0') || starts(value, "redis://:") ||
	       starts(value, "rediss://:");
}

static bool fits_storage(const char *value)
{
	return strcmp(value, "supabase") == 0 ||
	       (strncmp(value, "directory:/", 11) == 0 && strlen(value) < 4096);
}

static bool fits_bucket(const char *value)
{
	const char *equals = strchr(value, '=');

	return equals != NULL && equals > value && equals - value <= 100 &&
	       all_of(equals + 1, "_-. ", 100) &&
	       memchr(value, ' ', (size_t)(equals - value)) == NULL;
}

static bool fits_model(const char *value)
{
	return all_of(value, "._-:/@", 79);
}

static bool fits_languages(const char *value)
{
	return all_of(value, "_+-/", 200);
}

static bool fits_prefix(const char *value)
{
	return all_of(value, "_-.:{}", 64);
}

static bool fits_header(const char *value)
{
	for (; *value != '\0'; value++)
		if ((unsigned char)*value <= 0x20 || (unsigned char)*value >= 0x7F)
			return false;
	return true;
}

static bool fits_listen(const char *value)
{
	const char *colon = strrchr(value, ':');
	int port = 0;

	if (colon == NULL || colon == value || strlen(colon) < 2 || strlen(colon) > 6)
		return false;
	for (const char *p = colon + 1; *p != '\0'; p++) {
		if (!isdigit((unsigned char)*p))
			return false;
		port = port * 10 + (*p - '0');
	}
	if (value[0] == '[')
		return colon[-1] == ']' && port >= 1 && port <= 65535;
	return memchr(value, ':', (size_t)(colon - value)) == NULL && port >= 1 && port <= 65535;
}

const struct conf_form conf_form_any = {"any text", fits_any};
const struct conf_form conf_form_path = {"an absolute path", fits_path};
const struct conf_form conf_form_name = {
	"1 to 40 letters, digits, underscores and hyphens", fits_name};
const struct conf_form conf_form_worker_id = {
	"1 to 100 letters, digits and . _ - : @ (no slash)", fits_worker_id};
const struct conf_form conf_form_user = {"a user name", fits_user};
const struct conf_form conf_form_column = {
	"1 to 63 letters, digits and underscores, not beginning with a digit", fits_column};
const struct conf_form conf_form_table = {"a table name, or schema.table", fits_table};
const struct conf_form conf_form_http = {
	"an http:// or https:// URL without user, query or fragment", fits_http};
const struct conf_form conf_form_database = {
	"a postgresql:// URL or a libpq string (host=... dbname=...)", fits_database};
const struct conf_form conf_form_redis = {"a redis://, rediss:// or unix:/// URL", fits_redis};
const struct conf_form conf_form_storage = {
	"\"supabase\", or \"directory:\" and an absolute path", fits_storage};
const struct conf_form conf_form_bucket = {"source=bucket", fits_bucket};
const struct conf_form conf_form_model = {"1 to 79 letters, digits and . _ - : / @", fits_model};
const struct conf_form conf_form_languages = {
	"Tesseract languages joined by +, such as \"fra\"", fits_languages};
const struct conf_form conf_form_prefix = {"1 to 64 letters, digits and _ - . : { }", fits_prefix};
const struct conf_form conf_form_header = {
	"printable ASCII characters without blanks", fits_header};
const struct conf_form conf_form_listen = {
	"address:port, such as \"127.0.0.1:9750\" or \"[::1]:9750\"", fits_listen};
