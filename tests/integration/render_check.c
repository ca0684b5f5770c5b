/*
 * render_check - the client of indexocr-render, driven from a test
 *
 * usage: render_check HELPER FORMAT PAGE_TIMEOUT_MS MEMORY_LIMIT SKIP DIRECTORY < FILE.pdf
 *
 * SKIP is a text of 0 and 1, one for each page. Prints one JSON object a line, for each page and at
 * the end, and writes each image to DIRECTORY/<page>.
 */
#include "buf.h"
#include "clock.h"
#include "fdio.h"
#include "json.h"
#include "mem.h"
#include "render.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_json(cJSON *object)
{
	char *text = json_print(object);

	(void)puts(text);
	(void)fflush(stdout);
	free(text);
	cJSON_Delete(object);
}

static void add_error(cJSON *object, const struct err *err)
{
	json_add_text(object, "kind", err_kind_name(err->kind));
	json_add_text(object, "code", err->code);
	json_add_text(object, "text", err->text);
}

static void save(const struct page *page, const char *directory)
{
	char *path = mem_printf("%s/%d", directory, page->number);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct err err;

	if (fd == -1 || fd_write_all(fd, page->image.data, page->image.len, &err) != 0)
		abort();
	fd_close(&fd);
	free(path);
}

static void report_page(const struct page *page, const char *directory)
{
	cJSON *object = cJSON_CreateObject();

	json_add_int(object, "page", page->number);
	if (page->error.kind != ERR_NONE) {
		add_error(object, &page->error);
	} else {
		json_add_int(object, "width", page->width);
		json_add_int(object, "height", page->height);
		json_add_int(object, "dpi", page->dpi);
		json_add_int(object, "bytes", (int64_t)page->image.len);
		json_add_text(object, "mime", page->mime);
		cJSON_AddBoolToObject(object, "blank", page->blank);
		cJSON_AddNumberToObject(object, "ink", page->ink);
		save(page, directory);
	}
	print_json(object);
}

static int report_end(struct render *r, int rc, const struct err *err)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddBoolToObject(object, "end", rc == 2);
	json_add_int(object, "pages", render_page_count(r));
	if (rc == -1)
		add_error(object, err);
	print_json(object);
	return rc == 2 ? 0 : 1;
}

static int run(struct render *r, const char *directory)
{
	struct page page;
	struct err err;

	for (;;) {
		struct pollfd ready = {.fd = render_fd(r), .events = POLLIN};
		int rc;

		(void)poll(&ready, 1, clock_left_ms(render_deadline_ms(r)));
		rc = render_next(r, &page, &err);
		if (rc == 1) {
			report_page(&page, directory);
			page_fini(&page);
		} else if (rc != 0) {
			return report_end(r, rc, &err);
		}
	}
}

int main(int argc, char **argv)
{
	struct set_render settings = {.dpi = 300,
		.max_edge = 5000,
		.quality = 90,
		.max_pages = 1000,
		.max_pixels = 100 * 1000 * 1000};
	struct render *r;
	struct err err;
	bool *skip;
	int skip_count;
	int rc;

	if (argc != 7)
		return 64;
	settings.page_timeout_ms = strtoll(argv[3], NULL, 10);
	settings.memory_limit_bytes = strtoll(argv[4], NULL, 10);
	skip_count = (int)strlen(argv[5]) + 1;
	skip = mem_calloc((size_t)skip_count, sizeof *skip);
	for (int i = 1; i < skip_count; i++)
		skip[i] = argv[5][i - 1] == '1';
	if (render_open(&r, &settings, argv[1], STDIN_FILENO, argv[2], skip, skip_count, &err) !=
		0) {
		cJSON *object = cJSON_CreateObject();

		add_error(object, &err);
		print_json(object);
		free(skip);
		return 1;
	}
	rc = run(r, argv[6]);
	render_close(r);
	free(skip);
	return rc;
}
