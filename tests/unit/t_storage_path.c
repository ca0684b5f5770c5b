/*
 * Specification of storage_path.h, storage_fault.h, and of storage in a directory.
 */
#include "document.h"
#include "fdio.h"
#include "storage.h"
#include "storage_fault.h"
#include "storage_path.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define PROJECT   "https://abcd.supabase.co"
#define OBJECT    PROJECT "/storage/v1/object/"
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static char index_source[] = "index", index_bucket[] = "index";
static char acte_source[] = "acte", acte_bucket[] = "actes";
static char tmpdir[] = "/tmp";
static struct set_bucket buckets[] = {{index_source, index_bucket}, {acte_source, acte_bucket}};
static const struct set_storage settings = {.buckets = buckets,
	.bucket_count = 2,
	.max_bytes = 100000,
	.memory_document_bytes = 2000,
	.timeout_ms = 1000,
	.tmpdir = tmpdir};

/* ---- paths ------------------------------------------------------------------------------------ */

struct reading {
	const char *path;
	const char *first;  /* bucket|path */
	const char *second; /* NULL = only one */
};

static const struct reading readings[] = {
	{"a.pdf", "actes|a.pdf", NULL},
	{"2021/lot 12/a.pdf", "actes|2021/lot 12/a.pdf", NULL},
	{"index/a.pdf", "index|a.pdf", "actes|index/a.pdf"},
	{"actes/a.pdf", "actes|a.pdf", "actes|actes/a.pdf"},
	{"actes", "actes|actes", NULL},
	{"other/a.pdf", "actes|other/a.pdf", NULL},
	{"Actes/a.pdf", "actes|Actes/a.pdf", NULL},
	{"a%2Fb%20c?.pdf#1", "actes|a%2Fb%20c?.pdf#1", NULL},
	{"...", "actes|...", NULL},
	{"..a/.b", "actes|..a/.b", NULL},
	{"été/№1.pdf", "actes|été/№1.pdf", NULL},
	{OBJECT "public/other/a.pdf", "other|a.pdf", NULL},
	{OBJECT "authenticated/index/x/a.pdf", "index|x/a.pdf", NULL},
	{OBJECT "sign/index/a.pdf?token=eyJ.x", "index|a.pdf", NULL},
	{OBJECT "index/a.pdf", "index|a.pdf", NULL},
	{OBJECT "index/a%20b%25%C3%A9.pdf#p", "index|a b%é.pdf", NULL},
	{OBJECT "index/a%2Fb.pdf", "index|a/b.pdf", NULL},
	{OBJECT "index/a%252e%252e.pdf", "index|a%2e%2e.pdf", NULL},
	{OBJECT "index/a+b.pdf", "index|a+b.pdf", NULL},
	{OBJECT "public/public/a.pdf", "public|a.pdf", NULL},
	{"HTTPS://ABCD.supabase.CO:443/storage/v1/object/index/a.pdf", "index|a.pdf", NULL},
	{"https://abcd.storage.supabase.co/storage/v1/object/sign/index/a.pdf?token=t",
		"index|a.pdf", NULL},
};

static const char *shown(const struct storage_places *places, size_t i)
{
	static char text[2048];

	if (i >= places->count)
		return NULL;
	(void)snprintf(text, sizeof text, "%s|%s", places->items[i].bucket, places->items[i].path);
	return text;
}

static void every_form_of_supabase_path_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(readings); i++) {
		const struct reading *r = &readings[i];
		struct storage_places places;
		struct err err;

		if (storage_places_find(&places, &settings, PROJECT, "acte", r->path, &err) != 0)
			fail_msg("%s: %s", r->path, err.text);
		assert_string_equal(shown(&places, 0), r->first);
		if (r->second == NULL)
			assert_int_equal(places.count, 1);
		else
			assert_string_equal(shown(&places, 1), r->second);
		storage_places_fini(&places);
	}
}

