/* conf: what a configuration file means, and what is said about a bad one */
#include "conf.h"
#include "conf_table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/t_conf-XXXXXX";

/* What every file here begins with: three lines that need nothing else. */
#define BASE                                                                                       \
	"user = \"\"  environment_file = \"\"\n"                                                   \
	"engine { use = \"tesseract\" }\n"                                                         \
	"environment prod { database = \"dbname=x\" storage = \"directory:/srv\" }\n"

static char *path_of(const char *name)
{
	char *path = calloc(1, 200);

	assert_non_null(path);
	(void)snprintf(path, 200, "%s/%s", directory, name);
	return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	char *path = path_of(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	free(path);
}

static int load_with(
	struct settings **out, const char *text, const struct conf_overrides *o, struct err *err)
{
	char *path = path_of("a.conf");
	int rc;

	write_file("a.conf", text, 0600);
	rc = conf_load(out, path, o, err);
	free(path);
	return rc;
}

static struct settings *loaded(const char *text)
{
	struct settings *s = NULL;
	struct err err;

	if (load_with(&s, text, NULL, &err) != 0)
		fail_msg("%s", err.text);
	return s;
}

/* The text after "<directory>/a.conf", for a file that must be refused. */
static const char *refusal(const char *text, struct err *err)
{
	struct settings *s = NULL;
	const size_t prefix = strlen(directory) + strlen("/a.conf");

	assert_int_equal(load_with(&s, text, NULL, err), -1);
	assert_null(s);
	assert_int_equal(err->kind, ERR_CONFIG);
	assert_true(strncmp(err->text, directory, strlen(directory)) == 0);
	return err->text + prefix;
}

/* ---- good files ---------------------------------------------------------------------------- */

static void defaults_hold_without_a_file(void **state)
{
	const struct conf_overrides o = {.engine = "tesseract"};
	struct settings *s = NULL;
	struct err err;

	(void)state;
	assert_int_equal(conf_load(&s, NULL, &o, &err), 0);
	assert_int_equal(s->workers, 4);
	assert_int_equal(s->environment_count, 0);
	assert_int_equal(s->queue.lease_ms, 60000);
	assert_int_equal(s->supervise.keeper_timeout_ms, 10000);
	assert_int_equal(s->storage.memory_document_bytes, 4 * 1024 * 1024);
	assert_int_equal(s->limits.tpm, 8000000);
	assert_true(s->limits.headroom == 0.8);
	assert_int_equal(s->queue.sources.count, 1);
	assert_string_equal(s->queue.sources.items[0], "index");
	assert_null(s->queue.sources.items[1]);
	assert_int_equal(s->storage.bucket_count, 3);
	assert_string_equal(s->storage.buckets[2].bucket, "plans-cadastraux");
	assert_true(isnan(s->gemini.temperature));
	assert_int_equal(s->gemini.thinking_budget, INT32_MIN);
	assert_int_equal(s->gemini.store, -1);
	assert_null(s->gemini.thinking_level);
	assert_false(s->queue.keep_incomplete);
	assert_int_equal(s->log.level, LEVEL_INFO);
	conf_free(s);
}

static void values_land_in_their_fields_and_units(void **state)
{
	struct settings *s = loaded(BASE
		"# a comment { with ' quotes\n"
		"queue { lease = 90 poll_interval = 0.25 /* two\nlines */ sources = {\"index\", "
		"'acte'}\n"
		"  incomplete_pages = \"keep\" result_format = text } // another\n"
		"gemini { temperature = 0.7 thinking_budget = -1 store = false fallback_models = "
		"{\"a\"} }\n"
		"engine { api_delay_ms = 010 }\n"
		"render { memory_limit = 512 }\nlog { level = \"error\" stderr = \"json\" }\n");

	(void)state;
	assert_int_equal(s->queue.lease_ms, 90000);
	assert_int_equal(s->queue.poll_interval_ms, 250);
	assert_int_equal(s->queue.sources.count, 2);
	assert_true(s->queue.keep_incomplete);
	assert_int_equal(s->queue.result_format, RESULT_TEXT);
	assert_true(s->gemini.temperature == 0.7);
	assert_int_equal(s->gemini.thinking_budget, -1);
	assert_int_equal(s->gemini.store, 0);
	assert_string_equal(s->gemini.fallback_models.items[0], "a");
	assert_int_equal(s->engine.api_delay_ms, 10); /* decimal, not octal */
	assert_int_equal(s->render.memory_limit_bytes, INT64_C(512) * 1024 * 1024);
	assert_int_equal(s->log.level, LEVEL_ERROR);
	assert_int_equal(s->log.to_stderr, LOG_STDERR_JSON);
	assert_int_equal(s->supervise.keeper_timeout_ms, 15000); /* a sixth of the lease */
	conf_free(s);
}

static void variables_come_from_the_process_then_from_the_file(void **state)
{
	struct settings *s;
	char *text = calloc(1, 1000);
	char host[256] = "";

	(void)state;
	write_file("env",
		"# the older worker's\nexport T_CONF_BOTH=file\nT_CONF_FILE='a \"b\\\" ${X} #c'\r\n"
		"T_CONF_EMPTY=\n",
		0600);
	assert_int_equal(setenv("T_CONF_BOTH", "process", 1), 0);
	assert_non_null(text);
	(void)snprintf(text, 1000,
		"environment_file = \"%s/env\" user = \"\"\n"
		"engine { use = ${T_CONF_NONE:-tesseract} }\n"
		"environment prod { database = \"host=${T_CONF_BOTH} dbname=${T_CONF_FILE}\"\n"
		"  storage = \"directory:/${T_CONF_EMPTY:-srv}\" }\n"
		"worker_id = \"w-${HOSTNAME}\"\n",
		directory);
	s = loaded(text);
	assert_string_equal(s->environments[0].database, "host=process dbname=a \"b\\\" ${X} #c");
	assert_string_equal(s->environments[0].storage, "directory:/srv");
	assert_int_equal(gethostname(host, sizeof host - 1), 0);
	assert_string_equal(s->worker_id + 2, host);
	conf_free(s);
	free(text);
	assert_int_equal(unsetenv("T_CONF_BOTH"), 0);
}

static void secrets_come_from_files_of_their_own(void **state)
{
	struct settings *s;
	char *text = calloc(1, 1000);

	(void)state;
	assert_non_null(text);
	write_file("key", "sk-1234\n", 0600);
	(void)snprintf(text, 1000, BASE "gemini { api_key_file = \"%s/key\" }", directory);
	s = loaded(text);
	assert_string_equal(s->gemini.api_key, "sk-1234");
	conf_free(s);
	free(text);
}

static void all_files_it_was_read_from_are_known(void **state)
{
	static const char *const names[] = {"a.conf", "env", "database", "key", "token"};
	struct settings *s;
	char *text = calloc(1, 2000);

	(void)state;
	assert_non_null(text);
	write_file("env", "NAME=value\n", 0600);
	write_file("key", "sk-1234\n", 0600);
	write_file("database", "dbname=d\n", 0600);
	write_file("token", "t\n", 0600);
	(void)snprintf(text, 2000,
		"user = \"\" environment_file = \"%s/env\" engine { use = tesseract }\n"
		"environment prod { database_file = \"%s/database\" storage = \"directory:/d\" }\n"
		"gemini { api_key_file = \"%s/key\" } status { token_file = \"%s/token\" }\n",
		directory, directory, directory, directory);
	s = loaded(text);
	assert_int_equal(s->files.count, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(strncmp(s->files.items[i], directory, strlen(directory)), 0);
		assert_string_equal(s->files.items[i] + strlen(directory) + 1, names[i]);
	}
	conf_free(s);
	free(text);
}

static void unconfigured_environments_are_left_out(void **state)
{
	struct settings *s = loaded(
		"user = \"\" environment_file = \"\" engine { use = tesseract }\n"
		"environment prod { database = \"${T_CONF_NONE}\" supabase_url = "
		"\"${T_CONF_NONE}\" }\n"
		"environment staging { supabase_url = \"https://s.example\" }\n"
		"environment dev { database = \"dbname=d\" supabase_url = \"https://d.example\" "
		"service_key = k }\n");

	(void)state;
	assert_int_equal(s->environment_count, 1);
	assert_string_equal(s->environments[0].name, "dev");
	assert_string_equal(s->environments[0].service_key, "k");
	assert_int_equal(s->warnings.count, 1);
	assert_string_equal(s->warnings.items[0],
		"environment staging is left out: its storage is configured, its database is not");
	conf_free(s);
}

static void the_command_line_wins(void **state)
{
	const struct conf_overrides o = {
		.workers = 9, .worker_id = "mine", .redis_url = "redis://h:1/2"};
	struct conf_overrides bad = {.workers = 2000};
	struct settings *s = NULL;
	struct err err;

	(void)state;
	assert_int_equal(
		load_with(&s, BASE "workers = 2 redis { url = \"redis://x\" }", &o, &err), 0);
	assert_int_equal(s->workers, 9);
	assert_string_equal(s->worker_id, "mine");
	assert_string_equal(s->redis.url, "redis://h:1/2");
	conf_free(s);
	assert_int_equal(load_with(&s, BASE, &bad, &err), -1);
	assert_string_equal(err.text, "-n 2000: not a usable number of workers; allowed: 1 to "
				      "workers_limit = 1024");
	bad = (struct conf_overrides){.worker_id = "a/b"};
	assert_int_equal(load_with(&s, BASE, &bad, &err), -1);
	assert_string_equal(err.text, "--worker-id: not a usable value; allowed: 1 to 100 letters, "
				      "digits and . _ - : @ (no slash)");
}

/* ---- bad files ------------------------------------------------------------------------------- */

static const struct bad {
	const char *text;
	const char *refusal; /* behind the file's name */
} bad_files[] = {
	{BASE "# one\n# two\nqueue {\n\tlease = 5000\n}\n",
		":7: queue.lease is \"5000\"; allowed: 1 to 3600 seconds"},
	{BASE "queue { lease = 5m }\n", ":4: queue.lease is \"5m\"; allowed: 1 to 3600 seconds"},
	{BASE "queue { lease = 1e2 }\n", ":4: queue.lease is \"1e2\"; allowed: 1 to 3600 seconds"},
	{BASE "workers = 2.5\n", ":4: workers is \"2.5\"; allowed: 1 to 4096 processes"},
	{BASE "workers = 0x10\n", ":4: workers is \"0x10\"; allowed: 1 to 4096 processes"},
	{BASE "workers = 99999999999999999999\n",
		":4: workers is \"99999999999999999999\"; allowed: 1 to 4096 processes"},
	{BASE "limits { headroom = 1.01 }\n",
		":4: limits.headroom is \"1.01\"; allowed: 0.01 to 1"},
	{BASE "/* a\n\n*/ limits {\n headroom = \"x\" }\n",
		":7: limits.headroom is \"x\"; allowed: 0.01 to 1"},
	{BASE "gemini { store = 1 }\n", ":4: gemini.store is \"1\"; allowed: true or false"},
	{BASE "queue { incomplete_pages = \"drop\" }\n",
		":4: queue.incomplete_pages is \"drop\"; allowed: \"fail\" or \"keep\""},
	{BASE "tesseract { langs = \"fra\" }\n",
		":4: unknown key \"langs\" in tesseract; allowed: languages, datadir, helpers"},
	{BASE "redis|hosts = 1\n", NULL},
	{BASE "\"(context)\" = 1\n", NULL},
	{BASE "queue { lease = 5\n lease = 6 }\n",
		":5: \"lease\" stands here a second time; allowed: once, and line 4 has it"},
	{BASE "environment prod { }\n",
		":4: found duplicate title 'prod'; allowed: key = value, or section { ... }"},
	{BASE "environment \"a/b\" { database = \"dbname=x\" }\n",
		":4: environment \"a/b\" has a bad name; allowed: 1 to 40 letters, digits, "
		"underscores and hyphens"},
	{BASE "environment dev {\n database = \"mysql://h/d\" }\n",
		":5: environment dev: database has a value that cannot be right; allowed: a "
		"postgresql:// URL or a libpq string (host=... dbname=...), or \"\""},
	{BASE "environment dev {\n supabase_url = \"ftp://h\" }\n",
		":5: environment dev: supabase_url is \"ftp://h\"; allowed: an http:// or https:// "
		"URL without user, query or fragment"},
	{BASE "environment dev {\n database = \"dbname=d\" }\n",
		":5: environment dev: database is set, supabase_url is not; allowed: both, or "
		"storage = \"directory:/...\""},
	{BASE "environment dev {\n database = \"dbname=d\" supabase_url = \"https://h\"\n"
	      " service_key = \"${T_CONF_NONE}\" }\n",
		":6: environment dev: service_key is empty; allowed: a value, since database is "
		"set, "
		"or storage = \"directory:/...\""},
	{BASE "worker_id = \"a/b\"\n", ":4: worker_id is \"a/b\"; allowed: 1 to 100 letters, "
				       "digits and . _ - : @ (no slash)"},
	{BASE "pid_file = \"run/x.pid\"\n",
		":4: pid_file is \"run/x.pid\"; allowed: an absolute path, or \"\""},
	{BASE "redis {\n url = \"localhost:6379\" }\n",
		":5: redis.url has a value that cannot be right; allowed: a redis://, rediss:// or "
		"unix:/// URL, or \"\""},
	{BASE "gemini { base_url = \"https://k@h\" }\n",
		":4: gemini.base_url is \"https://k@h\"; allowed: an http:// or https:// URL "
		"without "
		"user, query or fragment"},
	{BASE "status { listen = \"0.0.0.0:9750\" }\n",
		":4: status.listen = \"0.0.0.0:9750\" is open to the network; allowed: a loopback "
		"address, or any with status.token_file"},
	{BASE "status { listen = \"127.0.0.1:99999\" }\n",
		":4: status.listen is \"127.0.0.1:99999\"; allowed: address:port, such as "
		"\"127.0.0.1:9750\" or \"[::1]:9750\", or \"\""},
	{BASE "workers_max = 2\nworkers = 3\n",
		":5: workers is above workers_max; allowed: at most workers_max"},
	{BASE "workers_limit = 2\nworkers = 1\nworkers_max = 3\n",
		":6: workers_max is above workers_limit; allowed: at most workers_limit"},
	{BASE "workers_limit = 2\nworkers = 3\n",
		":5: workers is above workers_limit; allowed: at most workers_limit"},
	{BASE "queue { backoff = 60\nbackoff_max = 30 }\n",
		":5: queue.backoff is above backoff_max; allowed: at most backoff_max"},
	{BASE "supervise { keeper_timeout = 15 }\n",
		":4: supervise.keeper_timeout is too long for queue.lease = 60; allowed: under a "
		"quarter of it"},
	{BASE "queue { status_done = 3 }\n",
		":4: queue.status_ready and queue.status_done are both 3; allowed: four different "
		"numbers"},
	{BASE "queue {\n sources = {\"index\", \"plans\"} }\n",
		":5: queue.sources has \"plans\", storage.buckets has no bucket for it; allowed: "
		"sources with a bucket"},
	{BASE "queue { sources = {} }\n",
		":4: queue.sources is empty; allowed: at least one document_source"},
	{BASE "gemini { thinking_level = \"low\"\n thinking_budget = 0 }\n",
		":5: gemini.thinking_level and gemini.thinking_budget are both set; allowed: one "
		"of "
		"them"},
	{BASE "gemini { api_key = \"a b\" }\n",
		":4: gemini.api_key has a value that cannot be right; allowed: printable ASCII "
		"characters without blanks, or \"\""},
	{BASE "gemini {\n\n api_key_file = \"/nonexistent/key\" }\n",
		":6: api_key_file: /nonexistent/key: No such file or directory"},
	{BASE "queue { lease = }\n",
		":4: unexpected token '}'; allowed: key = value, or section { ... }"},
	{BASE "gemini { api_key = abc+def }\n",
		":4: what stands on the line of a secret is not understood; allowed: key = "
		"\"secret\", in quotes"},
	{BASE "queue = 5\n", ":4: missing opening brace for section 'queue'; allowed: key = value, "
			     "or section { ... }"},
	{BASE "queue { lease 5 }\n", ":4: missing equal sign after option 'lease'; allowed: key = "
				     "value, or section { ... }"},
	{BASE "queue {\n lease = 5\n\n", ":4: a { is not closed; allowed: a } for each"},
	{BASE "}\n", ":4: unexpected closing brace; allowed: key = value, or section { ... }"},
	{BASE "workers =\n",
		":5: the file ends too early; allowed: a value after each =, a } for each {"},
	{BASE "pid_file = \"/x\nworkers = 1\n", ":4: a quote is not closed on its line"},
	{BASE "pid_file = '/x", ":4: a quote is not closed on its line"},
	{BASE "pid_file = \"${FOO\"\n", ":4: not a variable; allowed: ${NAME} or ${NAME:-default}"},
	{BASE "pid_file = \"${FOO-x}\"\n",
		":4: not a variable; allowed: ${NAME} or ${NAME:-default}"},
	{BASE "/* never\n closed", ":4: a comment is not closed with */"},
	{BASE "workers = \x01\n", ":4: a control character"},
	{"\xff\n", ": is not valid UTF-8; allowed: UTF-8 text"},
	{"user = \"\" environment_file = \"\"\nengine { use = \"tesseract\" }\n",
		":1: no environment has a database; allowed: environment NAME { database = ... }, "
		"its "
		"variables set in the environment or in environment_file"},
	{"environment_file = \"\" user = \"\"\nengine { use = \"gemini\" }\n"
	 "gemini {\n api_key = \"\" }\n",
		":4: gemini.api_key is empty; allowed: a key, usually in the variable "
		"GEMINI_API_KEY, "
		"or engine.use = \"tesseract\""},
	{BASE "workers = 1\n\nenvironment_file = \"/nonexistent\"\n", NULL},
};

static void bad_files_get_one_line_with_the_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
		struct err err;
		const char *text = refusal(bad_files[i].text, &err);

		if (bad_files[i].refusal == NULL)
			assert_memory_equal(text, ":", 1);
		else
			assert_string_equal(text, bad_files[i].refusal);
		assert_null(strchr(text, '\n'));
	}
}

