#include "result.h"

#include "json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void prints_as(const cJSON *tree, const char *expected)
{
	char *text = json_print(tree);

	assert_string_equal(text, expected);
	free(text);
}

/* ---- pages without a reading ----------------------------------------------------------------- */

static void a_blank_page_is_complete_and_says_so_with_its_ink(void **state)
{
	const struct page image = {
		.number = 2, .width = 10, .height = 20, .ink = 0.00012345678, .blank = true};
	cJSON *page = result_blank_page(&image);

	(void)state;
	prints_as(page, "{\"page\":2,\"isCompleted\":true,\"totalLinesDetected\":0,\"model\":null,"
			"\"finishReason\":null,\"tokens\":{\"input\":0,\"output\":0,\"thinking\":0,"
			"\"total\":0},"
			"\"ms\":0,\"width\":10,\"height\":20,\"blank\":true,\"ink\":0.000123,"
			"\"header\":null,"
			"\"lines\":[],\"text\":\"\",\"warnings\":[]}");
	cJSON_Delete(page);
}

static void a_failed_page_says_why_and_what_it_cost(void **state)
{
	struct err why;
	const struct engine_answer answer = {.model = "m",
		.finish_reason = "RECITATION",
		.tokens = {.input = 7, .total = 7},
		.ms = 12};
	cJSON *page;

	(void)state;
	err_set(&why, ERR_REFUSED, "recitation", "page 4: the model will not read it");
	page = result_failed_page(4, &why, &answer);
	prints_as(page,
		"{\"page\":4,\"isCompleted\":false,\"totalLinesDetected\":0,\"model\":\"m\","
		"\"finishReason\":\"RECITATION\",\"tokens\":{\"input\":7,\"output\":0,\"thinking\":"
		"0,"
		"\"total\":7},\"ms\":12,\"error\":{\"kind\":\"refused\",\"code\":\"recitation\","
		"\"message\":\"page 4: the model will not read it\"},\"header\":null,\"lines\":[],"
		"\"text\":\"\",\"warnings\":[]}");
	cJSON_Delete(page);
}

static void a_page_can_fail_before_any_engine_was_asked(void **state)
{
	struct err why;
	cJSON *page;

	(void)state;
	err_set(&why, ERR_DOCUMENT, "damaged", "the page is damaged: \xFF");
	page = result_failed_page(1, &why, NULL);
	assert_true(cJSON_IsNull(json_get(page, "model")));
	assert_string_equal(json_text(page, "error.message"), "the page is damaged: ?");
	cJSON_Delete(page);
}

/* ---- documents ------------------------------------------------------------------------------- */

static char *envelope_with(int64_t processing_ms, const struct set_list *warnings)
{
	const struct job job = {.id = "456", .attempt = 2};
	const struct result_facts facts = {.job = &job,
		.engine = "gemini",
		.model = "model-1",
		.prompt_sha256 = "aa",
		.document_sha256 = "bb",
		.source_url = "https://x/y.pdf",
		.run_id = "job-456-7",
		.total_pages = 2,
		.processing_ms = processing_ms,
		.warnings = warnings};

	return result_envelope(&facts);
}

static void hide_time(char *json)
{
	char *time = strstr(json, "\"createdAt\":\"");

	assert_non_null(time);
	time += strlen("\"createdAt\":\"");
	assert_int_equal(strcspn(time, "\""), strlen("2026-11-23T22:25:37.123Z"));
	memset(time, '0', strcspn(time, "\""));
}

static void the_envelope_has_everything_but_pages_and_sums(void **state)
{
	char warning[] = "p2: columns_unavailable";
	char *items[] = {warning, NULL};
	const struct set_list warnings = {items, 1};
	char *text = envelope_with(9007199254740993, &warnings);

	(void)state;
	hide_time(text);
	assert_string_equal(text,
		"{\"sourceUrl\":\"https://x/y.pdf\",\"createdAt\":\"000000000000000000000000\","
		"\"runId\":\"job-456-7\",\"totalPages\":2,\"processingTimeMs\":9007199254740993,"
		"\"models\":{\"extraction\":\"gemini\"},\"indexocr\":{\"version\":"
		"\"" PACKAGE_VERSION
		"\",\"engine\":\"gemini\",\"model\":\"model-1\",\"promptSha256\":\"aa\","
		"\"documentSha256\":\"bb\",\"attempt\":2,"
		"\"warnings\":[\"p2: columns_unavailable\"]}}");
	free(text);
}

