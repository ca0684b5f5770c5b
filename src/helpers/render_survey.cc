#include "render_survey.hh"

#include <poppler/Stream.h>

#include <cmath>
#include <cstdlib>

static const size_t MAX_IMAGES = 65536; /* more than any page of strips; the rest is not counted */
static const int MAX_MARKS = 1 << 30;

Survey::Survey(struct buf *jpeg_to)
    : jpeg(jpeg_to), largest_pixels(0), image_calls(0), marks(0), coloured(false), plain(true),
      jpeg_seen(false)
{
}

struct page_survey Survey::result(const Page *page) const
{
	const bool lies = page->getRotate() % 180 != 0;
	struct page_survey s = {};

	s.width_pt = lies ? page->getCropHeight() : page->getCropWidth();
	s.height_pt = lies ? page->getCropWidth() : page->getCropHeight();
	s.images = images.data();
	s.image_count = images.size();
	s.largest_pixels = largest_pixels;
	s.marks = marks;
	s.coloured = coloured;
	s.plain_jpeg = plain && jpeg_seen && image_calls == 1 && marks == 0;
	return s;
}

bool Survey::upsideDown()
{
	return true;
}

bool Survey::useDrawChar()
{
	return true;
}

bool Survey::interpretType3Chars()
{
	return false;
}

bool Survey::useTilingPatternFill()
{
	return true;
}

bool Survey::useShadedFills(int)
{
	return true;
}

static bool is_coloured(const GfxRGB &rgb)
{
	const int tolerance = 3 << 8; /* components have 16 bits; ICC profiles round */

	return std::abs(rgb.r - rgb.g) > tolerance || std::abs(rgb.g - rgb.b) > tolerance;
}

static bool fill_is_coloured(GfxState *state)
{
	GfxRGB rgb;

	if (state->getFillColorSpace()->getMode() == csPattern)
		return true;
	state->getFillRGB(&rgb);
	return is_coloured(rgb);
}

static bool stroke_is_coloured(GfxState *state)
{
	GfxRGB rgb;

	if (state->getStrokeColorSpace()->getMode() == csPattern)
		return true;
	state->getStrokeRGB(&rgb);
	return is_coloured(rgb);
}

void Survey::mark(bool coloured_mark)
{
	if (marks < MAX_MARKS)
		marks++;
	coloured = coloured || coloured_mark;
}

void Survey::shade()
{
	mark(true);
}

void Survey::stroke(GfxState *state)
{
	mark(stroke_is_coloured(state));
}

void Survey::fill(GfxState *state)
{
	mark(fill_is_coloured(state));
}

void Survey::eoFill(GfxState *state)
{
	mark(fill_is_coloured(state));
}

bool Survey::tilingPatternFill(GfxState *, Gfx *, Catalog *, GfxTilingPattern *, const double *,
	int, int, int, int, double, double)
{
	shade();
	return true;
}

bool Survey::functionShadedFill(GfxState *, GfxFunctionShading *)
{
	shade();
	return true;
}

bool Survey::axialShadedFill(GfxState *, GfxAxialShading *, double, double)
{
	shade();
	return true;
}

bool Survey::radialShadedFill(GfxState *, GfxRadialShading *, double, double)
{
	shade();
	return true;
}

bool Survey::gouraudTriangleShadedFill(GfxState *, GfxGouraudTriangleShading *)
{
	shade();
	return true;
}

bool Survey::patchMeshShadedFill(GfxState *, GfxPatchMeshShading *)
{
	shade();
	return true;
}

/* One straight-lined outline of at most a rectangle's points, along the axes. */
static bool is_rectangle(const GfxPath *path)
{
	const GfxSubpath *outline;

	if (path->getNumSubpaths() != 1)
		return false;
	outline = path->getSubpath(0);
	if (outline->getNumPoints() < 4 || outline->getNumPoints() > 5)
		return false;
	for (int i = 0; i < outline->getNumPoints(); i++) {
		const bool moved = i > 0;

		if (outline->getCurve(i))
			return false;
		if (moved && outline->getX(i) != outline->getX(i - 1) &&
			outline->getY(i) != outline->getY(i - 1))
			return false;
	}
	return true;
}

void Survey::clip(GfxState *state)
{
	plain = plain && is_rectangle(state->getPath());
}

void Survey::eoClip(GfxState *state)
{
	clip(state);
}

void Survey::clipToStrokePath(GfxState *)
{
	plain = false;
}

void Survey::drawChar(GfxState *state, double, double, double, double, double, double, CharCode,
	int, const Unicode *, int)
{
	const int INVISIBLE = 3;

	if ((state->getRender() & 3) != INVISIBLE)
		mark(fill_is_coloured(state) || stroke_is_coloured(state));
}

void Survey::beginTransparencyGroup(GfxState *, const double *, GfxColorSpace *, bool, bool, bool)
{
	plain = false;
}

void Survey::setSoftMask(GfxState *, const double *, bool, Function *, GfxColor *)
{
	plain = false;
}

void Survey::size_seen(int width, int height)
{
	const int64_t pixels = static_cast<int64_t>(width) * height;

	if (pixels > largest_pixels)
		largest_pixels = pixels;
}

