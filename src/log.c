#include "log.h"

#include "buf.h"
#include "clock.h"
#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 64 * 1024,
	MESSAGE_MAX_BYTES = 2048,
	SECRETS_MAX = 1024, /* of all configurations that this daemon has seen */
	SECRET_MIN_BYTES = 6,
	JOB_MAX_BYTES = 64,
	ROOM_WAIT_MS = 1000
};

static struct {
	int fd; /* of the file; -1 = none */
	enum log_level level;
	enum log_stderr to_stderr;
	char *path;
	char *worker;
	char environment[JOB_MAX_BYTES];
	char job[JOB_MAX_BYTES];
	char *secrets[SECRETS_MAX];
	size_t secret_count;
	unsigned long dropped;
	bool halted; /* standard error had no room, last time */
} sink = {.fd = -1, .level = LEVEL_INFO, .to_stderr = LOG_STDERR_TEXT};

static const char *const level_names[] = {
	[LEVEL_DEBUG] = "debug",
	[LEVEL_INFO] = "info",
	[LEVEL_SUCCESS] = "success",
	[LEVEL_WARN] = "warn",
	[LEVEL_ERROR] = "error",
};

static const char *const level_colours[] = {
	[LEVEL_DEBUG] = "\033[2m",
	[LEVEL_INFO] = "",
	[LEVEL_SUCCESS] = "\033[32m",
	[LEVEL_WARN] = "\033[33m",
	[LEVEL_ERROR] = "\033[31m",
};

/* syslog(3) priorities, as journald reads them from "<n>" at the start of a line. */
static const int level_priorities[] = {
	[LEVEL_DEBUG] = 7,
	[LEVEL_INFO] = 6,
	[LEVEL_SUCCESS] = 5,
	[LEVEL_WARN] = 4,
	[LEVEL_ERROR] = 3,
};

static int open_file(void)
{
	if (sink.fd != -1)
		(void)close(sink.fd);
	sink.fd = -1;
	if (sink.path == NULL)
		return 0;
	sink.fd = open(
		sink.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0640);
	return sink.fd == -1 ? -1 : 0;
}

int log_open(const struct set_log *settings, const char *name, const char *worker, struct err *err)
{
	free(sink.path);
	free(sink.worker);
	sink.path = NULL;
	if (settings->directory != NULL && settings->directory[0] != '\0')
		sink.path = mem_printf("%s/%s.ndjson", settings->directory, name);
	sink.worker = worker != NULL ? mem_strdup(worker) : NULL;
	sink.level = settings->level;
	sink.to_stderr = settings->to_stderr;
	log_job(NULL, NULL);
	return open_file() == 0 ? 0
				: err_errno(err, ERR_SYSTEM, "cannot open log file %s", sink.path);
}

void log_reopen(void)
{
	if (open_file() != 0)
		log_event(LEVEL_ERROR, "master",
			&(struct log_more){.ms = -1, .error = strerror(errno)},
			"Cannot reopen log file %s", sink.path);
}

void log_secret(const char *secret)
{
	if (secret == NULL || strlen(secret) < SECRET_MIN_BYTES || sink.secret_count == SECRETS_MAX)
		return;
	for (size_t i = 0; i < sink.secret_count; i++)
		if (strcmp(sink.secrets[i], secret) == 0)
			return;
	sink.secrets[sink.secret_count++] = mem_strdup(secret);
}

void log_job(const char *environment, const char *job)
{
	(void)snprintf(sink.environment, sizeof sink.environment, "%s",
		environment != NULL ? environment : "");
	(void)snprintf(sink.job, sizeof sink.job, "%s", job != NULL ? job : "");
}

/* Overwrites every registered secret in place; the length stays, so nothing has to move. */
static void mask(char *text)
{
	for (size_t i = 0; i < sink.secret_count; i++)
		for (char *at = text; (at = strstr(at, sink.secrets[i])) != NULL;)
			memset(at, '*', strlen(sink.secrets[i]));
}

static char *clean(const char *text)
{
	char *out = utf8_clean(text, strlen(text));

	mask(out);
	return out;
}

static void add_clean(cJSON *line, const char *key, const char *text)
{
	char *out = clean(text);

	json_add_text(line, key, out);
	free(out);
}

static char *as_json(
	enum log_level level, const char *stage, const struct log_more *more, const char *message)
{
	cJSON *line = cJSON_CreateObject();
	char now[CLOCK_TEXT_BYTES];
	char *text;

	clock_format(clock_real_ms(), now);
	json_add_text(line, "ts", now);
	json_add_text(line, "level", level_names[level]);
	json_add_text(line, "stage", stage);
	json_add_text(line, "message", message);
	if (sink.worker != NULL)
		json_add_text(line, "worker", sink.worker);
	if (sink.environment[0] != '\0')
		json_add_text(line, "environment", sink.environment);
	if (sink.job[0] != '\0')
		json_add_text(line, "job", sink.job);
	if (more->page > 0)
		json_add_int(line, "page", more->page);
	if (more->ms >= 0)
		json_add_int(line, "ms", more->ms);
	if (more->error != NULL)
		add_clean(line, "error", more->error);
	if (more->data != NULL)
		cJSON_AddItemReferenceToObject(line, "data", more->data);
	text = json_print(line);
	cJSON_Delete(line);
	mask(text);
	return text;
}

