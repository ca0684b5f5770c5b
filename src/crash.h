/*
 * crash - the last words of a process that a fault ends
 *
 * A handler for the signals of a fault (SEGV, BUS, FPE, ILL, ABRT) writes what happened and where into
 * memory that outlives the process, and lets the signal take its course, so that the exit status stays
 * what it would have been. It calls nothing that is not safe in a handler: the unwinder is loaded
 * beforehand, and its only stack is one of its own, since the other may be what overflowed.
 *
 * The children of the master are forks of it: what stood at an address there stands at the same
 * address here, and the master gives the addresses names.
 *
 * Trust      the words are read after the death of a process that may have been taken over: numbers
 *            are bounded, an address is only ever looked up, never followed.
 * Processes  crash_prepare(), crash_read(), crash_trace(): master; crash_watch(): its children. Nothing
 *            is installed in sanitizer builds, whose own handlers say more.
 */
#ifndef INDEXOCR_CRASH_H
#define INDEXOCR_CRASH_H

#include <stdbool.h>
#include <stddef.h>

enum { CRASH_FRAMES = 24, CRASH_TRACE_BYTES = 1024 };

/* In shared memory; all zero = nothing was said. */
struct crash_words {
	_Atomic int signal;
	_Atomic int frames;        /* of frame[]; written last */
	int code;                  /* si_code: over 0 where the kernel saw a fault */
	int sender;                /* pid of another process that sent the signal; 0 = none */
	void *address;             /* of a fault */
	void *frame[CRASH_FRAMES]; /* return addresses, innermost first */
};

/* Once, before the first fork. */
void crash_prepare(void);

/* From now on this process leaves its last words there. They outlive it. */
void crash_watch(struct crash_words *words);

void crash_clear(struct crash_words *words);

/* A bounded copy; false = nothing was said. */
bool crash_read(const struct crash_words *from, struct crash_words *copy);

/*
 * "at address 0x0, in indexocrd(+0x1d2f4) libc.so.6(poll+0x4f) ...", or "sent by pid 4711, in ...", or "raised by itself, in ..." after abort():
 * addresses as addr2line understands them.
 */
void crash_trace(const struct crash_words *words, char *text, size_t size);

#endif
