/*
 * utf8 - text from strangers made fit for the database: valid UTF-8, NFC, no NUL, no surrogates;
 * libunistring behind it
 *
 * Ownership  returned strings are the caller's: free().
 * Processes  any.
 */
#ifndef INDEXOCR_UTF8_H
#define INDEXOCR_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text, size_t len);

/* Invalid bytes, NUL and control characters other than tab and line feed become U+FFFD (controls: a
 * space); CR LF becomes LF; then NFC. */
char *utf8_clean(const char *text, size_t len);

/* Length of the longest prefix of at most max_bytes that ends at a character's end. */
size_t utf8_cut(const char *text, size_t max_bytes);

/* Length of the longest prefix that takes no more than so many columns of a terminal. */
size_t utf8_cut_columns(const char *text, int columns);

#endif