static const char *const hostile[] = {
	"..",
	"../a.pdf",
	"a/../b.pdf",
	"a/..",
	"./a.pdf",
	"index/../../etc/passwd",
	"/a.pdf",
	"//evil.example/a.pdf",
	"a//b.pdf",
	"a.pdf/",
	"/",
	"a\\b.pdf",
	"..\\a.pdf",
	"a\nb.pdf",
	"a\x01.pdf",
	"a\x7f.pdf",
	"a\xff.pdf",
	"\xc0\xae\xc0\xae/a.pdf",
	"ftp://abcd.supabase.co/storage/v1/object/index/a.pdf",
	"file:///etc/passwd",
	"https://",
	"https:///storage/v1/object/index/a.pdf",
	"https://evil.example/storage/v1/object/index/a.pdf",
	"https://abcd.supabase.co.evil.example/storage/v1/object/index/a.pdf",
	"https://evil-abcd.supabase.co/storage/v1/object/index/a.pdf",
	"https://abcd.storage.supabase.co.evil.example/storage/v1/object/index/a.pdf",
	"https://efgh.storage.supabase.co/storage/v1/object/index/a.pdf",
	"https://abcd.supabase.co:8443/storage/v1/object/index/a.pdf",
	"https://abcd.supabase.co:/storage/v1/object/index/a.pdf",
	"https://abcd.supabase.co:443x/storage/v1/object/index/a.pdf",
	"https://abcd.supabase.co:99999999999999999999/storage/v1/object/index/a.pdf",
	"http://abcd.supabase.co/storage/v1/object/index/a.pdf",
	"https://user:secret@abcd.supabase.co/storage/v1/object/index/a.pdf",
	"https://abcd.supabase.co@evil.example/storage/v1/object/index/a.pdf",
	"https://evil.example\\@abcd.supabase.co/storage/v1/object/index/a.pdf",
	"https://abcd.supabase.co",
	"https://abcd.supabase.co?/storage/v1/object/index/a.pdf",
	PROJECT "/rest/v1/extraction_queue",
	PROJECT "/storage/v1/bucket/index",
	PROJECT "/x/storage/v1/object/index/a.pdf",
	PROJECT "/storage/v1/object/../bucket/index",
	OBJECT,
	OBJECT "index",
	OBJECT "index/",
	OBJECT "public/index",
	OBJECT "sign//a.pdf",
	OBJECT "index/%2e%2e/a.pdf",
	OBJECT "index/..%2Fa.pdf",
	OBJECT "%2e%2e/a.pdf",
	OBJECT "index/a%00.pdf",
	OBJECT "index/a%0A.pdf",
	OBJECT "index/a%5Cb.pdf",
	OBJECT "index/a%FF.pdf",
	OBJECT "index/a%.pdf",
	OBJECT "index/a%2",
	OBJECT "index/a%g0.pdf",
	OBJECT "index%2F/a.pdf",
};

static void hostile_paths_are_refused_without_being_repeated(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(hostile); i++) {
		struct storage_places places;
		struct err err;

		if (storage_places_find(&places, &settings, PROJECT, "index", hostile[i], &err) ==
			0)
			fail_msg("%s was read as %s", hostile[i], shown(&places, 0));
		assert_int_equal(places.count, 0);
		assert_string_equal(err.code, "bad-path");
		assert_int_equal(err.kind, ERR_DOCUMENT);
		assert_null(strstr(err.text, "secret"));
	}
}

static void a_row_without_a_path_says_so(void **state)
{
	struct storage_places places;
	struct err err;

	(void)state;
	assert_int_equal(storage_places_find(&places, &settings, PROJECT, "index", NULL, &err), -1);
	assert_string_equal(err.code, "no-path");
	assert_int_equal(storage_places_find(&places, &settings, PROJECT, "index", "", &err), -1);
	assert_string_equal(err.code, "no-path");
}

static void the_length_of_a_path_is_bounded(void **state)
{
	char path[STORAGE_PATH_MAX_BYTES + 2];
	struct storage_places places;
	struct err err;

	(void)state;
	memset(path, 'a', sizeof path);
	path[sizeof path - 1] = '\0';
	assert_int_equal(storage_places_find(&places, &settings, PROJECT, "index", path, &err), -1);
	path[sizeof path - 2] = '\0';
	assert_int_equal(storage_places_find(&places, &settings, PROJECT, "index", path, &err), 0);
	storage_places_fini(&places);
}

