/*
 * render_limits - what the renderer may use of the machine while it reads a stranger's file
 *
 * Set by the helper itself before it opens the document, so that they hold however it was started.
 *
 * Errors     -1 and *err of kind ERR_SYSTEM.
 * Processes  indexocr-render.
 */
#ifndef INDEXOCR_RENDER_LIMITS_H
#define INDEXOCR_RENDER_LIMITS_H

#include "../err.h"

#include <stdint.h>

/*
 * Closes all descriptors but 0, 1 and 2, drops the environment, and bounds memory, files,
 * descriptors, processor time (cpu_s for each page, pages_max of them) and core dumps. 0 = no bound
 * on memory or time.
 */
int limits_enter(int64_t memory_bytes, int64_t cpu_s, int64_t pages_max, struct err *err);

/* A page begins: it has cpu_s seconds of processor time from here on; 0 = no bound. */
int limits_page(int64_t cpu_s, struct err *err);

#endif
