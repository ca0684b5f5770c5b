/*
 * storage_fault - what an answer of Supabase Storage that is not the object means; pure
 *
 * Storage says nearly everything with HTTP 400 and the truth in the body; gateways and proxies
 * before it have shapes of their own. Decided on the body's code, then its message, then its
 * statusCode, then the HTTP status.
 *
 * Processes  worker, ctl.
 */
#ifndef INDEXOCR_STORAGE_FAULT_H
#define INDEXOCR_STORAGE_FAULT_H

#include "err.h"

#include <stddef.h>

/* retry_after: the header's value or NULL; secret: the key that was sent, or NULL, which no text
 * repeats. Always returns -1. */
int storage_fault(long status, const char *body, size_t body_bytes, const char *retry_after,
	const char *secret, struct err *err);

#endif
