/*
 * Specification of gemini.h: what is sent, and what every answer means.
 */
#include "gemini.h"
#include "json.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static char model[] = "gemini-3.5-flash-lite";
static char base_url[] = "http://127.0.0.1:1/";
static const struct set_gemini plain_settings = {.model = model,
	.base_url = base_url,
	.max_output_tokens = 8192,
	.temperature = NAN,
	.thinking_budget = INT_MIN,
	.store = -1};
static const struct engine_prompt plain = {"Lis \"tout\".\n", false};
static const struct engine_prompt table = {"Lis le tableau.", true};

/* ---- the request ------------------------------------------------------------------------------ */

static cJSON *sent(const struct set_gemini *settings, const struct engine_prompt *prompt)
{
	static char image[] = "any carnal pleas";
	struct page page = {.mime = "image/jpeg", .image = {.data = image, .len = 16}};
	struct gemini_request request;
	struct buf body;
	cJSON *tree;

	gemini_request_init(&request, settings, prompt, &page);
	assert_false(request.parts[0].base64);
	assert_true(request.parts[1].base64);
	assert_ptr_equal(request.parts[1].data, image);
	assert_int_equal(request.parts[1].bytes, 16);
	buf_init(&body, 1 << 20);
	assert_int_equal(buf_add(&body, request.parts[0].data, request.parts[0].bytes), 0);
	assert_int_equal(buf_addf(&body, "@"), 0);
	assert_int_equal(buf_add(&body, request.parts[2].data, request.parts[2].bytes), 0);
	tree = json_parse(buf_text(&body), body.len);
	if (tree == NULL)
		fail_msg("no JSON: %s", buf_text(&body));
	buf_fini(&body);
	gemini_request_fini(&request);
	return tree;
}

static const cJSON *part(const cJSON *tree, int n)
{
	const cJSON *content = cJSON_GetArrayItem(json_get(tree, "contents"), 0);

	assert_string_equal(json_text(content, "role"), "user");
	return cJSON_GetArrayItem(json_get(content, "parts"), n);
}

static void the_image_stands_before_the_prompt(void **state)
{
	cJSON *tree = sent(&plain_settings, &plain);

	(void)state;
	assert_string_equal(json_text(part(tree, 0), "inlineData.data"), "@");
	assert_string_equal(json_text(part(tree, 0), "inlineData.mimeType"), "image/jpeg");
	assert_string_equal(json_text(part(tree, 1), "text"), plain.text);
	assert_null(part(tree, 2));
	cJSON_Delete(tree);
}

static void a_prompt_that_looks_like_the_image_is_not_taken_for_it(void **state)
{
	const struct engine_prompt tricky = {"\"data\":\"\"", false};
	cJSON *tree = sent(&plain_settings, &tricky);

	(void)state;
	assert_string_equal(json_text(part(tree, 0), "inlineData.data"), "@");
	assert_string_equal(json_text(part(tree, 1), "text"), tricky.text);
	cJSON_Delete(tree);
}

static void only_what_is_set_is_sent(void **state)
{
	cJSON *tree = sent(&plain_settings, &plain);
	const cJSON *config = json_get(tree, "generationConfig");

	(void)state;
	assert_int_equal(cJSON_GetArraySize(tree), 2);
	assert_int_equal(cJSON_GetArraySize(config), 1);
	assert_int_equal(json_int(config, "maxOutputTokens", 0), 8192);
	cJSON_Delete(tree);
}

static void what_is_set_is_sent(void **state)
{
	static char level[] = "low", high[] = "high";
	struct set_gemini settings = plain_settings;
	const cJSON *config;
	cJSON *tree;

	(void)state;
	settings.temperature = 0.5;
	settings.store = 0;
	settings.thinking_level = level;
	settings.media_resolution = high;
	tree = sent(&settings, &plain);
	config = json_get(tree, "generationConfig");
	assert_true(json_double(config, "temperature", -1) == 0.5);
	assert_false(json_bool(tree, "store", true));
	assert_string_equal(json_text(config, "thinkingConfig.thinkingLevel"), "low");
	assert_string_equal(json_text(config, "mediaResolution"), "MEDIA_RESOLUTION_HIGH");
	assert_null(json_get(config, "thinkingConfig.thinkingBudget"));
	cJSON_Delete(tree);
	settings.thinking_level = NULL;
	settings.thinking_budget = -1;
	tree = sent(&settings, &plain);
	assert_int_equal(json_int(tree, "generationConfig.thinkingConfig.thinkingBudget", 9), -1);
	cJSON_Delete(tree);
}

