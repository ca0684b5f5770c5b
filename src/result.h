/*
 * result - what engines answer becomes the result document of CONTRACTS 2
 *
 * result_page() checks an answer's body (engine.h says its shape) and makes one element of "pages";
 * result_envelope() makes everything around them. Sums are made where the pages are put together
 * (complete.sql; result_join() for a local file). Texts are made NFC UTF-8 without NUL or lone
 * surrogates.
 *
 * Ownership  returned strings and trees are the caller's: free(), cJSON_Delete().
 * Errors     result_page(): ERR_EMPTY, ERR_REQUEST "bad-answer" for a body of another shape.
 * Processes  worker.
 */
#ifndef INDEXOCR_RESULT_H
#define INDEXOCR_RESULT_H

#include "engine.h"
#include "job.h"

#include <cjson/cJSON.h>

/*
 * {"page", "isCompleted", "totalLinesDetected", "model", "finishReason", "tokens", "ms", "width",
 * "height", "rotation" where not 0, "header", "lines", "text", "warnings"}. Every line has the same
 * keys: rows fill the six fields (ditto marks resolved, kept in rawLine), text lines leave them
 * null. Warnings found here: too_many_cells, ditto_without_entry_above, struck_row_unknown,
 * columns_unavailable, line_count_differs.
 */
int result_page(const struct page *page, const struct engine_prompt *prompt,
	const struct engine_answer *answer, cJSON **out, struct err *err);
/* A blank page: complete, no lines, "blank": true and its ink fraction. */
cJSON *result_blank_page(const struct page *page);
/* isCompleted false, with the error. */
cJSON *result_failed_page(int number, const struct err *why, const struct engine_answer *answer);

struct result_facts {
	const struct job *job;
	const char *engine;
	const char *model;
	const char *prompt_sha256;
	const char *document_sha256;
	const char *source_url;
	const char *run_id; /* unique per claim: "job-<id>-<...>" */
	int total_pages;
	int64_t processing_ms;
	const struct set_list *warnings; /* may be NULL */
};
/* The document without "pages", "totalLines" and the token sums. */
char *result_envelope(const struct result_facts *facts);

/* For a local file, where no SQL does it: envelope + pages (JSON array text of page results, in
 * order) + sums. NULL where either is not JSON of that shape. */
char *result_join(const char *envelope_json, const char *pages_json);
/* The plain text of such a document: pages' texts, form feed between; "" where it has none. */
char *result_text(const char *document_json);

#endif
