#include "conf_file.h"

#include "fdio.h"
#include "mem.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES = 1024 * 1024 };

static int wrong(struct err *err, const char *path, const char *what)
{
	return err_set(err, ERR_CONFIG, "config", "%s: %s", path, what);
}

static int open_regular(const char *path, struct stat *st, struct err *err)
{
	/* O_NONBLOCK: a FIFO must not hold us up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, st) != 0) {
		err_set(err, ERR_CONFIG, errno == ENOENT ? "missing" : "config", "%s: %s", path,
			strerror(errno));
		fd_close(&fd);
		return -1;
	}
	if (S_ISREG(st->st_mode) && st->st_size < FILE_BYTES)
		return fd;
	wrong(err, path, S_ISREG(st->st_mode) ? "larger than 1 MB" : "not a regular file");
	fd_close(&fd);
	return -1;
}

/* As many bytes as there are, up to max; -1 with errno. */
static ssize_t read_up_to(int fd, char *to, size_t max)
{
	size_t len = 0;

	while (len < max) {
		ssize_t got = read(fd, to + len, max - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		len += (size_t)got;
	}
	return (ssize_t)len;
}

char *conf_file_text(const char *path, bool *open_to_others, struct err *err)
{
	struct stat st;
	int fd = open_regular(path, &st, err);
	char *text = NULL;
	ssize_t len;

	if (fd < 0)
		return NULL;
	if (open_to_others != NULL)
		*open_to_others = (st.st_mode & S_IROTH) != 0;
	else if ((st.st_mode & S_IROTH) != 0) {
		wrong(err, path,
			"holds secrets and other users may read it; mend it with chmod o=");
		goto out;
	}
	text = mem_calloc(FILE_BYTES + 1, 1);
	len = read_up_to(fd, text, FILE_BYTES);
	if (len < 0)
		err_errno(err, ERR_CONFIG, "%s", path);
	else if (memchr(text, '\0', (size_t)len) != NULL)
		wrong(err, path, "has a NUL byte; allowed: UTF-8 text");
	else if (!utf8_valid(text, (size_t)len))
		wrong(err, path, "is not valid UTF-8; allowed: UTF-8 text");
	else
		goto out;
	mem_free_secret(text);
	text = NULL;
out:
	fd_close(&fd);
	return text;
}

char *conf_file_secret(const char *path, struct err *err)
{
	static const char container[] = "/run/secrets/";
	bool others = false;
	const bool exempt = strncmp(path, container, sizeof container - 1) == 0;
	char *text = conf_file_text(path, exempt ? &others : NULL, err);
	size_t len;

	if (text == NULL)
		return NULL;
	len = strlen(text);
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	if (len > 0 && strpbrk(text, "\r\n") == NULL)
		return text;
	wrong(err, path, len == 0 ? "is empty; allowed: one line" : "has more than one line");
	mem_free_secret(text);
	return NULL;
}