static void an_index_page_is_asked_for_by_schema(void **state)
{
	cJSON *tree = sent(&plain_settings, &table);
	const cJSON *config = json_get(tree, "generationConfig");
	const cJSON *row = json_get(config, "responseJsonSchema.properties.rows.items");

	(void)state;
	assert_string_equal(json_text(config, "responseMimeType"), "application/json");
	assert_int_equal(json_int(row, "minItems", 0), 6);
	assert_int_equal(json_int(row, "maxItems", 0), 6);
	assert_string_equal(json_text(row, "items.type"), "string");
	assert_int_equal(cJSON_GetArraySize(json_get(config, "responseJsonSchema.required")), 4);
	cJSON_Delete(tree);
}

static void an_address_has_one_slash_and_an_escaped_model(void **state)
{
	struct set_gemini settings = plain_settings;
	char strange[] = "a/b?key=c";
	char *url = gemini_url(&settings, ":generateContent");

	(void)state;
	assert_string_equal(
		url, "http://127.0.0.1:1/v1beta/models/gemini-3.5-flash-lite:generateContent");
	free(url);
	settings.model = strange;
	url = gemini_url(&settings, "");
	assert_string_equal(url, "http://127.0.0.1:1/v1beta/models/a%2Fb%3Fkey%3Dc");
	free(url);
}

static void the_estimate_follows_the_image_table(void **state)
{
	static char old[] = "gemini-2.5-flash", new_model[] = "gemini-3.8-flash",
		    odd[] = "my-model";
	static char low[] = "low", medium[] = "medium", high[] = "high";
	const struct {
		char *model, *resolution;
		int width, height;
		int64_t image;
	} cases[] = {{new_model, NULL, 1700, 2200, 1120}, {new_model, low, 1700, 2200, 280},
		{new_model, medium, 1700, 2200, 560}, {new_model, high, 10, 10, 1120},
		{odd, NULL, 1700, 2200, 1120}, {old, NULL, 384, 384, 258},
		{old, NULL, 385, 384, 258}, {old, NULL, 1700, 2200, 258 * 3 * 3},
		{old, low, 769, 768, 258 * 2}};
	const struct engine_prompt prompt = {"123456789", false};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const struct page page = {.width = cases[i].width, .height = cases[i].height};
		struct set_gemini settings = plain_settings;

		settings.model = cases[i].model;
		settings.media_resolution = cases[i].resolution;
		assert_int_equal(
			gemini_estimate(&settings, &prompt, &page), cases[i].image + 3 + 1);
	}
}

/* ---- how an answer ended ---------------------------------------------------------------------- */

static struct engine_answer answer_to(const char *body, bool is_table)
{
	struct engine_answer answer;

	gemini_answer(200, NULL, body, strlen(body), NULL, is_table, &answer);
	return answer;
}

static void expect(const struct engine_answer *answer, enum err_kind kind, const char *code)
{
	if (answer->error.kind != kind || strcmp(answer->error.code, code) != 0)
		fail_msg("expected %s %s, got %s %s: %s", err_kind_name(kind), code,
			err_kind_name(answer->error.kind), answer->error.code, answer->error.text);
	assert_int_equal(answer->body != NULL, kind == ERR_NONE);
}

