/* What people read for the scoreboard's numbers. */
#include "scoreboard.h"

const char *sb_post_name(enum sb_post post)
{
	static const char *const names[] = {
		"empty", "running", "draining", "waiting", "throttled", "held"};

	return (size_t)post < sizeof names / sizeof names[0] ? names[post] : "unknown";
}

const char *sb_state_name(enum sb_state state)
{
	static const char *const names[] = {"starting", "idle", "claiming", "fetching", "reading",
		"waiting for quota", "waiting to try again", "waiting for the database", "writing",
		"paused", "ending"};

	return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

const char *sb_reach_name(enum sb_reach reach)
{
	static const char *const names[] = {"unknown", "up", "down", "not migrated"};

	return (size_t)reach < sizeof names / sizeof names[0] ? names[reach] : "unknown";
}

const char *sb_redis_name(enum sb_redis state)
{
	static const char *const names[] = {"not configured", "up", "down"};

	return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

const char *sb_counter_name(enum sb_counter counter)
{
	static const char *const names[SB_COUNTERS] = {
		[SB_DOCUMENTS_DONE] = "documents_done",
		[SB_DOCUMENTS_FAILED] = "documents_failed",
		[SB_DOCUMENTS_RETRIED] = "documents_retried",
		[SB_DOCUMENTS_RELEASED] = "documents_released",
		[SB_CLAIMS_MADE] = "claims_made",
		[SB_CLAIMS_LOST] = "claims_lost",
		[SB_CLAIMS_RECLAIMED] = "claims_reclaimed",
		[SB_PAGES_DONE] = "pages_done",
		[SB_PAGES_FAILED] = "pages_failed",
		[SB_PAGES_BLANK] = "pages_blank",
		[SB_ENGINE_CALLS] = "engine_calls",
		[SB_ENGINE_FAILURES] = "engine_failures",
		[SB_TOKENS_INPUT] = "tokens_input",
		[SB_TOKENS_OUTPUT] = "tokens_output",
		[SB_TOKENS_THINKING] = "tokens_thinking",
		[SB_LIMIT_WAIT_MS] = "limit_wait_ms",
		[SB_RESTARTS] = "restarts",
	};

	return names[counter];
}
