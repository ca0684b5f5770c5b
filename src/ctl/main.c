/* indexocrctl: looks into a running daemon, works on the queue, reads single files. */
#include "conf.h"
#include "ctl.h"
#include "log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const struct ctl_command commands[] = {
	{"status", "[--watch [SECONDS]]", "what the daemon, its workers and queues are doing",
		ctl_status},
	{"workers", "", "the processes alone", ctl_workers},
	{"pause", "", "claim nothing new; documents in work are finished", ctl_pause},
	{"resume", "", "claim again", ctl_resume},
	{"reload", "",
		"check the configuration file and use it; says file and line where it is bad",
		ctl_reload},
	{"drain", "", "finish the documents in work and stop", ctl_drain},
	{"scale", "N", "run N workers until the next reload", ctl_scale},
	{"check", "", "can every database, bucket, Redis and the engine be reached?", ctl_check},
	{"queue", "", "count the documents of each environment", ctl_queue},
	{"limits", "[reset]", "show the rate limits, or set their counters back", ctl_limits},
	{"migrate", "ENV [--database URL] [--no-notify] [--print]",
		"add what is missing to a queue's database", ctl_migrate},
	{"add", "ENV [--source S] FILE...", "upload documents and put them into the queue",
		ctl_add},
	{"requeue", "ENV [--steal] ID... | --failed [--reason R]", "make documents ready again",
		ctl_requeue},
	{"show", "ENV ID",
		"one document: state, attempts, errors, who holds it, and why nobody does",
		ctl_show},
	{"process", "ENV [--own-limit] ID", "read this one document, now, in the foreground",
		ctl_process},
	{"read", "[--source S] [--engine E] [--own-limit] FILE.pdf",
		"read a local file; its text, or with --json the result, to standard output",
		ctl_read},
};

static const size_t command_count = sizeof commands / sizeof commands[0];

static void usage(FILE *out)
{
	(void)fputs(
		"usage: indexocrctl [-c FILE] [--json] [--socket PATH] COMMAND [ARGUMENT...]\n\n",
		out);
	for (size_t i = 0; i < command_count; i++)
		(void)fprintf(out, "  %s %s\n      %s\n", commands[i].name, commands[i].arguments,
			commands[i].help);
	(void)fputs("\n  -c, --config FILE   configuration (default " SYSCONFDIR "/indexocr.conf)\n"
		    "      --json          print JSON\n"
		    "      --socket PATH   the daemon's control socket, where the configuration "
		    "cannot be read\n"
		    "  -V, --version       print the version and exit\n"
		    "  -h, --help          print this and exit\n",
		out);
}

int ctl_usage(const char *what)
{
	(void)fprintf(stderr, "indexocrctl: %s; indexocrctl -h shows the commands\n", what);
	return EX_USAGE;
}

int ctl_fail(const struct err *err)
{
	(void)fprintf(stderr, "indexocrctl: %s\n", err->text);
	if (strcmp(err->code, "denied") == 0)
		return EX_NOPERM;
	if (strcmp(err->code, "request") == 0)
		return EX_USAGE;
	switch (err->kind) {
	case ERR_CONFIG:
		return EX_CONFIG;
	case ERR_TRANSIENT:
		return EX_UNAVAILABLE;
	case ERR_DOCUMENT:
	case ERR_MISSING:
	case ERR_REQUEST:
		return EX_DATAERR;
	case ERR_SYSTEM:
		return EX_OSERR;
	default:
		return EX_SOFTWARE;
	}
}

const struct settings *ctl_settings(struct ctl *ctl)
{
	struct err err;

	if (ctl->settings == NULL && conf_load(&ctl->settings, ctl->conf_path, NULL, &err) != 0) {
		(void)ctl_fail(&err);
		return NULL;
	}
	return ctl->settings;
}

const struct set_environment *ctl_environment(struct ctl *ctl, const char *name)
{
	const struct settings *s = ctl_settings(ctl);

	for (size_t i = 0; s != NULL && i < s->environment_count; i++)
		if (strcmp(s->environments[i].name, name) == 0)
			return &s->environments[i];
	if (s == NULL)
		return NULL;
	(void)fprintf(stderr, "indexocrctl: there is no environment \"%s\"; %s has:", name,
		ctl->conf_path);
	for (size_t i = 0; i < s->environment_count; i++)
		(void)fprintf(stderr, " %s", s->environments[i].name);
	(void)fputs("\n", stderr);
	return NULL;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, argv[0]) == 0)
			return commands[i].run(ctl, argc, argv);
	(void)fprintf(stderr,
		"indexocrctl: there is no command \"%s\"; indexocrctl -h shows them\n", argv[0]);
	return EX_USAGE;
}

/* --json is understood behind the command too, wherever it stands; returns how many arguments are left. */
static int take_json(struct ctl *ctl, int argc, char **argv)
{
	int kept = 0;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			ctl->json = true;
		else
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	return kept;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"socket", required_argument, NULL, 's'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	static const struct set_log quiet = {.level = LEVEL_WARN, .to_stderr = LOG_STDERR_TEXT};
	struct ctl ctl = {.conf_path = SYSCONFDIR "/indexocr.conf"};
	struct err err;
	int option, status;

	while ((option = getopt_long(argc, argv, "+c:Vh", options, NULL)) != -1) {
		if (option == 'c') {
			ctl.conf_path = optarg;
			ctl.conf_given = true;
		} else if (option == 'j')
			ctl.json = true;
		else if (option == 's')
			ctl.socket = optarg;
		else if (option == 'V')
			return printf("indexocrctl %s\n", PACKAGE_VERSION) > 0 ? EX_OK : EX_IOERR;
		else if (option == 'h')
			return usage(stdout), EX_OK;
		else
			return EX_USAGE;
	}
	if (optind == argc) {
		usage(stderr);
		return EX_USAGE;
	}
	(void)log_open(&quiet, "indexocrctl", NULL, &err);
	argc -= optind;
	argv += optind;
	argc = take_json(&ctl, argc, argv);
	if (argc == 0) {
		usage(stderr);
		return EX_USAGE;
	}
	optind = 0; /* commands have options of their own */
	status = run(&ctl, argc, argv);
	conf_free(ctl.settings);
	return status;
}
