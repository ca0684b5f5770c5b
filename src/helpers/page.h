/*
 * page - one page image read: the body of an engine's answer
 *
 * Ownership  *body is the caller's: cJSON_Delete().
 * Errors     as image.h; a page without text is no error.
 * Processes  indexocr-tesseract.
 */
#ifndef INDEXOCR_HELPERS_PAGE_H
#define INDEXOCR_HELPERS_PAGE_H

#include "err.h"
#include "helpers/reader.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct page_request {
	const void *image;
	size_t image_bytes;
	int dpi; /* 0 = unknown */
	bool table;
};

/* The body has the shape documented at struct engine_answer in engine.h. */
int page_read(
	struct reader *reader, const struct page_request *request, cJSON **body, struct err *err);

#endif