static char *as_text(enum log_level level, const char *stage, const struct log_more *more,
	const char *message, bool colour)
{
	struct buf b;
	char now[CLOCK_TEXT_BYTES];
	char *error = more->error != NULL ? clean(more->error) : NULL;
	int rc;

	buf_init(&b, LINE_MAX_BYTES);
	clock_format(clock_real_ms(), now);
	rc = buf_addf(&b, "%s%.8s %-7s %-8s %s", colour ? level_colours[level] : "", now + 11,
		level_names[level], stage, message);
	if (rc == 0 && error != NULL)
		rc = buf_addf(&b, ": %s", error);
	if (rc == 0 && sink.job[0] != '\0')
		rc = buf_addf(&b, "  %s/%s", sink.environment, sink.job);
	if (rc == 0 && more->page > 0)
		rc = buf_addf(&b, " page %d", more->page);
	if (rc == 0 && more->ms >= 0)
		rc = buf_addf(&b, " (%lld ms)", (long long)more->ms);
	if (rc == 0 && sink.worker != NULL)
		rc = buf_addf(&b, "  [%s]", sink.worker);
	if (rc == 0 && colour)
		rc = buf_addf(&b, "\033[0m");
	free(error);
	(void)rc; /* a line past the bound is cut where it stands */
	return b.data;
}

/* A pipe that nobody empties, or a terminal that was halted, shall not halt us: it is waited for once. */
static bool has_room(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	const bool room = poll(&p, 1, sink.halted ? 0 : ROOM_WAIT_MS) == 1;

	if (fd == STDERR_FILENO)
		sink.halted = !room;
	return room;
}

/* The disk was full in the middle of a line: what is there of it goes, unless somebody has written behind it already. */
static void take_back(int fd, ssize_t written)
{
	const off_t end = lseek(fd, 0, SEEK_CUR);
	struct stat st;

	if (end != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == end)
		(void)!ftruncate(fd, end - written);
}

/* A line that does not go out whole, in one write, is given up: nobody shall read half of one. */
static void write_line(int fd, const char *prefix, const char *text)
{
	struct buf b;
	ssize_t n = -1;

	buf_init(&b, LINE_MAX_BYTES);
	if (buf_addf(&b, "%s%s\n", prefix, text) == 0 && has_room(fd)) {
		do
			n = write(fd, b.data, b.len);
		while (n < 0 && errno == EINTR);
	}
	if (n != (ssize_t)b.len)
		sink.dropped++;
	if (n > 0 && n < (ssize_t)b.len)
		take_back(fd, n);
	buf_fini(&b);
}

static bool stderr_is_journal(void)
{
	return getenv("JOURNAL_STREAM") != NULL;
}

static void to_stderr(enum log_level level, const char *stage, const struct log_more *more,
	const char *message, const char *json)
{
	const bool terminal = isatty(STDERR_FILENO) == 1;
	char prefix[8] = "";
	char *text;

	if (sink.to_stderr == LOG_STDERR_NONE)
		return;
	if (stderr_is_journal())
		(void)snprintf(prefix, sizeof prefix, "<%d>", level_priorities[level]);
	if (sink.to_stderr == LOG_STDERR_JSON) {
		write_line(STDERR_FILENO, prefix, json);
		return;
	}
	text = as_text(level, stage, more, message, terminal);
	write_line(STDERR_FILENO, prefix, text);
	free(text);
}

static void emit(
	enum log_level level, const char *stage, const struct log_more *more, const char *message)
{
	char *json = as_json(level, stage, more, message);

	if (sink.fd != -1)
		write_line(sink.fd, "", json);
	to_stderr(level, stage, more, message, json);
	free(json);
}

static void report_dropped(void)
{
	static const struct log_more none = {.ms = -1};
	const unsigned long dropped = sink.dropped;
	char message[80];

	if (dropped == 0)
		return;
	sink.dropped = 0;
	(void)snprintf(message, sizeof message, "%lu log lines could not be written", dropped);
	emit(LEVEL_WARN, "master", &none, message);
	if (sink.dropped > 0) /* still no room: go on counting, without counting this very line */
		sink.dropped = dropped;
}

void log_event(
	enum log_level level, const char *stage, const struct log_more *more, const char *fmt, ...)
{
	static const struct log_more none = {.ms = -1};
	const int saved = errno;
	char message[MESSAGE_MAX_BYTES];
	char *cleaned;
	va_list ap;

	if (more == NULL)
		more = &none;
	if (level >= sink.level) {
		va_start(ap, fmt);
		(void)vsnprintf(message, sizeof message, fmt, ap);
		va_end(ap);
		cleaned = clean(message);
		report_dropped();
		emit(level, stage, more, cleaned);
		free(cleaned);
	}
	cJSON_Delete(more->data);
	errno = saved;
}
