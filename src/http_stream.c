#include "http.h"
#include "http_easy.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct http_stream {
	CURL *easy;
	char *where; /* "host:port" or the socket's path, for error texts */
	curl_socket_t fd;
	char fault_text[CURL_ERROR_SIZE];
};

/* A path has no port; an IPv6 address stands in brackets in a URL. */
static char *make_url(const char *host, uint16_t port, bool tls, const char *unix_path)
{
	const bool v6 = unix_path == NULL && strchr(host, ':') != NULL && host[0] != '[';

	if (unix_path != NULL)
		return mem_strdup(tls ? "https://localhost/" : "http://localhost/");
	return mem_printf("%s://%s%s%s:%u/", tls ? "https" : "http", v6 ? "[" : "", host,
		v6 ? "]" : "", (unsigned)port);
}

static int set_options(struct http_stream *s, const char *url, const char *unix_path)
{
	int bad = 0;

	bad |= (int)curl_easy_setopt(s->easy, CURLOPT_URL, url);
	bad |= (int)curl_easy_setopt(s->easy, CURLOPT_CONNECT_ONLY, 1L);
	bad |= (int)curl_easy_setopt(s->easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
	/* http_proxy is for the web, not for this. */
	bad |= (int)curl_easy_setopt(s->easy, CURLOPT_PROXY, "");
	if (unix_path != NULL)
		bad |= (int)curl_easy_setopt(s->easy, CURLOPT_UNIX_SOCKET_PATH, unix_path);
	return bad;
}

static int connect_now(struct http_stream *s, const char *url, const char *unix_path,
	int64_t connect_timeout_ms, struct err *err)
{
	CURLcode code;

	s->easy = http_easy(s->fault_text, connect_timeout_ms, err);
	if (s->easy == NULL)
		return -1;
	if (set_options(s, url, unix_path) != 0)
		return err_set(err, ERR_CONFIG, "url", "%s: not a usable address", s->where);
	code = curl_easy_perform(s->easy);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &s->fd);
	if (code == CURLE_OK && s->fd == CURL_SOCKET_BAD)
		code = CURLE_COULDNT_CONNECT;
	return code == CURLE_OK ? 0 : http_fault(code, s->where, s->fault_text, err);
}

int http_stream_open(struct http_stream **out, const char *host, uint16_t port, bool tls,
	const char *unix_path, int64_t connect_timeout_ms, struct err *err)
{
	struct http_stream *s;
	char *url;
	int rc;

	*out = NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, ERR_SYSTEM, "curl", "libcurl could not be set up");
	s = mem_calloc(1, sizeof *s);
	s->fd = CURL_SOCKET_BAD;
	s->where = unix_path != NULL ? mem_strdup(unix_path)
				     : mem_printf("%s:%u", host, (unsigned)port);
	url = make_url(host, port, tls, unix_path);
	rc = connect_now(s, url, unix_path, connect_timeout_ms, err);
	free(url);
	if (rc != 0)
		http_stream_close(s);
	else
		*out = s;
	return rc;
}

int http_stream_fd(const struct http_stream *s)
{
	return s->fd;
}

long http_stream_send(struct http_stream *s, const void *data, size_t len, struct err *err)
{
	size_t moved = 0;
	const CURLcode code = curl_easy_send(s->easy, data, len, &moved);

	if (code == CURLE_AGAIN)
		return 0;
	return code == CURLE_OK ? (long)moved : http_fault(code, s->where, s->fault_text, err);
}

long http_stream_recv(struct http_stream *s, void *data, size_t len, struct err *err)
{
	size_t moved = 0;
	const CURLcode code = curl_easy_recv(s->easy, data, len, &moved);

	if (code == CURLE_AGAIN)
		return 0;
	if (code == CURLE_OK && moved == 0)
		return err_set(err, ERR_TRANSIENT, "cut", "%s: closed by the other side", s->where);
	return code == CURLE_OK ? (long)moved : http_fault(code, s->where, s->fault_text, err);
}

void http_stream_close(struct http_stream *s)
{
	if (s == NULL)
		return;
	curl_easy_cleanup(s->easy);
	free(s->where);
	free(s);
	curl_global_cleanup();
}
