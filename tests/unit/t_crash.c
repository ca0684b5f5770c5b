/* crash: a dying process leaves its last words, and dies of what it would have died of. */
#include "crash.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { UNREADABLE = 16 };

static int map_words(void **state)
{
	void *words = mmap(NULL, sizeof(struct crash_words), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	crash_prepare();
	*state = words;
	return words == MAP_FAILED ? -1 : 0;
}

static int unmap_words(void **state)
{
	return munmap(*state, sizeof(struct crash_words));
}

#ifndef SANITIZED

static void touch_nothing(void)
{
	volatile uintptr_t nothing = UNREADABLE;

	*(volatile int *)nothing = 1;
}

static int use_up_the_stack(volatile int depth)
{
	volatile char room[4096];

	room[depth % 4096] = (char)depth;
	if (depth == INT_MAX)
		return 0;
	return use_up_the_stack(depth + 1) + room[(depth + 1) % 4096];
}

static void overflow(void)
{
	(void)use_up_the_stack(0);
}

static void raise_bus(void)
{
	(void)raise(SIGBUS);
}

static void wait_for_ever(void)
{
	for (;;)
		(void)pause();
}

/* How a child ended that did this under watch. */
static int end_of(struct crash_words *words, void (*fault)(void), int from_outside)
{
	const struct rlimit no_core = {0, 0};
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		crash_watch(words);
		fault();
		_exit(0);
	}
	if (from_outside != 0) {
		(void)usleep(200 * 1000); /* the default action has the same status, and no words */
		(void)kill(pid, from_outside);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return WTERMSIG(status);
}

static void it_dies_of_the_signal_and_leaves_where_it_was(void **state)
{
	static const struct {
		void (*fault)(void);
		int number;
		const char *begins;
	} cells[] = {
		{touch_nothing, SIGSEGV, "at address 0x10, in "},
		{overflow, SIGSEGV,
			"at address 0x"}, /* the stack is not there to be used any more */
		{abort, SIGABRT, "raised by itself, in "},
		{raise_bus, SIGBUS, "raised by itself, in "},
	};
	struct crash_words *words = *state;
	struct crash_words read;
	char trace[CRASH_TRACE_BYTES];

	for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
		crash_clear(words);
		assert_int_equal(end_of(words, cells[i].fault, 0), cells[i].number);
		assert_true(crash_read(words, &read));
		assert_int_equal(read.signal, cells[i].number);
		crash_trace(&read, trace, sizeof trace);
		assert_memory_equal(trace, cells[i].begins, strlen(cells[i].begins));
		assert_non_null(strstr(trace, "t_crash(+0x")); /* what addr2line understands */
	}
}

/* The first frame is where it happened, not the handler's. */
static void the_trace_begins_where_the_fault_was(void **state)
{
	struct crash_words *words = *state;
	struct crash_words read;
	char trace[CRASH_TRACE_BYTES];
	char by[64];

	crash_clear(words);
	assert_int_equal(end_of(words, wait_for_ever, SIGABRT), SIGABRT);
	assert_true(crash_read(words, &read));
	crash_trace(&read, trace, sizeof trace);
	(void)snprintf(by, sizeof by, "sent by pid %ld, in libc.so.6(", (long)getpid());
	assert_memory_equal(trace, by, strlen(by));
}

#endif

static void who_said_nothing_is_not_read(void **state)
{
	struct crash_words *words = *state;
	struct crash_words read;

	crash_clear(words);
	assert_false(crash_read(words, &read));
}

/* What is read may be anything. */
static void nonsense_is_bounded(void **state)
{
	static const int counts[] = {-1, CRASH_FRAMES + 1, 1 << 30};
	struct crash_words *words = *state;
	struct crash_words read;
	char trace[CRASH_TRACE_BYTES];
	char little[8];

	memset(words->frame, 0x5a, sizeof words->frame);
	words->signal = SIGSEGV;
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		words->frames = counts[i];
		assert_true(crash_read(words, &read));
		assert_in_range(read.frames, 0, CRASH_FRAMES);
		crash_trace(&read, trace, sizeof trace);
		assert_true(strlen(trace) < sizeof trace);
		crash_trace(&read, little, sizeof little);
		assert_true(strlen(little) < sizeof little);
	}
	words->signal = 4711;
	assert_false(crash_read(words, &read));
	words->signal = -1;
	assert_false(crash_read(words, &read));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifndef SANITIZED
		cmocka_unit_test(it_dies_of_the_signal_and_leaves_where_it_was),
		cmocka_unit_test(the_trace_begins_where_the_fault_was),
#endif
		cmocka_unit_test(who_said_nothing_is_not_read),
		cmocka_unit_test(nonsense_is_bounded),
	};

	return cmocka_run_group_tests(tests, map_words, unmap_words);
}
