#include "helper.h"

#include "clock.h"
#include "fdio.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A program on a disk that does not answer, and a process that the kernel cannot let go, must not take the caller with them. */
enum { EXEC_MS = 10 * 1000, REAP_MS = 5 * 1000, REAP_STEP_NS = 1000 * 1000 };

/* Both ends of each pipe; [0] is read from. status carries errno out of a child that failed before
 * or in exec, and closes by itself when exec succeeds. */
struct pipes {
	int in[2], out[2], status[2];
};

static void pipes_close(struct pipes *p)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&p->in[i]);
		fd_close(&p->out[i]);
		fd_close(&p->status[i]);
	}
}

static int pipes_open(struct pipes *p, int input_fd, struct err *err)
{
	*p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}};
	if ((input_fd != -1 || pipe2(p->in, O_CLOEXEC) == 0) && pipe2(p->out, O_CLOEXEC) == 0 &&
		pipe2(p->status, O_CLOEXEC) == 0)
		return 0;
	(void)err_errno(err, ERR_SYSTEM, "cannot make a pipe for a helper");
	pipes_close(p);
	return -1;
}

/* Handlers are the parent's code and an ignored SIGPIPE would outlive exec. */
static void reset_signals(void)
{
	const struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int n = 1; n < NSIG; n++)
		(void)sigaction(n, &standard, NULL); /* KILL, STOP and libc's own refuse */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int limit(int64_t memory_bytes)
{
	const struct rlimit no_core = {0, 0};

	if (setrlimit(RLIMIT_CORE, &no_core) != 0)
		return -1;
#ifndef SANITIZED
	if (memory_bytes > 0) {
		const struct rlimit memory = {(rlim_t)memory_bytes, (rlim_t)memory_bytes};

		return setrlimit(RLIMIT_AS, &memory);
	}
#endif
	(void)memory_bytes;
	return 0;
}

/* execve() wants arrays without const; it changes nothing. */
static char *const *unconst(const char *const *array)
{
	union {
		const char *const *in;
		char *const *out;
	} pass = {array};

	return pass.out;
}

/* dup2() onto itself would leave close-on-exec set. */
static int give(int fd, int as)
{
	if (fd == as)
		return fcntl(fd, F_SETFD, 0);
	return dup2(fd, as);
}

/*
 * In the child, async-signal-safe calls only. Pipes may themselves be descriptors 0 to 2 where the
 * parent had those closed; out is moved away before 0 is taken.
 */
static _Noreturn void become(const struct helper_command *command, struct pipes *p, pid_t parent)
{
	static const char *const no_environment[] = {NULL};
	const char *const *environment =
		command->environment != NULL ? command->environment : no_environment;
	const int from = command->input_fd != -1 ? command->input_fd : p->in[0];
	const int to = fcntl(p->out[1], F_DUPFD_CLOEXEC, 3);
	const int status = fcntl(p->status[1], F_DUPFD_CLOEXEC, 3);

	if (to == -1 || status == -1 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setpgid(0, 0) != 0)
		goto out;
	if (getppid() != parent) /* it died before the line above */
		_exit(70);
	if (limit(command->memory_bytes) != 0 || give(from, STDIN_FILENO) == -1 ||
		give(to, STDOUT_FILENO) == -1)
		goto out;
	/* Everything is close-on-exec already; this holds should a library forget it. */
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	reset_signals();
	(void)execve(command->path, unconst(command->argv), unconst(environment));
out:
	(void)!write(status, &errno, sizeof errno);
	_exit(70);
}

/* No signal may find the parent's handlers in the child, so all are blocked across fork. */
static pid_t fork_helper(const struct helper_command *command, struct pipes *p)
{
	const pid_t parent = getpid();
	sigset_t all;
	sigset_t before;
	pid_t pid;
	int saved;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	pid = fork();
	if (pid == 0)
		become(command, p, parent);
	saved = errno;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	return pid;
}

/* 0 once exec has succeeded, else the child's errno. */
static int exec_errno(int status_fd)
{
	struct pollfd p = {.fd = status_fd, .events = POLLIN};
	int code = 0;
	ssize_t n;

	if (poll(&p, 1, EXEC_MS) == 0)
		return ETIMEDOUT;
	do
		n = read(status_fd, &code, sizeof code);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof code ? code : 0;
}

/* Its status; 0 where it does not end although it was killed: it is left to whoever inherits it. */
static int wait_for(pid_t pid)
{
	const int64_t until_ms = clock_boot_ms() + REAP_MS;
	const struct timespec step = {.tv_nsec = REAP_STEP_NS};
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0 && clock_left_ms(until_ms) > 0)
		(void)nanosleep(&step, NULL);
	return status;
}

static int start_error(const char *path, struct err *err)
{
	if (errno == ENOENT || errno == EACCES || errno == ENOEXEC)
		return err_set(err, ERR_CONFIG, "helper-missing",
			"cannot run %s (%s); install it or name its place in the configuration",
			path, strerror(errno));
	return err_errno(err, ERR_SYSTEM, "cannot run %s", path);
}

int helper_start(struct helper *h, const struct helper_command *command, struct err *err)
{
	struct pipes p;
	int code;

	*h = HELPER_NONE;
	if (pipes_open(&p, command->input_fd, err) != 0)
		return -1;
	h->pid = fork_helper(command, &p);
	if (h->pid == -1) {
		h->pid = 0;
		(void)err_errno(err, ERR_SYSTEM, "cannot fork for %s", command->path);
		goto fail;
	}
	fd_close(&p.status[1]);
	code = exec_errno(p.status[0]);
	if (code != 0) {
		errno = code;
		(void)start_error(command->path, err);
		goto fail;
	}
	h->in = p.in[1];
	h->out = p.out[0];
	p.in[1] = p.out[0] = -1;
	pipes_close(&p);
	if (fd_set_nonblocking(h->out, err) == 0 &&
		(h->in == -1 || fd_set_nonblocking(h->in, err) == 0))
		return 0;
fail:
	pipes_close(&p);
	(void)helper_stop(h);
	return -1;
}

int helper_stop(struct helper *h)
{
	int status = 0;

	fd_close(&h->in);
	fd_close(&h->out);
	if (h->pid > 0) {
		(void)kill(h->pid, SIGKILL); /* one that has already ended keeps its own status */
		status = wait_for(h->pid);
	}
	*h = HELPER_NONE;
	return status;
}

void helper_how_ended(int wait_status, char *text, size_t size)
{
	char name[16];

	if (WIFSIGNALED(wait_status))
		(void)snprintf(text, size, "was killed by %s%s",
			signals_name(WTERMSIG(wait_status), name),
			WTERMSIG(wait_status) == SIGKILL ? " (out of memory?)" : "");
	else
		(void)snprintf(text, size, "ended with exit status %d", WEXITSTATUS(wait_status));
}
