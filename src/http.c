#include "http.h"

#include "clock.h"
#include "http_body.h"
#include "http_easy.h"
#include "mem.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	EXPLANATION_MAX_BYTES = 64 * 1024, /* of an answer that is not 2xx */
	HEADERS_MAX_BYTES = 256 * 1024,
	WATCH_MAX = 16,
	WAIT_MAX = 128, /* descriptors of one wait, watched ones included */
	KEPT_CONNECTIONS = 8,
	RUN_SLICE_MS = 1000
};

struct http {
	CURLM *multi;
	struct pollfd watched[WATCH_MAX];
	size_t watched_count;
	int (*check)(void *arg, struct err *err);
	void *check_arg;
	struct http_exchange *exchanges; /* all of them, until http_free() */
};

struct http_exchange {
	struct http *http; /* borrowed */
	struct http_exchange *next;
	CURL *easy;
	CURLU *url;
	struct curl_slist *headers;
	char *host; /* for error texts */
	struct http_body sent;
	struct buf body;
	size_t max_response_bytes;
	size_t received_bytes;
	size_t header_bytes;
	int (*sink)(void *arg, const void *data, size_t len, struct err *err);
	void *sink_arg;
	void *owner;
	bool done;
	bool taken;           /* given out by http_finished() */
	bool enough;          /* an explanation longer than we care for: cut off by us, no fault */
	struct err callback;  /* what a callback of ours ended the exchange for */
	struct err transport; /* kind ERR_NONE: an answer arrived */
	int64_t started_ms;
	int64_t ended_ms;
	char fault_text[CURL_ERROR_SIZE];
};

/* ---- what libcurl calls -----------------------------------------------------------------------
 */

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
	struct http_exchange *x = arg;

	return http_body_read(&x->sent, out, size * count);
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_exchange *x = arg;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	http_body_seek(&x->sent, offset);
	return CURL_SEEKFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct http_exchange *x = arg;

	(void)line;
	x->header_bytes += size * count;
	if (x->header_bytes <= HEADERS_MAX_BYTES)
		return size * count;
	err_set(&x->callback, ERR_TRANSIENT, "cut", "%s: endless headers", x->host);
	return CURL_WRITEFUNC_ERROR;
}

static int take_explanation(struct http_exchange *x, const char *data, size_t len)
{
	const size_t room = x->body.max_bytes - x->body.len;

	x->enough = len > room;
	return buf_add(&x->body, data, x->enough ? room : len) != 0 || x->enough ? -1 : 0;
}

static int take_content(struct http_exchange *x, const char *data, size_t len)
{
	if (len > x->max_response_bytes - x->received_bytes)
		return err_set(&x->callback, ERR_DOCUMENT, "too-large",
			"%s: the answer is larger than %zu bytes", x->host, x->max_response_bytes);
	x->received_bytes += len;
	if (x->sink != NULL)
		return x->sink(x->sink_arg, data, len, &x->callback);
	return buf_add(&x->body, data, len);
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct http_exchange *x = arg;
	const size_t len = size * count;
	const bool content = http_status(x) / 100 == 2;

	if ((content ? take_content(x, data, len) : take_explanation(x, data, len)) != 0)
		return CURL_WRITEFUNC_ERROR;
	return len;
}

/* ---- starting ---------------------------------------------------------------------------------
 */

static bool is_loopback(const char *host)
{
	return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
	       strcmp(host, "[::1]") == 0;
}

static bool is_https(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0;
}

/* Messages name the host only: paths and queries may hold tokens. */
static int take_url(struct http_exchange *x, const char *url, struct err *err)
{
	char *host = NULL;
	CURLUcode rc;

	x->url = curl_url();
	if (x->url == NULL)
		return err_set(err, ERR_SYSTEM, "memory", "out of memory");
	rc = curl_url_set(x->url, CURLUPART_URL, url, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);
	if (rc == CURLUE_OK)
		rc = curl_url_get(x->url, CURLUPART_HOST, &host, 0);
	if (rc != CURLUE_OK)
		return err_set(
			err, ERR_CONFIG, "url", "not a usable address: %s", curl_url_strerror(rc));
	x->host = mem_strdup(host);
	curl_free(host);
	if (!is_https(url) && strncasecmp(url, "http://", 7) != 0)
		return err_set(
			err, ERR_CONFIG, "url", "%s: only http and https are spoken", x->host);
	return 0;
}

static int add_header(struct http_exchange *x, const char *header, struct err *err)
{
	struct curl_slist *longer;

	if (strpbrk(header, "\r\n") != NULL)
		return err_set(err, ERR_CONFIG, "header",
			"a line break inside the header %.*s; is there one in a key?",
			(int)strcspn(header, ":\r\n"), header);
	longer = curl_slist_append(x->headers, header);
	if (longer == NULL)
		return err_set(err, ERR_SYSTEM, "memory", "out of memory");
	x->headers = longer;
	return 0;
}

