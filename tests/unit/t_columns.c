/*
 * Columns, rows and header of register pages, from boxes and texts alone. Pages are made at random;
 * a failure prints the seed that made its page: run again with COLUMNS_SEED set to it.
 */
#include "helpers/columns.h"
#include "helpers/header.h"
#include "helpers/table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { PAGES = 400, MAX_WORDS = 4000, MAX_STROKES = 4000, ROWS_MAX = 30 };

/* ---- pages at random --------------------------------------------------------------------------- */

static uint64_t next(uint64_t *state)
{
	uint64_t z = (*state += 0x9E3779B97F4A7C15U);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
	return z ^ (z >> 31);
}

static int between(uint64_t *state, int low, int high)
{
	return low + (int)(next(state) % (uint64_t)(high - low + 1));
}

static bool chance(uint64_t *state, int percent)
{
	return between(state, 1, 100) <= percent;
}

/* A page as it would be seen: what is there, and what the functions are to find. */
struct sheet {
	uint64_t seed, state;
	int em, rows;
	double slope; /* what straightening left over */
	int edge[TABLE_COLUMNS + 1];
	int row_y[ROWS_MAX + 2]; /* title row first */
	struct box words[MAX_WORDS];
	int column_of[MAX_WORDS]; /* -1 = outside the table */
	int row_of[MAX_WORDS];
	size_t word_count;
	struct stroke vertical[MAX_STROKES], horizontal[MAX_STROKES];
	size_t vertical_count, horizontal_count;
};

static void add_word(struct sheet *s, int x, int y, int w, int column, int row)
{
	const int shift = (int)lround(s->slope * x);

	assert_true(s->word_count < MAX_WORDS);
	s->words[s->word_count] =
		(struct box){x, y + shift, w, s->em * between(&s->state, 45, 95) / 100};
	s->column_of[s->word_count] = column;
	s->row_of[s->word_count++] = row;
}

/* Words side by side, a space apart, from x on; they end before right. */
static void add_text(struct sheet *s, int x, int right, int y, int column, int row)
{
	do {
		int w = between(&s->state, s->em, 4 * s->em);

		if (x + w > right)
			w = right - x;
		add_word(s, x, y, w, column, row);
		x += w + s->em * 3 / 10;
	} while (x + s->em < right && chance(&s->state, 60));
}

/* A ruling line as it is found: in pieces that overlap little, drift with the slope, and miss parts. */
static void add_rule(
	struct sheet *s, struct stroke *out, size_t *count, int at, int from, int to, double drift)
{
	while (from < to) {
		const int length = between(&s->state, 4 * s->em, 14 * s->em);
		const int end = from + length < to ? from + length : to;

		assert_true(*count < MAX_STROKES);
		out[(*count)++] = (struct stroke){
			at + (int)lround(drift * (from - to) / 2) + between(&s->state, -1, 1), from,
			end};
		from = end + (chance(&s->state, 20) ? s->em : 0);
	}
}

static void lay_out(struct sheet *s)
{
	int y = between(&s->state, 6, 10) * s->em;

	s->edge[0] = between(&s->state, s->em, 6 * s->em);
	for (int c = 0; c < TABLE_COLUMNS; c++)
		s->edge[c + 1] = s->edge[c] + between(&s->state, 5 * s->em, 16 * s->em);
	s->rows = between(&s->state, 3, ROWS_MAX);
	for (int r = 0; r <= s->rows + 1; r++) {
		s->row_y[r] = y;
		y += s->em * (chance(&s->state, 40) ? 34 : 22) / 10; /* two lines or one */
	}
}

static void write_header(struct sheet *s, int lines)
{
	for (int i = 0; i < lines; i++) {
		const int y = s->row_y[0] - (lines - i) * s->em * 3 / 2;

		/* Over the boundaries of the columns, as headers do. */
		add_text(s, s->edge[0], s->edge[between(&s->state, 2, TABLE_COLUMNS)], y, -1, -1);
	}
}

