#include "redis.h"

#include "clock.h"
#include "hash.h"
#include "http.h"
#include "mem.h"
#include "redis_url.h"
#include "utf8.h"

#include <hiredis/hiredis.h>

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RECONNECT_EVERY_MS = 250,
	REPLY_MAX_BYTES = 8 << 20,
	REPLY_MAX_ELEMENTS = 65536,
	CHUNK_BYTES = 16384,
	SERVER_TEXT_MAX = 200
};

/* The type of an array's length changed with hiredis 1.0. */
#if HIREDIS_MAJOR >= 1
typedef size_t array_length;
#else
typedef int array_length;
#endif

struct redis {
	struct redis_url url;
	int64_t timeout_ms;
	int64_t connect_again_ms;   /* boot time */
	struct http_stream *stream; /* owned; NULL = not connected */
	redisReader *reader;        /* owned; lives as long as the stream */
	redisReplyObjectFunctions functions;
	void *(*create_array)(const redisReadTask *, array_length);
	size_t elements_left; /* of the reply being read */
	bool eval_only;       /* EVALSHA is refused here */
};

struct command {
	int argc;
	const char *const *argv;
	const size_t *lens;
};

int redis_new(struct redis **out, const char *url, int64_t timeout_ms, struct err *err)
{
	struct redis *r = mem_calloc(1, sizeof *r);

	*out = NULL;
	r->timeout_ms = timeout_ms;
	if (redis_url_parse(&r->url, url, err) != 0) {
		redis_free(r);
		return -1;
	}
	*out = r;
	return 0;
}

void redis_close(struct redis *r)
{
	http_stream_close(r->stream);
	r->stream = NULL;
	if (r->reader != NULL)
		redisReaderFree(r->reader);
	r->reader = NULL;
}

void redis_free(struct redis *r)
{
	if (r == NULL)
		return;
	redis_close(r);
	redis_url_fini(&r->url);
	free(r);
}

/* ---- bytes ---- */

/* A few bytes can announce arrays of any size: the announcement is what must be bounded. */
static void *create_array(const redisReadTask *task, array_length elements)
{
	struct redis *r = task->privdata;

	if ((size_t)elements > r->elements_left)
		return NULL;
	r->elements_left -= (size_t)elements;
	return r->create_array(task, elements);
}

static int make_reader(struct redis *r, struct err *err)
{
	r->reader = redisReaderCreate();
	if (r->reader == NULL)
		return err_set(err, ERR_SYSTEM, "memory", "Redis: no memory for the reader");
	r->functions = *r->reader->fn;
	r->create_array = r->functions.createArray;
	r->functions.createArray = create_array;
	r->reader->fn = &r->functions;
	r->reader->privdata = r;
	return 0;
}

static int wait_until(const struct redis *r, short events, int64_t deadline_ms, struct err *err)
{
	struct pollfd fd = {.fd = http_stream_fd(r->stream), .events = events};

	for (;;) {
		const int left_ms = clock_left_ms(deadline_ms);
		const int ready = poll(&fd, 1, left_ms);

		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return err_errno(err, ERR_SYSTEM, "Redis: poll");
		if (left_ms == 0)
			return err_set(err, ERR_TRANSIENT, "timeout",
				"Redis: no answer within %lld ms", (long long)r->timeout_ms);
	}
}

static int send_all(
	struct redis *r, const char *data, size_t len, int64_t deadline_ms, struct err *err)
{
	while (len > 0) {
		const long sent = http_stream_send(r->stream, data, len, err);

		if (sent < 0)
			return err_prefix(err, "Redis: ");
		if (sent == 0 && wait_until(r, POLLOUT, deadline_ms, err) != 0)
			return -1;
		data += sent;
		len -= (size_t)sent;
	}
	return 0;
}

