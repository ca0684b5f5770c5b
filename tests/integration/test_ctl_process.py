"""indexocrctl process: one document of a queue, now, in the foreground, by the same way as any."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

import offices
import servers
from offices import KEY
from test_daemon_life import calls, gone, pages_document, sections

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3


@pytest.fixture
def desk(new_office, new_daemon, gemini):
    """An office, the engine, and a configuration with two environments; no daemon runs."""
    office, double = new_office(), gemini()
    daemon = new_daemon({"other": new_office().settings(), "prod": office.settings()}, sections=sections(double))
    return office, double, daemon


def process(daemon, id_, *options):
    return daemon.ctl("process", "prod", id_, *options, timeout_s=120)


def start(daemon, id_):
    """In the background, to be signalled."""
    return subprocess.Popen([daemon.programs / "indexocrctl", "-c", daemon.conf, "process", "prod", str(id_)], cwd=daemon.directory,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "handle_segv=0:detect_leaks=0"}, **daemon.identity())


def test_the_document_asked_for_is_read_and_no_other(desk, tmp_path):
    office, double, daemon = desk
    first, wanted = (pages_document(office, tmp_path / "doc.pdf", name, 2, n) for n, name in enumerate(("first.pdf", "wanted.pdf")))
    office.db.execute("UPDATE extraction_queue SET ocr_not_before = now() + interval '1 hour' WHERE id::text = %s", [wanted])
    answer = process(daemon, wanted, "--json")
    assert answer.returncode == 0, answer.stderr
    outcome = json.loads(answer.stdout)
    assert {k: outcome[k] for k in ("environment", "id", "outcome", "pages", "pagesRead")} == {
        "environment": "prod", "id": wanted, "outcome": "done", "pages": 2, "pagesRead": 2}
    assert office.db.row(wanted, "status_id", "worker_id", "ocr_attempts") == (DONE, None, 1)
    assert office.db.row(first, "status_id", "ocr_attempts") == (READY, 0)
    assert office.document(wanted)["totalPages"] == 2 and len(calls(double)) == 2
    assert "Job completed successfully" in answer.stderr, "what a daemon would log"
    assert process(daemon, wanted).returncode == 75, "it is done"


def test_the_outcome_is_said_and_is_the_exit_status(desk, tmp_path):
    office, double, daemon = desk
    failing = office.add("bad.pdf", "acte", content=b"<html>not here</html>")
    answer = process(daemon, failing)
    assert answer.returncode == 65
    assert answer.stdout.startswith(f"prod: document {failing} has failed for good: the file is not a PDF")
    assert office.db.row(failing, "status_id") == FAILED
    office.put("acte", "bad.pdf", offices.pdf_of([offices.page_image(1)], tmp_path / "doc.pdf"))
    assert process(daemon, failing).returncode == 0, "one that failed may be processed"
    assert office.db.row(failing, "status_id", "ocr_attempts", "ocr_error") == (DONE, 1, None)
    missing = office.db.add(source="acte", path="nowhere.pdf")[0]
    answer = process(daemon, missing, "--json")
    assert (answer.returncode, json.loads(answer.stdout)["outcome"]) == (75, "retried")
    assert office.db.row(missing, "status_id", "ocr_attempts") == (READY, 1)
    double.fail("401", times=-1)
    good = pages_document(office, tmp_path / "doc.pdf", "good.pdf", 1)
    answer = process(daemon, good)
    assert answer.returncode == 78 and "gemini.api_key" in answer.stdout, answer.stdout
    assert office.db.row(good, "status_id", "worker_id", "ocr_attempts") == (READY, None, 0)


def test_what_cannot_be_taken_says_why(desk, new_client, tmp_path):
    office, _, daemon = desk
    held = pages_document(office, tmp_path / "doc.pdf", pages=1)
    new_client(office.db.url, sources=["acte"]).claim()
    answer = process(daemon, held)
    assert answer.returncode == 75 and "it is being read" in answer.stderr
    answer = process(daemon, "4711")
    assert answer.returncode == 65 and "none of that id" in answer.stderr
    assert daemon.ctl("process", "nowhere", held).returncode == 78
    assert daemon.ctl("process", "prod").returncode == 64
    daemon.environments["prod"]["database"] = f"postgresql://nobody@127.0.0.1:{servers.free_port()}/none"
    daemon.configure()
    assert process(daemon, held).returncode == 69


def test_an_interrupt_gives_the_claim_back_and_keeps_the_pages_that_were_read(desk, tmp_path):
    office, double, daemon = desk
    double.control("delay", {"ms": 600})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=5)
    interrupted = start(daemon, id_)
    servers.wait_for(lambda: office.db.one("SELECT count(*) FROM extraction_queue_page") >= 2, "two stored pages")
    assert office.db.row(id_, "worker_id") == "test-process-1"
    interrupted.send_signal(signal.SIGINT)
    said, errors = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, errors
    assert "ready again, the attempt does not count" in said
    assert office.db.row(id_, "status_id", "worker_id", "ocr_attempts") == (READY, None, 0)
    double.control("delay", {"ms": 0})
    assert process(daemon, id_).returncode == 0
    assert len(calls(double)) <= 6, "only what was in flight is read again"


def test_a_crash_counts_as_an_attempt_with_its_reason(desk, tmp_path):
    office, double, daemon = desk
    double.control("delay", {"ms": 1000})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=3)
    master = start(daemon, id_)
    servers.wait_for(lambda: calls(double), "a call")
    children = [int(p) for p in pathlib.Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()]
    worker = next(p for p in children if any(str(c).isdigit() for c in pathlib.Path(f"/proc/{p}/task/{p}/children").read_text().split()))
    os.kill(worker, signal.SIGSEGV)
    master.communicate(timeout=60)
    assert master.returncode == 70
    assert all(gone(p) for p in children)
    status, attempts, error = office.db.row(id_, "status_id", "ocr_attempts", "ocr_error")
    assert (status, attempts) == (READY, 1) and error.startswith("worker crashed by SIGSEGV")


@pytest.mark.parametrize("command", ["process", "read"])
def test_beside_a_running_daemon_a_quota_without_redis_is_not_touched(desk, redis, tmp_path, command):
    office, double, daemon = desk
    daemon.environments.pop("other")
    pdf = offices.pdf_of([offices.page_image(1)], daemon.directory / "one.pdf")
    pdf.chmod(0o644)
    daemon.configure()
    daemon.start()
    arguments = ["read", pdf] if command == "read" else ["process", "prod", office.db.add(source="acte", path="one.pdf", status=FAILED)[0]]
    office.put("acte", "one.pdf", pdf)
    answer = daemon.ctl(*arguments)
    assert answer.returncode == 75 and "--own-limit" in answer.stderr
    assert not calls(double)
    assert daemon.ctl(arguments[0], "--own-limit", *arguments[1:]).returncode == 0
    daemon.sections["redis"] = {"url": redis.url}
    daemon.configure()
    if command == "process":
        office.db.execute("UPDATE extraction_queue SET status_id = 5")
    assert daemon.ctl(*arguments).returncode == 0, "with Redis the quota is shared"
    daemon.sections.pop("redis")
    daemon.configure()
    assert daemon.drain() == 0
    if command == "process":
        office.db.execute("UPDATE extraction_queue SET status_id = 5")
    assert daemon.ctl(*arguments).returncode == 0, "no daemon runs"
    assert KEY not in daemon.everything_said()
