#include "conf_check.h"

#include "conf_file.h"
#include "conf_value.h"
#include "mem.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

int conf_places_err(const struct conf_places *places, int environment, const struct conf_key *key,
	struct err *err, const char *fmt, ...)
{
	const int *lines = environment < 0 ? places->lines : places->environment_lines[environment];
	char text[sizeof err->text];
	va_list ap;
	int line;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	line = key != NULL && lines != NULL ? lines[conf_key_index(key)] : 0;
	if (places->path == NULL)
		return err_set(err, ERR_CONFIG, "config", "without a file: %s", text);
	return err_set(
		err, ERR_CONFIG, "config", "%s:%d: %s", places->path, line > 0 ? line : 1, text);
}

struct check {
	struct settings *s;
	const struct conf_places *places;
	struct err *err;
	bool no_queue;
};

/* The key that a person should look at: of two, the one that stands later in the file. */
static const struct conf_key *later(
	const struct check *c, const char *section, const char *first, const char *second)
{
	const struct conf_key *a = conf_key_find(section, first);
	const struct conf_key *b = conf_key_find(section, second);

	return c->places->lines[conf_key_index(a)] > c->places->lines[conf_key_index(b)] ? a : b;
}

static int at_most(const struct check *c, const char *section, const char *small, int64_t value,
	const char *large, int64_t limit)
{
	if (value <= limit)
		return 0;
	return conf_places_err(c->places, -1, later(c, section, small, large), c->err,
		"%s%s%s is above %s; allowed: at most %s", section, section[0] != '\0' ? "." : "",
		small, large, large);
}

static int check_workers(struct check *c)
{
	struct settings *s = c->s;

	if (s->workers_max == INT_MIN)
		s->workers_max = s->workers;
	else if (at_most(c, "", "workers_max", s->workers_max, "workers_limit", s->workers_limit) !=
			 0 ||
		 at_most(c, "", "workers", s->workers, "workers_max", s->workers_max) != 0)
		return -1;
	return at_most(c, "", "workers", s->workers, "workers_limit", s->workers_limit);
}

static int check_orders(struct check *c)
{
	const struct settings *s = c->s;

	if (at_most(c, "storage", "memory_document_max", s->storage.memory_document_bytes,
		    "document_max", s->storage.max_bytes) != 0)
		return -1;
	if (at_most(c, "queue", "backoff", s->queue.backoff_ms, "backoff_max",
		    s->queue.backoff_max_ms) != 0)
		return -1;
	return at_most(c, "supervise", "restart_backoff", s->supervise.restart_backoff_ms,
		"restart_backoff_max", s->supervise.restart_backoff_max_ms);
}

/* A keeper that hangs must be replaced in time to renew before its host's leases end. */
static int check_keeper(struct check *c)
{
	const struct conf_key *key = conf_key_find("supervise", "keeper_timeout");
	struct set_supervise *supervise = &c->s->supervise;
	const int64_t lease_ms = c->s->queue.lease_ms;

	if (supervise->keeper_timeout_ms == INT64_MIN)
		supervise->keeper_timeout_ms = lease_ms / 6;
	if (supervise->keeper_timeout_ms * 4 < lease_ms)
		return 0;
	return conf_places_err(c->places, -1, key, c->err,
		"supervise.keeper_timeout is too long for queue.lease = %g; allowed: under a "
		"quarter of it",
		(double)lease_ms / 1000);
}

static int check_statuses(struct check *c)
{
	static const char *const names[] = {
		"status_ready", "status_claimed", "status_done", "status_failed"};
	const struct set_queue *q = &c->s->queue;
	const int values[] = {q->status_ready, q->status_claimed, q->status_done, q->status_failed};

	for (int i = 0; i < 4; i++)
		for (int j = i + 1; j < 4; j++)
			if (values[i] == values[j])
				return conf_places_err(c->places, -1,
					later(c, "queue", names[i], names[j]), c->err,
					"queue.%s and queue.%s are both %d; allowed: four "
					"different numbers",
					names[i], names[j], values[i]);
	return 0;
}

static const char *bucket_of(const struct set_storage *storage, const char *source)
{
	for (size_t i = 0; i < storage->bucket_count; i++)
		if (strcmp(storage->buckets[i].source, source) == 0)
			return storage->buckets[i].bucket;
	return NULL;
}

static int check_sources(struct check *c)
{
	const struct set_list *sources = &c->s->queue.sources;
	const struct conf_key *key = conf_key_find("queue", "sources");

	if (sources->count == 0)
		return conf_places_err(c->places, -1, key, c->err,
			"queue.sources is empty; allowed: at least one document_source");
	for (size_t i = 0; i < sources->count; i++)
		if (bucket_of(&c->s->storage, sources->items[i]) == NULL)
			return conf_places_err(c->places, -1, key, c->err,
				"queue.sources has \"%.80s\", storage.buckets has no bucket for "
				"it; allowed: sources with a bucket",
				sources->items[i]);
	return 0;
}

