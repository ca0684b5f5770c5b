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

/* A cut in the middle of a UTF-8 sequence would make the whole text unusable for the database. */
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

static void one_line(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7F)
			*text = ' ';
}

__attribute__((format(printf, 4, 0))) static void fill(
	struct err *err, enum err_kind kind, const char *code, const char *fmt, va_list ap)
{
	err->kind = kind;
	err->retry_after_ms = 0;
	(void)snprintf(err->code, sizeof err->code, "%s", code);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	end_at_character(err->text, sizeof err->text);
	one_line(err->text);
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
	memcpy(rest, err->text, sizeof rest);
	(void)snprintf(err->text, sizeof err->text, "%s%.*s", prefix,
		(int)(sizeof err->text - strlen(prefix) - 1), rest);
	end_at_character(err->text, sizeof err->text);
	one_line(err->text);
	return -1;
}

const char *err_kind_name(enum err_kind kind)
{
	return kind < ERR_KINDS ? kind_names[kind] : "unknown";
}
