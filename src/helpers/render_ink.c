#include "render_ink.h"

#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	TILE = 32,       /* pixels: larger than a letter, smaller than a shadow */
	CELL = 8,        /* pixels: what a border is made of */
	ONE = 256,       /* the background's own brightness, after division */
	DARK_PAPER = 96, /* darker on the whole: a negative, turned round */
	LEAST_CONTRAST = ONE * 5 / 100,
	SURE_CONTRAST = ONE * 35 / 100, /* counts as ink however noisy the page is */
	NOISE_SIGMAS = 5,
	LETTER_EXTENT = 10, /* pixels; an A4 page has 5 a millimetre */
	LETTER_AREA = 12,
	SPECK_AREA = 4, /* less is noise */
	MANY_SPECKS = 200,
	MARGIN_PART = 33, /* 1/33 of the page: pieces wholly inside it are traces of the edge */
};

/* The working copy: everything has one value a pixel. */
struct sheet {
	int width;
	int height;
	unsigned char *grey;
	unsigned char *level; /* 128 = background */
	unsigned char *mask;  /* 1 = ink, 2 = border */
};

static size_t at(const struct sheet *s, int x, int y)
{
	return (size_t)y * (size_t)s->width + (size_t)x;
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

static int most(int a, int b)
{
	return a > b ? a : b;
}

/* The value below which parts/256 of the counted values lie. */
static int quantile(const uint32_t histogram[256], unsigned parts)
{
	uint64_t total = 0;
	uint64_t below = 0;

	for (int v = 0; v < 256; v++)
		total += histogram[v];
	for (int v = 0; v < 256; v++)
		if ((below += histogram[v]) * 256 > total * parts)
			return v;
	return 255;
}

/* Mean of 3 x 3: strokes are wider than that, grain is not. */
static void smooth(const struct image *in, unsigned char *out)
{
	const int width = in->width;
	const int height = in->height;

	for (int y = 0; y < height; y++) {
		const unsigned char *mid = in->pixels + (size_t)y * (size_t)width;
		const unsigned char *up = y > 0 ? mid - width : mid;
		const unsigned char *down = y + 1 < height ? mid + width : mid;
		unsigned char *to = out + (size_t)y * (size_t)width;

		for (int x = 0; x < width; x++) {
			const int l = most(x - 1, 0);
			const int r = least(x + 1, width - 1);

			to[x] = (unsigned char)((up[l] + up[x] + up[r] + mid[l] + mid[x] + mid[r] +
							down[l] + down[x] + down[r] + 4) /
						9);
		}
	}
}

/* ---- background ---- */

struct tiles {
	int across;
	int down;
	unsigned char *paper;
};

static unsigned char tile_paper(const struct sheet *s, int tx, int ty)
{
	enum { PARTS = 180 }; /* of 256: text covers less than a quarter of a tile, mostly */
	uint32_t histogram[256] = {0};

	for (int y = ty * TILE; y < least((ty + 1) * TILE, s->height); y++)
		for (int x = tx * TILE; x < least((tx + 1) * TILE, s->width); x++)
			histogram[s->grey[at(s, x, y)]]++;
	return (unsigned char)quantile(histogram, PARTS);
}

/* The brightness of the page's paper: bright tiles have it, if any are. */
static int page_paper(const struct tiles *t)
{
	enum { PARTS = 230 };
	uint32_t histogram[256] = {0};

	for (int i = 0; i < t->across * t->down; i++)
		histogram[t->paper[i]]++;
	return quantile(histogram, PARTS);
}

static void measure_tiles(const struct sheet *s, struct tiles *t)
{
	for (int ty = 0; ty < t->down; ty++)
		for (int tx = 0; tx < t->across; tx++)
			t->paper[ty * t->across + tx] = tile_paper(s, tx, ty);
}

/* A tile without paper (a border, a blot) gets the mean of those around it that have some. */
static void fill_dark_tiles(struct tiles *t, int paper)
{
	unsigned char *filled = mem_calloc((size_t)(t->across * t->down), 1);

	for (int y = 0; y < t->down; y++)
		for (int x = 0; x < t->across; x++) {
			int sum = 0;
			int count = 0;

			for (int ny = most(y - 1, 0); ny <= least(y + 1, t->down - 1); ny++)
				for (int nx = most(x - 1, 0); nx <= least(x + 1, t->across - 1);
					nx++) {
					const int v = t->paper[ny * t->across + nx];

					sum += v * 2 >= paper ? v : 0;
					count += v * 2 >= paper;
				}
			filled[y * t->across + x] =
				(unsigned char)(count > 0 ? sum / count : paper);
		}
	free(t->paper);
	t->paper = filled;
}

/* Between the centres of four tiles, linearly; in 1/256 of a tile. */
static int paper_at(const struct tiles *t, int x, int y)
{
	const int fx = most(0, (x * 2 - TILE + 1) * 128 / TILE);
	const int fy = most(0, (y * 2 - TILE + 1) * 128 / TILE);
	const int x0 = least(fx / 256, t->across - 1);
	const int y0 = least(fy / 256, t->down - 1);
	const int x1 = least(x0 + 1, t->across - 1);
	const int y1 = least(y0 + 1, t->down - 1);
	const int wx = fx % 256;
	const int wy = fy % 256;
	const int top =
		t->paper[y0 * t->across + x0] * (256 - wx) + t->paper[y0 * t->across + x1] * wx;
	const int bottom =
		t->paper[y1 * t->across + x0] * (256 - wx) + t->paper[y1 * t->across + x1] * wx;

	return most(1, (top * (256 - wy) + bottom * wy) / 65536);
}

static void divide_by_paper(struct sheet *s, const struct tiles *t)
{
	for (int y = 0; y < s->height; y++)
		for (int x = 0; x < s->width; x++) {
			const int level = s->grey[at(s, x, y)] * (ONE / 2) / paper_at(t, x, y);

			s->level[at(s, x, y)] = (unsigned char)least(level, 255);
		}
}

static void invert(struct sheet *s)
{
	for (size_t i = 0; i < (size_t)s->width * (size_t)s->height; i++)
		s->grey[i] = (unsigned char)(255 - s->grey[i]);
}

/* Fills level; returns the paper's brightness. */
static int normalise(struct sheet *s)
{
	struct tiles t = {
		.across = (s->width + TILE - 1) / TILE, .down = (s->height + TILE - 1) / TILE};
	int paper;

	t.paper = mem_calloc((size_t)(t.across * t.down), 1);
	measure_tiles(s, &t);
	if (page_paper(&t) < DARK_PAPER) {
		invert(s);
		measure_tiles(s, &t);
	}
	paper = page_paper(&t);
	fill_dark_tiles(&t, paper);
	divide_by_paper(s, &t);
	free(t.paper);
	return paper;
}

/* ---- borders ---- */

struct cells {
	int across;
	int down;
	unsigned char *dark; /* 1 = dark, 2 = reached from an edge */
	int *stack;
	int stacked;
};

static bool cell_is_dark(const struct sheet *s, int cx, int cy, int paper)
{
	int sum = 0;
	int count = 0;

	for (int y = cy * CELL; y < least((cy + 1) * CELL, s->height); y++)
		for (int x = cx * CELL; x < least((cx + 1) * CELL, s->width); x++, count++)
			sum += s->grey[at(s, x, y)];
	return sum * 2 < paper * count;
}

static void reach(struct cells *c, int x, int y)
{
	if (x < 0 || y < 0 || x >= c->across || y >= c->down || c->dark[y * c->across + x] != 1)
		return;
	c->dark[y * c->across + x] = 2;
	c->stack[c->stacked++] = y * c->across + x;
}

static void reach_from_edges(struct cells *c)
{
	for (int x = 0; x < c->across; x++) {
		reach(c, x, 0);
		reach(c, x, c->down - 1);
	}
	for (int y = 0; y < c->down; y++) {
		reach(c, 0, y);
		reach(c, c->across - 1, y);
	}
	while (c->stacked > 0) {
		const int i = c->stack[--c->stacked];
		const int x = i % c->across;
		const int y = i / c->across;

		reach(c, x - 1, y);
		reach(c, x + 1, y);
		reach(c, x, y - 1);
		reach(c, x, y + 1);
	}
}

/* The cell and those around it: a border fades out. */
static void mask_cell(struct sheet *s, int cx, int cy)
{
	for (int y = most((cy - 1) * CELL, 0); y < least((cy + 2) * CELL, s->height); y++)
		for (int x = most((cx - 1) * CELL, 0); x < least((cx + 2) * CELL, s->width); x++)
			s->mask[at(s, x, y)] = 2;
}

/*
 * Cells, not pixels: a ruling line that runs into a black border is thinner than a cell and stays,
 * with all the writing that touches it.
 */
static void mask_borders(struct sheet *s, int paper)
{
	struct cells c = {
		.across = (s->width + CELL - 1) / CELL, .down = (s->height + CELL - 1) / CELL};
	const size_t count = (size_t)(c.across * c.down);

	c.dark = mem_calloc(count, 1);
	c.stack = mem_calloc(count, sizeof *c.stack);
	for (int y = 0; y < c.down; y++)
		for (int x = 0; x < c.across; x++)
			c.dark[y * c.across + x] = cell_is_dark(s, x, y, paper);
	reach_from_edges(&c);
	for (int y = 0; y < c.down; y++)
		for (int x = 0; x < c.across; x++)
			if (c.dark[y * c.across + x] == 2)
				mask_cell(s, x, y);
	free(c.dark);
	free(c.stack);
}

/* ---- ink ---- */

/*
 * How much darker than the middle a pixel must be. Noise is what lies on the bright side of the
 * middle, where there is no ink: the distance that a normal distribution has at one sigma.
 */
static int ink_level(const struct sheet *s)
{
	enum { MIDDLE = 128, ONE_SIGMA_ABOVE = 215 };
	uint32_t histogram[256] = {0};
	int middle;
	int contrast;

	for (size_t i = 0; i < (size_t)s->width * (size_t)s->height; i++)
		if (s->mask[i] == 0)
			histogram[s->level[i]]++;
	middle = quantile(histogram, MIDDLE);
	contrast = NOISE_SIGMAS * (quantile(histogram, ONE_SIGMA_ABOVE) - middle);
	contrast = least(most(contrast, LEAST_CONTRAST / 2), SURE_CONTRAST / 2);
	return middle - contrast;
}

struct piece {
	int x0, y0, x1, y1;
	int area;
};

/* Walks one connected piece of ink and takes it out of the mask. */
static struct piece take_piece(struct sheet *s, int *stack, int x, int y)
{
	struct piece p = {x, y, x, y, 0};
	int stacked = 0;

	stack[stacked++] = (int)at(s, x, y);
	s->mask[at(s, x, y)] = 0;
	while (stacked > 0) {
		const int i = stack[--stacked];
		const int px = i % s->width;
		const int py = i / s->width;

		p.area++;
		p.x0 = least(p.x0, px);
		p.x1 = most(p.x1, px);
		p.y0 = least(p.y0, py);
		p.y1 = most(p.y1, py);
		for (int ny = most(py - 1, 0); ny <= least(py + 1, s->height - 1); ny++)
			for (int nx = most(px - 1, 0); nx <= least(px + 1, s->width - 1); nx++)
				if (s->mask[at(s, nx, ny)] == 1) {
					s->mask[at(s, nx, ny)] = 0;
					stack[stacked++] = (int)at(s, nx, ny);
				}
	}
	return p;
}

static bool hugs_an_edge(const struct sheet *s, const struct piece *p)
{
	const int mx = s->width / MARGIN_PART;
	const int my = s->height / MARGIN_PART;

	return p->x1 < mx || p->y1 < my || p->x0 >= s->width - mx || p->y0 >= s->height - my;
}

static bool is_letter(const struct piece *p)
{
	return p->area >= LETTER_AREA && most(p->x1 - p->x0, p->y1 - p->y0) + 1 >= LETTER_EXTENT;
}

static size_t mark_ink(struct sheet *s)
{
	const int threshold = ink_level(s);
	size_t open = 0;

	for (size_t i = 0; i < (size_t)s->width * (size_t)s->height; i++)
		if (s->mask[i] == 0) {
			s->mask[i] = s->level[i] < threshold;
			open++;
		}
	return open;
}

static void count_ink(struct sheet *s, struct ink *ink)
{
	const size_t open = mark_ink(s);
	int *stack = mem_calloc((size_t)s->width * (size_t)s->height, sizeof *stack);
	size_t inked = 0;
	int letters = 0;
	int specks = 0;

	for (int y = 0; y < s->height; y++)
		for (int x = 0; x < s->width; x++) {
			struct piece p;

			if (s->mask[at(s, x, y)] != 1)
				continue;
			p = take_piece(s, stack, x, y);
			if (p.area < SPECK_AREA || hugs_an_edge(s, &p))
				continue;
			inked += (size_t)p.area;
			specks++;
			letters += is_letter(&p);
		}
	free(stack);
	ink->share = open > 0 ? (double)inked / (double)open : 0;
	ink->blank = letters == 0 && specks < MANY_SPECKS;
}

void ink_measure(const struct image *page, struct ink *ink)
{
	struct image grey = {0};
	struct sheet s = {0};
	size_t count;

	image_grey_within(page, INK_EDGE, &grey);
	count = (size_t)grey.width * (size_t)grey.height;
	s.width = grey.width;
	s.height = grey.height;
	s.grey = mem_calloc(count, 1);
	s.level = mem_calloc(count, 1);
	s.mask = mem_calloc(count, 1);
	smooth(&grey, s.grey);
	mask_borders(&s, normalise(&s));
	count_ink(&s, ink);
	free(s.grey);
	free(s.level);
	free(s.mask);
	image_fini(&grey);
}