static const struct {
	const char *reason;
	enum err_kind kind;
	const char *code;
} endings[] = {
	{"STOP", ERR_NONE, ""},
	{"MAX_TOKENS", ERR_TRUNCATED, "max-tokens"},
	{"CONTINUATION", ERR_TRUNCATED, "continuation"},
	{"RECITATION", ERR_REFUSED, "recitation"},
	{"SAFETY", ERR_REFUSED, "safety"},
	{"BLOCKLIST", ERR_REFUSED, "blocklist"},
	{"PROHIBITED_CONTENT", ERR_REFUSED, "prohibited-content"},
	{"SPII", ERR_REFUSED, "spii"},
	{"LANGUAGE", ERR_REFUSED, "language"},
	{"ESCALATION", ERR_REFUSED, "escalation"},
	{"OTHER", ERR_REFUSED, "other"},
	{"MALFORMED_RESPONSE", ERR_REFUSED, "malformed-response"},
	{"FINISH_REASON_UNSPECIFIED", ERR_REFUSED, "unspecified"},
	{"MALFORMED_FUNCTION_CALL", ERR_REQUEST, "finish-reason"},
	{"UNEXPECTED_TOOL_CALL", ERR_REQUEST, "finish-reason"},
	{"TOO_MANY_TOOL_CALLS", ERR_REQUEST, "finish-reason"},
	{"MISSING_THOUGHT_SIGNATURE", ERR_REQUEST, "finish-reason"},
	{"IMAGE_SAFETY", ERR_REQUEST, "finish-reason"},
	{"IMAGE_RECITATION", ERR_REQUEST, "finish-reason"},
	{"NO_IMAGE", ERR_REQUEST, "finish-reason"},
	{"SOMETHING_OF_NEXT_YEAR", ERR_REQUEST, "finish-reason"},
	{"stop", ERR_REQUEST, "finish-reason"},
	{"", ERR_TRUNCATED, "no-finish-reason"},
};

static void every_finish_reason_has_its_meaning_with_text_and_without(void **state)
{
	static const char *const contents[] = {
		"{\"parts\":[{\"text\":\"un\"}]}", "{}", "{\"role\":\"model\"}", "{\"parts\":[]}"};

	(void)state;
	for (size_t i = 0; i < LENGTH(endings); i++)
		for (size_t j = 0; j < LENGTH(contents); j++) {
			char body[512];
			struct engine_answer answer;

			(void)snprintf(body, sizeof body,
				"{\"candidates\":[{\"finishReason\":\"%s\",\"content\":%s}],"
				"\"usageMetadata\":{\"promptTokenCount\":1187,"
				"\"thoughtsTokenCount\":96,"
				"\"candidatesTokenCount\":41,\"totalTokenCount\":1324},"
				"\"modelVersion\":\"gemini-9\"}",
				endings[i].reason, contents[j]);
			answer = answer_to(body, false);
			if (j > 0 && endings[i].kind == ERR_NONE)
				expect(&answer, ERR_EMPTY, "empty");
			else
				expect(&answer, endings[i].kind, endings[i].code);
			assert_int_equal(answer.tokens.input, 1187);
			assert_int_equal(answer.tokens.output, 41);
			assert_int_equal(answer.tokens.thinking, 96);
			assert_int_equal(answer.tokens.total, 1324);
			assert_string_equal(answer.model, "gemini-9");
			assert_string_equal(answer.finish_reason, endings[i].reason);
			assert_int_equal(answer.http_status, 200);
			engine_answer_fini(&answer);
		}
}

static void a_blocked_prompt_is_refused_and_its_tokens_count(void **state)
{
	struct engine_answer answer = answer_to("{\"promptFeedback\":{\"blockReason\":\"PROHIBITED_"
						"CONTENT\",\"blockReasonMessage\":\"no\"},"
						"\"usageMetadata\":{\"promptTokenCount\":7}}",
		false);

	(void)state;
	expect(&answer, ERR_REFUSED, "blocked");
	assert_non_null(strstr(answer.error.text, "PROHIBITED_CONTENT"));
	assert_string_equal(answer.finish_reason, "PROHIBITED_CONTENT");
	assert_int_equal(answer.tokens.input, 7);
	assert_int_equal(answer.tokens.total, 7);
}

