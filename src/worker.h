/*
 * worker - claim, pipeline, settle, until told to stop
 *
 * SIGTERM: finish the document, then go. SIGQUIT: give it back, go. The end of the lifeline (the
 * master is gone) is a SIGTERM with a bound. Idle, it has no connection busy and sleeps until the
 * keeper wakes it.
 *
 * Processes  worker.
 */
#ifndef INDEXOCR_WORKER_H
#define INDEXOCR_WORKER_H

#include "process.h"

extern const struct role worker_role;

#endif
