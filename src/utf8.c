#include "utf8.h"

#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uninorm.h>
#include <unistr.h>
#include <uniwidth.h>

enum { REPLACEMENT = 0xFFFD, REPLACEMENT_BYTES = 3, CHARACTER_BYTES = 4 };

bool utf8_valid(const char *text, size_t len)
{
	return u8_check((const uint8_t *)text, len) == NULL;
}

static ucs4_t fit(ucs4_t character)
{
	if (character == 0)
		return REPLACEMENT;
	if (character == '\t' || character == '\n')
		return character;
	if (character < 0x20 || (character >= 0x7F && character < 0xA0))
		return ' ';
	return character;
}

/* out has room for REPLACEMENT_BYTES a byte of text: the most that anything here grows. */
static size_t mend(uint8_t *out, const uint8_t *text, size_t len)
{
	size_t made = 0;

	for (size_t at = 0; at < len;) {
		ucs4_t character;
		/* An incomplete or invalid sequence counts as the bytes that can never become
		 * valid, and comes out as one U+FFFD. */
		const int used = u8_mbtouc(&character, text + at, len - at);
		int put;

		at += (size_t)used;
		if (character == '\r' && at < len && text[at] == '\n')
			continue;
		put = u8_uctomb(out + made, fit(character), CHARACTER_BYTES);
		if (put < 0)
			abort();
		made += (size_t)put;
	}
	return made;
}

char *utf8_clean(const char *text, size_t len)
{
	uint8_t *mended = mem_calloc(len + 1, REPLACEMENT_BYTES);
	const size_t made = mend(mended, (const uint8_t *)text, len);
	size_t normal_len = 0;
	uint8_t *normal = u8_normalize(UNINORM_NFC, mended, made, NULL, &normal_len);
	char *out;

	if (normal == NULL)
		abort();
	out = mem_strndup((const char *)normal, normal_len);
	free(normal);
	free(mended);
	return out;
}

size_t utf8_cut(const char *text, size_t max_bytes)
{
	size_t len = strnlen(text, max_bytes);

	if (len < max_bytes)
		return len;
	while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
		len--;
	return len;
}

size_t utf8_cut_columns(const char *text, int columns)
{
	const size_t len = strlen(text);
	size_t at = 0;

	while (at < len) {
		ucs4_t character;
		const int used = u8_mbtouc(&character, (const uint8_t *)text + at, len - at);
		const int width = uc_width(character, "UTF-8");

		columns -= width > 0 ? width : 0;
		if (columns < 0)
			break;
		at += (size_t)used;
	}
	return at;
}
