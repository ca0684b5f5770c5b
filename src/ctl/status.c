/* What goes through the control socket: status, reload, drain, scale. */
#include "ctl.h"

#include "buf.h"
#include "clock.h"
#include "fdio.h"
#include "json.h"
#include "mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { REPLY_MAX_BYTES = 4 << 20, REPLY_MS = 5000 };

static int connect_to(const char *path, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd == -1 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		(void)err_errno(err, ERR_TRANSIENT, "no daemon answers on %s", path);
		fd_close(&fd);
	}
	return fd;
}

static int read_reply(int fd, struct buf *reply, struct err *err)
{
	const int64_t deadline_ms = clock_boot_ms() + REPLY_MS;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		char *room = buf_reserve(reply, 16 * 1024);
		ssize_t n;

		if (room == NULL)
			return err_set(err, ERR_BUG, "reply",
				"the daemon's answer is over %d bytes", REPLY_MAX_BYTES);
		if (poll(&p, 1, clock_left_ms(deadline_ms)) != 1)
			return err_set(err, ERR_TRANSIENT, "timeout",
				"the daemon did not answer within %d s", REPLY_MS / 1000);
		n = read(fd, room, 16 * 1024);
		if (n < 0)
			return err_errno(err, ERR_TRANSIENT, "cannot read the daemon's answer");
		if (n == 0)
			return 0;
		reply->len += (size_t)n;
		reply->data[reply->len] = '\0';
	}
}

/* A daemon can be asked although the file on the disk is bad meanwhile: that is when people ask. */
static const char *socket_path(struct ctl *ctl)
{
	const struct settings *s = ctl->socket == NULL ? ctl_settings(ctl) : NULL;

	if (ctl->socket != NULL)
		return ctl->socket;
	return s != NULL ? s->status.socket : RUNSTATEDIR "/indexocr/control.sock";
}

/* One command, one JSON object; NULL with *err. */
static cJSON *ask(struct ctl *ctl, const char *command, struct err *err)
{
	int fd = connect_to(socket_path(ctl), err);
	cJSON *out = NULL;
	struct buf reply;

	buf_init(&reply, REPLY_MAX_BYTES);
	if (fd != -1 && fd_write_all(fd, command, strlen(command), err) == 0 &&
		fd_write_all(fd, "\n", 1, err) == 0 && read_reply(fd, &reply, err) == 0) {
		out = json_parse(buf_text(&reply), reply.len);
		if (out == NULL)
			(void)err_set(err, ERR_BUG, "reply", "the daemon's answer is no JSON");
	}
	buf_fini(&reply);
	fd_close(&fd);
	return out;
}

static void print_json(const cJSON *tree)
{
	char *text = json_print(tree);

	(void)puts(text);
	free(text);
}

/* A command whose answer is ok or a reason. */
static int tell(struct ctl *ctl, const char *command, const char *done)
{
	struct err err;
	cJSON *reply = ask(ctl, command, &err);
	int status = EX_OK;

	if (reply == NULL)
		return ctl_fail(&err);
	if (ctl->json)
		print_json(reply);
	if (!json_bool(reply, "ok", false)) {
		(void)fprintf(stderr, "indexocrctl: %s\n", json_text(reply, "error"));
		status = EX_CONFIG;
	} else if (!ctl->json) {
		(void)puts(done);
	}
	cJSON_Delete(reply);
	return status;
}

static const char *text_or(const cJSON *object, const char *path, const char *otherwise)
{
	const char *text = json_text(object, path);

	return text != NULL ? text : otherwise;
}

static void print_environment(const cJSON *e)
{
	const int64_t oldest_ms = json_int(e, "oldestReadyMs", -1);
	char oldest[32] = "-";

	if (oldest_ms >= 0)
		(void)snprintf(oldest, sizeof oldest, "%lld s", (long long)(oldest_ms / 1000));
	(void)printf("%-12s %-13s %8lld %8lld %8lld %8lld %8lld  %-10s %s\n",
		text_or(e, "name", "?"), text_or(e, "database", "?"),
		(long long)json_int(e, "ready", 0), (long long)json_int(e, "waiting", 0),
		(long long)json_int(e, "claimed", 0), (long long)json_int(e, "foreign", 0),
		(long long)json_int(e, "failed", 0), oldest, text_or(e, "error", ""));
}

