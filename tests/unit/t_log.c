/* log: whole lines, no secrets, whatever is thrown at it. */
#include "log.h"

#include "fdio.h"
#include "json.h"
#include "mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
	char directory[64];
	char path[96];
};

static int open_place(void **state)
{
	struct place *p = mem_calloc(1, sizeof *p);
	struct err err;
	struct set_log settings = {.level = LEVEL_INFO, .to_stderr = LOG_STDERR_NONE};

	(void)snprintf(p->directory, sizeof p->directory, "/tmp/t_log.XXXXXX");
	if (mkdtemp(p->directory) == NULL)
		return -1;
	(void)snprintf(p->path, sizeof p->path, "%s/w-1.ndjson", p->directory);
	settings.directory = p->directory;
	*state = p;
	return log_open(&settings, "w-1", "w-1", &err);
}

static int remove_place(void **state)
{
	struct place *p = *state;

	(void)unlink(p->path);
	(void)rmdir(p->directory);
	free(p);
	return 0;
}

/* Every line of the file, parsed; fails where one is no JSON. */
static int lines(const struct place *p, cJSON **out, int max)
{
	struct buf text;
	struct err err;
	int n = 0;
	char *line, *save = NULL;

	buf_init(&text, 32 << 20);
	assert_int_equal(fd_read_file(p->path, &text, &err), 0);
	for (line = strtok_r(text.data, "\n", &save); line != NULL && n < max;
		line = strtok_r(NULL, "\n", &save)) {
		out[n] = json_parse(line, strlen(line));
		assert_non_null(out[n]);
		n++;
	}
	buf_fini(&text);
	return n;
}

static void a_line_has_the_contract_s_fields(void **state)
{
	cJSON *line[2];
	cJSON *data = cJSON_CreateObject();

	json_add_int(data, "pages", 3);
	log_job("prod", "4711");
	log_event(LEVEL_SUCCESS, "worker",
		&(struct log_more){.page = 2, .ms = 17, .error = "none", .data = data},
		"Job completed successfully");
	assert_int_equal(lines(*state, line, 2), 1);
	assert_string_equal(json_text(line[0], "level"), "success");
	assert_string_equal(json_text(line[0], "stage"), "worker");
	assert_string_equal(json_text(line[0], "message"), "Job completed successfully");
	assert_string_equal(json_text(line[0], "worker"), "w-1");
	assert_string_equal(json_text(line[0], "environment"), "prod");
	assert_string_equal(json_text(line[0], "job"), "4711");
	assert_int_equal(json_int(line[0], "page", 0), 2);
	assert_int_equal(json_int(line[0], "ms", 0), 17);
	assert_string_equal(json_text(line[0], "error"), "none");
	assert_int_equal(json_int(line[0], "data.pages", 0), 3);
	assert_int_equal(strlen(json_text(line[0], "ts")), 24);
	cJSON_Delete(line[0]);
}

static void secrets_and_broken_text_do_not_get_out(void **state)
{
	cJSON *line[2];

	log_secret("s3cret-key");
	log_event(LEVEL_ERROR, "fetch",
		&(struct log_more){.ms = -1, .error = "key s3cret-key \xff\xfe \"quoted\"\nnext"},
		"with s3cret-key inside");
	assert_int_equal(lines(*state, line, 2), 1);
	assert_null(strstr(json_text(line[0], "error"), "s3cret"));
	assert_null(strstr(json_text(line[0], "message"), "s3cret"));
	assert_non_null(strstr(json_text(line[0], "error"), "\"quoted\""));
	cJSON_Delete(line[0]);
}

static void what_is_below_the_level_is_not_written(void **state)
{
	cJSON *line[2];

	log_event(LEVEL_DEBUG, "worker", NULL, "not seen");
	log_event(LEVEL_INFO, "worker", NULL, "seen");
	assert_int_equal(lines(*state, line, 2), 1);
	assert_string_equal(json_text(line[0], "message"), "seen");
	cJSON_Delete(line[0]);
}

