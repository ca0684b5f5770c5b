/* Options, configuration, the table of roles: the only file that knows every role. */
#include "conf.h"
#include "keeper.h"
#include "log.h"
#include "master.h"
#include "mem.h"
#include "permissions.h"
#include "privileges.h"
#include "title.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

struct options {
	const char *conf_path;
	struct conf_overrides overrides;
	struct one_document one; /* path NULL = the queue */
	bool test;
	bool print;
	bool background;
};

static const char usage_text[] =
	"usage: indexocrd [-c FILE] [-t] [-T] [-d] [-n WORKERS] [--worker-id ID] [--redis-url URL] "
	"[-V] [-h]\n"
	"\n"
	"  -c, --config FILE     configuration (default " SYSCONFDIR "/indexocr.conf)\n"
	"  -t, --test            check the configuration and exit\n"
	"  -T, --print           print the configuration in force, secrets masked, and exit\n"
	"  -d, --daemon          go into the background\n"
	"  -n, --workers N       number of workers, instead of the configuration's\n"
	"      --worker-id ID    prefix of the worker ids, instead of the configuration's\n"
	"      --redis-url URL   Redis, instead of the configuration's\n"
	"  -V, --version         print the version and exit\n"
	"  -h, --help            print this and exit\n"
	"\n"
	"indexocrctl(8) looks into a running daemon, and reads single files.\n";

enum {
	OPT_WORKER_ID = 256,
	OPT_REDIS_URL,
	OPT_ENGINE,
	OPT_READ,
	OPT_SOURCE,
	OPT_TEXT,
	OPT_PROCESS,
	OPT_ENVIRONMENT,
	OPT_JSON
};

/* --read, --process and what goes with them are the private side of `indexocrctl read` and `process`. */
static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"test", no_argument, NULL, 't'},
	{"print", no_argument, NULL, 'T'},
	{"daemon", no_argument, NULL, 'd'},
	{"workers", required_argument, NULL, 'n'},
	{"worker-id", required_argument, NULL, OPT_WORKER_ID},
	{"redis-url", required_argument, NULL, OPT_REDIS_URL},
	{"engine", required_argument, NULL, OPT_ENGINE},
	{"read", required_argument, NULL, OPT_READ},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"text", no_argument, NULL, OPT_TEXT},
	{"process", required_argument, NULL, OPT_PROCESS},
	{"environment", required_argument, NULL, OPT_ENVIRONMENT},
	{"json", no_argument, NULL, OPT_JSON},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int parse_workers(const char *text, int *workers)
{
	char *end;
	const long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < 1 || n > 1024) {
		(void)fprintf(
			stderr, "indexocrd: -n wants a number from 1 to 1024, not \"%s\"\n", text);
		return -1;
	}
	*workers = (int)n;
	return 0;
}

/* -1 = go on, else the exit status. */
static int parse_option(struct options *o, int option)
{
	switch (option) {
	case 'c':
		o->conf_path = optarg;
		return -1;
	case 't':
		o->test = true;
		return -1;
	case 'T':
		o->print = true;
		return -1;
	case 'd':
		o->background = true;
		return -1;
	case 'n':
		return parse_workers(optarg, &o->overrides.workers) == 0 ? -1 : EX_USAGE;
	case OPT_WORKER_ID:
		o->overrides.worker_id = optarg;
		return -1;
	case OPT_REDIS_URL:
		o->overrides.redis_url = optarg;
		return -1;
	case OPT_ENGINE:
		o->overrides.engine = optarg;
		return -1;
	case OPT_READ:
		o->one.path = optarg;
		o->overrides.no_queue = true;
		return -1;
	case OPT_SOURCE:
		o->one.source = optarg;
		return -1;
	case OPT_TEXT:
		o->one.text = true;
		return -1;
	case OPT_PROCESS:
		o->one.id = optarg;
		return -1;
	case OPT_ENVIRONMENT:
		o->one.environment = optarg;
		o->overrides.environment = optarg;
		return -1;
	case OPT_JSON:
		o->one.json = true;
		return -1;
	case 'V':
		(void)printf("indexocrd %s\n", PACKAGE_VERSION);
		return EX_OK;
	case 'h':
		(void)fputs(usage_text, stdout);
		return EX_OK;
	default:
		(void)fputs("indexocrd -h shows the options.\n", stderr);
		return EX_USAGE;
	}
}

static int parse_options(struct options *o, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:tTdn:Vh", long_options, NULL)) != -1) {
		const int status = parse_option(o, option);

		if (status != -1)
			return status;
	}
	if (optind < argc) {
		(void)fprintf(stderr, "indexocrd: \"%s\" is no option; indexocrd -h shows them\n",
			argv[optind]);
		return EX_USAGE;
	}
	if ((o->one.id != NULL) != (o->one.environment != NULL) ||
		(o->one.id != NULL && o->one.path != NULL)) {
		(void)fputs(
			"indexocrd: --process goes with --environment, not with --read\n", stderr);
		return EX_USAGE;
	}
	if (o->conf_path == NULL && o->one.path == NULL)
		o->conf_path = SYSCONFDIR "/indexocr.conf";
	return -1;
}

static struct settings *load(void *arg, struct err *err)
{
	const struct options *o = arg;
	struct settings *settings;

	return conf_load(&settings, o->conf_path, &o->overrides, err) == 0 ? settings : NULL;
}