static const struct bad bad_environment_files[] = {
	{"A=1\nB = 2\n",
		":2: not a variable; allowed: [export] NAME=value, without blanks around ="},
	{"1A=1\n", ":1: not a variable; allowed: [export] NAME=value, without blanks around ="},
	{"A=a b\n", ":1: a value with blanks must stand in quotes"},
	{"\n\nA=a#b\n", ":3: a value with # ' \" ` $ or \\ must stand in quotes"},
	{"A=a$b\n", ":1: a value with # ' \" ` $ or \\ must stand in quotes"},
	{"A=\"a\n", ":1: a quote is not closed on its line"},
	{"A=\"a$b\"\n", ":1: a value with \\ $ or ` must stand in single quotes"},
	{"A='a'b\n", ":1: something follows the closing quote"},
};

static void bad_environment_files_are_refused_by_line(void **state)
{
	char *text = calloc(1, 1000);
	char *path = path_of("env");

	(void)state;
	assert_non_null(text);
	(void)snprintf(text, 1000, "environment_file = \"%s\"\n", path);
	for (size_t i = 0; i < sizeof bad_environment_files / sizeof bad_environment_files[0];
		i++) {
		struct settings *s = NULL;
		struct err err;

		write_file("env", bad_environment_files[i].text, 0600);
		assert_int_equal(load_with(&s, text, NULL, &err), -1);
		assert_string_equal(err.text + strlen(path), bad_environment_files[i].refusal);
	}
	free(path);
	free(text);
}

