#include "storage_path.h"

#include "buf.h"
#include "http.h"
#include "mem.h"
#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char object_route[] = "/storage/v1/object/";

/* Parts of a URL, borrowed from it. */
struct url {
	const char *host;
	size_t host_len;
	long port;
	const char *path; /* begins with "/", or is empty; query and fragment still behind it */
};

static int bad_path(struct err *err, const char *why)
{
	return err_set(err, ERR_DOCUMENT, "bad-path", "supabase_path %s", why);
}

/* ---- URLs --------------------------------------------------------------------------------------
 */

static const char *after_scheme(const char *text, long *port)
{
	if (strncasecmp(text, "https://", 8) == 0) {
		*port = 443;
		return text + 8;
	}
	if (strncasecmp(text, "http://", 7) == 0) {
		*port = 80;
		return text + 7;
	}
	return NULL;
}

/* false where text is no plain http(s) URL; userinfo is none. */
static bool url_split(const char *text, struct url *url)
{
	const char *host = after_scheme(text, &url->port);
	const char *end;
	const char *colon;

	if (host == NULL)
		return false;
	end = host + strcspn(host, "/?#\\");
	if (memchr(host, '@', (size_t)(end - host)) != NULL)
		return false;
	colon = host[0] == '[' ? memchr(host, ']', (size_t)(end - host)) : host;
	colon = colon != NULL ? memchr(colon, ':', (size_t)(end - colon)) : NULL;
	url->host = host;
	url->host_len = (size_t)((colon != NULL ? colon : end) - host);
	url->path = end;
	if (colon != NULL) {
		char *rest;

		url->port = strtol(colon + 1, &rest, 10);
		if (rest != end || colon + 1 == end || url->port < 1 || url->port > 65535)
			return false;
	}
	return url->host_len > 0;
}

/* Supabase serves REF.supabase.co's storage at REF.storage.supabase.co too. */
static bool is_storage_host_of(const struct url *url, const struct url *project)
{
	static const char domain[] = ".supabase.co";
	static const char storage[] = ".storage.supabase.co";
	const size_t ref = project->host_len - (sizeof domain - 1);

	return project->host_len > sizeof domain - 1 && url->host_len == ref + sizeof storage - 1 &&
	       strncasecmp(project->host + ref, domain, sizeof domain - 1) == 0 &&
	       strncasecmp(url->host, project->host, ref) == 0 &&
	       strncasecmp(url->host + ref, storage, sizeof storage - 1) == 0;
}

static bool is_host_of(const struct url *url, const struct url *project)
{
	if (url->port != project->port)
		return false;
	if (url->host_len == project->host_len &&
		strncasecmp(url->host, project->host, url->host_len) == 0)
		return true;
	return is_storage_host_of(url, project);
}

static int hex_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c | 0x20) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* Decoded once, up to the query; NULL where an escape is none or hides a NUL. */
static char *percent_decode(const char *text)
{
	const size_t len = strcspn(text, "?#");
	char *out = mem_calloc(len + 1, 1);
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		const int high = text[i] == '%' ? hex_value(text[i + 1]) : 0;
		const int low = text[i] == '%' && high >= 0 ? hex_value(text[i + 2]) : 0;

		if (high < 0 || low < 0 || (text[i] == '%' && high == 0 && low == 0)) {
			free(out);
			return NULL;
		}
		out[used++] = (char)(text[i] == '%' ? high << 4 | low : text[i]);
		i += text[i] == '%' ? 2 : 0;
	}
	return out;
}

/* What stands behind the base path and .../storage/v1/object/[public|sign|authenticated/]; NULL:
 * another address. */
static const char *after_route(const char *path, const char *base)
{
	static const char *const kinds[] = {"public/", "sign/", "authenticated/"};
	size_t base_len = strcspn(base, "?#");

	while (base_len > 0 && base[base_len - 1] == '/')
		base_len--;
	if (strncmp(path, base, base_len) != 0)
		return NULL;
	path += base_len;
	if (strncmp(path, object_route, sizeof object_route - 1) != 0)
		return NULL;
	path += sizeof object_route - 1;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strncmp(path, kinds[i], strlen(kinds[i])) == 0)
			return path + strlen(kinds[i]);
	return path;
}

/* ---- segments ----------------------------------------------------------------------------------
 */

static bool has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7F)
			return true;
	return false;
}

/* NULL = may be used; else what is wrong with it. */
static const char *fault_of(const char *path)
{
	if (strlen(path) > STORAGE_PATH_MAX_BYTES)
		return "is longer than 1,024 bytes";
	if (has_control(path))
		return "contains a control character";
	if (strchr(path, '\\') != NULL)
		return "contains a backslash";
	if (!utf8_valid(path, strlen(path)))
		return "is not valid UTF-8";
	for (const char *segment = path;; segment++) {
		const size_t len = strcspn(segment, "/");

		if (len == 0)
			return "has an empty segment";
		if ((len == 1 || len == 2) && strncmp(segment, "..", len) == 0)
			return "has a segment that is \".\" or \"..\"";
		segment += len;
		if (*segment == '\0')
			return NULL;
	}
}

