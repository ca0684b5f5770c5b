"""Rendering: the worker's side, with the helper itself and with programs in its place that fail in every way."""

import json
import os
import signal
import stat
import subprocess
import time

import pytest
from PIL import Image

from pdf_writer import Pdf
from render_lib import HELPER, LIMIT_S, SANITIZED, grain, open_file, pages_of, run_client, same

# ---- the client ----


def test_the_client_gets_every_page_in_order(tmp_path):
    images = [grain(700, 500 + n, seed=n) for n in range(6)]
    pages, end = run_client(pages_of(images, "flate"), tmp_path, skip="010010")
    assert [page["page"] for page in pages] == [1, 3, 4, 6] and end == {"end": True, "pages": 6}
    for page in pages:
        assert same(Image.open(tmp_path / str(page["page"])), images[page["page"] - 1])


@pytest.mark.parametrize("form", ["jpeg", "png", "pnm"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_the_client_takes_every_kind_of_image(tmp_path, form, mode):
    (page,), end = run_client(pages_of([grain(70, 50, mode)], "flate"), tmp_path, form=form)
    assert end["end"] and Image.open(tmp_path / "1").get_format_mimetype().split("-")[0] == page["mime"].split("-")[0]


def test_the_client_ends_where_all_pages_are_skipped(tmp_path):
    assert run_client(pages_of([grain(30, 40)] * 2, "flate"), tmp_path, skip="11") == ([], {"end": True, "pages": 2})


@pytest.mark.parametrize("data,code", [(b"", "empty"), (b"no pdf", "damaged")])
def test_the_client_names_what_is_wrong_with_a_document(tmp_path, data, code):
    pages, end = run_client(data, tmp_path)
    assert pages == [] and (end["kind"], end["code"]) == ("document", code)


def test_a_page_error_is_that_pages_alone(tmp_path):
    pdf = Pdf()
    whole = pdf.image(grain(30, 40))
    document = pdf.write([pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": number})
                          for number in (whole, 999, whole)])
    pages, end = run_client(document, tmp_path)
    assert [page.get("code") for page in pages] == [None, "damaged", None] and end["end"]


def fake_helper(tmp_path, body):
    """A program in the helper's place; `first` is the page it is to begin with, send() sends a frame."""
    path = tmp_path / "helper"
    path.write_text(f"""#!/usr/bin/python3 -IS
import json, os, signal, struct, sys, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
first = int(options["--first"])
def send(meta, body=b"", cut=None):
    text = json.dumps(meta).encode()
    out = b"IOF1" + struct.pack("<IQ", len(text), len(body)) + text + body
    sys.stdout.buffer.write(out[:cut]); sys.stdout.buffer.flush()
def page(n, **change):
    send(dict(dict(type="page", page=n, width=10, height=10, mime="image/png", dpi=300, scan=True, ink=0.1, blank=False),
              **change), b"image %d" % n)
{body}
""")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


LOSING = """
send(dict(type="document", pages=5))
for n in range(first, 6):
    if n in (2, 4):
        %s
    page(n)
send(dict(type="end"))
"""


@pytest.mark.parametrize("how,code,word", [
    ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed", "SIGSEGV"),
    ("os.kill(os.getpid(), signal.SIGXCPU)", "cpu-time", "processor"),
    ("os.kill(os.getpid(), signal.SIGKILL)", "killed", "SIGKILL (out of memory?)"),
    ("os.kill(os.getpid(), signal.SIGTERM)", "killed", "killed by SIGTERM"),
    ("sys.exit(3)", "crashed", "3"),
    ("sys.exit(0)", "crashed", "0"),
    ("send(dict(type='page', page=n), b'x' * 50, cut=40); os.abort()", "crashed", "SIGABRT"),
])
def test_a_helper_that_dies_on_a_page_loses_that_page_only(tmp_path, how, code, word):
    pages, end = run_client(b"x", tmp_path, fake_helper(tmp_path, LOSING % how))
    assert [page["page"] for page in pages] == [1, 2, 3, 4, 5] and end == {"end": True, "pages": 5}
    assert [page.get("code") for page in pages] == [None, code, None, code, None]
    assert word in pages[1]["text"]
    assert pages[1]["kind"] == ("transient" if code == "killed" else "document")
    assert (tmp_path / "3").read_bytes() == b"image 3"


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_a_helper_that_is_killed_from_outside_costs_no_page(tmp_path, number):
    body = f"""
def unlucky(place):
    path = {str(tmp_path)!r} + "/met at " + place
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.{number})
unlucky("the start")
send(dict(type="document", pages=5))
for n in range(first, 6):
    if n in (2, 5):
        unlucky("page %d" % n)
    page(n)
send(dict(type="end"))
"""
    pages, end = run_client(b"x", tmp_path, fake_helper(tmp_path, body))
    assert [page.get("code") for page in pages] == [None] * 5 and end == {"end": True, "pages": 5}
    assert len(list(tmp_path.glob("met at *"))) == 3


@pytest.mark.parametrize("how", ["time.sleep(600)", "os.kill(os.getpid(), signal.SIGSTOP)", "while True: pass"])
def test_a_page_that_takes_too_long_is_given_up_for_now_and_the_rest_goes_on(tmp_path, how):
    pages, end = run_client(b"x", tmp_path, fake_helper(tmp_path, LOSING % how), timeout_ms=1500)
    assert [page.get("code") for page in pages] == [None, "timeout", None, "timeout", None] and end["end"]
    assert pages[1]["kind"] == "transient", "the host may have been too busy"


def test_a_document_that_takes_too_long_to_open_is_given_up(tmp_path):
    pages, end = run_client(b"x", tmp_path, fake_helper(tmp_path, "time.sleep(600)"), timeout_ms=700)
    assert pages == [] and end["code"] == "timeout"


def test_the_last_page_lost_is_the_end(tmp_path):
    helper = fake_helper(tmp_path, 'send(dict(type="document", pages=1)); os.abort()')
    pages, end = run_client(b"x", tmp_path, helper)
    assert [page["code"] for page in pages] == ["crashed"] and end["end"]


def test_a_document_that_kills_every_helper_is_given_up(tmp_path):
    helper = fake_helper(tmp_path, 'send(dict(type="document", pages=500)); os.abort()')
    pages, end = run_client(b"x", tmp_path, helper)
    assert len(pages) == 10 and end["code"] == "crashed" and "given up at page 11" in end["text"]


def test_a_helper_that_is_not_there_is_the_configurations_fault(tmp_path):
    pages, end = run_client(b"x", tmp_path, str(tmp_path / "none"))
    assert pages == [] and (end["kind"], end["code"]) == ("config", "helper-missing") and str(tmp_path / "none") in end["text"]


@pytest.mark.parametrize("body", [
    'sys.stdout.buffer.write(b"%PDF" * 20); sys.stdout.flush(); time.sleep(600)',
    'sys.stdout.buffer.write(b"IOF1" + struct.pack("<IQ", 2, 1 << 60)); sys.stdout.flush(); time.sleep(600)',
    'sys.stdout.buffer.write(b"IOF1" + struct.pack("<IQ", 1 << 30, 0)); sys.stdout.flush(); time.sleep(600)',
    'send([1, 2])', 'send(dict(type=7))', 'send(dict(type="other"))', 'page(1)', 'send(dict(type="end"))',
    'send(dict(type="document", pages=0))', 'send(dict(type="document", pages=1001))',
    'send(dict(type="document", pages=2)); page(2)', 'send(dict(type="document", pages=2)); send(dict(type="end"))',
    'send(dict(type="document", pages=2)); page(1, width=0)', 'send(dict(type="document", pages=2)); page(1, height=70000)',
    'send(dict(type="document", pages=2)); page(1, mime="text/html")', 'send(dict(type="document", pages=2)); page(1, ink=7)',
    'send(dict(type="document", pages=2)); send(dict(type="page_error", page=9, code="x", message="y"))',
    'send(dict(type="document", pages=1)); page(1); page(2)',
])
def test_nonsense_from_a_helper_is_refused(tmp_path, body):
    pages, end = run_client(b"x", tmp_path, fake_helper(tmp_path, body))
    assert len(pages) <= 1 and (end["kind"], end["code"]) == ("bug", "frame")


def test_a_helper_inherits_nothing_but_the_document_and_the_pipe(tmp_path):
    body = """
signal_mask = [line.split()[1] for line in open("/proc/self/status") if line.startswith(("SigBlk", "SigIgn"))]
fds = sorted(int(n) for n in os.listdir("/proc/self/fd"))
send(dict(type="error", code="seen", message=json.dumps([fds[:3], len(fds), sorted(os.environ), signal_mask, sys.stdin.read()])))
"""
    secret = os.open("/dev/null", os.O_RDONLY)
    _, end = run_client(b"the document", tmp_path, fake_helper(tmp_path, body))
    os.close(secret)
    fds, count, env, masks, document = json.loads(end["text"])
    assert fds == [0, 1, 2] and count == 4, "the fourth is the listing's own"
    assert [name for name in env if name not in ("LC_CTYPE",)] == ["LC_ALL", "OMP_THREAD_LIMIT"]
    assert int(masks[0], 16) == 0 and document == "the document"


def test_the_helper_keeps_no_inherited_descriptor_and_no_privilege(tmp_path):
    """Looked at while it waits for its pipe to be read."""
    pdf = pages_of([grain(900, 900)] * 2, "flate")
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    with open_file(pdf) as file:
        helper = subprocess.Popen([HELPER, "--format", "pnm", "--memory-limit", str(1 << 30), "--cpu-limit", "30"], stdin=file,
                                  stdout=subprocess.PIPE, close_fds=False)
        try:
            assert helper.stdout.read(4) == b"IOF1"
            limits = {line[:25].strip(): line[25:].split() for line in open(f"/proc/{helper.pid}/limits")}
            status = dict(line.rstrip("\n").split(":\t", 1) for line in open(f"/proc/{helper.pid}/status") if ":\t" in line)
            if os.geteuid() == 0:
                assert sorted(os.listdir(f"/proc/{helper.pid}/fd"), key=int) == ["0", "1", "2"]
        finally:
            helper.kill()
            helper.wait()
            helper.stdout.close()
            os.close(inherited)
    assert status["NoNewPrivs"] == "1"
    assert limits["Max file size"][:2] == ["0", "0"] and limits["Max core file size"][:2] == ["0", "0"]
    assert int(limits["Max open files"][1]) <= 64 and int(limits["Max cpu time"][0]) <= 40
    if not SANITIZED:
        assert limits["Max address space"][0] == str(1 << 30)


def is_running(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_helper_dies_with_its_parent():
    """The test holds the pipe's other end, so that nothing but the parent's death ends it."""
    pdf = pages_of([grain(900, 900)] * 2, "flate")
    script = ("import subprocess, sys, time\n"
              f"helper = subprocess.Popen([{HELPER!r}, '--format', 'pnm'])\n"
              "print(helper.pid, file=sys.stderr, flush=True)\n"
              "time.sleep(600)")
    with open_file(pdf) as file:
        parent = subprocess.Popen(["/usr/bin/python3", "-IS", "-c", script], stdin=file, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
    helper = int(parent.stderr.readline())
    assert parent.stdout.read(4) == b"IOF1" and is_running(helper)
    parent.kill()
    deadline = time.monotonic() + LIMIT_S
    while is_running(helper) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(helper)
    parent.communicate(timeout=LIMIT_S)


def form_bomb(pdf):
    """Ten forms, each painting the one before ten times: 10^10 rectangles."""
    form = pdf.form("0 0 1 1 re f", {})
    for _ in range(10):
        form = pdf.form("/F Do " * 10, {"F": form})
    return form


def test_a_page_without_end_is_given_up_and_the_others_are_rendered(tmp_path):
    pdf = Pdf()
    whole, bomb = pdf.image(grain(30, 40)), form_bomb(pdf)
    document = pdf.write([pdf.page("q 300 0 0 400 0 0 cm /I Do Q", (0, 0, 300, 400), {"I": number})
                          for number in (whole, bomb, whole)])
    pages, end = run_client(document, tmp_path, timeout_ms=2500)
    assert [page.get("code") for page in pages] in ([None, code, None] for code in ("timeout", "cpu-time")) and end["end"]


def test_a_page_that_uses_up_its_processor_time_ends_the_helper():
    pdf = Pdf()
    document = pdf.write([pdf.page("/I Do", (0, 0, 300, 400), {"I": form_bomb(pdf)})])
    with open_file(document) as file:
        done = subprocess.run([HELPER, "--cpu-limit", "1"], stdin=file, stdout=subprocess.PIPE, timeout=LIMIT_S, check=False)
    assert done.returncode == -signal.SIGXCPU