static const struct {
	const char *body;
	enum err_kind kind;
	const char *code;
} odd_answers[] = {
	{"", ERR_TRANSIENT, "bad-answer"},
	{"<html>504</html>", ERR_TRANSIENT, "bad-answer"},
	{"{\"candidates\":[{\"finish", ERR_TRANSIENT, "bad-answer"},
	{"null", ERR_TRANSIENT, "bad-answer"},
	{"[]", ERR_TRANSIENT, "bad-answer"},
	{"{}", ERR_EMPTY, "no-candidate"},
	{"{\"candidates\":[]}", ERR_EMPTY, "no-candidate"},
	{"{\"candidates\":{}}", ERR_EMPTY, "no-candidate"},
	{"{\"candidates\":[7]}", ERR_TRUNCATED, "no-finish-reason"},
	{"{\"candidates\":[{\"finishReason\":7,\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}",
		ERR_TRUNCATED, "no-finish-reason"},
	{"{\"candidates\":[{\"finishReason\":\"STOP\",\"content\":{\"parts\":[{\"text\":\" "
	 "\\n\"}]}}]}",
		ERR_EMPTY, "empty"},
	{"{\"candidates\":[{\"finishReason\":\"STOP\",\"content\":{\"parts\":[{\"text\":7},3,null]}"
	 "}]}",
		ERR_EMPTY, "empty"},
	{"{\"candidates\":[{\"finishReason\":\"STOP\",\"content\":{\"parts\":[{\"text\":\"a\","
	 "\"thought\":true}]}}]}",
		ERR_EMPTY, "empty"},
	{"{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\",\"message\":\"overloaded\"}}",
		ERR_TRANSIENT, "http-503"},
	{"[{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\",\"message\":\"bad\"}}]",
		ERR_REQUEST, "bad-request"},
};

static void odd_answers_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(odd_answers); i++) {
		struct engine_answer answer = answer_to(odd_answers[i].body, false);

		expect(&answer, odd_answers[i].kind, odd_answers[i].code);
		engine_answer_fini(&answer);
	}
}

static void hostile_counts_do_not_overflow(void **state)
{
	struct engine_answer answer =
		answer_to("{\"candidates\":[],\"usageMetadata\":{\"promptTokenCount\":1e300,"
			  "\"toolUsePromptTokenCount\":9e18,\"candidatesTokenCount\":-5,"
			  "\"thoughtsTokenCount\":\"x\"}}",
			false);

	(void)state;
	assert_int_equal(answer.tokens.input, 2000000000);
	assert_int_equal(answer.tokens.output, 0);
	assert_int_equal(answer.tokens.thinking, 0);
}

/* ---- the body --------------------------------------------------------------------------------- */

#define STOP(parts)                                                                                \
	"{\"candidates\":[{\"finishReason\":\"STOP\",\"content\":{\"parts\":[" parts "]}}]}"

static void all_parts_but_thoughts_make_the_text(void **state)
{
	struct engine_answer answer =
		answer_to(STOP("{\"text\":\"I think\",\"thought\":true},{\"text\":\"une l\"},"
			       "{\"inlineData\":{}},{\"text\":\"igne\\r\\n\\nautre  "
			       "\\n\\n\",\"thoughtSignature\":\"A\"}"),
			false);

	(void)state;
	expect(&answer, ERR_NONE, "");
	assert_string_equal(json_text(answer.body, "text"), "une ligne\r\n\nautre");
	assert_int_equal(cJSON_GetArraySize(json_get(answer.body, "lines")), 3);
	assert_string_equal(
		cJSON_GetArrayItem(json_get(answer.body, "lines"), 0)->valuestring, "une ligne");
	assert_string_equal(cJSON_GetArrayItem(json_get(answer.body, "lines"), 1)->valuestring, "");
	assert_true(cJSON_IsNull(json_get(answer.body, "rows")));
	engine_answer_fini(&answer);
}

