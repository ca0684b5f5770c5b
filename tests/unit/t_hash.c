#include "hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* The test vectors of FIPS 180-4. */
static const char empty_sum[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char abc_sum[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char million_a_sum[] =
	"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

static void gives_the_published_sums(void **state)
{
	char text[HASH_TEXT_BYTES];

	(void)state;
	hash_text("", text);
	assert_string_equal(text, empty_sum);
	hash_text("abc", text);
	assert_string_equal(text, abc_sum);
}

static void gives_the_same_sum_however_the_bytes_arrive(void **state)
{
	char a[1000];
	char text[HASH_TEXT_BYTES];
	struct hash *h = hash_new();

	(void)state;
	memset(a, 'a', sizeof a);
	for (int i = 0; i < 999; i++)
		hash_add(h, a, sizeof a);
	hash_add(h, a, 0);
	hash_add(h, a, 1);
	hash_add(h, a, sizeof a - 1);
	hash_end(h, text);
	assert_string_equal(text, million_a_sum);
}

static void counts_nul_bytes_as_bytes(void **state)
{
	char with[HASH_TEXT_BYTES];
	char without[HASH_TEXT_BYTES];
	struct hash *h = hash_new();

	(void)state;
	hash_add(h, "a\0b", 3);
	hash_end(h, with);
	hash_text("a", without);
	assert_string_not_equal(with, without);
}

static void can_be_given_up_without_an_end(void **state)
{
	struct hash *h = hash_new();

	(void)state;
	hash_add(h, "abc", 3);
	hash_free(h);
	hash_free(NULL);
}

static void random_hex_has_exactly_the_digits_asked_for(void **state)
{
	const size_t lengths[] = {0, 1, 7, 32, 63, 64, 65, 200};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		memset(text, '!', sizeof text);
		hash_random_hex(text, lengths[i]);
		assert_int_equal(strlen(text), lengths[i]);
		assert_int_equal(strspn(text, "0123456789abcdef"), lengths[i]);
		assert_int_equal(text[lengths[i] + 1], '!');
	}
}

static void random_hex_uses_every_digit_and_does_not_come_back(void **state)
{
	char first[129];
	char second[129];
	char all[2049];

	(void)state;
	hash_random_hex(first, 128);
	hash_random_hex(second, 128);
	assert_string_not_equal(first, second);
	/* The chance that one of 16 digits is missing in 2,048 is below 10^-56. */
	hash_random_hex(all, 2048);
	for (const char *digit = "0123456789abcdef"; *digit != '\0'; digit++)
		assert_non_null(strchr(all, *digit));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_published_sums),
		cmocka_unit_test(gives_the_same_sum_however_the_bytes_arrive),
		cmocka_unit_test(counts_nul_bytes_as_bytes),
		cmocka_unit_test(can_be_given_up_without_an_end),
		cmocka_unit_test(random_hex_has_exactly_the_digits_asked_for),
		cmocka_unit_test(random_hex_uses_every_digit_and_does_not_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
