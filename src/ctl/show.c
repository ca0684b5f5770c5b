#include "show.h"

#include "json.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SECOND_MS = 1000,
	MINUTE_MS = 60 * SECOND_MS,
	HOUR_MS = 60 * MINUTE_MS,
	DAY_MS = 24 * HOUR_MS,
	COUNT_MAX = 100 * 1000, /* beyond it the daemon does not count */
	ID_COLUMNS_MAX = 60
};

/* ---- pieces */

const char *show_time(int64_t ms, char text[SHOW_TIME_BYTES])
{
	const long long minutes = ms / MINUTE_MS, hours = ms / HOUR_MS, days = ms / DAY_MS;

	if (ms < 0)
		(void)snprintf(text, SHOW_TIME_BYTES, "-");
	else if (ms < MINUTE_MS)
		(void)snprintf(text, SHOW_TIME_BYTES, "%lld s", (long long)ms / SECOND_MS);
	else if (ms < HOUR_MS)
		(void)snprintf(text, SHOW_TIME_BYTES, "%lld min", minutes);
	else if (ms < 2 * DAY_MS)
		(void)snprintf(text, SHOW_TIME_BYTES, "%lld h %lld min", hours, minutes % 60);
	else
		(void)snprintf(text, SHOW_TIME_BYTES, "%lld d %lld h", days, hours % 24);
	return text;
}

static const char *text_or(const cJSON *object, const char *path, const char *otherwise)
{
	const char *text = json_text(object, path);

	return text != NULL ? text : otherwise;
}

static long long number(const cJSON *object, const char *path)
{
	return json_int(object, path, 0);
}

/* Closes the stream that made the text; what comes out is fit for a terminal. */
static char *finish(FILE *out, char **text, size_t *len)
{
	char *clean;

	if (fclose(out) != 0)
		abort(); /* memory */
	clean = utf8_clean(*text, *len);
	free(*text);
	return clean;
}

static FILE *begin(char **text, size_t *len)
{
	FILE *out = open_memstream(text, len);

	if (out == NULL)
		abort(); /* memory */
	return out;
}

/* ---- the daemon */

static void show_head(FILE *out, const cJSON *s)
{
	(void)fprintf(out, "indexocrd %s, daemon %s, pid %lld, generation %lld, Redis %s\n",
		text_or(s, "version", "?"), text_or(s, "daemon", "?"), number(s, "pid"),
		number(s, "generation"), text_or(s, "redis", "?"));
}

static void show_pause(FILE *out, const cJSON *s)
{
	char since[SHOW_TIME_BYTES];

	if (json_bool(s, "paused", false))
		(void)fprintf(out,
			"PAUSED by an operator for %s: nothing new is claimed; \"indexocrctl "
			"resume\" ends it\n",
			show_time(json_int(s, "pausedMs", 0), since));
}

static void show_drain(FILE *out, const cJSON *s)
{
	const cJSON *drain = json_get(s, "drain");
	const int64_t oldest_ms = json_int(drain, "oldestJobMs", -1);
	char oldest[SHOW_TIME_BYTES], left[SHOW_TIME_BYTES];

	if (drain == NULL)
		return;
	(void)fprintf(out, "STOPPING, %s: waiting for %lld workers", text_or(drain, "phase", "?"),
		number(drain, "workers"));
	if (oldest_ms >= 0)
		(void)fprintf(out, ", oldest document %s", show_time(oldest_ms, oldest));
	(void)fprintf(out, "; %s left\n", show_time(json_int(drain, "leftMs", -1), left));
}

static void show_pool(FILE *out, const cJSON *s)
{
	const cJSON *pool = json_get(s, "pool");

	if (pool == NULL)
		return;
	(void)fprintf(out, "workers: %lld wanted", number(pool, "wanted"));
	if (strcmp(text_or(pool, "scale", ""), "queue") == 0)
		(void)fprintf(out, ", %lld to %lld by the ready documents", number(pool, "min"),
			number(pool, "max"));
	(void)fputs("\n", out);
}

