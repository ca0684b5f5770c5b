/*
 * log - one line per event: NDJSON in a file per process, and the same on stderr
 *
 * `<directory>/<name>.ndjson`, one write() a line, appended, so that processes never mix their
 * lines: {"ts","level","stage","message","worker","environment","job","page","ms","error","data"}.
 * On a terminal the same events are one readable line each; under journald they carry priority
 * prefixes. A full or missing disk and a standard error that nobody reads stop nothing: lines are
 * dropped there, the next that fits says how many. Secrets registered with log_secret() are masked in every text that goes out.
 *
 * Ownership  one sink a process, inside log.c (the one mutable global beside the signal flags);
 *            strings are copied.
 * Errors     only log_open() tells: a log that cannot be written is no reason to fail.
 * Processes  any; after a fork the child calls log_open() anew with its own name.
 */
#ifndef INDEXOCR_LOG_H
#define INDEXOCR_LOG_H

#include "err.h"
#include "settings.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/*
 * name: file name without ".ndjson". worker: the worker id in every line; NULL for master, keeper and programs. -1: the
 * file cannot be opened (everything else works: stderr still has the lines).
 */
int log_open(const struct set_log *settings, const char *name, const char *worker, struct err *err);

/* After logrotate moved the file. */
void log_reopen(void);

/* Never to be seen in a line; at least 6 characters, else ignored. Copied. */
void log_secret(const char *secret);

/* Environment and job in every line until changed; NULL or "" clears. */
void log_job(const char *environment, const char *job);

struct log_more {
	int page;          /* 0 = none */
	int64_t ms;        /* -1 = none */
	const char *error; /* NULL = none */
	cJSON *data;       /* taken: log_event() deletes it; NULL = none */
};

/* more may be NULL. */
void log_event(enum log_level level, const char *stage, const struct log_more *more,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
