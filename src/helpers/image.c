#include "helpers/image.h"

#include <leptonica/allheaders.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
	WHITE_FROM = 200, /* where the paper was put */
	LIGHT_FROM = 128,
	WHITE_ALREADY = 250,
	INK_BELOW = 190,
	BED_PIXELS = 21,      /* no stroke of body text is a solid block of this size */
	X_HEIGHT_WANTED = 20, /* at 24 a page took a fifth longer and was no better */
	X_HEIGHT_SMALL = 16,
	LETTER_MIN_PIXELS = 5,
	LETTER_MAX_PIXELS = 120,
	LETTERS_MIN = 12 /* fewer say nothing about the size of the text */
};
static const double scale_max = 2.0;
static const double skew_min_degrees = 0.04;
static const double skew_max_degrees = 6.0;

static PIX *decode(const void *bytes, size_t len, struct err *err)
{
	l_int32 format = IFF_UNKNOWN;
	l_int32 width = 0;
	l_int32 height = 0;
	PIX *pix;

	if (findFileFormatBuffer(bytes, &format) != 0 ||
		(format != IFF_PNM && format != IFF_PNG && format != IFF_JFIF_JPEG) ||
		pixReadHeaderMem(bytes, len, NULL, &width, &height, NULL, NULL, NULL) != 0 ||
		width < 1 || height < 1) {
		(void)err_set(err, ERR_REQUEST, "bad-image",
			"the page image is none of PNM, PNG and JPEG, or damaged");
		return NULL;
	}
	if (width > IMAGE_MAX_EDGE || height > IMAGE_MAX_EDGE ||
		(int64_t)width * height > IMAGE_MAX_PIXELS) {
		(void)err_set(err, ERR_REQUEST, "too-large",
			"the page image has %d x %d pixels; at most %d are read", width, height,
			IMAGE_MAX_PIXELS);
		return NULL;
	}
	pix = pixReadMem(bytes, len);
	if (pix == NULL)
		(void)err_set(err, ERR_REQUEST, "bad-image", "the page image is damaged");
	return pix;
}

/* Replaces *pix by made, the result of a step, unless that failed. */
static bool step(PIX **pix, PIX *made)
{
	if (made == NULL)
		return false;
	pixDestroy(pix);
	*pix = made;
	return true;
}

/* Of a page in black and white, and of one whose scanner has cleared the paper: nine tenths of what
 * is light are white. */
static bool paper_is_white(PIX *grey)
{
	NUMA *histogram = pixGetGrayHistogram(grey, 1);
	l_float32 light = 0;
	l_float32 white = 0;

	if (histogram != NULL) {
		(void)numaGetSumOnInterval(histogram, LIGHT_FROM, 255, &light);
		(void)numaGetSumOnInterval(histogram, WHITE_ALREADY, 255, &white);
	}
	numaDestroy(&histogram);
	return light > 0 && white > light * 0.9F;
}

/*
 * Uneven paper becomes 200 everywhere (not on sheets too small for that), then its grain is cut off:
 * where there is little ink, the recogniser would take the grain for it. Paper that is white already
 * would only lose strokes where lines of text stand close and little of it is to be seen.
 */
static void even_background(PIX **grey)
{
	if (paper_is_white(*grey))
		return;
	if (pixGetWidth(*grey) >= 64 && pixGetHeight(*grey) >= 64)
		(void)step(grey, pixBackgroundNormSimple(*grey, NULL, NULL));
	(void)step(grey, pixGammaTRC(NULL, *grey, 1, 0, WHITE_FROM));
}

/* Beside a sheet that lies askew the bed runs out in a wedge thinner than any solid block: what hangs
 * on the bed along the image's edge belongs to it. */
static void add_tapering_ends(PIX *bed, PIX *ink)
{
	PIX *edge = pixCopy(NULL, ink);
	const l_int32 width = pixGetWidth(ink) - 2 * BED_PIXELS;
	const l_int32 height = pixGetHeight(ink) - 2 * BED_PIXELS;

	if (edge != NULL) {
		(void)pixRasterop(edge, BED_PIXELS, BED_PIXELS, width, height, PIX_CLR, NULL, 0, 0);
		(void)pixOr(edge, edge, bed);
		(void)pixSeedfillBinary(bed, bed, edge, 8);
	}
	pixDestroy(&edge);
}

/*
 * The scanner's bed beside the sheet: solid dark areas that reach the image's edge, and what hangs
 * on them by more than a stroke. Returns a mask, NULL where there is none.
 */
