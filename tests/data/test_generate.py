"""The sample scans are what their ground truth says."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))


def generate(*arguments):
    subprocess.run([sys.executable, os.path.join(HERE, "generate.py"), *map(str, arguments)], check=True, timeout=120)


def samples(directory):
    return sorted(name[:-4] for name in os.listdir(directory) if name.endswith(".pdf"))


def truth(directory, name):
    with open(os.path.join(directory, name + ".json"), encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    directory = tmp_path_factory.mktemp("fresh")
    generate("--out", directory, "--kind", "mixed", "--count", 2, "--pages", 2, "--seed", 20261)
    return directory


def test_committed_truth_is_what_the_generator_makes(tmp_path):
    generate("--out", tmp_path)
    assert samples(tmp_path) == samples(HERE)
    assert all(truth(tmp_path, name) == truth(HERE, name) for name in samples(HERE))


def test_one_seed_gives_the_same_bytes_and_another_gives_other_pages(tmp_path):
    for folder, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate("--out", tmp_path / folder, "--only", "acte-simple", "--seed", seed)
    first, again, other = ((tmp_path / folder / "acte-simple.pdf").read_bytes() for folder in "abc")
    assert first == again != other


def test_samples_cover_codings_turns_and_sizes():
    pages = [page for name in samples(HERE) for page in truth(HERE, name)["pages"]]
    assert 20 <= len(pages) <= 25
    assert {page["coding"] for page in pages} == {"jpeg", "g4", "flate", "vector"}
    assert {page["rotate"] for page in pages} == {0, 90, 180, 270}
    assert {72, 96, 200, 300, 5000} <= {page["ppi_declared"] for page in pages}
    assert sum(page["blank"] for page in pages) == 2
    assert sum(os.path.getsize(os.path.join(HERE, name + ".pdf")) for name in samples(HERE)) < 3_000_000


def shown(name, number, edge, path):
    """The page as a viewer shows it."""
    subprocess.run(["pdftoppm", "-gray", "-png", "-f", str(number), "-l", str(number), "-singlefile", "-scale-to", str(edge),
                    os.path.join(HERE, name + ".pdf"), path], check=True, timeout=60)
    with Image.open(str(path) + ".png") as image:
        return image.size, np.asarray(image, dtype=float)


@pytest.mark.parametrize("name", samples(HERE))
def test_samples_are_sound_pdfs_of_dark_ink_on_light_paper(name, tmp_path):
    subprocess.run(["qpdf", "--check", os.path.join(HERE, name + ".pdf")], check=True, capture_output=True, timeout=60)
    for page in truth(HERE, name)["pages"]:
        size, pixels = shown(name, page["page"], 800, tmp_path / "page")
        assert abs(size[0] / size[1] - page["width"] / page["height"]) < 0.01
        assert np.median(pixels) > 150
        inner = pixels[40:-40, 60:-60]
        dark = (inner < 0.75 * np.median(inner)).mean()
        assert dark < 0.0005 if page["blank"] else dark > 0.005


TURNED = [(name, page) for name in samples(HERE) for page in truth(HERE, name)["pages"] if page["rotate"]]


@pytest.mark.parametrize("name,page", TURNED, ids=[f"{name}-{page['page']}" for name, page in TURNED])
def test_turned_pages_are_upright_in_a_viewer(name, page, tmp_path):
    """Tesseract, told not to turn anything, finds words of the first and of the last line."""
    shown(name, page["page"], max(page["width"], page["height"]), tmp_path / "page")
    read = subprocess.run(["tesseract", tmp_path / "page.png", "-", "-l", "fra", "--psm", "4"], capture_output=True, text=True,
                          check=True, timeout=120, env={**os.environ, "OMP_THREAD_LIMIT": "1"}).stdout
    lines = page["text"].split("\n")
    for words in (lines[0].split(), lines[-1].replace("|", " ").split()):
        assert any(word in read for word in words if len(word) > 3), words


@pytest.mark.parametrize("name", samples(HERE))
def test_images_have_the_size_and_resolution_that_the_truth_says(name):
    listing = subprocess.run(["pdfimages", "-list", os.path.join(HERE, name + ".pdf")], check=True, capture_output=True,
                             text=True, timeout=60).stdout.splitlines()[2:]
    found = {int(f[0]): (int(f[3]), int(f[4]), f[8], int(f[12])) for f in map(str.split, listing)}
    for page in truth(HERE, name)["pages"]:
        if page["coding"] == "vector":
            assert page["page"] not in found
            continue
        size = (page["width"], page["height"]) if page["rotate"] in (0, 180) else (page["height"], page["width"])
        coding = {"jpeg": "jpeg", "g4": "ccitt", "flate": "image"}[page["coding"]]
        assert found[page["page"]] == (*size, coding, round(page["ppi_declared"]))


def test_text_of_a_register_is_header_titles_and_rows():
    for name in samples(HERE):
        for page in truth(HERE, name)["pages"]:
            if page["rows"] is None:
                continue
            lines = page["text"].split("\n")
            assert lines[-len(page["rows"]):] == [" | ".join(row) for row in page["rows"]]
            assert lines[-len(page["rows"]) - 1].startswith("Parties | Nature | Date")
            assert all(len(row) == 6 for row in page["rows"]) and 8 <= len(page["rows"]) <= 25
            assert all(value in " ".join(lines[:4]) for value in page["header"].values())


def test_fresh_documents_come_with_their_truth(fresh):
    assert len(samples(fresh)) == 2
    for name in samples(fresh):
        pages = truth(fresh, name)["pages"]
        assert [page["page"] for page in pages] == [1, 2]
        count = subprocess.run(["qpdf", "--show-npages", fresh / (name + ".pdf")], check=True, capture_output=True, timeout=60)
        assert int(count.stdout) == 2


def test_poison_is_poisonous(tmp_path):
    generate("--poison", tmp_path)

    def qpdf(name):
        return subprocess.run(["qpdf", "--show-npages", tmp_path / name], capture_output=True, text=True, timeout=60)

    assert (tmp_path / "html.pdf").read_bytes().startswith(b"<!DOCTYPE html>")
    assert (tmp_path / "empty.pdf").stat().st_size == 0
    cut = (tmp_path / "truncated.pdf").read_bytes()
    assert b"startxref" not in cut and b"/DCTDecode" in cut
    assert "invalid password" in qpdf("encrypted.pdf").stderr
    assert qpdf("zero-pages.pdf").stdout.strip() == "0"
    assert qpdf("many-pages.pdf").stdout.strip() == "1500"
    assert (tmp_path / "huge-image.pdf").stat().st_size < 10_000
    listing = subprocess.run(["pdfimages", "-list", tmp_path / "huge-image.pdf"], capture_output=True, text=True, timeout=60)
    assert listing.stdout.split("\n")[2].split()[3:5] == ["30000", "30000"]
