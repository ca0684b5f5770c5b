#include "storage.h"

#include "document.h"
#include "fdio.h"
#include "mem.h"
#include "storage_directory.h"
#include "storage_fault.h"
#include "storage_path.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CONNECT_TIMEOUT_MS = 10000,
	CHECK_TIMEOUT_MS = 15000,
	SILENCE_MS = 30000, /* a download that stands still holds up a worker for nothing */
	ANSWER_MAX_BYTES = 64 * 1024
};
enum { HEADERS_MAX = 5 };

/* One project's storage, or a directory. */
struct source {
	struct http *http;
	const struct set_environment *environment;
	const struct set_storage *settings;
	const char *directory; /* NULL = Supabase */
};

static struct source source_of(struct http *http, const struct set_environment *environment,
	const struct set_storage *settings)
{
	static const char scheme[] = "directory:";
	const bool is_directory = environment->storage != NULL &&
				  strncmp(environment->storage, scheme, sizeof scheme - 1) == 0;

	return (struct source){http, environment, settings,
		is_directory ? environment->storage + sizeof scheme - 1 : NULL};
}

/* ---- Supabase ----------------------------------------------------------------------------------
 */

struct headers {
	const char *items[HEADERS_MAX];
	char *apikey; /* secret */
	char *bearer; /* secret; NULL = not sent */
};

/* A legacy key is a JWT and must stand in both headers; a new one is none and refused as bearer. */
static bool sends_bearer(const struct set_environment *environment)
{
	switch (environment->key_mode) {
	case KEY_MODE_JWT:
	case KEY_MODE_SECRET_BEARER:
		return true;
	case KEY_MODE_SECRET:
		return false;
	case KEY_MODE_AUTO:
		break;
	}
	return strncmp(environment->service_key, "eyJ", 3) == 0;
}

static void headers_init(
	struct headers *h, const struct set_environment *environment, const char *const *more)
{
	size_t n = 0;

	*h = (struct headers){0};
	h->apikey = mem_printf("apikey: %s", environment->service_key);
	h->items[n++] = h->apikey;
	if (sends_bearer(environment)) {
		h->bearer = mem_printf("Authorization: Bearer %s", environment->service_key);
		h->items[n++] = h->bearer;
	}
	for (; more != NULL && *more != NULL && n < HEADERS_MAX - 1; more++)
		h->items[n++] = *more;
}

static void headers_fini(struct headers *h)
{
	mem_free_secret(h->apikey);
	mem_free_secret(h->bearer);
}

/* Runs it with our key; an answer that is not 200 becomes the error that it means. */
static int ask(const struct source *s, struct http_request *request, const char *const *more,
	struct err *err)
{
	struct http_exchange *x;
	struct headers headers;
	int rc;

	if (s->environment->supabase_url == NULL || s->environment->service_key == NULL)
		return err_set(err, ERR_CONFIG, "no-storage",
			"environment %s has no supabase_url and service_key", s->environment->name);
	headers_init(&headers, s->environment, more);
	request->headers = headers.items;
	request->connect_timeout_ms = CONNECT_TIMEOUT_MS;
	rc = http_run(s->http, request, &x, err);
	headers_fini(&headers);
	if (rc != 0)
		return -1;
	if (http_status(x) != 200)
		rc = storage_fault(http_status(x), buf_text(http_body(x)), http_body(x)->len,
			http_header(x, "Retry-After"), s->environment->service_key, err);
	http_free(x);
	return rc;
}

static int take(void *arg, const void *data, size_t len, struct err *err)
{
	return document_intake_add(arg, data, len, err);
}

static int supabase_fetch(const struct source *s, const struct storage_place *place,
	struct document_intake *in, struct err *err)
{
	char *url = storage_url(
		s->environment->supabase_url, "object/authenticated", place->bucket, place->path);
	struct http_request request = {.method = "GET",
		.url = url,
		.timeout_ms = s->settings->timeout_ms,
		.silence_ms = SILENCE_MS,
		.max_response_bytes = SIZE_MAX, /* the intake has the bound */
		.sink = take,
		.sink_arg = in};
	const int rc = ask(s, &request, NULL, err);

	free(url);
	return rc;
}

static int supabase_check(const struct source *s, const char *bucket, struct err *err)
{
	char *url = storage_url(s->environment->supabase_url, "bucket", bucket, NULL);
	struct http_request request = {.method = "GET",
		.url = url,
		.timeout_ms = CHECK_TIMEOUT_MS,
		.max_response_bytes = ANSWER_MAX_BYTES};
	const int rc = ask(s, &request, NULL, err);

	free(url);
	if (rc != 0 && err->kind == ERR_MISSING)
		return err_set(err, ERR_CONFIG, "no-bucket", "there is no bucket %s", bucket);
	return rc;
}