/* pad: paper at both sides of a cell's text; a cell's last line may be its second. */
static void write_cells(struct sheet *s, int pad, int missing_percent)
{
	for (int r = 0; r <= s->rows; r++)
		for (int c = 0; c < TABLE_COLUMNS; c++) {
			const int y = s->row_y[r] + s->em * 4 / 10;
			const int left = s->edge[c] + pad;
			const int right = s->edge[c + 1] - pad;
			const bool roomy = s->row_y[r + 1] - s->row_y[r] > s->em * 3;

			/* Radiation and remarks are often empty; what names an inscription is not. */
			if (r > 0 && c > 3 && chance(&s->state, missing_percent))
				continue;
			add_text(s, left, right, y, c, r);
			if (roomy && c != 2 && chance(&s->state, 50))
				add_text(s, left, right, y + s->em * 12 / 10, c, r);
		}
}

static void rule_sheet(struct sheet *s, bool open_sides)
{
	const int top = s->row_y[0];
	const int bottom = s->row_y[s->rows + 1];

	for (int c = open_sides; c <= TABLE_COLUMNS - open_sides; c++)
		add_rule(s, s->vertical, &s->vertical_count, s->edge[c], top, bottom, -s->slope);
	for (int r = 0; r <= s->rows + 1; r++)
		add_rule(s, s->horizontal, &s->horizontal_count, s->row_y[r], s->edge[0],
			s->edge[TABLE_COLUMNS], s->slope);
}

static struct sheet *new_sheet(uint64_t seed)
{
	struct sheet *s = calloc(1, sizeof *s);

	assert_non_null(s);
	s->seed = s->state = seed;
	s->em = between(&s->state, 20, 60);
	s->slope = between(&s->state, -12, 12) / 10000.0; /* up to 0.07 degrees are left */
	lay_out(s);
	return s;
}

static uint64_t first_seed(void)
{
	const char *given = getenv("COLUMNS_SEED");

	return given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000;
}

#define EXPECT(sheet, condition)                                                                   \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			print_error("COLUMNS_SEED=%llu: ", (unsigned long long)(sheet)->seed);     \
			fail_msg("%s", #condition);                                                \
		}                                                                                  \
	} while (0)

static void expect_words_in_columns(const struct sheet *s, const struct table *t)
{
	for (size_t i = 0; i < s->word_count; i++)
		if (s->column_of[i] >= 0)
			EXPECT(s, table_column(t, &s->words[i]) == s->column_of[i]);
}

/* ---- rules ------------------------------------------------------------------------------------- */

static void test_finds_columns_between_rules_wherever_they_are(void **state)
{
	const uint64_t seed = first_seed();

	(void)state;
	for (uint64_t i = 0; i < PAGES; i++) {
		struct sheet *s = new_sheet(seed + i);
		struct table t;

		write_header(s, 4);
		write_cells(s, s->em / 3, 70);
		rule_sheet(s, chance(&s->state, 25));
		EXPECT(s, table_from_rules(&t, s->vertical, s->vertical_count, s->horizontal,
				  s->horizontal_count, s->em));
		expect_words_in_columns(s, &t);
		EXPECT(s, t.row_count == s->rows + 1);
		for (size_t w = 0; w < s->word_count; w++)
			if (s->row_of[w] >= 0)
				EXPECT(s, table_band(&t, &s->words[w]) == s->row_of[w]);
		free(s);
	}
}

