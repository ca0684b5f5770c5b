/*
 * oom - whom the kernel takes when memory runs out
 *
 * A helper holds nothing that is not there a second time, and the page it was about is tried again: it
 * goes first, before the worker whose document it belongs to, and long before the master.
 *
 * Errors     none: without it the largest process goes, which is mostly a helper anyway.
 * Processes  helpers, first of all: a process that is not dumpable may not write its own score.
 */
#ifndef INDEXOCR_OOM_H
#define INDEXOCR_OOM_H

void oom_volunteer(void);

#endif
