#include "master.h"

#include "child.h"
#include "clock.h"
#include "conf.h"
#include "control.h"
#include "fdio.h"
#include "hash.h"
#include "json.h"
#include "limiter.h"
#include "lockfile.h"
#include "log.h"
#include "signals.h"
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	TICK_MS = 1000,
	KILL_AFTER_MS = 10000,
	FIRST_WORKER = SB_KEEPER + 1,
	SPARE_DESCRIPTORS = 256
};

enum phase {
	RUNNING,
	DRAINING,     /* workers finish what they have */
	INTERRUPTING, /* workers give back what they have */
	KILLING,      /* somebody did not listen */
	CLOSING       /* workers are gone, the keeper puts things in order */
};

struct master {
	const struct master_plan *plan; /* borrowed */
	struct settings *settings;      /* owned */
	struct settings
		*retiring; /* owned; of the generation before, NULL = nobody works under them */
	bool reload_wanted;
	struct scoreboard *scoreboard;
	struct child_table *children;
	struct control *control; /* NULL = none */
	int wake_fd;
	int lifeline[2];
	int lock_fd;
	int workers;    /* wanted now: settings->workers, then TTIN, TTOU, scale */
	int generation; /* of the configuration */
	enum phase phase;
	int64_t phase_ends_ms;
	int exit_status;
	char reload_error[512];
};

/* ---- children */

static void forget_in_child(void *arg)
{
	struct master *m = arg;

	control_forget(m->control);
}

static void want_children(struct master *m)
{
	child_want(m->children, SB_KEEPER, m->plan->keeper, m->plan->one);
	for (int i = FIRST_WORKER; i < scoreboard_slots(m->scoreboard); i++) {
		if (i < FIRST_WORKER + m->workers)
			child_want(m->children, i, m->plan->worker, m->plan->one);
		else if (child_is_wanted(m->children, i))
			child_unwant(m->children, i);
	}
}

static int last_slot(const struct master *m)
{
	return scoreboard_slots(m->scoreboard) - 1;
}

static int workers_running(const struct master *m)
{
	return child_running(m->children, FIRST_WORKER, last_slot(m));
}

static void stop_workers(struct master *m, enum child_stop how)
{
	for (int i = FIRST_WORKER; i <= last_slot(m); i++)
		child_stop(m->children, i, how);
}

static const char *child_name(const struct master *m, int slot, char *text, size_t size)
{
	if (slot == SB_KEEPER)
		(void)snprintf(text, size, "keeper");
	else
		(void)snprintf(text, size, "%s-%d", m->settings->worker_id, slot);
	return text;
}

/* ---- stopping */

static void enter(struct master *m, enum phase phase, int64_t for_ms)
{
	m->phase = phase;
	m->phase_ends_ms = clock_boot_ms() + for_ms;
	scoreboard_draining(m->scoreboard, true);
	for (int i = FIRST_WORKER; i <= last_slot(m); i++)
		child_unwant(m->children, i);
	if (phase == INTERRUPTING)
		stop_workers(m, CHILD_INTERRUPT);
	else if (phase == KILLING)
		stop_workers(m, CHILD_KILL);
	else if (phase == CLOSING)
		child_unwant(m->children, SB_KEEPER);
}

static void drain(struct master *m, const char *why)
{
	if (m->phase != RUNNING)
		return;
	log_event(LEVEL_INFO, "master", NULL, "%s: draining, waiting for %d workers", why,
		workers_running(m));
	enter(m, DRAINING, m->settings->supervise.drain_timeout_ms);
}

/* The first time; a second signal, or any for a single file that somebody waits for, interrupts. */
static void stop_by_signal(struct master *m, const char *why, int status)
{
	if (m->plan->one != NULL)
		m->exit_status = status;
	if (m->phase != RUNNING || m->plan->one != NULL) {
		log_event(LEVEL_INFO, "master", NULL, "%s again: interrupting %d workers", why,
			workers_running(m));
		enter(m, INTERRUPTING, KILL_AFTER_MS);
		return;
	}
	drain(m, why);
}

/* Moves a stop along; true when all is gone. */
static bool stopped(struct master *m)
{
	const bool late = clock_boot_ms() >= m->phase_ends_ms;

	if (m->phase == RUNNING)
		return false;
	if (m->phase != CLOSING && workers_running(m) == 0)
		enter(m, CLOSING, KILL_AFTER_MS);
	else if (late && m->phase == CLOSING)
		child_stop(m->children, SB_KEEPER, CHILD_KILL);
	else if (late && m->phase == DRAINING) {
		log_event(LEVEL_WARN, "master", NULL,
			"drain_timeout has passed: interrupting %d workers", workers_running(m));
		enter(m, INTERRUPTING, KILL_AFTER_MS);
	} else if (late && m->phase == INTERRUPTING) {
		log_event(LEVEL_WARN, "master", NULL, "killing %d workers that do not end",
			workers_running(m));
		enter(m, KILLING, KILL_AFTER_MS);
	}
	return workers_running(m) == 0 && !child_is_running(m->children, SB_KEEPER);
}

