/* lockfile: who is the daemon of a pid file, whose children are still there, and what is no obstacle. */
#include "lockfile.h"

#include "fdio.h"
#include "mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
	char directory[64];
	char pid_file[80];
	char lock_file[96];
};

static int open_place(void **state)
{
	struct place *p = mem_calloc(1, sizeof *p);

	(void)snprintf(p->directory, sizeof p->directory, "/tmp/t_lockfile.XXXXXX");
	if (mkdtemp(p->directory) == NULL)
		return -1;
	(void)snprintf(p->pid_file, sizeof p->pid_file, "%s/d.pid", p->directory);
	(void)snprintf(p->lock_file, sizeof p->lock_file, "%s.lock", p->pid_file);
	*state = p;
	return 0;
}

static int remove_place(void **state)
{
	struct place *p = *state;

	(void)unlink(p->pid_file);
	(void)unlink(p->lock_file);
	(void)rmdir(p->directory);
	free(p);
	return 0;
}

static void put(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static long pid_in(const char *path)
{
	struct buf text;
	struct err err;
	long pid = -1;

	buf_init(&text, 64);
	if (fd_read_file(path, &text, &err) == 0)
		pid = strtol(buf_text(&text), NULL, 10);
	buf_fini(&text);
	return pid;
}

static int open_lock(const struct place *p, struct lockfile **l, pid_t *other, struct err *err)
{
	return lockfile_open(l, p->pid_file, geteuid(), getegid(), other, err);
}

/* A daemon with a child: the child's pid is told, the daemon's returned. Both stay until they are killed. */
static pid_t start_daemon(const struct place *p, const char *id, pid_t *child)
{
	int told[2];
	pid_t pid;

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid != -1);
	if (pid == 0) {
		struct lockfile *l;
		struct err err;
		char previous[17];
		pid_t other, one = 0;

		if (open_lock(p, &l, &other, &err) == 0 &&
			lockfile_take(l, id, previous, sizeof previous, &err) == 0)
			one = fork();
		if (one == 0)
			lockfile_forget(l);
		else
			(void)!write(told[1], &one, sizeof one);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(told[0], child, sizeof *child), sizeof *child);
	(void)close(told[0]);
	(void)close(told[1]);
	return pid;
}

static void end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static void a_live_master_is_named_whatever_the_pid_file_says(void **state)
{
	const struct place *p = *state;
	struct lockfile *l;
	struct err err;
	pid_t child, other;
	const pid_t master = start_daemon(p, "abc", &child);

	assert_int_equal(pid_in(p->pid_file), master);
	put(p->pid_file, "1\n");
	assert_int_equal(open_lock(p, &l, &other, &err), 1);
	assert_null(l);
	assert_int_equal(other, master);
	assert_int_equal(pid_in(p->pid_file), 1);
	(void)kill(child, SIGKILL);
	end(master);
}

static void children_of_a_dead_master_are_told_from_a_live_one(void **state)
{
	const struct place *p = *state;
	struct lockfile *l;
	struct err err;
	char previous[17];
	pid_t child, other;

	end(start_daemon(p, "0123456789abcdef", &child));
	assert_int_equal(open_lock(p, &l, &other, &err), 0);
	assert_int_equal(pid_in(p->pid_file), getpid());
	assert_int_equal(lockfile_take(l, "fedc", previous, sizeof previous, &err), 1);
	(void)kill(child, SIGKILL);
	while (lockfile_take(l, "fedc", previous, sizeof previous, &err) == 1)
		(void)usleep(1000);
	assert_string_equal(previous, "0123456789abcdef");
	lockfile_close(l);
	assert_int_equal(access(p->pid_file, F_OK), -1);
	assert_int_equal(access(p->lock_file, F_OK), 0);
	assert_int_equal(open_lock(p, &l, &other, &err), 0);
	assert_int_equal(lockfile_take(l, "12", previous, sizeof previous, &err), 0);
	assert_string_equal(previous, "fedc");
	lockfile_close(l);
}

