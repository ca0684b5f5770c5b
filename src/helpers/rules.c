#include "helpers/rules.h"

#include "mem.h"

#include <leptonica/allheaders.h>
#include <stdlib.h>

enum {
	RULE_BELOW = 225,  /* thin rules are paler than letters */
	RULE_EMS = 3,      /* no letter is so tall, no dash so long */
	SHAPES_MAX = 40000 /* noise; more says nothing */
};

static struct box box_at(BOXA *boxes, l_int32 i)
{
	struct box b = {0, 0, 0, 0};

	(void)boxaGetBoxGeometry(boxes, i, &b.x, &b.y, &b.w, &b.h);
	return b;
}

static struct stroke *find_strokes(PIX *mask, bool vertical, size_t *count)
{
	BOXA *boxes = mask != NULL ? pixConnCompBB(mask, 8) : NULL;
	const l_int32 n = boxes != NULL ? boxaGetCount(boxes) : 0;
	struct stroke *strokes = mem_calloc((size_t)n, sizeof *strokes);

	*count = (size_t)(n < SHAPES_MAX ? n : SHAPES_MAX);
	for (size_t i = 0; i < *count; i++) {
		const struct box b = box_at(boxes, (l_int32)i);

		strokes[i] = vertical ? (struct stroke){b.x + b.w / 2, b.y, b.y + b.h}
				      : (struct stroke){b.y + b.h / 2, b.x, b.x + b.w};
	}
	boxaDestroy(&boxes);
	return strokes;
}

/* Rules and the soft edge around them become paper. */
static void erase(struct page_image *image, PIX *mask, int em)
{
	const l_int32 reach = 2 * (1 + em / 20) + 1;

	if (mask == NULL || pixDilateBrick(mask, mask, reach, reach) == NULL)
		return;
	(void)pixSetMasked(image->grey, mask, IMAGE_PAPER);
	(void)pixSubtract(image->ink, image->ink, mask);
}

/*
 * Specks: smaller than a full stop and away from every letter. The recogniser would make full stops
 * of them, or whole words.
 */
static PIX *find_specks(PIX *ink, int em)
{
	const l_int32 size = em / 12 + 1;
	const l_int32 reach = 2 * (em / 2) + 1;
	PIX *letters =
		pixSelectBySize(ink, size, size, 8, L_SELECT_IF_EITHER, L_SELECT_IF_GT, NULL);
	PIX *near = letters != NULL ? pixDilateBrick(NULL, letters, reach, reach) : NULL;
	PIX *specks = near != NULL ? pixSubtract(NULL, ink, near) : NULL;
	l_int32 none = 1;

	if (specks != NULL)
		(void)pixZero(specks, &none);
	if (none)
		pixDestroy(&specks);
	pixDestroy(&near);
	pixDestroy(&letters);
	return specks;
}

static bool is_word(const struct box *b, int em)
{
	return b->h * 4 > em && b->h < 4 * em && b->w * 4 > em;
}

/* Letters closer than a space run together. */
static void find_words(struct shapes *s, PIX *ink, int em)
{
	PIX *joined = pixCloseSafeBrick(NULL, ink, em / 3 + 1, 1);
	BOXA *boxes = joined != NULL ? pixConnCompBB(joined, 8) : NULL;
	const l_int32 n = boxes != NULL ? boxaGetCount(boxes) : 0;

	s->words = mem_calloc((size_t)n, sizeof *s->words);
	for (l_int32 i = 0; i < n && s->word_count < SHAPES_MAX; i++) {
		const struct box b = box_at(boxes, i);

		if (is_word(&b, em))
			s->words[s->word_count++] = b;
	}
	boxaDestroy(&boxes);
	pixDestroy(&joined);
}

void shapes_find(struct shapes *s, struct page_image *image, int em)
{
	PIX *dark = pixThresholdToBinary(image->grey, RULE_BELOW);
	PIX *vertical = dark != NULL ? pixOpenBrick(NULL, dark, 1, RULE_EMS * em) : NULL;
	PIX *horizontal = dark != NULL ? pixOpenBrick(NULL, dark, RULE_EMS * em, 1) : NULL;
	PIX *specks;

	*s = (struct shapes){0};
	s->vertical = find_strokes(vertical, true, &s->vertical_count);
	s->horizontal = find_strokes(horizontal, false, &s->horizontal_count);
	erase(image, vertical, em);
	erase(image, horizontal, em);
	specks = find_specks(image->ink, em);
	erase(image, specks, em);
	find_words(s, image->ink, em);
	pixDestroy(&specks);
	pixDestroy(&vertical);
	pixDestroy(&horizontal);
	pixDestroy(&dark);
}

void shapes_fini(struct shapes *s)
{
	free(s->vertical);
	free(s->horizontal);
	free(s->words);
	*s = (struct shapes){0};
}
