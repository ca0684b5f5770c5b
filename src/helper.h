/*
 * helper - starts and ends the programs that meet hostile input (indexocr-render,
 * indexocr-tesseract)
 *
 * A helper gets standard input, a pipe as standard output, the caller's standard error, the given
 * environment and nothing else: no other descriptor, no signal handler or mask, no inherited
 * environment (which may hold keys), no core file, no new privileges. It stands in a process group
 * of its own, so that a key pressed at the terminal reaches only the master, and is killed when its
 * parent dies.
 *
 * Ownership  struct helper is the caller's storage; helper_stop() ends the process and closes the
 *            pipes. Everything in struct helper_command is borrowed for the call.
 * Errors     ERR_CONFIG "helper-missing" where there is no such program, ERR_SYSTEM for the rest.
 * Processes  worker; the parent of a helper is the process that started it.
 */
#ifndef INDEXOCR_HELPER_H
#define INDEXOCR_HELPER_H

#include "err.h"

#include <stdint.h>
#include <sys/types.h>

struct helper_command {
	const char *path;
	const char *const *argv;        /* from argv[0], NULL-terminated */
	const char *const *environment; /* "NAME=value", NULL-terminated; NULL = empty */
	int input_fd;                   /* its standard input; -1 = a pipe to helper.in */
	int64_t memory_bytes;           /* RLIMIT_AS; 0 = no limit */
};

struct helper {
	pid_t pid; /* 0 = none */
	int in;  /* write here, non-blocking; -1 where it has an input_fd, or after helper_stop() */
	int out; /* read here, non-blocking */
};

/* What a struct helper is before helper_start() and after helper_stop(). */
#define HELPER_NONE ((struct helper){.in = -1, .out = -1})

/* Returns once the program runs or could not be started, within ten seconds. */
int helper_start(struct helper *h, const struct helper_command *command, struct err *err);

/*
 * Kills it where it still runs, waits for it (five seconds at most), closes the pipes. Returns its wait status, of its own
 * end where it had ended by itself; 0 where there was none.
 */
int helper_stop(struct helper *h);

/* Puts how it ended into text: "was killed by SIGSEGV", "ended with exit status 3". */
void helper_how_ended(int wait_status, char *text, size_t size);

#endif
