"""What the tests of rendering share: the helper and its client run on PDFs made by the test."""

import io
import json
import os
import struct
import subprocess

import numpy
from PIL import Image

from pdf_writer import Pdf

Image.MAX_IMAGE_PIXELS = None
BUILD = os.environ.get("builddir", os.path.join(os.path.dirname(__file__), "..", "..", "build"))
HELPER = os.path.abspath(os.path.join(BUILD, "indexocr-render"))
CLIENT = os.path.abspath(os.path.join(BUILD, "tests", "integration", "render_check"))
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


def pages_of(images, how):
    pdf = Pdf()
    return pdf.write([pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": pdf.image(image, how)})
                      for image in images])


def run_client(pdf, directory, helper=HELPER, form="png", timeout_ms=60000, skip="", memory=0):
    with open_file(pdf) as file:
        done = subprocess.run([CLIENT, helper, form, str(timeout_ms), str(memory), skip, str(directory)], stdin=file,
                              stdout=subprocess.PIPE, timeout=LIMIT_S, check=False)
    *pages, end = map(json.loads, done.stdout.splitlines())
    assert (done.returncode == 0) == (end.get("end") is True), end
    return pages, end
