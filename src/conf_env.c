#include "conf_env.h"

#include "mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VARIABLES_MAX = 1000, NAME_BYTES = 128 };

struct variable {
	char *name;  /* owned */
	char *value; /* owned, secret */
};

struct conf_env {
	struct variable *variables; /* owned; the last of a name counts */
	size_t count;
	char hostname[256];
};

struct conf_env *conf_env_new(void)
{
	struct conf_env *env = mem_calloc(1, sizeof *env);

	if (gethostname(env->hostname, sizeof env->hostname - 1) != 0)
		env->hostname[0] = '\0';
	return env;
}

void conf_env_free(struct conf_env *env)
{
	if (env == NULL)
		return;
	for (size_t i = 0; i < env->count; i++) {
		free(env->variables[i].name);
		mem_free_secret(env->variables[i].value);
	}
	free(env->variables);
	free(env);
}

const char *conf_env_get(const struct conf_env *env, const char *name)
{
	const char *value;

	if (strcmp(name, "HOSTNAME") == 0)
		return env->hostname;
	value = getenv(name);
	for (size_t i = env->count; value == NULL && i > 0; i--)
		if (strcmp(env->variables[i - 1].name, name) == 0)
			value = env->variables[i - 1].value;
	return value;
}

static size_t name_length(const char *text)
{
	size_t len = 0;

	if (isdigit((unsigned char)text[0]))
		return 0;
	while (isalnum((unsigned char)text[len]) || text[len] == '_')
		len++;
	return len < NAME_BYTES ? len : 0;
}

static size_t blank_length(const char *text)
{
	return strspn(text, " \t");
}

/* ---- environment_file -------------------------------------------------------------------- */

/* What follows a value: nothing but blanks and a comment. */
static bool ends_line(const char *rest)
{
	const size_t blanks = blank_length(rest);

	return rest[blanks] == '\0' || (blanks > 0 && rest[blanks] == '#');
}

/* The value at text becomes *value, *len bytes long; returns what is wrong with it, or NULL. */
static const char *read_value(const char *text, const char **value, size_t *len)
{
	const char quote = text[0];
	const char *end;

	if (quote != '\'' && quote != '"') {
		*value = text;
		*len = strcspn(text, " \t");
		if (memchr(text, '#', *len) != NULL || strcspn(text, "'\"\\`$") < *len)
			return "a value with # ' \" ` $ or \\ must stand in quotes";
		return ends_line(text + *len) ? NULL : "a value with blanks must stand in quotes";
	}
	end = strchr(text + 1, quote);
	if (end == NULL)
		return "a quote is not closed on its line";
	*value = text + 1;
	*len = (size_t)(end - text - 1);
	if (quote == '"' && (memchr(*value, '\\', *len) || memchr(*value, '$', *len) ||
				    memchr(*value, '`', *len)))
		return "a value with \\ $ or ` must stand in single quotes";
	return ends_line(end + 1) ? NULL : "something follows the closing quote";
}

/* One line without its end; returns what is wrong with it, or NULL. */
static const char *add_line(struct conf_env *env, const char *line)
{
	struct variable *added;
	const char *value = "";
	const char *wrong;
	size_t name_len;
	size_t len = 0;

	line += blank_length(line);
	if (line[0] == '\0' || line[0] == '#')
		return NULL;
	if (strncmp(line, "export", 6) == 0 && blank_length(line + 6) > 0)
		line += 6 + blank_length(line + 6);
	name_len = name_length(line);
	if (name_len == 0 || line[name_len] != '=')
		return "not a variable; allowed: [export] NAME=value, without blanks around =";
	wrong = read_value(line + name_len + 1, &value, &len);
	if (wrong != NULL)
		return wrong;
	if (env->count == VARIABLES_MAX)
		return "more than 1000 variables";
	env->variables = mem_realloc(env->variables, (env->count + 1) * sizeof env->variables[0]);
	added = &env->variables[env->count++];
	added->name = mem_strndup(line, name_len);
	added->value = mem_strndup(value, len);
	return NULL;
}

int conf_env_add(struct conf_env *env, const char *name, const char *text, struct err *err)
{
	int number = 0;

	if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
		text += 3;
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		const char *next = text + len + (text[len] == '\n');
		const char *wrong;
		char *line;

		if (len > 0 && text[len - 1] == '\r')
			len--;
		line = mem_strndup(text, len);
		wrong = add_line(env, line);
		mem_free_secret(line);
		number++;
		if (wrong != NULL)
			return err_set(err, ERR_CONFIG, "config", "%s:%d: %s", name, number, wrong);
		text = next;
	}
	return 0;
}

/* ---- ${NAME} in the configuration file --------------------------------------------------- */

enum state { BARE, DOUBLE_QUOTED, SINGLE_QUOTED };

struct scan {
	const struct conf_env *env; /* borrowed; NULL = all empty */
	const char *at;
	struct buf *out;
	enum state state;
	int line;
	int depth;         /* of braces */
	int open_line;     /* where the outermost of them stands */
	const char *wrong; /* set with -1 */
};

