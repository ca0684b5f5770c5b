#include "gemini.h"

#include "json.h"
#include "mem.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * Rows as arrays of six strings: as objects the same page takes 2.7 times the characters, and
 * output is what costs. All is required: optional fields invite loops.
 */
static const char table_schema[] =
	"{\"type\":\"object\",\"properties\":{"
	"\"header\":{\"type\":[\"object\",\"null\"],\"properties\":{"
	"\"circonscription\":{\"type\":\"string\"},\"cadastre\":{\"type\":\"string\"},"
	"\"lot\":{\"type\":\"string\"},\"feuille\":{\"type\":\"string\"}},"
	"\"required\":[\"circonscription\",\"cadastre\",\"lot\",\"feuille\"]},"
	"\"rotation\":{\"type\":\"integer\"},"
	"\"rows\":{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}"
	","
	"\"minItems\":6,\"maxItems\":6}},"
	"\"struck\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}},"
	"\"required\":[\"header\",\"rotation\",\"rows\",\"struck\"]}";

static bool is_set(const char *setting)
{
	return setting != NULL && setting[0] != '\0';
}

/* "high" is MEDIA_RESOLUTION_HIGH. For the whole request: older models know no other place. */
static void add_resolution(cJSON *config, const char *setting)
{
	char *value;

	if (!is_set(setting))
		return;
	value = mem_printf("MEDIA_RESOLUTION_%s", setting);
	for (char *c = value; *c != '\0'; c++)
		*c = (char)toupper((unsigned char)*c);
	json_add_text(config, "mediaResolution", value);
	free(value);
}

static void add_thinking(cJSON *config, const struct set_gemini *settings)
{
	cJSON *thinking;

	if (!is_set(settings->thinking_level) && settings->thinking_budget == INT_MIN)
		return;
	thinking = cJSON_AddObjectToObject(config, "thinkingConfig");
	if (is_set(settings->thinking_level))
		json_add_text(thinking, "thinkingLevel", settings->thinking_level);
	else
		json_add_int(thinking, "thinkingBudget", settings->thinking_budget);
}

/* Optional fields only when they are set: one that a model does not know fails every page. */
static void add_config(cJSON *config, const struct set_gemini *settings, bool table)
{
	json_add_int(config, "maxOutputTokens", settings->max_output_tokens);
	if (table) {
		json_add_text(config, "responseMimeType", "application/json");
		cJSON_AddRawToObject(config, "responseJsonSchema", table_schema);
	}
	if (!isnan(settings->temperature))
		cJSON_AddNumberToObject(config, "temperature", settings->temperature);
	add_resolution(config, settings->media_resolution);
	add_thinking(config, settings);
}

static cJSON *make_tree(
	const struct set_gemini *settings, const struct engine_prompt *prompt, const char *mime)
{
	cJSON *tree = cJSON_CreateObject();
	cJSON *content = cJSON_CreateObject();
	cJSON *image = cJSON_CreateObject();
	cJSON *text = cJSON_CreateObject();
	cJSON *inline_data = cJSON_AddObjectToObject(image, "inlineData");
	cJSON *parts;

	json_add_text(inline_data, "mimeType", mime);
	json_add_text(inline_data, "data", "");
	json_add_text(text, "text", prompt->text);
	json_add_text(content, "role", "user");
	parts = cJSON_AddArrayToObject(content, "parts");
	cJSON_AddItemToArray(parts, image);
	cJSON_AddItemToArray(parts, text);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(tree, "contents"), content);
	add_config(cJSON_AddObjectToObject(tree, "generationConfig"), settings, prompt->table);
	if (settings->store >= 0)
		cJSON_AddBoolToObject(tree, "store", settings->store != 0);
	return tree;
}

void gemini_request_init(struct gemini_request *request, const struct set_gemini *settings,
	const struct engine_prompt *prompt, const struct page *page)
{
	/* Inside a JSON string a quote is escaped, so the first of these is the image's. */
	static const char place[] = "\"data\":\"\"";
	cJSON *tree = make_tree(settings, prompt, page->mime);
	const char *at;
	size_t first;

	request->json = json_print(tree);
	cJSON_Delete(tree);
	at = strstr(request->json, place);
	first = (size_t)(at - request->json) + sizeof place - 2;
	request->parts[0] = (struct http_part){request->json, first, false};
	request->parts[1] = (struct http_part){page->image.data, page->image.len, true};
	request->parts[2] =
		(struct http_part){request->json + first, strlen(request->json) - first, false};
}

void gemini_request_fini(struct gemini_request *request)
{
	free(request->json);
	*request = (struct gemini_request){0};
}

char *gemini_url(const struct set_gemini *settings, const char *method)
{
	size_t len = strlen(settings->base_url);
	char *model = http_escape(settings->model);
	char *url;

	while (len > 0 && settings->base_url[len - 1] == '/')
		len--;
	url = mem_printf("%.*s/v1beta/models/%s%s", (int)len, settings->base_url, model, method);
	free(model);
	return url;
}

/* ---- the estimate ------------------------------------------------------------------------------ */

enum { TILE_EDGE = 768, TILE_TOKENS = 258, SMALL_EDGE = 384, PROMPT_BYTES_PER_TOKEN = 3 };

static int64_t tiled_tokens(const struct page *page)
{
	const int64_t across = (page->width + TILE_EDGE - 1) / TILE_EDGE;
	const int64_t down = (page->height + TILE_EDGE - 1) / TILE_EDGE;

	if (page->width <= SMALL_EDGE && page->height <= SMALL_EDGE)
		return TILE_TOKENS;
	return TILE_TOKENS * across * down;
}

static int64_t fixed_tokens(const char *resolution)
{
	if (is_set(resolution) && strcasecmp(resolution, "low") == 0)
		return 280;
	if (is_set(resolution) && strcasecmp(resolution, "medium") == 0)
		return 560;
	return 1120;
}

/* Up to 2.5 an image costs by its area, from 3 on by the resolution asked for. */
static bool counts_tiles(const char *model)
{
	static const char family[] = "gemini-";
	const char *number = model + sizeof family - 1;
	char *end;

	if (strncmp(model, family, sizeof family - 1) != 0)
		return false;
	return strtol(number, &end, 10) < 3 && end != number;
}

int64_t gemini_estimate(const struct set_gemini *settings, const struct engine_prompt *prompt,
	const struct page *page)
{
	const int64_t image = counts_tiles(settings->model)
				      ? tiled_tokens(page)
				      : fixed_tokens(settings->media_resolution);
	size_t bytes = strlen(prompt->text);

	if (prompt->table)
		bytes += sizeof table_schema - 1;
	return image + (int64_t)(bytes / PROMPT_BYTES_PER_TOKEN) + 1;
}
