"""What a scanner does to a page: skew, soft edges, grey and uneven paper, noise, a dark border, and the coding."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, TiffImagePlugin

ROTATE_STORED = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass
class Scanned:
    """An image as a PDF stores it."""
    data: bytes
    width: int
    height: int
    entries: dict      # of the image dictionary: ColorSpace, Filter, ...


@dataclass
class Faults:
    skew: float        # degrees
    blur: float        # pixels
    paper: float       # mean grey of the paper
    uneven: float      # light falls off by so many greys over the page
    texture: float     # greys
    noise: float       # greys
    depth: float       # how dark the ink is, 1 for black
    behind: float      # how much of the other side shines through, of 1
    border: int        # pixels of dark scanner bed, 0 for none

    @classmethod
    def choose(cls, rng, border):
        return cls(skew=rng.uniform(0.2, 1.2) * rng.choice([-1, 1]), blur=rng.uniform(0.6, 1.0),
                   paper=rng.uniform(198, 232), uneven=rng.uniform(10, 36), texture=rng.uniform(2, 5),
                   noise=rng.uniform(3.5, 7), depth=rng.uniform(0.66, 0.85), behind=rng.uniform(0, 0.07), border=rng.randint(14, 42) if border else 0)


def clouds(gen, size, cells, strength):
    """Low-frequency texture: random greys on a coarse grid, smoothly enlarged."""
    width, height = size
    grid = gen.normal(0, 1, (max(2, height // cells), max(2, width // cells))).astype(np.float32)
    image = Image.fromarray(grid, mode="F").resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image) * strength


def bed(gen, faults, size):
    """1 on the page, 0 on the scanner bed beside it: the sheet lies askew, so the strip tapers."""
    width, height = size
    mask = np.ones((height, width), np.float32)
    if not faults.border:
        return mask
    slope = np.float32(np.tan(np.radians(faults.skew)))
    ys, xs = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    mask[xs < faults.border - slope * (ys - height / 2)] = 0
    if gen.random() < 0.6:
        mask[ys < faults.border * 0.6 + slope * (xs - width / 2)] = 0
    return np.asarray(Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5)),
                      dtype=np.float32) / 255


def dust(gen, size):
    """1 where a grain lies: a few dozen dots of one to three pixels, softened."""
    width, height = size
    grains = Image.new("L", size, 0)
    draw = ImageDraw.Draw(grains)
    for _ in range(gen.integers(15, 60)):
        x, y, r = gen.uniform(0, width), gen.uniform(0, height), gen.uniform(0.5, 1.6)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    return np.asarray(grains.filter(ImageFilter.GaussianBlur(0.6)), dtype=np.float32) / 255


def scan_grey(gen, ink, faults):
    """The page as a grey scanner delivers it: a float array of 0 to 255."""
    size = ink.size
    turned = ink.rotate(faults.skew, Image.Resampling.BICUBIC, fillcolor=255)
    soft = np.asarray(turned.filter(ImageFilter.GaussianBlur(faults.blur)), dtype=np.float32) / 255
    height, width = soft.shape
    angle = gen.uniform(0, 2 * np.pi)
    across, down = (np.linspace(-.5, .5, edge, dtype=np.float32) for edge in (width, height))
    ramp = np.float32(np.cos(angle)) * across[None, :] + np.float32(np.sin(angle)) * down[:, None]
    paper = faults.paper + faults.uneven * ramp + clouds(gen, size, 90, faults.texture) + \
        clouds(gen, size, 7, faults.texture * 0.4)
    depth = np.clip(faults.depth + clouds(gen, size, 40, 0.05), 0.5, 0.95)
    other_side = np.asarray(turned.transpose(Image.Transpose.FLIP_LEFT_RIGHT).filter(ImageFilter.GaussianBlur(2.5)),
                            dtype=np.float32) / 255
    grey = paper * (1 - depth * (1 - soft)) * (1 - faults.behind * (1 - other_side))
    grey = grey * (1 - 0.6 * dust(gen, size))
    mask = bed(gen, faults, size)
    grey = grey * mask + (28 + clouds(gen, size, 30, 4)) * (1 - mask)
    return np.clip(grey + faults.noise * gen.standard_normal(grey.shape, dtype=np.float32), 0, 255)


def as_colour(gen, grey):
    """Yellowed paper, bluish ink."""
    tint = np.array([1.0, 0.975 - 0.02 * gen.random(), 0.87 - 0.05 * gen.random()], np.float32)
    ink = np.array([0, 4, 16], np.float32) * (1 - grey[..., None] / 255)
    return Image.fromarray(np.clip(grey[..., None] * tint + ink, 0, 255).astype(np.uint8), "RGB")


def as_grey(grey):
    return Image.fromarray(grey.astype(np.uint8), "L")


def as_bilevel(gen, grey):
    """Threshold as scanners do it, a little below the local paper, with the specks that remain."""
    image = as_grey(grey)
    local = np.asarray(image.resize((max(1, image.width // 16), max(1, image.height // 16)), Image.Resampling.BOX)
                       .filter(ImageFilter.GaussianBlur(4)).resize(image.size, Image.Resampling.BILINEAR), dtype=np.float32)
    white = (grey > np.minimum(local * 0.74, 150)) & ~(grey < 60)
    specks = gen.random(grey.shape, dtype=np.float32)
    white &= specks > 0.00004
    return Image.fromarray((white * 255).astype(np.uint8), "L").convert("1", dither=Image.Dither.NONE)


# --- codings -----------------------------------------------------------------------------------------------------

def code_jpeg(image, quality):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    space = "/DeviceRGB" if image.mode == "RGB" else "/DeviceGray"
    return Scanned(out.getvalue(), *image.size, {"ColorSpace": space, "BitsPerComponent": 8, "Filter": "/DCTDecode"})


def code_g4(image):
    """CCITT G4 by way of a TIFF file of one strip."""
    out = io.BytesIO()
    strip, TiffImagePlugin.STRIP_SIZE = TiffImagePlugin.STRIP_SIZE, image.width * image.height
    image.save(out, "TIFF", compression="group4")
    TiffImagePlugin.STRIP_SIZE = strip
    with Image.open(io.BytesIO(out.getvalue())) as tiff:
        (offset,), (count,) = tiff.tag_v2[273], tiff.tag_v2[279]
        black_is_zero = tiff.tag_v2[262] == 1
    parms = f"<< /K -1 /Columns {image.width} /Rows {image.height} /BlackIs1 {'true' if black_is_zero else 'false'} >>"
    return Scanned(out.getvalue()[offset:offset + count], *image.size,
                   {"ColorSpace": "/DeviceGray", "BitsPerComponent": 1, "Filter": "/CCITTFaxDecode", "DecodeParms": parms})


def code_flate(image, deflate):
    """Lossless: 1 bit as it is, grey cut to 16 levels (4 bits) as office scanners' "compact" mode does."""
    if image.mode == "1":
        return Scanned(deflate(image.tobytes()), *image.size,
                       {"ColorSpace": "/DeviceGray", "BitsPerComponent": 1, "Filter": "/FlateDecode"})
    levels = np.asarray(image.filter(ImageFilter.MedianFilter(3)), dtype=np.uint8) >> 4
    if levels.shape[1] % 2:
        levels = np.pad(levels, ((0, 0), (0, 1)))
    packed = (levels[:, 0::2] << 4 | levels[:, 1::2]).astype(np.uint8)
    return Scanned(deflate(packed.tobytes()), *image.size,
                   {"ColorSpace": "/DeviceGray", "BitsPerComponent": 4, "Filter": "/FlateDecode"})


def turned_for(image, rotate):
    """The image as stored under /Rotate, which a viewer turns clockwise: upright again on screen."""
    return image.transpose(ROTATE_STORED[rotate]) if rotate else image
