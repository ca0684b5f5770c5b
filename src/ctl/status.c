/* What goes through the control socket: status, workers, pause, resume, scale, reload, drain. */
#include "ctl.h"
#include "json.h"
#include "mem.h"
#include "show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { WATCH_S = 2, WATCH_MAX_S = 3600 };

/* ---- looking */

/* NULL after saying why; *status is the exit status then. */
static cJSON *look(struct ctl *ctl, int *status)
{
	struct err err;
	cJSON *reply = ctl_ask(ctl, "status", &err);

	*status = EX_OK;
	if (reply != NULL && ctl_judge(reply, &err) == 0)
		return reply;
	*status = ctl_fail(&err);
	cJSON_Delete(reply);
	return NULL;
}

static int show_once(struct ctl *ctl)
{
	int rc;
	cJSON *status = look(ctl, &rc);
	char *text;

	if (status == NULL)
		return rc;
	if (ctl->json) {
		ctl_print_json(status);
	} else {
		text = show_status(status);
		(void)fputs(text, stdout);
		free(text);
	}
	cJSON_Delete(status);
	return EX_OK;
}

/* Whole seconds; -1 = it is none. */
static int seconds_of(const char *text)
{
	char *end;
	const long seconds = strtol(text, &end, 10);

	return *text != '\0' && *end == '\0' && seconds >= 1 && seconds <= WATCH_MAX_S
		       ? (int)seconds
		       : -1;
}

/* status [--watch[=SECONDS] | --watch SECONDS]; 0 = once, -1 = wrong usage. */
static int watch_seconds(int argc, char **argv)
{
	static const char option[] = "--watch";
	const size_t len = sizeof option - 1;

	if (argc == 1)
		return 0;
	if (strncmp(argv[1], option, len) != 0)
		return -1;
	if (argv[1][len] == '=')
		return argc == 2 ? seconds_of(argv[1] + len + 1) : -1;
	if (argv[1][len] != '\0' || argc > 3)
		return -1;
	return argc == 2 ? WATCH_S : seconds_of(argv[2]);
}

int ctl_status(struct ctl *ctl, int argc, char **argv)
{
	const int seconds = watch_seconds(argc, argv);

	if (seconds == -1)
		return ctl_usage("status takes --watch, with a number of seconds from 1 to 3600");
	return seconds > 0 ? ctl_watch(ctl, seconds) : show_once(ctl);
}

/* The keeper stands among the processes; it is no worker. */
static cJSON *workers_of(const cJSON *status)
{
	cJSON *out = cJSON_CreateArray();
	const cJSON *item;

	cJSON_ArrayForEach(item, json_get(status, "processes"))
	{
		if (json_int(item, "slot", 0) > 0)
			cJSON_AddItemToArray(out, cJSON_Duplicate(item, 1));
	}
	return out;
}

int ctl_workers(struct ctl *ctl, int argc, char **argv)
{
	cJSON *status, *workers;
	char *text;
	int rc;

	(void)argv;
	if (argc > 1)
		return ctl_usage("workers takes no arguments");
	status = look(ctl, &rc);
	if (status == NULL)
		return rc;
	workers = workers_of(status);
	if (ctl->json) {
		ctl_print_json(workers);
	} else {
		text = show_workers(workers);
		(void)fputs(text, stdout);
		free(text);
	}
	cJSON_Delete(workers);
	cJSON_Delete(status);
	return EX_OK;
}

/* ---- ordering */

/* A command whose answer is ok or a reason. */
static int order(struct ctl *ctl, const char *command, const char *done, const char *later)
{
	struct err err;
	cJSON *reply = ctl_ask(ctl, command, &err);
	int status = EX_OK;

	if (reply != NULL && ctl->json)
		ctl_print_json(reply);
	if (reply == NULL || ctl_judge(reply, &err) != 0)
		status = ctl_fail(&err);
	else if (!ctl->json)
		(void)puts(json_bool(reply, "waits", false) ? later : done);
	cJSON_Delete(reply);
	return status;
}

/* One that takes no argument. */
static int tell(struct ctl *ctl, int argc, char **argv, const char *done, const char *later)
{
	char what[64];

	(void)snprintf(what, sizeof what, "%s takes no arguments", argv[0]);
	return argc > 1 ? ctl_usage(what) : order(ctl, argv[0], done, later);
}

int ctl_pause(struct ctl *ctl, int argc, char **argv)
{
	return tell(ctl, argc, argv,
		"paused: nothing new is claimed, documents in work are finished; \"indexocrctl "
		"resume\" ends it",
		NULL);
}

int ctl_resume(struct ctl *ctl, int argc, char **argv)
{
	return tell(ctl, argc, argv, "claiming again", NULL);
}

int ctl_reload(struct ctl *ctl, int argc, char **argv)
{
	return tell(ctl, argc, argv,
		"the new configuration is in force; busy workers take it over as they fall idle",
		"the new configuration is good; it waits until the workers of the reload before "
		"have finished");
}

int ctl_drain(struct ctl *ctl, int argc, char **argv)
{
	return tell(ctl, argc, argv,
		"draining: documents in work are finished; \"indexocrctl status\" shows how far it "
		"is",
		NULL);
}

int ctl_scale(struct ctl *ctl, int argc, char **argv)
{
	char *command;
	int status;

	if (argc != 2 || argv[1][0] == '\0' || strlen(argv[1]) > 9 ||
		strspn(argv[1], "0123456789") != strlen(argv[1]))
		return ctl_usage("scale takes the number of workers");
	command = mem_printf("scale %s", argv[1]);
	status = order(ctl, command, "done", NULL);
	free(command);
	return status;
}
