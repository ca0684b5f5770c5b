"""Rendering: faults of documents and pages have names; options, environment and memory."""

import io
import os
import subprocess
import zlib

import pytest
from PIL import Image, ImageDraw

from pdf_writer import Pdf, g4_bytes, jpeg_bytes, scan
from render_lib import (HELPER, LIMIT_S, SANITIZED, document_error, frames, grain, only_page, open_file, page_error, pages_of,
                        run_client, run_helper, same)

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


def test_too_many_pages_are_named():
    assert document_error(pages_of([grain(30, 40)] * 3, "flate"), "--max-pages", 2) == "too-many-pages"


CUT_CASES = [("jpeg", "L"), ("jpeg", "RGB"), ("flate", "L"), ("g4", "1")]


@pytest.mark.parametrize("how,mode", CUT_CASES)
@pytest.mark.parametrize("form", ["jpeg", "pnm"])
def test_an_image_that_ends_early_is_an_error_not_half_a_page(how, mode, form):
    image = grain(600, 800, mode)
    whole = {"jpeg": jpeg_bytes, "g4": g4_bytes}.get(how, lambda i: zlib.compress(i.tobytes()))(image)
    pdf = Pdf()
    name = pdf.image(image, how, data=whole[:len(whole) // 2])
    page = pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": name})
    assert page_error(pdf.write([page]), "--format", form) == "damaged"


@pytest.mark.parametrize("how,mode", CUT_CASES)
@pytest.mark.parametrize("rotate", [0, 90])
def test_a_cut_image_among_marks_or_turned_is_an_error_too(how, mode, rotate):
    image = grain(600, 800, mode)
    whole = {"jpeg": jpeg_bytes, "g4": g4_bytes}.get(how, lambda i: zlib.compress(i.tobytes()))(image)
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
    content = pdf.stream(zlib.compress(b"0 0 m 100 100 l S " * 500)[:30], "/Filter /FlateDecode")
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
