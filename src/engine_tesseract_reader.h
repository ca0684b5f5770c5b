/*
 * engine_tesseract_reader - one process of indexocr-tesseract and the one call it works on; only for
 * engine_tesseract.c
 *
 * All pipes are non-blocking: tesseract_reader_move_along() writes and reads what can be, and looks
 * at the deadline. SIGPIPE must be ignored.
 *
 * Ownership  structs are the engine's; a call is its reader's until the engine hands it out.
 * Errors     a reader's end or lateness is its call's error: ERR_TRANSIENT "helper-died", "timeout";
 * ERR_CONFIG "language-missing", "helper-refused"; ERR_REQUEST for pages it refuses.
 * Processes  worker.
 */
#ifndef INDEXOCR_ENGINE_TESSERACT_READER_H
#define INDEXOCR_ENGINE_TESSERACT_READER_H

#include "engine.h"
#include "frame.h"
#include "helper.h"
#include "settings.h"

enum { TESSERACT_META_MAX_BYTES = 128 };

enum reader_state { READER_NONE, READER_STARTING, READER_READY };

struct engine_call {
	void *owner;
	const struct page *page; /* borrowed until the call ends */
	unsigned char head[FRAME_HEAD_BYTES];
	char meta[TESSERACT_META_MAX_BYTES];
	size_t sent_bytes; /* of head, meta and image together */
	int64_t id;
	int64_t started_ms, deadline_ms; /* boot time */
	bool done;
	struct engine_answer answer; /* once done */
};

struct reader {
	struct helper helper;
	struct frame_reader frame;
	enum reader_state state;
	struct engine_call *call; /* owned until it is handed out; NULL = free for one */
};

/* Starts the program; it is READER_READY once it has said so. */
int tesseract_reader_begin(const struct settings *settings, struct reader *r, struct err *err);
/* Ends it, if there is one; returns its wait status. */
int tesseract_reader_end(struct reader *r);
/* Whether an idle one has ended or strayed. */
bool tesseract_reader_is_stale(const struct reader *r);
/* Takes what it has said. -1: *err ends its call, and it is itself ended where it must be. */
int tesseract_reader_listen(const struct settings *settings, struct reader *r, struct err *err);
/* Sends, listens and looks at the deadline of its call, if it has one that is not done. */
void tesseract_reader_move_along(const struct settings *settings, struct reader *r);

bool tesseract_call_is_sent(const struct engine_call *call);
void tesseract_call_free(struct engine_call *call);

#endif
