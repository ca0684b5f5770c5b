#include "render.h"

#include "clock.h"
#include "frame.h"
#include "helper.h"
#include "json.h"
#include "log.h"
#include "mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

enum {
	RESTARTS_MAX = 10, /* a document that takes more is given up */
	KILLS_MAX = 3,     /* so often the page is taken to be innocent */
	SIDE_MAX = 65535,
	DPI_MAX = 99999,
	SKIP_TEXT_MAX_BYTES = 1 << 20,
};

/* helper is none between the loss of a page and the next call, and at the end. next is the page that
 * it has to send next. */
struct render {
	const struct set_render *settings; /* borrowed, as all up to skip */
	const char *helper_path;
	const char *format;
	const bool *skip;
	int skip_count;
	int document_fd;
	struct helper helper;
	struct frame_reader reader;
	int pages;
	int next;
	int restarts;
	int kills; /* from outside */
	int64_t deadline_ms;
};

void page_fini(struct page *page)
{
	buf_fini(&page->image);
	*page = (struct page){0};
}

/* ---- the helper ---- */

static bool is_wanted(const struct render *r, int page)
{
	return r->skip == NULL || page >= r->skip_count || !r->skip[page];
}

static int next_wanted(const struct render *r, int page)
{
	while (page <= r->pages && !is_wanted(r, page))
		page++;
	return page;
}

/* What one page's image may take: no format needs more than four bytes a pixel, nearly. */
static int64_t page_max_bytes(const struct set_render *s)
{
	const int64_t square = (int64_t)s->max_edge * s->max_edge;

	return (square < s->max_pixels ? square : s->max_pixels) * 4 + 65536;
}

/* "2,5-9"; "" for none. */
static int skip_text(const struct render *r, struct buf *text, struct err *err)
{
	for (int from = 1; from < r->skip_count; from++) {
		int to = from;

		if (is_wanted(r, from))
			continue;
		while (to + 1 < r->skip_count && !is_wanted(r, to + 1))
			to++;
		if (buf_addf(text, "%s%d-%d", text->len > 0 ? "," : "", from, to) != 0)
			return err_set(err, ERR_BUG, "skip", "too many pages to skip");
		from = to;
	}
	return 0;
}

/* Name and value pairs; a helper's whole command line. */
enum { ARGUMENTS_MAX = 32 };
struct arguments {
	char *items[ARGUMENTS_MAX + 1]; /* owned; the last is NULL */
	size_t count;
};

/* Takes value. */
static void add(struct arguments *a, const char *name, char *value)
{
	a->items[a->count++] = mem_strdup(name);
	a->items[a->count++] = value;
}

static void add_number(struct arguments *a, const char *name, int64_t value)
{
	add(a, name, mem_printf("%lld", (long long)value));
}

static void arguments_fini(struct arguments *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->items[i]);
}

/* A little less than the time for a page: see timed_out(). The helper counts on from the next whole second. */
static int64_t cpu_limit_s(const struct set_render *s)
{
	const int64_t limit_s = s->page_timeout_ms / 1000 * 9 / 10 - 1;

	return limit_s > 1 ? limit_s : 1;
}

static int arguments_init(struct arguments *a, const struct render *r, struct err *err)
{
	const struct set_render *s = r->settings;
	struct buf skip;
	int rc;

	*a = (struct arguments){0};
	buf_init(&skip, SKIP_TEXT_MAX_BYTES);
	rc = skip_text(r, &skip, err);
	a->items[a->count++] = mem_strdup("indexocr-render");
	add_number(a, "--dpi", s->dpi);
	add_number(a, "--max-edge", s->max_edge);
	add_number(a, "--max-pixels", s->max_pixels);
	add_number(a, "--max-pages", s->max_pages);
	add_number(a, "--quality", s->quality);
	add(a, "--format", mem_strdup(r->format));
	add_number(a, "--first", r->next);
	add(a, "--skip", mem_strdup(buf_text(&skip)));
	add_number(a, "--memory-limit", s->memory_limit_bytes);
	add_number(a, "--cpu-limit", cpu_limit_s(s));
	add_number(a, "--page-bytes", page_max_bytes(s));
	buf_fini(&skip);
	return rc;
}

static void touch(struct render *r)
{
	r->deadline_ms = clock_boot_ms() + r->settings->page_timeout_ms;
}

static int start(struct render *r, struct err *err)
{
	static const char *const environment[] = {"LC_ALL=C", "OMP_THREAD_LIMIT=1", NULL};
	struct arguments arguments;
	struct helper_command command = {.path = r->helper_path,
		.environment = environment,
		.input_fd = r->document_fd,
		.memory_bytes = 0}; /* the helper limits itself, so that it can report it */
	int rc = arguments_init(&arguments, r, err);

	command.argv = (const char *const *)arguments.items;
	if (rc == 0)
		rc = helper_start(&r->helper, &command, err);
	arguments_fini(&arguments);
	if (rc != 0)
		return -1;
	frame_reader_init(&r->reader, (size_t)page_max_bytes(r->settings));
	touch(r);
	return 0;
}

