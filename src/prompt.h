/*
 * prompt - what an engine is asked for a document_source: one file each
 *
 * `<directory>/<source>.txt`; a source without a file of its own gets default.txt. "index" is read
 * as a table (header and six columns).
 *
 * Ownership  prompt_fini() frees what prompt_load() filled in.
 * Errors     ERR_CONFIG naming the file.
 * Processes  worker.
 */
#ifndef INDEXOCR_PROMPT_H
#define INDEXOCR_PROMPT_H

#include "engine.h"
#include "err.h"
#include "hash.h"

struct prompt {
	struct engine_prompt engine; /* what engines see */
	char *text;                  /* owned */
	char sha256[HASH_TEXT_BYTES];
};

int prompt_load(const char *directory, const char *source, struct prompt *prompt, struct err *err);
void prompt_fini(struct prompt *prompt);

#endif