static void show_totals(FILE *out, const cJSON *s)
{
	const cJSON *t = json_get(s, "totals");

	(void)fprintf(out,
		"documents: %lld done, %lld failed, %lld retried, %lld released; claims: %lld "
		"lost, %lld reclaimed\n",
		number(t, "documents_done"), number(t, "documents_failed"),
		number(t, "documents_retried"), number(t, "documents_released"),
		number(t, "claims_lost"), number(t, "claims_reclaimed"));
	(void)fprintf(out,
		"pages: %lld done, %lld blank, %lld failed; engine calls: %lld, %lld failed; "
		"restarts: %lld\n",
		number(t, "pages_done"), number(t, "pages_blank"), number(t, "pages_failed"),
		number(t, "engine_calls"), number(t, "engine_failures"), number(t, "restarts"));
}

static void show_loop(FILE *out, const cJSON *s)
{
	const cJSON *loop = json_get(s, "crashLoop");
	char since[SHOW_TIME_BYTES];

	if (loop != NULL)
		(void)fprintf(out, "NO WORKER BECOMES READY, of %lld, for %s: %s\n",
			number(loop, "workers"), show_time(json_int(loop, "sinceMs", -1), since),
			text_or(loop, "reason", "?"));
}

static void show_warnings(FILE *out, const cJSON *s)
{
	const char *refused = json_text(s, "reloadError");
	const cJSON *item;

	if (refused != NULL)
		(void)fprintf(out, "last reload refused: %s\n", refused);
	if (json_bool(s, "reloadWaits", false))
		(void)fputs(
			"a reload waits until the workers of the one before have finished\n", out);
	cJSON_ArrayForEach(item, json_get(s, "warnings"))(void) fprintf(
		out, "warning: %s\n", cJSON_IsString(item) ? cJSON_GetStringValue(item) : "?");
}

/* ---- environments */

static const char *count_text(const cJSON *object, const char *path, char text[SHOW_TIME_BYTES])
{
	const long long count = number(object, path);

	(void)snprintf(text, SHOW_TIME_BYTES, count > COUNT_MAX ? "100,000+" : "%lld", count);
	return text;
}

static void show_environment(FILE *out, const cJSON *e)
{
	static const char *const counts[] = {"ready", "waiting", "claimed", "foreign", "failed"};
	char text[SHOW_TIME_BYTES];

	(void)fprintf(out, "%-12s %-13s", text_or(e, "name", "?"), text_or(e, "database", "?"));
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		(void)fprintf(out, " %8s", count_text(e, counts[i], text));
	(void)fprintf(out, "  %s", show_time(json_int(e, "oldestReadyMs", -1), text));
	if (json_bool(e, "retiring", false))
		(void)fputs("  no longer configured: served until its last claim has ended", out);
	if (json_text(e, "error") != NULL)
		(void)fprintf(out, "  %s", json_text(e, "error"));
	(void)fputs("\n", out);
}

static void show_environments(FILE *out, const cJSON *s)
{
	const cJSON *item;

	(void)fprintf(out, "\n%-12s %-13s %8s %8s %8s %8s %8s  %s\n", "environment", "database",
		"ready", "waiting", "claimed", "foreign", "failed", "oldest");
	cJSON_ArrayForEach(item, json_get(s, "environments")) show_environment(out, item);
}

/* ---- processes */

static void show_document(FILE *out, const cJSON *p)
{
	if (json_text(p, "document") == NULL)
		return;
	(void)fprintf(out, "  %s/%s", text_or(p, "environment", "?"), json_text(p, "document"));
	if (json_int(p, "pages", 0) > 0)
		(void)fprintf(out, " page %lld of %lld", number(p, "page"), number(p, "pages"));
}

static void show_job(FILE *out, const cJSON *p)
{
	char since[SHOW_TIME_BYTES];

	show_document(out, p);
	if (json_text(p, "document") != NULL)
		(void)fprintf(out, ", %s", show_time(json_int(p, "jobMs", -1), since));
}

static void show_reason(FILE *out, const cJSON *p)
{
	const int64_t restart_ms = json_int(p, "restartMs", -1);
	char in[SHOW_TIME_BYTES];

	if (json_text(p, "reason") != NULL)
		(void)fprintf(out, "  %s", json_text(p, "reason"));
	if (restart_ms >= 0)
		(void)fprintf(out, "; starts again in %s", show_time(restart_ms, in));
}

