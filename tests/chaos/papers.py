"""The documents of a run, good and poisoned: what they hold, and what has to become of each.

A page is a picture of its own, made from the seed; the engine's double answers with the picture's fingerprint, and the
renderer hands a small scan on pixel by pixel, so the fingerprints a finished document must carry are known beforehand.
"""

import dataclasses
import functools
import hashlib
import pathlib
import random
import re
import subprocess
import tempfile

from PIL import Image, ImageDraw

import pdf_writer

SIZE = (160, 120)
MAX_PAGES = 12          # render.max_pages; one kind of poison has one more
DOCUMENT_MAX_MB = 1     # storage.document_max
FINGERPRINT = re.compile(r"\b[0-9a-f]{16}\b")


def page_image(seed, number, page):
    """Lines of words, as a scanned page has them, like no other page's."""
    dice = random.Random(f"{seed}/{number}/{page}")
    image = Image.new("L", SIZE, 255)
    draw = ImageDraw.Draw(image)
    for y in range(12, SIZE[1] - 12, 14):
        x = 12
        while x < SIZE[0] - 20:
            width = dice.randrange(4, 24)
            draw.rectangle((x, y, min(x + width, SIZE[0] - 10), y + 4), fill=0)
            x += width + dice.randrange(4, 9)
    return image


def fingerprint(image):
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()[:16]


def pdf_of(images):
    pdf = pdf_writer.Pdf()
    width, height = SIZE
    return pdf.write([pdf.page(f"q {width} 0 0 {height} 0 0 cm /I Do Q", (0, 0, width, height), {"I": pdf.image(image)}) for image in images])


# ---- poison ----

@dataclasses.dataclass(frozen=True)
class Poison:
    reason: str                 # what ocr_error has to say, a regular expression
    content: object = None      # (paper) -> bytes instead of the PDF; None: the PDF itself
    order: str = None           # the engine answers the first page so, for ever
    missing: bool = False       # the object is not in storage
    no_path: bool = False
    more_pages: int = 0
    crashes: bool = False       # whoever works on it is crashed


def encrypted(paper):
    with tempfile.TemporaryDirectory() as directory:
        plain, locked = pathlib.Path(directory, "plain.pdf"), pathlib.Path(directory, "locked.pdf")
        plain.write_bytes(pdf_of(paper.images()))
        subprocess.run(["qpdf", "--encrypt", "secret", "owner", "256", "--", plain, locked], check=True, timeout=60)
        return locked.read_bytes()


POISONS = {
    "encrypted": Poison("encrypted|password", content=encrypted),
    "damaged": Poison("damaged|cannot be (read|understood)", content=lambda paper: b"%PDF-1.4\n" + random.Random(paper.number).randbytes(3000)),
    "web page": Poison("PDF", content=lambda paper: b"<!DOCTYPE html><html><body>404 page not found</body></html>"),
    "other file": Poison("PDF", content=lambda paper: b"PK\x03\x04" + random.Random(paper.number).randbytes(3000)),
    "empty": Poison("empty", content=lambda paper: b""),
    "too large": Poison("larger|too large", content=lambda paper: b"%PDF-1.4\n" + bytes(DOCUMENT_MAX_MB * 1200 * 1000)),
    "too many pages": Poison("pages", more_pages=MAX_PAGES),
    "missing": Poison("not (there|found)", missing=True),
    "no path": Poison("path", no_path=True),
    "refused": Poison("SAFETY", order="finish:SAFETY"),
    "blocked": Poison("PROHIBITED_CONTENT", order="blocked"),
    "cut off": Poison("MAX_TOKENS|cut off", order="finish:MAX_TOKENS"),
    "bad picture": Poison("input image", order="400_image"),
    "crasher": Poison("worker crashed by SIGSEGV", order="hang", crashes=True),
}


# ---- documents ----

@dataclasses.dataclass(frozen=True)
class Paper:
    seed: int
    number: int
    at: float                   # seconds into the run
    environment: str
    source: str
    pages: int
    blank: frozenset            # pages with nothing on them
    kind: str = None            # of POISONS; None: a good one

    @property
    def name(self):
        """Its path in storage; faults of storage and engine are aimed at good ones only, so that a poison fails for its own reason."""
        return f"{'poison' if self.kind else 'good'}/{self.number}.pdf"

    @property
    def poison(self):
        return POISONS.get(self.kind)

    @functools.cache
    def fingerprints(self):
        """Of each page in order; None: blank."""
        return [None if page in self.blank else fingerprint(page_image(self.seed, self.number, page)) for page in range(1, self.pages + 1)]

    def images(self):
        return [Image.new("L", SIZE, 255) if page in self.blank else page_image(self.seed, self.number, page) for page in range(1, self.pages + 1)]

    def content(self):
        """None: there is nothing in storage."""
        if self.poison and (self.poison.missing or self.poison.no_path):
            return None
        return self.poison.content(self) if self.poison and self.poison.content else pdf_of(self.images())

    def engine_orders(self):
        """Only the first page: the others are read, and stored."""
        if not self.poison or not self.poison.order:
            return []
        return [{"mode": self.poison.order, "times": -1, "match": {"sha256": self.fingerprints()[0]}}]


def papers(seed, count, over_s, environments, poison_share):
    """A pure function of its arguments. Poisons come in turn, each kind at least once where there is room for all kinds."""
    dice = random.Random(f"{seed}/papers")
    poisoned = min(count // 2, max(len(POISONS), round(count * poison_share)))
    kinds = [kind for _ in range(-(-poisoned // len(POISONS))) for kind in dice.sample(sorted(POISONS), len(POISONS))][:poisoned]
    where = dict(zip(dice.sample(range(count), poisoned), kinds))
    made = []
    for number in range(count):
        kind = where.get(number)
        pages = dice.randint(1, 12) + (POISONS[kind].more_pages if kind else 0)
        first = 2 if kind else 1        # what poisons a first page needs one that is not blank
        blank = frozenset(page for page in range(first, pages + 1) if dice.random() < 0.03)
        made.append(Paper(seed, number, over_s * number / count, dice.choices(list(environments), environments.values())[0],
                          dice.choice(("index", "acte")), pages, blank, kind))
    return made
