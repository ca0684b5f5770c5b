#include "conf.h"

#include "buf.h"
#include "conf_check.h"
#include "conf_env.h"
#include "conf_file.h"
#include "conf_table.h"
#include "conf_value.h"
#include "mem.h"

#include <confuse.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { EXPANDED_BYTES = 4 * 1024 * 1024 };

/*
 * A file is parsed up to three times, each time by the same grammar: whether secrets are written
 * into it (only where others can read it), which environment_file it names, and what it says.
 */
enum phase { PHASE_SECRETS, PHASE_ENVIRONMENT_FILE, PHASE_VALUES };

struct secret_file;

struct load {
	enum phase phase;
	struct settings *s;          /* owned until handed out */
	struct conf_env *env;        /* owned */
	struct conf_places places;   /* lines owned */
	char *environment_file;      /* owned; NULL = the file does not name one */
	struct secret_file *secrets; /* owned */
	size_t secret_count;
	bool failed; /* err is filled; the first complaint counts */
	struct err *err;
	struct load *self;
};

/* A key such as api_key_file: the secret is read when the whole file has been understood. */
struct secret_file {
	const struct conf_key *key;
	int environment; /* -1 = not in one */
	char *path;      /* owned */
};

/*
 * libconfuse hands its callbacks no pointer of ours; an option that every section has, and nobody
 * can set, carries it.
 */
static const char context_name[] = "(context)";

static struct load *context(cfg_t *section)
{
	return cfg_getptr(section, context_name);
}

static int fail_at(struct load *l, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail_at(struct load *l, int line, const char *fmt, ...)
{
	char text[sizeof l->err->text];
	va_list ap;

	if (l->failed)
		return -1;
	l->failed = true;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(l->err, ERR_CONFIG, "config", "%s:%d: %s", l->places.path, line, text);
}

/* ---- libconfuse's own complaints ---------------------------------------------------------------- */

/* The keys a person may have meant: those of the section, and at the top the sections too. */
static void known_keys(const char *section, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < conf_key_count && len < size; i++)
		if (strcmp(conf_keys[i].section, section) == 0)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len > 0 ? ", " : "",
				conf_keys[i].name);
	for (size_t i = 0; section[0] == '\0' && conf_sections[i] != NULL && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, ", %s {}", conf_sections[i]);
	if (section[0] == '\0' && len < size)
		(void)snprintf(out + len, size - len, ", environment NAME {}");
}

static const char *section_name(const cfg_t *section)
{
	return strcmp(section->name, "root") == 0 ? "" : section->name;
}

static void unknown_key(struct load *l, const cfg_t *section, const char *name)
{
	const char *in = section_name(section);
	char known[sizeof l->err->text];

	known_keys(in, known, sizeof known);
	fail_at(l, section->line, "unknown key \"%.60s\"%s%s; allowed: %s", name,
		in[0] != '\0' ? " in " : "", in, known);
}

__attribute__((format(printf, 2, 0))) static void on_complaint(
	cfg_t *section, const char *fmt, va_list ap)
{
	struct load *l = context(section);
	char text[sizeof l->err->text];

	if (l == NULL || l->failed)
		return;
	if (strstr(fmt, "no such option") != NULL) {
		unknown_key(l, section, va_arg(ap, const char *));
		return;
	}
	(void)vsnprintf(text, sizeof text, fmt, ap);
	if (strstr(fmt, "premature end") != NULL)
		fail_at(l, section->line,
			"the file ends too early; allowed: a value after each =, a } for each {");
	else
		fail_at(l, section->line, "%s; allowed: key = value, or section { ... }", text);
}

/* ---- one value ------------------------------------------------------------------------------------- */

static void refuse_value(struct load *l, int line, const struct conf_key *key,
	const char *environment, const char *value)
{
	const bool secret = key->type == CONF_SECRET;
	char title[CONF_TEXT_BYTES];
	char allowed[CONF_TEXT_BYTES];

	conf_key_title(key, environment, title);
	conf_key_allowed(key, allowed);
	if (secret)
		fail_at(l, line, "%.80s has a value that cannot be right; allowed: %.250s", title,
			allowed);
	else
		fail_at(l, line, "%.80s is \"%.60s\"; allowed: %.250s", title, value, allowed);
}

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

static void set_defaults(const struct load *l, void *base, bool environment)
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

