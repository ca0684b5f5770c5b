#include "engine.h"

#include <string.h>

static const struct engine_type *const types[] = {&engine_gemini, &engine_tesseract};

const struct engine_type *engine_find(const char *name)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strcmp(types[i]->name, name) == 0)
			return types[i];
	return NULL;
}

void engine_answer_fini(struct engine_answer *answer)
{
	cJSON_Delete(answer->body);
	answer->body = NULL;
}
