#include "gemini.h"

#include "json.h"
#include "mem.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX_BYTES = 4 << 20, COLUMNS = 6, COUNT_MAX = 1000000000 };

static const char no_text[] = "NO_TEXT"; /* what the prompts ask for where a page has none */

/* ---- chunks ------------------------------------------------------------------------------------ */

void gemini_reply_init(struct gemini_reply *reply, const char *secret)
{
	*reply = (struct gemini_reply){.secret = secret};
	buf_init(&reply->text, TEXT_MAX_BYTES);
}

void gemini_reply_fini(struct gemini_reply *reply)
{
	buf_fini(&reply->text);
}

static void keep(char *out, size_t size, const char *text)
{
	if (text != NULL)
		(void)snprintf(out, size, "%.*s", (int)utf8_cut(text, size - 1), text);
}

/* Bounded, so that sums cannot overflow whatever is sent. */
static int64_t count(const cJSON *usage, const char *key)
{
	const int64_t n = json_int(usage, key, 0);

	return n < 0 ? 0 : n > COUNT_MAX ? COUNT_MAX : n;
}

/* The last chunk of a stream has the sums. */
static void add_usage(struct engine_tokens *tokens, const cJSON *usage)
{
	if (usage == NULL)
		return;
	tokens->input = count(usage, "promptTokenCount") + count(usage, "toolUsePromptTokenCount");
	tokens->output = count(usage, "candidatesTokenCount");
	tokens->thinking = count(usage, "thoughtsTokenCount");
	tokens->total = count(usage, "totalTokenCount");
	if (tokens->total == 0)
		tokens->total = tokens->input + tokens->output + tokens->thinking;
}

/* All parts that are no thoughts: the first alone may be half the text, or none of it. */
static int add_parts(struct buf *text, const cJSON *parts)
{
	const cJSON *part;

	cJSON_ArrayForEach(part, parts)
	{
		const char *piece = json_text(part, "text");

		if (piece != NULL && !json_bool(part, "thought", false) &&
			buf_add(text, piece, strlen(piece)) != 0)
			return -1;
	}
	return 0;
}

static int add_chunk(struct gemini_reply *reply, const cJSON *chunk)
{
	const cJSON *candidate = cJSON_GetArrayItem(json_get(chunk, "candidates"), 0);

	keep(reply->model, sizeof reply->model, json_text(chunk, "modelVersion"));
	keep(reply->block_reason, sizeof reply->block_reason,
		json_text(chunk, "promptFeedback.blockReason"));
	keep(reply->said, sizeof reply->said,
		json_text(chunk, "promptFeedback.blockReasonMessage"));
	keep(reply->finish_reason, sizeof reply->finish_reason,
		json_text(candidate, "finishReason"));
	keep(reply->said, sizeof reply->said, json_text(candidate, "finishMessage"));
	add_usage(&reply->tokens, json_get(chunk, "usageMetadata"));
	reply->any_chunk = true;
	reply->any_candidate = reply->any_candidate || candidate != NULL;
	return add_parts(&reply->text, json_get(candidate, "content.parts"));
}

int gemini_reply_add(struct gemini_reply *reply, const char *json, size_t len)
{
	cJSON *tree = json_parse(json, len);
	const cJSON *one;
	int rc = 0;

	json_scrub(tree, reply->secret);
	if (json_get(cJSON_IsArray(tree) ? cJSON_GetArrayItem(tree, 0) : tree, "error") != NULL)
		gemini_fault(200, NULL, json, len, reply->secret, &reply->error);
	else if (cJSON_IsObject(tree))
		rc = add_chunk(reply, tree);
	else if (cJSON_IsArray(tree))
		cJSON_ArrayForEach(one, tree) rc = rc == 0 ? add_chunk(reply, one) : rc;
	else
		rc = -1;
	cJSON_Delete(tree);
	return rc;
}

/* ---- how it ended ------------------------------------------------------------------------------ */

/* A reason that is not here is a failure as well: new ones keep appearing. */
static const struct {
	const char *reason;
	enum err_kind kind;
	const char *code;
	const char *text;
} endings[] = {
	{"STOP", ERR_NONE, "", ""},
	{"MAX_TOKENS", ERR_TRUNCATED, "max-tokens", "the answer reached max_output_tokens"},
	{"CONTINUATION", ERR_TRUNCATED, "continuation", "the answer is longer than one reply"},
	{"RECITATION", ERR_REFUSED, "recitation", "refused as a recitation of known text"},
	{"SAFETY", ERR_REFUSED, "safety", "refused for its content"},
	{"BLOCKLIST", ERR_REFUSED, "blocklist", "refused for a word on a list"},
	{"PROHIBITED_CONTENT", ERR_REFUSED, "prohibited-content", "refused for its content"},
	{"SPII", ERR_REFUSED, "spii", "refused for personal data"},
	{"LANGUAGE", ERR_REFUSED, "language", "refused for its language"},
	{"ESCALATION", ERR_REFUSED, "escalation", "refused for its content"},
	{"OTHER", ERR_REFUSED, "other", "ended for a reason that is not told"},
	{"MALFORMED_RESPONSE", ERR_REFUSED, "malformed-response",
		"the model's answer was malformed"},
	{"FINISH_REASON_UNSPECIFIED", ERR_REFUSED, "unspecified",
		"ended for a reason that is not told"},
};

