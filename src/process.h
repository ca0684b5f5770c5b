/*
 * process - what a child of the master is handed when it is born
 *
 * Ownership  everything is borrowed from the master's memory as it was at the fork; it lives as
 *            long as the child.
 * Processes  children.
 */
#ifndef INDEXOCR_PROCESS_H
#define INDEXOCR_PROCESS_H

#include "scoreboard.h"
#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

/* One document instead of the queue: a local file (`indexocrctl read`), or a row of one (`process`). */
struct one_document {
	/* the file */
	const char *path;   /* NULL = a row */
	int fd;             /* of it, opened before privileges were dropped */
	const char *source; /* as document_source: which prompt */
	bool text;          /* print the text, not the result document */
	/* the row */
	const char *id; /* NULL = a file */
	const char *environment;
	bool json; /* print what became of it as JSON */
};

struct process {
	const struct settings *settings;
	const struct settings
		*retiring; /* of the generation before, while it has work; NULL = none */
	const struct one_document *one; /* NULL = the queue */
	struct scoreboard *scoreboard;
	int slot;
	int64_t spawn;   /* number of this life: 1, 2, ... over the whole daemon */
	int lifeline_fd; /* readable (end of file) when the master is gone */
};

/* A role is a name and a main function; its result is the exit status (sysexits). */
struct role {
	const char *name;
	int (*main)(const struct process *process);
};

#endif
