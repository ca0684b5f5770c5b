/* Everything around the pages, and the whole for a local file; the pages are made in
 * result_page.c. */
#include "result_private.h"

#include "buf.h"
#include "clock.h"
#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1024 * 1024 * 1024 };

void result_add_clean(cJSON *object, const char *key, const char *text)
{
	char *clean = text != NULL && *text != '\0' ? utf8_clean(text, strlen(text)) : NULL;

	json_add_text(object, key, clean);
	free(clean);
}

static void add_warnings(cJSON *object, const struct set_list *warnings)
{
	cJSON *list = cJSON_AddArrayToObject(object, "warnings");

	if (warnings == NULL)
		return;
	for (size_t i = 0; i < warnings->count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(warnings->items[i]));
}

static void add_models(cJSON *envelope, const char *engine)
{
	result_add_clean(cJSON_AddObjectToObject(envelope, "models"), "extraction", engine);
}

static void add_indexocr(cJSON *envelope, const struct result_facts *facts)
{
	cJSON *object = cJSON_AddObjectToObject(envelope, "indexocr");

	json_add_text(object, "version", PACKAGE_VERSION);
	result_add_clean(object, "engine", facts->engine);
	result_add_clean(object, "model", facts->model);
	result_add_clean(object, "promptSha256", facts->prompt_sha256);
	result_add_clean(object, "documentSha256", facts->document_sha256);
	json_add_int(object, "attempt", facts->job->attempt);
	add_warnings(object, facts->warnings);
}

char *result_envelope(const struct result_facts *facts)
{
	cJSON *envelope = cJSON_CreateObject();
	char now[CLOCK_TEXT_BYTES];
	char *text;

	clock_format(clock_real_ms(), now);
	result_add_clean(envelope, "sourceUrl", facts->source_url);
	json_add_text(envelope, "createdAt", now);
	result_add_clean(envelope, "runId", facts->run_id);
	json_add_int(envelope, "totalPages", facts->total_pages);
	json_add_int(envelope, "processingTimeMs", facts->processing_ms);
	add_models(envelope, facts->engine);
	add_indexocr(envelope, facts);
	text = json_print(envelope);
	cJSON_Delete(envelope);
	return text;
}

static bool all_objects(const cJSON *pages)
{
	const cJSON *page;

	cJSON_ArrayForEach(page, pages) if (!cJSON_IsObject(page)) return false;
	return true;
}

static int64_t sum(const cJSON *pages, const char *path)
{
	const cJSON *page;
	int64_t total = 0;

	cJSON_ArrayForEach(page, pages) total += json_int(page, path, 0);
	return total;
}

static cJSON *token_sums(const cJSON *pages)
{
	cJSON *tokens = cJSON_CreateObject();

	json_add_int(tokens, "input", sum(pages, "tokens.input"));
	json_add_int(tokens, "output", sum(pages, "tokens.output"));
	json_add_int(tokens, "thinking", sum(pages, "tokens.thinking"));
	json_add_int(tokens, "total", sum(pages, "tokens.total"));
	return tokens;
}

static int count_lines(const cJSON *pages)
{
	const cJSON *page;
	int lines = 0;

	cJSON_ArrayForEach(page, pages) lines += cJSON_GetArraySize(json_get(page, "lines"));
	return lines;
}

/* Moves members with their keys, up to and with the one named; NULL = all that are left. (Not with
 * cJSON_InsertItemInArray(): Debian's 1.7.15-1+deb12u4 refuses places in the middle.) */
static void move_members(cJSON *to, cJSON *from, const char *last)
{
	cJSON *item;

	while ((item = cJSON_DetachItemFromArray(from, 0)) != NULL) {
		cJSON_AddItemToArray(to, item);
		if (last != NULL && strcmp(item->string, last) == 0)
			return;
	}
}

/* Takes pages and the members of envelope. */
static cJSON *assemble(cJSON *envelope, cJSON *pages)
{
	cJSON *document = cJSON_CreateObject();
	cJSON *indexocr = cJSON_CreateObject();

	cJSON_AddItemToObject(document, "pages", pages);
	move_members(document, envelope, "totalPages");
	cJSON_ReplaceItemInObjectCaseSensitive(
		document, "totalPages", cJSON_CreateNumber(cJSON_GetArraySize(pages)));
	json_add_int(document, "totalLines", count_lines(pages));
	move_members(document, envelope, NULL);

	move_members(
		indexocr, cJSON_GetObjectItemCaseSensitive(document, "indexocr"), "documentSha256");
	cJSON_AddItemToObject(indexocr, "tokens", token_sums(pages));
	move_members(indexocr, cJSON_GetObjectItemCaseSensitive(document, "indexocr"), NULL);
	cJSON_ReplaceItemInObjectCaseSensitive(document, "indexocr", indexocr);
	return document;
}

char *result_join(const char *envelope_json, const char *pages_json)
{
	cJSON *envelope = json_parse(envelope_json, strlen(envelope_json));
	cJSON *pages = json_parse(pages_json, strlen(pages_json));
	cJSON *document = NULL;
	char *text = NULL;

	if (cJSON_IsObject(json_get(envelope, "indexocr")) && cJSON_IsArray(pages) &&
		all_objects(pages)) {
		document = assemble(envelope, pages);
		pages = NULL;
		text = json_print(document);
	}
	cJSON_Delete(document);
	cJSON_Delete(pages);
	cJSON_Delete(envelope);
	return text;
}

char *result_text(const char *document_json)
{
	cJSON *document = json_parse(document_json, strlen(document_json));
	const cJSON *pages = json_get(document, "pages");
	const cJSON *page;
	struct buf text;

	buf_init(&text, TEXT_BYTES_MAX);
	cJSON_ArrayForEach(page, pages)
	{
		const char *of_page = json_text(page, "text");

		if (buf_addf(&text, "%s%s", page == pages->child ? "" : "\f",
			    of_page != NULL ? of_page : "") != 0)
			abort();
	}
	cJSON_Delete(document);
	if (text.data == NULL)
		return mem_strdup("");
	return text.data;
}
