/*
 * render_image - a page as pixels in memory, and what is done with them
 *
 * Rows are tight: width * channels bytes. Grey has one channel (0 black, 255 white), colour three
 * (red, green, blue).
 *
 * Ownership  image_fini() frees the pixels; functions with an out parameter fill an empty struct.
 * Errors     none: memory that is not there ends the process (mem.h), which its client survives.
 * Processes  indexocr-render.
 */
#ifndef INDEXOCR_RENDER_IMAGE_H
#define INDEXOCR_RENDER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct image {
	int width;
	int height;
	int channels;
	unsigned char *pixels; /* owned, from malloc() */
};

void image_new(struct image *image, int width, int height, int channels);
void image_fini(struct image *image);
size_t image_row_bytes(const struct image *image);

/* Turns it clockwise by a quarter, `quarters` times. */
void image_turn(struct image *image, int quarters);

/* A smaller copy, each pixel the mean of the area it covers; width and height not above in's. */
void image_shrink(const struct image *in, int width, int height, struct image *out);

/* A copy in grey that fits into a square of max_edge pixels. */
void image_grey_within(const struct image *in, int max_edge, struct image *out);

/* In place, RGB to grey. */
void image_make_grey(struct image *image);

/* Is there colour besides the paper's own tint? Yellowed paper with black ink has none. */
bool image_is_coloured(const struct image *image);

/* Grey with nothing but 0 and 255 in it. */
bool image_is_bilevel(const struct image *image);

#ifdef __cplusplus
}
#endif

#endif