static int broken(const struct redis *r, struct err *err)
{
	return err_set(err, ERR_TRANSIENT, "broken",
		"Redis: the answer is not Redis' protocol, or too large (%s)",
		r->reader->errstr[0] != '\0' ? r->reader->errstr : "unasked bytes");
}

static int read_reply(struct redis *r, int64_t deadline_ms, void **reply, struct err *err)
{
	char chunk[CHUNK_BYTES];
	size_t total = 0;
	void *more = NULL;

	r->elements_left = REPLY_MAX_ELEMENTS;
	for (;;) {
		long got;

		if (redisReaderGetReply(r->reader, reply) != REDIS_OK)
			return broken(r, err);
		if (*reply != NULL)
			break;
		/* TLS may hold bytes that poll() does not see: read first, then wait. */
		got = http_stream_recv(r->stream, chunk, sizeof chunk, err);
		if (got < 0)
			return err_prefix(err, "Redis: ");
		if (got == 0 && wait_until(r, POLLIN, deadline_ms, err) != 0)
			return -1;
		total += (size_t)got;
		if (total > REPLY_MAX_BYTES ||
			redisReaderFeed(r->reader, chunk, (size_t)got) != REDIS_OK)
			return broken(r, err);
	}
	/* One command, one reply: what follows would answer the next command. */
	if (redisReaderGetReply(r->reader, &more) != REDIS_OK || more != NULL) {
		freeReplyObject(more);
		freeReplyObject(*reply);
		*reply = NULL;
		return broken(r, err);
	}
	return 0;
}

/* The formatted command may hold the password. */
static int send_command(
	struct redis *r, const struct command *c, int64_t deadline_ms, struct err *err)
{
	const char **argv = mem_calloc((size_t)c->argc, sizeof *argv);
	char *bytes = NULL;
	int len, rc;

	for (int i = 0; i < c->argc; i++)
		argv[i] = c->argv[i];
	len = redisFormatCommandArgv(&bytes, c->argc, argv, c->lens);
	free(argv);
	if (len < 0)
		return err_set(err, ERR_SYSTEM, "memory", "Redis: no memory for a command");
	rc = send_all(r, bytes, (size_t)len, deadline_ms, err);
	explicit_bzero(bytes, (size_t)len);
	redisFreeCommand(bytes);
	return rc;
}

/* Any fault here leaves the connection in an unknown state. */
static int exchange(struct redis *r, const struct command *c, int64_t deadline_ms, redisReply **out,
	struct err *err)
{
	void *reply = NULL;

	if (send_command(r, c, deadline_ms, err) != 0 ||
		read_reply(r, deadline_ms, &reply, err) != 0) {
		redis_close(r);
		return -1;
	}
	*out = reply;
	return 0;
}

/* ---- the server's errors ---- */

static const char *const config_words[] = {"noauth", "wrongpass", "noperm", "moved", "ask"};
/* Not the primary, or no longer: its name may lead elsewhere by now. */
static const char *const elsewhere_words[] = {"readonly", "masterdown", "unblocked"};

