"""Rendering: a scan comes out as the scan, upright, at its own resolution; everything else within the limits."""

import io
import json
import os
import random
import subprocess

import numpy
import pytest
from PIL import Image, ImageDraw, ImageFilter

from pdf_writer import Pdf, jpeg_bytes, scan
from render_lib import LIMIT_S, SANITIZED, grain, only_page, open_file, page_error, run_helper, same

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


@pytest.mark.parametrize("change", ["no end", "stray bytes", "bytes behind", "progressive"])
def test_a_whole_jpeg_with_a_scanners_habits_is_no_fault(change):
    image = grain(320, 200)
    data = jpeg_bytes(image, progressive=change == "progressive")
    assert data[-2:] == b"\xff\xd9"
    data = {"no end": data[:-2], "stray bytes": data[:-2] + b"\0" * 9 + data[-2:], "bytes behind": data + b"\0" * 99}.get(change, data)
    pdf = Pdf()
    name = pdf.image(image, "jpeg", data=data)
    document = pdf.write([pdf.page("q 320 0 0 200 0 0 cm /I Do Q", (0, 0, 320, 200), {"I": name})])
    for form in ("jpeg", "pnm"):
        _, out = only_page(document, "--format", form)
        assert same(Image.open(io.BytesIO(jpeg_bytes(image, progressive=change == "progressive"))), out)


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


# ---- the sample scans ----

DATA = os.path.join(os.path.dirname(__file__), "..", "data")
SAMPLES = sorted(name[:-4] for name in os.listdir(DATA) if name.endswith(".pdf"))


@pytest.mark.parametrize("form", ["jpeg", "png", "pnm"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_comes_out_upright_at_its_own_size_and_its_blank_pages_are_known(name, form):
    with open(os.path.join(DATA, name + ".json"), encoding="utf-8") as file:
        truth = json.load(file)["pages"]
    with open(os.path.join(DATA, name + ".pdf"), "rb") as file:
        got = run_helper(file.read(), "--format", form, "--max-edge", 5000)[1:-1]
    expected = [(page["width"], page["height"], page["blank"]) for page in truth]
    assert [(meta["width"], meta["height"], meta["blank"]) for meta, _ in got] == expected
