#include "http_easy.h"

#include "http.h"
#include "mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* Calls are silent for minutes; a NAT must not forget them. */
enum { KEEPALIVE_S = 45 };

struct fault {
	CURLcode code;
	enum err_kind kind;
	const char *name;
	const char *text;
	bool detail; /* libcurl's own words are worth having and hold no path or query */
};

static const struct fault faults[] = {
	{CURLE_URL_MALFORMAT, ERR_CONFIG, "url", "not a usable address", false},
	{CURLE_OUT_OF_MEMORY, ERR_SYSTEM, "memory", "out of memory", false},
	{CURLE_FAILED_INIT, ERR_SYSTEM, "curl", "libcurl could not be set up", false},
	{CURLE_COULDNT_RESOLVE_PROXY, ERR_TRANSIENT, "connect", "proxy not found", true},
	{CURLE_COULDNT_RESOLVE_HOST, ERR_TRANSIENT, "connect", "host not found", true},
	{CURLE_COULDNT_CONNECT, ERR_TRANSIENT, "connect", "cannot connect", true},
	{CURLE_INTERFACE_FAILED, ERR_TRANSIENT, "connect", "cannot connect", true},
	{CURLE_PROXY, ERR_TRANSIENT, "connect", "the proxy refuses", true},
	{CURLE_OPERATION_TIMEDOUT, ERR_TRANSIENT, "timeout", "no answer in time", false},
	{CURLE_SSL_CONNECT_ERROR, ERR_TRANSIENT, "tls", "no TLS connection", true},
	{CURLE_PEER_FAILED_VERIFICATION, ERR_TRANSIENT, "tls", "certificate refused", true},
	{CURLE_SSL_CACERT_BADFILE, ERR_TRANSIENT, "tls", "no certificate authorities", true},
	{CURLE_SSL_CERTPROBLEM, ERR_TRANSIENT, "tls", "certificate problem", true},
	{CURLE_SSL_CIPHER, ERR_TRANSIENT, "tls", "no common cipher", true},
	{CURLE_GOT_NOTHING, ERR_TRANSIENT, "cut", "closed without an answer", false},
	{CURLE_PARTIAL_FILE, ERR_TRANSIENT, "cut", "closed in the middle of the answer", false},
	{CURLE_RECV_ERROR, ERR_TRANSIENT, "cut", "connection broke while receiving", false},
	{CURLE_SEND_ERROR, ERR_TRANSIENT, "cut", "connection broke while sending", false},
	{CURLE_SEND_FAIL_REWIND, ERR_TRANSIENT, "cut", "connection broke while sending", false},
	{CURLE_HTTP2, ERR_TRANSIENT, "cut", "HTTP/2 connection broke", false},
	{CURLE_HTTP2_STREAM, ERR_TRANSIENT, "cut", "HTTP/2 stream broke", false},
	{CURLE_WEIRD_SERVER_REPLY, ERR_TRANSIENT, "cut", "what answers there is not HTTP", false},
	{CURLE_UNSUPPORTED_PROTOCOL, ERR_TRANSIENT, "cut", "what answers there is not HTTP", false},
};

int http_fault(CURLcode code, const char *where, const char *fault_text, struct err *err)
{
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		const struct fault *f = &faults[i];

		if (f->code != code)
			continue;
		if (f->detail && fault_text[0] != '\0')
			return err_set(
				err, f->kind, f->name, "%s: %s (%s)", where, f->text, fault_text);
		return err_set(err, f->kind, f->name, "%s: %s", where, f->text);
	}
	return err_set(err, ERR_TRANSIENT, "cut", "%s: %s", where, curl_easy_strerror(code));
}

CURL *http_easy(char *fault_text, int64_t connect_timeout_ms, struct err *err)
{
	/* As every program on OpenSSL: where another authority is to be trusted (Redis Cloud's). */
	const char *authorities = getenv("SSL_CERT_FILE");
	CURL *easy = curl_easy_init();
	int bad = 0;

	fault_text[0] = '\0';
	if (easy == NULL) {
		err_set(err, ERR_SYSTEM, "curl", "libcurl could not be set up");
		return NULL;
	}
	bad |= (int)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fault_text);
	bad |= (int)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	bad |= (int)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	bad |= (int)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms);
	bad |= (int)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	bad |= (int)curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	/* Without it, closing waits for a name lookup that has already been given up. */
	bad |= (int)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	if (authorities != NULL && authorities[0] != '\0')
		bad |= (int)curl_easy_setopt(easy, CURLOPT_CAINFO, authorities);
	if (bad != 0) {
		err_set(err, ERR_SYSTEM, "curl", "this libcurl lacks something we need");
		curl_easy_cleanup(easy);
		return NULL;
	}
	return easy;
}

char *http_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);
	char *copy = mem_strdup(escaped != NULL ? escaped : "");

	curl_free(escaped);
	return copy;
}
