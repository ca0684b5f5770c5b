#include "generations.h"

#include "conf.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>

static int register_environments(
	struct scoreboard *sb, const struct settings *settings, struct err *err)
{
	for (size_t i = 0; i < settings->environment_count; i++)
		if (scoreboard_environment_index(sb, settings->environments[i].name,
			    settings->environments[i].database) == -1)
			return err_set(err, ERR_CONFIG, "environments",
				"more than %d different environments in this daemon's life: "
				"restart it",
				SB_ENVIRONMENTS_MAX);
	return 0;
}

static void register_secrets(const struct settings *s)
{
	for (size_t i = 0; i < s->environment_count; i++) {
		log_secret(s->environments[i].database);
		log_secret(s->environments[i].listen_database);
		log_secret(s->environments[i].service_key);
	}
	log_secret(s->gemini.api_key);
	log_secret(s->openai.api_key);
	log_secret(s->redis.url);
}

int generations_register(struct generations *g, struct scoreboard *scoreboard, struct err *err)
{
	g->scoreboard = scoreboard;
	register_secrets(g->current);
	return register_environments(scoreboard, g->current, err);
}

void generations_fini(struct generations *g)
{
	conf_free(g->current);
	conf_free(g->retiring);
	conf_free(g->pending);
	*g = (struct generations){0};
}

static void note_refusal(struct generations *g, const struct err *why)
{
	(void)snprintf(g->error, sizeof g->error, "%s", why->text);
	log_event(LEVEL_ERROR, "master", &(struct log_more){.ms = -1, .error = g->error},
		"Reload refused, going on with the configuration in force");
}

void generations_refuse(struct generations *g, const struct err *why)
{
	conf_free(g->pending);
	g->pending = NULL;
	note_refusal(g, why);
}

enum reload_outcome generations_offer(
	struct generations *g, struct settings *fresh, const struct err *why)
{
	const bool waited = g->pending != NULL;
	struct err err;

	if (fresh != NULL && register_environments(g->scoreboard, fresh, &err) != 0) {
		conf_free(fresh);
		fresh = NULL;
		why = &err;
	}
	if (fresh == NULL) { /* a good one that waits goes on waiting */
		note_refusal(g, why);
		return RELOAD_REFUSED;
	}
	register_secrets(fresh);
	conf_free(g->pending);
	g->pending = fresh;
	g->error[0] = '\0';
	if (generations_due(g))
		return RELOAD_READY;
	if (!waited)
		log_event(LEVEL_INFO, "master", NULL,
			"Reload waits until the workers of the last one have finished");
	return RELOAD_WAITS;
}

bool generations_due(const struct generations *g)
{
	return g->pending != NULL && g->retiring == NULL;
}

static void keep_fixed(struct settings *fresh, const struct settings *running)
{
	char *fixed = conf_diff(running, fresh);

	if (fixed == NULL)
		return;
	log_event(
		LEVEL_WARN, "master", NULL, "Changed, but only a restart takes it over: %s", fixed);
	conf_keep(fresh, running);
	free(fixed);
}

void generations_take(struct generations *g)
{
	keep_fixed(g->pending, g->current);
	g->retiring = g->current;
	g->current = g->pending;
	g->pending = NULL;
	g->number++;
}

void generations_retired(struct generations *g)
{
	conf_free(g->retiring);
	g->retiring = NULL;
}