/* "Expect:" empty: else bodies over 1 MB wait for a 100 that many servers never send. */
static int take_headers(struct http_exchange *x, const char *const *headers, struct err *err)
{
	if (add_header(x, "Expect:", err) != 0)
		return -1;
	for (; headers != NULL && *headers != NULL; headers++)
		if (add_header(x, *headers, err) != 0)
			return -1;
	return 0;
}

static int set_method(struct http_exchange *x, const char *method)
{
	const curl_off_t bytes = http_body_bytes(&x->sent);
	int bad = 0;

	if (strcmp(method, "POST") == 0) {
		bad |= (int)curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
		bad |= (int)curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, bytes);
	} else if (strcmp(method, "PUT") == 0) {
		bad |= (int)curl_easy_setopt(x->easy, CURLOPT_UPLOAD, 1L);
		bad |= (int)curl_easy_setopt(x->easy, CURLOPT_INFILESIZE_LARGE, bytes);
	} else if (strcmp(method, "GET") != 0) {
		bad = 1;
	}
	return bad;
}

static int set_transport(struct http_exchange *x, const struct http_request *request)
{
	int bad = 0;

	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_CURLU, x->url);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_PATH_AS_IS, 1L);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_USERAGENT, "indexocr/" PACKAGE_VERSION);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
	if (request->silence_ms > 0) {
		bad |= (int)curl_easy_setopt(x->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		bad |= (int)curl_easy_setopt(
			x->easy, CURLOPT_LOW_SPEED_TIME, (long)(request->silence_ms + 999) / 1000);
	}
	/* Over TLS it is known as soon as connected whether others fit in; over plain HTTP only
	 * when the first answer comes, which may be minutes. */
	if (is_https(request->url))
		bad |= (int)curl_easy_setopt(x->easy, CURLOPT_PIPEWAIT, 1L);
	/* A build without HTTP/2 refuses this and is fine all the same. */
	(void)curl_easy_setopt(x->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	if (is_loopback(x->host))
		bad |= (int)curl_easy_setopt(x->easy, CURLOPT_PROXY, "");
	return bad;
}

static int set_callbacks(struct http_exchange *x)
{
	int bad = 0;

	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_READFUNCTION, on_read);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_READDATA, x);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_SEEKFUNCTION, on_seek);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_SEEKDATA, x);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_write);
	bad |= (int)curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
	return bad;
}

static struct http_exchange *exchange_new(struct http *h, const struct http_request *request)
{
	struct http_exchange *x = mem_calloc(1, sizeof *x);
	const size_t max = request->max_response_bytes;

	x->http = h;
	x->next = h->exchanges;
	h->exchanges = x;
	x->sink = request->sink;
	x->sink_arg = request->sink_arg;
	x->owner = request->owner;
	x->max_response_bytes = max;
	x->started_ms = clock_boot_ms();
	http_body_init(&x->sent, request->parts, request->part_count);
	buf_init(&x->body, max > EXPLANATION_MAX_BYTES ? max : EXPLANATION_MAX_BYTES);
	return x;
}

int http_start(struct http *h, const struct http_request *request, struct http_exchange **out,
	struct err *err)
{
	struct http_exchange *x = exchange_new(h, request);

	*out = NULL;
	if (take_url(x, request->url, err) != 0 || take_headers(x, request->headers, err) != 0)
		goto fail;
	x->easy = http_easy(x->fault_text, request->connect_timeout_ms, err);
	if (x->easy == NULL)
		goto fail;
	if (set_method(x, request->method) != 0 || set_transport(x, request) != 0 ||
		set_callbacks(x) != 0 || curl_multi_add_handle(h->multi, x->easy) != CURLM_OK) {
		err_set(err, ERR_SYSTEM, "curl", "%s: the request could not be set up", x->host);
		goto fail;
	}
	*out = x;
	return 0;
fail:
	http_free(x);
	return -1;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

static void finish(struct http_exchange *x, CURLcode code)
{
	x->done = true;
	x->ended_ms = clock_boot_ms();
	if (code == CURLE_OK || x->enough)
		return;
	if (x->callback.kind != ERR_NONE)
		x->transport = x->callback;
	else
		http_fault(code, x->host, x->fault_text, &x->transport);
}

static void move_along(struct http *h)
{
	int running;
	int left;
	CURLMsg *msg;

	(void)curl_multi_perform(h->multi, &running);
	while ((msg = curl_multi_info_read(h->multi, &left)) != NULL) {
		struct http_exchange *x = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		finish(x, msg->data.result);
	}
}

static struct http_exchange *next_finished(struct http *h)
{
	for (struct http_exchange *x = h->exchanges; x != NULL; x = x->next)
		if (x->done && !x->taken)
			return x;
	return NULL;
}

_Static_assert(
	CURL_WAIT_POLLIN == POLLIN && CURL_WAIT_POLLPRI == POLLPRI && CURL_WAIT_POLLOUT == POLLOUT,
	"events are handed to libcurl as they are");

static size_t add_fds(struct curl_waitfd *all, size_t used, const struct pollfd *fds, size_t count)
{
	for (size_t i = 0; i < count && used < WAIT_MAX; i++)
		if (fds[i].fd >= 0)
			all[used++] =
				(struct curl_waitfd){.fd = fds[i].fd, .events = fds[i].events};
	return used;
}

/* libcurl tells neither hang-ups nor closed descriptors in revents, so poll() is asked once more.
 */
static void sleep_on(struct http *h, struct pollfd *extra, size_t extra_count, int timeout_ms)
{
	struct curl_waitfd all[WAIT_MAX];
	size_t used = add_fds(all, 0, h->watched, h->watched_count);
	int ready;

	used = add_fds(all, used, extra, extra_count);
	(void)curl_multi_poll(h->multi, all, (unsigned)used, timeout_ms, &ready);
	if (extra_count > 0)
		(void)poll(extra, (nfds_t)extra_count, 0);
}

int http_wait(
	struct http *h, struct pollfd *extra, size_t extra_count, int timeout_ms, struct err *err)
{
	move_along(h);
	sleep_on(h, extra, extra_count, next_finished(h) != NULL ? 0 : timeout_ms);
	move_along(h);
	return h->check(h->check_arg, err);
}

int http_sleep(struct http *h, int64_t ms, struct err *err)
{
	const int64_t until_ms = clock_boot_ms() + ms;
	int left_ms = clock_left_ms(until_ms);

	do {
		move_along(h);
		sleep_on(h, NULL, 0, left_ms < RUN_SLICE_MS ? left_ms : RUN_SLICE_MS);
		if (h->check(h->check_arg, err) != 0)
			return -1;
		left_ms = clock_left_ms(until_ms);
	} while (left_ms > 0);
	move_along(h);
	return 0;
}

int http_run(struct http *h, const struct http_request *request, struct http_exchange **out,
	struct err *err)
{
	struct http_exchange *x;

