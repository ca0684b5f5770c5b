/*
 * Calls storage.h for test_storage.py: storage_driver name=value... ; prints one JSON object.
 *
 * do=fetch|put|check storage=supabase|directory:... url= key= key_mode=auto|jwt|secret|bearer source=
 * path= file= tmpdir= max_bytes= memory_bytes= timeout_ms=
 */
#include "json.h"
#include "mem.h"
#include "storage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char index_source[] = "index", index_bucket[] = "index";
static char acte_source[] = "acte", acte_bucket[] = "actes";
static char name[] = "test";
static struct set_bucket buckets[] = {{index_source, index_bucket}, {acte_source, acte_bucket}};

static char *value(char **args, const char *key)
{
	const size_t len = strlen(key);

	for (; *args != NULL; args++)
		if (strncmp(*args, key, len) == 0 && (*args)[len] == '=')
			return *args + len + 1;
	return NULL;
}

static int64_t number(char **args, const char *key, int64_t otherwise)
{
	const char *text = value(args, key);

	return text != NULL ? strtoll(text, NULL, 10) : otherwise;
}

static enum key_mode key_mode(const char *text)
{
	if (text == NULL || strcmp(text, "auto") == 0)
		return KEY_MODE_AUTO;
	if (strcmp(text, "jwt") == 0)
		return KEY_MODE_JWT;
	return strcmp(text, "secret") == 0 ? KEY_MODE_SECRET : KEY_MODE_SECRET_BEARER;
}

/* Where the file lies, and that it stands at its beginning and can be read. */
static void describe(cJSON *out, const struct document *document)
{
	char link[64];
	char target[256] = "";
	char head[6] = "";
	struct stat st = {0};

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", document->fd);
	(void)!readlink(link, target, sizeof target - 1);
	(void)fstat(document->fd, &st);
	(void)!read(document->fd, head, sizeof head - 1);
	json_add_int(out, "bytes", document->bytes);
	json_add_int(out, "file_bytes", st.st_size);
	json_add_int(out, "links", (int64_t)st.st_nlink);
	json_add_text(out, "sha256", document->sha256);
	json_add_text(out, "file", target);
	json_add_text(out, "head", head);
}

static int run(char **args, struct http *http, cJSON *out, struct err *err)
{
	struct set_environment environment = {.name = name,
		.storage = value(args, "storage"),
		.supabase_url = value(args, "url"),
		.service_key = value(args, "key"),
		.key_mode = key_mode(value(args, "key_mode"))};
	struct set_storage settings = {.buckets = buckets,
		.bucket_count = 2,
		.max_bytes = number(args, "max_bytes", 50 << 20),
		.memory_document_bytes = number(args, "memory_bytes", 4 << 20),
		.timeout_ms = number(args, "timeout_ms", 20000),
		.tmpdir = value(args, "tmpdir")};
	struct job job = {.source = value(args, "source"), .path = value(args, "path")};
	const char *what = value(args, "do");
	struct document document = {.fd = -1};
	int rc;

	if (strcmp(what, "put") == 0)
		return storage_put(http, &environment, &settings, job.source, job.path,
			value(args, "file"), err);
	if (strcmp(what, "check") == 0)
		return storage_check(http, &environment, &settings, job.source, err);
	rc = storage_fetch(http, &environment, &settings, &job, &document, err);
	if (rc == 0)
		describe(out, &document);
	document_fini(&document);
	return rc;
}

int main(int argc, char **argv)
{
	struct http *http;
	struct err err = {0};
	cJSON *out = cJSON_CreateObject();
	char *text;
	int rc;

	(void)argc;
	(void)signal(SIGPIPE, SIG_IGN);
	rc = http_new(&http, &err);
	if (rc == 0)
		rc = run(argv, http, out, &err);
	cJSON_AddBoolToObject(out, "ok", rc == 0);
	if (rc != 0) {
		json_add_text(out, "kind", err_kind_name(err.kind));
		json_add_text(out, "code", err.code);
		json_add_text(out, "text", err.text);
		json_add_int(out, "retry_after_ms", err.retry_after_ms);
	}
	text = json_print(out);
	(void)puts(text);
	free(text);
	cJSON_Delete(out);
	http_free_all(http);
	return 0;
}
