#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_names[ERR_KINDS] = {
	[ERR_NONE] = "none",
	[ERR_CONFIG] = "config",
	[ERR_QUOTA] = "quota",
	[ERR_QUOTA_DAY] = "quota-day",
	[ERR_TRANSIENT] = "transient",
	[ERR_MISSING] = "missing",
	[ERR_DOCUMENT] = "document",
	[ERR_REFUSED] = "refused",
	[ERR_REQUEST] = "request",
	[ERR_TRUNCATED] = "truncated",
	[ERR_EMPTY] = "empty",
	[ERR_LOST] = "lost",
	[ERR_STOPPED] = "stopped",
	[ERR_SYSTEM] = "system",
	[ERR_BUG] = "bug",
};

/* Rather a shorter text than half a character at its end. */
static void end_at_character(char *text, size_t size)
{
	size_t len = strlen(text);
	size_t start = len;

	if (len + 1 < size)
		return;
	while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
		start--;
	if (start > 0 && ((unsigned char)text[start - 1] & 0x80) != 0)
		text[start - 1] = '\0';
}

/* Bytes of the character at text, 0 if none begins there: overlong forms, surrogates and numbers past
 * U+10FFFF are as useless to the database as stray bytes. */
static size_t character_bytes(const unsigned char *text)
{
	const unsigned char lead = text[0];
	const unsigned char least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	const unsigned char most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
	const size_t len = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

	if (lead < 0x80)
		return 1;
	if (lead < 0xC2 || lead > 0xF4 || text[1] < least || text[1] > most)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((text[i] & 0xC0) != 0x80)
			return 0;
	return len;
}

/* What strangers said may hold anything, or have been cut by a format on its way here. */
static void replace_bad_bytes(char *text)
{
	while (*text != '\0') {
		const size_t len = character_bytes((const unsigned char *)text);

		if (len == 0)
			*text = '?';
		text += len == 0 ? 1 : len;
	}
}

static void one_line(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7F)
			*text = ' ';
}

/* The database refuses a text with one invalid byte. */
static void finish(char *text, size_t size)
{
	end_at_character(text, size);
	replace_bad_bytes(text);
	one_line(text);
}

__attribute__((format(printf, 4, 0))) static void fill(
	struct err *err, enum err_kind kind, const char *code, const char *fmt, va_list ap)
{
	err->kind = kind;
	err->retry_after_ms = 0;
	(void)snprintf(err->code, sizeof err->code, "%s", code);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	finish(err->text, sizeof err->text);
}

int err_set(struct err *err, enum err_kind kind, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(err, kind, code, fmt, ap);
	va_end(ap);
	return -1;
}

int err_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	const int saved = errno;
	char what[sizeof err->text];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	err_set(err, kind, "system", "%s: %s", what, strerror(saved));
	errno = saved;
	return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char prefix[256];
	char rest[sizeof err->text];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(prefix, sizeof prefix, fmt, ap);
	va_end(ap);
	end_at_character(prefix, sizeof prefix);
	memcpy(rest, err->text, sizeof rest);
	(void)snprintf(err->text, sizeof err->text, "%s%.*s", prefix,
		(int)(sizeof err->text - strlen(prefix) - 1), rest);
	finish(err->text, sizeof err->text);
	return -1;
}

void err_scrub(char *text, const char *secret)
{
	const size_t len = secret != NULL ? strlen(secret) : 0;
	char *found = len > 0 ? strstr(text, secret) : NULL;

	for (; found != NULL; found = strstr(found + len, secret))
		memset(found, '*', len);
}

const char *err_kind_name(enum err_kind kind)
{
	return kind < ERR_KINDS ? kind_names[kind] : "unknown";
}