static void a_source_without_a_bucket_is_a_fault_of_configuration(void **state)
{
	struct storage_places places;
	struct err err;

	(void)state;
	assert_int_equal(storage_places_find(&places, &settings, PROJECT, "plan", "a", &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_int_equal(
		storage_places_find(&places, &settings, PROJECT, "plan", "index/a", &err), 0);
	assert_int_equal(places.count, 1);
	storage_places_fini(&places);
}

static void a_project_may_have_a_port_a_base_path_and_a_slash_at_its_end(void **state)
{
	static const char *const projects[] = {
		"http://[::1]:54321/supa/", "http://127.0.0.1:80/", "http://127.0.0.1"};
	static const char *const urls[] = {"http://[::1]:54321/supa/storage/v1/object/index/a.pdf",
		"http://127.0.0.1/storage/v1/object/index/a.pdf",
		"http://127.0.0.1:80/storage/v1/object/index/a.pdf"};
	struct storage_places places;
	struct err err;

	(void)state;
	for (size_t i = 0; i < LENGTH(urls); i++) {
		if (storage_places_find(&places, &settings, projects[i], "index", urls[i], &err) !=
			0)
			fail_msg("%s: %s", urls[i], err.text);
		assert_string_equal(shown(&places, 0), "index|a.pdf");
		storage_places_fini(&places);
	}
	assert_int_equal(storage_places_find(&places, &settings, NULL, "index", urls[0], &err), -1);
	assert_string_equal(err.code, "bad-path");
}

static void addresses_are_encoded_segment_by_segment(void **state)
{
	char *url = storage_url("http://h/base//", "object/authenticated", "a b", "x y/é?#%2F.pdf");

	(void)state;
	assert_string_equal(url,
		"http://h/base/storage/v1/object/authenticated/a%20b/x%20y/%C3%A9%3F%23%252F.pdf");
	free(url);
	url = storage_url("http://h", "bucket", "index", NULL);
	assert_string_equal(url, "http://h/storage/v1/bucket/index");
	free(url);
}

/* ---- what answers mean ------------------------------------------------------------------------ */

struct fault_case {
	long status;
	const char *body;
	enum err_kind kind;
	const char *code;
};

static const struct fault_case fault_cases[] = {
	{400,
		"{\"statusCode\":\"404\",\"error\":\"not_found\",\"message\":\"Object not "
		"found\",\"code\":\"NoSuchKey\"}",
		ERR_MISSING, "missing"},
	{400, "{\"statusCode\":\"404\",\"error\":\"not_found\",\"message\":\"Object not found\"}",
		ERR_MISSING, "missing"},
	{400, "{\"statusCode\":404,\"message\":\"Object not found\"}", ERR_MISSING, "missing"},
	{404,
		"{\"statusCode\":\"404\",\"error\":\"Not found\",\"message\":\"The resource was "
		"not found\"}",
		ERR_MISSING, "missing"},
	{400,
		"{\"statusCode\":\"404\",\"error\":\"Bucket not found\",\"message\":\"Bucket not "
		"found\",\"code\":\"NoSuchBucket\"}",
		ERR_CONFIG, "no-bucket"},
	{400,
		"{\"statusCode\":\"404\",\"error\":\"Bucket not found\",\"message\":\"Bucket not "
		"found\"}",
		ERR_CONFIG, "no-bucket"},
	{400,
		"{\"statusCode\":\"403\",\"error\":\"Unauthorized\",\"message\":\"Invalid Compact "
		"JWS\"}",
		ERR_CONFIG, "key-refused"},
	{400,
		"{\"statusCode\":\"403\",\"error\":\"x\",\"message\":\"y\",\"code\":"
		"\"AccessDenied\"}",
		ERR_CONFIG, "key-refused"},
	{400, "{\"statusCode\":\"400\",\"error\":\"x\",\"message\":\"y\",\"code\":\"InvalidJWT\"}",
		ERR_CONFIG, "key-refused"},
	{400,
		"{\"statusCode\":\"400\",\"error\":\"Error\",\"message\":\"headers must have "
		"required property 'authorization'\"}",
		ERR_CONFIG, "key-refused"},
	{401, "{\"message\":\"Invalid API key\"}", ERR_CONFIG, "key-refused"},
	{401, "", ERR_CONFIG, "key-refused"},
	{403, "<html>forbidden</html>", ERR_CONFIG, "key-refused"},
	{404, "{\"message\":\"no Route matched with those values\"}", ERR_CONFIG, "not-storage"},
	{404, "<html>404</html>", ERR_CONFIG, "not-storage"},
	{302, "", ERR_CONFIG, "redirect"},
	{400, "{\"statusCode\":\"503\",\"message\":\"read only\"}", ERR_TRANSIENT, "http-503"},
	{429, "{\"error\":\"too_many_connections\",\"message\":\"x\",\"code\":\"SlowDown\"}",
		ERR_TRANSIENT, "busy"},
	{544, "{\"statusCode\":\"544\",\"error\":\"x\",\"code\":\"DatabaseTimeout\"}",
		ERR_TRANSIENT, "busy"},
	{500, "{\"statusCode\":\"500\",\"error\":\"internal\",\"message\":\"x\"}", ERR_TRANSIENT,
		"http-500"},
	{502, "", ERR_TRANSIENT, "http-502"},
	{522, "<!DOCTYPE html><title>522</title>", ERR_TRANSIENT, "http-522"},
	{400, "{\"statusCode\":\"400\",\"error\":\"x\",\"message\":\"y\",\"code\":\"InvalidKey\"}",
		ERR_DOCUMENT, "bad-path"},
	{400, "[1,2]", ERR_TRANSIENT, "http-400"},
	{400, "{\"statusCode\":{},\"code\":[],\"message\":3}", ERR_TRANSIENT, "http-400"},
};

static void answers_mean_what_their_bodies_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(fault_cases); i++) {
		const struct fault_case *c = &fault_cases[i];
		struct err err;

		assert_int_equal(
			storage_fault(c->status, c->body, strlen(c->body), NULL, NULL, &err), -1);
		if (err.kind != c->kind || strcmp(err.code, c->code) != 0)
			fail_msg("%ld %s: %s %s", c->status, c->body, err_kind_name(err.kind),
				err.code);
		assert_int_equal(err.retry_after_ms, 0);
	}
}

