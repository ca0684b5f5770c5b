/*
 * signals - flags set by handlers, read by loops
 *
 * A handler sets its flag and writes to one eventfd, so that no wait misses it, whatever the loop
 * was doing; nothing else. The loop clears the flag first and acts then. Signals stay blocked
 * across fork until the child's own handlers stand.
 *
 * Processes  any; one set of flags a process.
 */
#ifndef INDEXOCR_SIGNALS_H
#define INDEXOCR_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* Blocks everything that has a handler here; keep them blocked across fork(). */
void signals_block(void);
void signals_unblock(void);

/*
 * Installs handlers for the 0-terminated list, ignores SIGPIPE, SIGXFSZ and the 0-terminated list `ignored`, and unblocks. wake_fd is an eventfd, non-blocking.
 */
void signals_catch(const int *caught, const int *ignored, int wake_fd);

/* True once for each time (or burst) the signal came. */
bool signals_take(int number);

/* "SIGSEGV" for a person. */
const char *signals_name(int number, char text[16]);

#endif
