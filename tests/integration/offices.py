"""An office: a queue and its documents, as one environment of a daemon's configuration."""

import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from PIL import Image, ImageDraw

KEY = "AQ.test-key-that-must-not-be-seen"
STORAGE_KEY = "sb_secret_that_must_not_be_seen"
GENERATE = pathlib.Path(__file__).resolve().parents[1] / "data" / "generate.py"
BUCKETS = {"index": "index", "acte": "actes", "plan_cadastraux": "plans-cadastraux"}


class Office:
    def __init__(self, db):
        self.db = db
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="indexocr-docs-"))
        self.directory.chmod(0o755)
        for bucket in BUCKETS.values():
            (self.directory / bucket).mkdir()

    def settings(self, **more):
        return {"database": self.db.url, "storage": f"directory:{self.directory}", **more}

    def put(self, source, name, file=None, content=None):
        """Puts a document into its bucket, without a row."""
        path = self.directory / BUCKETS[source] / name
        if content is None:
            shutil.copy(file, path)
        else:
            path.write_bytes(content)
        path.chmod(0o644)
        return name

    def add(self, name, source="acte", file=None, content=None, **columns):
        """A document and its ready row: the id."""
        return self.db.add(source=source, path=self.put(source, name, file, content), document_number=name, **columns)[0]

    def count(self, *status):
        return self.db.one("SELECT count(*) FROM extraction_queue WHERE status_id = ANY (%s)", [list(status)])

    def idle(self):
        return self.count(2, 3) == 0

    def document(self, id_):
        return self.db.row(id_, "file_content")

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def page_image(number, width=600, height=400):
    """A page like no other: its number, and lines to read."""
    image = Image.new("L", (width, height), 235)
    draw = ImageDraw.Draw(image)
    for line in range(6):
        draw.text((40, 40 + 50 * line), f"document {number}, ligne {line + 1}: quittance", fill=20)
    draw.rectangle((width - 60, 10, width - 60 + number % 50, 20 + number // 50), fill=0)
    return image


def pdf_of(images, path):
    images[0].save(path, save_all=True, append_images=images[1:], resolution=150)
    return path


def generated(directory, kind, count=1, pages=1, seed=None, **more):
    """Fresh pages with their truth, never seen before: the PDF files. The seed is printed, to be tried again."""
    seed = random.randrange(1 << 30) if seed is None else seed
    print(f"generate.py --seed {seed} --kind {kind} --count {count} --pages {pages}")
    arguments = [f"--{name}={value}" for name, value in more.items()]
    subprocess.run([sys.executable, GENERATE, "--seed", str(seed), "--out", str(directory), "--kind", kind, "--count", str(count), "--pages",
                    str(pages), *arguments], check=True, timeout=300, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    return sorted(pathlib.Path(directory).glob("*.pdf"))
