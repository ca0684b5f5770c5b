/*
 * indexocr-render - a PDF on standard input becomes page images on standard output
 *
 * See render.h for the frames. The document is hostile: this process has no keys, no network of its
 * own making and nothing to write to but the pipe, and is bounded in everything it uses.
 *
 * Exit codes: 0 the document was dealt with (its faults are frames), 64 usage, 71 the system.
 */
#include "../buf.h"
#include "../err.h"
#include "../frame.h"
#include "../mem.h"
#include "../oom.h"
#include "render_encode.h"
#include "render_ink.h"
#include "render_jpeg.h"
#include "render_limits.h"
#include "render_pdf.h"

#include <cjson/cJSON.h>

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { PAGES_BOUND = 1000000 };

struct options {
	struct plan_limits limits;
	int max_pages;
	int quality;
	int first;
	int64_t memory_bytes;
	int64_t cpu_s;
	int64_t page_max_bytes; /* of one page's image */
	enum image_format format;
	bool *skip; /* owned; [1 .. max_pages]; NULL = none */
};

/* ---- command line ---- */

static const char usage_text[] =
	"usage: indexocr-render [--dpi N] [--max-edge PX] [--max-pixels PX] [--max-pages N]\n"
	"       [--format jpeg|png|pnm] [--quality 1-100] [--first PAGE] [--skip 1,4-7]\n"
	"       [--memory-limit BYTES] [--cpu-limit SECONDS] [--page-bytes BYTES] < FILE.pdf\n";

static int bad_option(const char *name, const char *value)
{
	(void)fprintf(stderr, "indexocr-render: --%s: bad value '%s'\n%s", name, value, usage_text);
	return -1;
}

/* A whole number in [low, high] up to `end`, which is where it stopped if not NULL. */
static int parse_number(const char *text, int64_t low, int64_t high, int64_t *out, const char **end)
{
	char *stop;
	long long value;

	errno = 0;
	value = strtoll(text, &stop, 10);
	if (!isdigit((unsigned char)*text) || errno != 0 || value < low || value > high ||
		(end == NULL && *stop != '\0'))
		return -1;
	*out = value;
	if (end != NULL)
		*end = stop;
	return 0;
}

static int parse_int(const char *text, int low, int high, int *out)
{
	int64_t value;

	if (parse_number(text, low, high, &value, NULL) != 0)
		return -1;
	*out = (int)value;
	return 0;
}

static int parse_format(const char *text, enum image_format *out)
{
	static const char *const names[] = {
		[FORMAT_JPEG] = "jpeg", [FORMAT_PNG] = "png", [FORMAT_PNM] = "pnm"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			*out = (enum image_format)i;
			return 0;
		}
	return -1;
}

/* "1,4-7": pages the caller has already. Those behind max_pages are of no interest. */
static int parse_skip(const char *text, struct options *o)
{
	int64_t from;
	int64_t to;

	o->skip = mem_calloc((size_t)o->max_pages + 1, sizeof *o->skip);
	while (*text != '\0') {
		if (parse_number(text, 1, PAGES_BOUND, &from, &text) != 0)
			return -1;
		to = from;
		if (*text == '-' && parse_number(text + 1, from, PAGES_BOUND, &to, &text) != 0)
			return -1;
		for (int64_t n = from; n <= to && n <= o->max_pages; n++)
			o->skip[n] = true;
		if (*text == ',')
			text++;
		else if (*text != '\0')
			return -1;
	}
	return 0;
}

static int parse_option(int option, const char *value, struct options *o)
{
	switch (option) {
	case 'd':
		return parse_int(value, 10, 2400, &o->limits.dpi);
	case 'e':
		return parse_int(value, 16, 65000, &o->limits.max_edge);
	case 'x':
		return parse_number(value, 1, (int64_t)1 << 40, &o->limits.max_pixels, NULL);
	case 'p':
		return parse_int(value, 1, PAGES_BOUND, &o->max_pages);
	case 'f':
		return parse_format(value, &o->format);
	case 'q':
		return parse_int(value, 1, 100, &o->quality);
	case 'n':
		return parse_int(value, 1, PAGES_BOUND, &o->first);
	case 'm':
		return parse_number(value, 0, INT64_MAX, &o->memory_bytes, NULL);
	case 'c':
		return parse_number(value, 0, 86400, &o->cpu_s, NULL);
	case 'b':
		return parse_number(value, 1, (int64_t)1 << 40, &o->page_max_bytes, NULL);
	default:
		return -1;
	}
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {{"dpi", required_argument, NULL, 'd'},
		{"max-edge", required_argument, NULL, 'e'},
		{"max-pixels", required_argument, NULL, 'x'},
		{"max-pages", required_argument, NULL, 'p'},
		{"format", required_argument, NULL, 'f'}, {"quality", required_argument, NULL, 'q'},
		{"first", required_argument, NULL, 'n'}, {"skip", required_argument, NULL, 's'},
		{"memory-limit", required_argument, NULL, 'm'},
		{"cpu-limit", required_argument, NULL, 'c'},
		{"page-bytes", required_argument, NULL, 'b'}, {NULL, 0, NULL, 0}};
	const char *skip = NULL;
	int option;
	int index = 0;

	while ((option = getopt_long(argc, argv, "", names, &index)) != -1) {
		if (option == 's')
			skip = optarg;
		else if (option == '?')
			return (void)fputs(usage_text, stderr), -1;
		else if (parse_option(option, optarg, o) != 0)
			return bad_option(names[index].name, optarg);
	}
	if (optind < argc)
		return (void)fputs(usage_text, stderr), -1;
	if (skip != NULL && parse_skip(skip, o) != 0) /* last, for it needs max_pages */
		return bad_option("skip", skip);
	return 0;
}

