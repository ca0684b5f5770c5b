#include "db_resolve.h"

#include "clock.h"
#include "mem.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { CHECK_EVERY_MS = 200 };

/* What the C library's thread reads and writes: it must outlive a lookup that we gave up on. */
struct request {
	struct gaicb control;
	struct addrinfo hints;
	char *host;
};

struct db_lookup {
	struct request *request; /* owned; NULL where none is under way */
};

struct db_lookup *db_lookup_new(void)
{
	return mem_calloc(1, sizeof(struct db_lookup));
}

static void request_free(struct request *r)
{
	if (r == NULL)
		return;
	if (r->control.ar_result != NULL)
		freeaddrinfo(r->control.ar_result);
	free(r->host);
	free(r);
}

static void request_drop(struct db_lookup *lookup)
{
	if (lookup->request != NULL && gai_error(&lookup->request->control) != EAI_INPROGRESS)
		request_free(lookup->request);
	lookup->request = NULL;
}

void db_lookup_free(struct db_lookup *lookup)
{
	if (lookup == NULL)
		return;
	if (lookup->request != NULL)
		(void)gai_cancel(&lookup->request->control);
	request_drop(lookup);
	free(lookup);
}

/* Starts a lookup, or takes up the one for this host that is under way. */
static struct request *request_start(struct db_lookup *lookup, const char *host, struct err *err)
{
	struct request *r = lookup->request;
	struct gaicb *list[1];

	if (r != NULL && strcmp(r->host, host) == 0)
		return r;
	if (r != NULL && gai_error(&r->control) == EAI_INPROGRESS) {
		err_set(err, ERR_TRANSIENT, "resolve",
			"the lookup of the database's host name has not ended yet");
		return NULL;
	}
	request_drop(lookup);
	r = mem_calloc(1, sizeof *r);
	r->host = mem_strdup(host);
	r->hints = (struct addrinfo){.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	r->control = (struct gaicb){.ar_name = r->host, .ar_request = &r->hints};
	list[0] = &r->control;
	if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0) {
		request_free(r);
		err_set(err, ERR_TRANSIENT, "resolve",
			"the lookup of the database's host name cannot be started");
		return NULL;
	}
	lookup->request = r;
	return r;
}

static int request_wait(struct request *r, const struct db_wait *wait, struct err *err)
{
	const struct gaicb *const list[1] = {&r->control};

	while (gai_error(&r->control) == EAI_INPROGRESS) {
		int left = clock_left_ms(wait->deadline_ms);
		struct timespec slice;

		if (left == 0)
			return err_set(err, ERR_TRANSIENT, "resolve",
				"the database's host name could not be looked up in time");
		if (wait->check != NULL && wait->check(wait->check_arg, err) != 0)
			return -1;
		left = left < CHECK_EVERY_MS ? left : CHECK_EVERY_MS;
		slice = (struct timespec){.tv_nsec = left * 1000000L};
		(void)gai_suspend(list, 1, &slice);
	}
	return 0;
}

static void add_target(
	struct db_targets *t, const char *host, const char *hostaddr, const char *port)
{
	if (t->count == DB_MAX_TARGETS)
		return;
	t->items[t->count++] = (struct db_target){
		.host = host != NULL ? mem_strdup(host) : NULL,
		.hostaddr = hostaddr != NULL ? mem_strdup(hostaddr) : NULL,
		.port = port != NULL ? mem_strdup(port) : NULL,
	};
}

void db_targets_fini(struct db_targets *targets)
{
	for (size_t i = 0; i < targets->count; i++) {
		free(targets->items[i].host);
		free(targets->items[i].hostaddr);
		free(targets->items[i].port);
	}
	*targets = (struct db_targets){0};
}

static int resolve(struct db_lookup *lookup, const char *host, const char *port,
	const struct db_wait *wait, struct db_targets *out, struct err *err)
{
	const size_t before = out->count;
	struct request *r = request_start(lookup, host, err);
	char address[NI_MAXHOST];
	int fault;

	if (r == NULL || request_wait(r, wait, err) != 0)
		return -1;
	fault = gai_error(&r->control);
	for (const struct addrinfo *a = r->control.ar_result; a != NULL; a = a->ai_next)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof address, NULL, 0,
			    NI_NUMERICHOST) == 0)
			add_target(out, host, address, port);
	request_drop(lookup);
	if (out->count == before)
		return err_set(err, ERR_TRANSIENT, "resolve",
			"the database's host name cannot be resolved: %s",
			fault != 0 ? gai_strerror(fault) : "it has no address");
	return 0;
}

/* ---- lists of hosts ------------------------------------------------------------------------- */

/* The nth of a comma-separated list; of a list of one, that one; NULL where it is empty. */
static char *list_item(const char *list, size_t n)
{
	size_t len;

	if (list == NULL)
		return NULL;
	for (; n > 0 && strchr(list, ',') != NULL; n--)
		list = strchr(list, ',') + 1;
	len = strcspn(list, ",");
	return len > 0 ? mem_strndup(list, len) : NULL;
}

static size_t list_count(const char *list)
{
	size_t count = list != NULL ? 1 : 0;

	for (; list != NULL && *list != '\0'; list++)
		count += *list == ',';
	return count;
}

static bool needs_lookup(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return host != NULL && host[0] != '/' && host[0] != '@' &&
	       inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1;
}

int db_find_targets(struct db_lookup *lookup, const struct db_hosts *hosts,
	const struct db_wait *wait, struct db_targets *out, struct err *err)
{
	const bool has_host = hosts->names != NULL || hosts->addresses != NULL;
	const char *const names = has_host ? hosts->names : getenv("PGHOST");
	const char *const ports = hosts->ports != NULL ? hosts->ports : getenv("PGPORT");
	const size_t count = list_count(hosts->addresses != NULL ? hosts->addresses : names);

	*out = (struct db_targets){0};
	if (count == 0)
		add_target(out, NULL, NULL, NULL);
	for (size_t i = 0; i < count; i++) {
		char *name = list_item(names, i);
		char *address = list_item(hosts->addresses, i);
		char *port = list_item(ports, i);

		if (address == NULL && needs_lookup(name))
			(void)resolve(lookup, name, port, wait, out, err);
		else
			add_target(out, name, address, port);
		free(name);
		free(address);
		free(port);
	}
	return out->count > 0 ? 0 : -1;
}