static void nul_and_half_surrogates_neither_cut_nor_spoil_the_text(void **state)
{
	struct engine_answer answer =
		answer_to(STOP("{\"text\":\"a\\u0000b\\ud83dc\\ude00\\ud83d\\ude00\"}"), false);

	(void)state;
	expect(&answer, ERR_NONE, "");
	assert_string_equal(json_text(answer.body, "text"), "a\xef\xbf\xbd"
							    "b\xef\xbf\xbd"
							    "c\xef\xbf\xbd\xf0\x9f\x98\x80");
	engine_answer_fini(&answer);
}

static void no_text_is_a_blank_page(void **state)
{
	struct engine_answer answer = answer_to(STOP("{\"text\":\" NO_TEXT\\n\"}"), false);

	(void)state;
	expect(&answer, ERR_NONE, "");
	assert_string_equal(json_text(answer.body, "text"), "");
	assert_int_equal(cJSON_GetArraySize(json_get(answer.body, "lines")), 0);
	engine_answer_fini(&answer);
	answer = answer_to(STOP("{\"text\":\"NO_TEXT here\"}"), false);
	assert_string_equal(json_text(answer.body, "text"), "NO_TEXT here");
	engine_answer_fini(&answer);
}

static const struct {
	const char *text; /* as it stands in a JSON string */
	enum err_kind kind;
	const char *code;
	int rows;
} tables[] = {
	{"{\\\"header\\\":null,\\\"rotation\\\":0,\\\"rows\\\":[],\\\"struck\\\":[]}", ERR_NONE, "",
		0},
	{"{\\\"rows\\\":[[\\\"a\\\",\\\"\\\",\\\"\\\",\\\"\\\",\\\"\\\",null]]}", ERR_NONE, "", 1},
	{"```json\\n{\\\"rows\\\":[]}\\n```\\n", ERR_NONE, "", 0},
	{"{\\\"rows\\\":[[\\\"a\\\",\\\"b\\\"]]}", ERR_TRUNCATED, "bad-rows", 0},
	{"{\\\"rows\\\":[[1,2,3,4,5,6]]}", ERR_TRUNCATED, "bad-rows", 0},
	{"{\\\"rows\\\":[\\\"abcdef\\\"]}", ERR_TRUNCATED, "bad-rows", 0},
	{"{\\\"rows\\\":null}", ERR_TRUNCATED, "bad-json", 0},
	{"{\\\"header\\\":null}", ERR_TRUNCATED, "bad-json", 0},
	{"[]", ERR_TRUNCATED, "bad-json", 0},
	{"{\\\"rows\\\":[[\\\"a\\\",", ERR_TRUNCATED, "bad-json", 0},
	{"Voici : {\\\"rows\\\":[]}", ERR_TRUNCATED, "bad-json", 0},
	{"{\\\"rows\\\":[]} fin", ERR_TRUNCATED, "bad-json", 0},
	{"```", ERR_TRUNCATED, "bad-json", 0},
	{"``````", ERR_TRUNCATED, "bad-json", 0},
	{"NO_TEXT", ERR_TRUNCATED, "bad-json", 0},
};

static void a_table_is_taken_only_in_the_shape_that_was_asked_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(tables); i++) {
		char body[512];
		struct engine_answer answer;

		(void)snprintf(body, sizeof body, STOP("{\"text\":\"%s\"}"), tables[i].text);
		answer = answer_to(body, true);
		expect(&answer, tables[i].kind, tables[i].code);
		if (answer.body != NULL)
			assert_int_equal(
				cJSON_GetArraySize(json_get(answer.body, "rows")), tables[i].rows);
		engine_answer_fini(&answer);
	}
}

