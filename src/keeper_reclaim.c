#include "keeper_reclaim.h"

#include "log.h"
#include "mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One sweep looks at no more than this; the rest comes with the next. */
enum { STRAYS_MAX = 256, WORKER_ID_BYTES = 160 };

struct stray {
	char id[JOB_ID_BYTES];
	char token[CLAIM_TOKEN_BYTES];
};

struct stray_list {
	const struct reclaim *reclaim;
	struct stray *items; /* owned */
	size_t count;
};

/* A claim token, taken apart: <worker prefix>-<slot>/<daemon>/<spawn>/<n>. */
struct token {
	char worker[WORKER_ID_BYTES];
	int slot;
	int64_t spawn;
	int64_t number;
	int prefix_len; /* up to and with the slash behind the spawn */
};

static void note(const struct reclaim *r, int count, const char *whose)
{
	if (count == 0)
		return;
	scoreboard_count(r->board, SB_KEEPER, SB_CLAIMS_RECLAIMED, (uint64_t)count);
	log_event(LEVEL_WARN, "keeper", NULL, "Gave back %d claim%s of %s in %s", count,
		count == 1 ? "" : "s", whose, r->name);
}

/* ---- what a reclaim passed over */

struct standing {
	const char *prefix;
	int count;
};

static void count_standing(void *arg, const char *id, const char *token)
{
	struct standing *standing = arg;

	(void)id;
	if (strncmp(token, standing->prefix, strlen(standing->prefix)) == 0)
		standing->count++;
}

/*
 * Claims of a daemon that begin so and still stand. A row that is locked cannot be given back yet, and often it is
 * the dead worker's own last statement that locks it: the server is still at it, and may well complete the document.
 */
static int count_left(
	const struct reclaim *r, const char *daemon, const char *prefix, int *left, struct err *err)
{
	struct standing standing = {.prefix = prefix};
	const int rc = queue_claims(r->queue, daemon, count_standing, &standing, err);

	*left = standing.count;
	return rc;
}

/* ---- obituaries */

bool reclaim_has_obituaries(const struct reclaim *r)
{
	struct sb_obituary words;

	for (int slot = 1; slot < scoreboard_used(r->board); slot++)
		for (int i = 0; i < SB_OBITUARIES; i++)
			if (scoreboard_obituary_get(r->board, slot, i, &words) &&
				words.environment == r->environment)
				return true;
	return false;
}

/* What it was working on may be the cause of a crash; what it only kept, read to the end or not, is not. */
static int give_back_all(
	const struct reclaim *r, const struct sb_obituary *words, int *given_back, struct err *err)
{
	int crashed = 0;

	if (words->crashed && queue_reclaim_prefix(r->queue, words->token, true, words->reason,
				      &crashed, err) != 0)
		return -1;
	if (queue_reclaim_prefix(r->queue, words->prefix, false, words->reason, given_back, err) !=
		0)
		return -1;
	*given_back += crashed;
	return 0;
}

static int settle_obituary(const struct reclaim *r, int slot, int i, int *count, struct err *err)
{
	struct sb_obituary words;
	int given_back;
	int left;

	if (!scoreboard_obituary_get(r->board, slot, i, &words) ||
		words.environment != r->environment)
		return 0;
	if (give_back_all(r, &words, &given_back, err) != 0)
		return -1;
	note(r, given_back, words.reason);
	*count += given_back;
	if (count_left(r, scoreboard_daemon(r->board), words.prefix, &left, err) != 0)
		return -1;
	if (left == 0)
		scoreboard_obituary_clear(r->board, slot, i);
	return 0;
}

int reclaim_obituaries(const struct reclaim *r, int *count, struct err *err)
{
	*count = 0;
	for (int slot = 1; slot < scoreboard_used(r->board); slot++)
		for (int i = 0; i < SB_OBITUARIES; i++)
			if (settle_obituary(r, slot, i, count, err) != 0)
				return -1;
	return 0;
}

/* ---- other daemons */

int reclaim_previous(const struct reclaim *r, int *count, int *left, struct err *err)
{
	const char *previous = scoreboard_previous(r->board);

	*count = *left = 0;
	if (previous[0] == '\0')
		return 0;
	if (queue_reclaim_daemon(r->queue, previous, count, err) != 0)
		return -1;
	note(r, *count, "this host's previous daemon");
	return count_left(r, previous, "", left, err);
}

int reclaim_expired(const struct reclaim *r, int *count, struct err *err)
{
	*count = 0;
	if (queue_reclaim_expired(r->queue, scoreboard_daemon(r->board), count, err) != 0)
		return -1;
	note(r, *count, "a dead host");
	return 0;
}

