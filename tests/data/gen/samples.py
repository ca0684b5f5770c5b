"""Which documents there are: the committed samples, and fresh ones of a kind."""

import random
from dataclasses import dataclass

import numpy as np

from . import layout, pdf, scan
from . import vocabulary as words

KINDS = ["ruled", "gaps", "plain", "letter", "vector", "blank", "note", "mixed"]
CODINGS = ["jpeg", "colour", "g4", "flate"]
LETTER_MEDIA = (612, 792)                     # of a vector page, in points
VECTOR_PPI = 300


@dataclass
class PageSpec:
    kind: str                    # one of KINDS without "mixed"
    coding: str = "jpeg"         # one of CODINGS; "colour" is a JPEG too
    size: tuple = (1700, 2200)   # upright pixels
    ppi: float = 200             # as the PDF declares it, right or wrong
    rotate: int = 0
    border: bool = False
    lines: int = 0               # rows of a table or lines of a letter; 0: the generator's choice


def small(kind, coding="jpeg", **more):
    """A half-letter sheet at 200 ppi, to keep the samples small."""
    return PageSpec(kind, coding, (1240, 1600), **more)


SAMPLES = {
    "index-quadrille": ("index", [PageSpec("ruled", "g4", (2040, 2640), 240), PageSpec("ruled", "g4", (2040, 2640), 240),
                                  PageSpec("ruled", "g4", (2640, 2040), 240)]),
    "index-gris": ("index", [PageSpec("ruled", "jpeg", (1654, 2100), border=True),
                             PageSpec("ruled", "jpeg", (1654, 2100), rotate=90, border=True)]),
    "index-couleur": ("index", [PageSpec("ruled", "colour", ppi=96, lines=18)]),
    "index-sans-filets": ("index", [PageSpec("gaps", "g4"), PageSpec("gaps", "flate", rotate=180)]),
    "index-suivi": ("index", [PageSpec("plain", "g4", ppi=72)]),
    "index-melange": ("index", [PageSpec("ruled", "flate"), PageSpec("blank", "jpeg", (1240, 1600), border=True),
                                PageSpec("ruled", "g4", (2550, 3300), 300, rotate=270, lines=25),
                                PageSpec("ruled", "jpeg", (1700, 1700), border=True, lines=10)]),
    "acte-lettre": ("acte", [small("letter", border=True, lines=29), small("letter", lines=26)]),
    "acte-telecopie": ("acte", [PageSpec("letter", "g4", ppi=204, lines=45), PageSpec("letter", "g4", ppi=5000, lines=36)]),
    "acte-divers": ("acte", [PageSpec("letter", "flate", lines=32), PageSpec("vector", lines=34),
                             PageSpec("blank", "g4"), small("letter", "colour", rotate=90, border=True, lines=27),
                             PageSpec("letter", "g4", (2480, 3508), 300, rotate=180, lines=40)]),
    "acte-simple": ("acte", [small("letter", "jpeg", ppi=96, lines=25)]),
}

QUALITY = {"jpeg": 45, "colour": 38}


def fresh(kind, pages, coding, seed):
    """The pages of a new document of one kind; what is not said is chosen by the seed."""
    rng = random.Random(f"fresh:{seed}")
    kinds = [k for k in KINDS if k not in ("mixed", "note")]
    specs = []
    for _ in range(pages):
        page_kind = rng.choice(kinds) if kind == "mixed" else kind
        size = (900, 320) if kind == "note" else rng.choice([(1654, 2338), (1700, 2200), (2040, 2640)])
        rotate = 0 if kind == "note" else rng.choice([0, 0, 0, 90, 180, 270])
        specs.append(PageSpec(page_kind, coding or rng.choice(CODINGS), size, rng.choice([72, 96, 200, size[0] / 8.5]),
                              rotate, border=kind != "note" and rng.random() < 0.4))
    index = kind in ("ruled", "gaps", "plain") or (kind == "mixed" and rng.random() < 0.5)
    return "index" if index else "acte", specs


