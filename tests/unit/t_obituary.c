/* obituary: what is written about a process that has ended. */
#include "obituary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static struct sb_slot_view at_work(enum sb_state state, int page, int pages)
{
	struct sb_slot_view v = {
		.state = state, .claim = 7, .environment = 2, .page = page, .pages = pages};

	(void)snprintf(v.document, sizeof v.document, "456");
	return v;
}

static struct restart_decision decided(const char *reason, bool crashed, bool hung)
{
	struct restart_decision d = {.crashed = crashed, .hung = hung};

	(void)snprintf(d.reason, sizeof d.reason, "%s", reason);
	return d;
}

static void the_row_is_told_what_happened_and_where(void **state)
{
	static const struct {
		const char *reason;
		bool crashed, hung;
		enum sb_state state;
		int page, pages;
		const char *text;
	} cells[] = {
		{"SIGSEGV", true, false, SB_READING, 3, 10, "worker crashed by SIGSEGV at page 3"},
		{"SIGSEGV", true, false, SB_FETCHING, 0, 0,
			"worker crashed by SIGSEGV while fetching"},
		{"exit status 70", true, false, SB_READING, 1, 1,
			"worker crashed by exit status 70 at page 1"},
		{"SIGKILL", false, false, SB_READING, 3, 10, "worker ended by SIGKILL at page 3"},
		{"hung: no sign of life for 30 s", true, true, SB_READING, 4, 0,
			"worker hung: no sign of life for 30 s while reading prod/456 page 4"},
		{"hung: no sign of life for 30 s", true, true, SB_READING, 4, 10,
			"worker hung: no sign of life for 30 s while reading prod/456 page 4 of "
			"10"},
		{"hung: no sign of life for 30 s", true, true, SB_FETCHING, 0, 0,
			"worker hung: no sign of life for 30 s while fetching prod/456"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cells); i++) {
		const struct sb_slot_view last =
			at_work(cells[i].state, cells[i].page, cells[i].pages);
		const struct restart_decision d =
			decided(cells[i].reason, cells[i].crashed, cells[i].hung);
		struct sb_death death;
		char text[SB_TEXT_BYTES];

		obituary_begin(&death, &last, &d);
		obituary_of_document(&death, &d, "prod", text, sizeof text);
		assert_string_equal(text, cells[i].text);
	}
}

static void one_without_a_document_was_only_in_a_state(void **state)
{
	const struct sb_slot_view idle = {.state = SB_IDLE, .environment = -1};
	struct sb_slot_view claiming = at_work(SB_CLAIMING, 0, 0);
	const struct restart_decision d = decided("SIGSEGV", true, false);
	struct sb_death death;
	char text[OBITUARY_BYTES];

	(void)state;
	obituary_begin(&death, &idle, &d);
	obituary_doing(&death, NULL, text);
	assert_string_equal(text, "idle");
	claiming.document[0] = '\0'; /* the claim is named before there is a document */
	obituary_begin(&death, &claiming, &d);
	assert_int_equal(death.environment, -1);
	obituary_doing(&death, NULL, text);
	assert_string_equal(text, "claiming");
}

/* Whatever a process wrote about itself before it died. */
static void nonsense_from_a_dead_process_breaks_no_line(void **state)
{
	struct sb_slot_view last = at_work((enum sb_state)4711, -5, -5);
	const struct restart_decision d = decided("SIGSEGV", true, false);
	struct sb_death death;
	char text[OBITUARY_BYTES];

	(void)state;
	memset(last.document, 'x', sizeof last.document - 1);
	memcpy(last.document, "4\n\"\\\033[2J\377", 9);
	obituary_begin(&death, &last, &d);
	obituary_doing(&death, "prod", text);
	for (const char *c = text; *c != '\0'; c++)
		assert_in_range(*c, ' ', '~');
	assert_null(strpbrk(text, "\"\\"));
	assert_string_equal(text, "unknown prod/4????[2J?xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	assert_int_equal(death.page, 0);
	assert_int_equal(death.pages, 0);
}

static void the_longest_of_everything_is_cut_not_overflowed(void **state)
{
	struct sb_slot_view last = at_work(SB_OUTAGE, 2147483647, 2147483647);
	struct restart_decision d = decided("", true, true);
	struct sb_death death;
	char environment[1000];
	char text[SB_TEXT_BYTES];
	char doing[OBITUARY_BYTES];

	(void)state;
	memset(environment, 'e', sizeof environment - 1);
	environment[sizeof environment - 1] = '\0';
	memset(d.reason, 'r', sizeof d.reason - 1);
	memset(last.document, '9', sizeof last.document - 1);
	obituary_begin(&death, &last, &d);
	obituary_of_document(&death, &d, environment, text, sizeof text);
	assert_int_equal(strlen(text), sizeof text - 1);
	obituary_doing(&death, environment, doing);
	assert_true(strlen(doing) < sizeof doing);
	assert_non_null(strstr(doing, "page 2147483647 of 2147483647"));
}

static void only_its_own_claim_is_left_by_a_dead_worker(void **state)
{
	static const struct {
		const char *token;
		const char *prefix; /* NULL = not his */
	} cells[] = {
		{"ocr-h-3/d1/77/5", "ocr-h-3/d1/77/"},
		{"3-3/d1/77/999", "3-3/d1/77/"},
		{"ocr-h-2/d1/77/5", NULL},  /* another slot's */
		{"ocr-h-13/d1/77/5", NULL}, /* and one that only ends like it */
		{"ocr-h-3/d2/77/5", NULL},  /* another daemon's */
		{"ocr-h-3/d1/76/5", NULL},  /* of an earlier life */
		{"ocr-h-3/d1/77", NULL},
		{"-3/d1/77/5", NULL}, /* nobody is called so */
		{"/", NULL},
		{"", NULL},
		{"nonsense", NULL},
	};
	const struct obituary_owner owner = {3, "d1", 77};
	char prefix[CLAIM_TOKEN_BYTES];

	(void)state;
	for (size_t i = 0; i < LENGTH(cells); i++) {
		const bool own = obituary_prefix(&owner, cells[i].token, prefix);

		assert_int_equal(own, cells[i].prefix != NULL);
		if (own)
			assert_string_equal(prefix, cells[i].prefix);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_row_is_told_what_happened_and_where),
		cmocka_unit_test(one_without_a_document_was_only_in_a_state),
		cmocka_unit_test(nonsense_from_a_dead_process_breaks_no_line),
		cmocka_unit_test(the_longest_of_everything_is_cut_not_overflowed),
		cmocka_unit_test(only_its_own_claim_is_left_by_a_dead_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