static void test_leaves_out_lines_beside_the_table(void **state)
{
	const uint64_t seed = first_seed();

	(void)state;
	for (uint64_t i = 0; i < PAGES; i++) {
		struct sheet *s = new_sheet(seed + i);
		struct table t;

		write_cells(s, s->em / 3, 70);
		rule_sheet(s, false);
		/* the sheet's edge, a fold's shadow, and a short stroke inside a cell */
		add_rule(s, s->vertical, &s->vertical_count, s->edge[TABLE_COLUMNS] + 3 * s->em, 0,
			s->row_y[s->rows + 1], 0);
		add_rule(s, s->vertical, &s->vertical_count, s->edge[2] + 2 * s->em, s->row_y[1],
			s->row_y[1] + s->em, 0);
		EXPECT(s, table_from_rules(&t, s->vertical, s->vertical_count, s->horizontal,
				  s->horizontal_count, s->em));
		expect_words_in_columns(s, &t);
		free(s);
	}
}

static void test_refuses_tables_of_other_than_six_columns(void **state)
{
	const uint64_t seed = first_seed();

	(void)state;
	for (uint64_t i = 0; i < PAGES; i++) {
		struct sheet *s = new_sheet(seed + i);
		const int lines[] = {2, 3, 4, 6, 8, 9};
		const int count = lines[i % 6];
		struct table t;

		for (int l = 0; l < count; l++)
			add_rule(s, s->vertical, &s->vertical_count, (2 + 5 * l) * s->em,
				s->row_y[0], s->row_y[s->rows + 1], 0);
		for (int r = 0; r <= s->rows; r++)
			add_rule(s, s->horizontal, &s->horizontal_count, s->row_y[r], 2 * s->em,
				(5 * count - 3) * s->em, 0);
		EXPECT(s, !table_from_rules(&t, s->vertical, s->vertical_count, s->horizontal,
				  s->horizontal_count, s->em));
		free(s);
	}
}

static void test_finds_nothing_on_a_page_without_rules(void **state)
{
	struct table t;

	(void)state;
	assert_false(table_from_rules(&t, NULL, 0, NULL, 0, 30));
	assert_false(table_from_gaps(&t, NULL, 0, 30));
}

/* ---- gaps -------------------------------------------------------------------------------------- */

static void test_finds_columns_between_gaps_wherever_they_are(void **state)
{
	const uint64_t seed = first_seed();

	(void)state;
	for (uint64_t i = 0; i < PAGES; i++) {
		struct sheet *s = new_sheet(seed + i);
		struct table t;

		write_header(s, 4);
		write_cells(s, s->em * between(&s->state, 45, 90) / 100, 70);
		EXPECT(s, table_from_gaps(&t, s->words, s->word_count, s->em));
		expect_words_in_columns(s, &t);
		for (size_t w = 0; w < s->word_count; w++) {
			const int middle = s->words[w].y + s->words[w].h / 2;

			EXPECT(s, (middle >= t.top && middle < t.bottom) == (s->row_of[w] >= 0));
		}
		free(s);
	}
}

static void test_takes_running_text_for_no_table(void **state)
{
	const uint64_t seed = first_seed();

	(void)state;
	for (uint64_t i = 0; i < PAGES; i++) {
		struct sheet *s = new_sheet(seed + i);
		struct table t;

		for (int line = 0; line < 30; line++) {
			int x = s->edge[0];

			while (x < s->edge[TABLE_COLUMNS]) {
				const int w = between(&s->state, s->em, 4 * s->em);

				add_word(s, x, s->row_y[0] + line * s->em * 2, w, -1, -1);
				x += w + s->em * between(&s->state, 25, 45) / 100;
			}
		}
		EXPECT(s, !table_from_gaps(&t, s->words, s->word_count, s->em));
		free(s);
	}
}

/* ---- a title row ------------------------------------------------------------------------------- */

/* Titles well apart over cells so close that gaps alone are not believed; two columns nearly empty. */
static void write_close_table(struct sheet *s)
{
	for (int c = 0; c < TABLE_COLUMNS; c++)
		add_word(s, s->edge[c], s->row_y[0],
			(s->edge[c + 1] - s->edge[c]) * between(&s->state, 30, 70) / 100, c, 0);
	for (int r = 1; r <= s->rows; r++)
		for (int c = 0; c < TABLE_COLUMNS; c++) {
			const int right = s->edge[c + 1] - s->em * between(&s->state, 40, 60) / 100;

			if (c < 4)
				add_word(s, s->edge[c], s->row_y[r], right - s->edge[c], c, r);
			else if (r == s->rows)
				add_word(s, s->edge[c], s->row_y[r], 2 * s->em, c, r);
		}
}

