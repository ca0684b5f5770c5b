"""One daemon per pid file, the end of its children when its master is killed, and the daemon that comes after it."""

import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

import faults
import offices
import servers
from offices import KEY

DONE, CLAIMED, READY = 4, 2, 3
WAITING = "Waiting for the children of the previous daemon, whose master was killed, to finish: they hold {}"


def sections(double, drain_timeout=300):
    return {"queue": {"sources": ["acte"], "poll_interval": 1, "backoff": 1}, "engine": {"use": "gemini", "page_concurrency": 1},
            "gemini": {"api_key": KEY, "base_url": double.url}, "supervise": {"restart_backoff": 1, "drain_timeout": drain_timeout}}


def pages_document(office, path, pages):
    return office.add("doc.pdf", "acte", offices.pdf_of([offices.page_image(n) for n in range(pages)], path))


def calls(double):
    return [r for r in double.requests() if r.get("method") == "generateContent"]


def gone(pid):
    return faults.state(pid) in "XZ"


def wait_until_gone(pids, timeout_s=60):
    for pid in pids:
        servers.wait_for(lambda p=pid: gone(p), f"process {pid} to be gone", timeout_s)


def stored_pages(office):
    return office.db.one("SELECT count(*) FROM extraction_queue_page")


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def title(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


def kill_master(daemon):
    children = daemon.children()
    daemon.process.kill()
    daemon.wait()
    return children


def in_work(office, double, id_):
    servers.wait_for(lambda: office.db.row(id_, "status_id") == CLAIMED and calls(double), "the document to be in work")


def waiting_line(daemon):
    return daemon.messages(WAITING.format(daemon.directory / "run" / "pid.lock"))


# ---- one daemon


@pytest.fixture
def idle_daemon(new_daemon, gemini):
    """A daemon without a database: nothing but a master and its children."""
    def make(**options):
        nowhere = {"database": "host=/nonexistent dbname=none", "storage": "directory:/nonexistent"}
        return new_daemon({"prod": nowhere}, sections=sections(gemini()), workers=1, **options)
    return make


def test_of_daemons_started_at_the_same_instant_exactly_one_runs(idle_daemon):
    daemon = idle_daemon()
    for _ in range(10):
        started = [subprocess.Popen([daemon.programs / "indexocrd", "-c", daemon.conf], cwd=daemon.directory, stderr=subprocess.PIPE, text=True,
                                    env=daemon.environment(), **daemon.identity()) for _ in range(4)]
        servers.wait_for(lambda s=started: sum(p.poll() is not None for p in s) == 3 and daemon.answers(), "three refusals and an answer")
        (winner,) = [p for p in started if p.poll() is None]
        for loser in started:
            if loser is not winner:
                assert loser.returncode == 73
                assert f"another indexocrd (pid {winner.pid}) holds {daemon.directory}/run/pid.lock" in loser.stderr.read()
        assert daemon.status()["pid"] == winner.pid == int((daemon.directory / "run" / "pid").read_text())
        winner.send_signal(signal.SIGTERM)
        assert winner.wait(60) == 0
        for process in started:
            process.stderr.close()
        assert [p.name for p in (daemon.directory / "run").iterdir()] == ["pid.lock"]


def test_a_live_daemon_is_named_also_where_its_pid_file_lies(idle_daemon):
    daemon = idle_daemon().start()
    (daemon.directory / "run" / "pid").write_text("1\n")
    answer = daemon.run()
    assert answer.returncode == 73 and f"(pid {daemon.process.pid})" in answer.stderr
    assert daemon.drain() == 0


def test_stale_pid_file_socket_and_lock_are_no_obstacle(idle_daemon):
    daemon = idle_daemon()
    run = daemon.directory / "run"
    (run / "pid").write_text(f"{os.getpid()}\nrubbish")  # somebody lives there, who is no indexocrd
    (run / "pid.new").write_text("rubbish")
    (run / "pid.lock").write_bytes(b"\0rubbish\xff" * 100)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(run / "control.sock"))
    for path in run.iterdir():
        daemon.own(path)
    daemon.start()
    assert int((run / "pid").read_text()) == daemon.process.pid
    assert daemon.drain() == 0
    assert [p.name for p in run.iterdir()] == ["pid.lock"]


def test_a_wait_is_said_again_now_and_then_with_how_long_it_has_lasted(idle_daemon):
    daemon = idle_daemon()
    lock = daemon.directory / "run" / "pid.lock"
    lock.touch()
    daemon.own(lock)
    with open(lock, "rb") as held:  # as a child of a daemon that is gone does
        fcntl.flock(held, fcntl.LOCK_EX)
        daemon.spawn()
        (still,) = servers.wait_for(lambda: daemon.messages("Still waiting for the children of the previous daemon, 10 s so far"), "the second word")
        assert len(waiting_line(daemon)) == 1
        assert title(daemon.process.pid) == "indexocrd: master (waiting for the children of the previous daemon)"
        print("processor seconds for ten of waiting:", processor_seconds(daemon.process.pid))
        assert processor_seconds(daemon.process.pid) < 1
    servers.wait_for(daemon.answers, "the start")
    assert still["level"] == "warn"
    assert title(daemon.process.pid) == "indexocrd: master"
    assert daemon.drain() == 0