static PIX *find_bed(PIX *ink)
{
	PIX *solid = pixOpenBrick(NULL, ink, BED_PIXELS, BED_PIXELS);
	PIX *inner = solid != NULL ? pixRemoveBorderConnComps(solid, 8) : NULL;
	PIX *bed = inner != NULL ? pixSubtract(NULL, solid, inner) : NULL;
	l_int32 empty = 1;

	pixDestroy(&solid);
	pixDestroy(&inner);
	if (bed != NULL)
		(void)pixZero(bed, &empty);
	if (empty) {
		pixDestroy(&bed);
		return NULL;
	}
	add_tapering_ends(bed, ink);
	(void)pixDilateBrick(bed, bed, BED_PIXELS / 2, BED_PIXELS / 2);
	return bed;
}

static void remove_bed(PIX *raw, PIX *grey)
{
	PIX *dark = pixThresholdToBinary(raw, 90);
	PIX *bed = dark != NULL ? find_bed(dark) : NULL;

	if (bed != NULL)
		(void)pixSetMasked(grey, bed, IMAGE_PAPER);
	pixDestroy(&bed);
	pixDestroy(&dark);
}

static double find_skew(PIX *ink)
{
	l_float32 degrees = 0;
	l_float32 confidence = 0;

	if (pixFindSkew(ink, &degrees, &confidence) != 0 || confidence < 3 ||
		fabs((double)degrees) < skew_min_degrees ||
		fabs((double)degrees) > skew_max_degrees)
		return 0;
	return (double)degrees;
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The median height of what has the size of a letter: most letters are as high as an x. */
static int median_letter(PIX *ink)
{
	BOXA *boxes = pixConnCompBB(ink, 8);
	const l_int32 count = boxes != NULL ? boxaGetCount(boxes) : 0;
	int *heights = count > 0 ? calloc((size_t)count, sizeof *heights) : NULL;
	int letters = 0;
	int median = 0;

	for (l_int32 i = 0; i < count && heights != NULL; i++) {
		l_int32 w = 0;
		l_int32 h = 0;

		(void)boxaGetBoxGeometry(boxes, i, NULL, NULL, &w, &h);
		if (h >= LETTER_MIN_PIXELS && h <= LETTER_MAX_PIXELS && w >= 2 && w <= 3 * h)
			heights[letters++] = h;
	}
	if (letters >= LETTERS_MIN) {
		qsort(heights, (size_t)letters, sizeof *heights, by_value);
		median = heights[letters / 2];
	}
	free(heights);
	boxaDestroy(&boxes);
	return median;
}

static double scale_for(PIX *ink)
{
	const int x_height = median_letter(ink);
	const double pixels = (double)pixGetWidth(ink) * pixGetHeight(ink);
	const double room = sqrt((double)IMAGE_MAX_PIXELS / pixels);
	double scale;

	if (x_height == 0 || x_height >= X_HEIGHT_SMALL)
		return 1;
	scale = (double)X_HEIGHT_WANTED / x_height;
	if (scale > scale_max)
		scale = scale_max;
	return scale < room ? scale : 1;
}

static bool straighten(PIX **grey, double *scaled)
{
	PIX *ink = pixThresholdToBinary(*grey, INK_BELOW);
	double scale;
	double skew;
	bool ok = true;

	if (ink == NULL)
		return false;
	*scaled = scale = scale_for(ink);
	skew = find_skew(ink);
	pixDestroy(&ink);
	if (scale > 1)
		ok = step(grey, pixScaleGrayLI(*grey, (l_float32)scale, (l_float32)scale));
	if (ok && skew != 0)
		ok = step(
			grey, pixRotateAMGray(*grey, (l_float32)(skew * M_PI / 180), IMAGE_PAPER));
	return ok;
}

int image_prepare(struct page_image *image, const void *bytes, size_t len, struct err *err)
{
	PIX *raw = decode(bytes, len, err);

	*image = (struct page_image){0};
	if (raw == NULL)
		return -1;
	if (!step(&raw, pixConvertTo8(raw, 0)))
		goto fail;
	image->grey = pixClone(raw);
	even_background(&image->grey);
	remove_bed(raw, image->grey);
	if (!straighten(&image->grey, &image->scale))
		goto fail;
	image->ink = pixThresholdToBinary(image->grey, INK_BELOW);
	if (image->ink == NULL)
		goto fail;
	pixDestroy(&raw);
	image->width = pixGetWidth(image->grey);
	image->height = pixGetHeight(image->grey);
	image->x_height = median_letter(image->ink);
	return 0;
fail:
	pixDestroy(&raw);
	image_fini(image);
	return err_set(err, ERR_REQUEST, "bad-image", "the page image cannot be prepared");
}

void image_fini(struct page_image *image)
{
	pixDestroy(&image->grey);
	pixDestroy(&image->ink);
	*image = (struct page_image){0};
}
