"""The pool follows the queue, a reload holds for everybody, a drain tells how far it is."""

import signal

import servers
from test_daemon_life import CLAIMED, DONE, calls, pages_document, reading, sections


def following(double, workers_max, **engine):
    return {**sections(double, **engine), "": {"scale": "queue", "workers_max": workers_max}}


def pool(daemon):
    return daemon.status()["pool"]


def test_the_pool_grows_with_the_ready_documents_and_no_further_than_workers_max(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1500})
    daemon = new_daemon({"prod": office.settings()}, sections=following(double, 4), workers=1).start()
    assert pool(daemon) == {"scale": "queue", "wanted": 1, "min": 1, "max": 4}
    ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 2, 10 * n) for n in range(8)]
    servers.wait_for(lambda: office.count(CLAIMED) == 4, "four documents in work at once")
    assert pool(daemon)["wanted"] == 4
    servers.wait_for(office.idle, "the documents")
    assert all(office.db.row(i, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0) for i in ids)
    assert pool(daemon)["wanted"] == 4, "it shrinks slowly"
    servers.wait_for(lambda: pool(daemon)["wanted"] < 4 and len(daemon.processes()) < 4, "a worker to be given up", 60)
    assert daemon.drain() == 0


def test_scale_sets_the_least_of_a_pool_that_follows_the_queue(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=following(double, 3), workers=1).start()
    assert daemon.ctl("scale", "2").returncode == 0
    servers.wait_for(lambda: len(daemon.processes("idle")) == 2, "two workers")
    assert pool(daemon) == {"scale": "queue", "wanted": 2, "min": 2, "max": 3}
    assert daemon.drain() == 0


def test_lower_limits_hold_at_once_for_a_worker_that_finishes_under_the_old_configuration(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=12)
    daemon = new_daemon({"prod": office.settings()}, sections={**sections(double), "limits": {"rpm": 60, "headroom": 1.0}}, workers=1).start()
    busy = reading(daemon, id_)
    servers.wait_for(lambda: calls(double), "the first call")
    daemon.sections["limits"] = {"rpm": 0, "tpm": 0}
    daemon.configure()
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "twelve pages, at once without a limit; in twelve seconds with it", 8)
    assert busy["pid"] not in {p["pid"] for p in daemon.processes() if p["state"] == "reading"}
    assert daemon.drain() == 0


def test_a_reload_moves_the_control_socket_and_a_place_that_cannot_be_had_refuses_it(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    here, there = daemon.directory / "run" / "control.sock", daemon.directory / "run" / "moved.sock"
    good = daemon.conf.read_text()
    daemon.configure(good.replace(str(here), "/proc/none/control.sock"))
    answer = daemon.ctl("reload")
    assert answer.returncode == 78 and "/proc/none/control.sock" in answer.stderr
    assert daemon.status()["generation"] == 1
    daemon.configure(good.replace(str(here), str(there)))
    assert daemon.ctl("reload").returncode == 0, "answered on the connection that asked"
    assert not here.exists()
    moved = servers.run([daemon.programs / "indexocrctl", "-c", daemon.conf, "status"], cwd=daemon.directory, **daemon.identity())
    assert moved.returncode == 0 and "generation 2" in moved.stdout
    assert daemon.drain() == 0
    assert not there.exists()


def test_a_drain_tells_how_many_it_waits_for_and_how_old_the_oldest_document_is(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 3000})
    for n in range(2):
        pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 1, 10 * n)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    servers.wait_for(lambda: office.count(CLAIMED) == 2 and len(calls(double)) == 2, "two documents in work")
    daemon.process.send_signal(signal.SIGTERM)
    drain = servers.wait_for(lambda: daemon.status().get("drain"), "the drain")
    assert drain["phase"] == "drain" and drain["workers"] == 2 and drain["oldestJobMs"] > 0 and drain["leftMs"] > 0, drain
    assert daemon.wait() == 0
    (line,) = [line for line in daemon.log_lines() if line["message"].startswith("SIGTERM: draining, waiting for 2 workers, oldest document ")]
    assert line["stage"] == "master"


def test_of_many_files_in_a_row_the_last_good_one_is_taken_over_when_the_busy_worker_is_done(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1000})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=4)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    reading(daemon, id_)
    for workers in (2, 3, 4):
        daemon.workers = workers
        daemon.configure()
        assert daemon.ctl("reload").returncode == 0
    daemon.configure(daemon.conf.read_text() + "nonsense = 1\n")
    assert daemon.ctl("reload").returncode == 78
    status = daemon.status()
    assert status["generation"] == 2 and status["reloadWaits"] and status["reloadError"]
    servers.wait_for(office.idle, "the document")
    servers.wait_for(lambda: daemon.status()["generation"] == 3 and len(daemon.processes("idle")) == 4, "the last good file in force")
    assert office.db.row(id_, "ocr_attempts", "ocr_losses") == (1, 0)
    assert daemon.drain() == 0
