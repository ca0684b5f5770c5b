/*
 * err - why something failed, as a value that travels up
 *
 * A function that can fail returns -1 and fills the caller's struct err. The kind says what is to
 * be done about it (retry.c decides), the code names the fault for programs ("encrypted",
 * "timeout"), the text says it to a person. Each caller that knows more puts its context in front
 * with err_prefix(). Texts never hold secrets or document text; they are cut, never overflowed, and
 * valid UTF-8 whatever they are made of: a '?' stands for each invalid byte.
 *
 * Ownership  plain value, no resources; the caller's storage.
 * Processes  any.
 */
#ifndef INDEXOCR_ERR_H
#define INDEXOCR_ERR_H

#include <stdint.h>

enum err_kind {
	ERR_NONE,
	ERR_CONFIG,    /* a person must mend the configuration: key refused, model retired, bucket
			  missing */
	ERR_QUOTA,     /* quota used up for now; retry_after_ms says for how long, where known */
	ERR_QUOTA_DAY, /* quota used up until the day's reset */
	ERR_TRANSIENT, /* network, overload, server fault, timeout: later it may work */
	ERR_MISSING,   /* the object is not there (perhaps not yet) */
	ERR_DOCUMENT,  /* the document itself: encrypted, damaged, not a PDF, too large */
	ERR_REFUSED,   /* the engine will not read this page: RECITATION, SAFETY ... */
	ERR_REQUEST,   /* the engine cannot take this request; the same again is refused again */
	ERR_TRUNCATED, /* the answer was cut off, or went round in circles */
	ERR_EMPTY,     /* an answer without content */
	ERR_LOST,      /* the claim is no longer ours */
	ERR_STOPPED,   /* we were asked to stop */
	ERR_SYSTEM,    /* this host: disk full, no descriptors, fork failed */
	ERR_BUG,       /* cannot happen, did */
	ERR_KINDS
};

struct err {
	enum err_kind kind;
	int64_t retry_after_ms; /* the other side's own hint; 0 = none */
	char code[32];          /* short, stable, lower-case: "encrypted", "http-503" */
	char text[512];         /* one sentence, UTF-8, no line breaks, no final stop */
};

/* Fills err and returns -1, so that `return err_set(...)` reads well. err may not be NULL. */
int err_set(struct err *err, enum err_kind kind, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* As err_set(), with ": " and the meaning of errno behind the text; code is "system". */
int err_errno(struct err *err, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts context in front of the text ("page 3: ..."); returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Overwrites every occurrence of the secret with '*': for what a server said, before any of it is cut
 * or becomes an error's text. NULL and "" are no secret. */
void err_scrub(char *text, const char *secret);

/* "config", "quota", ...: for logs and metrics. */
const char *err_kind_name(enum err_kind kind);

#endif
