#include "render_pdf.h"

#include "render_device.hh"
#include "render_survey.hh"

#include <poppler/Error.h>
#include <poppler/ErrorCodes.h>
#include <poppler/GlobalParams.h>
#include <poppler/goo/gfile.h>
#include <poppler/Page.h>
#include <poppler/PDFDoc.h>
#include <poppler/splash/SplashBitmap.h>
#include <poppler/Stream.h>

#include <algorithm>
#include <memory>
#include <new>

struct pdf {
	std::unique_ptr<GlobalParamsIniter> params;
	std::unique_ptr<GooFile> file; /* read by doc, so it goes after it */
	std::unique_ptr<PDFDoc> doc;
};

/* poppler's callback takes no pointer of ours; the process has one document. */
static int stream_errors;

static void note_error(ErrorCategory category, Goffset, const char *)
{
	if (category == errSyntaxError || category == errIO)
		stream_errors++;
}

static int open_failed(const PDFDoc &doc, struct err *err)
{
	if (doc.getErrorCode() == errEncrypted)
		return err_set(err, ERR_DOCUMENT, "encrypted",
			"the PDF is encrypted and cannot be read without its password");
	return err_set(err, ERR_DOCUMENT, "damaged",
		"the PDF cannot be read: it is damaged, or not a PDF");
}

int pdf_open(struct pdf **out, int fd, struct err *err)
try {
	auto pdf = std::make_unique<struct pdf>();
	Goffset size;

	*out = nullptr;
	pdf->params = std::make_unique<GlobalParamsIniter>(note_error);
	pdf->file = GooFile::open(fd);
	size = pdf->file ? pdf->file->size() : -1;
	if (size < 0)
		return err_errno(err, ERR_SYSTEM, "the PDF on standard input is no file");
	if (size == 0)
		return err_set(err, ERR_DOCUMENT, "empty", "the file is empty");
	pdf->doc = std::make_unique<PDFDoc>(
		new FileStream(pdf->file.get(), 0, false, size, Object(objNull)));
	if (!pdf->doc->isOk())
		return open_failed(*pdf->doc, err);
	if (pdf->doc->getNumPages() <= 0)
		return err_set(err, ERR_DOCUMENT, "damaged", "the PDF is damaged: it has no page");
	*out = pdf.release();
	return 0;
} catch (const std::bad_alloc &) {
	return err_set(err, ERR_DOCUMENT, "memory", "opening the PDF takes too much memory");
}

void pdf_close(struct pdf *pdf)
{
	delete pdf;
}

int pdf_page_count(struct pdf *pdf)
{
	return pdf->doc->getNumPages();
}

static int page_damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_DOCUMENT, "damaged", "the page is damaged: %s", what);
}

static int too_much_memory(struct err *err)
{
	return err_set(err, ERR_DOCUMENT, "memory",
		"the page takes more memory than it may (render.memory_limit)");
}

/* Reads a content stream to its end; false where it cannot be decoded so far. */
static bool content_is_whole(const Object &content)
{
	const int before = stream_errors;
	unsigned char chunk[4096];
	int64_t bytes_left =
		64 << 20; /* what is longer is not worth the time; limits apply anyway */
	Stream *str;
	int got;

	if (!content.isStream())
		return false;
	str = content.getStream();
	str->reset();
	while (bytes_left > 0 && (got = str->doGetChars(sizeof chunk, chunk)) > 0)
		bytes_left -= got;
	str->close();
	return stream_errors == before;
}

static bool contents_are_whole(Page *page, XRef *xref)
{
	const Object contents = page->getContents();
	const Object description = xref->fetch(page->getRef());

	if (description.isDict() && description.dictLookupNF("Contents").isNull())
		return true; /* an empty page may do without */
	if (contents.isArray()) {
		for (int i = 0; i < contents.arrayGetLength(); i++)
			if (!content_is_whole(contents.arrayGet(i)))
				return false;
		return true;
	}
	return content_is_whole(contents);
}

