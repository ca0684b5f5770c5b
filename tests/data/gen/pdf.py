"""A small PDF writer: pages of one image each, or of text in a standard font; the same input gives the same bytes."""

import zlib


def deflate(data):
    return zlib.compress(data, 9)


class Writer:
    """Objects are numbered in the order they are added; 1 is the catalogue, 2 the page tree."""

    def __init__(self):
        self.objects = [b"", b""]
        self.pages = []

    def add(self, body):
        self.objects.append(body if isinstance(body, bytes) else body.encode("latin-1"))
        return len(self.objects)

    def add_stream(self, entries, data):
        fields = "".join(f" /{k} {v}" for k, v in entries.items())
        head = f"<<{fields} /Length {len(data)} >>\nstream\n".encode("latin-1")
        return self.add(head + data + b"\nendstream")

    def add_page(self, media, resources, content, rotate):
        """media: width and height in points."""
        stream = self.add_stream({"Filter": "/FlateDecode"}, deflate(content))
        turn = f" /Rotate {rotate}" if rotate else ""
        self.pages.append(self.add(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {media[0]:g} {media[1]:g}]{turn} "
                                   f"/Resources << {resources} >> /Contents {stream} 0 R >>"))

    def add_image(self, scanned):
        head = {"Type": "/XObject", "Subtype": "/Image", "Width": scanned.width, "Height": scanned.height}
        return self.add_stream({**head, **scanned.entries}, scanned.data)

    def add_scan(self, scanned, ppi, rotate):
        """A page filled by one image, whose declared resolution is `ppi`."""
        media = (scanned.width * 72 / ppi, scanned.height * 72 / ppi)
        image = self.add_image(scanned)
        content = f"q {media[0]:g} 0 0 {media[1]:g} 0 0 cm /Im0 Do Q\n".encode()
        self.add_page(media, f"/XObject << /Im0 {image} 0 R >>", content, rotate)

    def add_text(self, media, lines, size, leading):
        """A page of real text, Times with WinAnsi encoding."""
        font = self.add("<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding >>")
        parts = [f"BT /F1 {size:g} Tf {leading:g} TL 64 {media[1] - 72:g} Td".encode()]
        for line in lines:
            escaped = line.encode("cp1252").replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
            parts.append(b"(" + escaped + b") Tj T*")
        self.add_page(media, f"/Font << /F1 {font} 0 R >>", b"\n".join(parts + [b"ET\n"]), 0)

    def to_bytes(self):
        self.objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
        kids = " ".join(f"{n} 0 R" for n in self.pages)
        self.objects[1] = f"<< /Type /Pages /Count {len(self.pages)} /Kids [{kids}] >>".encode()
        out, offsets = bytearray(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"), []
        for number, body in enumerate(self.objects, 1):
            offsets.append(len(out))
            out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
        xref = len(out)
        out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1)
        out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
        out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, xref)
        return bytes(out)
