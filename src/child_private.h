/*
 * child_private - what the files of the process table share: its entries
 *
 *     child.c        who shall run: births, and being told to go
 *     child_end.c    deaths: reaping, what follows, what is written about them
 *     child_watch.c  who is still there, and whether anybody gets ready at all
 *
 * Included by child*.c only.
 */
#ifndef INDEXOCR_CHILD_PRIVATE_H
#define INDEXOCR_CHILD_PRIVATE_H

#include "child.h"
#include "hang.h"

struct child {
	const struct role *role;        /* NULL = never used */
	const struct one_document *one; /* borrowed */
	bool wanted;
	bool held; /* configuration fault: not before a reload */
	pid_t pid; /* 0 = none */
	int64_t spawn;
	int generation;
	int64_t started_ms;
	int64_t due_ms; /* when it may be started */
	struct restart_past past;
	struct hang hang;
	bool told_to_end;
};

struct child_table {
	struct scoreboard *scoreboard;
	struct child *children; /* owned; one a slot */
	int slots;
	int lifeline_read_fd, lifeline_write_fd;
	void (*after_fork)(void *arg);
	void *arg;
	int64_t last_spawn;
	bool fork_failed;       /* the last one; told */
	int64_t fork_ms;        /* then: not before */
	enum restart_loop loop; /* of the workers */
};

/* "keeper", or the worker's id. */
enum { CHILD_NAME_BYTES = SB_TEXT_BYTES };
void child_name(const struct settings *settings, int slot, char name[CHILD_NAME_BYTES]);

/* While no worker gets ready, the only one that is tried; 0 = all are. */
int child_probe(const struct child_table *t);

#endif
