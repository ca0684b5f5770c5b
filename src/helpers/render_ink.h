/*
 * render_ink - how much is written on a page, and whether nothing is
 *
 * The page, in grey and at most INK_EDGE pixels, is smoothed and divided by its own background,
 * which is taken tile by tile as a high quantile and spread over dark tiles (the way leptonica's
 * adaptive background normalisation does it); so grey paper, shadows and stains do not count. What
 * is darker than the paper's own noise allows is ink. Dark areas that reach in from an edge
 * (scanner borders) are left out, and so are specks.
 *
 * A page is blank only if no connected piece of ink is as large as a small letter, and specks are
 * few: with doubt it is not blank, for reading an empty page costs a call, and missing a faint one
 * costs a record.
 *
 * Processes  indexocr-render.
 */
#ifndef INDEXOCR_RENDER_INK_H
#define INDEXOCR_RENDER_INK_H

#include "render_image.h"

enum { INK_EDGE = 1500 };

struct ink {
	double share; /* of the page without its borders, 0..1 */
	bool blank;
};

/* Grey or colour, any size. */
void ink_measure(const struct image *page, struct ink *ink);

#endif
