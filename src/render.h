/*
 * render - a document file becomes page images, one ahead; client of indexocr-render
 *
 * The helper has the PDF as standard input and writes frames to standard output: first
 * {"type":"document","pages":n}, then for each wanted page, in order, {"type":"page","page":n,"widt
 * h":px,"height":px,"mime":"image/jpeg","dpi":d,"scan":true,"ink":0.031,"blank":false} with the
 * image as body, or {"type":"page_error","page":n,"code":"...","message":"..."};
 * {"type":"error","code":"encrypted","message":"..."} where the document cannot be read at all; at
 * the end {"type":"end"}. The pipe is the brake: the helper renders one page ahead and waits until
 * it is taken.
 *
 * A page that takes longer than page_timeout_ms, or crashes the helper, is that page's error; the
 * helper is started again behind it, a bounded number of times. A helper that is killed from outside
 * is started again at the same page, the first three times in a document.
 *
 * A page that one JPEG covers is passed through as it is, without its Exif block; a scan keeps its
 * own pixels; max_edge and max_pixels only ever make a page smaller. "pnm" is P4 for pages of black
 * and white, else P5.
 *
 * Ownership  render_next() fills the caller's struct page; page_fini() frees it. The document fd is
 *            borrowed until render_close().
 * Errors     of the document: ERR_DOCUMENT "encrypted", "damaged", "empty", "too-many-pages",
 *            "memory", "timeout", "crashed"; ERR_TRANSIENT "killed" (from outside); ERR_CONFIG
 *            "helper-missing"; ERR_SYSTEM where the helper cannot work; ERR_BUG "frame" for
 *            nonsense from it. Of a page, in page.error: ERR_DOCUMENT "damaged", "too-large"
 *            (max_pixels), "memory", "timeout", "crashed"; ERR_TRANSIENT "killed".
 * Processes  worker.
 */
#ifndef INDEXOCR_RENDER_H
#define INDEXOCR_RENDER_H

#include "buf.h"
#include "err.h"
#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

struct render;

struct page {
	int number; /* from 1 */
	int width;  /* pixels, upright */
	int height;
	int dpi; /* resolution the image was made at or scanned with; 0 = unknown */
	char mime[32];
	struct buf image; /* owned */
	double ink;       /* share of dark pixels after background normalisation, 0..1 */
	bool blank;
	struct err error; /* kind ERR_NONE unless this page could not be rendered */
};

void page_fini(struct page *page);

/*
 * Starts the helper. format: "jpeg", "png" or "pnm". skip[n] true = page n (from 1) is not wanted;
 * skip_count entries, may be NULL. Both are borrowed until render_close().
 */
int render_open(struct render **out, const struct set_render *settings, const char *helper_path,
	int document_fd, const char *format, const bool *skip, int skip_count, struct err *err);

/* Poll this for POLLIN; -1 where there is nothing to wait for. */
int render_fd(const struct render *r);

/* When to call render_next() at the latest, in boot time: the page's time limit. */
int64_t render_deadline_ms(const struct render *r);

/* 1: *page is the next one (or its error); 0: not yet; 2: that was the last; -1: the document
 * cannot be read. */
int render_next(struct render *r, struct page *page, struct err *err);

/* Pages of the document; 0 until the helper has said so. */
int render_page_count(const struct render *r);

/* The helper's pid for the scoreboard and obituary; 0 = none. */
int render_pid(const struct render *r);

/* Ends the helper (by pid, and waits for it) and frees. NULL is fine. */
void render_close(struct render *r);

#endif