#define PAGE(n, lines, text)                                                                       \
	"{\"page\":" n ",\"tokens\":{\"input\":" n                                                 \
	"0,\"output\":3,\"thinking\":1,\"total\":9},\"lines\":" lines ",\"text\":\"" text "\"}"

static void a_local_document_is_envelope_pages_in_order_and_sums(void **state)
{
	char *envelope = envelope_with(41200, NULL);
	char *text = result_join(envelope, "[" PAGE("1", "[{}]", "un") "," PAGE("2", "[{},{}]",
						   "deux") "," PAGE("3", "[]", "trois") "]");

	(void)state;
	assert_non_null(text);
	hide_time(text);
	assert_string_equal(text,
		"{\"pages\":["
		"{\"page\":1,\"tokens\":{\"input\":10,\"output\":3,\"thinking\":1,\"total\":9},"
		"\"lines\":[{}],\"text\":\"un\"},"
		"{\"page\":2,\"tokens\":{\"input\":20,\"output\":3,\"thinking\":1,\"total\":9},"
		"\"lines\":[{},{}],\"text\":\"deux\"},"
		"{\"page\":3,\"tokens\":{\"input\":30,\"output\":3,\"thinking\":1,\"total\":9},"
		"\"lines\":[],\"text\":\"trois\"}],"
		"\"sourceUrl\":\"https://x/y.pdf\",\"createdAt\":\"000000000000000000000000\","
		"\"runId\":\"job-456-7\",\"totalPages\":3,\"totalLines\":3,\"processingTimeMs\":"
		"41200,"
		"\"models\":{\"extraction\":\"gemini\"},\"indexocr\":{\"version\":"
		"\"" PACKAGE_VERSION
		"\",\"engine\":\"gemini\",\"model\":\"model-1\",\"promptSha256\":\"aa\","
		"\"documentSha256\":\"bb\","
		"\"tokens\":{\"input\":60,\"output\":9,\"thinking\":3,\"total\":27},\"attempt\":2,"
		"\"warnings\":[]}}");
	free(text);
	free(envelope);
}

static void what_is_no_document_is_not_joined(void **state)
{
	char *envelope = envelope_with(1, NULL);

	(void)state;
	assert_null(result_join("{", "[]"));
	assert_null(result_join("{}", "[]"));
	assert_null(result_join("[]", "[]"));
	assert_null(result_join(envelope, "{}"));
	assert_null(result_join(envelope, "["));
	assert_null(result_join(envelope, "[7]"));
	assert_null(result_join(envelope, "[" PAGE("1", "[]", "a") ",null]"));
	free(envelope);
}

static void text_of(const char *document, const char *expected)
{
	char *text = result_text(document);

	assert_string_equal(text, expected);
	free(text);
}

static void the_plain_text_has_a_form_feed_between_pages(void **state)
{
	(void)state;
	text_of("{\"pages\":[{\"text\":\"un\"},{},{\"text\":\"trois\\n\"}]}", "un\f\ftrois\n");
	text_of("{\"pages\":[{\"text\":\"\"}]}", "");
	text_of("{\"pages\":[]}", "");
	text_of("{}", "");
	text_of("no JSON", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_blank_page_is_complete_and_says_so_with_its_ink),
		cmocka_unit_test(a_failed_page_says_why_and_what_it_cost),
		cmocka_unit_test(a_page_can_fail_before_any_engine_was_asked),
		cmocka_unit_test(the_envelope_has_everything_but_pages_and_sums),
		cmocka_unit_test(a_local_document_is_envelope_pages_in_order_and_sums),
		cmocka_unit_test(what_is_no_document_is_not_joined),
		cmocka_unit_test(the_plain_text_has_a_form_feed_between_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
