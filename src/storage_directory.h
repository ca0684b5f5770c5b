/*
 * storage_directory - documents in a directory: <directory>/<bucket>/<path>
 *
 * Paths are resolved by the kernel beneath the directory: a symbolic link may point about inside,
 * never out (where the kernel is older than 5.6 it is not followed at all). Only regular files are
 * read, and opening never waits.
 *
 * Errors     ERR_MISSING; ERR_DOCUMENT "bad-path"; ERR_CONFIG "no-bucket" (the directory, or the
 *            bucket in it, is not there or not ours to read); ERR_SYSTEM.
 * Processes  worker, ctl.
 */
#ifndef INDEXOCR_STORAGE_DIRECTORY_H
#define INDEXOCR_STORAGE_DIRECTORY_H

#include "document.h"
#include "storage_path.h"

int storage_directory_fetch(struct http *http, const char *directory,
	const struct storage_place *place, struct document_intake *in, struct err *err);
/* Makes the directories that are missing; the file appears whole or not at all. */
int storage_directory_put(const char *directory, const struct storage_place *place,
	const char *file, struct err *err);
int storage_directory_check(const char *directory, const char *bucket, struct err *err);

#endif