/* The device is the page in points, so the matrix says where on the page the image lies. */
void Survey::place(GfxState *state, int width, int height)
{
	const double *m = state->getCTM();
	struct placed_image image = {width, height, m[0], m[1], m[2], m[3], {}};
	const double left = m[4] + std::fmin(0, m[0]) + std::fmin(0, m[2]);
	const double right = m[4] + std::fmax(0, m[0]) + std::fmax(0, m[2]);
	const double top = m[5] + std::fmin(0, m[1]) + std::fmin(0, m[3]);
	const double bottom = m[5] + std::fmax(0, m[1]) + std::fmax(0, m[3]);
	double x0, y0, x1, y1;

	size_seen(width, height);
	image_calls++;
	state->getClipBBox(&x0, &y0, &x1, &y1);
	image.box = {std::fmax(left, x0), std::fmax(top, y0), std::fmin(right, x1),
		std::fmin(bottom, y1)};
	if (std::isfinite(left + right + top + bottom) && std::hypot(m[0], m[1]) > 1e-6 &&
		std::hypot(m[2], m[3]) > 1e-6 && width > 0 && height > 0 &&
		images.size() < MAX_IMAGES)
		images.push_back(image);
}

/* An inline image stands in the page's own content: the base class reads past it. */
void Survey::drawImageMask(GfxState *state, Object *ref, Stream *str, int width, int height,
	bool invert, bool interpolate, bool inline_image)
{
	place(state, width, height);
	coloured = coloured || fill_is_coloured(state);
	if (inline_image)
		OutputDev::drawImageMask(
			state, ref, str, width, height, invert, interpolate, inline_image);
}

void Survey::setSoftMaskFromImageMask(GfxState *state, Object *ref, Stream *str, int width,
	int height, bool invert, bool inline_image, double *)
{
	plain = false;
	size_seen(width, height);
	if (inline_image)
		OutputDev::drawImageMask(
			state, ref, str, width, height, invert, false, inline_image);
}

/* With one component the few values it can have are all looked at: palettes are often grey. */
static bool map_is_coloured(GfxImageColorMap *map)
{
	if (map->getNumPixelComps() != 1)
		return true;
	for (int value = 0; value < 1 << (map->getBits() < 8 ? map->getBits() : 8); value++) {
		unsigned char pixel = static_cast<unsigned char>(value);
		GfxRGB rgb;

		map->getRGB(&pixel, &rgb);
		if (is_coloured(rgb))
			return true;
	}
	return false;
}

static bool is_grey_or_rgb(GfxColorSpace *space)
{
	switch (space->getMode()) {
	case csDeviceGray:
	case csCalGray:
	case csDeviceRGB:
	case csCalRGB:
		return true;
	case csICCBased:
		return is_grey_or_rgb(static_cast<GfxICCBasedColorSpace *>(space)->getAlt());
	default:
		return false;
	}
}

static bool maps_plainly(GfxImageColorMap *map)
{
	if (!is_grey_or_rgb(map->getColorSpace()) || map->getBits() != 8)
		return false;
	for (int i = 0; i < map->getNumPixelComps(); i++)
		if (map->getDecodeLow(i) != 0 || map->getDecodeHigh(i) != 1)
			return false;
	return map->getNumPixelComps() == 1 || map->getNumPixelComps() == 3;
}

/* Has the stream's dictionary decoding parameters for its DCT filter? They could change colours. */
static bool has_parameters(Stream *str)
{
	return !str->getDict()->lookup("DecodeParms").isNull() ||
	       !str->getDict()->lookup("DP").isNull();
}

void Survey::note_jpeg(GfxState *state, Stream *str, GfxImageColorMap *map, bool unmasked)
{
	Stream *bytes = str->getNextStream();
	unsigned char chunk[4096];
	int got;

	if (!unmasked || str->getKind() != strDCT || bytes == nullptr || !maps_plainly(map) ||
		has_parameters(str) || state->getFillOpacity() < 1 ||
		state->getBlendMode() != gfxBlendNormal)
		return;
	jpeg_seen = true;
	if (jpeg == nullptr || jpeg->len > 0)
		return;
	bytes->reset();
	while ((got = bytes->doGetChars(sizeof chunk, chunk)) > 0)
		if (buf_add(jpeg, chunk, static_cast<size_t>(got)) != 0) {
			jpeg_seen = false;
			break;
		}
	bytes->close();
}

void Survey::drawImage(GfxState *state, Object *ref, Stream *str, int width, int height,
	GfxImageColorMap *map, bool interpolate, const int *mask_colors, bool inline_image)
{
	place(state, width, height);
	coloured = coloured || map_is_coloured(map);
	if (inline_image)
		OutputDev::drawImage(state, ref, str, width, height, map, interpolate, mask_colors,
			inline_image);
	else
		note_jpeg(state, str, map, mask_colors == nullptr);
}

void Survey::drawMaskedImage(GfxState *state, Object *, Stream *, int width, int height,
	GfxImageColorMap *map, bool, Stream *, int mask_width, int mask_height, bool, bool)
{
	place(state, width, height);
	size_seen(mask_width, mask_height);
	coloured = coloured || map_is_coloured(map);
}

void Survey::drawSoftMaskedImage(GfxState *state, Object *, Stream *, int width, int height,
	GfxImageColorMap *map, bool, Stream *, int mask_width, int mask_height, GfxImageColorMap *,
	bool)
{
	place(state, width, height);
	size_seen(mask_width, mask_height);
	coloured = coloured || map_is_coloured(map);
}
