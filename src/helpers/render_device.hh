/*
 * render_device - poppler's rasteriser, made exact for scans and honest about cut-off images
 *
 * Two things are added. An image that is painted at its own resolution is moved onto whole pixels,
 * so that every pixel of it comes out once and unchanged: left alone, the rasteriser would make it
 * a row and a column larger. And every image stream is watched: where its data end before the image
 * does, the page would silently come out half white, so the device says so.
 */
#ifndef INDEXOCR_RENDER_DEVICE_HH
#define INDEXOCR_RENDER_DEVICE_HH

#include <poppler/SplashOutputDev.h>

class WatchedStream;

class RenderDevice : public SplashOutputDev
{
      public:
	RenderDevice(SplashColorMode mode, int width, int height);

	/* Did an image that covers a notable part of the page end early? */
	bool cut() const;

	/* Was one left out, for want of memory? */
	bool left_out() const;

	void drawImageMask(GfxState *state, Object *ref, Stream *str, int width, int height,
		bool invert, bool interpolate, bool inline_image) override;
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
	class Snap;
	bool is_notable(GfxState *state) const;
	void judge(GfxState *state, const WatchedStream &watched);

	int page_width; /* pixels */
	int page_height;
	bool cut_image;
	bool left_out_image;
};

#endif
