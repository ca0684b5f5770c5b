#include "render_encode.h"

#include "mem.h"
#include "render_jpeg.h"

#include <png.h>

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int too_large(struct err *err)
{
	return err_set(err, ERR_DOCUMENT, "too-large", "the page's image takes too many bytes");
}

/* ---- bits ---- */

/* One row of black and white, eight pixels a byte; `ink` is the bit for black. */
static void pack_row(const unsigned char *row, int width, int ink, unsigned char *bits)
{
	memset(bits, 0, ((size_t)width + 7) / 8);
	for (int x = 0; x < width; x++)
		if ((row[x] == 0) == (ink != 0))
			bits[x / 8] = (unsigned char)(bits[x / 8] | 0x80 >> x % 8);
}

/* ---- PNG ---- */

static void png_failed(png_structp png, png_const_charp text)
{
	(void)text;
	longjmp(png_jmpbuf(png), 1);
}

static void png_says(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

static void png_collect(png_structp png, png_bytep bytes, size_t len)
{
	if (buf_add(png_get_io_ptr(png), bytes, len) != 0)
		png_error(png, "too large");
}

static void png_nothing(png_structp png)
{
	(void)png;
}

static void write_png_head(png_structp png, png_infop info, const struct image *image, bool bilevel)
{
	enum {
		QUICK = 3
	}; /* zlib level: a third of the time of the default, a few per cent larger */

	png_set_compression_level(png, QUICK);
	png_set_IHDR(png, info, (png_uint_32)image->width, (png_uint_32)image->height,
		bilevel ? 1 : 8, image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
		PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
}

/* bits: NULL, or room for a row of them where the image is black and white. */
static int try_png(png_structp png, png_infop info, const struct image *image, unsigned char *bits)
{
	if (setjmp(png_jmpbuf(png)) != 0)
		return -1;
	write_png_head(png, info, image, bits != NULL);
	for (int y = 0; y < image->height; y++) {
		const unsigned char *row = image->pixels + (size_t)y * image_row_bytes(image);

		if (bits != NULL)
			pack_row(row, image->width, 0, bits);
		png_write_row(png, bits != NULL ? bits : row);
	}
	png_write_end(png, NULL);
	return 0;
}

static int encode_png(const struct image *image, struct buf *out, struct err *err)
{
	unsigned char *bits =
		image_is_bilevel(image) ? mem_calloc((size_t)image->width / 8 + 1, 1) : NULL;
	png_structp png =
		png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, png_failed, png_says);
	png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
	int rc = -1;

	if (info != NULL) {
		png_set_write_fn(png, out, png_collect, png_nothing);
		rc = try_png(png, info, image, bits);
	}
	png_destroy_write_struct(&png, &info);
	free(bits);
	return rc == 0 ? 0 : too_large(err);
}

/* ---- PNM ---- */

static int encode_bits(const struct image *image, struct buf *out)
{
	const size_t row_bytes = ((size_t)image->width + 7) / 8;

	if (buf_addf(out, "P4\n%d %d\n", image->width, image->height) != 0)
		return -1;
	for (int y = 0; y < image->height; y++) {
		unsigned char *bits = buf_reserve(out, row_bytes);

		if (bits == NULL)
			return -1;
		pack_row(image->pixels + (size_t)y * (size_t)image->width, image->width, 1, bits);
		out->len += row_bytes;
	}
	return 0;
}

static int encode_pnm(
	const struct image *image, struct buf *out, const char **mime, struct err *err)
{
	const size_t bytes = image_row_bytes(image) * (size_t)image->height;
	const char *head = image->channels == 1 ? "P5" : "P6";
	int rc;

	*mime = image->channels == 1 ? "image/x-portable-graymap" : "image/x-portable-pixmap";
	if (image_is_bilevel(image)) {
		*mime = "image/x-portable-bitmap";
		rc = encode_bits(image, out);
	} else {
		rc = buf_addf(out, "%s\n%d %d\n255\n", head, image->width, image->height);
		if (rc == 0)
			rc = buf_add(out, image->pixels, bytes);
	}
	return rc == 0 ? 0 : too_large(err);
}

int image_encode(const struct image *image, enum image_format format, int quality, struct buf *out,
	const char **mime, struct err *err)
{
	switch (format) {
	case FORMAT_JPEG:
		*mime = "image/jpeg";
		return jpeg_encode(image, quality, out, err);
	case FORMAT_PNG:
		*mime = "image/png";
		return encode_png(image, out, err);
	case FORMAT_PNM:
		return encode_pnm(image, out, mime, err);
	}
	return err_set(err, ERR_BUG, "format", "no such image format");
}