static void test_finds_columns_below_titles_where_gaps_are_narrow(void **state)
{
	const uint64_t seed = first_seed();

	(void)state;
	for (uint64_t i = 0; i < PAGES; i++) {
		struct sheet *s = new_sheet(seed + i);
		struct title_row rows[3];
		struct table t;
		size_t r = 0;
		size_t n;

		s->slope = 0; /* lines that lean are straightened before */
		write_header(s, 2);
		write_close_table(s);
		EXPECT(s, !table_from_gaps(&t, s->words, s->word_count, s->em));
		n = title_rows_find(s->words, s->word_count, s->em, rows, 3);
		while (r < n && rows[r].title[0].y != s->row_y[0])
			r++;
		EXPECT(s, r < n);
		EXPECT(s, table_from_titles(&t, &rows[r], s->words, s->word_count, s->em));
		expect_words_in_columns(s, &t);
		free(s);
	}
}

static void test_refuses_titles_with_text_across_them(void **state)
{
	const uint64_t seed = first_seed();

	(void)state;
	for (uint64_t i = 0; i < PAGES; i++) {
		struct sheet *s = new_sheet(seed + i);
		const int c = between(&s->state, 1, TABLE_COLUMNS - 1);
		struct title_row row;
		struct table t;

		s->slope = 0;
		write_close_table(s);
		EXPECT(s, title_rows_find(s->words, s->word_count, s->em, &row, 1) == 1);
		EXPECT(s, table_from_titles(&t, &row, s->words, s->word_count, s->em));
		add_word(s, s->edge[c - 1], s->row_y[1], s->edge[c + 1] - s->edge[c - 1], -1, -1);
		EXPECT(s, !table_from_titles(&t, &row, s->words, s->word_count, s->em));
		free(s);
	}
}

static void test_takes_no_line_of_other_than_six_pieces_for_titles(void **state)
{
	(void)state;
	for (int pieces = 0; pieces <= 9; pieces++) {
		struct box words[10];
		struct title_row row;

		for (int i = 0; i < pieces; i++)
			words[i] = (struct box){i * 200, 100, 100, 20};
		words[pieces] = (struct box){0, 200, 100, 20};
		assert_int_equal(title_rows_find(words, (size_t)pieces + 1, 24, &row, 1),
			pieces == TABLE_COLUMNS);
	}
}

/* ---- rows -------------------------------------------------------------------------------------- */

enum { A = 1, B = 2, C = 4, D = 8, E = 16, F = 32 };

struct rows_case {
	const char *name;
	struct text_line lines[8];
	size_t count;
	bool starts[8];
};

static const struct rows_case rows_cases[] = {
	{"single lines", {{0, A | B | C | D}, {40, A | B | C | D | F}, {82, A | B | C | D}}, 3,
		{true, true, true}},
	{"a wrapped party",
		{{0, A | B | C | D}, {25, A}, {65, A | B | C | D}, {105, A | B | C | D}}, 4,
		{true, false, true, true}},
	{"a wrapped remark under a short row",
		{{0, A | B | C | D | F}, {25, F}, {50, F}, {90, A | B | C | D},
			{130, A | B | C | D}},
		5, {true, false, false, true, true}},
	{"party, nature and number wrapped at once",
		{{0, A | B | C | D}, {24, A | B | D}, {64, A | B | C | D}, {104, A | B | C | D}}, 4,
		{true, false, true, true}},
	{"lines all alike: a date begins a row",
		{{0, A | B | C | D}, {30, A}, {60, A | B | C | D}, {90, F}, {120, A | B | C | D}},
		5, {true, false, true, false, true}},
	{"lines all alike, the date missing once",
		{{0, A | B | C | D}, {30, A | D}, {60, B}, {90, A | B | C | D}}, 4,
		{true, true, false, true}},
};

