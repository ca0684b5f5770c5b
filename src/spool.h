/*
 * spool - one local file through the pipeline, its result to standard output
 *
 * What the queue's database does for a claimed row is done in memory here: pages are kept by number
 * and joined at the end.
 *
 * Errors     as of pipeline_run().
 * Processes  worker in one-document mode.
 */
#ifndef INDEXOCR_SPOOL_H
#define INDEXOCR_SPOOL_H

#include "err.h"
#include "pipeline.h"
#include "process.h"

int spool_run(struct pipeline *p, const struct one_document *one, struct err *err);

#endif
