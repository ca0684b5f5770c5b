/* ctl/show: a status as people read it. */
#include "ctl/show.h"

#include "json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void times_are_what_people_say(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{-1, "-"},
		{0, "0 s"},
		{999, "0 s"},
		{41 * 1000, "41 s"},
		{59999, "59 s"},
		{60000, "1 min"},
		{3599999, "59 min"},
		{3600000, "1 h 0 min"},
		{7500000, "2 h 5 min"},
		{48 * 3600000LL - 1, "47 h 59 min"},
		{48 * 3600000LL, "2 d 0 h"},
		{76 * 3600000LL, "3 d 4 h"},
		{INT64_MAX, "106751991167 d 7 h"},
	};
	char text[SHOW_TIME_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(show_time(rows[i].ms, text), rows[i].text);
}

static const char everything[] =
	"{\"version\":\"0.1\",\"daemon\":\"d1\",\"pid\":7,\"generation\":3,\"redis\":\"up\","
	"\"paused\":true,\"pausedMs\":180000,\"draining\":true,\"drain\":{\"phase\":\"drain\","
	"\"workers\":3,\"oldestJobMs\":41000,\"leftMs\":240000},\"pool\":{\"wanted\":8,\"min\":2,"
	"\"max\":16,\"scale\":\"queue\"},\"crashLoop\":"
	"{\"workers\":4,\"reason\":\"exit status "
	"70\",\"sinceMs\":9000},\"reloadWaits\":true,\"reloadError\":\"f:3: bad\","
	"\"warnings\":[\"dev is left out\",7],\"totals\":{\"documents_done\":12,\"restarts\":2},"
	"\"environments\":[{\"name\":\"prod\",\"database\":\"up\",\"ready\":100001,\"waiting\":1,"
	"\"oldestReadyMs\":61000},{\"name\":\"old\",\"database\":\"down\",\"retiring\":true,"
	"\"error\":\"no "
	"route\"}],\"processes\":[{\"id\":\"keeper\",\"slot\":0,\"post\":\"running\","
	"\"pid\":8,\"state\":\"idle\",\"stateMs\":5000},{\"id\":\"host-1\",\"slot\":1,"
	"\"post\":\"running\",\"pid\":9,\"state\":\"reading\",\"stateMs\":2000,\"environment\":"
	"\"prod\",\"document\":\"456\",\"page\":4,\"pages\":10,\"jobMs\":41000},{\"id\":\"host-2\","
	"\"slot\":2,\"post\":\"throttled\",\"pid\":0,\"state\":\"starting\",\"stateMs\":1000,"
	"\"reason\":\"SIGSEGV\",\"restartMs\":4000,\"lastDeath\":{\"at\":\"2026-11-24T03:00:00Z\","
	"\"pid\":6,\"livedMs\":41000,\"state\":\"reading\",\"reason\":\"SIGSEGV\",\"environment\":"
	"\"prod\","
	"\"document\":\"455\",\"page\":2,\"pages\":3}}]}";

static const char shown[] =
	"indexocrd 0.1, daemon d1, pid 7, generation 3, Redis up\n"
	"PAUSED by an operator for 3 min: nothing new is claimed; \"indexocrctl resume\" ends it\n"
	"STOPPING, drain: waiting for 3 workers, oldest document 41 s; 4 min left\n"
	"NO WORKER BECOMES READY, of 4, for 9 s: exit status 70\n"
	"workers: 8 wanted, 2 to 16 by the ready documents\n"
	"documents: 12 done, 0 failed, 0 retried, 0 released; claims: 0 lost, 0 reclaimed\n"
	"pages: 0 done, 0 blank, 0 failed; engine calls: 0, 0 failed; restarts: 2\n"
	"last reload refused: f:3: bad\n"
	"a reload waits until the workers of the one before have finished\n"
	"warning: dev is left out\n"
	"warning: ?\n"
	"\n"
	"environment  database         ready  waiting  claimed  foreign   failed  oldest\n"
	"prod         up            100,000+        1        0        0        0  1 min\n"
	"old          down                 0        0        0        0        0  -"
	"  no longer configured: served until its last claim has ended  no route\n"
	"\n"
	"process      pid  post       state            since  document, or why\n"
	"keeper         8  running    idle               5 s\n"
	"host-1         9  running    reading            2 s  prod/456 page 4 of 10, 41 s\n"
	"host-2         0  throttled  -                  1 s  SIGSEGV; starts again in 4 s\n";

