#include "render_device.hh"
#include "render_stream.hh"

#include <poppler/GfxState.h>

#include <algorithm>
#include <cmath>

static const double NEAR_PART = 0.005; /* of its size, by which an image may miss its own pixels */
static const double NEAR_PIXELS = 1.5;
static const double NOTABLE_PART = 0.05; /* of the page */

/* One axis of an image's place: where it begins and how far it goes, in pixels. */
struct Extent {
	double begin;
	double size;
};

/*
 * The rasteriser floors the begin and rounds the end up by at least one pixel: a hair inside the
 * wanted pixels at both ends gives exactly those.
 */
static bool snap_extent(Extent &extent, int image_size, int page_size)
{
	const double near = std::max(NEAR_PIXELS, image_size * NEAR_PART);
	const double hair = 0.01;

	if (std::fabs(extent.size - image_size) > near)
		return false;
	if (image_size == page_size && std::fabs(extent.begin) <= near)
		extent.begin = 0;
	extent.begin = std::round(extent.begin) + hair;
	extent.size = image_size - 2 * hair;
	return true;
}

/* The matrix moved onto whole pixels while an image is drawn, where it is upright and near them. */
class RenderDevice::Snap
{
      public:
	Snap(GfxState *of, int width, int height, int page_width, int page_height) : state(of)
	{
		const double *m = state->getCTM();
		Extent across = {m[4], m[0]};
		Extent down = {
			m[5] + m[3], -m[3]}; /* the image's y axis goes up, the page's down */

		std::copy(m, m + 6, saved);
		if (std::fabs(m[1]) > 0.5 || std::fabs(m[2]) > 0.5 ||
			!snap_extent(across, width, page_width) ||
			!snap_extent(down, height, page_height))
			return;
		state->setCTM(across.size, 0, 0, -down.size, across.begin, down.begin + down.size);
	}
	~Snap()
	{
		state->setCTM(saved[0], saved[1], saved[2], saved[3], saved[4], saved[5]);
	}
	Snap(const Snap &) = delete;
	Snap &operator=(const Snap &) = delete;

      private:
	GfxState *state;
	double saved[6];
};

/* The base class copies the paper's colour, but wants it writable. */
struct White {
	unsigned char channels[4] = {255, 255, 255, 255};
};

RenderDevice::RenderDevice(SplashColorMode mode, int width, int height)
    : SplashOutputDev(mode, 1, false, White().channels), page_width(width), page_height(height),
      cut_image(false), left_out_image(false)
{
	setFontAntialias(true);
	setVectorAntialias(true);
	setFreeTypeHinting(false, false);
}

bool RenderDevice::cut() const
{
	return cut_image;
}

bool RenderDevice::left_out() const
{
	return left_out_image;
}

/* Does what is seen of the image, on this page and within the clip, matter? */
bool RenderDevice::is_notable(GfxState *state) const
{
	const double *m = state->getCTM();
	double x0, y0, x1, y1;

	state->getClipBBox(&x0, &y0, &x1, &y1);
	x0 = std::max({x0, 0.0, m[4] + std::min(m[0], 0.0) + std::min(m[2], 0.0)});
	y0 = std::max({y0, 0.0, m[5] + std::min(m[1], 0.0) + std::min(m[3], 0.0)});
	x1 = std::min({x1, double(page_width), m[4] + std::max(m[0], 0.0) + std::max(m[2], 0.0)});
	y1 = std::min({y1, double(page_height), m[5] + std::max(m[1], 0.0) + std::max(m[3], 0.0)});
	return x1 > x0 && y1 > y0 &&
	       (x1 - x0) * (y1 - y0) >= NOTABLE_PART * page_width * page_height;
}

void RenderDevice::judge(GfxState *state, const WatchedStream &watched)
{
	if (watched.was_read() || !is_notable(state))
		return;
	cut_image = cut_image || watched.ended_early();
	left_out_image = left_out_image || !watched.ended_early();
}

void RenderDevice::drawImageMask(GfxState *state, Object *ref, Stream *str, int width, int height,
	bool invert, bool interpolate, bool inline_image)
{
	WatchedStream watched(str, width, height, 1, 1);
	Snap snap(state, width, height, page_width, page_height);

	SplashOutputDev::drawImageMask(
		state, ref, &watched, width, height, invert, interpolate, inline_image);
	judge(state, watched);
}

void RenderDevice::drawImage(GfxState *state, Object *ref, Stream *str, int width, int height,
	GfxImageColorMap *map, bool interpolate, const int *mask_colors, bool inline_image)
{
	WatchedStream watched(str, width, height, map->getNumPixelComps(), map->getBits());
	Snap snap(state, width, height, page_width, page_height);

	SplashOutputDev::drawImage(
		state, ref, &watched, width, height, map, interpolate, mask_colors, inline_image);
	judge(state, watched);
}

void RenderDevice::drawMaskedImage(GfxState *state, Object *ref, Stream *str, int width, int height,
	GfxImageColorMap *map, bool interpolate, Stream *mask, int mask_width, int mask_height,
	bool mask_invert, bool mask_interpolate)
{
	WatchedStream watched(str, width, height, map->getNumPixelComps(), map->getBits());
	WatchedStream watched_mask(mask, mask_width, mask_height, 1, 1);
	Snap snap(state, width, height, page_width, page_height);

	SplashOutputDev::drawMaskedImage(state, ref, &watched, width, height, map, interpolate,
		&watched_mask, mask_width, mask_height, mask_invert, mask_interpolate);
	judge(state, watched);
	judge(state, watched_mask);
}

void RenderDevice::drawSoftMaskedImage(GfxState *state, Object *ref, Stream *str, int width,
	int height, GfxImageColorMap *map, bool interpolate, Stream *mask, int mask_width,
	int mask_height, GfxImageColorMap *mask_map, bool mask_interpolate)
{
	WatchedStream watched(str, width, height, map->getNumPixelComps(), map->getBits());
	WatchedStream watched_mask(
		mask, mask_width, mask_height, mask_map->getNumPixelComps(), mask_map->getBits());
	Snap snap(state, width, height, page_width, page_height);

	SplashOutputDev::drawSoftMaskedImage(state, ref, &watched, width, height, map, interpolate,
		&watched_mask, mask_width, mask_height, mask_map, mask_interpolate);
	judge(state, watched);
	judge(state, watched_mask);
}