class Document:
    """Builds one document; `seed` and `name` fix every pixel of it."""

    def __init__(self, name, source, specs, seed):
        self.rng = random.Random(f"{seed}:{name}")
        self.gen = np.random.default_rng([seed & 0xffffffff] + list(name.encode()))
        self.source, self.specs = source, specs
        self.header = words.register_header(self.rng, 1)
        self.styles = {}
        self.sheet = self.rng.randint(1, 30)
        self.writer = pdf.Writer()

    def style(self, spec):
        """The same hand through the whole register, set anew only for another size of sheet."""
        key = (spec.kind == "gaps", spec.size)
        if key not in self.styles:
            self.styles[key] = layout.RegisterStyle.choose(self.rng, max(spec.size[0], 0.8 * spec.size[1]) if
                                                           spec.size[0] <= spec.size[1] else spec.size[1] * 1.1,
                                                           spec.kind != "gaps")
        return self.styles[key]

    def typeset(self, spec):
        rng = self.rng
        if spec.kind in ("ruled", "gaps", "plain"):
            header = {**self.header, "feuille": str(self.sheet)}
            self.sheet += 1
            if spec.kind == "plain":
                return layout.plain_register_page(rng, self.style(spec), header, spec.size)
            return layout.register_page(rng, self.style(spec), header, spec.size, spec.lines or rng.randint(8, 25))
        if spec.kind == "letter":
            return layout.letter_page(rng, spec.size, spec.lines or rng.randint(25, 45))
        if spec.kind == "note":
            return layout.note_page(rng, spec.size)
        return layout.blank_page(spec.size)

    def encode(self, spec, page):
        faults = scan.Faults.choose(self.rng, spec.border)
        grey = scan.scan_grey(self.gen, page.ink, faults)
        if spec.coding == "g4" or (spec.coding == "flate" and spec.kind == "gaps"):
            image = scan.as_bilevel(self.gen, grey)
        else:
            image = scan.as_colour(self.gen, grey) if spec.coding == "colour" else scan.as_grey(grey)
        image = scan.turned_for(image, spec.rotate)
        if spec.coding in QUALITY:
            return scan.code_jpeg(image, QUALITY[spec.coding])
        return scan.code_g4(image) if spec.coding == "g4" else scan.code_flate(image, pdf.deflate)

    def vector(self, spec):
        """A page of real text; its truth is as long as a line of 12-point Times is wide."""
        lines = layout.letter_lines(self.rng, lambda text: layout.wrap(text, VectorWidth, 84), spec.lines or 34)
        shown = [line for line in lines if line is not None][:42]
        self.writer.add_text(LETTER_MEDIA, shown, 12, 15)
        size = [round(p * VECTOR_PPI / 72) for p in LETTER_MEDIA]
        return truth(layout.Page(None, "\n".join(shown)), "vector", size, VECTOR_PPI, 0)

    def build(self):
        """Returns the PDF's bytes and its ground truth."""
        pages = []
        for spec in self.specs:
            if spec.kind == "vector":
                pages.append(self.vector(spec))
                continue
            page = self.typeset(spec)
            self.writer.add_scan(self.encode(spec, page), spec.ppi, spec.rotate)
            coding = "jpeg" if spec.coding == "colour" else spec.coding
            pages.append(truth(page, coding, spec.size, spec.ppi, spec.rotate))
        for number, page in enumerate(pages, 1):
            page["page"] = number
        return self.writer.to_bytes(), {"source": self.source, "pages": pages}


class VectorWidth:
    """Measures in characters, for text that is set by the viewer's font."""

    @staticmethod
    def getlength(text):
        return len(text)


def truth(page, coding, size, ppi, rotate):
    return {"page": 0, "text": page.text, "blank": page.blank, "header": page.header, "rows": page.rows,
            "rotate": rotate, "width": size[0], "height": size[1], "ppi_declared": round(ppi, 2), "coding": coding}
