/*
 * storage - the document behind a row's supabase_path, as an unnamed file
 *
 * Supabase Storage over HTTP, or a directory. Streamed, never assembled; checked on the way: size
 * limit, declared length, "%PDF-" within the first 1,024 bytes.
 *
 * Ownership  storage_fetch() opens document->fd, the caller closes it with document_fini().
 *            Settings are borrowed.
 * Errors     ERR_MISSING (object not there), ERR_DOCUMENT "not-a-pdf", "empty", "too-large", "no-
 *            path", "bad-path"; ERR_TRANSIENT; ERR_CONFIG (key refused, no such bucket); ERR_SYSTEM
 *            (tmpdir full or unwritable); and whatever http_wait()'s check says. Processes worker,
 *            ctl.
 */
#ifndef INDEXOCR_STORAGE_H
#define INDEXOCR_STORAGE_H

#include "err.h"
#include "http.h"
#include "job.h"
#include "settings.h"

struct document {
	int fd; /* owned; read-only use, offset 0; -1 = none */
	int64_t bytes;
	char sha256[65]; /* of the whole file, hexadecimal */
};

void document_fini(struct document *document);

/*
 * An open local file as a document (indexocrctl read), with the same checks; name is for messages. fd is borrowed: the
 * caller opened it, with the rights of whoever asked, and with O_NONBLOCK, lest a named pipe make it wait. http (may be
 * NULL) has its turns meanwhile.
 */
int document_take(struct http *http, const struct set_storage *settings, int fd, const char *name,
	struct document *document, struct err *err);

int storage_fetch(struct http *http, const struct set_environment *environment,
	const struct set_storage *settings, const struct job *job, struct document *document,
	struct err *err);

/* Puts a local file where job->path says (indexocrctl add, demo). */
int storage_put(struct http *http, const struct set_environment *environment,
	const struct set_storage *settings, const char *source, const char *object_path,
	const char *file, struct err *err);

/* Is the bucket of this source there and readable with our key? (indexocrctl check) */
int storage_check(struct http *http, const struct set_environment *environment,
	const struct set_storage *settings, const char *source, struct err *err);

#endif