/* Can its user go on with all of it? Said before anything is started. */
static int check_permissions(const struct settings *settings, struct options *o)
{
	const struct permissions_reload reload = {load, conf_free, o};
	struct privileges privileges;
	struct err err;
	int rc = privileges_find(&privileges, settings->user, &err);

	if (rc == 0)
		rc = permissions_check(settings, &privileges, &reload, &err);
	if (rc == -1)
		(void)fprintf(stderr, "indexocrd: %s\n", err.text);
	return rc == 0 ? EX_OK : rc == -1 && err.kind != ERR_CONFIG ? EX_OSERR : EX_CONFIG;
}

static int print_settings(const struct settings *settings)
{
	if (conf_print(settings, stdout) == 0 && fflush(stdout) == 0)
		return EX_OK;
	(void)fprintf(stderr, "indexocrd: cannot print the configuration: %s\n", strerror(errno));
	return EX_IOERR;
}

/* A private daemon: one worker, nothing shared with the one that may be running. */
static void make_private(struct settings *settings, const struct one_document *one)
{
	char *worker_id;

	if (getpwnam(settings->user) == NULL) { /* root's own reading needs no account to be made */
		free(settings->user);
		settings->user = mem_strdup("nobody");
	}
	settings->workers = 1;
	settings->workers_limit = 1;
	settings->scale = SCALE_STATIC;
	settings->log.directory[0] = '\0';
	if (settings->log.to_stderr == LOG_STDERR_NONE)
		settings->log.to_stderr = LOG_STDERR_TEXT;
	if (one->id ==
		NULL) { /* the text goes to the terminal: only what is wrong comes beside it */
		if (settings->log.level < LEVEL_WARN)
			settings->log.level = LEVEL_WARN;
		return;
	}
	worker_id = mem_printf("%s-process", settings->worker_id);
	free(settings->worker_id);
	settings->worker_id = worker_id;
}

/* Opened with the rights of whoever asked; without O_NONBLOCK a named pipe would wait for its writer. */
static int open_one(struct one_document *one)
{
	one->fd = open(one->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (one->fd != -1)
		return 0;
	(void)fprintf(stderr, "indexocrd: cannot open %s: %s\n", one->path, strerror(errno));
	return -1;
}

/*
 * Into the background: the parent waits for the child's word that nothing refused the start, and ends with the child's own status where
 * something did.
 */
struct background {
	int word_fd;    /* -1 = in the foreground */
	bool log_shown; /* on standard error */
	bool said;      /* that it waits */
};

static void say_ready(void *arg)
{
	struct background *b = arg;
	int null_fd;

	if (b->word_fd == -1)
		return;
	(void)!write(b->word_fd, "", 1);
	(void)close(b->word_fd);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2; fd++)
		(void)dup2(null_fd, fd);
	(void)close(null_fd);
}

/* Whoever started us in the background waits as well, and is told why; where he has been interrupted, we do not go on. */
static bool keep_waiting(void *arg)
{
	struct background *b = arg;
	struct pollfd word = {.fd = b->word_fd};

	if (b->word_fd == -1)
		return true;
	if (!b->said && !b->log_shown)
		(void)fputs(
			"indexocrd: waiting for the children of the previous daemon to finish\n",
			stderr);
	b->said = true;
	return poll(&word, 1, 0) == 0;
}

static _Noreturn void wait_for_word(int fd, pid_t child)
{
	char word;
	int status = 0;

	if (read(fd, &word, 1) == 1)
		_exit(EX_OK);
	(void)waitpid(child, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE);
}

static int go_background(struct background *b)
{
	int word[2];
	pid_t child;

	if (pipe2(word, O_CLOEXEC) != 0 || (child = fork()) == -1) {
		(void)fprintf(
			stderr, "indexocrd: cannot go into the background: %s\n", strerror(errno));
		return -1;
	}
	if (child > 0) {
		(void)close(word[1]);
		wait_for_word(word[0], child);
	}
	(void)close(word[0]);
	(void)setsid();
	b->word_fd = word[1];
	return 0;
}

static bool is_for_one(const struct options *o)
{
	return o->one.path != NULL || o->one.id != NULL;
}

static int start(struct options *o, struct settings *settings)
{
	struct background background = {
		.word_fd = -1,
		.log_shown = settings->log.to_stderr != LOG_STDERR_NONE,
	};
	const struct master_plan plan = {
		.worker = &worker_role,
		.keeper = &keeper_role,
		.load = load,
		.load_arg = o,
		.ready = say_ready,
		.waiting = keep_waiting,
		.arg = &background,
		.one = is_for_one(o) ? &o->one : NULL,
	};

	if (o->one.path != NULL && open_one(&o->one) != 0) {
		conf_free(settings);
		return EX_NOINPUT;
	}
	if (is_for_one(o))
		make_private(settings, &o->one);
	if (o->background && go_background(&background) != 0) {
		conf_free(settings);
		return EX_OSERR;
	}
	return master_run(settings, &plan);
}

int main(int argc, char **argv)
{
	struct options o = {.one = {.source = "acte"}};
	struct settings *settings;
	struct err err;
	int status;

	title_init(argc, argv);
	status = parse_options(&o, argc, argv);
	if (status != -1)
		return status;
	settings = load(&o, &err);
	if (settings == NULL) {
		(void)fprintf(stderr, "indexocrd: %s\n", err.text);
		return EX_CONFIG;
	}
	if (o.print)
		status = print_settings(settings);
	else if (!is_for_one(&o))
		status = check_permissions(settings, &o);
	else
		status = EX_OK;
	if (!o.test && !o.print && status == EX_OK)
		return start(&o, settings);
	if (!o.print && status == EX_OK)
		(void)printf("%s: configuration is good\n", o.conf_path);
	conf_free(settings);
	return status;
}