# ---- the master is killed


def test_a_successor_waits_for_the_busy_worker_of_a_killed_master(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1500})
    id_ = pages_document(office, tmp_path / "doc.pdf", 3)
    first = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    in_work(office, double, id_)
    children = kill_master(first)
    second = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2, host_directory=first.directory).spawn()
    servers.wait_for(lambda: waiting_line(second), "the successor to say that it waits")
    assert office.db.row(id_, "status_id") == CLAIMED, "it waits while the document is in work"
    assert not second.answers()
    assert int((second.directory / "run" / "pid").read_text()) == second.process.pid
    third = second.run()
    assert third.returncode == 73 and f"(pid {second.process.pid})" in third.stderr
    servers.wait_for(second.answers, "the successor to start")
    waited = processor_seconds(second.process.pid)
    wait_until_gone(children)
    assert len(waiting_line(second)) == 1
    assert second.messages("The children of the previous daemon have finished")
    assert office.db.row(id_, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0)
    assert len(calls(double)) == 3, "each page is sent once"
    assert len(second.messages("Job completed successfully")) == 1
    assert waited < 1, "waiting costs nothing"
    assert second.drain() == 0
    assert [p.name for p in (second.directory / "run").iterdir()] == ["pid.lock"]


def test_a_document_longer_than_the_bound_is_given_back_with_its_attempt_and_its_pages(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 300})
    id_ = pages_document(office, tmp_path / "doc.pdf", 5)
    settings = sections(double, drain_timeout=1)
    first = new_daemon({"prod": office.settings()}, sections=settings, workers=1).start()
    servers.wait_for(lambda: stored_pages(office) >= 2, "two stored pages")
    double.control("delay", {"ms": 60000})
    servers.wait_for(lambda: first.process_with(id_), "the document to be in work")
    sent = servers.wait_for(lambda: len(calls(double)) > stored_pages(office) and len(calls(double)), "a page in flight")
    wait_until_gone(kill_master(first), 50)
    assert office.db.row(id_, "status_id", "worker_id", "ocr_attempts", "ocr_losses") == (READY, None, 0, 0)
    kept = stored_pages(office)
    assert kept >= 2
    double.control("delay", {"ms": 0})
    second = new_daemon({"prod": office.settings()}, sections=settings, workers=1, host_directory=first.directory).start()
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "status_id", "ocr_attempts") == (DONE, 1)
    assert len(calls(double)) <= max(sent, kept + 1) + 5 - kept, "pages that were stored are not sent again"
    assert second.drain() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_waiting_ends_it_and_leaves_nothing(new_office, new_daemon, gemini, tmp_path, number):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 2000})
    id_ = pages_document(office, tmp_path / "doc.pdf", 3)
    first = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    in_work(office, double, id_)
    children = kill_master(first)
    second = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1, host_directory=first.directory).spawn()
    servers.wait_for(lambda: waiting_line(second), "the successor to wait")
    second.process.send_signal(number)
    assert second.wait(10) == 0
    assert not all(gone(pid) for pid in children), "the children still work"
    assert "pid" not in [p.name for p in (second.directory / "run").iterdir()]
    wait_until_gone(children)
    assert office.db.row(id_, "status_id", "ocr_attempts") == (DONE, 1)


def test_in_the_background_the_command_waits_too_and_says_so_once(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1500})
    id_ = pages_document(office, tmp_path / "doc.pdf", 3)
    first = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    in_work(office, double, id_)
    kill_master(first)
    second = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1, host_directory=first.directory)
    second.configure(second.text().replace('stderr = "text"', 'stderr = "none"'))
    answer = second.run("-d")
    assert answer.returncode == 0
    assert answer.stderr == "indexocrd: waiting for the children of the previous daemon to finish\n"
    assert office.db.row(id_, "status_id") == DONE
    assert second.answers()
    assert second.ctl("drain").returncode == 0
    servers.wait_for(lambda: not (second.directory / "run" / "pid").exists(), "the daemon in the background to end")


def test_a_start_in_the_background_that_is_interrupted_while_waiting_starts_nothing(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 2000})
    id_ = pages_document(office, tmp_path / "doc.pdf", 3)
    first = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    in_work(office, double, id_)
    children = kill_master(first)
    second = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1, host_directory=first.directory).spawn("-d")
    servers.wait_for(lambda: waiting_line(second), "the successor to wait")
    daemon_pid = int((second.directory / "run" / "pid").read_text())
    assert daemon_pid != second.process.pid
    second.process.send_signal(signal.SIGINT)
    assert second.wait(10) == -signal.SIGINT
    wait_until_gone([daemon_pid], 10)
    assert not (second.directory / "run" / "pid").exists()
    wait_until_gone(children)
    assert office.db.row(id_, "status_id") == DONE


def test_idle_children_of_a_killed_master_end_at_once(idle_daemon):
    daemon = idle_daemon().start()
    servers.wait_for(lambda: len(daemon.processes("idle")) == 1, "the worker to be idle")
    started = time.monotonic()
    wait_until_gone(kill_master(daemon))
    print("gone after", time.monotonic() - started)
