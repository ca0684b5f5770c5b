/*
 * What a Redis URL says, and that a wrong one is refused without repeating it.
 */
#include "redis.h"
#include "redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct good {
	const char *url, *host, *path, *user, *password;
	int db, port;
	bool tls;
};

static const struct good goods[] = {
	{"redis://localhost", "localhost", NULL, NULL, NULL, 0, 6379, false},
	{"redis://localhost/", "localhost", NULL, NULL, NULL, 0, 6379, false},
	{"redis://localhost:6380/3", "localhost", NULL, NULL, NULL, 3, 6380, false},
	{"redis://:pw@10.0.0.1", "10.0.0.1", NULL, NULL, "pw", 0, 6379, false},
	{"redis://default:p%40ss%3A%2F%25@h:1/15", "h", NULL, "default", "p@ss:/%", 15, 1, false},
	{"redis://u:a:b@h", "h", NULL, "u", "a:b", 0, 6379, false},
	{"redis://u:a@b@h", "h", NULL, "u", "a@b", 0, 6379, false},
	{"rediss://u:p@cloud.example:12345", "cloud.example", NULL, "u", "p", 0, 12345, true},
	{"redis://[::1]", "::1", NULL, NULL, NULL, 0, 6379, false},
	{"rediss://:p@[fe80::2]:7000/1", "fe80::2", NULL, NULL, "p", 1, 7000, true},
	{"unix:///run/redis.sock", NULL, "/run/redis.sock", NULL, NULL, 0, 6379, false},
	{"unix:///run/my%20redis.sock?db=2", NULL, "/run/my redis.sock", NULL, NULL, 2, 6379,
		false},
};

static void same(const char *have, const char *want)
{
	if (want == NULL)
		assert_null(have);
	else
		assert_string_equal(have, want);
}

static void every_form_is_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
		const struct good *g = &goods[i];
		struct redis_url u;
		struct err err;

		assert_int_equal(redis_url_parse(&u, g->url, &err), 0);
		same(u.host, g->host);
		same(u.unix_path, g->path);
		same(u.user, g->user);
		same(u.password, g->password);
		assert_int_equal(u.db, g->db);
		assert_int_equal(u.port, g->port);
		assert_int_equal(u.tls, g->tls);
		redis_url_fini(&u);
	}
}

static const struct {
	const char *url, *says;
} bads[] = {
	{"", "does not begin"},
	{"localhost:6379", "does not begin"},
	{"http://localhost", "does not begin"},
	{"REDIS://localhost", "does not begin"},
	{"redis://", "host is missing"},
	{"redis://:6379", "host is missing"},
	{"redis://:hunter2@", "host is missing"},
	{"redis://:hunter2@/0", "host is missing"},
	{"redis://h:0", "port"},
	{"redis://h:65536", "port"},
	{"redis://h:", "port"},
	{"redis://h:12a", "port"},
	{"redis://u:hunter2/x@h", "port"},
	{"redis://[::1", "bracket"},
	{"redis://[::1]6379", "port"},
	{"redis://h/x", "database"},
	{"redis://h/-1", "database"},
	{"redis://h/1/2", "database"},
	{"redis://h/99999999999999999999", "database"},
	{"redis://h?db=1", "database"},
	{"redis://hunter2@h", "user without a password"},
	{"redis://u:@h", "password is empty"},
	{"redis://u:hunter2%@h", "percent"},
	{"redis://u:hunter2%4@h", "percent"},
	{"redis://u:hunter2%zz@h", "percent"},
	{"redis://u:hunter2%00@h", "percent"},
	{"redis://h%41", "character"},
	{"redis://h\\x", "character"},
	{"redis://h h", "character"},
	{"unix://run/redis.sock", "absolute"},
	{"unix://", "absolute"},
	{"unix:///s?password=hunter2", "?db=n"},
	{"unix:///s?db=x", "database"},
	{"unix:///s%2", "hexadecimal"},
};

static void wrong_one_is_a_configuration_fault_that_names_what_and_no_secret(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
		struct redis *r;
		struct err err;
		const bool percent = strcmp(bads[i].says, "percent") == 0;

		assert_int_equal(redis_new(&r, bads[i].url, 250, &err), -1);
		assert_null(r);
		assert_int_equal(err.kind, ERR_CONFIG);
		assert_string_equal(err.code, "redis-url");
		if (strstr(err.text, percent ? "hexadecimal" : bads[i].says) == NULL)
			fail_msg("%s: %s", bads[i].url, err.text);
		assert_null(strstr(err.text, "hunter2"));
	}
}

static void any_bytes_are_either_understood_or_refused(void **state)
{
	static const char alphabet[] = "redis://unx:@/[]%?0a=db#. \\\x01\xff";
	const char *given = getenv("TEST_SEED");
	const unsigned seed =
		given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	static const char *const starts[] = {"redis://", "rediss://", "unix://", ""};

	(void)state;
	print_message("TEST_SEED=%u\n", seed);
	srand(seed);
	for (int i = 0; i < 200000; i++) {
		char url[48];
		struct redis_url u;
		struct err err;
		size_t len = (size_t)snprintf(url, sizeof url, "%s", starts[rand() % 4]);
		const size_t end = len + (size_t)(rand() % 24);

		while (len < end)
			url[len++] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
		url[len] = '\0';
		if (redis_url_parse(&u, url, &err) == 0)
			assert_true((u.host != NULL) != (u.unix_path != NULL));
		else
			assert_int_equal(err.kind, ERR_CONFIG);
		redis_url_fini(&u);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_understood),
		cmocka_unit_test(wrong_one_is_a_configuration_fault_that_names_what_and_no_secret),
		cmocka_unit_test(any_bytes_are_either_understood_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
