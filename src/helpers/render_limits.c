#include "render_limits.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 32 }; /* three of ours, and what font files and fontconfig take */

static int bound(int resource, rlim_t soft, rlim_t hard, const char *what, struct err *err)
{
	const struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};

	if (setrlimit((__rlimit_resource_t)resource, &limit) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot limit %s", what);
	return 0;
}

static int bound_memory(int64_t bytes, struct err *err)
{
#ifdef SANITIZED
	(void)bytes; /* the sanitizers' shadow alone takes terabytes of address space */
	(void)err;
	return 0;
#else
	if (bytes <= 0)
		return 0;
	return bound(RLIMIT_AS, (rlim_t)bytes, (rlim_t)bytes, "memory", err);
#endif
}

static int bound_everything(int64_t memory_bytes, int64_t cpu_s, int64_t pages_max, struct err *err)
{
	const rlim_t whole_s = (rlim_t)cpu_s * ((rlim_t)pages_max + 1);

	if (bound_memory(memory_bytes, err) != 0 ||
		(cpu_s > 0 &&
			bound(RLIMIT_CPU, (rlim_t)cpu_s, whole_s, "processor time", err) != 0) ||
		bound(RLIMIT_FSIZE, 0, 0, "file size", err) != 0 ||
		bound(RLIMIT_NOFILE, DESCRIPTORS_MAX, DESCRIPTORS_MAX, "descriptors", err) != 0)
		return -1;
	return bound(RLIMIT_CORE, 0, 0, "core dumps", err);
}

/*
 * The sandbox's place: called last, when the limits stand and before the document is opened; what a
 * system call filter forbids from here on, no document can make the renderer do.
 */
static int enter_sandbox(struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot give up privileges");
#ifndef SANITIZED /* the leak check traces its own process */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot be made undumpable");
#endif
	return 0;
}

int limits_enter(int64_t memory_bytes, int64_t cpu_s, int64_t pages_max, struct err *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot tie the renderer to its parent");
	if (close_range(3, ~0U, 0) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot close inherited descriptors");
	if (clearenv() != 0)
		return err_set(err, ERR_SYSTEM, "environment", "cannot drop the environment");
	/* Where standard error is a file, a complaint of a library's must not be what it dies of. */
	(void)signal(SIGXFSZ, SIG_IGN);
	if (bound_everything(memory_bytes, cpu_s, pages_max, err) != 0)
		return -1;
	return enter_sandbox(err);
}

int limits_page(int64_t cpu_s, struct err *err)
{
	struct rusage used;
	struct rlimit limit;

	if (cpu_s <= 0)
		return 0;
	if (getrusage(RUSAGE_SELF, &used) != 0 || getrlimit(RLIMIT_CPU, &limit) != 0)
		return err_errno(err, ERR_SYSTEM, "cannot see the processor time used");
	limit.rlim_cur = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec + 1 + cpu_s);
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	return bound(RLIMIT_CPU, limit.rlim_cur, limit.rlim_max, "processor time", err);
}