static void test_tells_new_inscriptions_from_wrapped_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows_cases / sizeof rows_cases[0]; i++) {
		const struct rows_case *c = &rows_cases[i];
		bool starts[8];

		table_row_starts(c->lines, c->count, starts);
		for (size_t l = 0; l < c->count; l++)
			if (starts[l] != c->starts[l])
				fail_msg("%s: line %zu", c->name, l);
	}
}

static struct cell_line cell(int column, int y, const char *text)
{
	return (struct cell_line){{column * 200, y, 100, 20}, column, text, 0.9, 1};
}

static void test_joins_wrapped_lines_of_a_cell_with_a_space(void **state)
{
	const struct cell_line lines[] = {
		cell(0, 0, "Parties"),
		cell(1, 0, "Nature"),
		cell(2, 0, "Date"),
		cell(3, 0, "No de"),
		cell(3, 25, "publication"),
		cell(0, 70, "Boisclair, Aimé à"),
		cell(0, 95, "Prêts ltée"),
		cell(1, 70, "vente"),
		cell(2, 70, "1921-02-03"),
		cell(3, 70, "12 345"),
		cell(5, 95, "corrigé"),
		cell(0, 140, "Zoé Mûrier"),
		cell(2, 140, "1922-01-01"),
	};
	const struct table t = {.edge = {0, 200, 400, 600, 800, 1000, 1200}, .bottom = 200};
	struct table_rows rows;

	(void)state;
	table_rows_make(&rows, &t, lines, sizeof lines / sizeof lines[0], 22);
	assert_int_equal(rows.count, 3);
	assert_true(rows.titled);
	assert_string_equal(rows.items[0].cell[3], "No de publication");
	assert_string_equal(rows.items[1].cell[0], "Boisclair, Aimé à Prêts ltée");
	assert_string_equal(rows.items[1].cell[5], "corrigé");
	assert_string_equal(rows.items[1].cell[4], "");
	assert_string_equal(rows.items[2].cell[0], "Zoé Mûrier");
	assert_int_equal(rows.items[1].words, 6);
	table_rows_fini(&rows);
}

static void test_rows_between_rules_keep_their_lines_whatever_their_distance(void **state)
{
	const struct cell_line lines[] = {
		cell(0, 5, "un"),
		cell(2, 5, "a"),
		cell(0, 45, "deux"),
		cell(2, 60, "b"),
		cell(2, 85, "c"),
		cell(0, 125, "trois"),
		cell(0, 165, "quatre"),
	};
	const struct table t = {.edge = {0, 200, 400, 600, 800, 1000, 1200},
		.bottom = 200,
		.ruled = true,
		.row_count = 5,
		.row = {0, 30, 115, 150, 155, 200}};
	struct table_rows rows;

	(void)state;
	table_rows_make(&rows, &t, lines, sizeof lines / sizeof lines[0], 22);
	assert_int_equal(rows.count, 4);
	assert_false(rows.titled);
	assert_string_equal(rows.items[1].cell[0], "deux");
	assert_string_equal(rows.items[1].cell[2], "b c");
	table_rows_fini(&rows);
}

static void test_counts_rows_from_shapes_alone(void **state)
{
	const uint64_t seed = first_seed();

	(void)state;
	for (uint64_t i = 0; i < PAGES; i++) {
		struct sheet *s = new_sheet(seed + i);
		struct table t;

		write_header(s, 4);
		write_cells(s, s->em / 3, 70);
		rule_sheet(s, false);
		EXPECT(s, table_from_rules(&t, s->vertical, s->vertical_count, s->horizontal,
				  s->horizontal_count, s->em));
		EXPECT(s, table_count_rows(&t, s->words, s->word_count, s->em) == s->rows + 1);
		free(s);
	}
}