static void chunks_make_one_answer(void **state)
{
	static const char *const chunks[] = {"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":"
					     "\"un \"}]}}],\"modelVersion\":\"m\"}",
		"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"deux\"}]}}],"
		"\"usageMetadata\":{\"promptTokenCount\":5}}",
		"{\"candidates\":[{\"finishReason\":\"STOP\"}],"
		"\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":2}}"};
	struct engine_answer answer = {0};
	struct gemini_reply reply;

	(void)state;
	gemini_reply_init(&reply, NULL);
	for (size_t i = 0; i < LENGTH(chunks); i++)
		assert_int_equal(gemini_reply_add(&reply, chunks[i], strlen(chunks[i])), 0);
	gemini_reply_end(&reply, false, &answer);
	gemini_reply_fini(&reply);
	expect(&answer, ERR_NONE, "");
	assert_string_equal(json_text(answer.body, "text"), "un deux");
	assert_string_equal(answer.model, "m");
	assert_int_equal(answer.tokens.total, 7);
	engine_answer_fini(&answer);
}

/* ---- statuses --------------------------------------------------------------------------------- */

#define ERROR(status, message, details)                                                            \
	"{\"error\":{\"code\":1,\"status\":\"" status "\",\"message\":\"" message                  \
	"\",\"details\":[" details "]}}"
#define REASON(reason) "{\"@type\":\"x/google.rpc.ErrorInfo\",\"reason\":\"" reason "\"}"
#define QUOTA(id)                                                                                  \
	"{\"@type\":\"x/google.rpc.QuotaFailure\",\"violations\":[{\"quotaId\":\"" id "\"}]}"
#define DELAY(delay) "{\"@type\":\"x/google.rpc.RetryInfo\",\"retryDelay\":\"" delay "\"}"
#define EXHAUSTED    "RESOURCE_EXHAUSTED"

