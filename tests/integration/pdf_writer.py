"""A small PDF writer for tests: pages of images with any placement, so that each case is visible in the test itself."""

import io
import zlib

from PIL import Image


class Pdf:
    def __init__(self):
        self.objects = []

    def add(self, body):
        """Adds an object (bytes); returns its number."""
        self.objects.append(body)
        return len(self.objects)

    def stream(self, data, entries="", length=None):
        head = f"<< /Length {len(data) if length is None else length} {entries} >>\nstream\n"
        return self.add(head.encode() + data + b"\nendstream")

    def image(self, image, how="flate", entries="", data=None):
        """An image XObject of a PIL image. how: flate, jpeg, g4, mask."""
        width, height = image.size
        size = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} {entries}"
        if how == "jpeg":
            data = data or jpeg_bytes(image)
            space = {"L": "/DeviceGray", "RGB": "/DeviceRGB", "CMYK": "/DeviceCMYK"}[image.mode]
            return self.stream(data, f"{size} /ColorSpace {space} /BitsPerComponent 8 /Filter /DCTDecode")
        if how == "g4":
            parms = f"/DecodeParms << /K -1 /Columns {width} /Rows {height} /BlackIs1 true >>"
            return self.stream(data or g4_bytes(image),
                               f"{size} /ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /CCITTFaxDecode {parms}")
        if how == "mask":
            return self.stream(zlib.compress(image.convert("1").tobytes()),
                               f"{size} /ImageMask true /BitsPerComponent 1 /Filter /FlateDecode")
        if image.mode == "P":
            palette = bytes(image.getpalette()[:768]).hex()
            space, bits = f"[/Indexed /DeviceRGB 255 <{palette}>]", 8
        else:
            space, bits = {"L": ("/DeviceGray", 8), "RGB": ("/DeviceRGB", 8), "1": ("/DeviceGray", 1)}[image.mode]
        return self.stream(data or zlib.compress(image.tobytes(), 1),
                           f"{size} /ColorSpace {space} /BitsPerComponent {bits} /Filter /FlateDecode")

    def form(self, content, xobjects, entries=""):
        return self.stream(content.encode(), f"/Type /XObject /Subtype /Form /BBox [0 0 10000 10000] {entries} "
                           f"/Resources << /XObject << {named(xobjects)} >> >>")

    def page(self, content, box, xobjects=None, rotate=0, crop=None, resources=""):
        """A page's dictionary, to be given to write()."""
        contents = self.stream(content if isinstance(content, bytes) else content.encode())
        return (f"/Type /Page /MediaBox [{numbers(box)}] /Rotate {rotate} /Contents {contents} 0 R "
                + (f"/CropBox [{numbers(crop)}] " if crop else "")
                + f"/Resources << /XObject << {named(xobjects or {})} >> {resources} >>")

    def write(self, pages, trailer="", before_pages=b""):
        kids = [self.add(f"<< {page} /Parent @ 0 R >>".encode()) for page in pages]
        root = self.add(f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(f'{k} 0 R' for k in kids)}] >>".encode())
        catalog = self.add(f"<< /Type /Catalog /Pages {root} 0 R >>".encode())
        out, places = b"%PDF-1.5\n" + before_pages, []
        for number, body in enumerate(self.objects, 1):
            places.append(len(out))
            out += b"%d 0 obj\n" % number + body.replace(b"@", b"%d" % root if b"/Type /Page " in body else b"@")
            out += b"\nendobj\n"
        xref = len(out)
        out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
        out += b"".join(b"%010d 00000 n \n" % place for place in places)
        out += f"trailer\n<< /Size {len(places) + 1} /Root {catalog} 0 R {trailer} >>\nstartxref\n{xref}\n%%EOF\n".encode()
        return out


def named(xobjects):
    return " ".join(f"/{name} {number} 0 R" for name, number in xobjects.items())


def numbers(box):
    return " ".join(f"{value:g}" for value in box)


def jpeg_bytes(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, **options)
    return out.getvalue()


def g4_bytes(image):
    """The one strip of a G4 TIFF."""
    out = io.BytesIO()
    image.convert("1").save(out, "TIFF", compression="group4", tiffinfo={278: image.size[1]})
    with Image.open(out) as tiff:
        offsets, counts = tiff.tag_v2[273], tiff.tag_v2[279]
        assert len(offsets) == 1 and tiff.tag_v2[262] == 1, "one strip; a run that the code calls white is of zeros, black"
    return out.getvalue()[offsets[0]:offsets[0] + counts[0]]


def scan(image, width_pt, height_pt, how="flate", rotate=0, entries="", **page):
    """A document of one page that one image covers."""
    pdf = Pdf()
    name = pdf.image(image, how, entries)
    content = f"q {width_pt:g} 0 0 {height_pt:g} 0 0 cm /Im0 Do Q"
    return pdf.write([pdf.page(content, (0, 0, width_pt, height_pt), {"Im0": name}, rotate, **page)])
