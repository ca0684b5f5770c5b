/*
 * render_jpeg - JPEGs: made of pages, and taken out of PDFs as they are
 *
 * Errors     -1 and ERR_DOCUMENT "damaged" where the bytes are not the JPEG they should be, or end
 * early; "too-large" past out's bound. Processes  indexocr-render.
 */
#ifndef INDEXOCR_RENDER_JPEG_H
#define INDEXOCR_RENDER_JPEG_H

#include "../buf.h"
#include "../err.h"
#include "render_image.h"

int jpeg_encode(const struct image *image, int quality, struct buf *out, struct err *err);

/* What a JPEG in a PDF must be, and how it is wanted. */
struct jpeg_wanted {
	int width; /* it must be this large */
	int height;
	bool grey;
	bool coarse; /* smaller, as is enough for measuring */
};

int jpeg_decode(const struct buf *jpeg, const struct jpeg_wanted *wanted, struct image *out,
	struct err *err);

/* The same JPEG without its Exif block and comments: an orientation noted there by a camera would
 * turn the page for some readers and not for others. */
int jpeg_clean(const struct buf *jpeg, struct buf *out, struct err *err);

#endif
