#include "limiter_home.h"

#include "clock.h"
#include "embed.h"
#include "mem.h"
#include "redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The time in which it is decided whether Redis is there: connect, login and script together.
 * What the scripts keep and answer is written in lua/log.lua and at their heads.
 */
enum { DECIDE_MS = 250, ARGS_MAX = 9, NUMBER_BYTES = 24 };

/* handle = bucket 40 | number 24 */
#define NUMBER_BITS 24
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)

enum key { KEY_CALLS, KEY_TOKENS, KEY_LOG, KEY_OPEN, KEY_PAUSE, KEYS };

struct limiter_redis {
	struct redis *redis;
	char *scope;
	char *keys[KEYS]; /* as log.lua has them */
	char *workers;    /* the hash of registered workers */
	char *channel;
	char *reserve, *settle, *look, *reset; /* scripts with log.lua in front */
};

static char *with_log(const char *name)
{
	return mem_printf("%s\n%s", embed_get("lua/log.lua"), embed_get(name));
}

int limiter_redis_new(struct limiter_redis **out, const struct set_redis *settings,
	const char *scope, struct err *err)
{
	const char *prefix = settings->prefix;
	struct limiter_redis *h = mem_calloc(1, sizeof *h);

	*out = NULL;
	if (redis_new(&h->redis, settings->url, DECIDE_MS, err) != 0) {
		limiter_redis_free(h);
		return -1;
	}
	h->scope = mem_strdup(scope);
	h->keys[KEY_CALLS] = mem_printf("%s:rpm:current", prefix);
	h->keys[KEY_TOKENS] = mem_printf("%s:tpm:current", prefix);
	h->keys[KEY_LOG] = mem_printf("%s:limit:log", prefix);
	h->keys[KEY_OPEN] = mem_printf("%s:limit:open", prefix);
	h->keys[KEY_PAUSE] = mem_printf("%s:limit:pause:%s", prefix, scope);
	h->workers = mem_printf("%s:workers", prefix);
	h->channel = mem_printf("%s:limit:paused", prefix);
	h->reserve = with_log("lua/reserve.lua");
	h->settle = with_log("lua/settle.lua");
	h->look = with_log("lua/look.lua");
	h->reset = with_log("lua/reset.lua");
	*out = h;
	return 0;
}

void limiter_redis_free(struct limiter_redis *h)
{
	if (h == NULL)
		return;
	redis_free(h->redis);
	for (int i = 0; i < KEYS; i++)
		free(h->keys[i]);
	free(h->scope);
	free(h->workers);
	free(h->channel);
	free(h->reserve);
	free(h->settle);
	free(h->look);
	free(h->reset);
	free(h);
}

/* Arguments of a script: the log's own three, then numbers. */
struct args {
	int count;
	const char *text[ARGS_MAX];
	char numbers[ARGS_MAX][NUMBER_BYTES];
};

static void add_number(struct args *a, int64_t n)
{
	char *text = a->numbers[a->count];

	(void)snprintf(text, NUMBER_BYTES, "%" PRId64, n);
	a->text[a->count++] = text;
}

static void log_args(
	struct args *a, const struct limiter_redis *h, const struct limiter_rules *rules)
{
	*a = (struct args){.count = 1, .text = {h->scope}};
	add_number(a, rules->window_ms);
	add_number(a, rules->guard_ms);
}

static int run(struct limiter_redis *h, const char *script, const struct args *a, size_t expected,
	struct redis_reply **out, struct err *err)
{
	const char *keys[KEYS];

	for (int i = 0; i < KEYS; i++)
		keys[i] = h->keys[i];
	if (redis_script(h->redis, script, KEYS, keys, a->count, a->text, out, err) != 0)
		return -1;
	if (redis_count(*out) == expected)
		return 0;
	redis_reply_free(*out);
	*out = NULL;
	return err_set(err, ERR_TRANSIENT, "broken",
		"Redis: a limiter script answered something else than the limiter's numbers");
}

static int64_t number_at(const struct redis_reply *reply, size_t i)
{
	return redis_int(redis_at(reply, i));
}

/* asked_ms is when the question was sent: no later than Redis' reading of its clock. */
static void fill(struct limiter_reservation *out, const struct redis_reply *reply,
	const struct limiter_rules *rules, int64_t tokens, int64_t asked_ms)
{
	*out = (struct limiter_reservation){
		.send_at_ms = asked_ms + number_at(reply, 1),
		.send_until_ms = asked_ms + number_at(reply, 5) + rules->guard_ms / 2,
		.tokens = tokens,
		.handle = (uint64_t)number_at(reply, 2) << NUMBER_BITS |
			  ((uint64_t)number_at(reply, 3) & NUMBER_MASK),
	};
}

