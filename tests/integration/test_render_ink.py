"""Rendering: how much is written on a page, and which pages are blank."""

import random

import numpy
import pytest
from PIL import Image, ImageDraw, ImageFilter

from pdf_writer import Pdf, scan
from render_lib import only_page, run_helper

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
