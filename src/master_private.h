/*
 * master_private - what the files of the master share: its state
 *
 *     master.c           its life: start, loop, signals, end
 *     master_children.c  who shall run, and how many
 *     master_stop.c      the phases of a stop, carried out
 *     master_reload.c    the next configuration takes over
 *     master_command.c   what the control socket is asked
 *     master_service.c   what the service manager is told
 *
 * Included by master*.c only.
 */
#ifndef INDEXOCR_MASTER_PRIVATE_H
#define INDEXOCR_MASTER_PRIVATE_H

#include "child.h"
#include "control.h"
#include "generations.h"
#include "lockfile.h"
#include "master.h"
#include "notify.h"
#include "pool.h"
#include "status.h"
#include "stop.h"

enum { FIRST_WORKER = SB_KEEPER + 1 };

struct master {
	const struct master_plan *plan; /* borrowed */
	struct generations generations;
	struct scoreboard *scoreboard;
	struct child_table *children;
	struct control *control; /* NULL = none */
	struct notify *notify;   /* NULL = no service manager asked to be told */
	int64_t keeper_stamp_ms; /* its last sign of life, and when that was first seen */
	int64_t keeper_heard_ms;
	struct pool pool;
	struct stop stop;
	int64_t progress_ms; /* of a drain, when to log it next */
	int wake_fd;
	int lifeline[2];
	struct lockfile *lock; /* NULL = none */
	int exit_status;
};

/* The settings in force. */
const struct settings *master_settings(const struct master *m);
/* Not on its way out. */
bool master_is_running(const struct master *m);

/* master_children.c */
int master_last_slot(const struct master *m);
int master_workers_running(const struct master *m);
/* In a new child, first of all. */
void master_forget_in_child(void *arg);
/* How many workers there shall be follows from what was asked for and what is ready; each slot then has its process or none. */
void master_tend_pool(struct master *m);
void master_scale(struct master *m, int workers);
/* As child_reap() wants it. */
void master_child_ended(void *arg, int slot, int wait_status);

/* master_stop.c */
void master_order_stop(struct master *m, enum stop_phase phase, const char *why);
/* The first time a drain; a second signal, or any for a single file that somebody waits for, interrupts. */
void master_stop_by_signal(struct master *m, const char *why, int status);
/* Moves a stop along; true when all is gone. */
bool master_stopped(struct master *m);

/* master_reload.c */
enum reload_outcome master_reload(struct master *m);
/* Replaces children of the generation before as they fall idle, and takes over what waits for that. */
void master_tend_generations(struct master *m);
void master_log_warnings(const struct settings *settings);

/* master_command.c: as control_serve() wants them. */
extern const struct control_command master_commands[];
/* Borrows from m. */
struct status_facts master_facts(const struct master *m);

/* master_service.c: a reload is followed by ready, whatever came of it; turn is for every turn of the loop. */
void master_tell_ready(struct master *m);
/* While children of the previous daemon are waited for; arg is the master. False = wait no more. */
bool master_waits(void *arg);
void master_tell_reloading(struct master *m);
void master_tell_stopping(struct master *m);
void master_tell_turn(struct master *m);

#endif
