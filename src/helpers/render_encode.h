/*
 * render_encode - pixels to JPEG, PNG or PNM; and JPEGs that are sent as they are
 *
 * Errors     -1 where the bytes are not what they should be; only jpeg_check() and jpeg_clean() can.
 * Processes  indexocr-render.
 */
#ifndef INDEXOCR_RENDER_ENCODE_H
#define INDEXOCR_RENDER_ENCODE_H

#include "../buf.h"
#include "../err.h"
#include "render_image.h"

enum image_format { FORMAT_JPEG, FORMAT_PNG, FORMAT_PNM };

/* The image in this format, appended to an empty out; *mime is a constant. PNG and PNM keep pages
 * of black and white in one bit a pixel. -1: ERR_DOCUMENT "too-large" past out's bound. */
int image_encode(const struct image *image, enum image_format format, int quality, struct buf *out,
	const char **mime, struct err *err);

/*
 * Decodes an embedded JPEG coarsely into grey, for measuring. -1: ERR_DOCUMENT "damaged" where it
 * ends early or is not a JPEG of grey or colour with 8 bits and these dimensions.
 */
int jpeg_check(const struct buf *jpeg, int width, int height, struct image *coarse, struct err *err);

/* The same JPEG without its Exif block and comments: an orientation noted there by a camera would
 * turn the page for some readers and not for others. */
int jpeg_clean(const struct buf *jpeg, struct buf *out, struct err *err);

#endif
