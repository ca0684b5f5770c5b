#include "../../src/helpers/render_plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct plan_limits limits = {.dpi = 300, .max_edge = 3072, .max_pixels = 100000000};

/* An upright image over the whole of a page of this size. */
static struct placed_image covering(int width, int height, double width_pt, double height_pt)
{
	return (struct placed_image){.width = width,
		.height = height,
		.ax = width_pt,
		.by = -height_pt,
		.box = {0, 0, width_pt, height_pt}};
}

static struct page_plan plan_of(const struct page_survey *survey)
{
	struct page_plan plan;
	struct err err;

	assert_int_equal(plan_page(survey, &limits, &plan, &err), 0);
	return plan;
}

static void a_scan_keeps_its_size_whatever_the_page_declares(void **state)
{
	static const double points[][2] = {
		{595.276, 841.89}, {612, 792}, {1275, 1650}, {3.1, 4.2}, {14400, 14400}};

	(void)state;
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		const struct placed_image image = covering(1700, 2200, points[i][0], points[i][1]);
		const struct page_survey survey = {.width_pt = points[i][0],
			.height_pt = points[i][1],
			.images = &image,
			.image_count = 1};
		const struct page_plan plan = plan_of(&survey);

		assert_true(plan.scan);
		assert_int_equal(plan.width, 1700);
		assert_int_equal(plan.height, 2200);
		assert_int_equal(plan.out_width, 1700);
	}
}

static void an_image_that_misses_the_edge_by_a_hair_still_covers_the_page(void **state)
{
	struct placed_image image = covering(1700, 2200, 594, 843);
	const struct page_survey survey = {
		.width_pt = 595.276, .height_pt = 841.89, .images = &image, .image_count = 1};
	struct page_plan plan;

	(void)state;
	image.box = (struct box){0.5, 0, 594.5, 841.89};
	plan = plan_of(&survey);
	assert_int_equal(plan.width, 1700);
	assert_int_equal(plan.height, 2200);
}

static void a_turned_image_gives_a_turned_page(void **state)
{
	static const struct {
		double ax, ay, bx, by;
		int turn;
	} cases[] = {{600, 0, 0, -400, 0}, {0, 400, 600, 0, 1}, {-600, 0, 0, 400, 2},
		{0, -400, -600, 0, 3}};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		const struct placed_image image = {.width = cases[i].turn % 2 != 0 ? 800 : 1200,
			.height = cases[i].turn % 2 != 0 ? 1200 : 800,
			.ax = cases[i].ax,
			.ay = cases[i].ay,
			.bx = cases[i].bx,
			.by = cases[i].by,
			.box = {0, 0, 600, 400}};
		const struct page_survey survey = {
			.width_pt = 600, .height_pt = 400, .images = &image, .image_count = 1};
		const struct page_plan plan = plan_of(&survey);

		assert_int_equal(plan.turn, cases[i].turn);
		assert_int_equal(plan.width, 1200);
		assert_int_equal(plan.height, 800);
	}
}

static void a_seal_does_not_set_the_resolution_nor_a_small_picture_make_a_scan(void **state)
{
	struct placed_image images[] = {
		covering(1000, 1000, 500, 500), {.width = 400, .height = 400, .ax = 20, .by = -20}};
	struct page_survey survey = {
		.width_pt = 500, .height_pt = 500, .images = images, .image_count = 2};

	(void)state;
	images[1].box = (struct box){10, 10, 30, 30};
	assert_int_equal(plan_of(&survey).width, 1000);
	survey.images++;
	survey.image_count = 1;
	assert_false(plan_of(&survey).scan);
	assert_int_equal(plan_of(&survey).width, 2083);
}

static void text_of_its_own_over_a_coarse_picture_keeps_the_configured_resolution(void **state)
{
	const struct placed_image image = covering(300, 300, 300, 300);
	struct page_survey survey = {
		.width_pt = 300, .height_pt = 300, .images = &image, .image_count = 1, .marks = 20};

	(void)state;
	assert_int_equal(plan_of(&survey).width, 300);
	survey.marks = 2000;
	assert_int_equal(plan_of(&survey).width, 1250);
}

static void an_image_of_just_max_pixels_is_taken_and_one_more_refused(void **state)
{
	const struct placed_image image = covering(10000, 10000, 595.3, 841.9);
	struct page_survey survey = {.width_pt = 595.3,
		.height_pt = 841.9,
		.images = &image,
		.image_count = 1,
		.largest_pixels = 100000000};
	struct page_plan plan;
	struct err err;

	(void)state;
	plan = plan_of(&survey);
	assert_int_equal(plan.width, 10000);
	assert_int_equal(plan.out_height, 3072);
	survey.largest_pixels++;
	assert_int_equal(plan_page(&survey, &limits, &plan, &err), -1);
	assert_string_equal(err.code, "too-large");
}

static void no_page_outgrows_the_limits(void **state)
{
	static const double sizes[] = {1e-3, 1, 200, 14400, 9e6};

	(void)state;
	for (size_t w = 0; w < 5; w++)
		for (size_t h = 0; h < 5; h++) {
			const struct page_survey survey = {
				.width_pt = sizes[w], .height_pt = sizes[h]};
			const struct page_plan plan = plan_of(&survey);

			assert_in_range(plan.width, 1, limits.max_edge);
			assert_in_range(plan.height, 1, limits.max_edge);
		}
}

static void a_page_without_a_size_is_damaged(void **state)
{
	static const double sizes[] = {0, -1, NAN, INFINITY, 1e300};

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		const struct page_survey survey = {.width_pt = sizes[i], .height_pt = 100};
		struct page_plan plan;
		struct err err;

		assert_int_equal(plan_page(&survey, &limits, &plan, &err), -1);
		assert_string_equal(err.code, "damaged");
	}
}

static void only_a_whole_lone_jpeg_is_taken_as_it_is(void **state)
{
	struct placed_image image = covering(800, 800, 300, 300);
	struct page_survey survey = {.width_pt = 300,
		.height_pt = 300,
		.images = &image,
		.image_count = 1,
		.plain_jpeg = true};

	(void)state;
	assert_true(plan_of(&survey).lone_jpeg);
	image.box.x1 = 200;
	assert_false(plan_of(&survey).lone_jpeg);
	image = covering(800, 800, 330, 300);
	image.box.x1 = 300;
	assert_false(plan_of(&survey).lone_jpeg);
	image = covering(800, 800, 300, 300);
	image.by = 300; /* mirrored */
	assert_false(plan_of(&survey).lone_jpeg);
	image.by = -300;
	survey.plain_jpeg = false;
	assert_false(plan_of(&survey).lone_jpeg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_scan_keeps_its_size_whatever_the_page_declares),
		cmocka_unit_test(an_image_that_misses_the_edge_by_a_hair_still_covers_the_page),
		cmocka_unit_test(a_turned_image_gives_a_turned_page),
		cmocka_unit_test(
			a_seal_does_not_set_the_resolution_nor_a_small_picture_make_a_scan),
		cmocka_unit_test(
			text_of_its_own_over_a_coarse_picture_keeps_the_configured_resolution),
		cmocka_unit_test(an_image_of_just_max_pixels_is_taken_and_one_more_refused),
		cmocka_unit_test(no_page_outgrows_the_limits),
		cmocka_unit_test(a_page_without_a_size_is_damaged),
		cmocka_unit_test(only_a_whole_lone_jpeg_is_taken_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
