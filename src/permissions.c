#include "permissions.h"

#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "/run/indexocr" of "/run/indexocr/indexocrd.pid"; the caller's. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mem_strdup(".");
	return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

bool permissions_may_write_beside(const char *path)
{
	char *directory = directory_of(path);
	const bool may = access(directory, W_OK | X_OK) == 0;

	free(directory);
	return may;
}

/* ---- tried as the user ------------------------------------------------------------------------- */

struct trial {
	const struct settings *settings;
	const struct privileges *privileges;
	const struct permissions_reload *reload;
	int faults;
};

/* The first directory on the way that the user may not enter; the caller's, NULL = all may be. */
static char *closed_directory(const char *path)
{
	if (path[0] != '/' && access(".", X_OK) != 0)
		return mem_strdup(".");
	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		char *above = mem_strndup(path, (size_t)(slash - path));

		if (above[0] != '\0' && access(above, X_OK) != 0 && errno == EACCES)
			return above;
		free(above);
	}
	return NULL;
}

/* mode: what the file itself lacks; "w" is for the user alone. */
static void explain(struct trial *t, const char *path, const char *verb, const char *mode)
{
	const struct group *group = getgrgid(t->privileges->gid);
	const char *name = group != NULL ? group->gr_name : t->privileges->user;
	char *closed = closed_directory(path);
	const char *at = closed != NULL ? closed : path;
	char *remedy;

	if (closed == NULL && strcmp(mode, "w") == 0)
		remedy = mem_printf("chown %s %s", t->privileges->user, path);
	else
		remedy = mem_printf(
			"chgrp %s %s && chmod g+%s %s", name, at, closed != NULL ? "x" : mode, at);
	t->faults++;
	(void)fprintf(stderr,
		"indexocrd: %s: not %s by user %s after privileges are dropped; mend it with: %s\n",
		path, verb, t->privileges->user, remedy);
	free(remedy);
	free(closed);
}

/* What is not there is another fault, and somebody else's to tell. */
static bool is_refused(int rc)
{
	return rc == -1 && (errno == EACCES || errno == EPERM);
}

static bool try_read(struct trial *t, const char *path)
{
	const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	const bool refused = is_refused(fd);

	if (fd != -1)
		(void)close(fd);
	if (refused)
		explain(t, path, "readable", "r");
	return !refused;
}

static void try_run(struct trial *t, const char *path)
{
	if (is_refused(access(path, X_OK)))
		explain(t, path, "executable", "rx");
}

/* A directory that is not there yet is made at the start. */
static bool try_write(struct trial *t, const char *path, int how)
{
	const bool refused = is_refused(access(path, how));

	if (refused)
		explain(t, path, "writable", "w");
	return !refused;
}

static void try_prompts(struct trial *t)
{
	const struct set_list *sources = &t->settings->queue.sources;
	bool readable = true;

	for (size_t i = 0; i <= sources->count && readable; i++) {
		char *path = mem_printf("%s/%s.txt", t->settings->engine.prompt_directory,
			i < sources->count ? sources->items[i] : "default");

		readable = try_read(t, path);
		free(path);
	}
}

/* Files that root or another user left there would be missed only when the log is opened anew. */
static void try_logs(struct trial *t)
{
	const struct settings *s = t->settings;
	bool writable = s->log.directory[0] != '\0' && try_write(t, s->log.directory, W_OK | X_OK);

	for (int i = 0; i <= s->workers && writable; i++) {
		char *path =
			i == 0 ? mem_printf("%s/indexocrd.ndjson", s->log.directory)
			       : mem_printf("%s/%s-%d.ndjson", s->log.directory, s->worker_id, i);

		writable = try_write(t, path, W_OK);
		free(path);
	}
}

static void try_socket(struct trial *t)
{
	char *directory;

	if (t->settings->status.socket[0] == '\0')
		return;
	directory = directory_of(t->settings->status.socket);
	(void)try_write(t, directory, W_OK | X_OK);
	free(directory);
}

/* The proof: what a reload does. */
static void try_reload(struct trial *t)
{
	struct err err;
	struct settings *again = t->reload->load(t->reload->arg, &err);

	if (again == NULL) {
		t->faults++;
		(void)fprintf(stderr,
			"indexocrd: user %s cannot load the configuration after privileges are "
			"dropped: %s\n",
			t->privileges->user, err.text);
	}
	t->reload->free(again);
}

static int try_all(void *arg)
{
	struct trial *t = arg;
	const struct settings *s = t->settings;

	for (size_t i = 0; i < s->files.count; i++)
		(void)try_read(t, s->files.items[i]);
	if (t->faults == 0)
		try_reload(t);
	try_prompts(t);
	try_run(t, s->render_helper);
	if (strcmp(s->engine.use, "tesseract") == 0)
		try_run(t, s->tesseract_helper);
	try_logs(t);
	try_socket(t);
	(void)try_write(t, s->storage.tmpdir, W_OK | X_OK);
	return t->faults > 0;
}

int permissions_check(const struct settings *settings, const struct privileges *privileges,
	const struct permissions_reload *reload, struct err *err)
{
	struct trial t = {settings, privileges, reload, 0};
	int rc;

	if (!privileges->dropped)
		return 0;
	rc = privileges_try(privileges, try_all, &t, err);
	if (rc > 1)
		return err_set(
			err, ERR_SYSTEM, "privileges", "cannot become user %s", privileges->user);
	return rc;
}

/* ---- directories ------------------------------------------------------------------------------- */

static int give(const char *path, mode_t mode, const struct privileges *p, struct err *err)
{
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = -1;

	if (fd != -1 && fchmod(fd, mode) == 0 && (!p->dropped || fchown(fd, p->uid, p->gid) == 0))
		rc = 0;
	if (rc != 0)
		(void)err_errno(
			err, ERR_SYSTEM, "cannot make directory %s for user %s", path, p->user);
	if (fd != -1)
		(void)close(fd);
	return rc;
}

static int make_directory(
	const char *path, mode_t mode, const struct privileges *p, struct err *err)
{
	if (path[0] == '\0')
		return 0;
	if (mkdir(path, mode) == 0)
		return give(path, mode, p, err);
	return errno == EEXIST ? 0 : err_errno(err, ERR_SYSTEM, "cannot make directory %s", path);
}

static int make_directory_of(const char *file, const struct privileges *p, struct err *err)
{
	char *directory;
	int rc;

	if (file[0] == '\0')
		return 0;
	directory = directory_of(file);
	rc = make_directory(directory, 0755, p, err);
	free(directory);
	return rc;
}

int permissions_make_directories(
	const struct settings *settings, const struct privileges *privileges, struct err *err)
{
	if (make_directory_of(settings->pid_file, privileges, err) != 0 ||
		make_directory_of(settings->status.socket, privileges, err) != 0 ||
		make_directory(settings->log.directory, 0750, privileges, err) != 0)
		return -1;
	return make_directory(settings->storage.tmpdir, 0750, privileges, err);
}