static void print_process(const cJSON *p)
{
	char job[128] = "";

	if (json_text(p, "document") != NULL)
		(void)snprintf(job, sizeof job, "%s/%s page %lld of %lld, %lld s",
			text_or(p, "environment", "?"), text_or(p, "document", "?"),
			(long long)json_int(p, "page", 0), (long long)json_int(p, "pages", 0),
			(long long)(json_int(p, "jobMs", 0) / 1000));
	(void)printf("%-28s %8lld  %-10s %-9s %6lld s  %s%s\n", text_or(p, "id", "?"),
		(long long)json_int(p, "pid", 0), text_or(p, "post", "?"), text_or(p, "state", "?"),
		(long long)(json_int(p, "stateMs", 0) / 1000), job, text_or(p, "reason", ""));
}

static void print_status(const cJSON *status)
{
	const cJSON *item;

	(void)printf("indexocrd %s, daemon %s, pid %lld, generation %lld%s, Redis %s\n",
		text_or(status, "version", "?"), text_or(status, "daemon", "?"),
		(long long)json_int(status, "pid", 0), (long long)json_int(status, "generation", 0),
		json_bool(status, "draining", false) ? ", draining" : "",
		text_or(status, "redis", "?"));
	(void)printf("documents: %lld done, %lld failed, %lld retried; pages: %lld done; claims "
		     "lost %lld, reclaimed %lld\n\n",
		(long long)json_int(status, "totals.documents_done", 0),
		(long long)json_int(status, "totals.documents_failed", 0),
		(long long)json_int(status, "totals.documents_retried", 0),
		(long long)json_int(status, "totals.pages_done", 0),
		(long long)json_int(status, "totals.claims_lost", 0),
		(long long)json_int(status, "totals.claims_reclaimed", 0));
	if (json_text(status, "reloadError") != NULL)
		(void)printf("last reload refused: %s\n\n", json_text(status, "reloadError"));
	cJSON_ArrayForEach(item, json_get(status, "warnings"))(void)
		printf("warning: %s\n", cJSON_GetStringValue(item));
	(void)printf("%-12s %-13s %8s %8s %8s %8s %8s  %-10s\n", "environment", "database", "ready",
		"waiting", "claimed", "foreign", "failed", "oldest");
	cJSON_ArrayForEach(item, json_get(status, "environments")) print_environment(item);
	(void)printf("\n%-28s %8s  %-10s %-9s %8s  %s\n", "process", "pid", "post", "state",
		"since", "document");
	cJSON_ArrayForEach(item, json_get(status, "processes")) print_process(item);
}

int ctl_status(struct ctl *ctl, int argc, char **argv)
{
	struct err err;
	cJSON *status;

	(void)argv;
	if (argc > 1)
		return ctl_usage("status takes no arguments");
	status = ask(ctl, "status", &err);
	if (status == NULL)
		return ctl_fail(&err);
	if (ctl->json)
		print_json(status);
	else
		print_status(status);
	cJSON_Delete(status);
	return EX_OK;
}

int ctl_reload(struct ctl *ctl, int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? ctl_usage("reload takes no arguments")
			: tell(ctl, "reload",
				  "the new configuration is in force; busy workers take it over as "
				  "they fall idle");
}

int ctl_drain(struct ctl *ctl, int argc, char **argv)
{
	(void)argv;
	return argc > 1 ? ctl_usage("drain takes no arguments") : tell(ctl, "drain", "draining");
}

int ctl_scale(struct ctl *ctl, int argc, char **argv)
{
	char *command;
	int status;

	if (argc != 2 || argv[1][0] == '\0' || strspn(argv[1], "0123456789") != strlen(argv[1]))
		return ctl_usage("scale takes the number of workers");
	command = mem_printf("scale %s", argv[1]);
	status = tell(ctl, command, "done");
	free(command);
	return status;
}
