/*
 * scoreboard_private - what the files of the scoreboard share: the memory's shape, and its lock
 *
 *     scoreboard.c        the mapping, waking, parts with their writers, reading
 *     scoreboard_kept.c   claims whose result waits for its database
 *     scoreboard_sleep.c  who sleeps, and who of them is woken next
 *     scoreboard_end.c    what stays of a process: obituaries, its last death, the loop of all
 *     scoreboard_names.c  what people read for numbers
 *
 * Included by scoreboard*.c only.
 */
#ifndef INDEXOCR_SCOREBOARD_PRIVATE_H
#define INDEXOCR_SCOREBOARD_PRIVATE_H

#include "hash.h"
#include "scoreboard.h"

#include <stdatomic.h>

enum { LINE_BYTES = 128, SB_NAME_BYTES = 64 };

/* Texts of one writer: odd while they are being written. */
struct texts {
	_Atomic uint32_t sequence;
	char token[CLAIM_TOKEN_BYTES];
	char document[JOB_ID_BYTES];
};

struct reason {
	_Atomic uint32_t sequence;
	char text[SB_TEXT_BYTES];
};

struct obituary {
	_Atomic int pending;
	struct sb_obituary words;
};

struct death {
	_Atomic uint32_t sequence;
	struct sb_death last;
};

struct loop {
	_Atomic uint32_t sequence;
	struct sb_loop view;
};

struct slot {
	/* post */
	_Alignas(LINE_BYTES) _Atomic int post;
	_Atomic int pid;
	_Atomic int64_t spawn;
	_Atomic int generation;
	_Atomic int64_t restart_at_ms;
	struct reason reason;
	/* own */
	_Alignas(LINE_BYTES) _Atomic int state;
	_Atomic int64_t since_ms;
	_Atomic int64_t alive_ms;
	_Atomic int
		environment_1; /* index + 1, so that a slot never used needs no page; 0 = none */
	_Atomic int64_t claim;
	_Atomic int64_t job_since_ms;
	_Atomic int page;
	_Atomic int pages;
	_Atomic uint64_t counters[SB_COUNTERS];
	struct texts texts;
	struct kept {
		_Atomic int64_t claim; /* 0 = none */
		_Atomic int environment;
		struct texts texts;
	} kept[SB_KEPT];
	/* mailbox */
	_Alignas(LINE_BYTES) _Atomic uint64_t lost_claim; /* hash of its token; 0 = none */
	_Atomic uint64_t valid;                           /* sb_valid_word() */
	_Atomic uint64_t kept_valid[SB_KEPT];
	/* last words: its process', dying */
	_Alignas(LINE_BYTES) struct crash_words words;
	/* obituary */
	_Alignas(LINE_BYTES) struct obituary obituaries[SB_OBITUARIES];
	struct death death;
};

struct environment {
	char name[SB_NAME_BYTES];
	char database[HASH_TEXT_BYTES]; /* what it is, not where: no secret stands here */
	_Atomic uint32_t sequence;
	struct sb_environment_view view;
	struct gate storage;
};

struct header {
	char daemon[SB_DAEMON_BYTES];
	char previous[SB_DAEMON_BYTES];
	_Atomic int used; /* slots that ever had a process are below this one */
	_Atomic int redis;
	_Atomic bool draining;
	_Atomic int64_t paused_ms;       /* boot time; 0 = not paused */
	_Atomic int64_t reload_waits_ms; /* boot time; 0 = none waits */
	_Atomic uint64_t retired[SB_COUNTERS];
	struct loop loop;
	struct gate engine;
	_Atomic int environment_count;
	struct environment environments[SB_ENVIRONMENTS_MAX];
};

struct scoreboard {
	struct header *header;
	struct slot *slot;
	void *limiter;
	size_t bytes;
	int slots;
	int *events; /* owned; -1 = closed in this process */
};

/* The sequence lock: odd while its one writer writes. */
void sb_write_begin(_Atomic uint32_t *sequence);
void sb_write_end(_Atomic uint32_t *sequence);
/* Copies what the lock guards; false where a writer was always in the middle of it. */
bool sb_read(const _Atomic uint32_t *sequence, void *to, const void *from, size_t bytes);
/* A claim and until when it is good, in one word: the low 20 bits of its number above 44 bits of boot time. */
uint64_t sb_valid_word(int64_t claim, int64_t until_boot_ms);
/* 0 = the word is of another claim. */
int64_t sb_valid_until(uint64_t word, int64_t claim);
/* text may be NULL. */
void sb_set_text(char *to, size_t size, const char *text);

#endif
