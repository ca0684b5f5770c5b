"""The error rate counts what it should."""

import json
import random
import subprocess
import sys

import cer


def by_table(a, b):
    """The textbook algorithm."""
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (x != y)))
        previous = row
    return previous[-1]


def test_distance_is_that_of_the_textbook():
    rng = random.Random(7)
    for _ in range(1000):
        a, b = ("".join(rng.choice("abcé ") for _ in range(rng.randint(0, 70))) for _ in range(2))
        assert cer.distance(a, b) == by_table(a, b)


def test_white_space_bars_and_normal_forms_do_not_count():
    assert cer.cer("e\u0301té | de\n la  vie", "été de la vie") == 0


def test_rate_is_by_the_length_of_the_truth():
    assert cer.cer("abcd", "abxd") == 0.25 and cer.cer("ab", "abcdef") == 2.0
    assert cer.cer("", "") == 0 and cer.cer("", "x") == 1 and cer.cer("abc", "") == 1


def test_columns_count_apart(tmp_path):
    rows = [["A", "vente", "1950", "12", "", ""], ["B", "bail", "1951", "13", "rad.", ""]]
    names = cer.FIELDS
    good = [dict(zip(names, row)) for row in rows]
    swapped = [{**line, "nature": line["date"], "date": line["nature"]} for line in good]
    assert cer.cell_errors(rows, good)[0] == 0
    assert cer.cell_errors(rows, swapped)[0] > 10


def test_command_prints_pages_and_document(tmp_path):
    truth = {"source": "index", "pages": [
        {"page": 1, "text": "Lot : 5\nA | vente", "rows": [["A", "vente", "", "", "", ""]]},
        {"page": 2, "text": "abcd", "rows": None}, {"page": 3, "text": "", "rows": None}]}
    result = {"pages": [{"page": 2, "text": "abxd"},
                        {"page": 1, "header": {"lot": "Lot : 5"}, "lines": [{"rawLine": r"A\|vente", "party": "A", "nature": "vente"}]}]}
    for name, value in (("t.json", truth), ("r.json", result)):
        (tmp_path / name).write_text(json.dumps(value))
    out = subprocess.run([sys.executable, cer.__file__, tmp_path / "t.json", tmp_path / "r.json"], capture_output=True, text=True,
                         check=True, timeout=30).stdout.splitlines()
    assert "0.00 %" in out[0] and "cells" in out[0] and "25.00 %" in out[1] and "0.00 %" in out[2]
    assert out[3].startswith("document") and "1 of 19" in out[3]