static void stale_contents_are_no_obstacle(void **state)
{
	static const struct {
		const char *lock, *previous;
	} table[] = {
		{"", ""},
		{"rubbish", ""},
		{"\n", ""},
		{"ab12\n", "ab12"},
		{"ab12", "ab12"},
		{"0123456789abcdef0123456789abcdef\n", "0123456789abcdef"},
		{"../../etc/passwd\n", ""},
	};
	const struct place *p = *state;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct lockfile *l;
		struct err err;
		char previous[17];
		pid_t other;

		put(p->lock_file, table[i].lock);
		put(p->pid_file, "99999999\nrubbish");
		assert_int_equal(open_lock(p, &l, &other, &err), 0);
		assert_int_equal(lockfile_take(l, "a", previous, sizeof previous, &err), 0);
		assert_string_equal(previous, table[i].previous);
		lockfile_close(l);
	}
}

/* Where others may write, the name could be a second one of a file that root would then write to. */
static void a_lock_that_is_no_file_of_its_own_is_refused(void **state)
{
	const struct place *p = *state;
	char victim[96];
	struct lockfile *l;
	struct err err;
	pid_t other;

	(void)snprintf(victim, sizeof victim, "%s/victim", p->directory);
	put(victim, "precious");
	assert_int_equal(link(victim, p->lock_file), 0);
	assert_int_equal(open_lock(p, &l, &other, &err), -1);
	assert_non_null(strstr(err.text, p->lock_file));
	(void)unlink(p->lock_file);
	assert_int_equal(symlink(victim, p->lock_file), 0);
	assert_int_equal(open_lock(p, &l, &other, &err), -1);
	(void)unlink(p->lock_file);
	assert_int_equal(mkfifo(p->lock_file, 0600), 0);
	assert_int_equal(open_lock(p, &l, &other, &err), -1);
	(void)unlink(p->lock_file);
	(void)unlink(victim);
}

static void a_planted_pid_file_is_replaced_not_written_through(void **state)
{
	const struct place *p = *state;
	char victim[96], planted[96];
	struct lockfile *l;
	struct err err;
	pid_t other;

	(void)snprintf(victim, sizeof victim, "%s/victim", p->directory);
	(void)snprintf(planted, sizeof planted, "%s.new", p->pid_file);
	put(victim, "77");
	assert_int_equal(link(victim, planted), 0);
	assert_int_equal(symlink(victim, p->pid_file), 0);
	assert_int_equal(open_lock(p, &l, &other, &err), 0);
	assert_int_equal(pid_in(p->pid_file), getpid());
	assert_int_equal(pid_in(victim), 77);
	lockfile_close(l);
	assert_int_equal(access(planted, F_OK), -1);
	(void)unlink(victim);
}

static void a_lock_removed_during_the_wait_is_told(void **state)
{
	const struct place *p = *state;
	struct lockfile *l;
	struct err err;
	char previous[17];
	pid_t other;

	assert_int_equal(open_lock(p, &l, &other, &err), 0);
	(void)unlink(p->lock_file);
	assert_int_equal(lockfile_take(l, "a", previous, sizeof previous, &err), -1);
	assert_non_null(strstr(err.text, "start it again"));
	lockfile_close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_live_master_is_named_whatever_the_pid_file_says,
			open_place, remove_place),
		cmocka_unit_test_setup_teardown(children_of_a_dead_master_are_told_from_a_live_one,
			open_place, remove_place),
		cmocka_unit_test_setup_teardown(
			stale_contents_are_no_obstacle, open_place, remove_place),
		cmocka_unit_test_setup_teardown(
			a_lock_that_is_no_file_of_its_own_is_refused, open_place, remove_place),
		cmocka_unit_test_setup_teardown(a_planted_pid_file_is_replaced_not_written_through,
			open_place, remove_place),
		cmocka_unit_test_setup_teardown(
			a_lock_removed_during_the_wait_is_told, open_place, remove_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
