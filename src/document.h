/*
 * document - bytes that arrive become an unnamed file, checked on the way
 *
 * begin, add ..., end. In memory up to settings->memory_document_bytes, then moved to tmpdir.
 *
 * Ownership  document_intake_begin() takes the caller's storage; document_intake_fini() frees what
 *            is left, also after document_intake_end(), which hands the file to the caller's
 *            document.
 * Errors     ERR_DOCUMENT "empty", "too-large", "not-a-pdf"; ERR_TRANSIENT "tmpdir-full"; ERR_SYSTEM.
 * Processes  worker, ctl.
 */
#ifndef INDEXOCR_DOCUMENT_H
#define INDEXOCR_DOCUMENT_H

#include "hash.h"
#include "storage.h"

enum { DOCUMENT_HEAD_BYTES = 1024 };

struct document_intake {
	const struct set_storage *settings; /* borrowed */
	int fd;                             /* owned */
	bool in_memory;
	int64_t bytes;
	struct hash *hash; /* owned */
	char head[DOCUMENT_HEAD_BYTES];
	size_t head_len;
	bool head_checked;
};

int document_intake_begin(
	struct document_intake *in, const struct set_storage *settings, struct err *err);
int document_intake_add(struct document_intake *in, const void *data, size_t len, struct err *err);
/* All bytes of an open file, from where it stands; http (may be NULL) has its turns between them. */
int document_intake_add_fd(
	struct document_intake *in, struct http *http, int fd, const char *name, struct err *err);
int document_intake_end(struct document_intake *in, struct document *document, struct err *err);
void document_intake_fini(struct document_intake *in);

#endif