/* ---- strays */

static bool parse_number(const char **at, char until, int64_t *value)
{
	char *end;

	*value = strtoll(*at, &end, 10);
	if (end == *at || *value < 0 || *end != until)
		return false;
	*at = end + (until != '\0');
	return true;
}

/* False for what this daemon would not have written. */
static bool parse_token(const char *text, struct token *token)
{
	const char *slash = strchr(text, '/');
	const char *at;
	int64_t slot;
	const char *dash;

	if (slash == NULL || slash - text >= WORKER_ID_BYTES)
		return false;
	(void)snprintf(token->worker, sizeof token->worker, "%.*s", (int)(slash - text), text);
	dash = strrchr(token->worker, '-');
	at = dash != NULL ? dash + 1 : "";
	if (!parse_number(&at, '\0', &slot) || slot < 1 || slot > INT_MAX)
		return false;
	token->slot = (int)slot;
	at = strchr(slash + 1, '/');
	at = at != NULL ? at + 1 : "";
	if (!parse_number(&at, '/', &token->spawn))
		return false;
	token->prefix_len = (int)(at - text);
	return parse_number(&at, '\0', &token->number);
}

/*
 * Is somebody at work under this token, or keeps what came of it? A live spawn names its claim before it asks for it,
 * and notes it in its new place before it leaves the old one, either way: hence two looks at what is kept.
 */
static bool is_worked_on(const struct reclaim *r, const struct token *token)
{
	const bool was_kept = scoreboard_keeps(r->board, token->slot, token->number);
	struct sb_slot_view v;

	(void)scoreboard_look(r->board, token->slot, &v);
	return token->spawn > v.spawn ||
	       (token->spawn == v.spawn &&
		       (was_kept || v.claim == token->number ||
			       scoreboard_keeps(r->board, token->slot, token->number)));
}

static void collect(void *arg, const char *id, const char *text)
{
	struct stray_list *list = arg;
	struct stray *stray = &list->items[list->count];
	struct token token;

	if (list->count == STRAYS_MAX || !parse_token(text, &token) ||
		token.slot >= scoreboard_slots(list->reclaim->board) ||
		is_worked_on(list->reclaim, &token))
		return;
	(void)snprintf(stray->id, sizeof stray->id, "%s", id);
	(void)snprintf(stray->token, sizeof stray->token, "%s", text);
	list->count++;
}

static bool has_obituary(const struct reclaim *r, const struct token *token, const char *text)
{
	struct sb_obituary words;

	for (int i = 0; i < SB_OBITUARIES; i++)
		if (scoreboard_obituary_get(r->board, token->slot, i, &words) &&
			strncmp(words.prefix, text, (size_t)token->prefix_len) == 0)
			return true;
	return false;
}

static int give_back(const struct reclaim *r, const struct stray *stray, const struct token *token,
	struct err *err)
{
	struct job job = {.environment = r->name};

	(void)snprintf(job.id, sizeof job.id, "%s", stray->id);
	(void)snprintf(job.token, sizeof job.token, "%s", stray->token);
	return queue_release(r->queue, token->worker, &job, 0, NULL, err);
}

static int settle_stray(
	const struct reclaim *r, const struct stray *stray, int *count, struct err *err)
{
	struct sb_slot_view v;
	struct token token;
	char prefix[CLAIM_TOKEN_BYTES];
	int lost = 0;
	int rc;

	if (!parse_token(stray->token, &token) || is_worked_on(r, &token))
		return 0;
	(void)scoreboard_look(r->board, token.slot, &v);
	if (token.spawn == v.spawn && (v.post == SB_RUNNING || v.post == SB_DRAINING)) {
		rc = give_back(r, stray, &token, err);
		*count += rc == 0;
		return rc == -1 ? -1 : 0;
	}
	if (has_obituary(r, &token, stray->token))
		return 0;
	(void)snprintf(prefix, sizeof prefix, "%.*s", token.prefix_len, stray->token);
	rc = queue_reclaim_prefix(r->queue, prefix, false, "its worker ended", &lost, err);
	*count += lost;
	return rc;
}

int reclaim_strays(const struct reclaim *r, int *count, struct err *err)
{
	struct stray_list list = {
		.reclaim = r, .items = mem_calloc(STRAYS_MAX, sizeof *list.items)};
	int rc = queue_claims(r->queue, scoreboard_daemon(r->board), collect, &list, err);

	*count = 0;
	for (size_t i = 0; rc == 0 && i < list.count; i++)
		rc = settle_stray(r, &list.items[i], count, err);
	note(r, *count, "nobody");
	free(list.items);
	return rc;
}
