#include "child_private.h"
#include "clock.h"
#include "fdio.h"
#include "log.h"
#include "mem.h"
#include "signals.h"
#include "title.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORK_RETRY_MS = 1000, OBITUARY_RETRY_MS = 200 };

struct child_table *child_table_new(struct scoreboard *scoreboard, int lifeline_read_fd,
	int lifeline_write_fd, void (*after_fork)(void *arg), void *arg)
{
	struct child_table *t = mem_calloc(1, sizeof *t);

	t->scoreboard = scoreboard;
	t->slots = scoreboard_slots(scoreboard);
	t->children = mem_calloc((size_t)t->slots, sizeof *t->children);
	t->lifeline_read_fd = lifeline_read_fd;
	t->lifeline_write_fd = lifeline_write_fd;
	t->after_fork = after_fork;
	t->arg = arg;
	crash_prepare();
	/* What a killed child leaves behind is ours to reap, as it is for process 1 of a container. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	return t;
}

void child_table_free(struct child_table *t)
{
	if (t == NULL)
		return;
	free(t->children);
	free(t);
}

void child_want(
	struct child_table *t, int slot, const struct role *role, const struct one_document *one)
{
	struct child *c = &t->children[slot];

	if (c->wanted)
		return;
	c->role = role;
	c->one = one;
	c->wanted = true;
	c->held = false;
	c->due_ms = 0;
	c->past = (struct restart_past){0};
}

void child_unwant(struct child_table *t, int slot)
{
	struct child *c = &t->children[slot];

	c->wanted = false;
	if (c->pid != 0)
		child_stop(t, slot, CHILD_DRAIN);
	else if (c->role != NULL)
		scoreboard_retire(t->scoreboard, slot);
}

bool child_is_wanted(const struct child_table *t, int slot)
{
	return t->children[slot].wanted;
}

bool child_is_running(const struct child_table *t, int slot)
{
	return t->children[slot].pid != 0;
}

pid_t child_pid(const struct child_table *t, int slot)
{
	return t->children[slot].pid;
}

int child_generation(const struct child_table *t, int slot)
{
	return t->children[slot].generation;
}

int child_running(const struct child_table *t, int from, int to)
{
	int count = 0;

	for (int i = from; i <= to && i < t->slots; i++)
		count += t->children[i].pid != 0;
	return count;
}

void child_stop(struct child_table *t, int slot, enum child_stop how)
{
	static const int numbers[] = {
		[CHILD_DRAIN] = SIGTERM, [CHILD_INTERRUPT] = SIGQUIT, [CHILD_KILL] = SIGKILL};
	struct child *c = &t->children[slot];

	if (c->pid == 0 || (how == CHILD_DRAIN && c->told_to_end))
		return;
	c->told_to_end = true;
	(void)kill(c->pid, numbers[how]);
	scoreboard_post(t->scoreboard, slot, SB_DRAINING, c->pid, c->spawn);
}

/* ---- birth */

static void name_process(const char *role, int slot)
{
	char name[16];

	(void)snprintf(name, sizeof name, "ocr-%s-%d", role, slot % 10000);
	(void)prctl(PR_SET_NAME, name);
	title_set("%s", role);
}

static _Noreturn void live(struct child_table *t, int slot, const struct settings *settings,
	const struct settings *retiring)
{
	const struct child *c = &t->children[slot];
	const struct process process = {
		settings, retiring, c->one, t->scoreboard, slot, c->spawn, t->lifeline_read_fd};

	(void)close(t->lifeline_write_fd);
	t->after_fork(t->arg);
	scoreboard_keep_events(t->scoreboard, slot);
	name_process(c->role->name, slot);
	if (slot != SB_KEEPER) /* who sees the others out, by the lifeline */
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	crash_watch(scoreboard_last_words(t->scoreboard, slot));
	exit(c->role->main(&process));
}

/* What keeps one from being forked (a limit of processes, memory) keeps all: it is told once, and tried again for all. */
static void fork_failed(struct child_table *t, int slot, int cause)
{
	const struct child *c = &t->children[slot];
	char why[SB_TEXT_BYTES];

	if (!t->fork_failed)
		log_event(LEVEL_ERROR, "master",
			&(struct log_more){.ms = -1, .error = strerror(cause)},
			"Cannot fork a %s; trying again every second", c->role->name);
	t->fork_failed = true;
	t->fork_ms = clock_boot_ms() + FORK_RETRY_MS;
	(void)snprintf(why, sizeof why, "cannot be forked: %s", strerror(cause));
	scoreboard_post(t->scoreboard, slot, SB_WAITING, 0, c->spawn);
	scoreboard_post_why(t->scoreboard, slot, t->fork_ms, why);
}

static void start(struct child_table *t, int slot, const struct settings *settings,
	const struct settings *retiring, int generation)
{
	struct child *c = &t->children[slot];
	pid_t pid;
	int cause;

	c->spawn = ++t->last_spawn;
	c->generation = generation;
	c->started_ms = clock_boot_ms();
	c->told_to_end = false;
	hang_begin(&c->hang, c->started_ms);
	/* The post stands before the child can be seen alive. */
	scoreboard_born_with(t->scoreboard, slot, generation);
	scoreboard_post(t->scoreboard, slot, SB_RUNNING, 0, c->spawn);
	scoreboard_post_why(t->scoreboard, slot, 0, "");
	signals_block();
	pid = fork();
	if (pid == 0)
		live(t, slot, settings, retiring);
	cause = errno;
	signals_unblock();
	if (pid == -1) {
		fork_failed(t, slot, cause);
		return;
	}
	if (t->fork_failed)
		log_event(LEVEL_INFO, "master", NULL, "Forking works again");
	t->fork_failed = false;
	c->pid = pid;
	scoreboard_post(t->scoreboard, slot, SB_RUNNING, pid, c->spawn);
}

/* probe: the only worker that may be tried; 0 = all. */
static bool may_start(const struct child_table *t, int slot, int probe)
{
	const struct child *c = &t->children[slot];

	return c->wanted && !c->held && c->pid == 0 &&
	       (probe == 0 || slot == probe || slot == SB_KEEPER);
}

static int64_t due_ms(const struct child_table *t, int slot)
{
	const int64_t own_ms = t->children[slot].due_ms;

	return t->fork_failed && t->fork_ms > own_ms ? t->fork_ms : own_ms;
}

int64_t child_start_due(struct child_table *t, const struct settings *settings,
	const struct settings *retiring, int generation)
{
	const int probe = child_probe(t);
	int64_t next = -1;

	for (int i = 0; i < t->slots; i++) {
		struct child *c = &t->children[i];
		const int64_t now = clock_boot_ms();

		if (!may_start(t, i, probe))
			continue;
		if (c->due_ms <= now && !scoreboard_obituary_room(t->scoreboard, i))
			c->due_ms = now + OBITUARY_RETRY_MS;
		if (due_ms(t, i) <= now)
			start(t, i, settings, retiring, generation);
		if (c->pid == 0 && (next == -1 || due_ms(t, i) < next))
			next = due_ms(t, i);
	}
	return next;
}

void child_forgive(struct child_table *t)
{
	if (t->loop == RESTART_LOOP_ON)
		t->loop = RESTART_LOOP_FORGIVEN;
	for (int i = 0; i < t->slots; i++) {
		t->children[i].held = false;
		t->children[i].due_ms = 0;
		t->children[i].past = restart_forgive(&t->children[i].past);
	}
}