static void secrets_that_others_can_read_are_refused(void **state)
{
	struct settings *s = NULL;
	struct err err;
	char *conf = path_of("open.conf");
	char *env = path_of("env");
	char *text = calloc(1, 1000);

	(void)state;
	assert_non_null(text);
	write_file("open.conf", BASE "gemini {\n api_key = \"SECRET\" }\n", 0604);
	assert_int_equal(conf_load(&s, conf, NULL, &err), -1);
	assert_string_equal(err.text + strlen(conf),
		":5: gemini.api_key is a secret and other users may read this file; allowed: chmod "
		"o= on it, or ${NAME}");
	/* A variable, a masked one, and a database without a password are none. */
	write_file("open.conf",
		BASE "gemini { api_key = \"${HOME}\" } openai { api_key = \"********\" }\n", 0644);
	assert_int_equal(conf_load(&s, conf, NULL, &err), 0);
	conf_free(s);
	write_file("env", "A=1\n", 0644);
	(void)snprintf(text, 1000, "environment_file = \"%s\"\n", env);
	assert_int_equal(load_with(&s, text, NULL, &err), -1);
	assert_non_null(strstr(err.text, "holds secrets and other users may read it"));
	free(conf);
	free(env);
	free(text);
}

static void no_error_shows_a_secret(void **state)
{
	static const char *const files[] = {"gemini { api_key = \"HUSH HUSH\" }",
		"redis { url = \"HUSH\" }", "environment dev { database = \"mysql://u:HUSH@h\" }",
		"environment dev { service_key = \"HUSH\\tX\" }", "gemini { api_key = \"HUSH",
		"gemini { api_key \"HUSH\" }", "gemini { api_key = \"a\"HUSH }",
		"gemini { api_key = a=HUSH }", "gemini { api_key = a\"HUSH\" }",
		"gemini { api_key = a {HUSH} }"};
	char *text = calloc(1, 1000);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct err err;

		(void)snprintf(text, 1000, BASE "%s\n", files[i]);
		assert_null(strstr(refusal(text, &err), "HUSH"));
	}
	free(text);
}

