#include "gemini.h"

#include "json.h"
#include "utf8.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXCERPT_BYTES = 240 };

static const int64_t HINT_MAX_MS = 86400000;
static const int64_t MINUTE_MS = 60000;

/* ---- hints ------------------------------------------------------------------------------------- */

static const char *unit_factor(const char *at, double *factor)
{
	if (strncmp(at, "ms", 2) == 0) {
		*factor = 1;
		return at + 2;
	}
	*factor = *at == 'h' ? 3600000 : *at == 'm' ? 60000 : *at == 's' ? 1000 : 0;
	return at + 1;
}

int64_t gemini_duration_ms(const char *text)
{
	double sum = 0;

	if (!isdigit((unsigned char)*text))
		return -1;
	while (isdigit((unsigned char)*text)) {
		char *end;
		const double number = strtod(text, &end);
		double factor;

		text = unit_factor(end, &factor);
		if (factor == 0)
			return -1;
		sum += number * factor;
	}
	return sum < (double)HINT_MAX_MS ? (int64_t)ceil(sum) : HINT_MAX_MS;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The header, RetryInfo and the message each may name a delay; the longest holds. */
static int64_t hint_ms(const cJSON *error, const char *message, const char *retry_after)
{
	static const char words[] = "retry in ";
	const char *at = strcasestr(message, words);
	const cJSON *detail;
	int64_t hint = 0;

	if (at != NULL)
		hint = larger(hint, gemini_duration_ms(at + sizeof words - 1));
	cJSON_ArrayForEach(detail, json_get(error, "details"))
	{
		const char *delay = json_text(detail, "retryDelay");

		if (delay != NULL)
			hint = larger(hint, gemini_duration_ms(delay));
	}
	if (retry_after != NULL && isdigit((unsigned char)*retry_after)) {
		const double s = strtod(retry_after, NULL);

		hint = larger(hint, s < 86400 ? (int64_t)(s * 1000) : HINT_MAX_MS);
	}
	return hint;
}

/* ---- the table --------------------------------------------------------------------------------- */

enum place { IN_REASON, IN_QUOTA_ID, IN_MESSAGE, IN_STATUS };

/* The first that matches holds; status 0 = any. */
struct meaning {
	long status;
	enum place place;
	const char *word; /* NULL: matches whatever is there */
	enum err_kind kind;
	const char *code;
};

static const struct meaning meanings[] = {
	{0, IN_REASON, "API_KEY_", ERR_CONFIG, "key-refused"},
	{0, IN_REASON, "ACCESS_TOKEN_", ERR_CONFIG, "key-refused"},
	{0, IN_REASON, "SERVICE_DISABLED", ERR_CONFIG, "api-disabled"},
	{0, IN_REASON, "BILLING_DISABLED", ERR_CONFIG, "billing"},
	{0, IN_REASON, "CONSUMER_", ERR_CONFIG, "key-refused"},

	{429, IN_MESSAGE, "spending cap", ERR_CONFIG, "billing"},
	{429, IN_MESSAGE, "credits are depleted", ERR_CONFIG, "billing"},
	{429, IN_QUOTA_ID, "PerDay", ERR_QUOTA_DAY, "quota-day"},
	{429, IN_QUOTA_ID, "Daily", ERR_QUOTA_DAY, "quota-day"},
	{429, IN_MESSAGE, "per day", ERR_QUOTA_DAY, "quota-day"},
	{429, IN_MESSAGE, NULL, ERR_QUOTA, "quota"},

	{400, IN_STATUS, "FAILED_PRECONDITION", ERR_CONFIG, "precondition"},
	{400, IN_MESSAGE, "API key", ERR_CONFIG, "key-refused"},
	{400, IN_MESSAGE, "authentication credentials", ERR_CONFIG, "key-refused"},
	{400, IN_MESSAGE, "location is not supported", ERR_CONFIG, "precondition"},
	{400, IN_MESSAGE, "Unknown name", ERR_CONFIG, "field"},
	{400, IN_MESSAGE, "thinking budget", ERR_CONFIG, "field"},
	{400, IN_MESSAGE, "thinking level", ERR_CONFIG, "field"},
	{400, IN_MESSAGE, "maxOutputTokens", ERR_CONFIG, "field"},
	{400, IN_MESSAGE, "supported for this model", ERR_CONFIG, "field"},
	{400, IN_MESSAGE, NULL, ERR_REQUEST, "bad-request"},
	{401, IN_MESSAGE, NULL, ERR_CONFIG, "key-refused"},
	{402, IN_MESSAGE, NULL, ERR_CONFIG, "billing"},
	{403, IN_MESSAGE, NULL, ERR_CONFIG, "key-refused"},
	{404, IN_MESSAGE, NULL, ERR_CONFIG, "no-model"},
	{405, IN_MESSAGE, NULL, ERR_CONFIG, "address"},
	{407, IN_MESSAGE, NULL, ERR_CONFIG, "proxy"},
	{410, IN_MESSAGE, NULL, ERR_CONFIG, "no-model"},
	{413, IN_MESSAGE, NULL, ERR_REQUEST, "too-large"},
	{451, IN_MESSAGE, NULL, ERR_CONFIG, "precondition"},
};

/* What a person can do about it. */
static const char *const advice[][2] = {
	{"key-refused", "check gemini.api_key"},
	{"no-model", "check gemini.model and gemini.base_url"},
	{"no-quota", "this project has no quota for this model"},
	{"field", "this model does not take one of the gemini settings"},
	{"billing", "see to the project's billing"},
	{"address", "check gemini.base_url"},
	{"proxy", "a proxy on the way wants a login"},
	{"redirect", "redirects are not followed; check gemini.base_url"},
};

/* "limit: 0" and nothing behind the nought: no quota at all, also how a closed model can show. */
static bool has_no_quota(const char *message)
{
	static const char words[] = "limit: 0";
	const char *at = message;

	while ((at = strstr(at, words)) != NULL) {
		at += sizeof words - 1;
		if (!isdigit((unsigned char)at[0]) &&
			!(at[0] == '.' && isdigit((unsigned char)at[1])))
			return true;
	}
	return false;
}

static bool reason_has(const cJSON *error, const char *word)
{
	const cJSON *detail;

	cJSON_ArrayForEach(detail, json_get(error, "details"))
	{
		const char *reason = json_text(detail, "reason");

		if (reason != NULL && strstr(reason, word) != NULL)
			return true;
	}
	return false;
}

static bool quota_id_has(const cJSON *error, const char *word)
{
	const cJSON *detail;
	const cJSON *violation;

	cJSON_ArrayForEach(detail, json_get(error, "details"))
	{
		cJSON_ArrayForEach(violation, json_get(detail, "violations"))
		{
			const char *id = json_text(violation, "quotaId");

			if (id != NULL && strstr(id, word) != NULL)
				return true;
		}
	}
	return false;
}

static bool matches(const struct meaning *m, long status, const cJSON *error, const char *message)
{
	const char *word = json_text(error, "status");

	if (m->status != 0 && m->status != status)
		return false;
	switch (m->place) {
	case IN_REASON:
		return reason_has(error, m->word);
	case IN_QUOTA_ID:
		return quota_id_has(error, m->word);
	case IN_STATUS:
		return word != NULL && strcmp(word, m->word) == 0;
	case IN_MESSAGE:
		break;
	}
	return m->word == NULL || strcasestr(message, m->word) != NULL;
}

static struct meaning meaning_of(long status, const cJSON *error, const char *message)
{
	if (status == 429 && has_no_quota(message))
		return (struct meaning){.kind = ERR_CONFIG, .code = "no-quota"};
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
		if (matches(&meanings[i], status, error, message))
			return meanings[i];
	if (status >= 300 && status < 400)
		return (struct meaning){.kind = ERR_CONFIG, .code = "redirect"};
	return (struct meaning){
		.kind = ERR_TRANSIENT}; /* a page is to blame for 400 and 413 only */
}

/* ---- putting it in words ----------------------------------------------------------------------- */

static const char *advice_for(const char *code)
{
	for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++)
		if (strcmp(advice[i][0], code) == 0)
			return advice[i][1];
	return NULL;
}

