/*
 * http_easy - a libcurl handle as this program wants it, and libcurl's faults in our terms;
 * shared by http.c and http_stream.c
 *
 * Processes  worker, keeper, ctl.
 */
#ifndef INDEXOCR_HTTP_EASY_H
#define INDEXOCR_HTTP_EASY_H

#include "err.h"

#include <curl/curl.h>
#include <stdint.h>

/* A handle with everything set that never differs; NULL with *err. fault_text receives libcurl's
 * own words (CURL_ERROR_SIZE bytes, the caller's, as long as the handle lives). */
CURL *http_easy(char *fault_text, int64_t connect_timeout_ms, struct err *err);

/* Says a transport fault in our terms; returns -1. where is a host name; fault_text libcurl's
 * words, of which only those about connection and TLS are passed on. */
int http_fault(CURLcode code, const char *where, const char *fault_text, struct err *err);

#endif