/* ---- printing and comparing -------------------------------------------------------------------- */

static char *printed(const struct settings *s)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(conf_print(s, f), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void what_is_printed_is_the_same_configuration(void **state)
{
	struct settings *s = loaded(
		BASE "environment dev { database = \"postgresql://me:HUSH@h:5/d?sslmode=require\"\n"
		     "  listen_database = \"host=h password=HUSH\" supabase_url = \"https://h\" "
		     "service_key = \"HUSH==\" }\n"
		     "gemini { api_key = \"HUSH\" temperature = 0.25 thinking_level = \"low\" "
		     "store = true }\n"
		     "redis { url = \"rediss://:HUSH@h:1/0\" } queue { lease = 12.125 sources = "
		     "{\"acte\"} }\n"
		     "log { directory = \"/a\\\"b\\\\c$d\" } status { listen = \"\" }\n");
	char *first = printed(s);
	struct settings *again;
	char *second;

	(void)state;
	assert_null(strstr(first, "HUSH"));
	assert_non_null(strstr(first, "********@h:5/d?sslmode=require"));
	again = loaded(first);
	second = printed(again);
	assert_string_equal(first, second);
	assert_int_equal(again->queue.lease_ms, 12125);
	assert_string_equal(again->log.directory, "/a\"b\\c$d");
	conf_free(again);
	conf_free(s);
	free(first);
	free(second);
}

static void a_reload_names_what_needs_a_restart(void **state)
{
	struct settings *a = loaded(BASE "workers = 2 queue { lease = 30 }\n");
	struct settings *b = loaded(BASE "workers = 3 queue { lease = 40 }\n");
	struct settings *c =
		loaded(BASE "workers_limit = 8 pid_file = \"\" status { socket = \"/x\" }\n");
	char *names = conf_diff(a, b);

	(void)state;
	assert_null(names);
	names = conf_diff(a, c);
	assert_string_equal(names, "workers_limit, pid_file");
	free(names);
	conf_keep(c, a);
	assert_null(conf_diff(a, c));
	assert_string_equal(c->pid_file, "/run/indexocr/indexocrd.pid");
	conf_free(a);
	conf_free(b);
	conf_free(c);
}

/* ---- the table itself ---------------------------------------------------------------------------- */

static void every_key_can_say_what_it_allows(void **state)
{
	(void)state;
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];
		char allowed[CONF_TEXT_BYTES];

		conf_key_allowed(key, allowed);
		assert_true(allowed[0] != '\0');
		assert_true(strlen(key->help) > 5);
		assert_ptr_equal(conf_key_find(key->section, key->name), key);
		/* conf_value_equal() and conf_value_copy() know these. */
		if (key->restart)
			assert_true(key->type == CONF_TEXT || key->type == CONF_INTEGER);
	}
}