static void many_writers_never_mix_their_lines(void **state)
{
	enum { WRITERS = 20, LINES = 100 };
	static cJSON *line[WRITERS * LINES + 1];
	int status, n;

	for (int w = 0; w < WRITERS; w++)
		if (fork() == 0) {
			for (int i = 0; i < LINES; i++)
				log_event(LEVEL_INFO, "worker", NULL, "%0*d", 200 + i, w);
			_exit(0);
		}
	while (wait(&status) > 0)
		assert_int_equal(status, 0);
	n = lines(*state, line, WRITERS * LINES + 1);
	assert_int_equal(n, WRITERS * LINES);
	for (int i = 0; i < n; i++)
		cJSON_Delete(line[i]);
}

static void after_a_rename_reopening_starts_a_new_file(void **state)
{
	struct place *p = *state;
	char *moved = mem_printf("%s.1", p->path);
	cJSON *line[2];

	log_event(LEVEL_INFO, "worker", NULL, "old");
	assert_int_equal(rename(p->path, moved), 0);
	log_reopen();
	log_event(LEVEL_INFO, "worker", NULL, "new");
	assert_int_equal(lines(p, line, 2), 1);
	assert_string_equal(json_text(line[0], "message"), "new");
	cJSON_Delete(line[0]);
	(void)unlink(moved);
	free(moved);
}

/* Standard error is a pipe that is full; what is not read there must not be waited for. */
static _Noreturn void log_into_a_full_pipe(const struct place *p)
{
	const struct set_log settings = {.directory = (char *)(uintptr_t)p->directory,
		.level = LEVEL_INFO,
		.to_stderr = LOG_STDERR_JSON};
	struct err err;
	int fds[2];

	(void)alarm(30); /* ends the child, and the test, where it is */
	if (pipe(fds) != 0 || fd_set_nonblocking(fds[1], &err) != 0)
		_exit(1);
	while (write(fds[1], "x", 1) == 1)
		;
	if (fcntl(fds[1], F_SETFL, 0) != 0 || dup2(fds[1], STDERR_FILENO) == -1 ||
		log_open(&settings, "w-1", "w-1", &err) != 0)
		_exit(1);
	for (int i = 0; i < 20; i++)
		log_event(LEVEL_INFO, "worker", NULL, "line %d", i);
	_exit(0);
}

static void a_standard_error_that_nobody_reads_halts_nothing(void **state)
{
	const struct place *p = *state;
	cJSON *all[64];
	const pid_t pid = fork();
	int status, count;
	bool told = false;

	if (pid == 0)
		log_into_a_full_pipe(p);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	count = lines(p, all, 64);
	assert_true(count >= 20); /* the file has them all */
	for (int i = 0; i < count; i++) {
		told = told || strstr(json_text(all[i], "message"), "could not be written") != NULL;
		cJSON_Delete(all[i]);
	}
	assert_true(told);
}

/* As on a disk that is full: the last write finds room for a part of its line only. */
static void a_line_that_finds_no_room_leaves_no_half_behind(void **state)
{
	const struct place *p = *state;
	struct rlimit before, small;
	cJSON *all[64];
	int count;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 20; i++)
		log_event(LEVEL_INFO, "worker", NULL, "line %d", i);
	count = lines(p, all, 64);
	assert_in_range(count, 2, 15);
	for (int i = 0; i < count; i++)
		cJSON_Delete(all[i]);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	log_event(LEVEL_INFO, "worker", NULL, "there is room again");
	assert_int_equal(lines(p, all, 64), count + 2);
	assert_non_null(strstr(json_text(all[count], "message"), "could not be written"));
	assert_string_equal(json_text(all[count + 1], "message"), "there is room again");
	for (int i = 0; i < count + 2; i++)
		cJSON_Delete(all[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_standard_error_that_nobody_reads_halts_nothing, open_place, remove_place),
		cmocka_unit_test_setup_teardown(
			a_line_that_finds_no_room_leaves_no_half_behind, open_place, remove_place),
		cmocka_unit_test_setup_teardown(
			a_line_has_the_contract_s_fields, open_place, remove_place),
		cmocka_unit_test_setup_teardown(
			secrets_and_broken_text_do_not_get_out, open_place, remove_place),
		cmocka_unit_test_setup_teardown(
			what_is_below_the_level_is_not_written, open_place, remove_place),
		cmocka_unit_test_setup_teardown(
			many_writers_never_mix_their_lines, open_place, remove_place),
		cmocka_unit_test_setup_teardown(
			after_a_rename_reopening_starts_a_new_file, open_place, remove_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
