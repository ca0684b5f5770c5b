/*
 * storage_path - where the object behind a supabase_path lies; pure
 *
 * A supabase_path is written by strangers. It is one of <path>, <bucket>/<path>, or a URL of the
 * same Supabase project; only URLs are percent-decoded, once. What comes out has no empty, "." or
 * ".." segment, no control character, no backslash, is valid UTF-8 and at most 1,024 bytes long.
 *
 * Ownership  storage_places_fini() frees what storage_places_find() filled.
 * Errors     ERR_DOCUMENT "no-path", "bad-path"; ERR_CONFIG "no-bucket" where the source has none.
 * Processes  worker, ctl.
 */
#ifndef INDEXOCR_STORAGE_PATH_H
#define INDEXOCR_STORAGE_PATH_H

#include "err.h"
#include "settings.h"

#include <stddef.h>

enum { STORAGE_PLACES_MAX = 2, STORAGE_PATH_MAX_BYTES = 1024 };

struct storage_place {
	char *bucket; /* owned, decoded */
	char *path;   /* owned, decoded, segments separated by "/" */
};

/* In the order to try: a first segment that names a configured bucket may be a directory's name
 * after all. */
struct storage_places {
	struct storage_place items[STORAGE_PLACES_MAX];
	size_t count;
};

/* supabase_url: the project's address, NULL where there is none (then URLs are refused). */
int storage_places_find(struct storage_places *places, const struct set_storage *settings,
	const char *supabase_url, const char *source, const char *supabase_path, struct err *err);
void storage_places_fini(struct storage_places *places);

/* The bucket of a source, NULL = none configured. Borrowed. */
const char *storage_bucket(const struct set_storage *settings, const char *source);

/* {supabase_url}/storage/v1/{route}/{bucket}/{path}, encoded segment by segment; path may be NULL.
 * free() it. */
char *storage_url(
	const char *supabase_url, const char *route, const char *bucket, const char *path);

#endif