/* ---- nothing in a file may crash us ----------------------------------------------------------------- */

static char *read_sample(void)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];
	char *text = calloc(1, 100000);
	FILE *f;
	size_t len;

	(void)snprintf(path, sizeof path, "%s/etc/indexocr.conf", srcdir != NULL ? srcdir : ".");
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(text);
	len = fread(text, 1, 99999, f);
	assert_true(len > 1000 && len < 99999);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void mutate(char *text, unsigned *seed)
{
	static const char alphabet[] = "{}=\"'#/*\\$\n\r\t ,+|()0-.ax~\xc3\xa9\xff\x01;:";
	const size_t len = strlen(text);
	const int changes = 1 + rand_r(seed) % 8;

	for (int i = 0; i < changes; i++) {
		const size_t at = (size_t)rand_r(seed) % len;
		const size_t span = 1 + (size_t)rand_r(seed) % 40;

		switch (rand_r(seed) % 4) {
		case 0: /* another byte */
			text[at] = alphabet[(size_t)rand_r(seed) % (sizeof alphabet - 1)];
			break;
		case 1: /* a piece from elsewhere */
			if (at + span < len && span < len)
				memmove(text + at, text + (size_t)rand_r(seed) % (len - span),
					span);
			break;
		case 2: /* blanked, # first: comments come alive */
			if (text[at] == '#')
				text[at] = ' ';
			else
				for (size_t k = at; k < len && k < at + 300; k++)
					if (text[k] == '#')
						text[k] = ' ';
			break;
		default: /* cut short, rarely */
			if (rand_r(seed) % 8 == 0 && at > 0)
				text[at] = '\0';
		}
		if (strlen(text) < len)
			return;
	}
}

