#!/usr/bin/python3
"""Character error rates: a result document (CONTRACTS 2) against the ground truth of tests/data.

    cer.py TRUTH.json RESULT.json

prints the rate of every page and of the document; for pages with a table also the rate of the cells, taken
column by column, so that text in the wrong column counts as wrong.
"""

import json
import re
import sys
import unicodedata

FIELDS = ["party", "nature", "date", "publicationNo", "radiation", "remarks"]


def normal(text):
    """NFC, without `|`, white space collapsed."""
    return " ".join(unicodedata.normalize("NFC", text).replace("|", " ").split())


def distance(a, b):
    """Levenshtein distance by Myers' bit vectors (in Hyyrö's form): 20,000 characters take well under a second."""
    if not a or not b:
        return len(a) or len(b)
    places = {}
    for i, char in enumerate(a):
        places[char] = places.get(char, 0) | 1 << i
    mask, top = (1 << len(a)) - 1, 1 << (len(a) - 1)
    plus, minus, score = mask, 0, len(a)
    for char in b:
        equal = places.get(char, 0)
        vertical = equal | minus
        horizontal = (((equal & plus) + plus) ^ plus) | equal
        up = (minus | ~(horizontal | plus)) & mask
        down = plus & horizontal
        score += bool(up & top) - bool(down & top)
        up = up << 1 | 1
        down <<= 1
        plus = (down | ~(vertical | up)) & mask
        minus = up & vertical & mask
    return score


def errors(truth, text):
    """(edits, length of the truth), both texts normalised."""
    truth, text = normal(truth), normal(text)
    return distance(truth, text), len(truth)


def rate(edits, length):
    """Where nothing stands, nothing read is right and anything read is wrong."""
    return edits / length if length else float(edits > 0)


def cer(truth, text):
    """Edits divided by the truth's length; can exceed 1."""
    return rate(*errors(truth, text))


def page_text(page):
    """The text of a result page: `text`, or else its header and raw lines."""
    if page.get("text"):
        return page["text"]
    header = [value for value in (page.get("header") or {}).values() if value]
    return "\n".join(header + [re.sub(r"\\\|", "|", line.get("rawLine") or "") for line in page.get("lines") or []])


def cell_errors(rows, lines):
    """Errors of the six columns, each read from top to bottom."""
    total = [0, 0]
    for column, field in enumerate(FIELDS):
        edits, length = errors("\n".join(row[column] for row in rows), "\n".join(line.get(field) or "" for line in lines))
        total = [total[0] + edits, total[1] + length]
    return tuple(total)


def compare(truth, result):
    """One (page number, text errors, cell errors or None) for every page of the truth."""
    pages = {page["page"]: page for page in result["pages"]}
    for true in truth["pages"]:
        page = pages.get(true["page"], {})
        cells = cell_errors(true["rows"], page.get("lines") or []) if true["rows"] else None
        yield true["page"], errors(true["text"], page_text(page)), cells


def summed(pairs):
    pairs = list(pairs)
    return sum(p[0] for p in pairs), sum(p[1] for p in pairs)


def report(name, text, cells):
    row = f"{name:<10} cer {100 * rate(*text):6.2f} %  ({text[0]} of {text[1]} characters)"
    return row + (f"  cells {100 * rate(*cells):6.2f} %" if cells else "")


def main(argv):
    if len(argv) != 3:
        sys.exit("usage: cer.py TRUTH.json RESULT.json")
    documents = []
    for path in argv[1:]:
        with open(path, encoding="utf-8") as file:
            documents.append(json.load(file))
    pages = list(compare(*documents))
    for number, text, cells in pages:
        print(report(f"page {number}", text, cells))
    with_cells = [cells for _, _, cells in pages if cells]
    print(report("document", summed(text for _, text, _ in pages), summed(with_cells) if with_cells else None))


if __name__ == "__main__":
    main(sys.argv)
