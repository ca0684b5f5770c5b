/*
 * redis_url - what a Redis URL says
 *
 * redis://[[user]:password@]host[:port][/db], rediss:// likewise over TLS, unix:///path[?db=n].
 * User and password are percent-decoded; an IPv6 address stands in brackets.
 *
 * Ownership  redis_url_fini() frees what redis_url_parse() filled, and may be called after a
 * failed one. Errors     ERR_CONFIG "redis-url"; the text never repeats the URL, which may hold a
 * password. Processes  any.
 */
#ifndef INDEXOCR_REDIS_URL_H
#define INDEXOCR_REDIS_URL_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum { REDIS_PORT = 6379, REDIS_DB_MAX = 65535 };

struct redis_url {
	char *host;      /* without brackets; NULL with a path */
	char *unix_path; /* NULL with a host */
	char *user;      /* NULL = none */
	char *password;  /* NULL = none; secret */
	int db;
	uint16_t port;
	bool tls;
};

int redis_url_parse(struct redis_url *out, const char *url, struct err *err);
void redis_url_fini(struct redis_url *u);

#endif