static int supabase_post(const struct source *s, const struct storage_place *place,
	const void *data, size_t bytes, struct err *err)
{
	static const char *const more[] = {"Content-Type: application/pdf", "x-upsert: true", NULL};
	char *url = storage_url(s->environment->supabase_url, "object", place->bucket, place->path);
	const struct http_part part = {data, bytes, false};
	struct http_request request = {.method = "POST",
		.url = url,
		.parts = &part,
		.part_count = 1,
		.timeout_ms = s->settings->timeout_ms,
		.max_response_bytes = ANSWER_MAX_BYTES};
	const int rc = ask(s, &request, more, err);

	free(url);
	return rc;
}

static int supabase_put(const struct source *s, const struct storage_place *place, const char *file,
	struct err *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	void *data = MAP_FAILED;
	struct stat st;
	int rc;

	if (fd == -1)
		return err_errno(err, ERR_DOCUMENT, "cannot open %s", file);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		rc = err_set(err, ERR_DOCUMENT, "empty", "%s is empty or no regular file", file);
	} else {
		rc = supabase_post(s, place, data, (size_t)st.st_size, err);
		(void)munmap(data, (size_t)st.st_size);
	}
	fd_close(&fd);
	return rc;
}

/* ---- either ------------------------------------------------------------------------------------
 */

static int fetch_place(const struct source *s, const struct storage_place *place,
	struct document *document, struct err *err)
{
	struct document_intake in;
	int rc = document_intake_begin(&in, s->settings, err);

	if (rc == 0)
		rc = s->directory != NULL
			     ? storage_directory_fetch(s->http, s->directory, place, &in, err)
			     : supabase_fetch(s, place, &in, err);
	if (rc == 0)
		rc = document_intake_end(&in, document, err);
	document_intake_fini(&in);
	return rc;
}

/* To a key that may see everything, Storage calls an object of a bucket that does not exist just
 * missing; the bucket itself is asked for then, since all documents fail for its sake. */
static int explain_missing(
	const struct source *s, const struct storage_place *place, struct err *err)
{
	struct err why;

	if (s->directory != NULL || supabase_check(s, place->bucket, &why) == 0)
		return -1;
	if (strcmp(why.code, "no-bucket") == 0 || why.kind == ERR_STOPPED || why.kind == ERR_LOST)
		*err = why;
	return -1;
}

static int fetch_places(const struct source *s, const struct storage_places *places,
	struct document *document, struct err *err)
{
	struct err later;
	int rc = fetch_place(s, &places->items[0], document, err);

	if (rc != 0 && err->kind == ERR_MISSING && places->count > 1) {
		rc = fetch_place(s, &places->items[1], document, &later);
		if (rc != 0 && later.kind != ERR_MISSING)
			*err = later;
	}
	if (rc != 0 && err->kind == ERR_MISSING)
		rc = explain_missing(s, &places->items[0], err);
	return rc;
}

int storage_fetch(struct http *http, const struct set_environment *environment,
	const struct set_storage *settings, const struct job *job, struct document *document,
	struct err *err)
{
	const struct source s = source_of(http, environment, settings);
	struct storage_places places;
	int rc;

	*document = (struct document){.fd = -1};
	rc = storage_places_find(
		&places, settings, environment->supabase_url, job->source, job->path, err);
	if (rc == 0)
		rc = fetch_places(&s, &places, document, err);
	storage_places_fini(&places);
	return rc;
}

int storage_put(struct http *http, const struct set_environment *environment,
	const struct set_storage *settings, const char *source, const char *object_path,
	const char *file, struct err *err)
{
	const struct source s = source_of(http, environment, settings);
	struct storage_places places;
	int rc = storage_places_find(
		&places, settings, environment->supabase_url, source, object_path, err);

	if (rc == 0)
		rc = s.directory != NULL
			     ? storage_directory_put(s.directory, &places.items[0], file, err)
			     : supabase_put(&s, &places.items[0], file, err);
	storage_places_fini(&places);
	return rc;
}

int storage_check(struct http *http, const struct set_environment *environment,
	const struct set_storage *settings, const char *source, struct err *err)
{
	const struct source s = source_of(http, environment, settings);
	const char *bucket = storage_bucket(settings, source);

	if (bucket == NULL)
		return err_set(err, ERR_CONFIG, "no-bucket",
			"storage.buckets names no bucket for document_source \"%s\"", source);
	return s.directory != NULL ? storage_directory_check(s.directory, bucket, err)
				   : supabase_check(&s, bucket, err);
}