static void retry_after_is_taken_and_bounded(void **state)
{
	static const struct {
		const char *header;
		int64_t ms;
	} cases[] = {{"7", 7000}, {"0", 0}, {"-3", 0}, {"soon", 0}, {"99999999999", 3600000}};
	struct err err;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		storage_fault(503, "", 0, cases[i].header, NULL, &err);
		assert_int_equal(err.retry_after_ms, cases[i].ms);
	}
}

/* With each padding the cut falls on another byte of a character, or of the key. */
static void a_servers_message_is_cut_between_characters_and_without_the_key(void **state)
{
	static const char padding[] = "....";

	(void)state;
	for (int i = 0; i < 4; i++) {
		char body[600] = "";
		struct err err;

		(void)snprintf(body, sizeof body, "{\"message\":\"%.*s", i, padding);
		while (strlen(body) < 155)
			(void)snprintf(body + strlen(body), sizeof body - strlen(body), "€");
		(void)snprintf(
			body + strlen(body), sizeof body - strlen(body), "geheim€€€€€€€€\"}");
		storage_fault(503, body, strlen(body), NULL, "geheim", &err);
		assert_null(strstr(err.text, "geh"));
		assert_null(strchr(err.text, '?'));
		assert_true(utf8_valid(err.text, strlen(err.text)));
		assert_true(strlen(err.text) > 150);
	}
}

/* ---- a directory ------------------------------------------------------------------------------ */

struct world {
	char root[64];
	char storage[96];
	struct set_environment environment;
};

static char *in_root(const struct world *w, const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", w->root, name);
	return path;
}

static bool has_openat2(void)
{
	return syscall(SYS_openat2, -1, "", NULL, 0) != -1 || errno != ENOSYS;
}

