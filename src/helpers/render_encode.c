#include "render_encode.h"

#include "mem.h"

#include <stdio.h> /* jpeglib.h uses FILE without it */

#include <jpeglib.h>
#include <png.h>

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int too_large(struct err *err)
{
	return err_set(err, ERR_DOCUMENT, "too-large", "the page's image takes too many bytes");
}

/* ---- JPEG ---- */

struct jpeg_trap {
	struct jpeg_error_mgr base; /* first: the library knows only this part */
	jmp_buf out;
};

static void jpeg_failed(j_common_ptr info)
{
	struct jpeg_trap *trap = (struct jpeg_trap *)(void *)info->err;

	longjmp(trap->out, 1);
}

static void jpeg_says(j_common_ptr info)
{
	(void)info;
}

static struct jpeg_error_mgr *trap_init(struct jpeg_trap *trap)
{
	jpeg_std_error(&trap->base);
	trap->base.error_exit = jpeg_failed;
	trap->base.output_message = jpeg_says;
	return &trap->base;
}

static void write_jpeg(struct jpeg_compress_struct *info, const struct image *image, int quality)
{
	info->image_width = (JDIMENSION)image->width;
	info->image_height = (JDIMENSION)image->height;
	info->input_components = image->channels;
	info->in_color_space = image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
	jpeg_set_defaults(info);
	jpeg_set_quality(info, quality, TRUE);
	jpeg_start_compress(info, TRUE);
	while (info->next_scanline < info->image_height) {
		JSAMPROW row = image->pixels + info->next_scanline * image_row_bytes(image);

		jpeg_write_scanlines(info, &row, 1);
	}
	jpeg_finish_compress(info);
}

/*
 * A function that calls setjmp() changes nothing of its own afterwards: what must be released after
 * a failure belongs to its caller.
 */
static int try_jpeg(struct jpeg_compress_struct *info, struct jpeg_trap *trap,
	const struct image *image, int quality)
{
	if (setjmp(trap->out) != 0)
		return -1;
	write_jpeg(info, image, quality);
	return 0;
}

static int encode_jpeg(const struct image *image, int quality, struct buf *out, struct err *err)
{
	struct jpeg_compress_struct info;
	struct jpeg_trap trap;
	unsigned char *bytes = NULL;
	unsigned long len = 0;
	int rc;

	info.err = trap_init(&trap);
	jpeg_create_compress(&info);
	jpeg_mem_dest(&info, &bytes, &len);
	rc = try_jpeg(&info, &trap, image, quality);
	if (rc == 0)
		rc = buf_add(out, bytes, len);
	jpeg_destroy_compress(&info);
	free(bytes);
	return rc == 0 ? 0 : too_large(err);
}

static int damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_DOCUMENT, "damaged", "the page is damaged: %s", what);
}

/* In eighths: about as many pixels as measuring needs. */
static unsigned coarse_scale(unsigned width, unsigned height)
{
	enum { ENOUGH = 1500 };
	const unsigned edge = width > height ? width : height;
	unsigned eighths = 8;

	while (eighths > 1 && edge * (eighths / 2) / 8 >= ENOUGH)
		eighths /= 2;
	return eighths;
}

static void read_coarsely(struct jpeg_decompress_struct *info, struct image *coarse)
{
	info->out_color_space = JCS_GRAYSCALE;
	info->scale_num = coarse_scale(info->image_width, info->image_height);
	info->scale_denom = 8;
	info->dct_method = JDCT_IFAST;
	jpeg_start_decompress(info);
	image_new(coarse, (int)info->output_width, (int)info->output_height, 1);
	while (info->output_scanline < info->output_height) {
		JSAMPROW row = coarse->pixels + (size_t)info->output_scanline * info->output_width;

		jpeg_read_scanlines(info, &row, 1);
	}
	jpeg_finish_decompress(info);
}

