#include "render_image.h"

#include "mem.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void image_new(struct image *image, int width, int height, int channels)
{
	image->width = width;
	image->height = height;
	image->channels = channels;
	image->pixels = mem_calloc((size_t)width * (size_t)height, (size_t)channels);
}

void image_fini(struct image *image)
{
	free(image->pixels);
	*image = (struct image){0};
}

size_t image_row_bytes(const struct image *image)
{
	return (size_t)image->width * (size_t)image->channels;
}

static void turn_half(struct image *image)
{
	const size_t count = (size_t)image->width * (size_t)image->height;
	const size_t channels = (size_t)image->channels;

	for (size_t i = 0; i < count / 2; i++) {
		unsigned char *a = image->pixels + i * channels;
		unsigned char *b = image->pixels + (count - 1 - i) * channels;

		for (size_t c = 0; c < channels; c++) {
			const unsigned char kept = a[c];

			a[c] = b[c];
			b[c] = kept;
		}
	}
}

/* One tile of a quarter turn: small tiles keep both images in the cache. */
static void turn_tile(const struct image *in, struct image *out, int x0, int y0, int size)
{
	const size_t channels = (size_t)in->channels;
	const int x1 = x0 + size < in->width ? x0 + size : in->width;
	const int y1 = y0 + size < in->height ? y0 + size : in->height;

	for (int y = y0; y < y1; y++)
		for (int x = x0; x < x1; x++) {
			const size_t from = (size_t)y * (size_t)in->width + (size_t)x;
			const size_t to =
				(size_t)x * (size_t)out->width + (size_t)(in->height - 1 - y);

			for (size_t c = 0; c < channels; c++)
				out->pixels[to * channels + c] = in->pixels[from * channels + c];
		}
}

static void turn_quarter(struct image *image)
{
	enum { TILE = 32 };
	struct image out;

	image_new(&out, image->height, image->width, image->channels);
	for (int y = 0; y < image->height; y += TILE)
		for (int x = 0; x < image->width; x += TILE)
			turn_tile(image, &out, x, y, TILE);
	image_fini(image);
	*image = out;
}

void image_turn(struct image *image, int quarters)
{
	if ((quarters & 2) != 0)
		turn_half(image);
	if ((quarters & 1) != 0)
		turn_quarter(image);
}

/* The input pixels [from, to) under one output pixel, the first and last by a part, in 1/256. */
struct span {
	int from;
	int to;
	uint32_t first_weight;
	uint32_t last_weight;
	uint32_t total_weight;
};

enum { WHOLE = 256 };

static struct span span_of(int at, int out_len, int in_len)
{
	const double step = (double)in_len / out_len;
	const double begin = at * step;
	const double end = at + 1 == out_len ? in_len : (at + 1) * step;
	struct span s = {.from = (int)begin, .to = (int)ceil(end)};

	if (s.to > in_len)
		s.to = in_len;
	s.first_weight = (uint32_t)lround((s.from + 1 - begin) * WHOLE);
	s.last_weight = (uint32_t)lround((end - (s.to - 1)) * WHOLE);
	if (s.to - s.from == 1)
		s.first_weight = s.last_weight = WHOLE;
	s.total_weight = s.to - s.from == 1 ? WHOLE
					    : s.first_weight + s.last_weight +
						      (uint32_t)(s.to - s.from - 2) * WHOLE;
	return s;
}

static uint32_t span_weight(const struct span *s, int i)
{
	if (i == s->from)
		return s->first_weight;
	return i == s->to - 1 ? s->last_weight : WHOLE;
}

static void sum_rows(const struct image *in, const struct span *rows, uint32_t *sums)
{
	const size_t row_bytes = image_row_bytes(in);

	memset(sums, 0, row_bytes * sizeof *sums);
	for (int y = rows->from; y < rows->to; y++) {
		const unsigned char *row = in->pixels + (size_t)y * row_bytes;
		const uint32_t weight = span_weight(rows, y);

		for (size_t i = 0; i < row_bytes; i++)
			sums[i] += row[i] * weight;
	}
}

static unsigned char mean_of(
	const uint32_t *sums, size_t step, const struct span *columns, uint32_t row_weight)
{
	const uint64_t total = (uint64_t)columns->total_weight * row_weight;
	uint64_t sum = 0;

	for (int x = columns->from; x < columns->to; x++)
		sum += (uint64_t)sums[(size_t)x * step] * span_weight(columns, x);
	return (unsigned char)((sum + total / 2) / total);
}

