#include "helpers/reader.h"

#include "buf.h"
#include "clock.h"
#include "mem.h"

#include <leptonica/allheaders.h>
#include <stdlib.h>
#include <string.h>
#include <tesseract/capi.h>

enum { LINE_MAX_BYTES = 64 * 1024, LINES_MAX = 5000 };

struct reader {
	TessBaseAPI *api;
	int64_t deadline_ms;
	bool late;
};

const char *reader_version(void)
{
	return TessVersion();
}

/* Init succeeds when the first of several languages is there. */
static bool is_loaded(char **loaded, const char *language, size_t len)
{
	for (; *loaded != NULL; loaded++)
		if (strlen(*loaded) == len && memcmp(*loaded, language, len) == 0)
			return true;
	return false;
}

static bool all_loaded(TessBaseAPI *api, const char *languages)
{
	char **loaded = TessBaseAPIGetLoadedLanguagesAsVector(api);
	bool all = loaded != NULL;

	while (all && *languages != '\0') {
		const size_t len = strcspn(languages, "+");

		all = is_loaded(loaded, languages, len);
		languages += len + (languages[len] == '+');
	}
	if (loaded != NULL)
		TessDeleteTextArray(loaded);
	return all;
}

int reader_open(struct reader **out, const char *languages, const char *datadir, struct err *err)
{
	struct reader *r = mem_calloc(1, sizeof *r);

	r->api = TessBaseAPICreate();
	/* What it has to say it would say to standard error, about every page. */
	if (r->api != NULL)
		(void)TessBaseAPISetVariable(r->api, "debug_file", "/dev/null");
	if (r->api == NULL || TessBaseAPIInit2(r->api, datadir, languages, OEM_LSTM_ONLY) != 0 ||
		!all_loaded(r->api, languages)) {
		(void)err_set(err, ERR_CONFIG, "language-missing",
			"Tesseract has no data for \"%s\"%s%s", languages,
			datadir != NULL ? " in " : "", datadir != NULL ? datadir : "");
		reader_close(r);
		return -1;
	}
	/* White text on black is not what these pages have; each try costs a second reading. */
	(void)TessBaseAPISetVariable(r->api, "tessedit_do_invert", "0");
	*out = r;
	return 0;
}

void reader_close(struct reader *r)
{
	if (r == NULL)
		return;
	if (r->api != NULL) {
		TessBaseAPIEnd(r->api);
		TessBaseAPIDelete(r->api);
	}
	free(r);
}

void reader_show(struct reader *r, struct Pix *grey, int dpi, int64_t deadline_ms)
{
	TessBaseAPISetImage2(r->api, grey);
	TessBaseAPISetSourceResolution(r->api, dpi);
	r->deadline_ms = deadline_ms;
	r->late = false;
}

bool reader_late(const struct reader *r)
{
	return r->late;
}

static struct read_line *new_line(struct read_lines *lines)
{
	if (lines->count == lines->room) {
		lines->room = lines->room > 0 ? 2 * lines->room : 64;
		lines->items = mem_realloc(lines->items, lines->room * sizeof *lines->items);
	}
	return &lines->items[lines->count];
}

static void add_word(struct buf *text, struct read_line *line, TessResultIterator *it)
{
	char *word = TessResultIteratorGetUTF8Text(it, RIL_WORD);
	const size_t len = word != NULL && strspn(word, " \n") < strlen(word) ? strlen(word) : 0;

	if (len > 0 && (text->len == 0 || buf_add(text, " ", 1) == 0) &&
		buf_add(text, word, len) == 0) {
		line->score += (double)TessResultIteratorConfidence(it, RIL_WORD) / 100;
		line->words++;
	}
	if (word != NULL)
		TessDeleteText(word);
}

/* The line the iterator stands on; leaves it at the next one. Returns whether there is one. */
static bool take_line(TessResultIterator *it, struct read_lines *lines)
{
	const TessPageIterator *place = TessResultIteratorGetPageIteratorConst(it);
	struct read_line *line = new_line(lines);
	struct buf text;
	int right = 0;
	int bottom = 0;
	bool more;

	*line = (struct read_line){0};
	buf_init(&text, LINE_MAX_BYTES);
	if (TessPageIteratorBoundingBox(
		    place, RIL_TEXTLINE, &line->box.x, &line->box.y, &right, &bottom)) {
		line->box.w = right - line->box.x;
		line->box.h = bottom - line->box.y;
	}
	do {
		add_word(&text, line, it);
		more = TessResultIteratorNext(it, RIL_WORD);
	} while (more && !TessPageIteratorIsAtBeginningOf(place, RIL_TEXTLINE));
	if (line->words > 0) {
		line->text = mem_strdup(buf_text(&text));
		lines->count++;
	}
	buf_fini(&text);
	return more;
}

static void take_lines(struct reader *r, struct read_lines *lines)
{
	TessResultIterator *it = TessBaseAPIGetIterator(r->api);

	if (it == NULL)
		return;
	while (lines->count < LINES_MAX && take_line(it, lines))
		;
	TessResultIteratorDelete(it);
}

static bool recognise(struct reader *r)
{
	const int left_ms = clock_left_ms(r->deadline_ms);
	ETEXT_DESC *monitor;
	bool ok;

	if (left_ms == 0) {
		r->late = true;
		return false;
	}
	monitor = TessMonitorCreate();
	TessMonitorSetDeadlineMSecs(monitor, left_ms);
	ok = TessBaseAPIRecognize(r->api, monitor) == 0;
	TessMonitorDelete(monitor);
	r->late = r->late || clock_left_ms(r->deadline_ms) == 0;
	return ok;
}

void reader_read(
	struct reader *r, const struct box *part, enum read_mode mode, struct read_lines *lines)
{
	static const TessPageSegMode modes[] = {
		[READ_PAGE] = PSM_AUTO,
		[READ_BLOCK] = PSM_SINGLE_BLOCK,
		[READ_LINE] = PSM_SINGLE_LINE,
	};

	TessBaseAPISetPageSegMode(r->api, modes[mode]);
	if (part != NULL)
		TessBaseAPISetRectangle(r->api, part->x, part->y, part->w, part->h);
	if (recognise(r))
		take_lines(r, lines);
}

void read_lines_fini(struct read_lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->items[i].text);
	free(lines->items);
	*lines = (struct read_lines){0};
}
