/*
 * scoreboard - what every process of this daemon is doing, in memory they share
 *
 * A memfd made by the master before the first fork: a header, and one slot for the keeper and each
 * possible worker. A slot has parts with one writer each:
 *
 *     post      the master's:  pid, spawn, state of the slot, why it is throttled
 *     own       the process':  what it does, its claim, claims it keeps for writing, page n of m, counters
 *     mailbox   the keeper's:  claim lost, with its whole token; claim valid until, with its number
 *     words     the process', dying: where the fault was (crash.h)
 *     obituary  written by the master when a claim holder died, cleared by the keeper once that claim has been dealt with
 *     death     the master's:  who died here last and how, for people, for as long as the slot is used
 *
 * Numbers are single-writer atomics, each read by itself. Texts are under a sequence lock; a kill
 * can leave it odd, so readers bound their retries, and the master makes it even again when it
 * reaps. Nobody acts on a pid, size or offset read from here. One eventfd a slot wakes its process;
 * they are made before the first fork.
 *
 * Ownership  one mapping a daemon; scoreboard_free() unmaps. Views are values.
 * Processes  as written at each function: M master, K keeper, W the process that owns the slot, any
 *            = reading.
 */
#ifndef INDEXOCR_SCOREBOARD_H
#define INDEXOCR_SCOREBOARD_H

#include "crash.h"
#include "err.h"
#include "gate.h"
#include "job.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SB_TEXT_BYTES = 160,
	SB_ERROR_BYTES = 512,
	SB_ENVIRONMENTS_MAX = 64,
	SB_OBITUARIES = 4, /* a slot */
	SB_KEPT = 8,       /* a slot */
	SB_DAEMON_BYTES = 17,
	SB_KEEPER = 0 /* the keeper's slot; workers follow from 1 */
};

struct scoreboard;

enum sb_post {
	SB_EMPTY, /* no process belongs here */
	SB_RUNNING,
	SB_DRAINING,  /* told to finish and go */
	SB_WAITING,   /* died; will be started again at restart_at */
	SB_THROTTLED, /* keeps dying */
	SB_HELD       /* ended with a configuration fault: not before a reload */
};

enum sb_state {
	SB_STARTING,
	SB_IDLE,
	SB_CLAIMING,
	SB_FETCHING,
	SB_READING,
	SB_QUOTA,   /* all pages in work wait for their share of the limits */
	SB_BACKOFF, /* all wait to be tried again */
	SB_OUTAGE,  /* what was read is kept until the database is back */
	SB_WRITING,
	SB_PAUSED,
	SB_ENDING
};

enum sb_counter {
	SB_DOCUMENTS_DONE,
	SB_DOCUMENTS_FAILED,
	SB_DOCUMENTS_RETRIED,
	SB_DOCUMENTS_RELEASED,
	SB_CLAIMS_MADE,
	SB_CLAIMS_LOST,
	SB_CLAIMS_RECLAIMED,
	SB_PAGES_DONE,
	SB_PAGES_FAILED,
	SB_PAGES_BLANK,
	SB_ENGINE_CALLS,
	SB_ENGINE_FAILURES,
	SB_TOKENS_INPUT,
	SB_TOKENS_OUTPUT,
	SB_TOKENS_THINKING,
	SB_LIMIT_WAIT_MS,
	SB_RESTARTS,
	SB_COUNTERS
};

struct sb_slot_view {
	enum sb_post post;
	int pid;
	int64_t spawn;
	int generation;        /* of the configuration it was born with */
	int64_t restart_at_ms; /* boot time, while waiting or throttled */
	char reason[SB_TEXT_BYTES];
	enum sb_state state;
	int64_t since_ms; /* boot time at which state was set */
	int64_t alive_ms; /* boot time of the last turn of its event loop; 0 = none yet */
	int environment;  /* index; -1 = none */
	int64_t claim;    /* number of the current claim; 0 = none */
	char token[CLAIM_TOKEN_BYTES];
	char document[JOB_ID_BYTES];
	int page, pages;
	int64_t job_since_ms;
	uint64_t counters[SB_COUNTERS];
};

/* A claim beside the current one: what came of it waits for its database. */
struct sb_kept_view {
	int64_t claim;
	int environment;
	char token[CLAIM_TOKEN_BYTES];
	char document[JOB_ID_BYTES];
};

struct sb_obituary {
	int environment;
	bool crashed;                   /* the document may be the cause: an attempt; else a loss */
	char prefix[CLAIM_TOKEN_BYTES]; /* "<worker id>/<daemon>/<spawn>/": all that it held */
	char token[CLAIM_TOKEN_BYTES];  /* of the document that it was working on */
	char reason[SB_TEXT_BYTES];
};

/* The last process that ended in this slot otherwise than as asked. */
struct sb_death {
	int64_t at_ms; /* real time; 0 = nobody has */
	int pid;
	int64_t spawn;
	int64_t lived_ms;
	char reason[SB_TEXT_BYTES];
	enum sb_state state; /* what it was doing */
	int environment;     /* index; -1 = it had no document, and the rest is empty */
	char document[JOB_ID_BYTES];
	int page, pages;
	char trace[CRASH_TRACE_BYTES]; /* where a fault was; "" = nothing is known */
};

