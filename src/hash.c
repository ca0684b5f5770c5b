#include "hash.h"

#include "mem.h"

#include <openssl/evp.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SHA256_BYTES = 32, RANDOM_CHUNK_BYTES = 64 };
_Static_assert(HASH_TEXT_BYTES == 2 * SHA256_BYTES + 1, "two digits a byte and a NUL");

struct hash {
	EVP_MD_CTX *context; /* owned */
};

static const char digits[] = "0123456789abcdef";

/* SHA-256 of bytes in memory cannot fail once the context stands, and that fails only without
 * memory: as with mem.h, a process that cannot go on dies. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

struct hash *hash_new(void)
{
	struct hash *h = mem_calloc(1, sizeof *h);

	h->context = EVP_MD_CTX_new();
	must(h->context != NULL);
	must(EVP_DigestInit_ex(h->context, EVP_sha256(), NULL));
	return h;
}

void hash_free(struct hash *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->context);
	free(h);
}

void hash_add(struct hash *h, const void *data, size_t len)
{
	must(EVP_DigestUpdate(h->context, data, len));
}

void hash_end(struct hash *h, char text[HASH_TEXT_BYTES])
{
	unsigned char sum[SHA256_BYTES];

	must(EVP_DigestFinal_ex(h->context, sum, NULL));
	for (size_t i = 0; i < sizeof sum; i++) {
		text[2 * i] = digits[sum[i] >> 4];
		text[2 * i + 1] = digits[sum[i] & 15];
	}
	text[HASH_TEXT_BYTES - 1] = '\0';
	hash_free(h);
}

void hash_text(const char *text, char out[HASH_TEXT_BYTES])
{
	struct hash *h = hash_new();

	hash_add(h, text, strlen(text));
	hash_end(h, out);
}

void hash_sha1_text(const char *text, char out[HASH_SHA1_TEXT_BYTES])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	must(EVP_Digest(text, strlen(text), sum, &len, EVP_sha1(), NULL));
	must(len == (HASH_SHA1_TEXT_BYTES - 1) / 2);
	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[sum[i] >> 4];
		out[2 * i + 1] = digits[sum[i] & 15];
	}
	out[HASH_SHA1_TEXT_BYTES - 1] = '\0';
}

static void fill_random(unsigned char *bytes, size_t len)
{
	while (len > 0) {
		const ssize_t got = getrandom(bytes, len, 0);

		if (got < 0 && errno != EINTR)
			abort();
		if (got > 0) {
			bytes += got;
			len -= (size_t)got;
		}
	}
}

void hash_random_hex(char *out, size_t len)
{
	unsigned char bytes[RANDOM_CHUNK_BYTES];

	for (size_t i = 0; i < len; i++) {
		if (i % sizeof bytes == 0)
			fill_random(bytes, len - i < sizeof bytes ? len - i : sizeof bytes);
		out[i] = digits[bytes[i % sizeof bytes] & 15];
	}
	out[len] = '\0';
}
