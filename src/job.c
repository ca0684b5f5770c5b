#include "job.h"

#include <stdlib.h>

void job_fini(struct job *job)
{
	free(job->source);
	free(job->document_number);
	free(job->path);
	*job = (struct job){0};
}
