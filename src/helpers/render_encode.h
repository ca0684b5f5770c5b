/*
 * render_encode - pixels to JPEG, PNG or PNM
 *
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

#endif
