#include "startup.h"

#include "clock.h"
#include "log.h"
#include "permissions.h"
#include "privileges.h"
#include "signals.h"
#include "title.h"

#include <poll.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 50, SAY_EVERY_MS = 10 * 1000, SPARE_DESCRIPTORS = 256 };

/* ---- with the rights of whoever started us */

/* Descriptors: one eventfd a slot, and some. Past the hard limit only root may go; where nobody may, fewer will do or fail clearly. */
static void raise_descriptor_limit(int slots)
{
	const rlim_t wanted = (rlim_t)(slots + SPARE_DESCRIPTORS);
	const struct rlimit both = {wanted, wanted};
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	if (limit.rlim_max < wanted && setrlimit(RLIMIT_NOFILE, &both) == 0)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int take_pid_file(const struct startup_plan *plan, const struct privileges *p,
	struct lockfile **lock, struct err *err)
{
	const char *pid_file = plan->settings->pid_file;
	pid_t other = 0;
	int rc;

	if (plan->alone || pid_file[0] == '\0')
		return 0;
	rc = lockfile_open(lock, pid_file, p->uid, p->gid, &other, err);
	if (rc != 1)
		return rc;
	if (other == 0)
		return err_set(err, ERR_SYSTEM, "running",
			"another indexocrd holds %s.lock: stop it, or give this one its own "
			"pid_file",
			pid_file);
	return err_set(err, ERR_SYSTEM, "running",
		"another indexocrd (pid %ld) holds %s.lock: stop it, or give this one its own "
		"pid_file",
		(long)other, pid_file);
}

static int start_as_started(const struct startup_plan *plan, struct privileges *p,
	struct lockfile **lock, struct err *err)
{
	privileges_seal();
	if (privileges_find(p, plan->settings->user, err) != 0)
		return -1;
	if (!plan->alone && permissions_make_directories(plan->settings, p, err) != 0)
		return -1;
	if (take_pid_file(plan, p, lock, err) != 0)
		return -1;
	raise_descriptor_limit(plan->settings->workers_limit + 1);
	return 0;
}

/* ---- as the user */

static bool told_to_stop(const struct startup_plan *plan)
{
	if (signals_take(SIGTERM) || signals_take(SIGINT) || signals_take(SIGQUIT))
		return true;
	return plan->waiting != NULL && !plan->waiting(plan->waiting_arg);
}

static void say_waiting(const struct lockfile *lock, int64_t waited_ms)
{
	if (waited_ms < SAY_EVERY_MS)
		log_event(LEVEL_WARN, "master", NULL,
			"Waiting for the children of the previous daemon, whose master was killed, "
			"to finish: they hold %s",
			lockfile_path(lock));
	else
		log_event(LEVEL_WARN, "master", NULL,
			"Still waiting for the children of the previous daemon, %lld s so far",
			(long long)(waited_ms / 1000));
}

static void nap(int wake_fd)
{
	struct pollfd fd = {.fd = wake_fd, .events = POLLIN};
	uint64_t events;

	(void)poll(&fd, 1, LOOK_EVERY_MS);
	(void)!read(wake_fd, &events, sizeof events);
}

/* The kernel tells nobody when a lock is let go: looking twenty times a second costs nothing that can be measured. */
static int wait_for_turn(const struct startup_plan *plan, struct lockfile *lock, char *previous,
	size_t previous_size, struct err *err)
{
	const int64_t since_ms = clock_boot_ms();
	int64_t say_ms = since_ms;
	int rc;

	while ((rc = lockfile_take(lock, plan->daemon, previous, previous_size, err)) == 1) {
		const int64_t now = clock_boot_ms();

		if (now >= say_ms) {
			say_waiting(lock, now - since_ms);
			title_set("master (waiting for the children of the previous daemon)");
			say_ms += SAY_EVERY_MS;
		}
		if (told_to_stop(plan)) {
			log_event(LEVEL_INFO, "master", NULL, "Told to stop while waiting");
			return 1;
		}
		nap(plan->wake_fd);
	}
	if (say_ms == since_ms || rc != 0)
		return rc;
	title_set("master");
	log_event(LEVEL_INFO, "master", &(struct log_more){.ms = clock_boot_ms() - since_ms},
		"The children of the previous daemon have finished");
	return 0;
}

int startup_run(const struct startup_plan *plan, struct lockfile **lock, char *previous,
	size_t previous_size, struct err *err)
{
	const struct settings *s = plan->settings;
	struct privileges p;

	title_set("master");
	*lock = NULL;
	previous[0] = '\0';
	if (start_as_started(plan, &p, lock, err) != 0 || privileges_drop(&p, err) != 0 ||
		log_open(&s->log, "indexocrd", NULL, err) != 0)
		return -1;
	if (*lock != NULL && !permissions_may_write_beside(s->pid_file))
		log_event(LEVEL_WARN, "master", NULL,
			"User %s may not write to the directory of %s: at the end it will be left "
			"there, empty",
			s->user, s->pid_file);
	return *lock != NULL ? wait_for_turn(plan, *lock, previous, previous_size, err) : 0;
}
