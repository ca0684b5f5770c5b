/*
 * job - the claimed row that travels through the program
 *
 * Filled by queue_claim(), or by the worker itself for `indexocrctl read`; job_fini() frees it.
 *
 * Ownership  every pointer is owned by the job unless marked borrowed.
 * Processes  worker.
 */
#ifndef INDEXOCR_JOB_H
#define INDEXOCR_JOB_H

#include <stdint.h>

enum { CLAIM_TOKEN_BYTES = 256, JOB_ID_BYTES = 40 };

struct job {
	const char *environment;       /* borrowed from the settings; "" for a local file */
	char id[JOB_ID_BYTES];         /* bigint or uuid, always as text */
	char token[CLAIM_TOKEN_BYTES]; /* the fence: <worker id>/<daemon>/<spawn>/<n> */
	char *source;                  /* document_source: "index", "acte", ... */
	char *document_number;         /* may be NULL */
	char *path;                    /* supabase_path; NULL where the row has none */
	int64_t number; /* of this claim in its child's life: the last part of the token */
	int attempt;    /* 1 for the first */
	int max_attempts;
	int64_t waited_ms;      /* created -> claimed, by the database's clock */
	int64_t valid_until_ms; /* boot time at which the lease ends unless renewed */
};

void job_fini(struct job *job);

#endif
