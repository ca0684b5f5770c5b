"""Files that no reader should choke on; made when a test needs them, never committed."""

import os
import subprocess
import zlib

from . import pdf, samples, scan

MANY_PAGES = 1500
HUGE_EDGE = 30000


def letter(seed):
    specs = [samples.PageSpec("letter", "jpeg", (1240, 1600))]
    return samples.Document("poison", "acte", specs, seed).build()[0]


def html(_seed):
    return (b"<!DOCTYPE html>\n<html lang=\"fr\"><head><title>502 Bad Gateway</title></head>\n"
            b"<body><h1>Service indisponible</h1><p>Veuillez r\xc3\xa9essayer plus tard.</p></body></html>\n")


def empty(_seed):
    return b""


def truncated(seed):
    """Cut in the middle of the image stream: the cross-reference table is lost too."""
    data = letter(seed)
    return data[:data.index(b"/DCTDecode") + (len(data) - data.index(b"/DCTDecode")) // 2]


def zero_pages(_seed):
    return pdf.Writer().to_bytes()


def many_pages(_seed):
    writer = pdf.Writer()
    pixels = scan.Scanned(pdf.deflate(b"\xff" * 8), 8, 8,
                          {"ColorSpace": "/DeviceGray", "BitsPerComponent": 1, "Filter": "/FlateDecode"})
    image = writer.add_image(pixels)
    for _ in range(MANY_PAGES):
        writer.add_page((72, 72), f"/XObject << /Im0 {image} 0 R >>", b"q 72 0 0 72 0 0 cm /Im0 Do Q\n", 0)
    return writer.to_bytes()


def huge_image(_seed):
    """900 million pixels, 1 bit, white, in a few kilobytes (deflated twice, as PDF allows)."""
    packer = zlib.compressobj(9)
    row = b"\xff" * (HUGE_EDGE // 8)
    once = b"".join(packer.compress(row) for _ in range(HUGE_EDGE)) + packer.flush()
    writer = pdf.Writer()
    writer.add_scan(scan.Scanned(pdf.deflate(once), HUGE_EDGE, HUGE_EDGE,
                                 {"ColorSpace": "/DeviceGray", "BitsPerComponent": 1,
                                  "Filter": "[/FlateDecode /FlateDecode]"}), 300, 0)
    return writer.to_bytes()


MAKERS = {"html": html, "empty": empty, "truncated": truncated, "zero-pages": zero_pages, "many-pages": many_pages,
          "huge-image": huge_image}


def write_encrypted(path, seed):
    """AES-256 with a user password, which nobody knows here."""
    plain = path + ".plain"
    with open(plain, "wb") as out:
        out.write(letter(seed))
    try:
        subprocess.run(["qpdf", "--encrypt", "motdepasse", "proprietaire", "256", "--", plain, path], check=True, timeout=60)
    finally:
        os.unlink(plain)


def write_all(directory, seed):
    for name, make in MAKERS.items():
        with open(os.path.join(directory, name + ".pdf"), "wb") as out:
            out.write(make(seed))
    write_encrypted(os.path.join(directory, "encrypted.pdf"), seed)