/* Ends the helper whatever it is doing; how it ended. */
static int stop(struct render *r)
{
	frame_reader_fini(&r->reader);
	return helper_stop(&r->helper);
}

/* ---- frames ---- */

static int nonsense(struct err *err, const char *what)
{
	return err_set(err, ERR_BUG, "frame", "the renderer sent nonsense: %s", what);
}

static int take_document(struct render *r, const cJSON *meta, struct err *err)
{
	const int64_t pages = json_int(meta, "pages", 0);

	if (pages < 1 || pages > r->settings->max_pages)
		return nonsense(err, "a number of pages out of bounds");
	if (r->pages != 0 && r->pages != pages)
		return nonsense(err, "another number of pages than before");
	r->pages = (int)pages;
	r->next = next_wanted(r, r->next);
	return 0;
}

static int check_number(const struct render *r, const cJSON *meta, struct err *err)
{
	if (r->pages == 0 || r->next > r->pages || json_int(meta, "page", 0) != r->next)
		return nonsense(err, "a page out of order");
	return 0;
}

static bool is_known_mime(const char *mime)
{
	static const char *const known[] = {"image/jpeg", "image/png", "image/x-portable-graymap",
		"image/x-portable-bitmap", "image/x-portable-pixmap"};

	for (size_t i = 0; mime != NULL && i < sizeof known / sizeof *known; i++)
		if (strcmp(mime, known[i]) == 0)
			return true;
	return false;
}

static bool is_within(int64_t value, int64_t low, int64_t high)
{
	return value >= low && value <= high;
}

/* The image moves from the reader to the page. */
static int take_page(struct render *r, const cJSON *meta, struct page *page, struct err *err)
{
	const int edge_max = r->settings->max_edge < SIDE_MAX ? r->settings->max_edge : SIDE_MAX;
	const int64_t width = json_int(meta, "width", 0);
	const int64_t height = json_int(meta, "height", 0);
	const int64_t dpi = json_int(meta, "dpi", -1);
	const double ink = json_double(meta, "ink", -1);
	const char *mime = json_text(meta, "mime");

	if (check_number(r, meta, err) != 0)
		return -1;
	if (!is_within(width, 1, edge_max) || !is_within(height, 1, edge_max) ||
		!is_within(dpi, 0, DPI_MAX) || !(ink >= 0 && ink <= 1) || !is_known_mime(mime) ||
		r->reader.body.len == 0)
		return nonsense(err, "a page with impossible values");
	*page = (struct page){.number = r->next,
		.width = (int)width,
		.height = (int)height,
		.dpi = (int)dpi,
		.ink = ink,
		.blank = json_bool(meta, "blank", false),
		.image = r->reader.body};
	(void)snprintf(page->mime, sizeof page->mime, "%s", mime);
	buf_init(&r->reader.body, page->image.max_bytes);
	r->next = next_wanted(r, r->next + 1);
	return 1;
}

static void fault_of(const cJSON *meta, struct err *fault)
{
	const char *code = json_text(meta, "code");
	const char *message = json_text(meta, "message");

	err_set(fault, ERR_DOCUMENT, code != NULL ? code : "damaged", "%s",
		message != NULL ? message : "it cannot be rendered");
}

static int take_page_error(struct render *r, const cJSON *meta, struct page *page, struct err *err)
{
	if (check_number(r, meta, err) != 0)
		return -1;
	*page = (struct page){.number = r->next};
	fault_of(meta, &page->error);
	r->next = next_wanted(r, r->next + 1);
	return 1;
}

static int take_end(struct render *r, struct err *err)
{
	if (r->pages == 0 || r->next <= r->pages)
		return nonsense(err, "an end before the last page");
	(void)stop(r);
	return 2;
}

/* 0: nothing for the caller in it; else as render_next(). */
static int take_frame(struct render *r, struct page *page, struct err *err)
{
	cJSON *meta = json_parse(buf_text(&r->reader.meta), r->reader.meta.len);
	const char *type = meta != NULL ? json_text(meta, "type") : NULL;
	int rc;

	if (type == NULL)
		rc = nonsense(err, "a message without a type");
	else if (strcmp(type, "document") == 0)
		rc = take_document(r, meta, err);
	else if (strcmp(type, "page") == 0)
		rc = take_page(r, meta, page, err);
	else if (strcmp(type, "page_error") == 0)
		rc = take_page_error(r, meta, page, err);
	else if (strcmp(type, "end") == 0)
		rc = take_end(r, err);
	else if (strcmp(type, "error") == 0)
		rc = (fault_of(meta, err), -1);
	else
		rc = nonsense(err, "a message of unknown type");
	cJSON_Delete(meta);
	return rc;
}

/* ---- losses ---- */

/* What works all the time runs into its processor limit first: what is late all the same was kept from working,
 * by a host that is busy or asleep, and may do better another time. */
static void timed_out(const struct render *r, struct err *fault)
{
	err_set(fault, ERR_TRANSIENT, "timeout",
		"%s took longer than %lld seconds to render (render.page_timeout)",
		r->pages > 0 ? "the page" : "the PDF",
		(long long)r->settings->page_timeout_ms / 1000);
}