/* Should a message repeat a key that is not ours, it goes no further either. */
static void mask_keys(char *text)
{
	static const char *const prefixes[] = {"AIza", "AQ."};

	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		for (char *at = text; (at = strstr(at, prefixes[i])) != NULL;)
			while (isalnum((unsigned char)*at) || (*at != '\0' && strchr("-_.", *at)))
				*at++ = '*';
}

/* The error object of {"error": {...}} or [{"error": {...}}]. */
static const cJSON *error_object(const cJSON *tree)
{
	return json_get(cJSON_IsArray(tree) ? cJSON_GetArrayItem(tree, 0) : tree, "error");
}

static void describe(long status, const cJSON *error, const char *message, const struct meaning *m,
	struct err *err)
{
	const char *word = json_text(error, "status");
	const char *hint = m->code != NULL ? advice_for(m->code) : NULL;
	char code[sizeof err->code];
	char said[EXCERPT_BYTES + 1];

	(void)snprintf(said, sizeof said, "%.*s", (int)utf8_cut(message, EXCERPT_BYTES), message);
	mask_keys(said);
	(void)snprintf(code, sizeof code, "http-%ld", status);
	err_set(err, m->kind, m->code != NULL ? m->code : code,
		"Gemini answers HTTP %ld%s%s%s%s%s%s", status, word != NULL ? " " : "",
		word != NULL ? word : "", said[0] != '\0' ? ": " : "", said,
		hint != NULL ? "; " : "", hint != NULL ? hint : "");
}

int gemini_fault(long status, const char *retry_after, const char *body, size_t len,
	const char *secret, struct err *err)
{
	cJSON *tree = json_parse(body, len);
	const cJSON *error = error_object(tree);
	const char *message = json_text(error, "message");
	struct meaning m;

	json_scrub(tree, secret);
	if (message == NULL)
		message = "";
	if (status == 200)
		status = (long)json_int(error, "code", 500);
	m = meaning_of(status, error, message);
	describe(status, error, message, &m, err);
	if (m.kind == ERR_QUOTA || m.kind == ERR_TRANSIENT)
		err->retry_after_ms = hint_ms(error, message, retry_after);
	if (m.kind == ERR_QUOTA && err->retry_after_ms == 0 && quota_id_has(error, "PerMinute"))
		err->retry_after_ms = MINUTE_MS;
	cJSON_Delete(tree);
	return -1;
}