static void add_place(struct storage_places *places, char *bucket, char *path)
{
	places->items[places->count++] = (struct storage_place){bucket, path};
}

/* ---- the readings ------------------------------------------------------------------------------
 */

static int find_in_url(
	struct storage_places *places, const char *supabase_url, const char *text, struct err *err)
{
	struct url project;
	struct url url;
	const char *rest;
	const char *slash;
	const char *fault;
	char *decoded;
	int rc = 0;

	if (supabase_url == NULL || !url_split(supabase_url, &project))
		return bad_path(err, "is a URL, but this environment has no Supabase project");
	if (!url_split(text, &url) || !is_host_of(&url, &project))
		return bad_path(
			err, "is a URL of another host than the environment's supabase_url");
	rest = after_route(url.path, project.path);
	if (rest == NULL)
		return bad_path(err, "is a URL, but not one of a storage object");
	decoded = percent_decode(rest);
	if (decoded == NULL)
		return bad_path(err, "has a percent sign that starts no character");
	fault = fault_of(decoded);
	slash = strchr(decoded, '/');
	if (fault != NULL)
		rc = bad_path(err, fault);
	else if (slash == NULL)
		rc = bad_path(err, "names a bucket, but no object in it");
	else
		add_place(places, mem_strndup(decoded, (size_t)(slash - decoded)),
			mem_strdup(slash + 1));
	free(decoded);
	return rc;
}

const char *storage_bucket(const struct set_storage *settings, const char *source)
{
	for (size_t i = 0; i < settings->bucket_count; i++)
		if (strcmp(settings->buckets[i].source, source) == 0)
			return settings->buckets[i].bucket;
	return NULL;
}

/* Length of a first segment that names a configured bucket; 0 = it does not. */
static size_t bucket_prefix(const struct set_storage *settings, const char *path)
{
	const size_t len = strcspn(path, "/");

	for (size_t i = 0; path[len] == '/' && i < settings->bucket_count; i++)
		if (strlen(settings->buckets[i].bucket) == len &&
			strncmp(settings->buckets[i].bucket, path, len) == 0)
			return len;
	return 0;
}

static int find_in_path(struct storage_places *places, const struct set_storage *settings,
	const char *source, const char *path, struct err *err)
{
	const char *fault = fault_of(path);
	const char *bucket = storage_bucket(settings, source);
	const size_t prefix = bucket_prefix(settings, path);

	if (fault != NULL)
		return bad_path(err, fault);
	if (prefix > 0)
		add_place(places, mem_strndup(path, prefix), mem_strdup(path + prefix + 1));
	if (bucket != NULL)
		add_place(places, mem_strdup(bucket), mem_strdup(path));
	if (places->count == 0)
		return err_set(err, ERR_CONFIG, "no-bucket",
			"storage.buckets names no bucket for document_source \"%s\"", source);
	return 0;
}

int storage_places_find(struct storage_places *places, const struct set_storage *settings,
	const char *supabase_url, const char *source, const char *supabase_path, struct err *err)
{
	long port;

	*places = (struct storage_places){0};
	if (supabase_path == NULL || supabase_path[0] == '\0')
		return err_set(err, ERR_DOCUMENT, "no-path", "the row has no supabase_path");
	if (after_scheme(supabase_path, &port) != NULL)
		return find_in_url(places, supabase_url, supabase_path, err);
	return find_in_path(places, settings, source, supabase_path, err);
}

void storage_places_fini(struct storage_places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		free(places->items[i].bucket);
		free(places->items[i].path);
	}
	*places = (struct storage_places){0};
}

/* ---- addresses ---------------------------------------------------------------------------------
 */

static char *escape_segments(const char *path)
{
	char *out = mem_strdup("");

	for (const char *segment = path; segment != NULL;) {
		const char *slash = strchr(segment, '/');
		char *one = slash != NULL ? mem_strndup(segment, (size_t)(slash - segment))
					  : mem_strdup(segment);
		char *escaped = http_escape(one);
		char *longer = mem_printf("%s/%s", out, escaped);

		free(escaped);
		free(one);
		free(out);
		out = longer;
		segment = slash != NULL ? slash + 1 : NULL;
	}
	return out;
}

char *storage_url(const char *supabase_url, const char *route, const char *bucket, const char *path)
{
	size_t len = strlen(supabase_url);
	char *escaped_bucket = http_escape(bucket);
	char *escaped_path = path != NULL ? escape_segments(path) : mem_strdup("");
	char *url;

	while (len > 0 && supabase_url[len - 1] == '/')
		len--;
	url = mem_printf("%.*s/storage/v1/%s/%s%s", (int)len, supabase_url, route, escaped_bucket,
		escaped_path);
	free(escaped_bucket);
	free(escaped_path);
	return url;
}