int limiter_redis_reserve(struct limiter_redis *h, const struct limiter_rules *rules,
	int64_t tokens, struct limiter_reservation *out, int64_t *wait_ms, int64_t *pause_ms,
	struct err *err)
{
	const int64_t charged = limiter_clamp(rules, tokens);
	const int64_t asked_ms = clock_boot_ms();
	struct redis_reply *reply;
	struct args a;
	bool granted;

	log_args(&a, h, rules);
	add_number(&a, rules->call_limit);
	add_number(&a, rules->token_limit);
	add_number(&a, rules->pace_buckets);
	add_number(&a, rules->pace_calls);
	add_number(&a, charged);
	if (run(h, h->reserve, &a, 6, &reply, err) != 0)
		return -1;
	granted = number_at(reply, 0) == 1;
	*pause_ms = number_at(reply, 4);
	*wait_ms = granted ? 0 : number_at(reply, 1);
	if (granted)
		fill(out, reply, rules, charged, asked_ms);
	redis_reply_free(reply);
	return granted ? 0 : 1;
}

int limiter_redis_settle(struct limiter_redis *h, const struct limiter_rules *rules,
	const struct limiter_reservation *r, int64_t tokens_used, int64_t *pause_ms,
	struct err *err)
{
	struct redis_reply *reply;
	struct args a;

	log_args(&a, h, rules);
	add_number(&a, (int64_t)(r->handle >> NUMBER_BITS));
	add_number(&a, (int64_t)(r->handle & NUMBER_MASK));
	add_number(&a, r->tokens);
	add_number(&a, tokens_used);
	if (run(h, h->settle, &a, 2, &reply, err) != 0)
		return -1;
	*pause_ms = number_at(reply, 1);
	redis_reply_free(reply);
	return 0;
}

int limiter_redis_pause(
	struct limiter_redis *h, int64_t pause_ms, int64_t *left_ms, struct err *err)
{
	char number[NUMBER_BYTES];
	const char *keys[] = {h->keys[KEY_PAUSE]};
	const char *args[] = {number, h->channel, h->scope};
	struct redis_reply *reply;

	(void)snprintf(number, sizeof number, "%" PRId64, pause_ms);
	if (redis_script(h->redis, embed_get("lua/pause.lua"), 1, keys, 3, args, &reply, err) != 0)
		return -1;
	*left_ms = redis_int(reply);
	redis_reply_free(reply);
	return 0;
}

int limiter_redis_paused(struct limiter_redis *h, int64_t *pause_ms, struct err *err)
{
	const char *argv[] = {"PTTL", h->keys[KEY_PAUSE]};
	struct redis_reply *reply;

	if (redis_command(h->redis, 2, argv, NULL, &reply, err) != 0)
		return -1;
	*pause_ms = redis_int(reply) > 0 ? redis_int(reply) : 0;
	redis_reply_free(reply);
	return 0;
}

int limiter_redis_look(struct limiter_redis *h, const struct limiter_rules *rules, int64_t *calls,
	int64_t *tokens, int64_t *pause_ms, struct err *err)
{
	struct redis_reply *reply;
	struct args a;

	log_args(&a, h, rules);
	if (run(h, h->look, &a, 3, &reply, err) != 0)
		return -1;
	*calls = number_at(reply, 0);
	*tokens = number_at(reply, 1);
	*pause_ms = number_at(reply, 2);
	redis_reply_free(reply);
	return 0;
}

int limiter_redis_reset(struct limiter_redis *h, const struct limiter_rules *rules, struct err *err)
{
	struct redis_reply *reply;
	struct args a;

	log_args(&a, h, rules);
	if (run(h, h->reset, &a, 0, &reply, err) != 0)
		return -1;
	redis_reply_free(reply);
	return 0;
}

int limiter_redis_hosts(struct limiter_redis *h, int *hosts, struct err *err)
{
	const char *keys[] = {h->workers};
	struct redis_reply *reply;
	int64_t count;

	if (redis_script(h->redis, embed_get("lua/hosts.lua"), 1, keys, 0, NULL, &reply, err) != 0)
		return -1;
	count = redis_int(reply);
	*hosts = count > 0 && count < INT32_MAX ? (int)count : 0;
	redis_reply_free(reply);
	return 0;
}
