/*
 * result_private - what the files of result.h share: the check of an answer, and its bounds
 *
 * Ownership  everything is borrowed.
 * Processes  worker.
 */
#ifndef INDEXOCR_RESULT_PRIVATE_H
#define INDEXOCR_RESULT_PRIVATE_H

#include "result.h"

enum {
	RESULT_HEADER_KEYS = 4,
	RESULT_ROWS_MAX = 2000, /* rows or lines of a page */
	RESULT_PAGE_BYTES_MAX = 1024 * 1024
};

extern const char *const result_header_keys[RESULT_HEADER_KEYS];

/* 0: every member of body has the type that engine.h gives it and keeps the bounds, and rows or
 * lines are there. ERR_EMPTY, ERR_REQUEST "bad-answer". */
int result_check(const cJSON *body, struct err *err);

/* NULL for an absent member and for null, which mean the same. */
const cJSON *result_member(const cJSON *body, const char *key);

/* A number without fraction from min to max. */
bool result_is_whole(const cJSON *item, int min, int max);

/* Text from outside, made fit for the database; NULL and "" become null. */
void result_add_clean(cJSON *object, const char *key, const char *text);

#endif
