/*
 * Lets a test use the limiter and Redis as a worker does. For tests/integration/test_limiter.py and
 * test_redis.py.
 *
 *   limiter_driver URL|- RPM TPM HEADROOM WINDOW_MS GUARD_MS local|wait HOSTS
 *
 * is one host. It reads a command a line and answers each with a JSON line:
 *
 *   reserve TOKENS             {"rc", "id", "in_ms", "until_ms", "tokens", "local"} or the error
 *   confirm ID                 {"rc": 1 = send}
 *   settle ID TOKENS           cancel ID          pause MS        reset
 *   look                       {"calls", "tokens", "call_limit", "token_limit", "paused_ms", "redis_up"}
 *   saturate N MS TOKENS       N processes call as fast as they may; a line for each call, then {"done"}
 *   redis ARG...               one command on a connection of its own: {"rc", "text"} or the error
 *   eval SCRIPT                a script without keys, likewise
 *
 * Every answer has "ms", the time it took.
 */
#include "clock.h"
#include "limiter_home.h"
#include "redis.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RESERVATIONS = 100000, WORDS = 16, REDIS_TIMEOUT_MS = 250, LINE = 65536 };

struct driver {
	struct set_limits limits;
	struct set_redis redis_settings;
	int64_t window_ms, guard_ms;
	void *shared;
	struct limiter *limiter;
	struct redis *redis;
	struct limiter_reservation reservations[RESERVATIONS];
	int count;
};

static void nap(int64_t ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	if (ms > 0)
		(void)nanosleep(&t, NULL);
}