void image_shrink(const struct image *in, int width, int height, struct image *out)
{
	const size_t channels = (size_t)in->channels;
	uint32_t *sums = mem_calloc(image_row_bytes(in), sizeof *sums);
	struct span *columns = mem_calloc((size_t)width, sizeof *columns);

	image_new(out, width, height, in->channels);
	for (int x = 0; x < width; x++)
		columns[x] = span_of(x, width, in->width);
	for (int y = 0; y < height; y++) {
		const struct span rows = span_of(y, height, in->height);
		unsigned char *row = out->pixels + (size_t)y * image_row_bytes(out);

		sum_rows(in, &rows, sums);
		for (size_t x = 0; x < (size_t)width; x++)
			for (size_t c = 0; c < channels; c++)
				row[x * channels + c] =
					mean_of(sums + c, channels, &columns[x], rows.total_weight);
	}
	free(columns);
	free(sums);
}

/* ITU-R BT.601, as JPEG and poppler weigh it. */
static unsigned char luma(const unsigned char *rgb)
{
	return (unsigned char)((rgb[0] * 299 + rgb[1] * 587 + rgb[2] * 114 + 500) / 1000);
}

void image_make_grey(struct image *image)
{
	const size_t count = (size_t)image->width * (size_t)image->height;

	if (image->channels == 1)
		return;
	for (size_t i = 0; i < count; i++)
		image->pixels[i] = luma(image->pixels + i * 3);
	image->pixels = mem_realloc(image->pixels, count);
	image->channels = 1;
}

void image_grey_within(const struct image *in, int max_edge, struct image *out)
{
	const int edge = in->width > in->height ? in->width : in->height;
	const double scale = edge > max_edge ? (double)max_edge / edge : 1;
	const int width = (int)lround(in->width * scale);
	const int height = (int)lround(in->height * scale);

	image_shrink(in, width > 0 ? width : 1, height > 0 ? height : 1, out);
	image_make_grey(out);
}

/* Parts in 256 by which a channel is above the pixel's luma. */
static int tint_of(const unsigned char *rgb, int channel)
{
	const int y = luma(rgb);

	return y > 0 ? (rgb[channel] - y) * 256 / y : 0;
}

/* The paper's tint: the median over the brighter pixels. */
static int paper_tint(const struct image *image, int channel)
{
	enum { SPAN = 1024 };
	const size_t count = (size_t)image->width * (size_t)image->height;
	size_t histogram[2 * SPAN + 1] = {0};
	size_t seen = 0;
	size_t below = 0;

	for (size_t i = 0; i < count; i++) {
		const unsigned char *rgb = image->pixels + i * 3;
		const int tint = luma(rgb) >= 64 ? tint_of(rgb, channel) : SPAN;

		if (tint < -SPAN || tint >= SPAN)
			continue;
		histogram[tint + SPAN]++;
		seen++;
	}
	for (int t = -SPAN; t < SPAN; t++)
		if ((below += histogram[t + SPAN]) * 2 > seen)
			return t;
	return 0;
}

bool image_is_coloured(const struct image *image)
{
	enum { MAX_EDGE = 800, STRONG = 40, ONE_IN = 5000 };
	const int edge = image->width > image->height ? image->width : image->height;
	const double scale = edge > MAX_EDGE ? (double)MAX_EDGE / edge : 1;
	struct image small = {0};
	size_t strong = 0;
	size_t count;
	int red;
	int blue;

	if (image->channels == 1)
		return false;
	image_shrink(image, (int)fmax(1, image->width * scale), (int)fmax(1, image->height * scale),
		&small);
	count = (size_t)small.width * (size_t)small.height;
	red = paper_tint(&small, 0);
	blue = paper_tint(&small, 2);
	for (size_t i = 0; i < count; i++) {
		const unsigned char *rgb = small.pixels + i * 3;
		const int y = luma(rgb);

		strong +=
			abs(rgb[0] - y - red * y / 256) + abs(rgb[2] - y - blue * y / 256) > STRONG;
	}
	image_fini(&small);
	return strong * ONE_IN > count;
}

bool image_is_bilevel(const struct image *image)
{
	const size_t count = (size_t)image->width * (size_t)image->height;

	if (image->channels != 1)
		return false;
	for (size_t i = 0; i < count; i++)
		if ((unsigned char)(image->pixels[i] + 1) > 1)
			return false;
	return true;
}
