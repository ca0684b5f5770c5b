/*
 * hash - SHA-256 of things whose identity matters (documents, prompts), and random identifiers;
 * libcrypto behind it
 *
 * Processes  any.
 */
#ifndef INDEXOCR_HASH_H
#define INDEXOCR_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { HASH_TEXT_BYTES = 65 };

struct hash;

struct hash *hash_new(void);
void hash_add(struct hash *h, const void *data, size_t len);
/* Writes 64 hexadecimal digits and a NUL; frees h. */
void hash_end(struct hash *h, char text[HASH_TEXT_BYTES]);
void hash_free(struct hash *h);

/* All of a text at once. */
void hash_text(const char *text, char out[HASH_TEXT_BYTES]);

/* SHA-1, the name Redis gives a script; for nothing else. */
enum { HASH_SHA1_TEXT_BYTES = 41 };
void hash_sha1_text(const char *text, char out[HASH_SHA1_TEXT_BYTES]);

/* len hexadecimal digits of the system's randomness and a NUL. */
void hash_random_hex(char *out, size_t len);

#endif
