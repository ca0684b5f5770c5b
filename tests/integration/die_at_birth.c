/*
 * Preloaded into a daemon by test_watch.py: while the file that DIE_AT_BIRTH names is there, every process that
 * the daemon's master forks ends as the file says ("signal 11", "exit 70") before it has done anything.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pid_t master;

static void in_child(void)
{
	const char *path = getenv("DIE_AT_BIRTH");
	FILE *file = path != NULL && getppid() == master ? fopen(path, "re") : NULL;
	char what[16];
	int number;

	if (file == NULL || fscanf(file, "%15s %d", what, &number) != 2)
		return;
	if (strcmp(what, "exit") == 0)
		_exit(number);
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

__attribute__((constructor)) static void arm(void)
{
	master = getpid();
	(void)pthread_atfork(NULL, NULL, in_child);
}
