/*
 * gemini - what Gemini's generateContent is sent and what it answers; pure, no transport
 *
 * Ownership  stated at each function.
 * Processes  worker.
 */
#ifndef INDEXOCR_GEMINI_H
#define INDEXOCR_GEMINI_H

#include "engine.h"

#include <stddef.h>

enum { GEMINI_PARTS = 3 };

/* ---- the request (gemini_request.c) ------------------------------------------------------------ */

/* A body in three parts: JSON up to the image, the image as base64, JSON behind it. Only the first
 * and last are held here. */
struct gemini_request {
	char *json; /* owned; the first part begins it, the last one ends it */
	struct http_part parts[GEMINI_PARTS];
};

/* The page's image is borrowed until gemini_request_fini(). */
void gemini_request_init(struct gemini_request *request, const struct set_gemini *settings,
	const struct engine_prompt *prompt, const struct page *page);
void gemini_request_fini(struct gemini_request *request);

/* {base_url}/v1beta/models/{model}{method}; free() it. */
char *gemini_url(const struct set_gemini *settings, const char *method);

/* Tokens of the input by the published image table and the length of the prompt. */
int64_t gemini_estimate(const struct set_gemini *settings, const struct engine_prompt *prompt,
	const struct page *page);

/* ---- the answer (gemini_answer.c, gemini_fault.c) ---------------------------------------------- */

/*
 * An answer being put together from one chunk (generateContent) or many (a stream). gemini_reply_fini
 * frees it.
 */
struct gemini_reply {
	const char *secret; /* borrowed; NULL = none */
	struct buf text;    /* all parts that are no thoughts */
	bool any_chunk;
	bool any_candidate;
	char finish_reason[40];
	char block_reason[40];
	char said[160]; /* finishMessage or blockReasonMessage */
	char model[80];
	struct engine_tokens tokens;
	struct err error; /* an error object in the stream; kind ERR_NONE = none */
};

/* secret: the key that was sent, or NULL, which nothing of the reply repeats. */
void gemini_reply_init(struct gemini_reply *reply, const char *secret);
void gemini_reply_fini(struct gemini_reply *reply);
/* One GenerateContentResponse, an error object, or an array of either. -1: no JSON, or too long. */
int gemini_reply_add(struct gemini_reply *reply, const char *json, size_t len);
/* No more chunks: fills *answer, its body or its error. table: the body was asked for as JSON. */
void gemini_reply_end(const struct gemini_reply *reply, bool table, struct engine_answer *answer);

/* A whole unary answer: the three above, or the fault that status and body are. retry_after: the
 * header, or NULL. */
void gemini_answer(long status, const char *retry_after, const char *body, size_t len,
	const char *secret, bool table, struct engine_answer *answer);

/* What a status other than 200, or an error object under any status, means. Always -1. */
int gemini_fault(long status, const char *retry_after, const char *body, size_t len,
	const char *secret, struct err *err);

/* A duration as in RetryInfo ("34.2s") or in a message ("10h17m5.72s", "500ms"), rounded up and
 * bounded by a day; -1 = none. */
int64_t gemini_duration_ms(const char *text);

#endif
