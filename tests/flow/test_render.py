"""indexocr-render and its client: what goes in as a PDF comes out as page images, or as a named error."""

import io
import json
import os
import random
import resource
import signal
import stat
import struct
import subprocess
import time

import numpy
import pytest
from PIL import Image, ImageDraw, ImageFilter

from pdf_writer import Pdf, g4_bytes, jpeg_bytes, scan

Image.MAX_IMAGE_PIXELS = None
BUILD = os.environ.get("builddir", os.path.join(os.path.dirname(__file__), "..", "..", "build"))
HELPER = os.path.abspath(os.path.join(BUILD, "indexocr-render"))
CLIENT = os.path.abspath(os.path.join(BUILD, "tests", "flow", "render_check"))
LIMIT_S = 60
SANITIZED = b"__asan_init" in open(HELPER, "rb").read()


def frames(stream):
    """(meta, body) of each frame in these bytes."""
    at = 0
    while at < len(stream):
        assert stream[at:at + 4] == b"IOF1"
        meta, body = struct.unpack("<IQ", stream[at + 4:at + 16])
        at += 16
        yield json.loads(stream[at:at + meta]), stream[at + meta:at + meta + body]
        at += meta + body


def run_helper(pdf, *options, env=None):
    """The helper's frames for these PDF bytes."""
    with open_file(pdf) as file:
        done = subprocess.run([HELPER, *map(str, options)], stdin=file, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=LIMIT_S, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return list(frames(done.stdout))


def open_file(data):
    fd = os.memfd_create("test")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return os.fdopen(fd, "rb")


def only_page(pdf, *options):
    """Meta and image of the only page."""
    first, page, end = run_helper(pdf, *options)
    assert first[0] == {"type": "document", "pages": 1}
    assert page[0]["type"] == "page", page[0]
    assert end[0] == {"type": "end"}
    image = Image.open(io.BytesIO(page[1]))
    image.load()
    assert image.size == (page[0]["width"], page[0]["height"])
    return page[0], image


def page_error(pdf, *options):
    first, page, end = run_helper(pdf, *options)
    assert page[0]["type"] == "page_error", page[0]
    assert page[0]["page"] == 1 and page[0]["message"]
    return page[0]["code"]


def document_error(pdf, *options):
    (error, _), = run_helper(pdf, *options)
    assert error["type"] == "error" and error["message"]
    return error["code"]


def grain(width, height, mode="L", seed=7):
    """Every pixel its own: shows each lost, doubled, moved or blended one."""
    channels = 3 if mode == "RGB" else 1
    values = numpy.random.default_rng(seed).integers(0, 256, (height, width, channels), numpy.uint8)
    if mode == "1":
        return Image.fromarray(values[..., 0]).point(lambda v: 255 * (v > 127)).convert("1")
    return Image.fromarray(values if channels == 3 else values[..., 0])


def same(a, b):
    return a.size == b.size and numpy.array_equal(numpy.asarray(a.convert("RGB")), numpy.asarray(b.convert("RGB")))


# ---- a scan comes out as the scan ----

SIZES = [(403, 571), (1700, 2200), (640, 333)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("points", [(595.28, 841.89), (612, 792), (96.7, 136.3), (4000, 5657)])
def test_a_scan_keeps_its_pixels_whatever_size_the_page_declares(size, points):
    image = grain(*size)
    meta, out = only_page(scan(image, *points), "--format", "pnm")
    assert meta["scan"] and same(image, out)


@pytest.mark.parametrize("how,mode", [("flate", "L"), ("flate", "RGB"), ("flate", "1"), ("g4", "1")])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_rotated_page_comes_out_as_it_is_viewed(how, mode, rotate):
    image = grain(301, 407, mode)
    _, out = only_page(scan(image, 216.72, 293.04, how, rotate), "--format", "png")
    assert same(image.rotate(-rotate, expand=True), out)


@pytest.mark.parametrize("turn,matrix", [(90, "0 -300 400 0 0 300"), (180, "-400 0 0 300 400 0"), (270, "0 300 -400 0 400 0")])
def test_an_image_turned_by_its_matrix_comes_out_turned(turn, matrix):
    if turn == 180:
        matrix = "-400 0 0 -300 400 300"
    image = grain(211, 157)
    pdf = Pdf()
    number = pdf.image(image)
    box = (0, 0, 400, 300)
    _, out = only_page(pdf.write([pdf.page(f"q {matrix} cm /I Do Q", box, {"I": number})]), "--format", "pnm")
    assert same(image.rotate(-turn, expand=True), out)


def test_an_indexed_image_keeps_its_colours():
    image = grain(200, 300).quantize(16)
    image.putpalette(random.Random(3).randbytes(768))
    _, out = only_page(scan(image, 200, 300), "--format", "png")
    assert same(image, out)


def test_a_grey_palette_comes_out_grey():
    meta, out = only_page(scan(grain(200, 300).convert("P"), 200, 300), "--format", "png")
    assert out.mode == "L"


def test_an_image_mask_is_painted_in_its_colour():
    image = grain(320, 240, "1")
    _, out = only_page(scan(image, 320, 240, "mask"), "--format", "pnm")
    assert same(image, out) and out.mode == "1"


def test_a_page_of_black_and_white_is_one_bit_a_pixel():
    pdf = scan(grain(320, 240, "1"), 320, 240, "g4")
    for form, mime in (("pnm", "image/x-portable-bitmap"), ("png", "image/png")):
        meta, out = only_page(pdf, "--format", form)
        assert meta["mime"] == mime and out.mode == "1"


def test_an_inline_image_is_a_scan_too():
    image = grain(50, 40)
    content = (b"q 500 0 0 400 0 0 cm BI /W 50 /H 40 /CS /G /BPC 8 ID " + image.tobytes() + b" EI Q")
    pdf = Pdf()
    _, out = only_page(pdf.write([pdf.page(content, (0, 0, 500, 400))]), "--format", "pnm")
    assert same(image, out)


def test_an_image_inside_nested_forms_is_a_scan_too():
    image = grain(333, 222)
    pdf = Pdf()
    inner = pdf.form("q 333 0 0 222 0 0 cm /I Do Q", {"I": pdf.image(image)})
    outer = pdf.form("q 0.5 0 0 0.5 10 20 cm /F Do Q", {"F": inner}, "/Matrix [2 0 0 2 -20 -40]")
    _, out = only_page(pdf.write([pdf.page("/F Do", (0, 0, 333, 222), {"F": outer})]), "--format", "pnm")
    assert same(image, out)


def test_strips_join_without_a_seam():
    image = grain(500, 700)
    pdf, names, content = Pdf(), {}, ""
    for top in range(0, 700, 70):
        names[f"S{top}"] = pdf.image(image.crop((0, top, 500, top + 70)))
        content += f"q 297.6 0 0 {70 * 841.9 / 700:.6f} 0 {841.9 * (1 - (top + 70) / 700):.6f} cm /S{top} Do Q\n"
    _, out = only_page(pdf.write([pdf.page(content, (0, 0, 297.6, 841.9), names)]), "--format", "pnm")
    assert same(image, out)


def test_of_layers_the_finest_that_matters_sets_the_resolution():
    pdf = Pdf()
    text = grain(800, 1000, "1")
    names = {"Back": pdf.image(Image.new("L", (100, 125), 255), "jpeg"), "Text": pdf.image(text, "mask"),
             "Seal": pdf.image(grain(400, 400))}
    content = ("q 400 0 0 500 0 0 cm /Back Do Q q 400 0 0 500 0 0 cm /Text Do Q q 20 0 0 20 0 0 cm /Seal Do Q")
    meta, out = only_page(pdf.write([pdf.page(content, (0, 0, 400, 500), names)]), "--format", "pnm")
    assert out.size == (800, 1000)
    above_seal = (0, 0, 800, 950)
    assert same(text.crop(above_seal), out.crop(above_seal))


@pytest.mark.parametrize("crop", [(100, 50, 300, 450), (0, 0, 200, 500)])
def test_a_crop_box_cuts_at_the_scans_own_resolution(crop):
    image = grain(800, 1000)
    pdf = Pdf()
    name = pdf.image(image)
    page = pdf.page("q 400 0 0 500 0 0 cm /I Do Q", (0, 0, 400, 500), {"I": name}, crop=crop)
    _, out = only_page(pdf.write([page]), "--format", "pnm")
    left, bottom, right, top = (2 * v for v in crop)
    assert same(image.crop((left, 1000 - top, right, 1000 - bottom)), out)


def test_a_media_box_need_not_begin_at_zero():
    image = grain(400, 300)
    pdf = Pdf()
    name = pdf.image(image)
    page = pdf.page("q 200 0 0 150 -50 33 cm /I Do Q", (-50, 33, 150, 183), {"I": name})
    _, out = only_page(pdf.write([page]), "--format", "pnm")
    assert same(image, out)


def test_a_margin_around_the_scan_stays_and_the_resolution_is_the_scans():
    image = grain(900, 1200)
    pdf = Pdf()
    name = pdf.image(image)
    page = pdf.page("q 450 0 0 600 25 30 cm /I Do Q", (0, 0, 500, 660), {"I": name})
    meta, out = only_page(pdf.write([page]), "--format", "pnm")
    assert out.size == (1000, 1320) and meta["dpi"] == 144
    assert same(image, out.crop((50, 60, 950, 1260)))


def test_an_invisible_text_layer_changes_nothing():
    image = grain(400, 300)
    pdf = Pdf()
    name = pdf.image(image)
    text = "BT /F 12 Tf 3 Tr 10 100 Td " + "(read before) Tj " * 50 + "ET"
    font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
    page = pdf.page(f"q 200 0 0 150 0 0 cm /I Do Q {text}", (0, 0, 200, 150), {"I": name}, resources=font)
    _, out = only_page(pdf.write([page]), "--format", "pnm")
    assert same(image, out)


def test_text_over_a_coarse_picture_is_rendered_at_the_configured_resolution():
    pdf = Pdf()
    name = pdf.image(Image.new("L", (60, 80), 230))
    font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
    text = "BT /F 8 Tf 20 300 Td " + "(a whole line of text) Tj 0 -10 Td " * 20 + "ET"
    page = pdf.page(f"q 300 0 0 400 0 0 cm /I Do Q {text}", (0, 0, 300, 400), {"I": name}, resources=font)
    meta, out = only_page(pdf.write([page]), "--format", "pnm", "--dpi", 300)
    assert out.size == (1250, 1667) and not meta["scan"]


def test_a_vector_page_is_rendered_at_the_configured_resolution():
    pdf = Pdf()
    page = pdf.page("2 w 20 20 m 100 50 l S", (0, 0, 144, 72))
    meta, out = only_page(pdf.write([page]), "--format", "png", "--dpi", 200)
    assert out.size == (400, 200) and meta["dpi"] == 200 and not meta["scan"] and not meta["blank"]


# ---- limits make it smaller, never larger ----


def test_max_edge_makes_a_scan_smaller_by_area_means():
    image = grain(1000, 600)
    meta, out = only_page(scan(image, 500, 300), "--format", "pnm", "--max-edge", 500)
    assert out.size == (500, 300) and meta["dpi"] == 72
    means = numpy.asarray(image, float).reshape(300, 2, 500, 2).mean((1, 3))
    assert numpy.abs(means - numpy.asarray(out)).max() <= 1


def test_a_huge_vector_page_is_rendered_within_the_limits():
    pdf = Pdf()
    page = pdf.page("0 0 m 14000 14000 l S", (0, 0, 14400, 7200))
    _, out = only_page(pdf.write([page]), "--max-edge", 2000)
    assert out.size == (2000, 1000)
    _, out = only_page(pdf.write([pdf.page("", (0, 0, 14400, 7200))]), "--max-pixels", 80000, "--max-edge", 60000)
    assert out.size[0] * out.size[1] <= 80000


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("filter_", ["/FlateDecode", "/DCTDecode", "/CCITTFaxDecode", "/JBIG2Decode"])
def test_an_image_over_max_pixels_is_refused_without_decoding(filter_):
    pdf = Pdf()
    huge = pdf.stream(b"\0" * 9000, "/Type /XObject /Subtype /Image /Width 30000 /Height 30000 /ColorSpace /DeviceRGB "
                      f"/BitsPerComponent 8 /Filter {filter_}")
    page = pdf.page("q 500 0 0 500 0 0 cm /I Do Q", (0, 0, 500, 500), {"I": huge})
    # 900 million pixels fit into no such memory: that there is an answer shows that none was decoded.
    options = [] if SANITIZED else ["--memory-limit", 400 << 20]
    assert page_error(pdf.write([page]), *options) == "too-large"


def test_a_soft_mask_over_max_pixels_is_refused():
    pdf = Pdf()
    mask = pdf.stream(b"", "/Type /XObject /Subtype /Image /Width 30000 /Height 30000 /ColorSpace /DeviceGray /BitsPerComponent 8")
    image = pdf.image(grain(10, 10), entries=f"/SMask {mask} 0 R")
    page = pdf.page("q 500 0 0 500 0 0 cm /I Do Q", (0, 0, 500, 500), {"I": image})
    assert page_error(pdf.write([page])) == "too-large"


# ---- JPEG pages ----


def test_a_jpeg_page_is_passed_through_unchanged():
    data = jpeg_bytes(grain(640, 480, "RGB"))
    pdf = Pdf()
    name = pdf.image(grain(640, 480, "RGB"), "jpeg", data=data)
    frame = run_helper(pdf.write([pdf.page("q 300 0 0 225 0 0 cm /I Do Q", (0, 0, 300, 225), {"I": name})]))[1]
    assert frame[1] == data and frame[0]["mime"] == "image/jpeg"


def test_an_exif_orientation_does_not_turn_the_page():
    image = grain(320, 200).filter(ImageFilter.GaussianBlur(2))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg_bytes(image, exif=exif)
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6
    pdf = Pdf()
    name = pdf.image(image, "jpeg", data=data)
    document = pdf.write([pdf.page("q 320 0 0 200 0 0 cm /I Do Q", (0, 0, 320, 200), {"I": name})])
    for form in ("jpeg", "png", "pnm"):
        _, out = only_page(document, "--format", form)
        assert 0x0112 not in out.getexif()
        assert same(Image.open(io.BytesIO(data)), out)


@pytest.mark.parametrize("rotate", [90, 180, 270])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_rotated_jpeg_page_comes_out_as_it_is_viewed(rotate, mode):
    image = grain(320, 200, mode).filter(ImageFilter.GaussianBlur(3))
    decoded = Image.open(io.BytesIO(jpeg_bytes(image)))
    _, out = only_page(scan(image, 320, 200, "jpeg", rotate), "--format", "png")
    turned = numpy.asarray(decoded.rotate(-rotate, expand=True).convert("L"), int)
    assert numpy.abs(turned - numpy.asarray(out.convert("L"), int)).max() <= 1


@pytest.mark.parametrize("change", ["mark", "mask", "decode", "clip", "crop", "cmyk"])
def test_a_jpeg_that_is_not_the_page_as_it_is_viewed_is_not_passed_through(change):
    image = grain(320, 200, "RGB").filter(ImageFilter.GaussianBlur(2))
    if change == "cmyk":
        image = image.convert("CMYK")
    pdf, entries, before, after, crop = Pdf(), "", "", "", None
    if change == "mark":
        after = "0 0 50 50 re f"
    if change == "mask":
        entries = f"/SMask {pdf.image(Image.new('L', (4, 4), 128))} 0 R"
    if change == "decode":
        entries = "/Decode [1 0 1 0 1 0]"
    if change == "clip":
        before = "0 0 100 200 re W n"
    if change == "crop":
        crop = (0, 0, 100, 200)
    name = pdf.image(image, "jpeg", entries)
    page = pdf.page(f"q {before} 320 0 0 200 0 0 cm /I Do Q {after}", (0, 0, 320, 200), {"I": name}, crop=crop)
    document = pdf.write([page])
    meta, out = only_page(document, "--quality", 95)
    expected = reference(document, out.size)
    difference = numpy.abs(numpy.asarray(out.convert("L"), int) - numpy.asarray(expected.convert("L"), int))
    assert difference.mean() < 4


def reference(pdf, size):
    """The first page as pdftoppm sees it, at this size."""
    with open_file(pdf) as file:
        ppm = subprocess.run(["pdftoppm", "-cropbox", "-scale-to-x", str(size[0]), "-scale-to-y", str(size[1]), "-"],
                             stdin=file, stdout=subprocess.PIPE, timeout=LIMIT_S, check=True).stdout
    return Image.open(io.BytesIO(ppm))


def test_a_grey_page_in_rgb_is_sent_in_grey_and_a_coloured_one_in_colour():
    grey = grain(300, 300).convert("RGB")
    assert only_page(scan(grey, 300, 300))[1].mode == "L"
    red = grey.copy()
    ImageDraw.Draw(red).text((100, 100), "en marge", fill=(200, 20, 30))
    assert only_page(scan(red, 300, 300))[1].mode == "RGB"


def test_yellow_paper_with_black_ink_has_no_colour_worth_keeping():
    page = Image.new("RGB", (600, 800), (236, 222, 186))
    draw = ImageDraw.Draw(page)
    for y in range(50, 750, 20):
        draw.text((40, y), "acte de vente, par devant maitre Dufour, notaire", fill=(25, 24, 20))
    assert only_page(scan(page, 300, 400))[1].mode == "L"


# ---- ink and blank ----


def paper(width=1240, height=1754, level=205, noise=9.0, seed=1):
    """Grey noisy paper, darker towards a corner."""
    rng = numpy.random.default_rng(seed)
    shade = numpy.linspace(0, 25, width)[None, :] + numpy.linspace(0, 20, height)[:, None]
    return level - shade + rng.normal(0, noise, (height, width))


def image_of(values):
    return Image.fromarray(numpy.clip(values, 0, 255).astype(numpy.uint8))


def blank_of(image, how="flate"):
    meta = run_helper(scan(image, 595, 842, how))[1][0]
    return meta["blank"], meta["ink"]


@pytest.mark.parametrize("level,noise", [(255, 0), (205, 2), (205, 9), (160, 14), (235, 20)])
@pytest.mark.parametrize("how", ["flate", "jpeg"])
def test_an_empty_noisy_grey_page_is_blank(level, noise, how):
    blank, ink = blank_of(image_of(paper(level=level, noise=noise)), how)
    assert blank and ink < 0.001


def with_borders(values):
    values[:60] = values[:, :45] = values[:, -80:] = 12
    return values


def test_black_scanner_borders_are_not_ink():
    blank, ink = blank_of(image_of(with_borders(paper())))
    assert blank and ink < 0.001


def pencil(contrast):
    """One short line of writing, in strokes darker than the paper by this part."""
    strokes = Image.new("L", (1240, 1754), 0)
    draw = ImageDraw.Draw(strokes)
    rng = random.Random(5)
    for x in range(300, 560, 26):
        draw.arc((x, 700, x + 22, 730), rng.randint(0, 90), rng.randint(180, 360), fill=255, width=3)
        draw.line((x, 725, x + 24, 705), fill=255, width=2)
    mask = numpy.asarray(strokes.filter(ImageFilter.GaussianBlur(0.7)), float) / 255
    return 1 - contrast * mask


@pytest.mark.parametrize("borders", [False, True])
def test_one_line_in_faint_pencil_is_not_blank(borders):
    values = paper(noise=5)
    values = with_borders(values) if borders else values
    blank, ink = blank_of(image_of(values * pencil(0.2)))
    assert not blank and 0 < ink < 0.01


def test_a_ruled_page_whose_lines_run_into_the_border_is_not_blank():
    image = image_of(with_borders(paper()))
    draw = ImageDraw.Draw(image)
    for x in range(200, 1200, 200):
        draw.line((x, 0, x, 1754), fill=70, width=3)
    draw.text((300, 400), "Vente", fill=60)
    assert not blank_of(image)[0]


def test_a_page_number_alone_is_not_blank():
    image = image_of(paper())
    digit = Image.new("L", (12, 12), 0)
    ImageDraw.Draw(digit).text((2, 0), "7", fill=255)
    image.paste(60, (600, 1600), digit.resize((30, 30)))
    assert not blank_of(image)[0]


def test_a_negative_is_measured_like_a_positive():
    page = image_of(paper())
    ImageDraw.Draw(page).text((300, 400), "acte de vente par devant Dufour", fill=40)
    negative = page.point(lambda v: 255 - v)
    assert not blank_of(negative)[0]
    assert blank_of(image_of(255 - paper()))[0]


def test_a_vector_page_without_content_is_blank():
    pdf = Pdf()
    assert only_page(pdf.write([pdf.page("", (0, 0, 595, 842))]))[0]["blank"]


# ---- faults have names ----


def test_an_empty_file_is_empty():
    assert document_error(b"") == "empty"


@pytest.mark.parametrize("data", [b"<html><body>404 not found</body></html>", b"%PDF-1.4\n", b"\0" * 5000,
                                  b"%PDF-1.4\ntrailer << /Root 1 0 R >>"])
def test_what_is_no_pdf_is_damaged(data):
    assert document_error(data) == "damaged"


def test_a_pdf_without_pages_is_damaged():
    assert document_error(Pdf().write([])) == "damaged"


def encrypted(tmp_path, user):
    plain, locked = tmp_path / "plain.pdf", tmp_path / "locked.pdf"
    plain.write_bytes(scan(grain(100, 100), 100, 100))
    subprocess.run(["qpdf", "--encrypt", user, "owner", "256", "--", plain, locked], check=True, timeout=LIMIT_S)
    return locked.read_bytes()


def test_a_pdf_that_needs_a_password_is_encrypted(tmp_path):
    assert document_error(encrypted(tmp_path, "secret")) == "encrypted"


def test_a_pdf_encrypted_without_a_password_is_read(tmp_path):
    _, out = only_page(encrypted(tmp_path, ""), "--format", "pnm")
    assert same(out, grain(100, 100))


def pages_of(images, how):
    pdf = Pdf()
    return pdf.write([pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": pdf.image(image, how)})
                      for image in images])


def test_too_many_pages_are_named():
    assert document_error(pages_of([grain(30, 40)] * 3, "flate"), "--max-pages", 2) == "too-many-pages"


CUT_CASES = [("jpeg", "L"), ("jpeg", "RGB"), ("flate", "L"), ("g4", "1")]


@pytest.mark.parametrize("how,mode", CUT_CASES)
@pytest.mark.parametrize("form", ["jpeg", "pnm"])
def test_an_image_that_ends_early_is_an_error_not_half_a_page(how, mode, form):
    image = grain(600, 800, mode)
    whole = {"jpeg": jpeg_bytes, "g4": g4_bytes}.get(how, lambda i: __import__("zlib").compress(i.tobytes()))(image)
    pdf = Pdf()
    name = pdf.image(image, how, data=whole[:len(whole) // 2])
    page = pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": name})
    assert page_error(pdf.write([page]), "--format", form) == "damaged"


@pytest.mark.parametrize("how,mode", CUT_CASES)
@pytest.mark.parametrize("rotate", [0, 90])
def test_a_cut_image_among_marks_or_turned_is_an_error_too(how, mode, rotate):
    image = grain(600, 800, mode)
    whole = {"jpeg": jpeg_bytes, "g4": g4_bytes}.get(how, lambda i: __import__("zlib").compress(i.tobytes()))(image)
    pdf = Pdf()
    name = pdf.image(image, how, data=whole[:len(whole) // 2])
    page = pdf.page("q 300 0 0 400 0 0 cm /I Do Q 0 0 9 9 re f", (0, 0, 300, 400), {"I": name}, rotate)
    assert page_error(pdf.write([page]), "--format", "pnm") == "damaged"


@pytest.mark.parametrize("how,mode", CUT_CASES)
def test_a_truncated_file_gives_its_whole_pages_and_errors_for_the_others(how, mode, tmp_path):
    """Pages first, as scanners write: the images of the later pages are cut off."""
    source, linear = tmp_path / "source.pdf", tmp_path / "linear.pdf"
    images = [grain(300, 400, mode, seed) for seed in range(4)]
    source.write_bytes(pages_of(images, how))
    subprocess.run(["qpdf", "--object-streams=disable", "--stream-data=preserve", source, linear], check=True, timeout=LIMIT_S)
    data = linear.read_bytes()
    for part in (0.35, 0.6, 0.9):
        got = run_helper(data[:int(len(data) * part)], "--format", "png")
        if got[0][0]["type"] == "error":
            assert got[0][0]["code"] == "damaged"
            continue
        for meta, body in got[1:-1]:
            if meta["type"] == "page_error":
                assert meta["code"] == "damaged"
            elif how != "jpeg":
                assert same(Image.open(io.BytesIO(body)), images[meta["page"] - 1])
            else:
                decoded = Image.open(io.BytesIO(jpeg_bytes(images[meta["page"] - 1])))
                assert same(Image.open(io.BytesIO(body)), decoded)


def test_a_page_whose_image_is_missing_is_an_error_and_the_others_are_not():
    pdf = Pdf()
    whole = pdf.image(grain(30, 40))
    pages = [pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": number}) for number in (whole, 999, whole)]
    types = [meta["type"] for meta, _ in run_helper(pdf.write(pages))]
    assert types == ["document", "page", "page_error", "page", "end"]


def test_a_page_of_which_nothing_can_be_understood_is_an_error():
    pdf = Pdf()
    image = pdf.stream(b"\0" * 100, "/Type /XObject /Subtype /Image /Width 10 /Height 10 /BitsPerComponent 8 "
                       "/ColorSpace [/Indexed /DeviceRGB 255 <00>]")
    assert page_error(pdf.write([pdf.page("q 9 0 0 9 0 0 cm /I Do Q", (0, 0, 9, 9), {"I": image})])) == "damaged"


def test_content_that_cannot_be_decoded_is_an_error():
    pdf = Pdf()
    content = pdf.stream(__import__("zlib").compress(b"0 0 m 100 100 l S " * 500)[:30], "/Filter /FlateDecode")
    page = f"/Type /Page /MediaBox [0 0 100 100] /Contents {content} 0 R /Resources << >>"
    assert page_error(pdf.write([page])) == "damaged"


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs more address space than the limit leaves")
@pytest.mark.parametrize("limit_mb", [150, 200, 250, 300, 350, 400])
@pytest.mark.parametrize("how", ["flate", "jpeg"])
def test_a_page_that_needs_more_memory_than_allowed_is_an_error_never_a_white_page(limit_mb, how, tmp_path):
    image = Image.new("RGB", (8000, 8000), (0, 0, 90))
    image.paste((255, 255, 255), (100, 100, 7900, 7900))
    ImageDraw.Draw(image).rectangle((3000, 3000, 3600, 3600), fill=(0, 0, 90))
    (page,), end = run_client(scan(image, 600, 600, how), tmp_path, memory=limit_mb << 20)
    assert end["end"]
    if "code" in page:
        assert page["code"] in ("memory", "crashed"), page
    else:
        assert not page["blank"]


# ---- options, environment, memory ----


def test_pages_are_sent_in_order_without_those_to_skip():
    pdf = pages_of([grain(30, 40, seed=n) for n in range(8)], "flate")
    got = run_helper(pdf, "--skip", "1,4-6", "--first", 2, "--format", "pnm")
    assert [meta["page"] for meta, _ in got[1:-1]] == [2, 3, 7, 8]
    assert same(Image.open(io.BytesIO(got[1][1])), grain(30, 40, seed=1))


@pytest.mark.parametrize("options", [["--dpi", "x"], ["--dpi", "0"], ["--format", "gif"], ["--skip", "4-2"], ["--skip", "1,,"],
                                     ["--quality", "101"], ["--nonsense"], ["extra"], ["--first", "-1"]])
def test_bad_options_are_refused(options):
    done = subprocess.run([HELPER, *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 64 and b"usage" in done.stderr and done.stdout == b""


def test_the_output_does_not_depend_on_the_environment():
    pdf = Pdf()
    font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
    page = pdf.page("BT /F 24 Tf 20 50 Td (1,5 acte) Tj ET", (0, 0, 200, 100), resources=font)
    document = pdf.write([page])
    plain = run_helper(document, env={})
    odd = run_helper(document, env={"LC_ALL": "fr_FR.UTF-8", "LANG": "tr_TR.UTF-8", "HOME": "/nonexistent",
                                    "FONTCONFIG_FILE": "/dev/null", "XDG_CACHE_HOME": "/nonexistent"})
    assert plain == odd and not plain[1][0]["blank"]


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps freed memory back")
def test_memory_does_not_grow_with_the_number_of_pages():
    def peak(count):
        pdf = Pdf()
        name = pdf.image(grain(1200, 1600))
        page = pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": name})
        with open_file(pdf.write([page] * count)) as file:
            helper = subprocess.Popen([HELPER, "--format", "pnm"], stdin=file, stdout=subprocess.PIPE)
            while helper.stdout.read(1 << 20):
                pass
            _, status, usage = os.wait4(helper.pid, 0)
            helper.returncode = os.waitstatus_to_exitcode(status)
            helper.stdout.close()
        assert status == 0
        return usage.ru_maxrss

    assert peak(80) < peak(4) + 8 * 1024


# ---- the client ----


def run_client(pdf, directory, helper=HELPER, form="png", timeout_ms=60000, skip="", memory=0):
    with open_file(pdf) as file:
        done = subprocess.run([CLIENT, helper, form, str(timeout_ms), str(memory), skip, str(directory)], stdin=file,
                              stdout=subprocess.PIPE, timeout=LIMIT_S, check=False)
    *pages, end = map(json.loads, done.stdout.splitlines())
    assert (done.returncode == 0) == (end.get("end") is True), end
    return pages, end


def test_the_client_gets_every_page_in_order(tmp_path):
    images = [grain(700, 500 + n, seed=n) for n in range(6)]
    pages, end = run_client(pages_of(images, "flate"), tmp_path, skip="010010")
    assert [page["page"] for page in pages] == [1, 3, 4, 6] and end == {"end": True, "pages": 6}
    for page in pages:
        assert same(Image.open(tmp_path / str(page["page"])), images[page["page"] - 1])


def test_the_client_ends_where_all_pages_are_skipped(tmp_path):
    assert run_client(pages_of([grain(30, 40)] * 2, "flate"), tmp_path, skip="11") == ([], {"end": True, "pages": 2})


@pytest.mark.parametrize("data,code", [(b"", "empty"), (b"no pdf", "damaged")])
def test_the_client_names_what_is_wrong_with_a_document(tmp_path, data, code):
    pages, end = run_client(data, tmp_path)
    assert pages == [] and (end["kind"], end["code"]) == ("document", code)


def test_a_page_error_is_that_pages_alone(tmp_path):
    pdf = Pdf()
    whole = pdf.image(grain(30, 40))
    document = pdf.write([pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": number})
                          for number in (whole, 999, whole)])
    pages, end = run_client(document, tmp_path)
    assert [page.get("code") for page in pages] == [None, "damaged", None] and end["end"]


def fake_helper(tmp_path, body):
    """A program in the helper's place; `first` is the page it is to begin with, send() sends a frame."""
    path = tmp_path / "helper"
    path.write_text(f"""#!/usr/bin/python3 -IS
import json, os, signal, struct, sys, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
first = int(options["--first"])
def send(meta, body=b"", cut=None):
    text = json.dumps(meta).encode()
    out = b"IOF1" + struct.pack("<IQ", len(text), len(body)) + text + body
    sys.stdout.buffer.write(out[:cut]); sys.stdout.buffer.flush()
def page(n, **change):
    send(dict(dict(type="page", page=n, width=10, height=10, mime="image/png", dpi=300, scan=True, ink=0.1, blank=False),
              **change), b"image %d" % n)
{body}
""")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


LOSING = """
send(dict(type="document", pages=5))
for n in range(first, 6):
    if n in (2, 4):
        %s
    page(n)
send(dict(type="end"))
"""


@pytest.mark.parametrize("how,code,word", [
    ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed", "SIGSEGV"),
    ("os.kill(os.getpid(), signal.SIGXCPU)", "timeout", "processor"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "killed", "SIGKILL"),
    ("sys.exit(3)", "crashed", "3"),
    ("sys.exit(0)", "crashed", "0"),
    ("send(dict(type='page', page=n), b'x' * 50, cut=40); os.abort()", "crashed", "SIGABRT"),
])
def test_a_helper_that_dies_on_a_page_loses_that_page_only(tmp_path, how, code, word):
    pages, end = run_client(b"x", tmp_path, fake_helper(tmp_path, LOSING % how))
    assert [page["page"] for page in pages] == [1, 2, 3, 4, 5] and end == {"end": True, "pages": 5}
    assert [page.get("code") for page in pages] == [None, code, None, code, None]
    assert word in pages[1]["text"]
    assert (tmp_path / "3").read_bytes() == b"image 3"


def test_a_page_that_takes_too_long_is_given_up_and_the_rest_goes_on(tmp_path):
    pages, end = run_client(b"x", tmp_path, fake_helper(tmp_path, LOSING % "time.sleep(600)"), timeout_ms=1500)
    assert [page.get("code") for page in pages] == [None, "timeout", None, "timeout", None] and end["end"]


def test_a_document_that_takes_too_long_to_open_is_given_up(tmp_path):
    pages, end = run_client(b"x", tmp_path, fake_helper(tmp_path, "time.sleep(600)"), timeout_ms=700)
    assert pages == [] and end["code"] == "timeout"


def test_the_last_page_lost_is_the_end(tmp_path):
    helper = fake_helper(tmp_path, 'send(dict(type="document", pages=1)); os.abort()')
    pages, end = run_client(b"x", tmp_path, helper)
    assert [page["code"] for page in pages] == ["crashed"] and end["end"]


def test_a_document_that_kills_every_helper_is_given_up(tmp_path):
    helper = fake_helper(tmp_path, 'send(dict(type="document", pages=500)); os.abort()')
    pages, end = run_client(b"x", tmp_path, helper)
    assert len(pages) == 10 and end["code"] == "crashed" and "given up at page 11" in end["text"]


def test_a_helper_that_cannot_be_run_is_the_systems_fault(tmp_path):
    pages, end = run_client(b"x", tmp_path, str(tmp_path / "none"))
    assert pages == [] and end["kind"] == "system" and str(tmp_path / "none") in end["text"]


@pytest.mark.parametrize("body", [
    'sys.stdout.buffer.write(b"%PDF" * 20); sys.stdout.flush(); time.sleep(600)',
    'sys.stdout.buffer.write(b"IOF1" + struct.pack("<IQ", 2, 1 << 60)); sys.stdout.flush(); time.sleep(600)',
    'sys.stdout.buffer.write(b"IOF1" + struct.pack("<IQ", 1 << 30, 0)); sys.stdout.flush(); time.sleep(600)',
    'send([1, 2])', 'send(dict(type=7))', 'send(dict(type="other"))', 'page(1)', 'send(dict(type="end"))',
    'send(dict(type="document", pages=0))', 'send(dict(type="document", pages=1001))',
    'send(dict(type="document", pages=2)); page(2)', 'send(dict(type="document", pages=2)); send(dict(type="end"))',
    'send(dict(type="document", pages=2)); page(1, width=0)', 'send(dict(type="document", pages=2)); page(1, height=70000)',
    'send(dict(type="document", pages=2)); page(1, mime="text/html")', 'send(dict(type="document", pages=2)); page(1, ink=7)',
    'send(dict(type="document", pages=2)); send(dict(type="page_error", page=9, code="x", message="y"))',
    'send(dict(type="document", pages=1)); page(1); page(2)',
])
def test_nonsense_from_a_helper_is_refused(tmp_path, body):
    pages, end = run_client(b"x", tmp_path, fake_helper(tmp_path, body))
    assert len(pages) <= 1 and (end["kind"], end["code"]) == ("bug", "frame")


def test_a_helper_inherits_nothing_but_the_document_and_the_pipe(tmp_path):
    body = """
signal_mask = [line.split()[1] for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn"))]
fds = sorted(int(n) for n in os.listdir("/proc/self/fd"))
send(dict(type="error", code="seen", message=json.dumps([fds[:3], len(fds), sorted(os.environ), signal_mask, sys.stdin.read()])))
"""
    secret = os.open("/dev/null", os.O_RDONLY)
    _, end = run_client(b"the document", tmp_path, fake_helper(tmp_path, body))
    os.close(secret)
    fds, count, env, masks, document = json.loads(end["text"])
    assert fds == [0, 1, 2] and count == 4, "the fourth is the listing's own"
    assert [name for name in env if name not in ("LC_CTYPE",)] == ["LC_ALL", "OMP_THREAD_LIMIT"]
    assert int(masks[0], 16) == 0 and document == "the document"


def test_the_helper_keeps_no_inherited_descriptor_and_no_privilege(tmp_path):
    """Looked at while it waits for its pipe to be read."""
    pdf = pages_of([grain(900, 900)] * 2, "flate")
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    with open_file(pdf) as file:
        helper = subprocess.Popen([HELPER, "--format", "pnm", "--memory-limit", str(1 << 30), "--cpu-limit", "30"], stdin=file,
                                  stdout=subprocess.PIPE, close_fds=False)
        try:
            assert helper.stdout.read(4) == b"IOF1"
            limits = {line[:25].strip(): line[25:].split() for line in open(f"/proc/{helper.pid}/limits")}
            status = dict(line.rstrip("\n").split(":\t", 1) for line in open(f"/proc/{helper.pid}/status") if ":\t" in line)
            if os.geteuid() == 0:
                assert sorted(os.listdir(f"/proc/{helper.pid}/fd"), key=int) == ["0", "1", "2"]
        finally:
            helper.kill()
            helper.wait()
            helper.stdout.close()
            os.close(inherited)
    assert status["NoNewPrivs"] == "1"
    assert limits["Max file size"][:2] == ["0", "0"] and limits["Max core file size"][:2] == ["0", "0"]
    assert int(limits["Max open files"][1]) <= 64 and int(limits["Max cpu time"][0]) <= 40
    if not SANITIZED:
        assert limits["Max address space"][0] == str(1 << 30)


def is_running(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_helper_dies_with_its_parent():
    """The test holds the pipe's other end, so that nothing but the parent's death ends it."""
    pdf = pages_of([grain(900, 900)] * 2, "flate")
    script = ("import subprocess, sys, time\n"
              f"helper = subprocess.Popen([{HELPER!r}, '--format', 'pnm'])\n"
              "print(helper.pid, file=sys.stderr, flush=True)\n"
              "time.sleep(600)")
    with open_file(pdf) as file:
        parent = subprocess.Popen(["/usr/bin/python3", "-IS", "-c", script], stdin=file, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
    helper = int(parent.stderr.readline())
    assert parent.stdout.read(4) == b"IOF1" and is_running(helper)
    parent.kill()
    deadline = time.monotonic() + LIMIT_S
    while is_running(helper) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(helper)
    parent.communicate(timeout=LIMIT_S)


def form_bomb(pdf):
    """Ten forms, each painting the one before ten times: 10^10 rectangles."""
    form = pdf.form("0 0 1 1 re f", {})
    for _ in range(10):
        form = pdf.form("/F Do " * 10, {"F": form})
    return form


def test_a_page_without_end_is_given_up_and_the_others_are_rendered(tmp_path):
    pdf = Pdf()
    whole, bomb = pdf.image(grain(30, 40)), form_bomb(pdf)
    document = pdf.write([pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": number})
                          for number in (whole, bomb, whole)])
    pages, end = run_client(document, tmp_path, timeout_ms=2500)
    assert [page.get("code") for page in pages] == [None, "timeout", None] and end["end"]


def test_a_page_that_uses_up_its_processor_time_ends_the_helper():
    pdf = Pdf()
    document = pdf.write([pdf.page("/I Do", (0, 0, 300, 400), {"I": form_bomb(pdf)})])
    with open_file(document) as file:
        done = subprocess.run([HELPER, "--cpu-limit", "1"], stdin=file, stdout=subprocess.PIPE, timeout=LIMIT_S, check=False)
    assert done.returncode == -signal.SIGXCPU