/* The environment a section belongs to, made when its first key is seen; -1 = refused. */
static int environment_index(struct load *l, const cfg_t *section)
{
	struct settings *s = l->s;
	struct set_environment *added;
	size_t i;

	for (i = 0; i < s->environment_count; i++)
		if (strcmp(s->environments[i].name, section->title) == 0)
			return (int)i;
	if (!conf_form_name.fits(section->title))
		return fail_at(l, section->line,
			"environment \"%.60s\" has a bad name; allowed: %s", section->title,
			conf_form_name.text);
	if (i == CONF_ENVIRONMENTS_MAX)
		return fail_at(l, section->line, "too many environments; allowed: at most %d",
			CONF_ENVIRONMENTS_MAX);
	s->environments = mem_realloc(s->environments, (i + 1) * sizeof s->environments[0]);
	added = &s->environments[i];
	memset(added, 0, sizeof *added);
	added->name = mem_strdup(section->title);
	set_defaults(l, added, true);
	l->places.environment_lines[i] =
		mem_calloc(conf_key_count, sizeof l->places.environment_lines[i][0]);
	s->environment_count++;
	return (int)i;
}

static void note_secret_file(
	struct load *l, const struct conf_key *key, int environment, const char *path)
{
	struct secret_file *added;

	if (path[0] == '\0')
		return;
	l->secrets = mem_realloc(l->secrets, (l->secret_count + 1) * sizeof l->secrets[0]);
	added = &l->secrets[l->secret_count++];
	added->key = key;
	added->environment = environment;
	added->path = mem_strdup(path);
}

static int take_value(struct load *l, const cfg_t *section, const cfg_opt_t *opt,
	const struct conf_key *key, const char *value)
{
	const bool list = key->type == CONF_LIST || key->type == CONF_BUCKETS;
	void *base = l->s;
	int *lines = l->places.lines;
	int environment = -1;

	if (conf_key_in_environment(key)) {
		environment = environment_index(l, section);
		if (environment < 0)
			return -1;
		base = &l->s->environments[environment];
		lines = l->places.environment_lines[environment];
	}
	if (!list && lines[conf_key_index(key)] > 0)
		return fail_at(l, section->line,
			"\"%s\" stands here a second time; allowed: once, and line %d has it",
			key->name, lines[conf_key_index(key)]);
	if (!conf_value_fits(key, value) || opt->nvalues > CONF_LIST_MAX) {
		refuse_value(l, section->line, key, section->title, value);
		return -1;
	}
	lines[conf_key_index(key)] = section->line;
	if (key->type == CONF_SECRET_FILE)
		note_secret_file(l, key, environment, value);
	else if (!list)
		conf_value_set(key, base, value);
	return 0;
}

/* Called by libconfuse for each value. It keeps the elements of lists for us, nothing else. */
static int on_value(cfg_t *section, cfg_opt_t *opt, const char *value, void *result)
{
	struct load *l = context(section);
	const struct conf_key *key = conf_key_find(section_name(section), opt->name);

	*(const char **)result = (opt->flags & CFGF_LIST) != 0 ? value : "";
	if (key == NULL) {
		unknown_key(l, section, opt->name);
		return -1;
	}
	if (l->phase == PHASE_VALUES)
		return take_value(l, section, opt, key, value);
	if (l->phase == PHASE_ENVIRONMENT_FILE && strcmp(opt->name, "environment_file") == 0) {
		free(l->environment_file);
		l->environment_file = mem_strdup(value);
	}
	if (l->phase == PHASE_SECRETS && key->type == CONF_SECRET &&
		conf_value_is_secret(key, value))
		return fail_at(l, section->line,
			"%s is a secret and other users may read this file; allowed: chmod o= on "
			"it, or ${NAME}",
			key->name);
	return 0;
}

static int on_context(cfg_t *section, cfg_opt_t *opt, const char *value, void *result)
{
	(void)value;
	(void)result;
	unknown_key(context(section), section, opt->name);
	return -1;
}

/* ---- the grammar, from the table ----------------------------------------------------------------- */

static cfg_opt_t *new_options(struct load *l, const char *section, size_t more)
{
	cfg_opt_t *options = mem_calloc(conf_key_count + more + 2, sizeof options[0]);
	size_t n = 0;

	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];
		const bool list = key->type == CONF_LIST || key->type == CONF_BUCKETS;

		if (strcmp(key->section, section) != 0)
			continue;
		options[n] = (cfg_opt_t){.name = key->name,
			.type = CFGT_STR,
			.flags = list ? CFGF_LIST : CFGF_NODEFAULT,
			.parsecb = on_value};
		if (list)
			options[n].def.parsed = mem_strdup(key->fallback);
		n++;
	}
	options[n] = (cfg_opt_t){.name = context_name, .type = CFGT_PTR, .parsecb = on_context};
	options[n].simple_value.ptr = (void **)&l->self;
	return options;
}

static cfg_opt_t *next_free(cfg_opt_t *options)
{
	while (options->name != NULL)
		options++;
	return options;
}

/* libconfuse copies all of it. */
static void free_options(cfg_opt_t *options)
{
	for (cfg_opt_t *o = options; o->name != NULL; o++) {
		free(o->def.parsed);
		if (o->subopts != NULL)
			free_options(o->subopts);
	}
	free(options);
}

