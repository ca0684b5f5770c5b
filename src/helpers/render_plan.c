#include "render_plan.h"

#include "mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double POINTS_PER_INCH = 72;
static const double SCAN_COVERS = 0.6;      /* of the page, for it to be a scan */
static const double SUBSTANTIAL = 0.25;     /* of the page, to set the resolution */
static const double EDGE_TOLERANCE = 0.005; /* of the page, for an image to reach its edge */
enum { TEXT_MARKS = 100 };                  /* more are text of its own, not a stamp on a scan */
enum { MAX_SIDE = 65000 };                  /* a JPEG's bound, nearly */

static double box_area(const struct box *b)
{
	return b->x1 > b->x0 && b->y1 > b->y0 ? (b->x1 - b->x0) * (b->y1 - b->y0) : 0;
}

static double image_ppi(const struct placed_image *image)
{
	const double width_pt = hypot(image->ax, image->ay);
	const double height_pt = hypot(image->bx, image->by);

	return sqrt(image->width / width_pt * (image->height / height_pt)) * POINTS_PER_INCH;
}

static int finer_first(const void *a, const void *b)
{
	const double left = image_ppi(*(const struct placed_image *const *)a);
	const double right = image_ppi(*(const struct placed_image *const *)b);

	return (left < right) - (left > right);
}

/*
 * The image whose resolution the page gets: going from the finest to the coarsest, the one with
 * which a substantial part is covered; so neither a small fine seal nor a coarse background layer
 * decides, and strips count together. NULL: the page is no scan.
 */
static const struct placed_image *leading_image(const struct page_survey *survey)
{
	const double page_area = survey->width_pt * survey->height_pt;
	const struct placed_image **order = mem_calloc(survey->image_count, sizeof *order);
	const struct placed_image *leading = NULL;
	double covered = 0;

	for (size_t i = 0; i < survey->image_count; i++)
		order[i] = &survey->images[i];
	qsort(order, survey->image_count, sizeof *order, finer_first);
	for (size_t i = 0; i < survey->image_count; i++) {
		covered += box_area(&order[i]->box) / page_area;
		if (leading == NULL && covered >= SUBSTANTIAL)
			leading = order[i];
	}
	free(order);
	return covered >= SCAN_COVERS ? leading : NULL;
}

static bool covers_page(const struct page_survey *survey, const struct placed_image *image)
{
	const double dx = survey->width_pt * EDGE_TOLERANCE;
	const double dy = survey->height_pt * EDGE_TOLERANCE;
	const double width_pt = fmax(fabs(image->ax), fabs(image->bx));
	const double height_pt = fmax(fabs(image->ay), fabs(image->by));

	return image->box.x0 <= dx && image->box.y0 <= dy &&
	       image->box.x1 >= survey->width_pt - dx && image->box.y1 >= survey->height_pt - dy &&
	       width_pt <= survey->width_pt + 2 * dx && height_pt <= survey->height_pt + 2 * dy;
}

/* Is v nothing beside the other component? */
static bool negligible(double v, double other)
{
	return fabs(v) <= fabs(other) * 1e-3;
}

/* Quarter turns clockwise; -1 where the image is slanted or mirrored. y goes down on the page. */
static int image_turn_of(const struct placed_image *i)
{
	if (negligible(i->ay, i->ax) && negligible(i->bx, i->by)) {
		if (i->ax > 0 && i->by < 0)
			return 0;
		return i->ax < 0 && i->by > 0 ? 2 : -1;
	}
	if (negligible(i->ax, i->ay) && negligible(i->by, i->bx)) {
		if (i->ay > 0 && i->bx > 0)
			return 1;
		return i->ay < 0 && i->bx < 0 ? 3 : -1;
	}
	return -1;
}

static void plan_scan(
	const struct page_survey *survey, const struct placed_image *image, struct page_plan *plan)
{
	const double width_pt = hypot(image->ax, image->ay);
	const double height_pt = hypot(image->bx, image->by);
	const int turn = image_turn_of(image);
	const bool lies = turn == 1 || turn == 3; /* its rows run down the page */
	const double across_px = lies ? image->height : image->width;
	const double across_pt = lies ? height_pt : width_pt;
	const double down_px = lies ? image->width : image->height;
	const double down_pt = lies ? width_pt : height_pt;
	double width = round(survey->width_pt * across_px / across_pt);
	double height = round(survey->height_pt * down_px / down_pt);

	plan->scan = true;
	plan->turn = turn > 0 ? turn : 0;
	if (turn >= 0 && covers_page(survey, image)) {
		width = across_px;
		height = down_px;
		plan->lone_jpeg = survey->plain_jpeg;
	}
	plan->h_dpi = width / survey->width_pt * POINTS_PER_INCH;
	plan->v_dpi = height / survey->height_pt * POINTS_PER_INCH;
}

/* Fewer pixels by one factor, where the page would have too many. */
static void fit_pixels(
	const struct page_survey *survey, const struct plan_limits *limits, struct page_plan *plan)
{
	const double width = survey->width_pt / POINTS_PER_INCH * plan->h_dpi;
	const double height = survey->height_pt / POINTS_PER_INCH * plan->v_dpi;
	const double most = (double)limits->max_pixels;
	double scale = fmin(1, MAX_SIDE / fmax(width, height));

	if (!plan->scan)
		scale = fmin(scale, limits->max_edge / fmax(width, height));
	/* A covering image of exactly max_pixels must not be scaled by a rounding error. */
	if (round(width * scale) * round(height * scale) > most)
		scale = sqrt(most / (width * height));
	plan->h_dpi *= scale;
	plan->v_dpi *= scale;
	plan->lone_jpeg = plan->lone_jpeg && scale >= 1;
	plan->width = (int)fmax(1, round(width * scale));
	plan->height = (int)fmax(1, round(height * scale));
}

static void fit_edge(const struct plan_limits *limits, struct page_plan *plan)
{
	const int edge = plan->width > plan->height ? plan->width : plan->height;
	const double scale = fmin(1, (double)limits->max_edge / edge);

	plan->out_width = (int)fmax(1, round(plan->width * scale));
	plan->out_height = (int)fmax(1, round(plan->height * scale));
	plan->dpi = (int)fmin(99999, round(sqrt(plan->h_dpi * plan->v_dpi) * scale));
}

int plan_page(const struct page_survey *survey, const struct plan_limits *limits,
	struct page_plan *plan, struct err *err)
{
	const struct placed_image *image;

	*plan = (struct page_plan){.h_dpi = limits->dpi, .v_dpi = limits->dpi};
	if (!(survey->width_pt > 0 && survey->width_pt < 1e7 && survey->height_pt > 0 &&
		    survey->height_pt < 1e7))
		return err_set(err, ERR_DOCUMENT, "damaged", "the page has no usable size");
	if (survey->largest_pixels > limits->max_pixels)
		return err_set(err, ERR_DOCUMENT, "too-large",
			"the page holds an image of %lld pixels, %lld are allowed "
			"(render.max_pixels)",
			(long long)survey->largest_pixels, (long long)limits->max_pixels);
	plan->coloured = survey->coloured;
	image = leading_image(survey);
	if (image != NULL && (survey->marks < TEXT_MARKS || image_ppi(image) >= limits->dpi))
		plan_scan(survey, image, plan);
	fit_pixels(survey, limits, plan);
	fit_edge(limits, plan);
	return 0;
}
