/*
 * read_page - what the tests of result_page() share: a page read from the JSON text of a body
 *
 * Ownership  pages are the caller's: cJSON_Delete().
 */
#ifndef INDEXOCR_READ_PAGE_H
#define INDEXOCR_READ_PAGE_H

#include "json.h"
#include "result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct engine_prompt table = {.text = "", .table = true};
static const struct engine_prompt plain = {.text = "", .table = false};

static inline int read_page(
	const struct engine_prompt *prompt, const char *body, cJSON **out, struct err *err)
{
	const struct page page = {.number = 3, .width = 1700, .height = 2200};
	struct engine_answer answer = {
		.model = "model-1", .finish_reason = "STOP", .tokens = {10, 20, 5, 35}, .ms = 4100};
	int rc;

	answer.body = body != NULL ? json_parse(body, strlen(body)) : NULL;
	if (body != NULL)
		assert_non_null(answer.body);
	rc = result_page(&page, prompt, &answer, out, err);
	cJSON_Delete(answer.body);
	return rc;
}

static inline cJSON *page_of(const struct engine_prompt *prompt, const char *body)
{
	struct err err;
	cJSON *page;

	if (read_page(prompt, body, &page, &err) != 0)
		fail_msg("%s: %s", err.code, err.text);
	return page;
}

static inline const cJSON *line(const cJSON *page, int number)
{
	const cJSON *found = cJSON_GetArrayItem(json_get(page, "lines"), number - 1);

	assert_non_null(found);
	return found;
}

#endif