	*out = NULL;
	if (http_start(h, request, &x, err) != 0)
		return -1;
	x->taken = true;
	for (;;) {
		move_along(h);
		if (h->check(h->check_arg, err) != 0)
			goto fail;
		if (x->done)
			break;
		sleep_on(h, NULL, 0, RUN_SLICE_MS);
	}
	if (http_result(x, err) != 0)
		goto fail;
	*out = x;
	return 0;
fail:
	http_free(x);
	return -1;
}

struct http_exchange *http_finished(struct http *h)
{
	struct http_exchange *x = next_finished(h);

	if (x != NULL)
		x->taken = true;
	return x;
}

/* ---- the answer -------------------------------------------------------------------------------
 */

int http_result(const struct http_exchange *x, struct err *err)
{
	if (x->transport.kind == ERR_NONE)
		return 0;
	*err = x->transport;
	return -1;
}

long http_status(const struct http_exchange *x)
{
	long status = 0;

	(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

const struct buf *http_body(const struct http_exchange *x)
{
	return &x->body;
}

const char *http_header(const struct http_exchange *x, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(x->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return NULL;
	return header->value;
}

void *http_owner(const struct http_exchange *x)
{
	return x->owner;
}

int64_t http_elapsed_ms(const struct http_exchange *x)
{
	return (x->done ? x->ended_ms : clock_boot_ms()) - x->started_ms;
}

/* ---- life and death ---------------------------------------------------------------------------
 */

void http_free(struct http_exchange *x)
{
	struct http_exchange **link;

	if (x == NULL)
		return;
	for (link = &x->http->exchanges; *link != x; link = &(*link)->next)
		;
	*link = x->next;
	if (x->easy != NULL) {
		(void)curl_multi_remove_handle(x->http->multi, x->easy);
		curl_easy_cleanup(x->easy);
	}
	curl_url_cleanup(x->url);
	curl_slist_free_all(x->headers);
	http_body_fini(&x->sent);
	buf_fini(&x->body);
	free(x->host);
	free(x);
}

static int no_check(void *arg, struct err *err)
{
	(void)arg;
	(void)err;
	return 0;
}

int http_new(struct http **out, struct err *err)
{
	struct http *h = mem_calloc(1, sizeof *h);

	*out = NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(h);
		return err_set(err, ERR_SYSTEM, "curl", "libcurl could not be set up");
	}
	h->multi = curl_multi_init();
	if (h->multi == NULL) {
		http_free_all(h);
		return err_set(err, ERR_SYSTEM, "curl", "libcurl could not be set up");
	}
	h->check = no_check;
	(void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
	*out = h;
	return 0;
}

void http_free_all(struct http *h)
{
	if (h == NULL)
		return;
	while (h->exchanges != NULL)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): http_free() takes it off the list */
		http_free(h->exchanges);
	(void)curl_multi_cleanup(h->multi);
	curl_global_cleanup();
	free(h);
}

void http_watch(struct http *h, const struct pollfd *fds, size_t count,
	int (*check)(void *arg, struct err *err), void *arg)
{
	h->watched_count = count < WATCH_MAX ? count : WATCH_MAX;
	if (count > 0)
		memcpy(h->watched, fds, h->watched_count * sizeof *fds);
	h->check = check != NULL ? check : no_check;
	h->check_arg = arg;
}
