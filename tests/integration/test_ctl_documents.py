"""indexocrctl on single documents: what requeue does to each, and what show knows."""

import contextlib
import json
import pathlib
import socket
import threading

import pytest

import servers

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3


@pytest.fixture
def desk(new_office, new_daemon):
    """An office and the configuration of a daemon that is not running."""
    office = new_office()
    return office, new_daemon({"prod": office.settings()}, sections={"queue": {"sources": ["acte"]}})


def claim(office, new_client, worker="host-1"):
    return new_client(office.db.url, worker=worker, sources=["acte"]).claim()


# ---- requeue ---------------------------------------------------------------------------------------------------

def test_requeue_says_what_it_did_with_each(desk, new_client):
    office, daemon = desk
    live, = office.db.add(source="acte")
    claim(office, new_client)
    foreign, = office.db.add(source="acte", status=CLAIMED, worker_id="older-worker")
    failed, = office.db.add(source="acte", status=FAILED, ocr_error="no")
    other, = office.db.add(source="acte", status=1)
    answer = daemon.ctl("requeue", "prod", failed, live, foreign, other, "4711")
    assert answer.stdout.splitlines() == [
        f"prod: document {failed} is ready again",
        f"prod: document {live} left alone: it is being read by host-1",
        f"prod: document {foreign} left alone: it is claimed by another program, older-worker",
        f"prod: document {other} left alone: its status is none that indexocr uses",
        "prod: document 4711 is not there"]
    assert answer.returncode == 75 and "--steal" in answer.stderr
    answer = daemon.ctl("requeue", "prod", "--steal", live, "--json")
    assert json.loads(answer.stdout) == {"environment": "prod", "requeued": 1, "refused": 0,
                                         "documents": [{"id": live, "outcome": "stolen", "worker": "host-1"}]}
    assert answer.returncode == 0 and office.db.row(live, "status_id", "worker_id", "ocr_claim") == (READY, None, None)
    assert daemon.ctl("requeue", "prod", "4711").returncode == 65
    answer = daemon.ctl("requeue", "prod", "x")
    assert answer.returncode == 65 and '"x"' in answer.stderr


def test_requeue_of_all_that_failed_counts_them(desk):
    office, daemon = desk
    office.db.add(2001, source="acte", status=FAILED, ocr_error="HTTP 401: key refused", ocr_last_error_at="2026-01-01")
    office.db.add(3, source="acte", status=FAILED, ocr_error="encrypted", ocr_last_error_at="2026-01-01")
    answer = daemon.ctl("requeue", "prod", "--failed", "--reason", "key", "--json")
    assert (answer.returncode, json.loads(answer.stdout)) == (0, {"environment": "prod", "requeued": 2001})
    assert daemon.ctl("requeue", "prod", "--failed").stdout == "prod: 3 documents ready again\n"


@pytest.mark.parametrize("arguments", [["prod"], ["prod", "1", "--failed"], ["prod", "1", "--reason", "x"], ["prod", "--failed", "--steal"], []])
def test_requeue_of_nothing_or_of_both_is_wrong_usage(desk, arguments):
    assert desk[1].ctl("requeue", *arguments).returncode == 64


# ---- show ------------------------------------------------------------------------------------------------------