static void child_ended(
	void *arg, int slot, pid_t pid, int wait_status, const struct restart_decision *d)
{
	struct master *m = arg;
	char name[SB_TEXT_BYTES];

	(void)child_name(m, slot, name, sizeof name);
	if (m->plan->one != NULL && slot == FIRST_WORKER) {
		if (m->phase == RUNNING)
			m->exit_status =
				WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : EX_SOFTWARE;
		enter(m, CLOSING, KILL_AFTER_MS);
	}
	if (m->plan->one != NULL && WIFEXITED(wait_status))
		return; /* it has said why itself */
	if (d->reason[0] == '\0')
		log_event(LEVEL_DEBUG, "master", NULL, "%s (pid %ld) has ended", name, (long)pid);
	else if (d->hold)
		log_event(LEVEL_ERROR, "master", NULL,
			"%s (pid %ld) ended with a configuration fault, not started again before a "
			"reload",
			name, (long)pid);
	else
		log_event(LEVEL_WARN, "master", NULL, "%s (pid %ld) ended: %s%s", name, (long)pid,
			d->reason,
			d->throttled          ? ", throttled"
			: m->phase == RUNNING ? ", starting it again"
					      : "");
}

/* ---- configuration */

static int register_environments(
	struct scoreboard *sb, const struct settings *settings, struct err *err)
{
	for (size_t i = 0; i < settings->environment_count; i++)
		if (scoreboard_environment_index(sb, settings->environments[i].name,
			    settings->environments[i].database) == -1)
			return err_set(err, ERR_CONFIG, "environments",
				"more than %d different environments in this daemon's life: "
				"restart it",
				SB_ENVIRONMENTS_MAX);
	return 0;
}

static void register_secrets(const struct settings *s)
{
	for (size_t i = 0; i < s->environment_count; i++) {
		log_secret(s->environments[i].database);
		log_secret(s->environments[i].listen_database);
		log_secret(s->environments[i].service_key);
	}
	log_secret(s->gemini.api_key);
	log_secret(s->openai.api_key);
	log_secret(s->redis.url);
}

/*
 * The keeper is replaced at once, and serves both generations; workers finish what they have under the old configuration.
 * When the last of them is gone, so are the old settings.
 */
static void replace_old_children(struct master *m)
{
	bool old = false;

	if (m->retiring == NULL)
		return;
	for (int i = 0; i <= last_slot(m); i++) {
		if (!child_is_running(m->children, i) ||
			child_generation(m->children, i) == m->generation)
			continue;
		old = true;
		child_stop(m->children, i, CHILD_DRAIN);
	}
	if (old)
		return;
	conf_free(m->retiring);
	m->retiring = NULL;
}

static void log_warnings(const struct settings *settings)
{
	for (size_t i = 0; i < settings->warnings.count; i++)
		log_event(LEVEL_WARN, "master", NULL, "%s", settings->warnings.items[i]);
}

/* What cannot change without a restart stays, and is named. */
static void keep_fixed(struct settings *fresh, const struct settings *running)
{
	char *fixed = conf_diff(running, fresh);

	if (fixed == NULL)
		return;
	log_event(
		LEVEL_WARN, "master", NULL, "Changed, but only a restart takes it over: %s", fixed);
	conf_keep(fresh, running);
	free(fixed);
}

static void take_over(struct master *m, struct settings *fresh)
{
	struct err err;

	keep_fixed(fresh, m->settings);
	register_secrets(fresh);
	m->retiring = m->settings;
	m->settings = fresh;
	m->workers = fresh->workers;
	m->generation++;
	m->reload_error[0] = '\0';
	m->reload_wanted = false;
	if (log_open(&fresh->log, "indexocrd", NULL, fresh->user, &err) != 0)
		log_event(LEVEL_ERROR, "master", &(struct log_more){.ms = -1, .error = err.text},
			"Going on without a log file");
	child_forgive(m->children);
	log_event(LEVEL_INFO, "master", NULL, "Reloaded, generation %d", m->generation);
	log_warnings(fresh);
}