static void write_file(const struct world *w, const char *name, const char *head, size_t bytes)
{
	FILE *f = fopen(in_root(w, name), "w");
	size_t len = strlen(head);

	assert_non_null(f);
	assert_int_equal(fwrite(head, 1, len, f), len);
	for (; len < bytes; len++)
		(void)fputc('x', f);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	static char name[] = "test";

	(void)snprintf(w->root, sizeof w->root, "/tmp/t_storage.XXXXXX");
	assert_non_null(mkdtemp(w->root));
	assert_int_equal(mkdir(in_root(w, "store"), 0700), 0);
	assert_int_equal(mkdir(in_root(w, "store/index"), 0700), 0);
	assert_int_equal(mkdir(in_root(w, "store/index/sub"), 0700), 0);
	(void)snprintf(w->storage, sizeof w->storage, "directory:%s/store", w->root);
	w->environment = (struct set_environment){.name = name, .storage = w->storage};
	*state = w;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	assert_int_equal(nftw(w->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(w);
	return 0;
}

static int fetch(struct world *w, const char *path, struct document *document, struct err *err)
{
	char *copy = path != NULL ? strdup(path) : NULL;
	struct job job = {.environment = "test", .source = index_source, .path = copy};
	const int rc = storage_fetch(NULL, &w->environment, &settings, &job, document, err);

	free(copy);
	return rc;
}

static void expect_fault(struct world *w, const char *path, enum err_kind kind, const char *code)
{
	struct document document;
	struct err err;

	assert_int_equal(fetch(w, path, &document, &err), -1);
	if (err.kind != kind || strcmp(err.code, code) != 0)
		fail_msg("%s: %s %s: %s", path, err_kind_name(err.kind), err.code, err.text);
	assert_int_equal(document.fd, -1);
}

/* Where there is no openat2 (valgrind), a link on the way is as good as no directory. */
static void expect_no_way_out(struct world *w, const char *path)
{
	struct document document;
	struct err err;

	assert_int_equal(fetch(w, path, &document, &err), -1);
	if (has_openat2())
		assert_string_equal(err.code, "bad-path");
	else
		assert_true(err.kind == ERR_DOCUMENT || err.kind == ERR_MISSING);
}

static void expect_document(struct world *w, const char *path, int64_t bytes)
{
	struct document document;
	struct err err;
	char head[5];

	if (fetch(w, path, &document, &err) != 0)
		fail_msg("%s: %s", path, err.text);
	assert_int_equal(document.bytes, bytes);
	assert_int_equal(lseek(document.fd, 0, SEEK_CUR), 0);
	assert_int_equal(lseek(document.fd, 0, SEEK_END), bytes);
	assert_int_equal(pread(document.fd, head, 5, 0), 5);
	assert_memory_equal(head, "%PDF-", 5);
	assert_int_equal(strlen(document.sha256), 64);
	document_fini(&document);
	assert_int_equal(document.fd, -1);
}

static void documents_come_from_memory_or_disk_alike(void **state)
{
	struct world *w = *state;

	write_file(w, "store/index/small.pdf", "%PDF-1.4\n", 1999);
	write_file(w, "store/index/sub/large.pdf", "%PDF-1.4\n", 99999);
	expect_document(w, "small.pdf", 1999);
	expect_document(w, "index/small.pdf", 1999);
	expect_document(w, "sub/large.pdf", 99999);
}

static void the_hash_is_that_of_the_whole_file(void **state)
{
	struct world *w = *state;
	struct document document;
	struct err err;

	write_file(w, "store/index/hash.pdf", "%PDF-1.4\n", 9);
	assert_int_equal(fetch(w, "hash.pdf", &document, &err), 0);
	assert_string_equal(document.sha256,
		"e5c62df5dab5c87b6a015ef3d43597074d1eec433b15f51aec63b8582d0e4ab4");
	document_fini(&document);
}

static void what_is_no_document_is_refused_by_name(void **state)
{
	struct world *w = *state;
	char late[1100];

	write_file(w, "store/index/empty.pdf", "", 0);
	write_file(w, "store/index/page.pdf", "  <html>sign in</html>", 3000);
	write_file(w, "store/index/big.pdf", "%PDF-1.4\n", 100001);
	memset(late, ' ', sizeof late);
	memcpy(late + 1019, "%PDF-", 6);
	write_file(w, "store/index/late.pdf", late, 2000);
	memcpy(late + 1019, " %PDF-", 7);
	write_file(w, "store/index/too-late.pdf", late, 2000);
	expect_fault(w, "empty.pdf", ERR_DOCUMENT, "empty");
	expect_fault(w, "page.pdf", ERR_DOCUMENT, "not-a-pdf");
	expect_fault(w, "big.pdf", ERR_DOCUMENT, "too-large");
	expect_fault(w, "too-late.pdf", ERR_DOCUMENT, "not-a-pdf");
	expect_fault(w, "none.pdf", ERR_MISSING, "missing");
	expect_fault(w, "empty.pdf/none.pdf", ERR_MISSING, "missing");
}

static void pdf_may_begin_anywhere_in_the_first_1024_bytes(void **state)
{
	struct world *w = *state;
	struct document document;
	struct err err;

	assert_int_equal(fetch(w, "late.pdf", &document, &err), 0);
	document_fini(&document);
}

static void nothing_outside_the_directory_is_reached(void **state)
{
	struct world *w = *state;
	char target[256];

	write_file(w, "outside.pdf", "%PDF-1.4\n", 100);
	(void)snprintf(target, sizeof target, "%s", in_root(w, "outside.pdf"));
	assert_int_equal(symlink(target, in_root(w, "store/index/absolute.pdf")), 0);
	assert_int_equal(symlink("../../outside.pdf", in_root(w, "store/index/relative.pdf")), 0);
	assert_int_equal(symlink("/proc/self/cwd", in_root(w, "store/index/magic")), 0);
	assert_int_equal(symlink("../..", in_root(w, "store/index/up")), 0);
	assert_int_equal(symlink("sub/large.pdf", in_root(w, "store/index/inside.pdf")), 0);
	expect_no_way_out(w, "absolute.pdf");
	expect_no_way_out(w, "relative.pdf");
	expect_no_way_out(w, "magic/x.pdf");
	expect_no_way_out(w, "up/outside.pdf");
	expect_fault(w, "../../outside.pdf", ERR_DOCUMENT, "bad-path");
	if (has_openat2())
		expect_document(w, "inside.pdf", 99999);
}

static void a_named_pipe_or_directory_is_refused_at_once(void **state)
{
	struct world *w = *state;

	assert_int_equal(mkfifo(in_root(w, "store/index/pipe.pdf"), 0600), 0);
	expect_fault(w, "pipe.pdf", ERR_DOCUMENT, "bad-path");
	expect_fault(w, "sub", ERR_DOCUMENT, "bad-path");
}

static void a_missing_bucket_or_directory_is_a_fault_of_configuration(void **state)
{
	struct world *w = *state;
	struct world elsewhere = *w;
	char nowhere[] = "directory:/nonexistent/store";
	struct err err;

	expect_fault(w, "actes/a.pdf", ERR_CONFIG, "no-bucket");
	elsewhere.environment.storage = nowhere;
	expect_fault(&elsewhere, "a.pdf", ERR_CONFIG, "no-bucket");
	assert_int_equal(storage_check(NULL, &w->environment, &settings, "acte", &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_int_equal(storage_check(NULL, &w->environment, &settings, "index", &err), 0);
}

static void a_document_that_was_put_is_fetched_again(void **state)
{
	struct world *w = *state;
	struct err err;

	write_file(w, "mine.pdf", "%PDF-1.4\n", 5000);
	for (int again = 0; again < 2; again++) {
		if (storage_put(NULL, &w->environment, &settings, "index", "new/dir/mine.pdf",
			    in_root(w, "mine.pdf"), &err) != 0)
			fail_msg("%s", err.text);
		expect_document(w, "new/dir/mine.pdf", 5000);
	}
	assert_int_equal(storage_put(NULL, &w->environment, &settings, "index", "up/mine.pdf",
				 in_root(w, "mine.pdf"), &err),
		-1);
	assert_int_equal(access(in_root(w, "../mine.pdf"), F_OK), -1);
	assert_int_equal(storage_put(NULL, &w->environment, &settings, "index", "../mine.pdf",
				 in_root(w, "mine.pdf"), &err),
		-1);
}

/* document_take() on the file of that path; -1 where it cannot be opened. */
static int document_at(const struct set_storage *limits, const char *path,
	struct document *document, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const int rc = fd != -1 ? document_take(NULL, limits, fd, path, document, err)
				: err_errno(err, ERR_DOCUMENT, "cannot open %s", path);

	fd_close(&fd);
	return rc;
}

static void a_local_file_is_opened_with_the_same_checks(void **state)
{
	struct world *w = *state;
	struct document document;
	struct err err;

	assert_int_equal(document_at(&settings, in_root(w, "mine.pdf"), &document, &err), 0);
	assert_int_equal(document.bytes, 5000);
	document_fini(&document);
	assert_int_equal(
		document_at(&settings, in_root(w, "store/index/page.pdf"), &document, &err), -1);
	assert_string_equal(err.code, "not-a-pdf");
	assert_int_equal(
		document_at(&settings, in_root(w, "store/index/pipe.pdf"), &document, &err), -1);
	assert_string_equal(err.code, "not-a-file");
	assert_int_equal(document_at(&settings, in_root(w, "none"), &document, &err), -1);
}

/* How add() fails where a file of this process may have max_bytes. */
static int add_within(struct document_intake *in, rlim_t max_bytes, size_t len, struct err *err)
{
	static const char zeros[4000];
	struct rlimit before;
	struct rlimit small;
	int rc;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = max_bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = document_intake_add(in, zeros, len, err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	return rc;
}

/* In the second case what is in memory already finds no room on disk. */
static void a_document_that_a_limit_leaves_no_room_for_is_too_large_here(void **state)
{
	static const struct {
		size_t before;
		rlim_t max_bytes;
	} cases[] = {{0, 3000}, {1500, 1000}};

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct document_intake in;
		char head[2000] = "%PDF-1.4\n";
		struct err err;

		assert_int_equal(document_intake_begin(&in, &settings, &err), 0);
		assert_int_equal(document_intake_add(&in, head, cases[i].before + 100, &err), 0);
		assert_int_equal(add_within(&in, cases[i].max_bytes, 4000, &err), -1);
		assert_int_equal(err.kind, ERR_DOCUMENT);
		assert_string_equal(err.code, "tmpdir-small");
		assert_non_null(strstr(err.text, tmpdir));
		document_intake_fini(&in);
	}
	(void)signal(SIGXFSZ, SIG_DFL);
}

static void a_tmpdir_that_takes_no_file_is_the_hosts_fault(void **state)
{
	static char nowhere[] = "/nonexistent";
	static const char head[4000] = "%PDF-1.4\n";
	struct set_storage none = settings;
	struct document_intake in;
	struct err err;

	(void)state;
	none.tmpdir = nowhere;
	assert_int_equal(document_intake_begin(&in, &none, &err), 0);
	assert_int_equal(document_intake_add(&in, head, sizeof head, &err), -1);
	assert_int_equal(err.kind, ERR_SYSTEM);
	document_intake_fini(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_supabase_path_is_read),
		cmocka_unit_test(hostile_paths_are_refused_without_being_repeated),
		cmocka_unit_test(a_row_without_a_path_says_so),
		cmocka_unit_test(the_length_of_a_path_is_bounded),
		cmocka_unit_test(a_source_without_a_bucket_is_a_fault_of_configuration),
		cmocka_unit_test(a_project_may_have_a_port_a_base_path_and_a_slash_at_its_end),
		cmocka_unit_test(addresses_are_encoded_segment_by_segment),
		cmocka_unit_test(answers_mean_what_their_bodies_say),
		cmocka_unit_test(retry_after_is_taken_and_bounded),
		cmocka_unit_test(a_servers_message_is_cut_between_characters_and_without_the_key),
		cmocka_unit_test(documents_come_from_memory_or_disk_alike),
		cmocka_unit_test(the_hash_is_that_of_the_whole_file),
		cmocka_unit_test(what_is_no_document_is_refused_by_name),
		cmocka_unit_test(pdf_may_begin_anywhere_in_the_first_1024_bytes),
		cmocka_unit_test(nothing_outside_the_directory_is_reached),
		cmocka_unit_test(a_named_pipe_or_directory_is_refused_at_once),
		cmocka_unit_test(a_missing_bucket_or_directory_is_a_fault_of_configuration),
		cmocka_unit_test(a_document_that_was_put_is_fetched_again),
		cmocka_unit_test(a_document_that_a_limit_leaves_no_room_for_is_too_large_here),
		cmocka_unit_test(a_tmpdir_that_takes_no_file_is_the_hosts_fault),
		cmocka_unit_test(a_local_file_is_opened_with_the_same_checks),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