static void mutated_samples_are_loaded_or_refused(void **state)
{
	const char *given = getenv("T_CONF_SEED");
	unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	char *sample = read_sample();
	char *user = strstr(sample, "user = \"indexocr\"");
	int good = 0;
	int bad = 0;

	(void)state;
	/* Everything the sample needs is there, so that mutations decide. */
	assert_non_null(user);
	memcpy(user, "user = \"\"        ", strlen("user = \"indexocr\""));
	assert_int_equal(setenv("PROD_DATABASE_URL", "dbname=x", 1), 0);
	assert_int_equal(setenv("PROD_SUPABASE_URL", "https://x.example", 1), 0);
	assert_int_equal(setenv("PROD_SUPABASE_SERVICE_KEY", "k", 1), 0);
	assert_int_equal(setenv("GEMINI_API_KEY", "k", 1), 0);
	assert_int_equal(setenv("REDIS_URL", "redis://h", 1), 0);
	print_message("T_CONF_SEED=%u\n", seed);
	for (int i = 0; i < 1000; i++) {
		char *text = strdup(sample);
		struct settings *s = NULL;
		struct err err;

		assert_non_null(text);
		mutate(text, &seed);
		if (text[0] != '\0' && load_with(&s, text, NULL, &err) == 0)
			good++;
		else
			bad++;
		conf_free(s);
		free(text);
	}
	print_message("%d loaded, %d refused\n", good, bad);
	assert_true(good > 0);
	assert_true(bad > 0);
	free(sample);
}

