/*
 * render_survey - what is on a page, found by interpreting it without decoding any image
 *
 * An output device that notes images, their places and whatever else makes a mark. The same
 * interpreter that will render the page runs it, so nothing can be seen by one and not the other.
 */
#ifndef INDEXOCR_RENDER_SURVEY_HH
#define INDEXOCR_RENDER_SURVEY_HH

#include "render_plan.h"

extern "C" {
#include "../buf.h"
}

#include <poppler/GfxState.h>
#include <poppler/OutputDev.h>
#include <poppler/Page.h>

#include <vector>

class Survey : public OutputDev
{
      public:
	/* jpeg: where the bytes of the page's first JPEG image are copied to; NULL = nowhere. */
	explicit Survey(struct buf *jpeg_to);

	/* Borrows from this object. */
	struct page_survey result(const Page *page) const;

	bool upsideDown() override;
	bool useDrawChar() override;
	bool interpretType3Chars() override;
	bool useTilingPatternFill() override;
	bool useShadedFills(int type) override;

	void stroke(GfxState *state) override;
	void fill(GfxState *state) override;
	void eoFill(GfxState *state) override;
	bool tilingPatternFill(GfxState *state, Gfx *gfx, Catalog *catalog,
		GfxTilingPattern *pattern, const double *matrix, int x0, int y0, int x1, int y1,
		double x_step, double y_step) override;
	bool functionShadedFill(GfxState *state, GfxFunctionShading *shading) override;
	bool axialShadedFill(
		GfxState *state, GfxAxialShading *shading, double t_min, double t_max) override;
	bool radialShadedFill(
		GfxState *state, GfxRadialShading *shading, double t_min, double t_max) override;
	bool gouraudTriangleShadedFill(
		GfxState *state, GfxGouraudTriangleShading *shading) override;
	bool patchMeshShadedFill(GfxState *state, GfxPatchMeshShading *shading) override;
	void clip(GfxState *state) override;
	void eoClip(GfxState *state) override;
	void clipToStrokePath(GfxState *state) override;
	void drawChar(GfxState *state, double x, double y, double dx, double dy, double origin_x,
		double origin_y, CharCode code, int bytes, const Unicode *u, int u_len) override;
	void beginTransparencyGroup(GfxState *state, const double *bbox, GfxColorSpace *blending,
		bool isolated, bool knockout, bool for_soft_mask) override;
	void setSoftMask(GfxState *state, const double *bbox, bool alpha, Function *transfer,
		GfxColor *backdrop) override;

	void drawImageMask(GfxState *state, Object *ref, Stream *str, int width, int height,
		bool invert, bool interpolate, bool inline_image) override;
	void setSoftMaskFromImageMask(GfxState *state, Object *ref, Stream *str, int width,
		int height, bool invert, bool inline_image, double *base_matrix) override;
	void drawImage(GfxState *state, Object *ref, Stream *str, int width, int height,
		GfxImageColorMap *map, bool interpolate, const int *mask_colors,
		bool inline_image) override;
	void drawMaskedImage(GfxState *state, Object *ref, Stream *str, int width, int height,
		GfxImageColorMap *map, bool interpolate, Stream *mask, int mask_width,
		int mask_height, bool mask_invert, bool mask_interpolate) override;
	void drawSoftMaskedImage(GfxState *state, Object *ref, Stream *str, int width, int height,
		GfxImageColorMap *map, bool interpolate, Stream *mask, int mask_width,
		int mask_height, GfxImageColorMap *mask_map, bool mask_interpolate) override;

      private:
	void mark(bool coloured_mark);
	void shade();
	void size_seen(int width, int height);
	void place(GfxState *state, int width, int height);
	void note_jpeg(GfxState *state, Stream *str, GfxImageColorMap *map, bool plain);

	std::vector<struct placed_image> images;
	struct buf *jpeg;
	int64_t largest_pixels;
	int image_calls;
	int marks;
	bool coloured;
	bool plain;     /* no clip, mask, group or blend that would change an image */
	bool jpeg_seen; /* an image that may be sent as the JPEG it is */
};

#endif
