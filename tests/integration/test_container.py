"""In a container: process 1, orphans, signals, and who goes first when memory runs out."""

import os
import pathlib
import signal

import pytest

import offices
import servers
from offices import KEY

DONE, CLAIMED = 4, 2
AS_ROOT = os.geteuid() == 0
NAMESPACE = ["--pid", "--fork", "--mount-proc", "--kill-child"] if AS_ROOT else ["--user", "--map-current-user", "--pid", "--fork", "--mount-proc", "--kill-child"]


def sections(double):
    return {"queue": {"sources": ["acte"], "poll_interval": 1, "backoff": 1}, "engine": {"use": "gemini", "page_concurrency": 1},
            "gemini": {"api_key": KEY, "base_url": double.url}, "supervise": {"restart_backoff": 1}}


def pages_document(office, path, pages, name="doc.pdf"):
    return office.add(name, "acte", offices.pdf_of([offices.page_image(n) for n in range(pages)], path))


def children(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state(pid):
    """As of ps(1): Z is a zombie; None where there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def helper_of(worker):
    return servers.wait_for(lambda: next((p for p in children(worker) if pathlib.Path(f"/proc/{p}/comm").read_text() == "indexocr-render\n"), None),
                            "the worker's renderer")


@pytest.fixture
def contained(new_daemon, gemini):
    """A daemon that is process 1 of its own namespace; where we are root, started by root. .process is unshare(1), .one the daemon."""
    if servers.run(["unshare", *NAMESPACE, "true"]).returncode != 0:
        pytest.skip("no process namespaces here, not even within a user namespace")

    def make(office, double):
        user = servers.unprivileged_user().pw_name if AS_ROOT else None
        daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2, become=user)
        daemon.start(before=["unshare", *NAMESPACE])
        (daemon.one,) = children(daemon.process.pid)
        return daemon
    return make


# ---- process 1


def test_as_process_1_it_reads_documents_drains_at_term_and_leaves_nothing(contained, new_office, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 700})
    daemon = contained(office, double)
    assert daemon.status()["pid"] == 1
    assert (daemon.directory / "run" / "pid").read_text() == "1\n"
    first = pages_document(office, tmp_path / "doc.pdf", 1, "first.pdf")
    servers.wait_for(lambda: office.db.row(first, "status_id") == DONE, "a document")
    id_ = pages_document(office, tmp_path / "doc.pdf", 4)
    servers.wait_for(lambda: office.db.row(id_, "status_id") == CLAIMED, "a document in work")
    everybody = [*children(daemon.one), daemon.one]
    os.kill(daemon.one, signal.SIGTERM)
    assert daemon.wait() == 0
    assert office.db.row(id_, "status_id", "ocr_attempts") == (DONE, 1)
    assert [state(pid) for pid in everybody] == [None] * 4
    assert [p.name for p in (daemon.directory / "run").iterdir()] == ["pid.lock"]


def test_as_process_1_it_reaps_orphans_of_others(contained, new_office, gemini):
    daemon = contained(new_office(), gemini())
    own = set(children(daemon.one))
    enter = ["--pid"] if AS_ROOT else ["--user", "--preserve-credentials", "--pid"]
    entered = servers.run(["nsenter", "--target", daemon.one, *enter, "sh", "-c", "sleep 2 >/dev/null 2>&1 &"], env=daemon.environment())
    assert entered.returncode == 0, entered.stderr
    (orphan,) = servers.wait_for(lambda: set(children(daemon.one)) - own, "the orphan to be ours")
    servers.wait_for(lambda: state(orphan) in (None, "Z"), "the orphan to end")
    servers.wait_for(lambda: state(orphan) is None, "the orphan to be reaped", 10)
    assert set(children(daemon.one)) == own
    os.kill(daemon.one, signal.SIGTERM)
    assert daemon.wait() == 0


def test_as_process_1_killed_workers_are_replaced_and_their_helpers_reaped(contained, new_office, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 700})
    daemon = contained(office, double)
    id_ = pages_document(office, tmp_path / "doc.pdf", 5)
    inside = servers.wait_for(lambda: daemon.process_with(id_), "the document to be in work")
    worker = next(p for p in children(daemon.one) if f"\nNSpid:\t{p}\t{inside['pid']}\n" in pathlib.Path(f"/proc/{p}/status").read_text())
    helper = helper_of(worker)
    os.kill(worker, signal.SIGKILL)
    servers.wait_for(lambda: state(helper) is None and state(worker) is None, "worker and helper to be gone, and no zombies")
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 1)
    os.kill(daemon.one, signal.SIGTERM)
    assert daemon.wait() == 0


# ---- orphans below a master that is no process 1


def test_the_helper_of_a_killed_worker_comes_to_the_master_and_is_reaped(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 700})
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    id_ = pages_document(office, tmp_path / "doc.pdf", 4)
    worker = servers.wait_for(lambda: daemon.process_with(id_), "the document to be in work")["pid"]
    helper = helper_of(worker)
    os.kill(helper, signal.SIGSTOP)  # so that it is seen on its way
    os.kill(worker, signal.SIGKILL)
    servers.wait_for(lambda: state(helper) is None, "the helper to be gone, and no zombie")
    servers.wait_for(office.idle, "the document")
    assert daemon.drain() == 0


# ---- memory


def test_when_memory_runs_out_a_helper_goes_before_its_worker_and_the_master(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1000})
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    id_ = pages_document(office, tmp_path / "doc.pdf", 5)
    worker = servers.wait_for(lambda: daemon.process_with(id_), "the document to be in work")["pid"]
    helper = helper_of(worker)

    def adjustment(pid):
        return int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text())

    servers.wait_for(lambda: adjustment(helper) == 500, "the renderer to volunteer")
    assert adjustment(worker) == adjustment(daemon.process.pid) < 500
    assert daemon.drain() == 0