/* No worker becomes ready. */
struct sb_loop {
	int workers; /* 0 = not so */
	int64_t since_ms;
	char reason[SB_TEXT_BYTES];
};

enum sb_redis { SB_REDIS_NONE, SB_REDIS_UP, SB_REDIS_DOWN };

enum sb_reach { SB_UNKNOWN, SB_UP, SB_DOWN, SB_NO_MIGRATION };

/*
 * The keeper tells news: the number rises whenever a row may have become ready. Whoever found nothing there since then need
 * not ask again, where the keeper hears of every one (`hears`) or the environment is too slow to be asked for nothing.
 */
struct sb_environment_view {
	bool retiring; /* no longer configured; served until its last claim has ended */
	enum sb_reach reach;
	uint64_t news;
	uint64_t
		stale_news; /* nothing was ready there when the keeper looked, and this was the number */
	bool hears;         /* notifications of every row that becomes ready are delivered */
	int64_t answer_ms; /* how long the last statement took */
	int64_t looked_ms; /* boot time of the last look; 0 = never */
	int64_t ready, waiting, claimed, foreign, failed;
	int64_t oldest_ready_ms; /* age at the last look; -1 = none */
	char created_after[40];  /* for queue_claim() */
	char error[SB_ERROR_BYTES];
};

/* slots: keeper + workers. limiter_bytes: a zeroed area for the limiter's shared home. Never fails halfway. (M) */
int scoreboard_new(
	struct scoreboard **out, int workers_limit, size_t limiter_bytes, struct err *err);
void scoreboard_free(struct scoreboard *sb);
int scoreboard_slots(const struct scoreboard *sb);
/* Slots from this one on never had a process: nobody need look there. (any) */
int scoreboard_used(const struct scoreboard *sb);
void *scoreboard_limiter(struct scoreboard *sb);

/* The daemon's random id, and that of its predecessor on this host ("" = none known). (set M, get any) */
void scoreboard_set_daemon(struct scoreboard *sb, const char *daemon, const char *previous);
const char *scoreboard_daemon(const struct scoreboard *sb);
const char *scoreboard_previous(const struct scoreboard *sb);

/* ---- waking. (any) */
int scoreboard_event_fd(const struct scoreboard *sb, int slot);
void scoreboard_wake(const struct scoreboard *sb, int slot);
bool scoreboard_woken(const struct scoreboard *sb,
	int slot); /* clears it, before looking for work; true = it was set */
/* The sleeper to wake: the most recently active, whose connections are still open; 0 = nobody sleeps. */
int scoreboard_next_sleeper(const struct scoreboard *sb);
/* A child keeps only its own eventfd, and the keeper's; the keeper keeps all. (W) */
void scoreboard_keep_events(struct scoreboard *sb, int slot);

/* ---- post. (M) */
void scoreboard_post(struct scoreboard *sb, int slot, enum sb_post post, int pid, int64_t spawn);
void scoreboard_born_with(struct scoreboard *sb, int slot, int generation);
void scoreboard_post_why(
	struct scoreboard *sb, int slot, int64_t restart_at_ms, const char *reason);
/* As scoreboard_look(), after its process is dead: a lock that the kill left odd does not matter any more. */
void scoreboard_mend(struct scoreboard *sb, int slot, struct sb_slot_view *out);
/* After reaping: makes an odd lock even, folds nothing (counters go on with the next spawn), forgets the claim. */
void scoreboard_bury(struct scoreboard *sb, int slot);
/* The slot is no longer used: its counters go into the header, so that totals never fall. */
void scoreboard_retire(struct scoreboard *sb, int slot);
/* False = no room: do not start this slot again before the keeper has dealt with the earlier ones. */
bool scoreboard_obituary_room(const struct scoreboard *sb, int slot);
void scoreboard_obituary_add(struct scoreboard *sb, int slot, const struct sb_obituary *obituary);
/* Replaces the slot's. (set M, get any: false = nobody has died here) */
void scoreboard_death(struct scoreboard *sb, int slot, const struct sb_death *death);
bool scoreboard_death_get(const struct scoreboard *sb, int slot, struct sb_death *out);
/* (set M, get any: false = there is none) */
void scoreboard_loop(struct scoreboard *sb, const struct sb_loop *loop);
bool scoreboard_loop_get(const struct scoreboard *sb, struct sb_loop *out);

/* ---- own. (W) */
void scoreboard_alive(struct scoreboard *sb, int slot);
int64_t scoreboard_alive_ms(const struct scoreboard *sb, int slot); /* (any) as in a view */
void scoreboard_state(struct scoreboard *sb, int slot, enum sb_state state);
enum sb_state scoreboard_state_of(const struct scoreboard *sb, int slot); /* (any) */
/* For crash_watch() (W), and for crash_read() once it is dead (M). */
struct crash_words *scoreboard_last_words(struct scoreboard *sb, int slot);
/* Before the claim statement is sent: its number and token. 0 and "" when it is over. */
void scoreboard_claim(
	struct scoreboard *sb, int slot, int environment, int64_t claim, const char *token);