/* Why a helper ended that should not have. */
static void explain_end(int status, struct err *fault)
{
	const int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	char how[64];

	helper_how_ended(status, how, sizeof how);
	if (sig == SIGKILL || sig == SIGTERM)
		err_set(fault, ERR_TRANSIENT, "killed", "the renderer %s", how);
	else if (sig == SIGXCPU)
		err_set(fault, ERR_DOCUMENT, "cpu-time", "rendering took too much processor time");
	else if (sig != 0)
		err_set(fault, ERR_DOCUMENT, "crashed", "it made the renderer crash (SIG%s)",
			sigabbrev_np(sig) != NULL ? sigabbrev_np(sig) : "?");
	else if (WEXITSTATUS(status) == EX_OSERR || WEXITSTATUS(status) == EX_USAGE)
		err_set(fault, ERR_SYSTEM, "renderer", "the renderer could not work: exit code %d",
			WEXITSTATUS(status));
	else
		err_set(fault, ERR_DOCUMENT, "crashed",
			"it made the renderer give up: exit code %d", WEXITSTATUS(status));
}

/* The page in work is lost with the helper: it becomes an error; the next call starts behind it. */
static int lose_page(struct render *r, const struct err *fault, struct page *page, struct err *err)
{
	if (r->pages == 0 || r->next > r->pages || fault->kind == ERR_SYSTEM) {
		*err = *fault;
		return -1;
	}
	if (r->restarts >= RESTARTS_MAX) {
		*err = *fault;
		return err_prefix(err,
			"given up at page %d, after %d pages that failed so: ", r->next,
			r->restarts);
	}
	*page = (struct page){.number = r->next, .error = *fault};
	r->next = next_wanted(r, r->next + 1);
	return 1;
}

/* Has anything of the next frame come? */
static size_t bytes_of(const struct frame_reader *reader)
{
	return reader->head_len + reader->meta.len + reader->body.len;
}

/* 0: nothing more to read now; else as take_frame(), or -1 with the reader's error in *fault. */
static int read_frame(struct render *r, struct err *fault)
{
	const size_t before = bytes_of(&r->reader);
	const int rc = frame_read(&r->reader, r->helper.out, fault);

	/* A helper that is sending has done its work: the time of a page is that of rendering it. */
	if (rc == 1 || bytes_of(&r->reader) != before)
		touch(r);
	return rc;
}

static int restart(struct render *r, struct err *err)
{
	r->restarts++;
	return start(r, err);
}

/* Somebody's SIGKILL says nothing about the page: it is rendered again, unless that happens too often to be chance. */
static bool is_innocent(struct render *r, const struct err *fault)
{
	if (fault->kind != ERR_TRANSIENT || r->kills++ >= KILLS_MAX)
		return false;
	log_event(LEVEL_WARN, "render",
		&(struct log_more){.page = r->next, .ms = -1, .error = fault->text},
		"Page is rendered again");
	return true;
}

int render_next(struct render *r, struct page *page, struct err *err)
{
	struct err fault;
	int rc;

	if (r->helper.pid <= 0 && r->pages > 0 && r->next > r->pages)
		return 2;
	if (r->helper.pid <= 0 && restart(r, err) != 0)
		return -1;
	do {
		rc = read_frame(r, &fault);
		if (rc == 1)
			rc = take_frame(r, page, err);
		else if (rc == -1 && fault.kind == ERR_SYSTEM) {
			explain_end(stop(r), &fault);
			if (!is_innocent(r, &fault))
				return lose_page(r, &fault, page, err);
			rc = start(r, err);
		} else if (rc == -1) {
			*err = fault;
		} else if (clock_boot_ms() >= r->deadline_ms) {
			(void)stop(r);
			timed_out(r, &fault);
			return lose_page(r, &fault, page, err);
		} else {
			return 0;
		}
	} while (rc == 0);
	return rc;
}

/* ---- the rest ---- */

int render_open(struct render **out, const struct set_render *settings, const char *helper_path,
	int document_fd, const char *format, const bool *skip, int skip_count, struct err *err)
{
	struct render *r = mem_calloc(1, sizeof *r);

	*r = (struct render){.settings = settings,
		.helper_path = helper_path,
		.format = format,
		.skip = skip,
		.skip_count = skip != NULL ? skip_count : 0,
		.document_fd = document_fd,
		.helper = HELPER_NONE,
		.next = 1};
	if (start(r, err) != 0) {
		render_close(r);
		*out = NULL;
		return -1;
	}
	*out = r;
	return 0;
}

int render_fd(const struct render *r)
{
	return r->helper.out;
}

int64_t render_deadline_ms(const struct render *r)
{
	return r->helper.pid > 0 ? r->deadline_ms : 0;
}

int render_page_count(const struct render *r)
{
	return r->pages;
}

int render_pid(const struct render *r)
{
	return r->helper.pid;
}

void render_close(struct render *r)
{
	if (r == NULL)
		return;
	(void)stop(r);
	free(r);
}