/* ---- frames ---- */

static int send_frame(cJSON *meta, const struct buf *body, struct err *err)
{
	char *text = cJSON_PrintUnformatted(meta);
	int rc;

	rc = frame_write(STDOUT_FILENO, text, body != NULL ? body->data : NULL,
		body != NULL ? body->len : 0, err);
	cJSON_free(text);
	cJSON_Delete(meta);
	return rc;
}

static cJSON *new_meta(const char *type)
{
	cJSON *meta = cJSON_CreateObject();

	cJSON_AddStringToObject(meta, "type", type);
	return meta;
}

static int send_fault(const char *type, int page, const struct err *fault, struct err *err)
{
	cJSON *meta = new_meta(type);

	if (page > 0)
		cJSON_AddNumberToObject(meta, "page", page);
	cJSON_AddStringToObject(meta, "code", fault->code);
	cJSON_AddStringToObject(meta, "message", fault->text);
	return send_frame(meta, NULL, err);
}

/* One page on its way out. */
struct sheet {
	int number;
	const char *mime;
	struct page_plan plan;
	struct ink ink;
	struct buf bytes;
};

static int send_page(const struct sheet *sheet, struct err *err)
{
	cJSON *meta = new_meta("page");

	cJSON_AddNumberToObject(meta, "page", sheet->number);
	cJSON_AddNumberToObject(meta, "width", sheet->plan.out_width);
	cJSON_AddNumberToObject(meta, "height", sheet->plan.out_height);
	cJSON_AddStringToObject(meta, "mime", sheet->mime);
	cJSON_AddNumberToObject(meta, "dpi", sheet->plan.dpi);
	cJSON_AddBoolToObject(meta, "scan", sheet->plan.scan);
	cJSON_AddNumberToObject(meta, "ink", sheet->ink.share);
	cJSON_AddBoolToObject(meta, "blank", sheet->ink.blank);
	return send_frame(meta, &sheet->bytes, err);
}

/* ---- pages ---- */

static bool fits_as_it_is(const struct page_plan *plan)
{
	return plan->out_width == plan->width && plan->out_height == plan->height;
}

static void fit_to_edge(struct image *image, const struct page_plan *plan)
{
	struct image smaller;

	if (fits_as_it_is(plan))
		return;
	image_shrink(image, plan->out_width, plan->out_height, &smaller);
	image_fini(image);
	*image = smaller;
}

static int encode_page(
	struct image *image, const struct options *o, struct sheet *sheet, struct err *err)
{
	fit_to_edge(image, &sheet->plan);
	if (!image_is_coloured(image))
		image_make_grey(image);
	ink_measure(image, &sheet->ink);
	return image_encode(image, o->format, o->quality, &sheet->bytes, &sheet->mime, err);
}

/*
 * A page that is one JPEG is not rendered: it is sent as it is, its quality kept, and only a coarse
 * copy decoded to measure; or, for another format, decoded by itself, without a conversion by its
 * colour profile, which takes poppler seconds a page and changes nothing in the reading.
 */
