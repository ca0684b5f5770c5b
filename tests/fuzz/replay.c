/* Gives a target every file of its corpus: those of $srcdir/tests/fuzz/corpus/<name>, or the files named as arguments. */
#include "fuzz.h"

#include "buf.h"
#include "fdio.h"
#include "mem.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { INPUT_MAX_BYTES = 1 << 20 };

static int replay(const char *path)
{
	struct buf input;
	struct err err;
	const int rc = (buf_init(&input, INPUT_MAX_BYTES), fd_read_file(path, &input, &err));

	if (rc != 0)
		(void)fprintf(stderr, "%s\n", err.text);
	else
		(void)LLVMFuzzerTestOneInput((const uint8_t *)buf_text(&input), input.len);
	buf_fini(&input);
	return rc;
}

/* .../fuzz_control: control */
static const char *target_name(const char *program)
{
	const char *name = strstr(program, "fuzz_");

	for (const char *next = name; next != NULL; next = strstr(next + 1, "fuzz_"))
		name = next;
	return name != NULL ? name + strlen("fuzz_") : program;
}

static int replay_corpus(const char *program)
{
	const char *srcdir = getenv("srcdir");
	char *pattern = mem_printf(
		"%s/tests/fuzz/corpus/%s/*", srcdir != NULL ? srcdir : ".", target_name(program));
	glob_t files = {0};
	int bad = 0;

	if (glob(pattern, 0, NULL, &files) != 0) {
		(void)fprintf(stderr, "there is no %s\n", pattern);
		bad = 1;
	}
	for (size_t i = 0; i < files.gl_pathc; i++)
		bad += replay(files.gl_pathv[i]) != 0;
	(void)printf("%zu inputs\n", files.gl_pathc);
	globfree(&files);
	free(pattern);
	return bad;
}

int main(int argc, char **argv)
{
	int bad = 0;

	if (argc == 1)
		bad = replay_corpus(argv[0]);
	for (int i = 1; i < argc; i++)
		bad += replay(argv[i]) != 0;
	return bad == 0 ? EX_OK : EX_NOINPUT;
}