/* Never more than two generations live: while one is retiring, a good file waits for it, and is read again then. */
static int reload(struct master *m)
{
	struct err err;
	struct settings *fresh = m->plan->load(m->plan->load_arg, &err);

	if (fresh == NULL || register_environments(m->scoreboard, fresh, &err) != 0) {
		conf_free(fresh);
		(void)snprintf(m->reload_error, sizeof m->reload_error, "%s", err.text);
		log_event(LEVEL_ERROR, "master", &(struct log_more){.ms = -1, .error = err.text},
			"Reload refused, going on with the configuration in force");
		return -1;
	}
	if (m->retiring == NULL) {
		take_over(m, fresh);
		return 0;
	}
	if (!m->reload_wanted)
		log_event(LEVEL_INFO, "master", NULL,
			"Reload waits until the workers of the last one have finished");
	m->reload_wanted = true;
	conf_free(fresh);
	return 0;
}

static void scale(struct master *m, int workers)
{
	const int limit = last_slot(m);

	m->workers = workers < 0 ? 0 : workers > limit ? limit : workers;
	log_event(LEVEL_INFO, "master", NULL, "%d workers wanted", m->workers);
}

/* ---- commands */

static cJSON *answer(bool ok, const char *error)
{
	cJSON *out = cJSON_CreateObject();

	cJSON_AddBoolToObject(out, "ok", ok);
	if (!ok)
		json_add_text(out, "error", error);
	return out;
}

static cJSON *scale_to(struct master *m, const char *argument)
{
	char *end;
	const long workers = strtol(argument, &end, 10);

	if (*argument == '\0' || *end != '\0' || workers < 0 || workers > last_slot(m))
		return answer(false, "scale wants a number of workers from 0 to workers_limit");
	scale(m, (int)workers);
	return answer(true, NULL);
}

static cJSON *command(void *arg, const char *word, const char *argument)
{
	struct master *m = arg;

	if (strcmp(word, "status") == 0)
		return status_json(m->scoreboard, m->settings, m->generation, m->reload_error);
	if (strcmp(word, "drain") == 0) {
		drain(m, "indexocrctl drain");
		return answer(true, NULL);
	}
	if (m->phase != RUNNING)
		return answer(false, "the daemon is draining");
	if (strcmp(word, "reload") == 0)
		return reload(m) == 0 ? answer(true, NULL) : answer(false, m->reload_error);
	if (strcmp(word, "scale") == 0)
		return scale_to(m, argument);
	return answer(false, "unknown command");
}

static void reopen_logs(struct master *m)
{
	log_reopen();
	for (int i = 0; i <= last_slot(m); i++)
		if (child_is_running(m->children, i))
			(void)kill(child_pid(m->children, i), SIGUSR1);
}

static void take_signals(struct master *m)
{
	if (signals_take(SIGCHLD))
		child_reap(m->children, &m->settings->supervise, child_ended, m);
	if (signals_take(SIGTERM))
		stop_by_signal(m, "SIGTERM", 128 + SIGTERM);
	if (signals_take(SIGINT))
		stop_by_signal(m, "SIGINT", 128 + SIGINT);
	if (signals_take(SIGQUIT)) {
		log_event(LEVEL_INFO, "master", NULL, "SIGQUIT: stopping now");
		enter(m, INTERRUPTING, KILL_AFTER_MS);
	}
	if (signals_take(SIGHUP) && m->plan->one == NULL && m->phase == RUNNING)
		(void)reload(m);
	if (signals_take(SIGUSR1))
		reopen_logs(m);
	if (signals_take(SIGTTIN))
		scale(m, m->workers + 1);
	if (signals_take(SIGTTOU))
		scale(m, m->workers - 1);
}

/* ---- life */

static int next_wait_ms(const struct master *m, int64_t due_ms)
{
	int64_t until = clock_boot_ms() + TICK_MS;

	if (due_ms != -1 && due_ms < until)
		until = due_ms;
	if (m->phase != RUNNING && m->phase_ends_ms < until)
		until = m->phase_ends_ms;
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
	while (!stopped(m)) {
		int64_t due_ms;

		if (m->phase == RUNNING)
			want_children(m);
		replace_old_children(m);
		if (m->phase == RUNNING && m->reload_wanted && m->retiring == NULL)
			(void)reload(m);
		due_ms = child_start_due(m->children, m->settings, m->retiring, m->generation);
		sleep_until_something(m, due_ms);
		take_signals(m);
		control_serve(m->control, command, m);
	}
}

