#include "storage_fault.h"

#include "json.h"
#include "utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXCERPT_BYTES = 160, RETRY_AFTER_MAX_S = 3600 };

struct meaning {
	const char *word;
	enum err_kind kind;
	const char *code;
};

/* The body's "code", whole. */
static const struct meaning codes[] = {
	{"NoSuchKey", ERR_MISSING, "missing"},
	{"NoSuchBucket", ERR_CONFIG, "no-bucket"},
	{"TenantNotFound", ERR_CONFIG, "no-project"},
	{"AccessDenied", ERR_CONFIG, "key-refused"},
	{"InvalidJWT", ERR_CONFIG, "key-refused"},
	{"ExpiredToken", ERR_CONFIG, "key-refused"},
	{"InvalidSignature", ERR_CONFIG, "key-refused"},
	{"SignatureDoesNotMatch", ERR_CONFIG, "key-refused"},
	{"InvalidKey", ERR_DOCUMENT, "bad-path"},
	{"EntityTooLarge", ERR_DOCUMENT, "too-large"},
	{"SlowDown", ERR_TRANSIENT, "busy"},
	{"DatabaseTimeout", ERR_TRANSIENT, "busy"},
	{"InternalError", ERR_TRANSIENT, "http-500"},
};

/* Words of "error" or "message" where there is no code (older servers, gateways). */
static const struct meaning words[] = {
	{"Bucket not found", ERR_CONFIG, "no-bucket"},
	{"Invalid Compact JWS", ERR_CONFIG, "key-refused"},
	{"property 'authorization'", ERR_CONFIG, "key-refused"},
	{"Invalid API key", ERR_CONFIG, "key-refused"},
	{"No API key found", ERR_CONFIG, "key-refused"},
	{"jwt expired", ERR_CONFIG, "key-refused"},
	{"invalid signature", ERR_CONFIG, "key-refused"},
	{"no Route matched", ERR_CONFIG, "not-storage"},
	{"Route GET:", ERR_CONFIG, "not-storage"},
	{"too_many_connections", ERR_TRANSIENT, "busy"},
};

static const char *const advice[][2] = {
	{"no-bucket",
		"create the bucket or correct storage.buckets; a key that may not see the bucket "
		"gets the same answer"},
	{"no-project", "check supabase_url"},
	{"key-refused", "check service_key and key_mode"},
	{"not-storage", "check supabase_url"},
	{"redirect", "redirects are not followed; check supabase_url"},
};

static const struct meaning *look_up(
	const struct meaning *table, size_t count, const char *text, bool whole)
{
	for (size_t i = 0; text != NULL && i < count; i++)
		if (whole ? strcmp(text, table[i].word) == 0
			  : strcasestr(text, table[i].word) != NULL)
			return &table[i];
	return NULL;
}

/* "statusCode" comes as string or number. */
static long inner_status(const cJSON *body)
{
	const char *text = json_text(body, "statusCode");

	return text != NULL ? strtol(text, NULL, 10) : (long)json_int(body, "statusCode", 0);
}

static struct meaning by_status(long status, bool from_storage)
{
	if (status >= 300 && status < 400)
		return (struct meaning){NULL, ERR_CONFIG, "redirect"};
	if (status == 401 || status == 403)
		return (struct meaning){NULL, ERR_CONFIG, "key-refused"};
	if (status == 404 && from_storage)
		return (struct meaning){NULL, ERR_MISSING, "missing"};
	if (status == 404)
		return (struct meaning){NULL, ERR_CONFIG, "not-storage"};
	return (struct meaning){NULL, ERR_TRANSIENT, NULL};
}

static struct meaning meaning_of(long status, const cJSON *body)
{
	const char *error = json_text(body, "error");
	const char *message = json_text(body, "message");
	const long inner = inner_status(body);
	const struct meaning *m;

	m = look_up(codes, sizeof codes / sizeof codes[0], json_text(body, "code"), true);
	if (m == NULL)
		m = look_up(words, sizeof words / sizeof words[0], error, false);
	if (m == NULL)
		m = look_up(words, sizeof words / sizeof words[0], message, false);
	if (m != NULL)
		return *m;
	return by_status(inner > 0 ? inner : status, inner > 0 || error != NULL);
}

static const char *advice_for(const char *code)
{
	for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++)
		if (strcmp(advice[i][0], code) == 0)
			return advice[i][1];
	return NULL;
}

int storage_fault(long status, const char *body, size_t body_bytes, const char *retry_after,
	const char *secret, struct err *err)
{
	cJSON *tree = json_parse(body, body_bytes);
	const struct meaning m = meaning_of(status, tree);
	const long inner = inner_status(tree);
	const char *said = json_text(tree, "message");
	const char *hint;
	char code[sizeof err->code];

	json_scrub(tree, secret);
	if (said == NULL)
		said = json_text(tree, "error");
	if (said == NULL)
		said = "";
	(void)snprintf(code, sizeof code, "http-%ld", inner > 0 ? inner : status);
	hint = m.code != NULL ? advice_for(m.code) : NULL;
	err_set(err, m.kind, m.code != NULL ? m.code : code, "storage answers HTTP %ld%s%.*s%s%s",
		status, said[0] != '\0' ? ": " : "", (int)utf8_cut(said, EXCERPT_BYTES), said,
		hint != NULL ? "; " : "", hint != NULL ? hint : "");
	if (retry_after != NULL && m.kind == ERR_TRANSIENT) {
		const long s = strtol(retry_after, NULL, 10);

		err->retry_after_ms =
			s < 0 ? 0 : (s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : s) * 1000;
	}
	cJSON_Delete(tree);
	return -1;
}