static bool among(const char *word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

#define AMONG(word, words) among(word, words, sizeof(words) / sizeof(words)[0])

static void first_word(const char *text, char *word, size_t size)
{
	size_t i = 0;

	for (; i + 1 < size && isalpha((unsigned char)text[i]); i++)
		word[i] = (char)tolower((unsigned char)text[i]);
	word[i] = '\0';
}

static enum err_kind error_kind(const char *word, const char *text)
{
	if (AMONG(word, config_words) || strstr(text, "user executing the script") != NULL)
		return ERR_CONFIG;
	return ERR_TRANSIENT;
}

/* Fills err from an error reply; returns -1. */
static int server_error(struct redis *r, const redisReply *reply, struct err *err)
{
	char word[sizeof err->code];
	char *text = utf8_clean(reply->str, (size_t)reply->len);

	first_word(text, word, sizeof word);
	if (word[0] == '\0')
		(void)snprintf(word, sizeof word, "err");
	err_set(err, error_kind(word, text), word, "Redis answers: %.*s",
		(int)utf8_cut(text, SERVER_TEXT_MAX), text);
	free(text);
	if (AMONG(word, elsewhere_words))
		redis_close(r);
	return -1;
}

/* ---- connecting ---- */

/* Older servers repeat the arguments of a command they do not take: their words stay out. */
static int login(struct redis *r, int64_t deadline_ms, struct err *err)
{
	const char *with_user[] = {"AUTH", r->url.user, r->url.password};
	const char *alone[] = {"AUTH", r->url.password};
	const struct command c = r->url.user != NULL ? (struct command){3, with_user, NULL}
						     : (struct command){2, alone, NULL};
	redisReply *reply = NULL;
	char word[sizeof err->code];
	int rc = 0;

	if (exchange(r, &c, deadline_ms, &reply, err) != 0)
		return -1;
	if (reply->type == REDIS_REPLY_ERROR) {
		first_word(reply->str, word, sizeof word);
		if (strstr(reply->str, "max number of clients") != NULL)
			rc = err_set(err, ERR_TRANSIENT, word, "Redis: too many clients");
		else
			rc = err_set(err, strcmp(word, "loading") == 0 ? ERR_TRANSIENT : ERR_CONFIG,
				word, "Redis refuses the login (%s): check user and password",
				word);
	}
	freeReplyObject(reply);
	return rc;
}

static int select_db(struct redis *r, int64_t deadline_ms, struct err *err)
{
	char number[16];
	const char *argv[] = {"SELECT", number};
	const struct command c = {2, argv, NULL};
	redisReply *reply = NULL;
	int rc = 0;

	(void)snprintf(number, sizeof number, "%d", r->url.db);
	if (exchange(r, &c, deadline_ms, &reply, err) != 0)
		return -1;
	if (reply->type == REDIS_REPLY_ERROR) {
		rc = server_error(r, reply, err);
		if (strcmp(err->code, "err") == 0 && strstr(err->text, "max number") == NULL)
			err->kind = ERR_CONFIG;
	}
	freeReplyObject(reply);
	return rc;
}

static int connect_now(struct redis *r, int64_t deadline_ms, struct err *err)
{
	const int left_ms = clock_left_ms(deadline_ms);

	/* 0 would mean libcurl's own five minutes. */
	if (http_stream_open(&r->stream, r->url.host, r->url.port, r->url.tls, r->url.unix_path,
		    left_ms > 0 ? left_ms : 1, err) != 0)
		return err_prefix(err, "Redis: ");
	if (make_reader(r, err) != 0)
		return -1;
	if (r->url.password != NULL && login(r, deadline_ms, err) != 0)
		return -1;
	return r->url.db != 0 ? select_db(r, deadline_ms, err) : 0;
}

static int connect_or_not_yet(struct redis *r, int64_t deadline_ms, struct err *err)
{
	if (clock_boot_ms() < r->connect_again_ms)
		return err_set(err, ERR_TRANSIENT, "connect",
			"Redis: the last connection failed a moment ago");
	if (connect_now(r, deadline_ms, err) == 0)
		return 0;
	redis_close(r);
	r->connect_again_ms = clock_boot_ms() + RECONNECT_EVERY_MS;
	return -1;
}

/* A connection that the server closed while nobody looked, or on which something came unasked. */
static void drop_stale(struct redis *r)
{
	struct err ignored;
	char byte;

	if (r->stream != NULL && http_stream_recv(r->stream, &byte, 1, &ignored) != 0)
		redis_close(r);
}

static int command_until(struct redis *r, const struct command *c, int64_t deadline_ms,
	struct redis_reply **out, struct err *err)
{
	redisReply *reply = NULL;
	int rc = 0;

	if (out != NULL)
		*out = NULL;
	drop_stale(r);
	if (r->stream == NULL && connect_or_not_yet(r, deadline_ms, err) != 0)
		return -1;
	if (exchange(r, c, deadline_ms, &reply, err) != 0)
		return -1;
	if (reply == NULL)
		return err_set(
			err, ERR_BUG, "reply", "an exchange with Redis ended without a reply");
	if (reply->type == REDIS_REPLY_ERROR)
		rc = server_error(r, reply, err);
	if (rc == 0 && out != NULL)
		*out = (struct redis_reply *)reply;
	else
		freeReplyObject(reply);
	return rc;
}

int redis_command(struct redis *r, int argc, const char *const *argv, const size_t *lens,
	struct redis_reply **out, struct err *err)
{
	const struct command c = {argc, argv, lens};

	return command_until(r, &c, clock_boot_ms() + r->timeout_ms, out, err);
}

/* ---- scripts ---- */

/* EVALSHA itself was not run: not known there, or not allowed. A script that ran and failed must
 * not run again. */
static bool evalsha_refused(struct redis *r, const struct err *err)
{
	if (strcmp(err->code, "noscript") == 0)
		return true;
	if ((strcmp(err->code, "noperm") == 0 && strstr(err->text, "'evalsha'") != NULL) ||
		(strcmp(err->code, "err") == 0 && strstr(err->text, "unknown command") != NULL &&
			strstr(err->text, "EVALSHA") != NULL))
		r->eval_only = true;
	return r->eval_only;
}

int redis_script(struct redis *r, const char *script, int key_count, const char *const *keys,
	int arg_count, const char *const *args, struct redis_reply **out, struct err *err)
{
	const int64_t deadline_ms = clock_boot_ms() + r->timeout_ms;
	const int argc = 3 + key_count + arg_count;
	const char **argv = mem_calloc((size_t)argc, sizeof *argv);
	const struct command c = {argc, argv, NULL};
	char sha1[HASH_SHA1_TEXT_BYTES], count[16];
	int rc = -1;

	hash_sha1_text(script, sha1);
	(void)snprintf(count, sizeof count, "%d", key_count);
	argv[2] = count;
	for (int i = 0; i < key_count; i++)
		argv[3 + i] = keys[i];
	for (int i = 0; i < arg_count; i++)
		argv[3 + key_count + i] = args[i];
	argv[0] = "EVALSHA";
	argv[1] = sha1;
	if (!r->eval_only)
		rc = command_until(r, &c, deadline_ms, out, err);
	if (r->eval_only || (rc != 0 && evalsha_refused(r, err))) {
		argv[0] = "EVAL";
		argv[1] = script;
		rc = command_until(r, &c, deadline_ms, out, err);
	}
	free(argv);
	return rc;
}

/* ---- replies ---- */

size_t redis_count(const struct redis_reply *reply)
{
	const redisReply *r = (const redisReply *)reply;

	return r != NULL && r->type == REDIS_REPLY_ARRAY ? (size_t)r->elements : 0;
}

const struct redis_reply *redis_at(const struct redis_reply *reply, size_t i)
{
	const redisReply *r = (const redisReply *)reply;

	return i < redis_count(reply) ? (const struct redis_reply *)r->element[i] : NULL;
}

const char *redis_text(const struct redis_reply *reply)
{
	const redisReply *r = (const redisReply *)reply;

	if (r == NULL || (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS))
		return NULL;
	return r->str;
}

int64_t redis_int(const struct redis_reply *reply)
{
	const redisReply *r = (const redisReply *)reply;
	const char *text = redis_text(reply);
	char *end = NULL;
	long long n;

	if (r != NULL && r->type == REDIS_REPLY_INTEGER)
		return r->integer;
	if (text == NULL || text[0] == '\0')
		return 0;
	errno = 0;
	n = strtoll(text, &end, 10);
	return *end == '\0' && errno == 0 ? n : 0;
}

void redis_reply_free(struct redis_reply *reply)
{
	freeReplyObject(reply);
}
