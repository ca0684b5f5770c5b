/*
 * redis - one Redis connection with a deadline for every command; hiredis' formatter and reader
 * over an http_stream
 *
 * The URL is redis_url.h's. AUTH and SELECT are repeated on every connect. After any fault of
 * transport or a timeout, and when the server says that it is no primary, the connection is thrown
 * away (a late reply would answer the next command); the next command connects anew, with fresh
 * DNS, at most once every 250 ms. timeout_ms bounds a command with everything it needs: connect,
 * login, and the second try of a script. Replies are bounded (8 MiB, 65,536 elements).
 *
 * Ownership  replies are the caller's: redis_reply_free().
 * Errors     ERR_CONFIG for NOAUTH, WRONGPASS, NOPERM, MOVED, a refused login and a bad URL;
 *            ERR_TRANSIENT for the rest, code = first word of the server's error in lower case
 *            ("readonly", "loading" ...), or "connect", "timeout", "tls", "cut" from the transport,
 *            or "broken" where the answer is not Redis' protocol. Texts never hold the password.
 * Processes  worker, keeper, ctl; never across fork. SIGPIPE must be ignored.
 */
#ifndef INDEXOCR_REDIS_H
#define INDEXOCR_REDIS_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redis;
struct redis_reply;

/* Checks the URL, connects to nothing yet. */
int redis_new(struct redis **out, const char *url, int64_t timeout_ms, struct err *err);
void redis_free(struct redis *r);
void redis_close(struct redis *r);

/* One command, one round trip. argc arguments, binary-safe where lens is given (NULL: strings).
 * *out may be NULL. */
int redis_command(struct redis *r, int argc, const char *const *argv, const size_t *lens,
	struct redis_reply **out, struct err *err);

/* EVALSHA; EVAL on NOSCRIPT and where EVALSHA is refused. keys first, then args. */
int redis_script(struct redis *r, const char *script, int key_count, const char *const *keys,
	int arg_count, const char *const *args, struct redis_reply **out, struct err *err);

size_t redis_count(const struct redis_reply *reply); /* elements of an array; 0 otherwise */
const struct redis_reply *redis_at(const struct redis_reply *reply, size_t i);
const char *redis_text(const struct redis_reply *reply); /* NULL for nil and integers; borrowed */
int64_t redis_int(
	const struct redis_reply *reply); /* integers, and texts that are one; 0 otherwise */
void redis_reply_free(struct redis_reply *reply);

#endif