/* An image or form that the page names but the file has lost would be left out without a word. */
static bool resources_are_there(Page *page)
{
	Dict *resources = page->getResourceDict();
	Object objects = resources != nullptr ? resources->lookup("XObject") : Object(objNull);

	if (!objects.isDict())
		return true;
	for (int i = 0; i < objects.dictGetLength(); i++)
		if (!objects.dictGetVal(i).isStream())
			return false;
	return true;
}

static int check_page(Page *page, XRef *xref, struct err *err)
{
	if (page == nullptr || !page->isOk())
		return page_damaged(err, "its description cannot be read");
	if (!contents_are_whole(page, xref))
		return page_damaged(err, "its content is cut off or unreadable");
	if (!resources_are_there(page))
		return page_damaged(err, "an image it shows is missing from the file");
	return 0;
}

/* False where there were errors and nothing else: what comes out white would pass for blank. */
static bool survey_page(Page *page, Survey *survey)
{
	const double points = 72;
	const int before = stream_errors;
	struct page_survey found;

	page->display(survey, points, points, 0, false, true, false);
	found = survey->result(page);
	return stream_errors == before || found.image_count > 0 || found.marks > 0;
}

int pdf_plan(struct pdf *pdf, int number, const struct plan_limits *limits, struct page_plan *plan,
	struct err *err)
try {
	Page *page = pdf->doc->getPage(number);
	Survey survey(nullptr);
	struct page_survey found;

	if (check_page(page, pdf->doc->getXRef(), err) != 0)
		return -1;
	if (!survey_page(page, &survey))
		return page_damaged(err, "nothing on it can be understood");
	found = survey.result(page);
	return plan_page(&found, limits, plan, err);
} catch (const std::bad_alloc &) {
	return too_much_memory(err);
}

int pdf_jpeg(struct pdf *pdf, int number, struct buf *out, struct err *err)
{
	Page *page = pdf->doc->getPage(number);
	Survey survey(out);

	if (page == nullptr)
		return page_damaged(err, "its description cannot be read");
	if (!survey_page(page, &survey) || !survey.result(page).plain_jpeg)
		return page_damaged(err, "its image cannot be read a second time");
	return 0;
}

/* Takes the rasteriser's pixels; its rows are as tight as ours. */
static int take_pixels(RenderDevice *device, const struct page_plan *plan, int channels,
	struct image *out, struct err *err)
{
	SplashBitmap *bitmap = device->getBitmap();
	const bool lies = plan->turn % 2 != 0;
	const int width = lies ? plan->height : plan->width;
	const int height = lies ? plan->width : plan->height;

	if (bitmap == nullptr || bitmap->getDataPtr() == nullptr)
		return too_much_memory(err);
	if (bitmap->getWidth() != width || bitmap->getHeight() != height ||
		bitmap->getRowSize() != width * channels)
		return page_damaged(err, "it cannot be rendered");
	*out = {width, height, channels, bitmap->takeData()};
	return 0;
}

int pdf_render(struct pdf *pdf, int number, const struct page_plan *plan, bool grey,
	struct image *out, struct err *err)
try {
	const bool lies = plan->turn % 2 != 0;
	const bool one_channel = grey || !plan->coloured;
	/* Against the turn, so that the image itself is upright and its pixels stay whole. */
	const int rotate = (4 - plan->turn) % 4 * 90;
	Page *page = pdf->doc->getPage(number);
	RenderDevice device(one_channel ? splashModeMono8 : splashModeRGB8,
		lies ? plan->height : plan->width, lies ? plan->width : plan->height);

	if (page == nullptr)
		return page_damaged(err, "its description cannot be read");
	device.startDoc(pdf->doc.get());
	page->display(&device, lies ? plan->v_dpi : plan->h_dpi, lies ? plan->h_dpi : plan->v_dpi,
		rotate, false, true, false);
	if (device.cut())
		return page_damaged(err, "its image is cut off or unreadable");
	if (device.left_out())
		return too_much_memory(err);
	if (take_pixels(&device, plan, one_channel ? 1 : 3, out, err) != 0)
		return -1;
	image_turn(out, plan->turn);
	return 0;
} catch (const std::bad_alloc &) {
	return too_much_memory(err);
}
