/*
 * show - a status as text for people
 *
 * Pure. Whatever a field holds, no control character comes out but line feeds: a database's error
 * text must not command the terminal.
 *
 * Ownership  texts are the caller's: free().
 * Processes  indexocrctl.
 */
#ifndef INDEXOCR_CTL_SHOW_H
#define INDEXOCR_CTL_SHOW_H

#include <cjson/cJSON.h>
#include <stdint.h>

/* All of it. */
char *show_status(const cJSON *status);
/* An array of its processes alone, with the last death in each slot. */
char *show_workers(const cJSON *processes);

/* "41 s", "3 min", "2 h 5 min", "3 d 4 h"; "-" below zero. */
enum { SHOW_TIME_BYTES = 32 };
const char *show_time(int64_t ms, char text[SHOW_TIME_BYTES]);

/*
 * The text's lines as they fit on a screen: cut at its width and, with a last line that says how many are missing, at its height;
 * each ends with eol.
 */
char *show_fit(const char *text, int columns, int rows, const char *eol);

#endif
