/*
 * gate - a service that many processes call and that fails: who tries it next, and when
 *
 * Open until somebody reports a failure, which shuts it for a while. Past that one process passes and tries; the
 * others wait for what comes of it: longer after each further failure, not at all after a success. A process that dies
 * while it tries has its turn taken after try_ms. So a service that is away is asked by one process of the host at a
 * time, however many there are, and everybody goes on as soon as it answers.
 *
 * No clock and no random source of its own. Two words in shared memory, each changed by compare-and-swap: no lock
 * that a kill could leave held. All zero = open.
 *
 * Units      milliseconds, boot time.
 * Processes  worker; any for reading.
 */
#ifndef INDEXOCR_GATE_H
#define INDEXOCR_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
	_Atomic int64_t shut_until_ms;
	_Atomic int failures; /* in a row */
};

/* -1: shut. Else how many failures stand against the service; with any, the caller is the one that tries. */
int gate_pass(struct gate *g, int64_t now_ms, int64_t try_ms);
/* Who had passed did not try after all: the next one may. passed: as gate_pass() said. */
void gate_unused(struct gate *g, int passed, int64_t now_ms);
/* It failed. Of those who passed together the first one counts, and shuts it until then: true. */
bool gate_fail(struct gate *g, int passed, int64_t until_ms);
/* It answered. */
void gate_open(struct gate *g);

int gate_failures(const struct gate *g);
/* How long it stays shut; 0 = it may be passed. */
int64_t gate_shut_ms(const struct gate *g, int64_t now_ms);

#endif
