/*
 * image - a page image from a worker becomes a grey page that is easy to read; leptonica behind it
 *
 * What comes in may be anything that calls itself an image: format and size are looked at before it
 * is decoded. What comes out is upright, straightened, on an even background, without the dark bed
 * of the scanner, and enlarged where its letters are smaller than the recogniser likes them.
 *
 * Ownership  image_prepare() fills the caller's struct page_image; image_fini() frees it.
 * Errors     ERR_REQUEST "bad-image", "too-large".
 * Processes  indexocr-tesseract.
 */
#ifndef INDEXOCR_HELPERS_IMAGE_H
#define INDEXOCR_HELPERS_IMAGE_H

#include "err.h"

#include <stddef.h>

struct Pix;

struct page_image {
	struct Pix *grey;  /* 8 bits, background near IMAGE_PAPER; owned */
	struct Pix *ink;   /* 1 bit, the same place and size; owned */
	int width, height; /* of both */
	double scale;      /* pixels of this image for one of what came in */
	int x_height;      /* of most letters, in pixels of this image; 0 = no letters found */
};

enum { IMAGE_PAPER = 255, IMAGE_MAX_PIXELS = 64 << 20, IMAGE_MAX_EDGE = 20000 };

int image_prepare(struct page_image *image, const void *bytes, size_t len, struct err *err);
void image_fini(struct page_image *image);

#endif
