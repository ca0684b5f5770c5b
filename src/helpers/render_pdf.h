/*
 * render_pdf - the hostile PDF: opened, its pages surveyed and rendered; poppler behind it
 *
 * C++ inside, C outside. poppler's C++ interface is used, not poppler-glib: it alone lets a page be
 * interpreted without decoding its images, so that the resolution is known, and an image that is
 * too large refused, before a byte is decompressed; and it renders a grey page in one byte a pixel.
 *
 * Ownership  pdf_open() takes the descriptor. Errors     ERR_DOCUMENT "encrypted", "damaged",
 * "empty", "too-large", "memory"; ERR_SYSTEM where the descriptor cannot be read.
 * Processes  indexocr-render.
 */
#ifndef INDEXOCR_RENDER_PDF_H
#define INDEXOCR_RENDER_PDF_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" { /* the headers below are for C alone */
#endif

#include "../buf.h"
#include "../err.h"
#include "render_image.h"
#include "render_plan.h"

struct pdf;

int pdf_open(struct pdf **out, int fd, struct err *err);
void pdf_close(struct pdf *pdf);
int pdf_page_count(struct pdf *pdf);

/* Surveys the page without decoding an image, and plans how to render it. */
int pdf_plan(struct pdf *pdf, int page, const struct plan_limits *limits, struct page_plan *plan,
	struct err *err);

/* Renders as planned, in grey where grey is asked for or the page has nothing coloured. A page
 * whose image data end early is ERR_DOCUMENT "damaged". */
int pdf_render(struct pdf *pdf, int page, const struct page_plan *plan, bool grey,
	struct image *out, struct err *err);

/* The undecoded bytes of the page's one JPEG, where the plan says lone_jpeg. */
int pdf_jpeg(struct pdf *pdf, int page, struct buf *out, struct err *err);

#ifdef __cplusplus
}
#endif

#endif
