#include "crash.h"

#include "mem.h"

#include <execinfo.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STACK_BYTES = 64 * 1024, /* the unwinder needs a few of them */
	OWN_FRAMES = 2           /* the handler's, and that of the return from it */
};

/* A handler gets no argument of ours. */
static struct {
	struct crash_words *words;
	void *stack;
} last;

void crash_prepare(void)
{
	void *one[1];

	(void)backtrace(one, 1); /* loads the unwinder, which allocates */
}

#ifdef SANITIZED
void crash_watch(struct crash_words *words)
{
	last.words = words;
}
#else
static void speak(int number, siginfo_t *info, void *context)
{
	struct crash_words *w = last.words;

	(void)context;
	w->code = info->si_code;
	w->sender = info->si_code <= 0 && info->si_pid != getpid() ? info->si_pid : 0;
	w->address = info->si_code > 0 ? info->si_addr : NULL;
	atomic_store(&w->signal, number);
	atomic_store(&w->frames, backtrace(w->frame, CRASH_FRAMES));
	(void)raise(
		number); /* the handler is gone by now: it comes when this returns, and ends us */
}

void crash_watch(struct crash_words *words)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	struct sigaction action = {
		.sa_sigaction = speak, .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
	stack_t stack = {.ss_size = STACK_BYTES};

	last.words = words;
	stack.ss_sp = last.stack = mem_calloc(1, STACK_BYTES);
	(void)sigfillset(&action.sa_mask);
	(void)sigaltstack(&stack, NULL);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		(void)sigaction(faults[i], &action, NULL);
}
#endif

void crash_clear(struct crash_words *words)
{
	atomic_store(&words->frames, 0);
	atomic_store(&words->signal, 0);
}

bool crash_read(const struct crash_words *from, struct crash_words *copy)
{
	const int number = atomic_load(&from->signal);
	const int frames = atomic_load(&from->frames);

	if (number <= 0 || number >= NSIG)
		return false;
	*copy = (struct crash_words){
		.code = from->code, .sender = from->sender, .address = from->address};
	atomic_init(&copy->signal, number);
	atomic_init(&copy->frames, frames < 0 ? 0 : frames > CRASH_FRAMES ? CRASH_FRAMES : frames);
	memcpy(copy->frame, from->frame, sizeof copy->frame);
	return true;
}

/* "/usr/sbin/indexocrd(+0x1d2f4) [0x55...]" without what only the kernel and attackers care about. */
static int add_symbol(char *text, size_t size, char *symbol)
{
	char *name = strrchr(symbol, '/');

	symbol[strcspn(symbol, " ")] = '\0';
	name = name != NULL ? name + 1 : symbol;
	return snprintf(text, size, " %s", name);
}

void crash_trace(const struct crash_words *words, char *text, size_t size)
{
	const int frames = atomic_load(&words->frames);
	char **symbols = frames > 0 ? backtrace_symbols(words->frame, frames) : NULL;
	size_t used;

	if (words->sender > 0)
		used = (size_t)snprintf(text, size, "sent by pid %d", words->sender);
	else if (words->code > 0)
		used = (size_t)snprintf(
			text, size, "at address 0x%" PRIxPTR, (uintptr_t)words->address);
	else
		used = (size_t)snprintf(text, size, "raised by itself");
	for (int i = OWN_FRAMES; symbols != NULL && i < frames && used < size; i++) {
		if (i == OWN_FRAMES)
			used += (size_t)snprintf(text + used, size - used, ", in");
		if (used < size)
			used += (size_t)add_symbol(text + used, size - used, symbols[i]);
	}
	free(symbols);
}