/* ---- header ------------------------------------------------------------------------------------ */

struct header_case {
	const char *lines[4];
	const char *value[HEADER_FIELDS];
};

static const struct header_case header_cases[] = {
	{{"Circonscription foncière : Haute-Rive", "Cadastre : canton de Fauvel", "Lot : 2 721 121",
		 "Feuille : 26"},
		{"Haute-Rive", "canton de Fauvel", "2 721 121", "26"}},
	{{"Circonscription foncière : Haute-Rive Cadastre : canton de Fauvel",
		 "Lot : P-12 Feuille : 3"},
		{"Haute-Rive", "canton de Fauvel", "P-12", "3"}},
	{{"CIRCONSCRIPTION FONCIÈRE : Haute-Rive", "CADASTRE: Fauvel", "LOT:2721 121 FEUILLE:26"},
		{"Haute-Rive", "Fauvel", "2721 121", "26"}},
	{{"Circonscriptlon fonciere : Haute-Rive", "Cadaslre : Fauvel", "Feuilte : 26"},
		{"Haute-Rive", "Fauvel", NULL, "26"}},
	{{"Le lot voisin et la feuille jointe", "du cadastre", "Lot 4 508 911 touche à la rivière"},
		{NULL, NULL, NULL, NULL}},
	{{"Lot 14", "Feuille 2"}, {NULL, NULL, "14", "2"}},
	{{"Lot :", "Feuille : 2", "Feuille : 3"}, {NULL, NULL, NULL, "2"}},
};

static void test_reads_the_header_by_its_labels(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof header_cases / sizeof header_cases[0]; i++) {
		const struct header_case *c = &header_cases[i];
		struct header header;
		size_t count = 0;

		while (count < 4 && c->lines[count] != NULL)
			count++;
		header_find(&header, c->lines, count);
		for (int f = 0; f < HEADER_FIELDS; f++) {
			const char *got = header.value[f] != NULL ? header.value[f] : "(none)";
			const char *want = c->value[f] != NULL ? c->value[f] : "(none)";

			if (strcmp(got, want) != 0)
				fail_msg("case %zu, %s: \"%s\" instead of \"%s\"", i,
					header_field_name((enum header_field)f), got, want);
		}
		header_fini(&header);
	}
}

static void test_knows_the_title_row_though_misread(void **state)
{
	const char *const read[] = {
		"Partes", "NATURE", "Date", "N* de publicaton", "Radiation .", ""};
	const char *const inscription[] = {
		"Partie, Aimé", "vente", "1921-01-01", "12 345", "radiation", ""};

	(void)state;
	assert_true(header_is_title_row(read));
	assert_false(header_is_title_row(inscription));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_columns_between_rules_wherever_they_are),
		cmocka_unit_test(test_leaves_out_lines_beside_the_table),
		cmocka_unit_test(test_refuses_tables_of_other_than_six_columns),
		cmocka_unit_test(test_finds_nothing_on_a_page_without_rules),
		cmocka_unit_test(test_finds_columns_between_gaps_wherever_they_are),
		cmocka_unit_test(test_takes_running_text_for_no_table),
		cmocka_unit_test(test_finds_columns_below_titles_where_gaps_are_narrow),
		cmocka_unit_test(test_refuses_titles_with_text_across_them),
		cmocka_unit_test(test_takes_no_line_of_other_than_six_pieces_for_titles),
		cmocka_unit_test(test_tells_new_inscriptions_from_wrapped_lines),
		cmocka_unit_test(test_joins_wrapped_lines_of_a_cell_with_a_space),
		cmocka_unit_test(test_rows_between_rules_keep_their_lines_whatever_their_distance),
		cmocka_unit_test(test_counts_rows_from_shapes_alone),
		cmocka_unit_test(test_reads_the_header_by_its_labels),
		cmocka_unit_test(test_knows_the_title_row_though_misread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
