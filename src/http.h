/*
 * http - HTTP for this program, and the one place where a process waits; libcurl behind it
 *
 * One struct http a process: one curl multi handle, one connection cache. Exchanges run side by
 * side; http_wait() sleeps on all of them and on whatever else the process must notice (lifeline,
 * eventfd, a helper's pipe). A check function, set once, runs after every wait: it stamps the slot
 * and says whether to go on; so every stage that waits obeys stop, lost claims and time limits
 * without knowing of them.
 *
 * Protocols http and https only; redirects are not followed; TLS is verified (against SSL_CERT_FILE
 * where that is set, else the system's authorities); no proxy but the environment's, and none for
 * loopback and streams; NOSIGNAL; an own User-Agent "indexocr/<version>"; `Expect:` is suppressed.
 * Name lookups are bounded by the connect timeout.
 *
 * Ownership  http_start() copies what it needs, except body parts and the sink, which the caller
 *            keeps until http_free(). An exchange is freed with http_free(), which also cancels one
 *            still running.
 * Errors     http_start(): ERR_CONFIG for a URL that cannot be; transport faults come with the
 *            finished exchange, as ERR_TRANSIENT with code "connect", "timeout", "tls", "cut", or
 *            ERR_DOCUMENT/"too-large" past the bound (the caller names it better where he can).
 *            Processes worker, keeper, ctl; never across fork.
 */
#ifndef INDEXOCR_HTTP_H
#define INDEXOCR_HTTP_H

#include "buf.h"
#include "err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http;
struct http_exchange;

/* A request body is sent from these, one after the other; base64 parts are encoded on the fly,
 * never assembled. */
struct http_part {
	const void *data; /* borrowed until http_free() */
	size_t bytes;
	bool base64;
};

struct http_request {
	const char *method; /* "GET", "POST", "PUT" */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	const struct http_part *parts;
	size_t part_count;
	int64_t timeout_ms; /* for the whole exchange */
	int64_t connect_timeout_ms;
	int64_t silence_ms; /* nothing has come for so long: it fails; 0 = only the whole counts */
	size_t max_response_bytes;
	/*
	 * Where a 2xx body goes; NULL collects it. Returns -1 with *err to end the exchange. Other
	 * statuses are always collected (bounded by 64 KiB), they explain themselves.
	 */
	int (*sink)(void *arg, const void *data, size_t len, struct err *err);
	void *sink_arg;
	void *owner; /* given back by http_owner() */
};

int http_new(struct http **out, struct err *err);
void http_free_all(struct http *h);

/* What every wait looks at besides: descriptors (copied), and the check; its -1 with *err ends the
 * wait. */
void http_watch(struct http *h, const struct pollfd *fds, size_t count,
	int (*check)(void *arg, struct err *err), void *arg);

int http_start(struct http *h, const struct http_request *request, struct http_exchange **out,
	struct err *err);

/*
 * Moves all exchanges along, sleeps until one of them, a watched descriptor or one of extra[] is
 * ready (its revents are filled) or timeout_ms has passed, moves them along again, runs the check.
 * 0, or -1 with the check's *err.
 */
int http_wait(
	struct http *h, struct pollfd *extra, size_t extra_count, int timeout_ms, struct err *err);

/*
 * Moves all exchanges along for that long, whatever comes to its end or wakes us meanwhile: for a pause between two
 * tries. 0, or -1 with the check's *err.
 */
int http_sleep(struct http *h, int64_t ms, struct err *err);

/* The next exchange that has come to its end, each once; NULL = none now. */
struct http_exchange *http_finished(struct http *h);

/* 0 when an answer arrived whole, whatever its status; -1 with *err for transport faults and the
 * sink's own errors. */
int http_result(const struct http_exchange *x, struct err *err);
long http_status(const struct http_exchange *x);
const struct buf *http_body(const struct http_exchange *x);
/* A response header by name (any case), NULL where there is none; borrowed. */
const char *http_header(const struct http_exchange *x, const char *name);
void *http_owner(const struct http_exchange *x);
/* Milliseconds from start to end. */
int64_t http_elapsed_ms(const struct http_exchange *x);
void http_free(struct http_exchange *x);

/* Starts it and waits for its end: for stages that have nothing else to do. 0 or -1 as
 * http_result(), or the check's. */
int http_run(struct http *h, const struct http_request *request, struct http_exchange **out,
	struct err *err);

/* text percent-encoded for one path segment; free() it. */
char *http_escape(const char *text);

/*
 * A plain byte stream over curl's connect (CONNECT_ONLY): TCP, TLS or a unix socket, for redis.c.
 * Non-blocking after http_stream_open(), which is bounded by connect_timeout_ms. send/recv: bytes
 * moved, 0 = would block, -1 = *err.
 */
struct http_stream;
int http_stream_open(struct http_stream **out, const char *host, uint16_t port, bool tls,
	const char *unix_path, int64_t connect_timeout_ms, struct err *err);
int http_stream_fd(const struct http_stream *s);
long http_stream_send(struct http_stream *s, const void *data, size_t len, struct err *err);
long http_stream_recv(struct http_stream *s, void *data, size_t len, struct err *err);
void http_stream_close(struct http_stream *s);

#endif
