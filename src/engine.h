/*
 * engine - reads one page image; the seam between the program and whoever can read
 *
 * An engine is a small table of functions. Calls run side by side (as many as the caller starts);
 * the caller sleeps in http_wait() on the engine's descriptors beside everything else, then asks
 * for finished calls. An engine tries each call once: whether, when and at whose cost to try again
 * is decided by retry.c and done by the pipeline.
 *
 * Ownership  the page and prompt given to start() are borrowed until the call is finished or
 *            cancelled. engine_answer is the caller's: engine_answer_fini().
 * Errors     see err.h; every rejected answer still carries its tokens, model and finish reason in
 *            the answer. Processes worker.
 */
#ifndef INDEXOCR_ENGINE_H
#define INDEXOCR_ENGINE_H

#include "err.h"
#include "http.h"
#include "render.h"
#include "settings.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct engine;
struct engine_call;

/* How a source is read, made once for a document from the prompt directory. */
struct engine_prompt {
	const char *text;
	bool table; /* an index page: header and six columns */
};

struct engine_tokens {
	int64_t input, output, thinking, total;
};

/*
 * What an engine made of a page. body has one shape for all engines; result.c checks it and makes
 * the page's JSON of it: { "header": {"circonscription","cadastre","lot","feuille"} | null,
 * "rotation": 0, "rows": [["party","nature","date","publicationNo","radiation","remarks"], ...] |
 * null, "lines": ["text line", ...]      (where there are no rows), "confidence": [0..1 a row or
 * line, or null, ...] | absent, "struck": [row numbers from 1] | absent, "text": "the page's text"
 * | absent (then made from header and rows or lines), "detected": n | absent           (independent
 * count of rows or lines), "warnings": ["columns_unavailable", ...] | absent }
 */
struct engine_answer {
	struct err error; /* kind ERR_NONE = body is there */
	cJSON *body;      /* owned; NULL with an error */
	char model[80];   /* the model that answered */
	char finish_reason[40];
	struct engine_tokens tokens;
	int64_t ms;
	long http_status; /* 0 where there is none */
};

void engine_answer_fini(struct engine_answer *answer);

struct engine_context {
	const struct settings *settings; /* borrowed */
	struct http *http;               /* borrowed */
};

struct engine_type {
	const char *name;         /* as in engine { use = "..." } */
	const char *image_format; /* what render.c shall deliver: "pnm", or NULL = settings'
				     render.format */
	bool metered;             /* calls count against the limits */
	int (*open)(struct engine **out, const struct engine_context *context, struct err *err);
	/* Tokens a call will take of the input limit, known beforehand. */
	int64_t (*estimate)(const struct engine *e, const struct engine_prompt *prompt,
		const struct page *page);
	/* How many calls may run at once; page_concurrency for engines over HTTP, the number of
	 * helpers for a local one. */
	int (*capacity)(const struct engine *e);
	int (*start)(struct engine *e, const struct engine_prompt *prompt, const struct page *page,
		void *owner, struct engine_call **out, struct err *err);
	/* Descriptors to wait for; returns how many of at most max were filled. May be 0
	 * (everything is inside http). */
	size_t (*poll_fds)(const struct engine *e, struct pollfd *fds, size_t max);
	/* The next finished call: fills *answer and *owner and frees the call; false = none now.
	 * Moves things along. */
	bool (*finished)(struct engine *e, struct engine_answer *answer, void **owner);
	void (*cancel)(struct engine *e, struct engine_call *call);
	/* The model asked, for results and page keys ("fra" for Tesseract). Borrowed. */
	const char *(*model)(const struct engine *e);
	/* One cheap question at start and for `indexocrctl check`: key, model, language data. */
	int (*probe)(struct engine *e, struct err *err);
	void (*close)(struct engine *e);
};

extern const struct engine_type engine_gemini;
extern const struct engine_type engine_tesseract;

/* NULL = no engine of that name. */
const struct engine_type *engine_find(const char *name);

#endif
