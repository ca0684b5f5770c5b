/*
 * header - what the lines above a register's table and its title row say, whatever the recogniser
 * misread
 *
 * Ownership  header values are the caller's: header_fini().
 * Errors     none: what is not found is NULL or false.
 * Processes  indexocr-tesseract, unit tests. No leptonica, no tesseract.
 */
#ifndef INDEXOCR_HELPERS_HEADER_H
#define INDEXOCR_HELPERS_HEADER_H

#include <stdbool.h>
#include <stddef.h>

enum header_field { CIRCONSCRIPTION, CADASTRE, LOT, FEUILLE, HEADER_FIELDS };

struct header {
	char *value[HEADER_FIELDS]; /* NULL = not found */
};

/* The names the fields have in an engine's answer. */
const char *header_field_name(enum header_field field);

/*
 * A label counts before a colon, or without one at the beginning of a short line, in any case, with or without accents,
 * with a wrong letter or two where it is long; its value ends at the next label or at the line's
 * end. The first one of a kind counts.
 */
void header_find(struct header *h, const char *const *lines, size_t count);
void header_fini(struct header *h);

/* How many of these are, roughly, the title of their column. */
int header_count_titles(const char *const cells[6]);
/* Whether these are the columns' titles: at least half of them, roughly. */
bool header_is_title_row(const char *const cells[6]);

#endif
