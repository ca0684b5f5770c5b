/* Any bytes as a request line, whole and as they come: the verdict is the same, and what is taken out is what stood in. */
#include "fuzz.h"

#include "control_line.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As many bytes as there are, and none behind them: a sanitizer sees who reads on. */
static enum control_line_verdict parse(const uint8_t *data, size_t size, struct control_line *out)
{
	char *copy = mem_calloc(size > 0 ? size : 1, 1);
	const char *fault = NULL;
	enum control_line_verdict verdict;

	if (size > 0)
		memcpy(copy, data, size);
	verdict = control_line_parse(size > 0 ? copy : "", size, out, &fault);
	if ((verdict == CONTROL_LINE_BAD) != (fault != NULL))
		abort();
	free(copy);
	return verdict;
}

static void check_whole(const uint8_t *data, const struct control_line *line)
{
	char again[2 * CONTROL_LINE_BYTES + 2];
	const int len = snprintf(again, sizeof again, "%s%s%s\n", line->word,
		line->argument[0] != '\0' ? " " : "", line->argument);

	if (len > CONTROL_LINE_BYTES || memcmp(again, data, (size_t)len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_line line, growing;
	const enum control_line_verdict verdict = parse(data, size, &line);
	enum control_line_verdict so_far = CONTROL_LINE_PARTIAL;

	for (size_t n = 0; n <= size && so_far == CONTROL_LINE_PARTIAL; n++)
		so_far = parse(data, n, &growing);
	if (so_far != verdict)
		abort();
	if (verdict == CONTROL_LINE_WHOLE)
		check_whole(data, &line);
	return 0;
}
