/*
 * conf_form - what the texts in the configuration file must look like
 *
 * Each form has a test and the words that say it to people. An empty text fits none of them but
 * conf_form_header; whether a key may be empty stands in the table (conf_table.c).
 *
 * Ownership  constant.
 * Processes  any.
 */
#ifndef INDEXOCR_CONF_FORM_H
#define INDEXOCR_CONF_FORM_H

#include <stdbool.h>

struct conf_form {
	const char *text; /* "an absolute path" */
	bool (*fits)(const char *value);
};

extern const struct conf_form conf_form_any;
extern const struct conf_form conf_form_path;
extern const struct conf_form conf_form_name;
extern const struct conf_form conf_form_worker_id;
extern const struct conf_form conf_form_user;
extern const struct conf_form conf_form_column;
extern const struct conf_form conf_form_table; /* may be schema.table */
extern const struct conf_form conf_form_http;
extern const struct conf_form conf_form_database;
extern const struct conf_form conf_form_redis;
extern const struct conf_form conf_form_storage;
extern const struct conf_form conf_form_bucket;
extern const struct conf_form conf_form_model;
extern const struct conf_form conf_form_languages;
extern const struct conf_form conf_form_prefix;
extern const struct conf_form conf_form_header; /* what may stand in an HTTP header */
extern const struct conf_form conf_form_listen;

#endif
