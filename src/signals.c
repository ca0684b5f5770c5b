#include "signals.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SIGNALS = 32 };

static volatile sig_atomic_t came[SIGNALS];
static volatile sig_atomic_t wake = -1;

static void handler(int number)
{
	const int saved = errno;
	const uint64_t one = 1;

	came[number] = 1;
	if (wake != -1)
		(void)!write(
			wake, &one, sizeof one); /* non-blocking; a full counter is awake already */
	errno = saved;
}

static void fill_set(sigset_t *set)
{
	static const int numbers[] = {
		SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD};

	sigemptyset(set);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		sigaddset(set, numbers[i]);
}

void signals_block(void)
{
	sigset_t set;

	fill_set(&set);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

void signals_unblock(void)
{
	sigset_t set;

	fill_set(&set);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void set_handler(int number, void (*fn)(int))
{
	struct sigaction action = {.sa_handler = fn, .sa_flags = SA_RESTART};

	sigfillset(&action.sa_mask);
	(void)sigaction(number, &action, NULL);
}

void signals_catch(const int *caught, const int *ignored, int wake_fd)
{
	wake = wake_fd;
	for (int i = 0; i < SIGNALS; i++)
		came[i] = 0;
	set_handler(SIGPIPE, SIG_IGN);
	set_handler(SIGXFSZ, SIG_IGN); /* write() says EFBIG instead */
	for (; *ignored != 0; ignored++)
		set_handler(*ignored, SIG_IGN);
	for (; *caught != 0; caught++)
		set_handler(*caught, handler);
	signals_unblock();
}

bool signals_take(int number)
{
	if (came[number] == 0)
		return false;
	came[number] = 0;
	return true;
}

const char *signals_name(int number, char text[16])
{
	const char *name = sigabbrev_np(number);

	(void)snprintf(text, 16, "SIG%s", name != NULL ? name : "?");
	return text;
}
