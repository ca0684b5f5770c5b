#include "conf.h"

#include "conf_file.h"
#include "conf_private.h"
#include "conf_value.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- defaults ---------------------------------------------------------------------------------- */

/* A default with its variable filled in. The caller's: mem_free_secret(). */
static char *default_value(const struct conf_env *env, const struct conf_key *key)
{
	const char *start = strstr(key->fallback, "${");
	const char *value;
	char *name;
	char *text;

	if (start == NULL)
		return mem_strdup(key->fallback);
	name = mem_strndup(start + 2, strcspn(start + 2, "}"));
	value = conf_env_get(env, name);
	text = mem_printf(
		"%.*s%s", (int)(start - key->fallback), key->fallback, value != NULL ? value : "");
	free(name);
	return text;
}

/* Lists have theirs in the grammar. */
static bool has_plain_default(const struct conf_key *key)
{
	return key->type != CONF_LIST && key->type != CONF_BUCKETS && key->type != CONF_SECRET_FILE;
}

void conf_set_defaults(const struct conf_reading *l, void *base, bool environment)
{
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];
		char *value = NULL;

		if (!has_plain_default(key) || conf_key_in_environment(key) != environment)
			continue;
		if (key->fallback != NULL)
			value = default_value(l->env, key);
		conf_value_set(key, base, value);
		mem_free_secret(value);
	}
}

/* ---- from the file to the settings --------------------------------------------------------------- */

static int read_environment_file(struct conf_reading *l)
{
	const struct conf_key *key = conf_key_find("", "environment_file");
	const char *path = l->environment_file != NULL ? l->environment_file : key->fallback;
	char *text;
	int rc;

	if (path[0] == '\0')
		return 0;
	text = conf_file_text(path, NULL, l->err);
	if (text == NULL && strcmp(l->err->code, "missing") == 0 &&
		strcmp(path, key->fallback) == 0)
		return 0;
	if (text == NULL) {
		char *why = mem_strdup(l->err->text);

		conf_places_err(&l->places, -1, key, l->err, "environment_file: %.400s", why);
		free(why);
		return -1;
	}
	conf_list_add(&l->s->files, mem_strdup(path));
	rc = conf_env_add(l->env, path, text, l->err);
	mem_free_secret(text);
	return rc;
}

static int read_file(struct conf_reading *l)
{
	bool open_to_others = false;
	char *text = conf_file_text(l->places.path, &open_to_others, l->err);
	int rc = -1;

	if (text == NULL)
		return -1;
	conf_list_add(&l->s->files, mem_strdup(l->places.path));
	if (open_to_others && conf_parse(l, CONF_PHASE_SECRETS, text, NULL) != 0)
		goto out;
	if (conf_parse(l, CONF_PHASE_ENVIRONMENT_FILE, text, l->env) != 0 ||
		read_environment_file(l) != 0)
		goto out;
	l->places.lines[conf_key_index(conf_key_find("", "environment_file"))] = 0;
	conf_set_defaults(l, l->s, false);
	rc = conf_parse(l, CONF_PHASE_VALUES, text, l->env);
out:
	mem_free_secret(text);
	return rc;
}

static int read_nothing(struct conf_reading *l)
{
	conf_set_defaults(l, l->s, false);
	return conf_parse(l, CONF_PHASE_VALUES, "", l->env);
}

/* "api_key" for "api_key_file" */
static const struct conf_key *plain_key(const struct conf_key *file_key)
{
	char name[64];

	(void)snprintf(name, sizeof name, "%.*s", (int)(strlen(file_key->name) - strlen("_file")),
		file_key->name);
	return conf_key_find(file_key->section, name);
}

static int read_secret(struct conf_reading *l, const struct conf_secret_file *secret)
{
	const struct conf_key *plain = plain_key(secret->key);
	void *base =
		secret->environment < 0 ? (void *)l->s : &l->s->environments[secret->environment];
	const int *lines = secret->environment < 0
				   ? l->places.lines
				   : l->places.environment_lines[secret->environment];
	const int environment = secret->environment;
	char *text;

	if (lines[conf_key_index(plain)] > 0 && conf_value_text(plain, base) != NULL)
		return conf_places_err(&l->places, environment, secret->key, l->err,
			"%s and %s are both set; allowed: one of them", plain->name,
			secret->key->name);
	text = conf_file_secret(secret->path, l->err);
	if (text == NULL) {
		char *why = mem_strdup(l->err->text);

		conf_places_err(&l->places, environment, secret->key, l->err, "%s: %.400s",
			secret->key->name, why);
		free(why);
		return -1;
	}
	conf_list_add(&l->s->files, mem_strdup(secret->path));
	if (conf_value_fits(plain, text))
		conf_value_set(plain, base, text);
	else
		conf_refuse_value(l, lines[conf_key_index(secret->key)], plain,
			environment < 0 ? NULL : l->s->environments[environment].name, text);
	mem_free_secret(text);
	return l->failed ? -1 : 0;
}