/* Descriptors: one eventfd a slot, and some. */
static void raise_descriptor_limit(int slots)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
		limit.rlim_cur >= (rlim_t)(slots + SPARE_DESCRIPTORS))
		return;
	limit.rlim_cur = (rlim_t)(slots + SPARE_DESCRIPTORS);
	if (limit.rlim_max < limit.rlim_cur)
		limit.rlim_max =
			limit.rlim_cur; /* works for root only; without it fewer slots will do or fail clearly */
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int take_lock(
	struct master *m, const char *daemon, char *previous, size_t previous_size, struct err *err)
{
	const char *pid_file = m->settings->pid_file;
	int rc;

	if (pid_file[0] == '\0' || m->plan->one != NULL)
		return 0;
	rc = lockfile_take(pid_file, daemon, previous, previous_size, &m->lock_fd, err);
	if (rc == 1)
		return err_set(err, ERR_SYSTEM, "running",
			"another indexocrd (pid %ld) holds %s.lock: stop it, or give this one its "
			"own pid_file",
			(long)lockfile_pid(pid_file), pid_file);
	return rc == 0 ? lockfile_write_pid(pid_file, err) : rc;
}

/* The keys stand in this memory too: no core file, nobody of the same user looks in. */
static void seal_master(void)
{
	const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
#ifndef SANITIZED /* the leak check traces its own process */
	(void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

static int prepare(struct master *m, struct err *err)
{
	char daemon[SB_DAEMON_BYTES];
	char previous[SB_DAEMON_BYTES] = "";

	seal_master();
	if (geteuid() == 0 && getpwnam(m->settings->user) == NULL)
		return err_set(err, ERR_CONFIG, "user",
			"there is no account \"%s\" for the workers, who do not run as root: make "
			"it, or set user",
			m->settings->user);
	hash_random_hex(daemon, SB_DAEMON_BYTES - 1);
	if (take_lock(m, daemon, previous, sizeof previous, err) != 0)
		return -1;
	raise_descriptor_limit(m->settings->workers_limit + 1);
	if (scoreboard_new(
		    &m->scoreboard, m->settings->workers_limit, limiter_shared_bytes(), err) != 0 ||
		register_environments(m->scoreboard, m->settings, err) != 0)
		return -1;
	scoreboard_set_daemon(m->scoreboard, daemon, previous);
	m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->wake_fd == -1 || pipe2(m->lifeline, O_CLOEXEC) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot make the lifeline");
	if (m->plan->one == NULL && m->settings->status.socket[0] != '\0' &&
		control_open(&m->control, m->settings->status.socket, m->settings->user, err) != 0)
		return -1;
	m->children =
		child_table_new(m->scoreboard, m->lifeline[0], m->lifeline[1], forget_in_child, m);
	return 0;
}

static void clean_up(struct master *m)
{
	child_table_free(m->children);
	control_close(m->control);
	if (m->lock_fd != -1)
		(void)unlink(m->settings->pid_file);
	scoreboard_free(m->scoreboard);
	fd_close(&m->lifeline[0]);
	fd_close(&m->lifeline[1]);
	fd_close(&m->wake_fd);
	fd_close(&m->lock_fd);
	conf_free(m->settings);
	conf_free(m->retiring);
}

int master_run(struct settings *settings, const struct master_plan *plan)
{
	static const int caught[] = {
		SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGTTIN, SIGTTOU, SIGCHLD, 0};
	static const int ignored[] = {0};
	struct master m = {
		.plan = plan,
		.settings = settings,
		.workers = settings->workers,
		.generation = 1,
		.wake_fd = -1,
		.lifeline = {-1, -1},
		.lock_fd = -1,
	};
	struct err err;

	register_secrets(settings);
	if (log_open(&settings->log, "indexocrd", NULL, settings->user, &err) != 0 ||
		prepare(&m, &err) != 0) {
		log_event(LEVEL_ERROR, "master", &(struct log_more){.ms = -1, .error = err.text},
			"Cannot start");
		clean_up(&m);
		return err.kind == ERR_CONFIG ? EX_CONFIG : EX_CANTCREAT;
	}
	signals_catch(caught, ignored, m.wake_fd);
	if (plan->ready != NULL)
		plan->ready(plan->ready_arg);
	log_warnings(m.settings);
	if (plan->one == NULL)
		log_event(LEVEL_INFO, "master", NULL, "indexocrd %s started, daemon %s, %d workers",
			PACKAGE_VERSION, scoreboard_daemon(m.scoreboard), m.workers);
	run(&m);
	if (plan->one == NULL)
		log_event(LEVEL_INFO, "master", NULL, "Stopped");
	clean_up(&m);
	return m.exit_status;
}