static int check_ending(const struct gemini_reply *reply, struct err *err)
{
	const char *reason = reply->finish_reason;
	const char *colon = reply->said[0] != '\0' ? ": " : "";

	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
		if (strcmp(reason, endings[i].reason) == 0)
			return endings[i].kind == ERR_NONE
				       ? 0
				       : err_set(err, endings[i].kind, endings[i].code,
						 "%s (%s%s%s)", endings[i].text, reason, colon,
						 reply->said);
	return err_set(err, ERR_REQUEST, "finish-reason",
		"ended with %s, which is not expected here%s%s", reason, colon, reply->said);
}

static int check_reply(const struct gemini_reply *reply, struct err *err)
{
	if (!reply->any_chunk)
		return err_set(
			err, ERR_TRANSIENT, "bad-answer", "what Gemini answers is not its JSON");
	if (reply->block_reason[0] != '\0')
		return err_set(err, ERR_REFUSED, "blocked", "the request was refused (%s%s%s)",
			reply->block_reason, reply->said[0] != '\0' ? ": " : "", reply->said);
	if (!reply->any_candidate)
		return err_set(err, ERR_EMPTY, "no-candidate", "an answer without a candidate");
	if (reply->finish_reason[0] == '\0')
		return err_set(err, ERR_TRUNCATED, "no-finish-reason",
			"the answer does not say that it is whole");
	return check_ending(reply, err);
}

/* ---- the body ---------------------------------------------------------------------------------- */

static const char *skip_space(const char *text)
{
	return text + strspn(text, " \t\r\n");
}

static size_t trimmed_len(const char *text)
{
	size_t len = strlen(text);

	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	return len;
}

static void add_lines(cJSON *lines, const char *text)
{
	while (*text != '\0') {
		const size_t len = strcspn(text, "\n");
		char *line = mem_strndup(text, len > 0 && text[len - 1] == '\r' ? len - 1 : len);

		cJSON_AddItemToArray(lines, cJSON_CreateString(line));
		free(line);
		text += len + (text[len] == '\n' ? 1 : 0);
	}
}

static cJSON *plain_body(const char *said)
{
	char *text = mem_strndup(said, trimmed_len(said));
	cJSON *body = cJSON_CreateObject();

	if (strcmp(skip_space(text), no_text) == 0)
		text[0] = '\0';
	json_add_text(body, "header", NULL);
	json_add_int(body, "rotation", 0);
	json_add_text(body, "rows", NULL);
	add_lines(cJSON_AddArrayToObject(body, "lines"), text);
	json_add_text(body, "text", text);
	free(text);
	return body;
}

/* Some models put JSON between fences although a schema was asked for. */
static cJSON *parse_fenced(const char *said)
{
	const char *text = skip_space(said);
	size_t len = trimmed_len(text);

	if (strncmp(text, "```", 3) == 0 && len >= 6 && strncmp(text + len - 3, "```", 3) == 0) {
		const size_t first = strcspn(text, "\n");

		len = len > first + 3 ? len - 3 - first : 0;
		text += first;
	}
	return json_parse(text, len);
}

static bool is_row(const cJSON *row)
{
	const cJSON *cell;

	if (!cJSON_IsArray(row) || cJSON_GetArraySize(row) != COLUMNS)
		return false;
	cJSON_ArrayForEach(
		cell, row) if (!cJSON_IsString(cell) && !cJSON_IsNull(cell)) return false;
	return true;
}

static int check_table(const cJSON *body, struct err *err)
{
	const cJSON *rows = json_get(body, "rows");
	const cJSON *row;
	int number = 0;

	if (!cJSON_IsObject(body) || !cJSON_IsArray(rows))
		return err_set(err, ERR_TRUNCATED, "bad-json",
			"the answer is not the JSON that was asked for");
	cJSON_ArrayForEach(row, rows)
	{
		number++;
		if (!is_row(row))
			return err_set(
				err, ERR_TRUNCATED, "bad-rows", "row %d is not six texts", number);
	}
	return 0;
}

static cJSON *table_body(const char *said, struct err *err)
{
	cJSON *body = parse_fenced(said);

	if (check_table(body, err) == 0)
		return body;
	cJSON_Delete(body);
	return NULL;
}

void gemini_reply_end(const struct gemini_reply *reply, bool table, struct engine_answer *answer)
{
	const char *text = buf_text(&reply->text);

	keep(answer->model, sizeof answer->model, reply->model);
	keep(answer->finish_reason, sizeof answer->finish_reason,
		reply->block_reason[0] != '\0' ? reply->block_reason : reply->finish_reason);
	answer->tokens = reply->tokens;
	if (reply->error.kind != ERR_NONE)
		answer->error = reply->error;
	else if (check_reply(reply, &answer->error) != 0)
		return;
	else if (*skip_space(text) == '\0')
		err_set(&answer->error, ERR_EMPTY, "empty", "an answer without text");
	else
		answer->body = table ? table_body(text, &answer->error) : plain_body(text);
}

void gemini_answer(long status, const char *retry_after, const char *body, size_t len,
	const char *secret, bool table, struct engine_answer *answer)
{
	struct gemini_reply reply;

	*answer = (struct engine_answer){.http_status = status};
	gemini_reply_init(&reply, secret);
	if (status != 200)
		gemini_fault(status, retry_after, body, len, secret, &answer->error);
	else if (gemini_reply_add(&reply, body, len) != 0 && reply.any_chunk)
		err_set(&answer->error, ERR_TRUNCATED, "too-long",
			"an answer of more than %d bytes", TEXT_MAX_BYTES);
	else
		gemini_reply_end(&reply, table, answer);
	gemini_reply_fini(&reply);
}
