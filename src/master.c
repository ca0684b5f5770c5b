#include "clock.h"
#include "fdio.h"
#include "hash.h"
#include "limiter.h"
#include "log.h"
#include "master_private.h"
#include "signals.h"
#include "startup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { TICK_MS = 1000, ORPHANS_MS = 2000 };

const struct settings *master_settings(const struct master *m)
{
	return m->generations.current;
}

bool master_is_running(const struct master *m)
{
	return m->stop.phase == STOP_NONE;
}

/* ---- signals */

static void reopen_logs(struct master *m)
{
	log_reopen();
	for (int i = 0; i <= master_last_slot(m); i++)
		if (child_is_running(m->children, i))
			(void)kill(child_pid(m->children, i), SIGUSR1);
}

static void take_signals(struct master *m)
{
	if (signals_take(SIGCHLD))
		child_reap(m->children, master_settings(m), master_child_ended, m);
	if (signals_take(SIGTERM))
		master_stop_by_signal(m, "SIGTERM", 128 + SIGTERM);
	if (signals_take(SIGINT))
		master_stop_by_signal(m, "SIGINT", 128 + SIGINT);
	if (signals_take(SIGQUIT))
		master_order_stop(m, STOP_INTERRUPT, "SIGQUIT");
	if (signals_take(SIGHUP) && m->plan->one == NULL && master_is_running(m))
		(void)master_reload(m);
	if (signals_take(SIGUSR1))
		reopen_logs(m);
	if (signals_take(SIGTTIN))
		master_scale(m, m->pool.asked + 1);
	if (signals_take(SIGTTOU))
		master_scale(m, m->pool.asked - 1);
}

/* ---- life */

static int next_wait_ms(const struct master *m, int64_t due_ms)
{
	const int64_t feed_ms = notify_due_ms(m->notify, clock_boot_ms());
	int64_t until = clock_boot_ms() + TICK_MS;

	if (due_ms != -1 && due_ms < until)
		until = due_ms;
	if (!master_is_running(m) && m->stop.ends_ms < until)
		until = m->stop.ends_ms;
	if (feed_ms != -1 && feed_ms < until)
		until = feed_ms;
	return clock_left_ms(until) > 0 ? clock_left_ms(until) : 10;
}

static void sleep_until_something(struct master *m, int64_t due_ms)
{
	struct pollfd fds[1 + CONTROL_FDS_MAX] = {{.fd = m->wake_fd, .events = POLLIN}};
	const size_t count = 1 + control_poll_fds(m->control, fds + 1);
	uint64_t events;

	(void)poll(fds, (nfds_t)count, next_wait_ms(m, due_ms));
	(void)!read(m->wake_fd, &events, sizeof events);
}

static void run(struct master *m)
{
	const struct generations *g = &m->generations;

	while (!master_stopped(m)) {
		int64_t due_ms;

		if (master_is_running(m))
			master_tend_pool(m);
		master_tend_generations(m);
		due_ms = child_start_due(m->children, g->current, g->retiring, g->number);
		master_tell_turn(m);
		sleep_until_something(m, due_ms);
		take_signals(m);
		child_watch(m->children, g->current);
		control_serve(
			m->control, clock_boot_ms(), master_commands, !master_is_running(m), m);
	}
}

/* Signals are caught first of all: a start may have to wait, and process 1 of a container is deaf without. */
static int catch_signals(struct master *m, struct err *err)
{
	static const int caught[] = {
		SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGTTIN, SIGTTOU, SIGCHLD, 0};
	static const int ignored[] = {0};

	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->wake_fd == -1 || pipe2(m->lifeline, O_CLOEXEC) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot make the lifeline");
	signals_catch(caught, ignored, m->wake_fd);
	return 0;
}

/* As startup_run(). */
static int start_up(struct master *m, char *daemon, char *previous, struct err *err)
{
	const struct startup_plan plan = {
		.settings = master_settings(m),
		.alone = m->plan->one != NULL,
		.daemon = daemon,
		.wake_fd = m->wake_fd,
		.waiting = master_waits,
		.waiting_arg = m,
	};

	hash_random_hex(daemon, SB_DAEMON_BYTES - 1);
	return startup_run(&plan, &m->lock, previous, SB_DAEMON_BYTES, err);
}

/* 0, 1 = told to stop before it began, -1. */
static int prepare(struct master *m, struct err *err)
{
	char daemon[SB_DAEMON_BYTES];
	char previous[SB_DAEMON_BYTES];
	int rc;

	if (catch_signals(m, err) != 0)
		return -1;
	rc = start_up(m, daemon, previous, err);
	if (rc != 0)
		return rc;
	if (scoreboard_new(&m->scoreboard, master_settings(m)->workers_limit,
		    limiter_shared_bytes(), err) != 0 ||
		generations_register(&m->generations, m->scoreboard, err) != 0)
		return -1;
	limiter_publish(scoreboard_limiter(m->scoreboard), &master_settings(m)->limits);
	scoreboard_set_daemon(m->scoreboard, daemon, previous);
	if (m->plan->one == NULL && master_settings(m)->status.socket[0] != '\0' &&
		control_open(&m->control, master_settings(m)->status.socket, err) != 0)
		return -1;
	m->children = child_table_new(
		m->scoreboard, m->lifeline[0], m->lifeline[1], master_forget_in_child, m);
	return 0;
}

static void clean_up(struct master *m)
{
	child_table_free(m->children);
	child_see_out(ORPHANS_MS);
	control_close(m->control);
	notify_close(m->notify);
	lockfile_close(m->lock);
	scoreboard_free(m->scoreboard);
	fd_close(&m->lifeline[0]);
	fd_close(&m->lifeline[1]);
	fd_close(&m->wake_fd);
	generations_fini(&m->generations);
}

static int refuse(struct master *m, const struct err *why)
{
	log_event(LEVEL_ERROR, "master", &(struct log_more){.ms = -1, .error = why->text},
		"Cannot start");
	clean_up(m);
	return why->kind == ERR_CONFIG ? EX_CONFIG : EX_CANTCREAT;
}

int master_run(struct settings *settings, const struct master_plan *plan)
{
	struct master m = {
		.plan = plan,
		.generations = {.current = settings, .number = 1},
		.wake_fd = -1,
		.lifeline = {-1, -1},
	};
	struct err err;
	int rc;

	pool_ask(&m.pool, settings->workers, settings->workers_limit);
	m.notify = plan->one == NULL ? notify_open() : NULL;
	rc = prepare(&m, &err);
	if (rc == -1)
		return refuse(&m, &err);
	if (rc == 1) {
		clean_up(&m);
		return EX_OK;
	}
	m.keeper_heard_ms = clock_boot_ms();
	if (plan->ready != NULL)
		plan->ready(plan->arg);
	master_tell_ready(&m);
	master_log_warnings(master_settings(&m));
	if (plan->one == NULL)
		log_event(LEVEL_INFO, "master", NULL, "indexocrd %s started, daemon %s, %d workers",
			PACKAGE_VERSION, scoreboard_daemon(m.scoreboard), m.pool.wanted);
	run(&m);
	if (plan->one == NULL)
		log_event(LEVEL_INFO, "master", NULL, "Stopped");
	clean_up(&m);
	return m.exit_status;
}