static int read_checked(struct jpeg_decompress_struct *info, const struct buf *jpeg, int width,
	int height, struct image *coarse, struct err *err)
{
	jpeg_mem_src(info, (const unsigned char *)jpeg->data, jpeg->len);
	jpeg_read_header(info, TRUE);
	if (info->image_width != (JDIMENSION)width || info->image_height != (JDIMENSION)height ||
		info->data_precision != 8 || (info->num_components != 1 && info->num_components != 3))
		return damaged(err, "its JPEG is not what the PDF says it is");
	read_coarsely(info, coarse);
	if (info->err->num_warnings > 0)
		return damaged(err, "its JPEG is cut off or unreadable");
	return 0;
}

static int try_check(struct jpeg_decompress_struct *info, struct jpeg_trap *trap,
	const struct buf *jpeg, int width, int height, struct image *coarse, struct err *err)
{
	if (setjmp(trap->out) != 0)
		return damaged(err, "its JPEG cannot be read");
	return read_checked(info, jpeg, width, height, coarse, err);
}

int jpeg_check(const struct buf *jpeg, int width, int height, struct image *coarse, struct err *err)
{
	struct jpeg_decompress_struct info;
	struct jpeg_trap trap;
	int rc;

	if (jpeg->len == 0)
		return damaged(err, "its JPEG is empty");
	info.err = trap_init(&trap);
	jpeg_create_decompress(&info);
	rc = try_check(&info, &trap, jpeg, width, height, coarse, err);
	jpeg_destroy_decompress(&info);
	if (rc != 0)
		image_fini(coarse);
	return rc;
}

enum {
	JPEG_SOI = 0xD8,
	JPEG_SOS = 0xDA,
	JPEG_APP1 = 0xE1,  /* Exif, XMP */
	JPEG_APP13 = 0xED, /* Photoshop */
	JPEG_TEXT = 0xFE,
};

static int is_unwanted(int marker)
{
	return marker == JPEG_APP1 || marker == JPEG_APP13 || marker == JPEG_TEXT;
}

/* Segments one after another; from the first scan on, all that follows. */
int jpeg_clean(const struct buf *jpeg, struct buf *out, struct err *err)
{
	const unsigned char *p = (const unsigned char *)jpeg->data;
	size_t at = 2;

	if (jpeg->len < 4 || p[0] != 0xFF || p[1] != JPEG_SOI)
		return damaged(err, "its JPEG does not begin as one");
	if (buf_add(out, p, 2) != 0)
		return too_large(err);
	while (at + 4 <= jpeg->len && p[at] == 0xFF && p[at + 1] != JPEG_SOS) {
		const int marker = p[at + 1];
		const size_t len = marker == 0xFF ? 1 : 2 + ((size_t)p[at + 2] << 8 | p[at + 3]);

		if (at + len > jpeg->len)
			return damaged(err, "its JPEG is cut off");
		if (marker != 0xFF && !is_unwanted(marker) && buf_add(out, p + at, len) != 0)
			return too_large(err);
		at += len;
	}
	return buf_add(out, p + at, jpeg->len - at) == 0 ? 0 : too_large(err);
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
	enum { QUICK = 3 }; /* zlib level: a third of the time of the default, a few per cent larger */

	png_set_compression_level(png, QUICK);
	png_set_IHDR(png, info, (png_uint_32)image->width, (png_uint_32)image->height,
		bilevel ? 1 : 8, image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
		PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
}

/* bits: NULL, or room for a row of them where the image is black and white. */
static int try_png(
	png_structp png, png_infop info, const struct image *image, unsigned char *bits)
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
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, png_failed, png_says);
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

static int encode_pnm(const struct image *image, struct buf *out, const char **mime,
	struct err *err)
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
		return encode_jpeg(image, quality, out, err);
	case FORMAT_PNG:
		*mime = "image/png";
		return encode_png(image, out, err);
	case FORMAT_PNM:
		return encode_pnm(image, out, mime, err);
	}
	return err_set(err, ERR_BUG, "format", "no such image format");
}
