/*
 * fdio - small things done with descriptors
 *
 * Errors     -1 and *err of kind ERR_SYSTEM; where a call of the system failed, errno is kept.
 * Processes  any.
 */
#ifndef INDEXOCR_FDIO_H
#define INDEXOCR_FDIO_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* close() unless -1, and sets it to -1. */
void fd_close(int *fd);
int fd_set_nonblocking(int fd, struct err *err);

/* All of it, whatever signals come between. */
int fd_write_all(int fd, const void *data, size_t len, struct err *err);

/* A whole file into an empty buf; past b->max_bytes an error. */
int fd_read_file(const char *path, struct buf *b, struct err *err);

/*
 * An unnamed file for a document: a memfd while memory, else O_TMPFILE in tmpdir (a memfd too where
 * the file system has no O_TMPFILE). Close-on-exec.
 */
int fd_unnamed(const char *tmpdir, bool memory, struct err *err);

/* Bytes from one descriptor (from its start) appended to another. */
int fd_copy(int from, int to, int64_t bytes, struct err *err);

#endif
