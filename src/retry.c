#include "retry.h"

enum {
	PAGE_BASE_MS = 1000,
	PAGE_CAP_MS = 60000,
	QUOTA_BASE_MS = 5000, /* a 429 that names no delay */
	QUOTA_CAP_MS = 60000,
	HINT_JITTER_MS = 1000,
	HOLD_MAX_MS = 300000, /* a longer wait gives the document back rather than hold a worker */
	PAUSE_MAX_MS = 3600000, /* whatever the other side asks for */
	PAUSE_CONFIG_MS = 60000,
	PAUSE_QUOTA_MS = 30000,
	PAUSE_DAY_MS = 600000,
	PAUSE_SYSTEM_MS = 30000,
	OUTAGE_BASE_MS = 1000,
	OUTAGE_CAP_MS = 60000
};

enum { AS_CONFIGURED = 0 };

/* What a kind of failure means for a page: try so often, then this. */
struct page_rule {
	enum retry_action action; /* while tries are left, or RETRY_AGAIN is not the word at all */
	int tries;                /* its own bound below the configured one; AS_CONFIGURED = none */
	int64_t delay_ms;         /* with RETRY_RELEASE: the pause */
	bool free;                /* the try does not count */
	bool pause_all;
	bool fails_attempt;
};

static const struct page_rule page_rules[ERR_KINDS] = {
	[ERR_NONE] = {.action = RETRY_GIVE_UP, .fails_attempt = true},
	[ERR_CONFIG] = {.action = RETRY_RELEASE, .delay_ms = PAUSE_CONFIG_MS},
	[ERR_QUOTA] = {.action = RETRY_AGAIN, .free = true, .pause_all = true},
	[ERR_QUOTA_DAY] = {.action = RETRY_RELEASE, .delay_ms = PAUSE_DAY_MS, .pause_all = true},
	[ERR_TRANSIENT] = {.action = RETRY_AGAIN, .fails_attempt = true},
	[ERR_MISSING] = {.action = RETRY_GIVE_UP, .fails_attempt = true},
	[ERR_DOCUMENT] = {.action = RETRY_GIVE_UP},
	[ERR_REFUSED] = {.action = RETRY_AGAIN, .tries = 3},
	[ERR_REQUEST] = {.action = RETRY_GIVE_UP},
	[ERR_TRUNCATED] = {.action = RETRY_AGAIN, .tries = 2},
	[ERR_EMPTY] = {.action = RETRY_AGAIN, .tries = 2},
	[ERR_LOST] = {.action = RETRY_DROP},
	[ERR_STOPPED] = {.action = RETRY_RELEASE},
	[ERR_SYSTEM] = {.action = RETRY_RELEASE, .delay_ms = PAUSE_SYSTEM_MS},
	[ERR_BUG] = {.action = RETRY_GIVE_UP, .fails_attempt = true},
};

/* The same for a document; RETRY_AGAIN holds until its attempts are used up. */
struct document_rule {
	enum retry_action action;
	int64_t delay_ms; /* with RETRY_RELEASE: the pause */
	bool waits;
};

static const struct document_rule document_rules[ERR_KINDS] = {
	[ERR_NONE] = {.action = RETRY_AGAIN},
	[ERR_CONFIG] = {.action = RETRY_RELEASE, .delay_ms = PAUSE_CONFIG_MS},
	[ERR_QUOTA] = {.action = RETRY_RELEASE, .delay_ms = PAUSE_QUOTA_MS},
	[ERR_QUOTA_DAY] = {.action = RETRY_RELEASE, .delay_ms = PAUSE_DAY_MS},
	[ERR_TRANSIENT] = {.action = RETRY_AGAIN},
	[ERR_MISSING] = {.action = RETRY_AGAIN},
	[ERR_DOCUMENT] = {.action = RETRY_GIVE_UP},
	[ERR_REFUSED] = {.action = RETRY_AGAIN},
	[ERR_REQUEST] = {.action = RETRY_GIVE_UP},
	[ERR_TRUNCATED] = {.action = RETRY_AGAIN},
	[ERR_EMPTY] = {.action = RETRY_AGAIN},
	[ERR_LOST] = {.action = RETRY_DROP},
	[ERR_STOPPED] = {.action = RETRY_RELEASE},
	[ERR_SYSTEM] = {.action = RETRY_RELEASE, .delay_ms = PAUSE_SYSTEM_MS, .waits = true},
	[ERR_BUG] = {.action = RETRY_AGAIN},
};

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t retry_backoff_ms(int n, int64_t base_ms, int64_t cap_ms, double random)
{
	int64_t bound = smaller(base_ms, cap_ms);

	for (int i = 1; i < n && bound < cap_ms; i++)
		bound = bound > cap_ms / 2 ? cap_ms : bound * 2;
	return larger((int64_t)(random * (double)bound), bound / 10);
}

