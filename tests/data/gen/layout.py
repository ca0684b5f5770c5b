"""Typesets pages: black ink on white, upright and straight, together with the text that stands on them.

A `Page` carries the ink (mode L, 255 = paper) and the truth. The scanner's faults come later (scan.py).
"""

from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

from . import vocabulary as words

LIBERATION = "/usr/share/fonts/truetype/liberation/Liberation"
DEJAVU = "/usr/share/fonts/truetype/dejavu/DejaVu"
TABLE_FONTS = [LIBERATION + "Sans-Regular.ttf", LIBERATION + "Serif-Regular.ttf", DEJAVU + "SansCondensed.ttf",
               DEJAVU + "SerifCondensed.ttf"]
LETTER_FONTS = [LIBERATION + "Serif-Regular.ttf", LIBERATION + "Sans-Regular.ttf", DEJAVU + "Serif.ttf",
                LIBERATION + "Mono-Regular.ttf"]
TITLES = ["Parties", "Nature", "Date", "N° de publication", "Radiation", "Remarques"]


@dataclass
class Page:
    ink: Image.Image
    text: str = ""
    header: dict = None
    rows: list = None
    blank: bool = False
    lines: list = field(default_factory=list)     # of a letter, for the vector page


def font_of(path, size):
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def wrap(text, font, width):
    """Greedy line breaking; a word wider than the line stands alone."""
    lines = []
    for word in text.split():
        if lines and font.getlength(lines[-1] + " " + word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def two_line_width(text, font):
    """The narrowest column in which the text takes at most two lines."""
    split = text.split()
    halves = [max(font.getlength(" ".join(split[:i])), font.getlength(" ".join(split[i:])))
              for i in range(1, len(split))]
    return min([font.getlength(text)] + halves)


# --- registers ---------------------------------------------------------------------------------------------------

@dataclass
class RegisterStyle:
    """What all pages of one register share; widths, places and heights differ between registers."""
    path: str
    size: int
    pad_x: int
    pad_y: int
    left: float
    right: float
    top: float
    rule: int
    grey: int
    dates: str
    header_columns: int
    ruled: bool
    weights: list

    @classmethod
    def choose(cls, rng, width, ruled):
        size = round(width * rng.uniform(0.0155, 0.0185))
        return cls(path=rng.choice(TABLE_FONTS), size=size,
                   pad_x=round(size * (rng.uniform(0.35, 0.6) if ruled else rng.uniform(0.9, 1.1))),
                   pad_y=round(size * rng.uniform(0.25, 0.6)),
                   left=rng.uniform(0.03, 0.11), right=rng.uniform(0.03, 0.09), top=rng.uniform(0.04, 0.09),
                   rule=rng.choice([2, 3, 4]), grey=rng.choice([0, 30, 70]),
                   dates=rng.choice(["iso", "dmy"]), header_columns=rng.choice([1, 1, 2]), ruled=ruled,
                   weights=[rng.random() ** 3 + 0.01 for _ in TITLES])


def draw_header(draw, style, header, font, width, y):
    """The four lines that name the lot; returns (text lines, y below)."""
    items = [f"Circonscription foncière : {header['circonscription']}", f"Cadastre : {header['cadastre']}",
             f"Lot : {header['lot']}", f"Feuille : {header['feuille']}"]
    lines, step = [], round(style.size * 1.6)
    for i in range(0, 4, style.header_columns):
        group = items[i:i + style.header_columns]
        for j, item in enumerate(group):
            x = width * (style.left + 0.5 * j)
            draw.text((x, y + step), item, font=font, fill=0, anchor="ls")
        lines.append(" ".join(group))
        y += step
    return lines, y


def column_edges(style, cells, font, x0, x1):
    """Cuts [x0, x1] into columns: what each needs, and the rest dealt out by the style's weights.

    Where there is no room every column is narrowed alike, and some cells take a third line.
    """
    need = [max(two_line_width(row[c], font) for row in cells) + 2 * style.pad_x + 1 for c in range(len(TITLES))]
    scale = min(1, (x1 - x0) / sum(need))
    need = [width * scale for width in need]
    rest = (x1 - x0) - sum(need)
    total, edges = sum(style.weights), [x0]
    for width, weight in zip(need, style.weights):
        edges.append(edges[-1] + width + rest * weight / total)
    return [round(e) for e in edges]


def draw_row(draw, style, cells, font, edges, y):
    """One row, its cells wrapped; returns the y of its lower edge."""
    step = round(style.size * 1.22)
    wrapped = [wrap(cell, font, edges[c + 1] - edges[c] - 2 * style.pad_x) for c, cell in enumerate(cells)]
    for c, lines in enumerate(wrapped):
        for i, line in enumerate(lines):
            draw.text((edges[c] + style.pad_x, y + style.pad_y + style.size + i * step), line, font=font, fill=0,
                      anchor="ls")
    return y + 2 * style.pad_y + style.size + (max(map(len, wrapped)) - 1) * step + round(style.size * 0.3)


def draw_rules(draw, style, edges, ys):
    for y in ys:
        draw.line((edges[0], y, edges[-1], y), fill=style.grey, width=style.rule)
    for x in edges:
        draw.line((x, ys[0], x, ys[-1]), fill=style.grey, width=style.rule)


def register_page(rng, style, header, size, wanted):
    """A page of the register with up to `wanted` rows, as many as the height allows."""
    width, height = size
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    font = font_of(style.path, style.size)
    header_lines, y = draw_header(draw, style, header, font, width, round(height * style.top))
    y += round(style.size * rng.uniform(0.8, 2.0))
    rows = [words.register_row(rng, style.dates) for _ in range(wanted)]
    edges = column_edges(style, [TITLES] + rows, font, round(width * style.left), round(width * (1 - style.right)))
    ys, shown = [y], []
    for cells in [TITLES] + rows:
        below = draw_row(draw, style, cells, font, edges, ys[-1])
        if below > height * 0.96:
            draw.rectangle((0, ys[-1] + style.rule, width, height), fill=255)
            break
        shown.append(cells)
        ys.append(below + round(style.size * rng.uniform(0, 0.25)))
    if style.ruled:
        draw_rules(draw, style, edges, ys)
    text = header_lines + [" | ".join(cells) for cells in shown]
    return Page(image, "\n".join(text), header, shown[1:])


def plain_register_page(rng, style, header, size):
    """Inscriptions written as running text: no table, so no columns either."""
    width, height = size
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    font = font_of(style.path, round(style.size * 1.1))
    lines, y = draw_header(draw, style, header, font, width, round(height * style.top))
    step = round(style.size * 1.65)
    y += step
    for _ in range(rng.randint(7, 10)):
        entry = (f"Le {words.date(rng, 'long')}, {words.person(rng)} et {words.person(rng)} : {rng.choice(words.NATURES)} "
                 f"publiée sous le numéro {words.number(rng)}. {words.sentence(rng)}")
        for line in wrap(entry, font, width * (1 - style.left - style.right)):
            if y + step > height * 0.95:
                break
            y += step
            draw.text((width * style.left, y), line, font=font, fill=0, anchor="ls")
            lines.append(line)
        y += round(step * 0.4)
    return Page(image, "\n".join(lines), header, None)


# --- letters -----------------------------------------------------------------------------------------------------

def letter_lines(rng, fits, wanted):
    """The lines of a letter, None for a gap between paragraphs; `fits(text)` breaks a text into lines."""
    lines = [f"{rng.choice(words.TOWNS)}, le {words.date(rng, 'long')}", None,
             words.person(rng), f"{rng.randint(2, 480)}, {rng.choice(words.STREETS)}", rng.choice(words.TOWNS), None,
             f"Objet : lot {words.lot(rng)}, acte numéro {words.number(rng)}", None, rng.choice(words.OPENINGS), None]
    end = fits(rng.choice(words.CLOSINGS)) + [None, words.person(rng)]
    while sum(line is not None for line in lines + end) < wanted:
        lines += fits(words.paragraph(rng, rng.randint(2, 4))) + [None]
    return lines + end


def letter_page(rng, size, wanted):
    """A letter of about `wanted` lines."""
    width, height = size
    path = rng.choice(LETTER_FONTS)
    chars = 62 if "Mono" in path else 78
    font = font_of(path, round(width / chars * (1.35 if "Mono" in path else 1.75)))
    left, right = width * rng.uniform(0.08, 0.13), width * rng.uniform(0.06, 0.1)
    lines = letter_lines(rng, lambda text: wrap(text, font, width - left - right), wanted)
    gaps = sum(line is None for line in lines)
    step = min(font.size * rng.uniform(1.35, 1.6), height * 0.86 / (len(lines) - gaps * 0.4))
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    y, shown = height * 0.06, []
    for line in lines:
        y += step * (0.6 if line is None else 1)
        if y > height * 0.96:
            break
        if line is not None:
            draw.text((left, y), line, font=font, fill=0, anchor="ls")
            shown.append(line)
    return Page(image, "\n".join(shown), lines=shown)


def note_page(rng, size):
    """Three short lines on a small sheet: for tests that need many different pages quickly."""
    width, height = size
    font = font_of(LETTER_FONTS[1], round(height / 7))
    shown = [f"Lot {words.lot(rng)}", words.person(rng), f"Acte numéro {words.number(rng)}"]
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    for i, line in enumerate(shown):
        draw.text((width * 0.08, height * (0.27 + 0.25 * i)), line, font=font, fill=0, anchor="ls")
    return Page(image, "\n".join(shown), lines=shown)


def blank_page(size):
    return Page(Image.new("L", size, 255), blank=True)
