/*
 * render_plan - at which resolution a page is rendered, and what it comes out as
 *
 * Pure arithmetic over what the survey of a page found, so that each case can be tested by table.
 *
 * A page that images cover is a scan and keeps the scan's own pixels, whatever physical size the
 * file declares: the finest image (or layer, or set of strips) that covers a substantial part sets
 * the resolution, and an image that covers the whole page sets the size in pixels. Anything else is
 * rendered at the configured resolution. Limits only ever make it smaller.
 *
 * Units      points (1/72 inch) on the page as it is viewed, y downwards; pixels.
 * Processes  indexocr-render.
 */
#ifndef INDEXOCR_RENDER_PLAN_H
#define INDEXOCR_RENDER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" { /* the headers below are for C alone */
#endif

#include "../err.h"

struct box {
	double x0, y0, x1, y1;
};

/* An image where the page paints it. */
struct placed_image {
	int width; /* pixels of the image */
	int height;
	double ax, ay;  /* its row direction on the page: left end to right end, in points */
	double bx, by;  /* its column direction: bottom to top */
	struct box box; /* what is seen of it, in points */
};

struct page_survey {
	double width_pt; /* as viewed: crop box with /Rotate applied */
	double height_pt;
	const struct placed_image *images; /* borrowed */
	size_t image_count;
	int64_t largest_pixels; /* of any image on the page, masks included */
	int marks;              /* visible glyphs, fills and strokes */
	bool coloured;          /* something on it may be coloured */
	bool plain_jpeg;        /* one JPEG image, painted as it is, and nothing else */
};

struct plan_limits {
	int dpi;
	int max_edge;
	int64_t max_pixels;
};

struct page_plan {
	double h_dpi; /* of the page as viewed */
	double v_dpi;
	int width; /* pixels to render, as viewed */
	int height;
	int out_width; /* pixels to send: smaller where max_edge says so */
	int out_height;
	int turn; /* quarter turns clockwise by which the page turns its image */
	int dpi;  /* what the page's pixels are per inch, where it goes out */
	bool scan;
	bool coloured;
	bool lone_jpeg; /* the page is one JPEG and nothing else, whole; turned at most */
};

/* -1: ERR_DOCUMENT "too-large" or "damaged". */
int plan_page(const struct page_survey *survey, const struct plan_limits *limits,
	struct page_plan *plan, struct err *err);

#ifdef __cplusplus
}
#endif

#endif