/* The kinds come from our own code, but a table must not be read past its end. */
static enum err_kind kind_of(const struct err *err)
{
	return (unsigned)err->kind < ERR_KINDS ? err->kind : ERR_BUG;
}

/* The other side's wish and our own back-off: the longer one. */
static int64_t page_delay_ms(const struct err *err, int tries, double random)
{
	const bool quota = err->kind == ERR_QUOTA;
	const int64_t own = retry_backoff_ms(tries, quota ? QUOTA_BASE_MS : PAGE_BASE_MS,
		quota ? QUOTA_CAP_MS : PAGE_CAP_MS, random);

	if (err->retry_after_ms <= 0)
		return own;
	return larger(own,
		smaller(err->retry_after_ms, PAUSE_MAX_MS) + (int64_t)(random * HINT_JITTER_MS));
}

struct retry_decision retry_page(const struct err *err, int tries, int max_tries, double random)
{
	const struct page_rule *rule = &page_rules[kind_of(err)];
	struct retry_decision d = {
		.action = rule->action, .counts = !rule->free, .pause_all = rule->pause_all};
	int bound = max_tries;

	if (rule->tries != AS_CONFIGURED && rule->tries < bound)
		bound = rule->tries;
	if (rule->action == RETRY_AGAIN && !rule->free && tries >= bound)
		d.action = RETRY_GIVE_UP;
	if (d.action == RETRY_AGAIN)
		d.delay_ms = page_delay_ms(err, tries, random);
	if (d.action == RETRY_AGAIN && d.delay_ms > HOLD_MAX_MS)
		d.action = RETRY_RELEASE;
	else if (d.action == RETRY_RELEASE)
		d.delay_ms = rule->delay_ms;
	d.fails_attempt = d.action == RETRY_GIVE_UP && rule->fails_attempt;
	return d;
}

int64_t retry_outage_ms(int failures, double random)
{
	return retry_backoff_ms(failures, OUTAGE_BASE_MS, OUTAGE_CAP_MS, random);
}

struct retry_decision retry_document(const struct err *err, bool is_outage, int attempt,
	int max_attempts, const struct set_queue *settings, double random)
{
	const struct document_rule *rule = &document_rules[kind_of(err)];
	const int64_t hint = smaller(larger(err->retry_after_ms, 0), PAUSE_MAX_MS);
	struct retry_decision d = {.action = rule->action};

	if (rule->action == RETRY_AGAIN && attempt >= max_attempts)
		d.action = RETRY_GIVE_UP;
	if (is_outage && kind_of(err) == ERR_TRANSIENT)
		d.action = RETRY_POSTPONE;
	if (d.action == RETRY_AGAIN || d.action == RETRY_POSTPONE)
		d.delay_ms = larger(hint, retry_backoff_ms(attempt, settings->backoff_ms,
						  settings->backoff_max_ms, random));
	else if (d.action == RETRY_RELEASE && rule->delay_ms > 0)
		d.delay_ms = larger(hint, rule->delay_ms);
	d.waits = d.action == RETRY_POSTPONE || (d.action == RETRY_RELEASE && rule->waits);
	return d;
}