def shown(daemon, id_):
    answer = daemon.ctl("show", "prod", id_, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_show_tells_people_what_stands_in_the_row(desk, new_client):
    office, daemon = desk
    id_, = office.db.add(source="acte", path="2024/\x1b[31mdeed.pdf", ocr_losses=2, ocr_max_attempts=5)
    client = new_client(office.db.url, worker="host-1", sources=["acte"])
    job = client.claim()
    client.checkpoint(job, [{"page": n, "tokens": 10, "result": {"page": n}} for n in (1, 2, 3, 7)])
    text = daemon.ctl("show", "prod", id_).stdout
    for expected in (f"document       {id_} in prod", "status         claimed (2)", "attempts       1 of 5, losses 2", "held by        host-1",
                     f"claim          {job['token']}", "stored         4 pages (1-3, 7), 40 tokens", "not claimed    it is being read"):
        assert expected in text, text
    assert "\x1b" not in text
    client.fail(job, "storage answers HTTP 503", retry_after_ms=50_000)
    text = daemon.ctl("show", "prod", id_).stdout
    assert "last error     storage answers HTTP 503" in text and "waits until" in text and "it waits for its next attempt" in text
    assert daemon.ctl("show", "prod", "4711").returncode == 65
    assert "no path" in daemon.ctl("show", "prod", office.db.add(source="acte", path=None)[0]).stdout.replace("none: it will fail", "no path")


def test_a_locked_row_is_shown_as_such(desk):
    office, daemon = desk
    id_, = office.db.add(source="acte")
    with office.db.connect() as other, other.transaction():
        other.execute("SELECT 1 FROM extraction_queue FOR UPDATE")
        assert "open transaction" in shown(daemon, id_)["notClaimedBecause"]
    assert "no daemon answers" in shown(daemon, id_)["notClaimedBecause"]


@pytest.fixture
def daemon_that_says(desk):
    """Puts somebody on the control socket who answers with this status, whatever is asked."""
    with contextlib.ExitStack() as cleanup:
        def say(status):
            path = desk[1].directory / "run" / "control.sock"
            with contextlib.suppress(FileNotFoundError):
                pathlib.Path(path).unlink()
            listener = cleanup.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            path.chmod(0o777)
            listener.listen()
            threading.Thread(target=answer, args=(listener, json.dumps(status).encode()), daemon=True).start()

        yield say


def answer(listener, text):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(text)


def status(workers=("idle",), environments=({"name": "prod", "database": "up"},), **more):
    return {"environments": list(environments), "draining": False,
            "processes": [{"id": "keeper", "post": "running", "state": "idle"}] + [{"id": f"w-{n}", "post": "running", "state": s} for n, s in enumerate(workers)],
            **more}


@pytest.mark.parametrize("said, reason", [
    (status(draining=True), "draining"),
    (status(paused=True), "indexocrctl resume"),
    (status(engineFailures=3), "the engine does not work"),
    (status(environments=[{"name": "prod", "database": "up", "storageFailures": 1}]), "its storage does not work"),
    (status(environments=[{"name": "dev", "database": "up"}]), "reload"),
    (status(environments=[{"name": "prod", "database": "down", "error": "connection refused"}]), "cannot use this database: connection refused"),
    (status(environments=[{"name": "prod", "database": "unknown"}]), "has not reached"),
    (status(workers=[]), "no worker is running"),
    (status(workers=["paused", "paused"]), "every worker is paused (2)"),
    (status(environments=[{"name": "first", "database": "up", "ready": 7}, {"name": "prod", "database": "up"}]), "first is asked first and has 7 ready"),
    (status(workers=["reading", "paused"]), "1 older document comes before it"),
    (status(environments=[{"name": "first", "database": "down", "ready": 7}, {"name": "prod", "database": "up"}]), "1 older document comes before it"),
])
def test_show_says_what_of_the_daemon_keeps_a_ready_document_waiting(desk, daemon_that_says, said, reason):
    office, daemon = desk
    id_ = office.db.add(2, source="acte")[1]
    daemon_that_says(said)
    assert reason in shown(daemon, id_)["notClaimedBecause"]


def test_the_next_document_waits_for_a_worker_or_for_nothing(desk, daemon_that_says):
    office, daemon = desk
    id_, = office.db.add(source="acte")
    daemon_that_says(status(workers=["reading", "writing"]))
    assert shown(daemon, id_)["notClaimedBecause"] == "all 2 workers are busy; it is the next"
    daemon_that_says(status(workers=["reading", "idle"]))
    assert shown(daemon, id_)["notClaimedBecause"] is None


# ---- the others in JSON ----------------------------------------------------------------------------------------

def test_check_in_json_names_what_cannot_be_reached(desk, gemini):
    office, daemon = desk
    double = gemini()
    daemon.sections.update(engine={"use": "gemini"}, gemini={"api_key": "AQ.wrong", "base_url": double.url})
    daemon.environments["staging"] = {"database": f"postgresql://nobody@127.0.0.1:{servers.free_port()}/none", "storage": f"directory:{office.directory}/none"}
    daemon.configure()
    answer = daemon.ctl("check", "--json")
    report = json.loads(answer.stdout)
    assert answer.returncode == 69 and report["ok"] is False
    assert [(c["what"], c.get("environment"), c.get("name"), c["ok"]) for c in report["checks"]] == [
        ("database", "prod", None, True), ("bucket", "prod", "acte", True), ("database", "staging", None, False),
        ("bucket", "staging", "acte", False), ("engine", None, "gemini", False)]
    assert all(c["ok"] or c["error"] for c in report["checks"])
    assert "FAIL  bucket staging acte: " in daemon.ctl("check").stdout


def test_limits_in_json_are_numbers(desk, redis):
    _, daemon = desk
    daemon.sections.update(engine={"use": "gemini"}, gemini={"api_key": "AQ.any"}, limits={"rpm": 100, "tpm": 5000, "headroom": 0.5}, redis={"url": redis.url})
    daemon.configure()
    limits = json.loads(daemon.ctl("limits", "--json").stdout)
    assert limits == {"calls": 0, "callLimit": 50, "tokens": 0, "tokenLimit": 2500, "pausedMs": 0, "redis": True}