static int check_engine(struct check *c)
{
	const struct set_gemini *g = &c->s->gemini;

	if (strcmp(c->s->engine.use, "gemini") == 0 && g->api_key == NULL)
		return conf_places_err(c->places, -1, conf_key_find("gemini", "api_key"), c->err,
			"gemini.api_key is empty; allowed: a key, usually in the variable "
			"GEMINI_API_KEY, or engine.use = \"tesseract\"");
	if (g->thinking_level != NULL && g->thinking_budget != INT_MIN)
		return conf_places_err(c->places, -1,
			later(c, "gemini", "thinking_level", "thinking_budget"), c->err,
			"gemini.thinking_level and gemini.thinking_budget are both set; allowed: "
			"one of them");
	return 0;
}

static bool is_loopback(const char *listen)
{
	return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]:", 6) == 0 ||
	       strncasecmp(listen, "localhost:", 10) == 0;
}

static int check_status(struct check *c)
{
	const struct set_status *status = &c->s->status;
	char *token;

	if (strlen(status->socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return conf_places_err(c->places, -1, conf_key_find("status", "socket"), c->err,
			"status.socket is too long; allowed: at most %zu bytes",
			sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	if (status->token_file == NULL && status->listen[0] != '\0' && !is_loopback(status->listen))
		return conf_places_err(c->places, -1, conf_key_find("status", "listen"), c->err,
			"status.listen = \"%.100s\" is open to the network; allowed: a loopback "
			"address, or any with status.token_file",
			status->listen);
	if (status->token_file == NULL || c->no_queue)
		return 0;
	token = conf_file_secret(status->token_file, c->err);
	if (token == NULL) {
		char why[sizeof c->err->text];

		(void)snprintf(why, sizeof why, "%s", c->err->text);
		return conf_places_err(c->places, -1, conf_key_find("status", "token_file"), c->err,
			"status.token_file: %.400s", why);
	}
	mem_free_secret(token);
	return 0;
}

/* ---- environments ---------------------------------------------------------------------------- */

void conf_environment_fini(struct set_environment *environment)
{
	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_key_in_environment(&conf_keys[i]))
			conf_value_fini(&conf_keys[i], environment);
	free(environment->name);
	environment->name = NULL;
}

static bool in_directory(const struct set_environment *e)
{
	return strcmp(e->storage, "supabase") != 0;
}

static int check_environment(struct check *c, int index)
{
	const struct set_environment *e = &c->s->environments[index];
	const char *key = NULL;

	if (in_directory(e))
		return 0;
	if (e->supabase_url == NULL)
		key = "supabase_url";
	else if (e->service_key == NULL)
		key = "service_key";
	if (key == NULL)
		return 0;
	if (c->places->environment_lines[index]
					[conf_key_index(conf_key_find("environment", key))] == 0)
		return conf_places_err(c->places, index, conf_key_find("environment", "database"),
			c->err,
			"environment %s: database is set, %s is not; allowed: both, or storage = "
			"\"directory:/...\"",
			e->name, key);
	return conf_places_err(c->places, index, conf_key_find("environment", key), c->err,
		"environment %s: %s is empty; allowed: a value, since database is set, or storage "
		"= \"directory:/...\"",
		e->name, key);
}

/* Is it to be left out? One that is half there is left out with a warning. */
static bool left_out(struct settings *s, const struct set_environment *e)
{
	if (e->database != NULL)
		return false;
	if (e->supabase_url != NULL || in_directory(e))
		conf_list_add(&s->warnings,
			mem_printf("environment %s is left out: its storage is configured, its "
				   "database is not",
				e->name));
	return true;
}

static int check_environments(struct check *c)
{
	struct settings *s = c->s;
	size_t kept = 0;

	for (size_t i = 0; i < s->environment_count; i++)
		if (s->environments[i].database != NULL && check_environment(c, (int)i) != 0)
			return -1;
	for (size_t i = 0; i < s->environment_count; i++) {
		if (left_out(s, &s->environments[i]))
			conf_environment_fini(&s->environments[i]);
		else
			s->environments[kept++] = s->environments[i];
	}
	s->environment_count = kept;
	if (kept > 0 || c->no_queue)
		return 0;
	return conf_places_err(c->places, -1, NULL, c->err,
		"no environment has a database%s%.200s; allowed: environment NAME { database = "
		"... }, its variables set in the environment or in %.150s",
		s->warnings.count > 0 ? ", " : "",
		s->warnings.count > 0 ? s->warnings.items[0] : "",
		s->environment_file[0] != '\0' ? s->environment_file : "environment_file");
}

/* Said explicitly is how one tells it; said it is all the same, for as long as it is so. */
static void warn_of_root(struct settings *s)
{
	if (geteuid() == 0 && strcmp(s->user, "root") == 0)
		conf_list_add(&s->warnings,
			mem_strdup("user is \"root\": hostile documents are read with all rights "
				   "on this host"));
}

int conf_check(
	struct settings *settings, const struct conf_places *places, bool no_queue, struct err *err)
{
	struct check c = {.s = settings, .places = places, .err = err, .no_queue = no_queue};

	if (check_workers(&c) != 0 || check_orders(&c) != 0 || check_keeper(&c) != 0 ||
		check_statuses(&c) != 0 || check_sources(&c) != 0 || check_engine(&c) != 0 ||
		check_status(&c) != 0)
		return -1;
	warn_of_root(settings);
	return check_environments(&c);
}
