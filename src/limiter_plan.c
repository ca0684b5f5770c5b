#include "limiter_plan.h"

#include <math.h>
#include <string.h>

/* Longest time a caller is told to stay away: settled calls may have freed room long before. */
enum { WAIT_MAX_MS = 5000 };

/* The pace: nine tenths of the even distance between calls. */
static void set_pace(struct limiter_rules *rules)
{
	const int64_t bucket_us = LIMITER_BUCKET_MS * 1000;
	int64_t spacing_us;

	if (rules->call_limit == 0)
		return;
	spacing_us = rules->width * bucket_us / 10 * 9 / rules->call_limit;
	if (spacing_us >= bucket_us) {
		rules->pace_buckets = (int)(spacing_us / bucket_us);
		rules->pace_calls = 1;
	} else {
		rules->pace_buckets = 1;
		rules->pace_calls =
			spacing_us > 0 ? (bucket_us + spacing_us - 1) / spacing_us : bucket_us;
	}
}

struct limiter_rules limiter_rules(
	int64_t call_limit, int64_t token_limit, int64_t window_ms, int64_t guard_ms)
{
	struct limiter_rules rules = {
		.call_limit = call_limit > 0 ? call_limit : 0,
		.token_limit = token_limit > 0 ? token_limit : 0,
		.window_ms = window_ms < LIMITER_WINDOW_MS ? window_ms : LIMITER_WINDOW_MS,
		.guard_ms = guard_ms < LIMITER_GUARD_MS ? guard_ms : LIMITER_GUARD_MS,
		.pace_buckets = 1,
	};

	rules.width = (int)((rules.window_ms + rules.guard_ms + LIMITER_BUCKET_MS - 1) /
			      LIMITER_BUCKET_MS) +
		      1;
	if (rules.width > LIMITER_WIDTH_MAX)
		rules.width = LIMITER_WIDTH_MAX;
	set_pace(&rules);
	return rules;
}

/* A hair above: 0.7 x 10 is a little less than 7 in binary. */
static int64_t times(int64_t limit, double part)
{
	return (int64_t)floor((double)limit * part + 1e-6);
}

int64_t limiter_ceiling(int64_t limit, double headroom)
{
	const int64_t ceiling = times(limit, headroom);

	if (limit <= 0)
		return 0;
	return ceiling > 0 ? ceiling : 1;
}

int64_t limiter_share(int64_t limit, double headroom, int hosts)
{
	const int64_t ceiling = limiter_ceiling(limit, headroom);
	const int64_t rest = limit - ceiling;

	if (limit <= 0)
		return -1;
	if (rest <= 0)
		return 0;
	return (ceiling < rest ? ceiling : rest) / (hosts > 0 ? hosts : 1);
}

void limiter_log_init(struct limiter_log *log, const struct limiter_rules *rules, int64_t now_ms)
{
	memset(log, 0, sizeof *log);
	log->now = now_ms / LIMITER_BUCKET_MS;
	log->width = rules->width;
}

void limiter_log_add(struct limiter_log *log, int64_t bucket, int64_t calls, int64_t tokens)
{
	const int64_t at = bucket - log->now + log->width - 1;

	if (at < 0 || at >= log->width + LIMITER_HORIZON)
		return;
	log->calls[at] += calls;
	log->tokens[at] += tokens;
}

void limiter_log_used(const struct limiter_log *log, const struct limiter_rules *rules,
	int64_t *calls, int64_t *tokens)
{
	const int last = log->width - 1;
	const int back = (int)(rules->window_ms / LIMITER_BUCKET_MS);

	*calls = *tokens = 0;
	for (int i = last - back > 0 ? last - back : 0; i <= last; i++) {
		*calls += log->calls[i];
		*tokens += log->tokens[i];
	}
}

int64_t limiter_clamp(const struct limiter_rules *rules, int64_t tokens)
{
	if (tokens < 0)
		return 0;
	return rules->token_limit > 0 && tokens > rules->token_limit ? rules->token_limit : tokens;
}

/* sums[i] is what lies before bucket i of the log. */
struct sums {
	int count;
	int64_t before[LIMITER_LOG_MAX + 1];
};

static void sum_up(struct sums *s, const int64_t *used, int count)
{
	s->count = count;
	s->before[0] = 0;
	for (int i = 0; i < count; i++)
		s->before[i + 1] = s->before[i] + used[i];
}

/* What lies in the `width` buckets that end with bucket `end`. */
static int64_t window_sum(const struct sums *s, int end, int width)
{
	const int to = end + 1 < s->count ? end + 1 : s->count;
	int from = end + 1 - width;

	if (from < 0)
		from = 0;
	return from < to ? s->before[to] - s->before[from] : 0;
}

/* The end of the last window around bucket `at` that holds more than `room`; -1 = none does. */
static int last_conflict(const struct sums *s, int at, int width, int64_t room)
{
	int end = at + width - 1;

	/* Past the log nothing is added any more: those windows hold less. */
	if (end >= s->count)
		end = at >= s->count ? at : s->count - 1;
	for (; end >= at; end--)
		if (window_sum(s, end, width) > room)
			return end;
	return -1;
}

static int max_int(int a, int b)
{
	return a > b ? a : b;
}

/* The first bucket from `at` on that breaks no rule. After a conflict the next candidate is the
 * bucket that window no longer holds, so the search only moves forward. */
static int first_fit(
	const struct limiter_rules *rules, const struct limiter_log *log, int at, int64_t tokens)
{
	const int count = log->width + LIMITER_HORIZON;
	struct sums calls, used;

	sum_up(&calls, log->calls, count);
	sum_up(&used, log->tokens, count);
	for (;;) {
		int conflict = -1;

		if (rules->call_limit > 0)
			conflict = last_conflict(&calls, at, rules->width, rules->call_limit - 1);
		if (rules->token_limit > 0)
			conflict = max_int(conflict, last_conflict(&used, at, rules->width,
							     rules->token_limit - tokens));
		if (rules->pace_calls > 0)
			conflict = max_int(conflict, last_conflict(&calls, at, rules->pace_buckets,
							     rules->pace_calls - 1));
		if (conflict < 0)
			return at;
		at = conflict + 1;
	}
}

static int64_t wait_for(int buckets)
{
	const int64_t wait_ms = (int64_t)buckets * LIMITER_BUCKET_MS;

	return wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS;
}

bool limiter_plan(const struct limiter_rules *rules, const struct limiter_log *log, int64_t now_ms,
	int64_t tokens, struct limiter_slot *out)
{
	const int now = log->width - 1;
	const int at = first_fit(rules, log, now, limiter_clamp(rules, tokens));
	int64_t offset_ms = 0;

	*out = (struct limiter_slot){.bucket = log->now + at - now};
	if (at > now + LIMITER_HORIZON) {
		out->wait_ms = wait_for(at - now - LIMITER_HORIZON);
		return false;
	}
	if (rules->pace_calls > 0)
		offset_ms = log->calls[at] * LIMITER_BUCKET_MS / rules->pace_calls;
	out->send_at_ms = out->bucket * LIMITER_BUCKET_MS + offset_ms;
	if (out->send_at_ms < now_ms)
		out->send_at_ms = now_ms;
	out->send_until_ms = (out->bucket + 1) * LIMITER_BUCKET_MS + rules->guard_ms / 2;
	return true;
}