static int take_jpeg(struct pdf *pdf, const struct options *o, struct sheet *sheet, struct err *err)
{
	const struct page_plan *plan = &sheet->plan;
	const bool lies = plan->turn % 2 != 0;
	const bool as_it_is = o->format == FORMAT_JPEG && plan->turn == 0 && fits_as_it_is(plan);
	const struct jpeg_wanted wanted = {
		.width = lies ? plan->height : plan->width,
		.height = lies ? plan->width : plan->height,
		.grey = as_it_is || o->format == FORMAT_PNM,
		.coarse = as_it_is,
	};
	struct image image = {0};
	struct buf raw;
	int rc;

	buf_init(&raw, sheet->bytes.max_bytes);
	if ((rc = pdf_jpeg(pdf, sheet->number, &raw, err)) == 0 &&
		(rc = jpeg_decode(&raw, &wanted, &image, err)) == 0 && as_it_is) {
		ink_measure(&image, &sheet->ink);
		sheet->mime = "image/jpeg";
		rc = jpeg_clean(&raw, &sheet->bytes, err);
	} else if (rc == 0) {
		image_turn(&image, plan->turn);
		rc = encode_page(&image, o, sheet, err);
	}
	image_fini(&image);
	buf_fini(&raw);
	return rc;
}

static int take_rendering(
	struct pdf *pdf, const struct options *o, struct sheet *sheet, struct err *err)
{
	const bool grey = o->format == FORMAT_PNM; /* what the local engine works on */
	struct image image = {0};
	int rc;

	rc = pdf_render(pdf, sheet->number, &sheet->plan, grey, &image, err);
	if (rc == 0)
		rc = encode_page(&image, o, sheet, err);
	image_fini(&image);
	return rc;
}

static int make_page(struct pdf *pdf, const struct options *o, struct sheet *sheet, struct err *err)
{
	if (pdf_plan(pdf, sheet->number, &o->limits, &sheet->plan, err) != 0)
		return -1;
	return sheet->plan.lone_jpeg ? take_jpeg(pdf, o, sheet, err)
				     : take_rendering(pdf, o, sheet, err);
}

static int one_page(struct pdf *pdf, const struct options *o, int number, struct err *err)
{
	struct sheet sheet = {.number = number};
	struct err fault;
	int rc;

	if (limits_page(o->cpu_s, err) != 0)
		return -1;
	buf_init(&sheet.bytes, (size_t)o->page_max_bytes);
	if (make_page(pdf, o, &sheet, &fault) == 0)
		rc = send_page(&sheet, err);
	else
		rc = send_fault("page_error", number, &fault, err);
	buf_fini(&sheet.bytes);
	(void)malloc_trim(0); /* pages differ in size: what one needed must not stay for all */
	return rc;
}

static int all_pages(struct pdf *pdf, const struct options *o, struct err *err)
{
	const int count = pdf_page_count(pdf);
	cJSON *meta = new_meta("document");

	cJSON_AddNumberToObject(meta, "pages", count);
	if (send_frame(meta, NULL, err) != 0)
		return -1;
	for (int n = o->first; n <= count; n++)
		if ((o->skip == NULL || !o->skip[n]) && one_page(pdf, o, n, err) != 0)
			return -1;
	return send_frame(new_meta("end"), NULL, err);
}

/* ---- document ---- */

#ifdef SANITIZED
/* The leak check's own hooks: fontconfig keeps what it has read until the process ends. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libfontconfig";
}

const char *__lsan_default_options(void);

const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}
#endif

static int render_document(const struct options *o, struct err *err)
{
	struct pdf *pdf = NULL;
	struct err fault;
	int rc = pdf_open(&pdf, STDIN_FILENO, &fault);

	if (rc == 0 && pdf_page_count(pdf) > o->max_pages)
		rc = err_set(&fault, ERR_DOCUMENT, "too-many-pages",
			"the document has %d pages, %d are allowed (render.max_pages)",
			pdf_page_count(pdf), o->max_pages);
	if (rc == 0)
		rc = all_pages(pdf, o, err);
	else if (fault.kind == ERR_DOCUMENT)
		rc = send_fault("error", 0, &fault, err);
	else
		*err = fault;
	pdf_close(pdf);
	return rc;
}

int main(int argc, char **argv)
{
	struct options o = {
		.limits = {.dpi = 300, .max_edge = 3072, .max_pixels = 100000000},
		.max_pages = 1000,
		.quality = 90,
		.first = 1,
		.page_max_bytes = 1 << 30,
		.format = FORMAT_JPEG,
	};
	struct err err;
	int rc;

	oom_volunteer();
	if (parse_options(argc, argv, &o) != 0) {
		free(o.skip);
		return EX_USAGE;
	}
	rc = limits_enter(o.memory_bytes, o.cpu_s, o.max_pages, &err);
	if (rc == 0)
		rc = render_document(&o, &err);
	if (rc != 0)
		(void)fprintf(stderr, "indexocr-render: %s\n", err.text);
	free(o.skip);
	return rc == 0 ? EX_OK : EX_OSERR;
}
