#include "control_line.h"

#include <stdbool.h>
#include <string.h>

static const char not_printable[] = "a request is printable ASCII and ends with a line feed";
static const char no_word[] = "a request begins with a command in lower-case letters";
static const char no_argument[] =
	"a request is a command, or a command, one space and one argument";
static const char too_long[] = "a request has 256 bytes at most";

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

static size_t word_length(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] >= 'a' && text[n] <= 'z')
		n++;
	return n;
}

/* What is wrong with the text before the line feed, be it all of it (whole) or its beginning; NULL = nothing. */
static const char *fault_of(const char *text, size_t len, bool whole)
{
	const size_t word = word_length(text, len);

	_Static_assert(CONTROL_LINE_BYTES == 256, "too_long says how many");
	for (size_t i = 0; i < len; i++)
		if (!is_printable(text[i]))
			return not_printable;
	if (word == 0 && (whole || len > 0))
		return no_word;
	if (word < len && text[word] != ' ')
		return no_word;
	if (word < len && memchr(text + word + 1, ' ', len - word - 1) != NULL)
		return no_argument;
	if (whole && word + 1 == len)
		return no_argument;
	if (len >= CONTROL_LINE_BYTES)
		return too_long;
	return NULL;
}

enum control_line_verdict control_line_parse(
	const char *bytes, size_t len, struct control_line *out, const char **fault)
{
	const char *end = memchr(bytes, '\n', len);
	const size_t text_len = end != NULL ? (size_t)(end - bytes) : len;
	const size_t word = word_length(bytes, text_len);

	*fault = fault_of(bytes, text_len, end != NULL);
	if (*fault != NULL)
		return CONTROL_LINE_BAD;
	if (end == NULL)
		return CONTROL_LINE_PARTIAL;
	*out = (struct control_line){{0}, {0}};
	memcpy(out->word, bytes, word);
	if (word < text_len)
		memcpy(out->argument, bytes + word + 1, text_len - word - 1);
	return CONTROL_LINE_WHOLE;
}
