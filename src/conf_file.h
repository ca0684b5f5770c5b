/*
 * conf_file - the files a configuration is read from: bounded, regular, and not for everybody
 *
 * Ownership  conf_file_text() is the caller's: mem_free_secret().
 * Errors     ERR_CONFIG; the text names the file, and code "missing" says that it is not there.
 * Processes  as conf.h.
 */
#ifndef INDEXOCR_CONF_FILE_H
#define INDEXOCR_CONF_FILE_H

#include "err.h"

#include <stdbool.h>

/* The whole text of a regular file of at most 1 MB, valid UTF-8 without NUL. *open_to_others: may
 * users who are neither its owner nor in its group read it? NULL = refuse such a file. */
char *conf_file_text(const char *path, bool *open_to_others, struct err *err);

/*
 * The one line of a secret's own file. Open to others only below /run/secrets, where container
 * engines mount secrets with mode 0444 for the container alone.
 */
char *conf_file_secret(const char *path, struct err *err);

#endif
