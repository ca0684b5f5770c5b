"""Answers supplied by the test: by the image's pixels, by likeness to a picture, or by order of arrival."""

import io
import json

import numpy as np
from PIL import Image

THUMB = (48, 64)
ALIKE = 6.0          # mean difference in greys up to which the nearest picture is taken for the same page


def thumbnail(image):
    grey = image.convert("L").resize(THUMB, Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float32)


def as_text(answer):
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


class Answers:
    """{"by_sha256": {prefix: answer}, "by_image": [{"image": path, "answer": …}], "by_order": [answer, …]}"""

    def __init__(self):
        self.by_sha256, self.by_image, self.by_order, self.handed = {}, [], [], 0

    def load(self, given):
        unknown = set(given) - {"by_sha256", "by_image", "by_order"}
        if unknown:
            raise ValueError(f"unknown: {unknown}")
        self.by_sha256.update(given.get("by_sha256", {}))
        self.by_order += given.get("by_order", [])
        for item in given.get("by_image", []):
            with Image.open(item["image"]) as image:
                self.by_image.append((image.size, thumbnail(image), item["answer"]))

    def find(self, images):
        """The answer for the first image, or None."""
        if images:
            for prefix, answer in self.by_sha256.items():
                if images[0].sha256.startswith(prefix):
                    return as_text(answer)
            answer = self.nearest(images[0])
            if answer is not None:
                return as_text(answer)
        if self.handed < len(self.by_order):
            self.handed += 1
            return as_text(self.by_order[self.handed - 1])
        return None

    def nearest(self, received):
        """The answer of the most similar picture, whatever its size, if it is similar enough."""
        if not self.by_image:
            return None
        with Image.open(io.BytesIO(received.data)) as image:
            thumb = thumbnail(image)
        differences = [float(np.abs(thumb - other).mean()) for _, other, _ in self.by_image]
        best = int(np.argmin(differences))
        return self.by_image[best][2] if differences[best] < ALIKE else None
