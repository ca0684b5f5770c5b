#include "db_resolve.h"

#include "clock.h"
#include "mem.h"

#include <netdb.h>
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
static int request_start(struct db_lookup *lookup, const char *host, struct err *err)
{
	struct request *r = lookup->request;
	struct gaicb *list[1];

	if (r != NULL && strcmp(r->host, host) == 0)
		return 0;
	if (r != NULL && gai_error(&r->control) == EAI_INPROGRESS)
		return err_set(err, ERR_TRANSIENT, "resolve",
			"the lookup of the database's host name has not ended yet");
	request_drop(lookup);
	r = mem_calloc(1, sizeof *r);
	r->host = mem_strdup(host);
	r->hints = (struct addrinfo){.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	r->control = (struct gaicb){.ar_name = r->host, .ar_request = &r->hints};
	list[0] = &r->control;
	if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0) {
		request_free(r);
		return err_set(err, ERR_TRANSIENT, "resolve",
			"the lookup of the database's host name cannot be started");
	}
	lookup->request = r;
	return 0;
}

static int request_wait(struct db_lookup *lookup, int64_t deadline_ms,
	int (*check)(void *arg, struct err *err), void *arg, struct err *err)
{
	const struct gaicb *const list[1] = {&lookup->request->control};

	while (gai_error(&lookup->request->control) == EAI_INPROGRESS) {
		int left = clock_left_ms(deadline_ms);
		struct timespec slice;

		if (left == 0)
			return err_set(err, ERR_TRANSIENT, "resolve",
				"the database's host name could not be looked up in time");
		if (check != NULL && check(arg, err) != 0)
			return -1;
		left = left < CHECK_EVERY_MS ? left : CHECK_EVERY_MS;
		slice = (struct timespec){.tv_nsec = left * 1000000L};
		(void)gai_suspend(list, 1, &slice);
	}
	return 0;
}

static void take_addresses(const struct addrinfo *found, struct db_addresses *out)
{
	char text[NI_MAXHOST];

	for (; found != NULL && out->count < DB_MAX_ADDRESSES; found = found->ai_next)
		if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0,
			    NI_NUMERICHOST) == 0)
			out->items[out->count++] = mem_strdup(text);
}

int db_resolve(struct db_lookup *lookup, const char *host, int64_t deadline_ms,
	int (*check)(void *arg, struct err *err), void *arg, struct db_addresses *out,
	struct err *err)
{
	int fault;

	*out = (struct db_addresses){0};
	if (request_start(lookup, host, err) != 0 ||
		request_wait(lookup, deadline_ms, check, arg, err) != 0)
		return -1;
	fault = gai_error(&lookup->request->control);
	if (fault == 0)
		take_addresses(lookup->request->control.ar_result, out);
	request_drop(lookup);
	if (out->count == 0)
		return err_set(err, ERR_TRANSIENT, "resolve",
			"the database's host name cannot be resolved: %s",
			fault != 0 ? gai_strerror(fault) : "it has no address");
	return 0;
}

void db_addresses_fini(struct db_addresses *addresses)
{
	for (size_t i = 0; i < addresses->count; i++)
		free(addresses->items[i]);
	*addresses = (struct db_addresses){0};
}