void scoreboard_document(struct scoreboard *sb, int slot, const char *id);
void scoreboard_page(struct scoreboard *sb, int slot, int page, int pages);
void scoreboard_count(struct scoreboard *sb, int slot, enum sb_counter counter, uint64_t delta);

/* Claims that are kept, by place from 0 to SB_KEPT - 1. Noted before the current claim is put away, so that there is
 * no moment in which nobody holds it. */
void scoreboard_keep(struct scoreboard *sb, int slot, int place, const struct sb_kept_view *claim);
void scoreboard_unkeep(struct scoreboard *sb, int slot, int place);
/* (any) False = none there, or its texts could not be read whole: *claim is its number all the same. */
bool scoreboard_kept(const struct scoreboard *sb, int slot, int place, struct sb_kept_view *out);
/* (any) */
bool scoreboard_keeps(const struct scoreboard *sb, int slot, int64_t claim);

/* ---- mailbox. (K writes, W reads) */
/* By its token: its number may be that of another claim by now, in the slot's next life. */
void scoreboard_claim_lost(struct scoreboard *sb, int slot, const char *token);
bool scoreboard_is_lost(const struct scoreboard *sb, int slot, const char *token);
void scoreboard_claim_valid(struct scoreboard *sb, int slot, int64_t claim, int64_t until_boot_ms);
/* 0 where the keeper has not renewed this claim yet. */
int64_t scoreboard_valid_until(const struct scoreboard *sb, int slot, int64_t claim);
/* The same of a claim that is kept. */
void scoreboard_kept_valid(
	struct scoreboard *sb, int slot, int place, int64_t claim, int64_t until_boot_ms);
int64_t scoreboard_kept_valid_until(
	const struct scoreboard *sb, int slot, int place, int64_t claim);

/* ---- obituaries. (K) */
bool scoreboard_obituary_get(const struct scoreboard *sb, int slot, int i, struct sb_obituary *out);
void scoreboard_obituary_clear(struct scoreboard *sb, int slot, int i);

/*
 * ---- environments. An environment is a name and a database; its index never changes while the daemon
 * lives, whatever a reload does, so that old and new children mean the same by it. Adds one it does not
 * know; -1 = SB_ENVIRONMENTS_MAX are known already. (M before forking; any for lookup)
 */
int scoreboard_environment_index(struct scoreboard *sb, const char *name, const char *database);
const char *scoreboard_environment_name(
	const struct scoreboard *sb, int environment); /* NULL past the last */
/* What the keeper saw of it (K), and facts for status (M). */
void scoreboard_environment(
	struct scoreboard *sb, int environment, const struct sb_environment_view *view);
void scoreboard_environment_get(
	const struct scoreboard *sb, int environment, struct sb_environment_view *out);
/* Before what all workers call: an environment's storage, the engine. (W; any for reading) */
struct gate *scoreboard_storage_gate(struct scoreboard *sb, int environment);
struct gate *scoreboard_engine_gate(struct scoreboard *sb);
void scoreboard_redis(struct scoreboard *sb, enum sb_redis state);
enum sb_redis scoreboard_redis_state(const struct scoreboard *sb);
void scoreboard_draining(struct scoreboard *sb, bool draining);
bool scoreboard_is_draining(const struct scoreboard *sb);
/*
 * An operator's pause of all claiming: looked at by workers right before they claim. Setting it or lifting it wakes everybody
 * who sleeps. It lasts as long as the daemon, whatever a reload does. (M)
 */
void scoreboard_pause(struct scoreboard *sb, bool paused);
/* Boot time since when; 0 = not paused. (any) */
int64_t scoreboard_paused_since(const struct scoreboard *sb);
/* A further reload waits for those who work under the configuration before. (M) */
void scoreboard_reload_waits(struct scoreboard *sb, bool waits);
/* Boot time since when; 0 = none does. (any) */
int64_t scoreboard_reload_waits_since(const struct scoreboard *sb);

/* ---- reading. (any) A consistent copy; false = the texts could not be read whole (numbers are good). */
bool scoreboard_look(const struct scoreboard *sb, int slot, struct sb_slot_view *out);
/* Of all slots and of those retired. */
void scoreboard_totals(const struct scoreboard *sb, uint64_t totals[SB_COUNTERS]);
uint64_t scoreboard_total(const struct scoreboard *sb, enum sb_counter counter);

const char *sb_post_name(enum sb_post post);
const char *sb_state_name(enum sb_state state);
const char *sb_reach_name(enum sb_reach reach);
const char *sb_redis_name(enum sb_redis state);
const char *sb_counter_name(enum sb_counter counter);

#endif