static void print_text(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		const unsigned char c = (unsigned char)*text;

		if (c < 0x20)
			printf("\\u%04x", c);
		else if (c == '"' || c == '\\')
			printf("\\%c", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_err(const struct err *err)
{
	printf(", \"kind\": \"%s\", \"code\": \"%s\", \"retry_ms\": %lld, \"error\": ",
		err_kind_name(err->kind), err->code, (long long)err->retry_after_ms);
	print_text(err->text);
}

static void open_limiter(struct driver *d)
{
	struct err err;

	if (limiter_open_window(&d->limiter, &d->limits, &d->redis_settings, d->shared,
		    "gemini:model", d->window_ms, d->guard_ms, &err) == 0)
		return;
	printf("{\"rc\": -1");
	print_err(&err);
	printf("}\n");
	exit(1);
}

/* ---- saturation ---- */

static void call_on_and_on(struct driver *d, int64_t until_ms, int64_t tokens, unsigned seed)
{
	struct limiter_reservation r;
	struct err err;

	open_limiter(d);
	while (clock_boot_ms() < until_ms) {
		const int64_t guess = tokens / 2 + rand_r(&seed) % (tokens + 1);
		char line[64];
		int len;

		if (limiter_reserve(d->limiter, guess, &r, &err) != 0) {
			nap(err.retry_after_ms < 50 ? err.retry_after_ms : 50);
			continue;
		}
		nap(r.send_at_ms - clock_boot_ms());
		if (!limiter_confirm(d->limiter, &r))
			continue;
		len = snprintf(line, sizeof line, "{\"at_ms\": %lld, \"tokens\": %lld}\n",
			(long long)clock_real_ms(), (long long)r.tokens);
		if (write(STDOUT_FILENO, line, (size_t)len) != len)
			_exit(1);
		limiter_settle(d->limiter, &r, r.tokens);
	}
	_exit(0);
}

static void saturate(struct driver *d, int processes, int64_t for_ms, int64_t tokens)
{
	const int64_t until_ms = clock_boot_ms() + for_ms;

	(void)fflush(stdout);
	for (int i = 0; i < processes; i++)
		if (fork() == 0)
			call_on_and_on(d, until_ms, tokens, (unsigned)(getpid() + i));
	while (wait(NULL) > 0)
		;
	printf("{\"done\": true");
}

/* ---- one command ---- */

static void print_reply(int rc, struct redis_reply *reply, const struct err *err)
{
	printf("{\"rc\": %d", rc);
	if (rc != 0) {
		print_err(err);
		return;
	}
	printf(", \"count\": %zu, \"int\": %lld", redis_count(reply), (long long)redis_int(reply));
	if (redis_text(reply) != NULL) {
		printf(", \"text\": ");
		print_text(redis_text(reply));
	}
	redis_reply_free(reply);
}

static void redis_line(struct driver *d, int argc, char **argv)
{
	const char *words[WORDS];
	struct redis_reply *reply = NULL;
	struct err err;
	int rc = d->redis != NULL
			 ? 0
			 : redis_new(&d->redis, d->redis_settings.url, REDIS_TIMEOUT_MS, &err);

	for (int i = 1; i < argc; i++)
		words[i - 1] = argv[i];
	if (rc == 0 && strcmp(argv[0], "eval") == 0)
		rc = redis_script(d->redis, argv[1], 0, NULL, 0, NULL, &reply, &err);
	else if (rc == 0)
		rc = redis_command(d->redis, argc - 1, words, NULL, &reply, &err);
	print_reply(rc, reply, &err);
}

static void reserve(struct driver *d, int64_t tokens)
{
	struct limiter_reservation *r = &d->reservations[d->count];
	struct err err;
	const int rc = limiter_reserve(d->limiter, tokens, r, &err);
	const int64_t now_ms = clock_boot_ms();

	printf("{\"rc\": %d", rc);
	if (rc != 0) {
		print_err(&err);
		return;
	}
	printf(", \"id\": %d, \"in_ms\": %lld, \"until_ms\": %lld, \"tokens\": %lld, \"local\": %s",
		d->count++, (long long)(r->send_at_ms - now_ms),
		(long long)(r->send_until_ms - now_ms), (long long)r->tokens,
		r->local ? "true" : "false");
}

static void look(struct driver *d)
{
	struct limiter_view v;
	struct err err;
	const int rc = limiter_look(d->limiter, &v, &err);

	printf("{\"rc\": %d", rc);
	if (rc != 0) {
		print_err(&err);
		return;
	}
	printf(", \"calls\": %lld, \"tokens\": %lld, \"call_limit\": %lld, \"token_limit\": %lld, "
	       "\"paused_ms\": %lld, \"redis_up\": %s",
		(long long)v.calls, (long long)v.tokens, (long long)v.call_limit,
		(long long)v.token_limit, (long long)v.paused_ms, v.redis_up ? "true" : "false");
}

static void reset(struct driver *d)
{
	struct err err;
	const int rc = limiter_reset(d->limiter, &err);

	printf("{\"rc\": %d", rc);
	if (rc != 0)
		print_err(&err);
}

static void obey(struct driver *d, int argc, char **argv)
{
	const char *what = argv[0];
	const int64_t one = argc > 1 ? strtoll(argv[1], NULL, 10) : 0;
	const int64_t two = argc > 2 ? strtoll(argv[2], NULL, 10) : 0;
	const int64_t three = argc > 3 ? strtoll(argv[3], NULL, 10) : 0;

	if (strcmp(what, "redis") == 0 || strcmp(what, "eval") == 0)
		redis_line(d, argc, argv);
	else if (strcmp(what, "reserve") == 0)
		reserve(d, one);
	else if (strcmp(what, "look") == 0)
		look(d);
	else if (strcmp(what, "reset") == 0)
		reset(d);
	else if (strcmp(what, "saturate") == 0)
		saturate(d, (int)one, two, three);
	else if (strcmp(what, "confirm") == 0)
		printf("{\"rc\": %d", limiter_confirm(d->limiter, &d->reservations[one]));
	else {
		if (strcmp(what, "settle") == 0)
			limiter_settle(d->limiter, &d->reservations[one], two);
		else if (strcmp(what, "cancel") == 0)
			limiter_cancel(d->limiter, &d->reservations[one]);
		else if (strcmp(what, "pause") == 0)
			limiter_pause(d->limiter, one);
		else
			exit(2);
		printf("{\"rc\": 0");
	}
}

/* Words are split at tabs, so that a script may hold spaces. */
static int split(char *line, char **words)
{
	int count = 0;
	char *rest = NULL;

	for (char *w = strtok_r(line, "\t\n", &rest); w != NULL && count < WORDS;
		w = strtok_r(NULL, "\t\n", &rest))
		words[count++] = w;
	return count;
}

int main(int argc, char **argv)
{
	static struct driver d;
	static char line[LINE];
	char *words[WORDS];

	if (argc != 9)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	d.redis_settings.url = strcmp(argv[1], "-") != 0 ? argv[1] : NULL;
	d.redis_settings.prefix = (char[]){"gemini"};
	d.limits = (struct set_limits){.rpm = strtoll(argv[2], NULL, 10),
		.tpm = strtoll(argv[3], NULL, 10),
		.headroom = strtod(argv[4], NULL)};
	d.window_ms = strtoll(argv[5], NULL, 10);
	d.guard_ms = strtoll(argv[6], NULL, 10);
	d.redis_settings.on_loss =
		strcmp(argv[7], "wait") == 0 ? REDIS_LOSS_WAIT : REDIS_LOSS_LOCAL;
	d.redis_settings.hosts = (int)strtol(argv[8], NULL, 10);
	d.shared = mmap(NULL, limiter_shared_bytes(), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d.shared == MAP_FAILED)
		return 1;
	open_limiter(&d);
	while (fgets(line, sizeof line, stdin) != NULL) {
		const int64_t began_ms = clock_boot_ms();

		obey(&d, split(line, words), words);
		printf(", \"ms\": %lld}\n", (long long)(clock_boot_ms() - began_ms));
		(void)fflush(stdout);
	}
	limiter_close(d.limiter);
	redis_free(d.redis);
	(void)munmap(d.shared, limiter_shared_bytes());
	return 0;
}
