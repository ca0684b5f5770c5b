/*
 * rules - ruling lines and words as shapes on the page: what columns.c calculates with; leptonica
 * behind it
 *
 * Ownership  struct shapes frees with shapes_fini(); page_image is borrowed, and changed by
 * shapes_find().
 * Errors     none: shapes that cannot be found are not there.
 * Processes  indexocr-tesseract.
 */
#ifndef INDEXOCR_HELPERS_RULES_H
#define INDEXOCR_HELPERS_RULES_H

#include "helpers/columns.h"
#include "helpers/image.h"

struct shapes {
	struct stroke *vertical, *horizontal;
	size_t vertical_count, horizontal_count;
	struct box *words; /* words, or words run together */
	size_t word_count;
};

/* Finds ruling lines and takes them and all specks off the page, so that none turns into a letter,
 * then the words. */
void shapes_find(struct shapes *s, struct page_image *image, int em);
void shapes_fini(struct shapes *s);

#endif