/* What a slot without a process did last is nobody's state. */
static void show_process(FILE *out, const cJSON *p, int id_columns)
{
	const bool lives = json_int(p, "pid", 0) > 0;
	char since[SHOW_TIME_BYTES];

	(void)fprintf(out, "%-*s %8lld  %-10s %-9s %12s", id_columns, text_or(p, "id", "?"),
		number(p, "pid"), text_or(p, "post", "?"), lives ? text_or(p, "state", "?") : "-",
		show_time(json_int(p, "stateMs", -1), since));
	show_job(out, p);
	show_reason(out, p);
	(void)fputs("\n", out);
}

/* Of whoever had this slot last and did not end as asked. */
static void show_death(FILE *out, const cJSON *p)
{
	const cJSON *death = json_get(p, "lastDeath");
	char lived[SHOW_TIME_BYTES];

	if (death == NULL)
		return;
	(void)fprintf(out, "    last death: %s, pid %lld after %s, %s: %s",
		text_or(death, "at", "?"), number(death, "pid"),
		show_time(json_int(death, "livedMs", -1), lived), text_or(death, "state", "?"),
		text_or(death, "reason", "?"));
	show_document(out, death);
	(void)fputs("\n", out);
}

static void show_processes(FILE *out, const cJSON *processes, bool with_deaths)
{
	int id_columns = (int)strlen("process");
	const cJSON *item;

	cJSON_ArrayForEach(item, processes)
	{
		const int columns = (int)strnlen(text_or(item, "id", "?"), ID_COLUMNS_MAX);

		id_columns = columns > id_columns ? columns : id_columns;
	}
	(void)fprintf(out, "%-*s %8s  %-10s %-9s %12s  %s\n", id_columns, "process", "pid", "post",
		"state", "since", "document, or why");
	cJSON_ArrayForEach(item, processes)
	{
		show_process(out, item, id_columns);
		if (with_deaths)
			show_death(out, item);
	}
}

/* ---- the whole */

char *show_status(const cJSON *status)
{
	size_t len;
	char *text;
	FILE *out = begin(&text, &len);

	show_head(out, status);
	show_pause(out, status);
	show_drain(out, status);
	show_loop(out, status);
	show_pool(out, status);
	show_totals(out, status);
	show_warnings(out, status);
	show_environments(out, status);
	(void)fputs("\n", out);
	show_processes(out, json_get(status, "processes"), false);
	return finish(out, &text, &len);
}

char *show_workers(const cJSON *processes)
{
	size_t len;
	char *text;
	FILE *out = begin(&text, &len);

	show_processes(out, processes, true);
	return finish(out, &text, &len);
}

/* The next line; its length, and the text moved behind it. */
static size_t take_line(const char **text)
{
	const size_t len = strcspn(*text, "\n");

	*text += len + ((*text)[len] == '\n');
	return len;
}

static int count_lines(const char *text)
{
	int lines = 0;

	for (; *text != '\0'; lines++)
		(void)take_line(&text);
	return lines;
}

static void fit_line(FILE *out, const char *line, size_t len, int columns)
{
	char *copy = strndup(line, len);

	if (copy == NULL)
		abort(); /* memory */
	for (char *tab = copy; (tab = strchr(tab, '\t')) != NULL;)
		*tab = ' ';
	(void)fprintf(out, "%.*s", (int)utf8_cut_columns(copy, columns), copy);
	free(copy);
}

char *show_fit(const char *text, int columns, int rows, const char *eol)
{
	const int lines = count_lines(text);
	const int most = lines <= rows ? lines : rows - 1;
	size_t len;
	char *fitted;
	FILE *out = begin(&fitted, &len);

	for (int i = 0; i < most; i++) {
		const char *line = text;

		fit_line(out, line, take_line(&text), columns);
		(void)fputs(eol, out);
	}
	if (lines > most) {
		char missing[64];

		(void)snprintf(missing, sizeof missing, "... %d more lines", lines - most);
		fit_line(out, missing, strlen(missing), columns);
		(void)fputs(eol, out);
	}
	if (fclose(out) != 0)
		abort(); /* memory */
	return fitted;
}
