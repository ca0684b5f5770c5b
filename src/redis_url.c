#include "redis_url.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

static int refuse(struct err *err, const char *what)
{
	return err_set(err, ERR_CONFIG, "redis-url",
		"Redis URL: %s; allowed is redis://[[user]:password@]host[:port][/db], rediss:// "
		"likewise, or unix:///path[?db=n]",
		what);
}

/* Digits only, 0 .. max; -1 otherwise. */
static long number(const char *text, size_t len, long max)
{
	long n = 0;

	if (len == 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		n = n * 10 + (text[i] - '0');
		if (n > max)
			return -1;
	}
	return n;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* NULL where a % is not followed by two hexadecimal digits, or stands for a NUL. */
static char *percent_decode(const char *text, size_t len)
{
	char *out = mem_calloc(len + 1, 1);
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			const int high = i + 2 < len ? hex(text[i + 1]) : -1;
			const int low = i + 2 < len ? hex(text[i + 2]) : -1;

			if (high < 0 || low < 0 || (high | low) == 0) {
				mem_free_secret(out);
				return NULL;
			}
			c = high << 4 | low;
			i += 2;
		}
		out[used++] = (char)c;
	}
	return out;
}

/* [user][:password] */
static int parse_login(struct redis_url *out, const char *text, size_t len, struct err *err)
{
	const char *colon = memchr(text, ':', len);
	const size_t user_len = colon != NULL ? (size_t)(colon - text) : len;

	if (colon == NULL)
		return refuse(err, "there is a user without a password");
	out->password = percent_decode(colon + 1, len - user_len - 1);
	if (user_len > 0)
		out->user = percent_decode(text, user_len);
	if (out->password == NULL || (user_len > 0 && out->user == NULL))
		return refuse(err, "a % in user or password is not followed by two hexadecimal "
				   "digits (write %25 for a %)");
	if (out->password[0] == '\0')
		return refuse(err, "the password is empty");
	return 0;
}

/* host[:port], [v6][:port] */
static int parse_host(struct redis_url *out, const char *text, size_t len, struct err *err)
{
	const char *end = text + len;
	const char *host = text, *host_end, *rest;
	long port = REDIS_PORT;

	if (len > 0 && text[0] == '[') {
		host = text + 1;
		host_end = memchr(host, ']', len - 1);
		if (host_end == NULL)
			return refuse(err, "the bracket of the IPv6 address is not closed");
		rest = host_end + 1;
	} else {
		host_end = memchr(text, ':', len);
		if (host_end == NULL)
			host_end = end;
		rest = host_end;
	}
	if (rest < end) {
		port = *rest == ':' ? number(rest + 1, (size_t)(end - rest - 1), UINT16_MAX) : -1;
		if (port <= 0)
			return refuse(err, "the port is not a number from 1 to 65535 (a :, / or @ "
					   "in user or password must be percent-encoded)");
	}
	if (host == host_end)
		return refuse(err, "the host is missing");
	for (const char *c = host; c < host_end; c++)
		if ((unsigned char)*c <= ' ' || strchr("/?#\\%\x7f", *c) != NULL)
			return refuse(err, "the host holds a character that no host name has");
	out->host = mem_strndup(host, (size_t)(host_end - host));
	out->port = (uint16_t)port;
	return 0;
}

static int parse_db(struct redis_url *out, const char *text, struct err *err)
{
	const long db = number(text, strlen(text), REDIS_DB_MAX);

	if (db < 0)
		return refuse(err, "the database is not a number");
	out->db = (int)db;
	return 0;
}

static int parse_tcp(struct redis_url *out, const char *text, struct err *err)
{
	const size_t len = strcspn(text, "/?#");
	const char *host = text, *at = NULL;

	for (const char *c = text; c < text + len; c++)
		if (*c == '@')
			at = c;
	if (at != NULL) {
		if (parse_login(out, text, (size_t)(at - text), err) != 0)
			return -1;
		host = at + 1;
	}
	if (parse_host(out, host, len - (size_t)(host - text), err) != 0)
		return -1;
	text += len;
	if (*text == '/')
		text++;
	return *text != '\0' ? parse_db(out, text, err) : 0;
}

static int parse_unix(struct redis_url *out, const char *text, struct err *err)
{
	const size_t len = strcspn(text, "?");

	if (text[0] != '/')
		return refuse(err, "the path of the socket must be absolute");
	out->unix_path = percent_decode(text, len);
	if (out->unix_path == NULL)
		return refuse(err, "a % in the path is not followed by two hexadecimal digits");
	text += len;
	if (*text == '\0')
		return 0;
	if (strncmp(text, "?db=", 4) != 0)
		return refuse(err, "behind the path only ?db=n may stand");
	return parse_db(out, text + 4, err);
}

int redis_url_parse(struct redis_url *out, const char *url, struct err *err)
{
	*out = (struct redis_url){.port = REDIS_PORT};
	if (strncmp(url, "redis://", 8) == 0)
		return parse_tcp(out, url + 8, err);
	if (strncmp(url, "rediss://", 9) == 0) {
		out->tls = true;
		return parse_tcp(out, url + 9, err);
	}
	if (strncmp(url, "unix://", 7) == 0)
		return parse_unix(out, url + 7, err);
	return refuse(err, "it does not begin with redis://, rediss:// or unix://");
}

void redis_url_fini(struct redis_url *u)
{
	free(u->host);
	free(u->unix_path);
	free(u->user);
	mem_free_secret(u->password);
	*u = (struct redis_url){.port = REDIS_PORT};
}
