/*
 * indexocr-tesseract - reads page images with libtesseract, one after the other, for as long as its
 * standard input is open
 *
 * Frames as in frame.h. First {"type":"ready","version","languages"}, or {"type":"error","code",
 * "message"} and the end. Then for each {"type":"read","id","table","dpi"} with an image as body one
 * {"type":"answer","id","body"} or {"type":"failed","id","code","message"}.
 */
#include "buf.h"
#include "frame.h"
#include "helpers/page.h"
#include "helpers/reader.h"
#include "json.h"
#include "oom.h"

#include <getopt.h>
#include <leptonica/allheaders.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	BODY_MAX_BYTES = 512 << 20,
	FILES_MAX = 16,
	EXIT_USAGE = 64,
	EXIT_BUG = 70,
	EXIT_CONFIG = 78
};

struct options {
	const char *languages;
	const char *datadir;
};

/* Frees meta. */
static int send(cJSON *meta, struct err *err)
{
	char *text = json_print(meta);
	const int rc = frame_write(STDOUT_FILENO, text, NULL, 0, err);

	free(text);
	cJSON_Delete(meta);
	return rc;
}

static int send_fault(const char *type, const int64_t *id, const struct err *why, struct err *err)
{
	cJSON *meta = cJSON_CreateObject();

	json_add_text(meta, "type", type);
	if (id != NULL)
		json_add_int(meta, "id", *id);
	json_add_text(meta, "code", why->code);
	json_add_text(meta, "message", why->text);
	return send(meta, err);
}

static int send_ready(const struct options *options, struct err *err)
{
	cJSON *meta = cJSON_CreateObject();

	json_add_text(meta, "type", "ready");
	json_add_text(meta, "version", reader_version());
	json_add_text(meta, "languages", options->languages);
	return send(meta, err);
}

static int send_answer(int64_t id, cJSON *body, struct err *err)
{
	cJSON *meta = cJSON_CreateObject();

	json_add_text(meta, "type", "answer");
	json_add_int(meta, "id", id);
	cJSON_AddItemToObject(meta, "body", body);
	return send(meta, err);
}

static int answer(struct reader *reader, const struct frame_reader *frame, struct err *err)
{
	cJSON *meta = json_parse(buf_text(&frame->meta), frame->meta.len);
	const char *type = json_text(meta, "type");
	const int64_t id = json_int(meta, "id", 0);
	const struct page_request request = {
		.image = frame->body.data,
		.image_bytes = frame->body.len,
		.dpi = (int)json_int(meta, "dpi", 0),
		.table = json_bool(meta, "table", false),
	};
	struct err why = {0};
	cJSON *body = NULL;
	int rc;

	if (type == NULL || strcmp(type, "read") != 0)
		rc = err_set(err, ERR_BUG, "frame", "a request of unknown type");
	else if (page_read(reader, &request, &body, &why) != 0)
		rc = send_fault("failed", &id, &why, err);
	else
		rc = send_answer(id, body, err);
	cJSON_Delete(meta);
	return rc;
}

/* Until the other side closes the pipe, which is no fault. */
static int serve(struct reader *reader, struct err *err)
{
	struct frame_reader frame;
	int rc;

	frame_reader_init(&frame, BODY_MAX_BYTES);
	while ((rc = frame_read(&frame, STDIN_FILENO, err)) == 1)
		if ((rc = answer(reader, &frame, err)) != 0)
			break;
	if (rc == -1 && strcmp(err->code, "eof") == 0)
		rc = 0;
	frame_reader_fini(&frame);
	return rc;
}

/* What reads a hostile image has no business with many files or with being looked at. No limit on
 * file size: standard error may be a log file. */
static void confine(void)
{
	const struct rlimit files = {FILES_MAX, FILES_MAX};
	const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef SANITIZED /* the leak checker looks at its own process */
	(void)prctl(PR_SET_DUMPABLE, 0);
#endif
	(void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write() */
}

static bool parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"languages", required_argument, NULL, 'l'},
		{"datadir", required_argument, NULL, 'd'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "l:d:", known, NULL)) != -1) {
		if (c == 'l')
			options->languages = optarg;
		else if (c == 'd')
			options->datadir = optarg;
		else
			return false;
	}
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options options = {.languages = "fra"};
	struct reader *reader = NULL;
	struct err err = {0};
	int status = EXIT_BUG;

	oom_volunteer();
	if (!parse(argc, argv, &options)) {
		(void)fprintf(stderr, "usage: %s [--languages L] [--datadir DIR]\n", argv[0]);
		return EXIT_USAGE;
	}
	confine();
	(void)setlocale(LC_ALL, "C.UTF-8");
	(void)setMsgSeverity(L_SEVERITY_NONE);
	if (reader_open(&reader, options.languages, options.datadir, &err) != 0) {
		(void)send_fault("error", NULL, &err, &err);
		return EXIT_CONFIG;
	}
	if (send_ready(&options, &err) == 0 && serve(reader, &err) == 0)
		status = EXIT_SUCCESS;
	else
		(void)fprintf(stderr, "indexocr-tesseract: %s\n", err.text);
	reader_close(reader);
	return status;
}
