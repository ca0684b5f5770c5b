#include "db.h"

#include "buf.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

/* Statements are ours and short; names and numbers put in are bounded by the configuration. */
enum { MAX_STATEMENT_BYTES = 1 << 20 };

/* The statement being read, and the one being written. */
struct fill {
	const char *at;
	const struct db_variable *vars;
	struct buf out;
};

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || (unsigned char)c >= 0x80;
}

static int copy(struct fill *f, size_t len)
{
	const char *from = f->at;

	f->at += len;
	return buf_add(&f->out, from, len);
}

/* Length of a quoted part that starts here, its ends included; to the end of the text if it has
 * none. */
static size_t quoted_bytes(const char *text, char quote, bool backslashes)
{
	size_t i = 1;

	for (; text[i] != '\0'; i++) {
		if (backslashes && text[i] == '\\' && text[i + 1] != '\0')
			i++;
		else if (text[i] == quote)
			return i + 1;
	}
	return i;
}

static size_t line_comment_bytes(const char *text)
{
	return strcspn(text, "\n");
}

/* These nest in SQL. */
static size_t block_comment_bytes(const char *text)
{
	size_t i = 2;
	int depth = 1;

	while (text[i] != '\0' && depth > 0) {
		const bool opens = text[i] == '/' && text[i + 1] == '*';
		const bool closes = text[i] == '*' && text[i + 1] == '/';

		depth += opens ? 1 : closes ? -1 : 0;
		i += opens || closes ? 2 : 1;
	}
	return i;
}

/* $$...$$ or $tag$...$tag$; 0 where the dollar starts neither ($1, a$b). */
static size_t dollar_quote_bytes(const char *text)
{
	size_t tag = 1;
	char *mark;
	const char *end;
	size_t bytes;

	if (text[1] >= '0' && text[1] <= '9')
		return 0;
	while (is_name(text[tag]))
		tag++;
	if (text[tag] != '$')
		return 0;
	mark = mem_strndup(text, tag + 1);
	end = strstr(text + tag + 1, mark);
	bytes = end != NULL ? (size_t)(end - text) + tag + 1 : strlen(text);
	free(mark);
	return bytes;
}

/* The value, with each quote doubled; as a literal a backslash needs the E form, as psql writes it.
 */
static int add_quoted(struct buf *out, const char *value, char quote)
{
	const bool escape = quote == '\'' && strchr(value, '\\') != NULL;
	int failed = escape ? buf_add(out, " E", 2) : 0;

	failed |= buf_add(out, &quote, 1);
	for (; *value != '\0'; value++) {
		if (*value == quote || (escape && *value == '\\'))
			failed |= buf_add(out, value, 1);
		failed |= buf_add(out, value, 1);
	}
	return failed | buf_add(out, &quote, 1);
}

static const char *value_of(const struct fill *f, const char *name, size_t len)
{
	for (const struct db_variable *v = f->vars; v->name != NULL; v++)
		if (strlen(v->name) == len && strncmp(v->name, name, len) == 0)
			return v->value;
	return NULL;
}

/* At a colon that may start :name, :'name' or :"name". */
static int add_variable(struct fill *f, struct err *err)
{
	const char quote = f->at[1] == '"' || f->at[1] == '\'' ? f->at[1] : '\0';
	const char *name = f->at + (quote != '\0' ? 2 : 1);
	const char *value;
	size_t len = 0;

	while (is_name(name[len]))
		len++;
	if (len == 0 || (quote != '\0' && name[len] != quote))
		return copy(f, 1);
	value = value_of(f, name, len);
	if (value == NULL)
		return err_set(err, ERR_BUG, "statement",
			"a statement names the variable %.*s, "
			"which has no value",
			(int)len, name);
	f->at = name + len + (quote != '\0' ? 1 : 0);
	return quote != '\0' ? add_quoted(&f->out, value, quote)
			     : buf_add(&f->out, value, strlen(value));
}

static bool starts_escape_string(const char *text)
{
	return (text[0] == 'E' || text[0] == 'e') && text[1] == '\'';
}

/* The next piece of the statement, copied or filled in. */
static int fill_piece(struct fill *f, struct err *err)
{
	const char *at = f->at;
	size_t name = 0;

	if (starts_escape_string(at))
		return copy(f, 1 + quoted_bytes(at + 1, '\'', true));
	while (is_name(at[name]) || (name > 0 && at[name] == '$'))
		name++;
	if (name > 0)
		return copy(f, name);
	if (at[0] == '\'' || at[0] == '"')
		return copy(f, quoted_bytes(at, at[0], false));
	if (at[0] == '-' && at[1] == '-')
		return copy(f, line_comment_bytes(at));
	if (at[0] == '/' && at[1] == '*')
		return copy(f, block_comment_bytes(at));
	if (at[0] == '$' && dollar_quote_bytes(at) > 0)
		return copy(f, dollar_quote_bytes(at));
	if (at[0] == ':' && (at[1] == ':' || at[1] == '='))
		return copy(f, 2);
	if (at[0] == ':')
		return add_variable(f, err);
	return copy(f, 1);
}

char *db_fill(const char *sql, const struct db_variable *vars, struct err *err)
{
	struct fill f = {.at = sql, .vars = vars};
	char *filled = NULL;

	buf_init(&f.out, MAX_STATEMENT_BYTES);
	err->kind = ERR_NONE;
	while (*f.at != '\0')
		if (fill_piece(&f, err) != 0)
			goto out;
	filled = mem_strdup(buf_text(&f.out));
out:
	if (filled == NULL && err->kind == ERR_NONE)
		err_set(err, ERR_BUG, "statement", "a statement is longer than %d bytes",
			MAX_STATEMENT_BYTES);
	buf_fini(&f.out);
	return filled;
}
