/*
 * title - what ps(1) shows of this process
 *
 * "indexocrd: worker index-ocr-h-3 prod/456 page 4/10". The title is written over the arguments and the
 * environment that the process was started with, so that /proc/PID/cmdline and environ show nothing else
 * any more: both can hold keys. getenv() goes on with copies. There is as much room as those two took;
 * a longer title is cut. Titles hold names, ids and numbers, never a secret.
 *
 * Ownership  title_init() gives argv copies, which stay for the life of the process.
 * Processes  any; a child goes on with its parent's title until it sets its own.
 */
#ifndef INDEXOCR_TITLE_H
#define INDEXOCR_TITLE_H

/* First of all in main(): what points into the arguments or the environment afterwards points into copies. */
void title_init(int argc, char **argv);

/* Behind "indexocrd: ". */
void title_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