static int read_secrets(struct conf_reading *l)
{
	for (size_t i = 0; i < l->secret_count; i++)
		if (read_secret(l, &l->secrets[i]) != 0)
			return -1;
	return 0;
}

/* A value from the command line; option is its name there. */
static int override(struct conf_reading *l, const char *option, const char *section,
	const char *name, const char *value)
{
	const struct conf_key *key = conf_key_find(section, name);
	char allowed[CONF_TEXT_BYTES];

	if (value == NULL)
		return 0;
	conf_value_set(key, l->s, value);
	l->places.lines[conf_key_index(key)] = 0;
	if (conf_value_fits(key, value))
		return 0;
	conf_key_allowed(key, allowed);
	return err_set(l->err, ERR_CONFIG, "config", "%s: not a usable value; allowed: %s", option,
		allowed);
}

static int apply_overrides(struct conf_reading *l, const struct conf_overrides *o)
{
	if (o->workers < 0 || (o->workers > 0 && o->workers > l->s->workers_limit))
		return err_set(l->err, ERR_CONFIG, "config",
			"-n %d: not a usable number of workers; allowed: 1 to workers_limit = %d",
			o->workers, l->s->workers_limit);
	if (o->workers > 0)
		l->s->workers = o->workers;
	if (override(l, "--worker-id", "", "worker_id", o->worker_id) != 0 ||
		override(l, "--redis-url", "redis", "url", o->redis_url) != 0)
		return -1;
	return override(l, "--engine", "engine", "use", o->engine);
}

/* Defaults made of variables are the only ones that can be wrong. */
static int check_defaults(struct conf_reading *l)
{
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];
		const char *value;
		char title[CONF_TEXT_BYTES];
		char allowed[CONF_TEXT_BYTES];

		if (key->fallback == NULL || strstr(key->fallback, "${") == NULL)
			continue;
		value = conf_value_text(key, l->s);
		if (conf_value_fits(key, value != NULL ? value : ""))
			continue;
		conf_key_title(key, NULL, title);
		conf_key_allowed(key, allowed);
		return conf_places_err(&l->places, -1, key, l->err,
			"%s cannot be %s as set; allowed: %s", title, key->fallback, allowed);
	}
	return 0;
}

static void replace_empty(char **text, const char *installed)
{
	if ((*text)[0] != '\0')
		return;
	free(*text);
	*text = mem_strdup(installed);
}

static void fill_installed(struct settings *s)
{
	replace_empty(&s->render_helper, PKGLIBEXECDIR "/indexocr-render");
	replace_empty(&s->tesseract_helper, PKGLIBEXECDIR "/indexocr-tesseract");
	replace_empty(&s->engine.prompt_directory, PKGSYSCONFDIR "/prompts");
}

/* Of all environments only the one of that name. */
static int keep_environment(struct settings *s, const char *name, struct err *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->environment_count; i++) {
		if (strcmp(s->environments[i].name, name) == 0)
			s->environments[kept++] = s->environments[i];
		else
			conf_environment_fini(&s->environments[i]);
	}
	s->environment_count = kept;
	return kept > 0
		       ? 0
		       : err_set(err, ERR_CONFIG, "config", "there is no environment \"%s\"", name);
}

static void load_fini(struct conf_reading *l)
{
	conf_free(l->s);
	conf_env_free(l->env);
	free(l->places.lines);
	for (size_t i = 0; i < CONF_ENVIRONMENTS_MAX; i++)
		free(l->places.environment_lines[i]);
	for (size_t i = 0; i < l->secret_count; i++)
		free(l->secrets[i].path);
	free(l->secrets);
	free(l->environment_file);
}

int conf_load(struct settings **out, const char *path, const struct conf_overrides *overrides,
	struct err *err)
{
	static const struct conf_overrides none;
	struct conf_reading l = {.places.path = path, .err = err};
	int rc;

	if (overrides == NULL)
		overrides = &none;
	l.self = &l;
	l.s = mem_calloc(1, sizeof *l.s);
	l.env = conf_env_new();
	l.places.lines = mem_calloc(conf_key_count, sizeof l.places.lines[0]);
	rc = path != NULL ? read_file(&l) : read_nothing(&l);
	if (rc == 0)
		rc = read_secrets(&l);
	if (rc == 0)
		rc = apply_overrides(&l, overrides);
	if (rc == 0)
		rc = check_defaults(&l);
	if (rc == 0)
		rc = conf_check(l.s, &l.places, overrides->no_queue || path == NULL, err);
	if (rc == 0 && overrides->environment != NULL)
		rc = keep_environment(l.s, overrides->environment, err);
	*out = NULL;
	if (rc == 0) {
		fill_installed(l.s);
		if (l.s->status.token_file != NULL)
			conf_list_add(&l.s->files, mem_strdup(l.s->status.token_file));
		*out = l.s;
		l.s = NULL;
	}
	load_fini(&l);
	return rc == 0 ? 0 : -1;
}