static int copy(struct scan *s, size_t len)
{
	if (buf_add(s->out, s->at, len) != 0) {
		s->wrong = "the file is too large with its variables filled in";
		return -1;
	}
	s->at += len;
	return 0;
}

/* Quoted so that libconfuse gives exactly these bytes back. */
static int add_quoted(struct buf *out, const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const char c = value[i];
		int rc;

		if (c == '"' || c == '\\' || c == '$')
			rc = buf_addf(out, "\\%c", c);
		else if ((unsigned char)c < 0x20)
			rc = buf_addf(out, "\\x%02x", (unsigned)c);
		else
			rc = buf_add(out, &c, 1);
		if (rc != 0)
			return -1;
	}
	return 0;
}

static int expand(struct scan *s)
{
	const char *name = s->at + 2;
	const char *end = name + strcspn(name, "}\n");
	const size_t name_len = name_length(name);
	const char *rest = name + name_len;
	const char *value = NULL;
	char key[NAME_BYTES];
	size_t len;
	int rc;

	if (name_len == 0 || *end != '}' || (rest != end && strncmp(rest, ":-", 2) != 0)) {
		s->wrong = "not a variable; allowed: ${NAME} or ${NAME:-default}";
		return -1;
	}
	memcpy(key, name, name_len);
	key[name_len] = '\0';
	if (s->env != NULL)
		value = conf_env_get(s->env, key);
	len = value != NULL ? strlen(value) : 0;
	if (len == 0 && rest != end) {
		value = rest + 2;
		len = (size_t)(end - value);
	}
	s->at = end + 1;
	if (s->state == DOUBLE_QUOTED)
		return add_quoted(s->out, value, len);
	rc = buf_add(s->out, "\"", 1);
	if (rc == 0)
		rc = add_quoted(s->out, value, len);
	return rc == 0 ? buf_add(s->out, "\"", 1) : rc;
}

static bool is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7F;
}

static int skip_block_comment(struct scan *s)
{
	const char *end = strstr(s->at + 2, "*/");

	if (end == NULL) {
		s->wrong = "a comment is not closed with */";
		return -1;
	}
	for (; s->at < end + 2; s->at++)
		if (*s->at == '\n') {
			s->line++;
			if (buf_add(s->out, "\n", 1) != 0)
				return -1;
		}
	return buf_add(s->out, " ", 1);
}

static int scan_bare(struct scan *s)
{
	const char c = s->at[0];

	if (c == '#' ||
		(c == '/' && s->at[1] == '/' &&
			(s->out->len == 0 ||
				strchr(" \t\n{}=,\"'", s->out->data[s->out->len - 1]) != NULL))) {
		s->at += strcspn(s->at, "\n");
		return 0;
	}
	if (c == '/' && s->at[1] == '*')
		return skip_block_comment(s);
	if (c == '$' && s->at[1] == '{')
		return expand(s);
	if (c == '{' && s->depth++ == 0)
		s->open_line = s->line;
	else if (c == '}' && s->depth > 0)
		s->depth--;
	else if (c == '"')
		s->state = DOUBLE_QUOTED;
	else if (c == '\'')
		s->state = SINGLE_QUOTED;
	return copy(s, 1);
}

static int scan_quoted(struct scan *s)
{
	const char c = s->at[0];

	if (c == '\n') {
		s->wrong = "a quote is not closed on its line";
		return -1;
	}
	if (c == '\\' && s->at[1] != '\0' && s->at[1] != '\n')
		return copy(s, 2);
	if (s->state == DOUBLE_QUOTED && c == '$' && s->at[1] == '{')
		return expand(s);
	if (c == (s->state == DOUBLE_QUOTED ? '"' : '\''))
		s->state = BARE;
	return copy(s, 1);
}

int conf_env_expand(const struct conf_env *env, const char *name, const char *text, struct buf *out,
	struct err *err)
{
	struct scan s = {.env = env, .at = text, .out = out, .line = 1};
	int rc = 0;

	while (rc == 0 && *s.at != '\0') {
		if (is_control(*s.at)) {
			s.wrong = "a control character";
			rc = -1;
			break;
		}
		if (*s.at == '\n' && s.state == BARE)
			s.line++;
		rc = s.state == BARE ? scan_bare(&s) : scan_quoted(&s);
	}
	if (rc == 0 && s.state != BARE) {
		s.wrong = "a quote is not closed on its line";
		rc = -1;
	}
	if (rc == 0 && s.depth > 0) {
		s.wrong = "a { is not closed; allowed: a } for each";
		s.line = s.open_line;
		rc = -1;
	}
	if (rc != 0)
		return err_set(err, ERR_CONFIG, "config", "%s:%d: %s", name, s.line,
			s.wrong != NULL ? s.wrong : "the file is too large");
	return 0;
}