static cJSON *parsed(const char *text)
{
	cJSON *tree = json_parse(text, strlen(text));

	assert_non_null(tree);
	return tree;
}

static void everything_that_a_status_holds_is_shown(void **state)
{
	cJSON *status = parsed(everything);
	char *text = show_status(status);
	const char *processes;

	(void)state;
	assert_string_equal(text, shown);
	free(text);
	text = show_workers(json_get(status, "processes"));
	processes = strstr(shown, "process      pid");
	assert_memory_equal(text, processes, strlen(processes));
	assert_string_equal(text + strlen(processes),
		"    last death: 2026-11-24T03:00:00Z, pid 6 after 41 s, reading: SIGSEGV  "
		"prod/455 page 2 of 3\n");
	free(text);
	cJSON_Delete(status);
}

static void what_is_missing_or_of_another_kind_is_no_fault(void **state)
{
	static const char *const odd[] = {"{}", "[]", "7", "{\"processes\":7,\"environments\":{}}",
		"{\"processes\":[7,null,{}],\"environments\":[[]],\"warnings\":\"x\",\"pool\":7,"
		"\"drain\":[],\"totals\":null,\"version\":3}"};

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		cJSON *status = parsed(odd[i]);
		char *text = show_status(status);

		assert_memory_equal(text, "indexocrd ?,", 12);
		free(text);
		cJSON_Delete(status);
	}
}

/* ESC, CSI as one character, and a return: nothing of them reaches the terminal. */
static void a_field_commands_no_terminal(void **state)
{
	cJSON *status = parsed("{\"reloadError\":\"a\\u001b[2Jb\\u009b31mc\\rd\\u0000\\ud800\"}");
	char *text = show_status(status);

	(void)state;
	assert_non_null(strstr(text, "refused: a [2Jb 31mc d\xEF\xBF\xBD\xEF\xBF\xBD\n"));
	free(text);
	cJSON_Delete(status);
}

static void a_text_is_cut_to_the_screen_by_columns_not_bytes(void **state)
{
	static const struct {
		const char *text;
		int columns, rows;
		const char *fitted;
	} rows[] = {
		{"one\ntwo\n", 80, 2, "one|two|"},
		{"one\ntwo", 80, 2, "one|two|"},
		{"", 80, 2, ""},
		{"one\ntwo\n", 2, 2, "on|tw|"},
		{"one\n\nthree\n", 80, 3, "one||three|"},
		{"one\ntwo\nthree\n", 80, 2, "one|... 2 more lines|"},
		{"one\ntwo\nthree\n", 5, 2, "one|... 2|"},
		{"\xC3\xA9t\xC3\xA9\n", 2, 2, "\xC3\xA9t|"},
		{"e\xCC\x81t\n", 1, 2, "e\xCC\x81|"},                    /* combining */
		{"a\xE6\x97\xA5\xE6\x97\xA5\n", 4, 2, "a\xE6\x97\xA5|"}, /* wide */
		{"a\tb\n", 3, 2, "a b|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *fitted = show_fit(rows[i].text, rows[i].columns, rows[i].rows, "|");

		assert_string_equal(fitted, rows[i].fitted);
		free(fitted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_what_people_say),
		cmocka_unit_test(everything_that_a_status_holds_is_shown),
		cmocka_unit_test(what_is_missing_or_of_another_kind_is_no_fault),
		cmocka_unit_test(a_field_commands_no_terminal),
		cmocka_unit_test(a_text_is_cut_to_the_screen_by_columns_not_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