static cfg_t *new_grammar(struct load *l)
{
	cfg_opt_t *root = new_options(l, "", 32);
	cfg_t *grammar;

	for (size_t i = 0; conf_sections[i] != NULL; i++)
		*next_free(root) = (cfg_opt_t){.name = conf_sections[i],
			.type = CFGT_SEC,
			.subopts = new_options(l, conf_sections[i], 0)};
	*next_free(root) = (cfg_opt_t){.name = "environment",
		.type = CFGT_SEC,
		.flags = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES,
		.subopts = new_options(l, "environment", 0)};
	grammar = cfg_init(root, CFGF_NONE);
	free_options(root);
	if (grammar == NULL)
		abort(); /* out of memory, as in mem.c */
	cfg_set_error_function(grammar, on_complaint);
	return grammar;
}

static void take_lists(struct load *l, cfg_t *grammar)
{
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];
		cfg_opt_t *opt;

		if (key->type != CONF_LIST && key->type != CONF_BUCKETS)
			continue;
		opt = cfg_getopt(cfg_getsec(grammar, key->section), key->name);
		conf_value_set(key, l->s, NULL);
		for (unsigned int n = 0; n < cfg_opt_size(opt); n++)
			conf_value_set(key, l->s, cfg_opt_getnstr(opt, n));
	}
}

/* text: as in the file, or "". env NULL: all variables empty. */
static int parse(struct load *l, enum phase phase, const char *text, const struct conf_env *env)
{
	cfg_t *grammar = NULL;
	struct buf expanded;
	int rc;

	buf_init(&expanded, EXPANDED_BYTES);
	rc = conf_env_expand(env, l->places.path, text, &expanded, l->err);
	if (rc == 0) {
		l->phase = phase;
		grammar = new_grammar(l);
		rc = cfg_parse_buf(grammar, buf_text(&expanded)) == CFG_SUCCESS ? 0 : -1;
		if (rc != 0)
			fail_at(l, grammar->line,
				"not understood; allowed: key = value, or section "
				"{ ... }");
	}
	if (rc == 0 && phase == PHASE_VALUES)
		take_lists(l, grammar);
	if (grammar != NULL)
		(void)cfg_free(grammar);
	if (expanded.data != NULL)
		explicit_bzero(expanded.data, expanded.cap);
	buf_fini(&expanded);
	return rc;
}

/* ---- from the file to the settings --------------------------------------------------------------- */

static int read_environment_file(struct load *l)
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
	rc = conf_env_add(l->env, path, text, l->err);
	mem_free_secret(text);
	return rc;
}

static int read_file(struct load *l)
{
	bool open_to_others = false;
	char *text = conf_file_text(l->places.path, &open_to_others, l->err);
	int rc = -1;

	if (text == NULL)
		return -1;
	if (open_to_others && parse(l, PHASE_SECRETS, text, NULL) != 0)
		goto out;
	if (parse(l, PHASE_ENVIRONMENT_FILE, text, l->env) != 0 || read_environment_file(l) != 0)
		goto out;
	set_defaults(l, l->s, false);
	rc = parse(l, PHASE_VALUES, text, l->env);
out:
	mem_free_secret(text);
	return rc;
}

static int read_nothing(struct load *l)
{
	set_defaults(l, l->s, false);
	return parse(l, PHASE_VALUES, "", l->env);
}

/* "api_key" for "api_key_file" */
static const struct conf_key *plain_key(const struct conf_key *file_key)
{
	char name[64];

	(void)snprintf(name, sizeof name, "%.*s", (int)(strlen(file_key->name) - strlen("_file")),
		file_key->name);
	return conf_key_find(file_key->section, name);
}

static int read_secret(struct load *l, const struct secret_file *secret)
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
	if (conf_value_fits(plain, text))
		conf_value_set(plain, base, text);
	else
		refuse_value(l, lines[conf_key_index(secret->key)], plain,
			environment < 0 ? NULL : l->s->environments[environment].name, text);
	mem_free_secret(text);
	return l->failed ? -1 : 0;
}

static int read_secrets(struct load *l)
{
	for (size_t i = 0; i < l->secret_count; i++)
		if (read_secret(l, &l->secrets[i]) != 0)
			return -1;
	return 0;
}

/* A value from the command line; option is its name there. */
static int override(struct load *l, const char *option, const char *section, const char *name,
	const char *value)
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

static int apply_overrides(struct load *l, const struct conf_overrides *o)
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
static int check_defaults(struct load *l)
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

static void load_fini(struct load *l)
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
	struct load l = {.places.path = path, .err = err};
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
	*out = NULL;
	if (rc == 0) {
		fill_installed(l.s);
		*out = l.s;
		l.s = NULL;
	}
	load_fini(&l);
	return rc == 0 ? 0 : -1;
}