static const struct {
	long status;
	const char *body;
	enum err_kind kind;
	const char *code;
	int64_t retry_after_ms;
} faults[] = {
	{400, ERROR("INVALID_ARGUMENT", "bad", ""), ERR_REQUEST, "bad-request", 0},
	{400, ERROR("INVALID_ARGUMENT", "x", REASON("API_KEY_INVALID")), ERR_CONFIG, "key-refused",
		0},
	{400, ERROR("INVALID_ARGUMENT", "API key expired.", ""), ERR_CONFIG, "key-refused", 0},
	{400, ERROR("INVALID_ARGUMENT", "Multiple authentication credentials received", ""),
		ERR_CONFIG, "key-refused", 0},
	{400, ERROR("INVALID_ARGUMENT", "Unknown name \\\"store\\\": Cannot find field.", ""),
		ERR_CONFIG, "field", 0},
	{400, ERROR("INVALID_ARGUMENT", "Thinking level is not supported for this model.", ""),
		ERR_CONFIG, "field", 0},
	{400, ERROR("INVALID_ARGUMENT", "Unable to process input image.", ""), ERR_REQUEST,
		"bad-request", 0},
	{400, ERROR("FAILED_PRECONDITION", "User location is not supported", ""), ERR_CONFIG,
		"precondition", 0},
	{400, "<html>", ERR_REQUEST, "bad-request", 0},
	{401, ERROR("UNAUTHENTICATED", "x", REASON("ACCESS_TOKEN_TYPE_UNSUPPORTED")), ERR_CONFIG,
		"key-refused", 0},
	{401, "", ERR_CONFIG, "key-refused", 0},
	{403, ERROR("PERMISSION_DENIED", "Your API key was reported as leaked.", ""), ERR_CONFIG,
		"key-refused", 0},
	{403, ERROR("PERMISSION_DENIED", "x", REASON("SERVICE_DISABLED")), ERR_CONFIG,
		"api-disabled", 0},
	{404, ERROR("NOT_FOUND", "models/x is not found", ""), ERR_CONFIG, "no-model", 0},
	{404, "<html>", ERR_CONFIG, "no-model", 0},
	{301, "", ERR_CONFIG, "redirect", 0},
	{408, "", ERR_TRANSIENT, "http-408", 0},
	{402, "<html>", ERR_CONFIG, "billing", 0},
	{405, "<html>", ERR_CONFIG, "address", 0},
	{406, "", ERR_TRANSIENT, "http-406", 0},
	{407, "<html>", ERR_CONFIG, "proxy", 0},
	{409, ERROR("ABORTED", "x", ""), ERR_TRANSIENT, "http-409", 0},
	{410, "<html>", ERR_CONFIG, "no-model", 0},
	{411, "<html>", ERR_TRANSIENT, "http-411", 0},
	{422, "", ERR_TRANSIENT, "http-422", 0},
	{425, "", ERR_TRANSIENT, "http-425", 0},
	{451, "<html>", ERR_CONFIG, "precondition", 0},
	{413, "<html>", ERR_REQUEST, "too-large", 0},
	{499, ERROR("CANCELLED", "x", ""), ERR_TRANSIENT, "http-499", 0},
	{500, ERROR("INTERNAL", "x", ""), ERR_TRANSIENT, "http-500", 0},
	{502, "<html>", ERR_TRANSIENT, "http-502", 0},
	{503, ERROR("UNAVAILABLE", "The model is overloaded.", ""), ERR_TRANSIENT, "http-503", 0},
	{503, "[" ERROR("UNAVAILABLE", "x", DELAY("7s")) "]", ERR_TRANSIENT, "http-503", 7000},
	{504, ERROR("DEADLINE_EXCEEDED", "x", ""), ERR_TRANSIENT, "http-504", 0},
	{529, "", ERR_TRANSIENT, "http-529", 0},
	{429, ERROR(EXHAUSTED, "x", QUOTA("PerMinutePerProject") "," DELAY("34.207927518s")),
		ERR_QUOTA, "quota", 34208},
	{429, ERROR(EXHAUSTED, "Please retry in 40.5s.", DELAY("3s")), ERR_QUOTA, "quota", 40500},
	{429, ERROR(EXHAUSTED, "Please retry in 10h17m5.72s", ""), ERR_QUOTA, "quota", 37025720},
	{429, ERROR(EXHAUSTED, "x", DELAY("99999999s")), ERR_QUOTA, "quota", 86400000},
	{429, ERROR(EXHAUSTED, "x", DELAY("soon")), ERR_QUOTA, "quota", 0},
	{429, ERROR(EXHAUSTED, "x", QUOTA("InputTokensPerMinute")), ERR_QUOTA, "quota", 60000},
	{429, ERROR(EXHAUSTED, "Resource has been exhausted (e.g. check quota).", ""), ERR_QUOTA,
		"quota", 0},
	{429, "", ERR_QUOTA, "quota", 0},
	{429, "<html>", ERR_QUOTA, "quota", 0},
	{429, "[" ERROR(EXHAUSTED, "x", DELAY("2s")) "]", ERR_QUOTA, "quota", 2000},
	{429, ERROR(EXHAUSTED, "x", DELAY("22s") "," QUOTA("RequestsPerDayPerProject-FreeTier")),
		ERR_QUOTA_DAY, "quota-day", 0},
	{429, ERROR(EXHAUSTED, "limit: 0, model: x", QUOTA("RequestsPerDay")), ERR_CONFIG,
		"no-quota", 0},
	{429, ERROR(EXHAUSTED, "limit: 0", DELAY("5s")), ERR_CONFIG, "no-quota", 0},
	{429, ERROR(EXHAUSTED, "limit: 0.5, limit: 05", DELAY("5s")), ERR_QUOTA, "quota", 5000},
	{429, ERROR(EXHAUSTED, "Your prepaid credits are depleted", ""), ERR_CONFIG, "billing", 0},
};

static void every_status_has_its_meaning(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(faults); i++) {
		struct engine_answer answer;

		gemini_answer(faults[i].status, NULL, faults[i].body, strlen(faults[i].body), NULL,
			true, &answer);
		expect(&answer, faults[i].kind, faults[i].code);
		assert_int_equal(answer.error.retry_after_ms, faults[i].retry_after_ms);
		assert_int_equal(answer.http_status, faults[i].status);
	}
}

static void retry_after_of_a_proxy_counts_too(void **state)
{
	static const struct {
		const char *header;
		int64_t ms;
	} cases[] = {{"12", 12000}, {"1.5", 1500}, {"-1", 0}, {"Mon, 23 Nov", 0},
		{"99999999999999999999", 86400000}};
	struct err err;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(gemini_fault(429, cases[i].header, "", 0, NULL, &err), -1);
		assert_int_equal(err.retry_after_ms, cases[i].ms);
	}
}

