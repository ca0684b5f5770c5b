#include "prompt.h"

#include "fdio.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROMPT_MAX_BYTES = 256 * 1024 };

/* A source is a value from a database: only what can be nothing but a file name may name one. */
static bool is_plain_name(const char *source)
{
	return source[0] != '\0' &&
	       strspn(source, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
		       strlen(source);
}

static char *prompt_path(const char *directory, const char *source)
{
	char *path = mem_printf("%s/%s.txt", directory, is_plain_name(source) ? source : "default");

	if (access(path, F_OK) == 0)
		return path;
	free(path);
	return mem_printf("%s/default.txt", directory);
}

int prompt_load(const char *directory, const char *source, struct prompt *prompt, struct err *err)
{
	char *path = prompt_path(directory, source);
	struct buf text;
	int rc;

	buf_init(&text, PROMPT_MAX_BYTES);
	rc = fd_read_file(path, &text, err);
	free(path);
	if (rc != 0) {
		buf_fini(&text);
		err->kind = ERR_CONFIG;
		return err_prefix(err, "prompt for %s: ", source);
	}
	prompt->text = text.data != NULL ? text.data : mem_strdup("");
	prompt->engine =
		(struct engine_prompt){.text = prompt->text, .table = strcmp(source, "index") == 0};
	hash_text(prompt->text, prompt->sha256);
	return 0;
}

void prompt_fini(struct prompt *prompt)
{
	free(prompt->text);
	*prompt = (struct prompt){0};
}