static int make_directory(void **state)
{
	(void)state;
	(void)unsetenv("GEMINI_API_KEY");
	(void)unsetenv("REDIS_URL");
	return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {
		"a.conf", "open.conf", "env", "key", "database", "token"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char *path = path_of(names[i]);

		(void)unlink(path);
		free(path);
	}
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold_without_a_file),
		cmocka_unit_test(values_land_in_their_fields_and_units),
		cmocka_unit_test(variables_come_from_the_process_then_from_the_file),
		cmocka_unit_test(secrets_come_from_files_of_their_own),
		cmocka_unit_test(all_files_it_was_read_from_are_known),
		cmocka_unit_test(unconfigured_environments_are_left_out),
		cmocka_unit_test(the_command_line_wins),
		cmocka_unit_test(bad_files_get_one_line_with_the_place),
		cmocka_unit_test(bad_environment_files_are_refused_by_line),
		cmocka_unit_test(secrets_that_others_can_read_are_refused),
		cmocka_unit_test(no_error_shows_a_secret),
		cmocka_unit_test(what_is_printed_is_the_same_configuration),
		cmocka_unit_test(a_reload_names_what_needs_a_restart),
		cmocka_unit_test(every_key_can_say_what_it_allows),
		cmocka_unit_test(mutated_samples_are_loaded_or_refused),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
