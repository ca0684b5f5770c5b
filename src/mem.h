/*
 * mem - memory that is there or the process is not
 *
 * A child that cannot get a few kilobytes cannot go on: it dies with a clear last line, the master
 * replaces it and the keeper hands its document on. The master allocates at start and reload only.
 * What is large or of a size that somebody else decides (bodies, images, answers) goes through
 * buf.h, whose bound makes it an error, not a death.
 *
 * Ownership  the caller frees with free().
 * Processes  any.
 */
#ifndef INDEXOCR_MEM_H
#define INDEXOCR_MEM_H

#include <stddef.h>

void *mem_calloc(size_t count, size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *old, size_t size_bytes) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));

/* A formatted string of any length. */
char *mem_printf(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/* Overwrites a secret before its memory goes back; NULL is fine. Frees it. */
void mem_free_secret(char *secret);

#endif
