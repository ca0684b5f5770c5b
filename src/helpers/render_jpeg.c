#include "render_jpeg.h"

#include <stdio.h> /* jpeglib.h uses FILE without it */

#include <jpeglib.h>

#include <jerror.h> /* after jpeglib.h, on which it builds */

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

static int too_large(struct err *err)
{
	return err_set(err, ERR_DOCUMENT, "too-large", "the page's image takes too many bytes");
}

struct jpeg_trap {
	struct jpeg_error_mgr base; /* first: the library knows only this part */
	jmp_buf out;
	bool cut; /* pixels were missing and have been made up */
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

/*
 * Of the library's many warnings one tells that image data ended before the image. Stray bytes or a
 * missing end mark, which some scanners write, cost nothing.
 */
static void jpeg_warns(j_common_ptr info, int level)
{
	struct jpeg_trap *trap = (struct jpeg_trap *)(void *)info->err;

	if (level < 0 && info->err->msg_code == JWRN_HIT_MARKER)
		trap->cut = true;
}

static struct jpeg_error_mgr *trap_init(struct jpeg_trap *trap)
{
	jpeg_std_error(&trap->base);
	trap->base.error_exit = jpeg_failed;
	trap->base.output_message = jpeg_says;
	trap->base.emit_message = jpeg_warns;
	trap->cut = false;
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

int jpeg_encode(const struct image *image, int quality, struct buf *out, struct err *err)
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

static void read_pixels(struct jpeg_decompress_struct *info, struct image *out)
{
	jpeg_start_decompress(info);
	image_new(out, (int)info->output_width, (int)info->output_height, info->output_components);
	while (info->output_scanline < info->output_height) {
		JSAMPROW row = out->pixels + info->output_scanline * image_row_bytes(out);

		jpeg_read_scanlines(info, &row, 1);
	}
	jpeg_finish_decompress(info);
}

static int read_checked(struct jpeg_decompress_struct *info, const struct buf *jpeg,
	const struct jpeg_wanted *wanted, struct image *out, struct err *err)
{
	jpeg_mem_src(info, (const unsigned char *)jpeg->data, jpeg->len);
	jpeg_read_header(info, TRUE);
	if (info->image_width != (JDIMENSION)wanted->width ||
		info->image_height != (JDIMENSION)wanted->height || info->data_precision != 8 ||
		(info->num_components != 1 && info->num_components != 3))
		return damaged(err, "its JPEG is not what the PDF says it is");
	info->out_color_space = wanted->grey || info->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
	if (wanted->coarse) {
		info->scale_num = coarse_scale(info->image_width, info->image_height);
		info->scale_denom = 8;
		info->dct_method = JDCT_IFAST;
	}
	read_pixels(info, out);
	return 0;
}

static int try_decode(struct jpeg_decompress_struct *info, struct jpeg_trap *trap,
	const struct buf *jpeg, const struct jpeg_wanted *wanted, struct image *out,
	struct err *err)
{
	if (setjmp(trap->out) != 0)
		return damaged(err, "its JPEG cannot be read");
	return read_checked(info, jpeg, wanted, out, err);
}

int jpeg_decode(const struct buf *jpeg, const struct jpeg_wanted *wanted, struct image *out,
	struct err *err)
{
	struct jpeg_decompress_struct info;
	struct jpeg_trap trap;
	int rc;

	if (jpeg->len == 0)
		return damaged(err, "its JPEG is empty");
	info.err = trap_init(&trap);
	jpeg_create_decompress(&info);
	rc = try_decode(&info, &trap, jpeg, wanted, out, err);
	if (rc == 0 && trap.cut)
		rc = damaged(err, "its JPEG is cut off or unreadable");
	jpeg_destroy_decompress(&info);
	if (rc != 0)
		image_fini(out);
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

/* Segments one after another; from the first scan on, all that follows, and the end mark, without
 * which some readers take it for cut off. */
int jpeg_clean(const struct buf *jpeg, struct buf *out, struct err *err)
{
	static const unsigned char end_mark[2] = {0xFF, 0xD9};
	const unsigned char *p = (const unsigned char *)jpeg->data;
	const bool has_end =
		jpeg->len >= 2 && memcmp(p + jpeg->len - 2, end_mark, sizeof end_mark) == 0;
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
	if (buf_add(out, p + at, jpeg->len - at) != 0 ||
		(!has_end && buf_add(out, end_mark, sizeof end_mark) != 0))
		return too_large(err);
	return 0;
}
