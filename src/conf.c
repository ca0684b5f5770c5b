#include "conf_private.h"

#include "buf.h"
#include "conf_value.h"
#include "mem.h"

#include <confuse.h>
#include <stdlib.h>
#include <string.h>

enum { EXPANDED_BYTES = 4 * 1024 * 1024 };

/*
 * libconfuse hands its callbacks no pointer of ours; an option that every section has, and nobody
 * can set, carries it.
 */
static const char context_name[] = "(context)";

static struct conf_reading *context(cfg_t *section)
{
	return cfg_getptr(section, context_name);
}

static int fail_at(struct conf_reading *l, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail_at(struct conf_reading *l, int line, const char *fmt, ...)
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

/* A secret that is not quoted may have been cut in pieces, which must not be shown. */
static bool behind_a_secret(struct conf_reading *l, const cfg_t *section)
{
	if (l->secret_line == 0 || l->secret_line != section->line)
		return false;
	fail_at(l, section->line,
		"what stands on the line of a secret is not understood; allowed: key = \"secret\", "
		"in "
		"quotes");
	return true;
}

static void unknown_key(struct conf_reading *l, const cfg_t *section, const char *name)
{
	const char *in = section_name(section);
	char known[sizeof l->err->text];

	if (behind_a_secret(l, section))
		return;
	known_keys(in, known, sizeof known);
	fail_at(l, section->line, "unknown key \"%.60s\"%s%s; allowed: %s", name,
		in[0] != '\0' ? " in " : "", in, known);
}

__attribute__((format(printf, 2, 0))) static void on_complaint(
	cfg_t *section, const char *fmt, va_list ap)
{
	struct conf_reading *l = context(section);
	char text[sizeof l->err->text];

	if (l == NULL || l->failed)
		return;
	/* The library's texts are its only error codes. */
	if (strstr(fmt, "no such option") != NULL) {
		unknown_key(l, section, va_arg(ap, const char *));
		return;
	}
	if (behind_a_secret(l, section))
		return;
	(void)vsnprintf(text, sizeof text, fmt, ap);
	if (strstr(fmt, "premature end") != NULL)
		fail_at(l, section->line,
			"the file ends too early; allowed: a value after each =, a } for each {");
	else
		fail_at(l, section->line, "%s; allowed: key = value, or section { ... }", text);
}

/* ---- one value ------------------------------------------------------------------------------------- */

void conf_refuse_value(struct conf_reading *l, int line, const struct conf_key *key,
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

/* The environment a section belongs to, made when its first key is seen; -1 = refused. */
static int environment_index(struct conf_reading *l, const cfg_t *section)
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
	conf_set_defaults(l, added, true);
	l->places.environment_lines[i] =
		mem_calloc(conf_key_count, sizeof l->places.environment_lines[i][0]);
	s->environment_count++;
	return (int)i;
}

static void note_secret_file(
	struct conf_reading *l, const struct conf_key *key, int environment, const char *path)
{
	struct conf_secret_file *added;

	if (path[0] == '\0')
		return;
	l->secrets = mem_realloc(l->secrets, (l->secret_count + 1) * sizeof l->secrets[0]);
	added = &l->secrets[l->secret_count++];
	added->key = key;
	added->environment = environment;
	added->path = mem_strdup(path);
}

static int take_value(struct conf_reading *l, const cfg_t *section, const cfg_opt_t *opt,
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
		conf_refuse_value(l, section->line, key, section->title, value);
		return -1;
	}
	lines[conf_key_index(key)] = section->line;
	if (key->type == CONF_SECRET_FILE)
		note_secret_file(l, key, environment, value);
	else if (!list)
		conf_value_set(key, base, value);
	return 0;
}

static int take_environment_file(
	struct conf_reading *l, const cfg_t *section, const struct conf_key *key, const char *value)
{
	if (!conf_value_fits(key, value)) {
		conf_refuse_value(l, section->line, key, NULL, value);
		return -1;
	}
	free(l->environment_file);
	l->environment_file = mem_strdup(value);
	l->places.lines[conf_key_index(key)] = section->line;
	return 0;
}

static int refuse_open_secret(
	struct conf_reading *l, const cfg_t *section, const struct conf_key *key)
{
	char title[CONF_TEXT_BYTES];

	conf_key_title(key, section->title, title);
	return fail_at(l, section->line,
		"%s is a secret and other users may read this file; allowed: chmod o= on it, or "
		"${NAME}",
		title);
}

/* Called by libconfuse for each value. It keeps the elements of lists for us, nothing else. */
static int on_value(cfg_t *section, cfg_opt_t *opt, const char *value, void *result)
{
	struct conf_reading *l = context(section);
	const struct conf_key *key = conf_key_find(section_name(section), opt->name);

	*(const char **)result = (opt->flags & CFGF_LIST) != 0 ? value : "";
	if (key == NULL) {
		unknown_key(l, section, opt->name);
		return -1;
	}
	if (key->type == CONF_SECRET)
		l->secret_line = section->line;
	if (l->phase == CONF_PHASE_VALUES)
		return take_value(l, section, opt, key, value);
	if (l->phase == CONF_PHASE_ENVIRONMENT_FILE && key == conf_key_find("", "environment_file"))
		return take_environment_file(l, section, key, value);
	if (l->phase == CONF_PHASE_SECRETS && key->type == CONF_SECRET &&
		conf_value_is_secret(key, value))
		return refuse_open_secret(l, section, key);
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

static cfg_opt_t *new_options(struct conf_reading *l, const char *section, size_t more)
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

static cfg_t *new_grammar(struct conf_reading *l)
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

static void take_lists(struct conf_reading *l, cfg_t *grammar)
{
	for (size_t i = 0; i < conf_key_count; i++) {
		const struct conf_key *key = &conf_keys[i];
		cfg_opt_t *opt;
		cfg_t *section;

		if (key->type != CONF_LIST && key->type != CONF_BUCKETS)
			continue;
		section = cfg_getsec(grammar, key->section);
		opt = cfg_getopt(section, key->name);
		conf_value_set(key, l->s, NULL);
		/* on_value() is not called for {}: the end of its section has to do. */
		if (cfg_opt_size(opt) == 0 && (opt->flags & CFGF_MODIFIED) != 0)
			l->places.lines[i] = section->line;
		for (unsigned int n = 0; n < cfg_opt_size(opt); n++)
			conf_value_set(key, l->s, cfg_opt_getnstr(opt, n));
	}
}

/* text: as in the file, or "". env NULL: all variables empty. */
int conf_parse(
	struct conf_reading *l, enum conf_phase phase, const char *text, const struct conf_env *env)
{
	cfg_t *grammar = NULL;
	struct buf expanded;
	int rc;

	buf_init(&expanded, EXPANDED_BYTES);
	rc = conf_env_expand(env, l->places.path, text, &expanded, l->err);
	if (rc == 0) {
		l->phase = phase;
		l->secret_line = 0;
		grammar = new_grammar(l);
		rc = cfg_parse_buf(grammar, buf_text(&expanded)) == CFG_SUCCESS ? 0 : -1;
		if (rc != 0)
			fail_at(l, grammar->line,
				"not understood; allowed: key = value, or section "
				"{ ... }");
	}
	if (rc == 0 && phase == CONF_PHASE_VALUES)
		take_lists(l, grammar);
	if (grammar != NULL)
		(void)cfg_free(grammar);
	if (expanded.data != NULL)
		explicit_bzero(expanded.data, expanded.cap);
	buf_fini(&expanded);
	return rc;
}