static void a_key_that_a_message_repeats_is_masked(void **state)
{
	static const char body[] =
		ERROR("INVALID_ARGUMENT", "API key AIzaSy-geheim_1 and AQ.Ab8geheim not valid", "");
	struct err err;

	(void)state;
	gemini_fault(400, NULL, body, sizeof body - 1, NULL, &err);
	assert_null(strstr(err.text, "geheim"));
	assert_non_null(strstr(err.text, "not valid"));
}

/* The key is of no known form, stands across the cut, and is escaped once. */
static void the_key_that_was_sent_is_never_repeated(void **state)
{
	static const char key[] = "geheim/of-the/test";
	static const char dots[] =
		"................................................................";
	static const char ending[] = "{\"candidates\":[{\"finishReason\":\"OTHER\","
				     "\"finishMessage\":\"no geheim/of-the/test\"}],"
				     "\"modelVersion\":\"geheim/of-the/test\"}";
	struct engine_answer answer;
	char body[600];
	struct err err;

	(void)state;
	(void)snprintf(body, sizeof body, ERROR("geheim\\/of-the\\/test", "%s%s%s%.40s%s", ""),
		dots, dots, dots, dots, key);
	gemini_fault(503, NULL, body, strlen(body), key, &err);
	assert_null(strstr(err.text, "geheim"));
	assert_non_null(strstr(err.text, "HTTP 503 ****"));
	gemini_answer(200, NULL, ending, sizeof ending - 1, key, false, &answer);
	expect(&answer, ERR_REFUSED, "other");
	assert_null(strstr(answer.error.text, "geheim"));
	assert_null(strstr(answer.model, "geheim"));
}

static void durations_are_read_in_every_form(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {{"34s", 34000}, {"34.207927518s", 34208}, {"0s", 0}, {"500ms", 500},
		{"1m2s", 62000}, {"10h17m5.72s.", 37025720}, {"1.0000000001s", 1001}, {"", -1},
		{"s", -1}, {"-5s", -1}, {"5", -1}, {"5 s", -1}, {"5d", -1}, {"1e400s", 86400000},
		{"inf", -1}};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		if (gemini_duration_ms(cases[i].text) != cases[i].ms)
			fail_msg("%s: %lld", cases[i].text,
				(long long)gemini_duration_ms(cases[i].text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_image_stands_before_the_prompt),
		cmocka_unit_test(a_prompt_that_looks_like_the_image_is_not_taken_for_it),
		cmocka_unit_test(only_what_is_set_is_sent),
		cmocka_unit_test(what_is_set_is_sent),
		cmocka_unit_test(an_index_page_is_asked_for_by_schema),
		cmocka_unit_test(an_address_has_one_slash_and_an_escaped_model),
		cmocka_unit_test(the_estimate_follows_the_image_table),
		cmocka_unit_test(every_finish_reason_has_its_meaning_with_text_and_without),
		cmocka_unit_test(a_blocked_prompt_is_refused_and_its_tokens_count),
		cmocka_unit_test(odd_answers_are_named),
		cmocka_unit_test(hostile_counts_do_not_overflow),
		cmocka_unit_test(all_parts_but_thoughts_make_the_text),
		cmocka_unit_test(nul_and_half_surrogates_neither_cut_nor_spoil_the_text),
		cmocka_unit_test(no_text_is_a_blank_page),
		cmocka_unit_test(a_table_is_taken_only_in_the_shape_that_was_asked_for),
		cmocka_unit_test(chunks_make_one_answer),
		cmocka_unit_test(every_status_has_its_meaning),
		cmocka_unit_test(retry_after_of_a_proxy_counts_too),
		cmocka_unit_test(a_key_that_a_message_repeats_is_masked),
		cmocka_unit_test(the_key_that_was_sent_is_never_repeated),
		cmocka_unit_test(durations_are_read_in_every_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
