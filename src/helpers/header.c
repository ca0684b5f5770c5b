#include "helpers/header.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 24, LABEL_MAX = 32, SHORT_WORDS = 4 };

static const char *const names[HEADER_FIELDS] = {
	[CIRCONSCRIPTION] = "circonscription",
	[CADASTRE] = "cadastre",
	[LOT] = "lot",
	[FEUILLE] = "feuille",
};
static const char *const titles[6] = {
	"parties", "nature", "date", "n de publication", "radiation", "remarques"};

const char *header_field_name(enum header_field field)
{
	return names[field];
}

/* U+00C0 to U+00FF, the only accented letters of French but one. */
static char without_accent(unsigned char second)
{
	static const char base[] = "aaaaaaaceeeeiiiidnooooo*ouuuuyts"
				   "aaaaaaaceeeeiiiidnooooo/ouuuuyty";

	return base[second & 0x3F];
}

/* Small letters without accents; everything that is no letter or digit is one space. Cut at max. */
static size_t fold(const char *text, size_t len, char *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < max; i++) {
		const unsigned char c = (unsigned char)text[i];
		char plain = ' ';

		if (c == 0xC3 && i + 1 < len)
			plain = without_accent((unsigned char)text[++i]);
		else if (c >= 'A' && c <= 'Z')
			plain = (char)(c - 'A' + 'a');
		else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			plain = (char)c;
		else if (c >= 0x80 && c < 0xC0)
			continue;
		if (plain != ' ' || (n > 0 && out[n - 1] != ' '))
			out[n++] = plain;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return n;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	const size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance of two short folded words. */
static size_t distance(const char *a, const char *b)
{
	const size_t la = strlen(a);
	const size_t lb = strlen(b);
	size_t row[LABEL_MAX + 1];

	if (la > LABEL_MAX || lb > LABEL_MAX)
		return LABEL_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			const size_t above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[lb];
}

static bool resembles(const char *word, const char *label)
{
	return distance(word, label) <= strlen(label) / 4;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The words between a label and its colon ("foncière"), then the colon. */
static const char *skip_to_value(const char *p, bool *colon)
{
	const char *q = p;

	*colon = false;
	for (int words = 0; words < 2; words++) {
		while (is_space(*q))
			q++;
		if (*q == ':') {
			*colon = true;
			return q + 1;
		}
		while (*q != '\0' && *q != ':' && !is_space(*q))
			q++;
	}
	return p;
}

/* "Lot 14" is a label and its value, "Lot 14 touche à la rivière" a sentence. */
static bool is_short(const char *text)
{
	int words = 0;

	for (const char *p = text; *p != '\0'; p++)
		words += !is_space(*p) && (p == text || is_space(p[-1]));
	return words <= SHORT_WORDS;
}

/* A label that begins at word, which ends at end; where its value begins, or NULL. */
static const char *label_at(
	const char *line, const char *word, const char *end, enum header_field *field)
{
	char folded[WORD_MAX];
	const char *value;
	bool colon;

	(void)fold(word, (size_t)(end - word), folded, sizeof folded);
	for (int f = 0; f < HEADER_FIELDS; f++) {
		if (!resembles(folded, names[f]))
			continue;
		value = skip_to_value(end, &colon);
		if (!colon && (word != line || !is_short(value)))
			return NULL;
		*field = (enum header_field)f;
		return value;
	}
	return NULL;
}

static void take(struct header *h, enum header_field field, const char *from, const char *to)
{
	while (from < to && (is_space(*from) || *from == ':'))
		from++;
	while (to > from && is_space(to[-1]))
		to--;
	if (h->value[field] == NULL && to > from)
		h->value[field] = mem_strndup(from, (size_t)(to - from));
}

static void find_in_line(struct header *h, const char *line)
{
	enum header_field field = HEADER_FIELDS;
	const char *value = NULL;
	const char *p = line;

	while (*p != '\0') {
		enum header_field next = HEADER_FIELDS;
		const char *end = p;
		const char *label;

		while (*end != '\0' && *end != ':' && !is_space(*end))
			end++;
		label = label_at(line, p, end, &next);
		if (label != NULL) {
			if (value != NULL)
				take(h, field, value, p);
			field = next;
			value = label;
			end = label > end ? label : end;
		}
		p = end;
		while (is_space(*p) || *p == ':')
			p++;
	}
	if (value != NULL)
		take(h, field, value, p);
}

void header_find(struct header *h, const char *const *lines, size_t count)
{
	*h = (struct header){{NULL}};
	for (size_t i = 0; i < count; i++)
		find_in_line(h, lines[i]);
}

void header_fini(struct header *h)
{
	for (int f = 0; f < HEADER_FIELDS; f++) {
		free(h->value[f]);
		h->value[f] = NULL;
	}
}

int header_count_titles(const char *const cells[6])
{
	int alike = 0;

	for (int c = 0; c < 6; c++) {
		char folded[LABEL_MAX];

		(void)fold(cells[c], strlen(cells[c]), folded, sizeof folded);
		alike += distance(folded, titles[c]) <= strlen(titles[c]) / 3;
	}
	return alike;
}

bool header_is_title_row(const char *const cells[6])
{
	return header_count_titles(cells) >= 3;
}
