"""How processes live and die: no document lost, none done twice, nothing left behind."""

import json
import os
import pathlib
import signal

import pytest

import faults
import offices
import servers
from offices import KEY

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3


def sections(double, lease=60, **engine):
    return {"queue": {"sources": ["acte"], "poll_interval": 1, "lease": lease, "backoff": 1}, "engine": {"use": "gemini", "page_concurrency": 1, **engine},
            "gemini": {"api_key": KEY, "base_url": double.url}, "supervise": {"restart_backoff": 1}}


def pages_document(office, path, name="doc.pdf", pages=6, first=0):
    return office.add(name, "acte", offices.pdf_of([offices.page_image(first + n) for n in range(pages)], path))


def calls(double):
    return [r for r in double.requests() if r.get("method") == "generateContent"]


def reading(daemon, id_):
    """The process that has this document in work."""
    return servers.wait_for(lambda: daemon.process_with(id_), f"document {id_} to be in work")


def claimed(office, id_):
    return servers.wait_for(lambda: office.db.row(id_, "status_id") == CLAIMED, "the claim")


def gone(pid):
    return faults.state(pid) in "XZ"


def assert_nothing_left(daemon, children):
    for pid in children:
        servers.wait_for(lambda p=pid: gone(p), f"process {pid} to be gone")
    left = [p.name for p in (daemon.directory / "run").iterdir()]
    assert left == ["pid.lock"], left
    assert list((daemon.directory / "tmp").iterdir()) == []


def test_a_worker_killed_in_the_middle_loses_no_page_and_another_finishes(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 700})
    id_ = pages_document(office, tmp_path / "doc.pdf")
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    victim = reading(daemon, id_)
    servers.wait_for(lambda: office.db.one("SELECT count(*) FROM extraction_queue_page") >= 2, "two stored pages")
    token = office.db.row(id_, "ocr_claim")
    os.kill(victim["pid"], signal.SIGKILL)
    killed_at = office.db.one("SELECT clock_timestamp()")
    servers.wait_for(lambda: office.db.row(id_, "ocr_claim") not in (token, None), "another claim")
    print("claimed again after", office.db.row(id_, "ocr_started_at") - killed_at)
    servers.wait_for(office.idle, "the document")
    status, attempts, losses, result = office.db.row(id_, "status_id", "ocr_attempts", "ocr_losses", "file_content")
    assert (status, attempts, losses) == (DONE, 1, 1), "somebody's SIGKILL is a loss, not an attempt"
    assert [page["page"] for page in result["pages"]] == [1, 2, 3, 4, 5, 6]
    assert len(calls(double)) <= 7, "only the page in flight is sent again"
    assert daemon.drain() == 0


def test_a_crash_is_an_attempt_and_ends_in_failed_with_its_reason(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 600})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=30)
    after = pages_document(office, tmp_path / "doc.pdf", "after.pdf", pages=1, first=50)
    # A sanitizer would make an exit status of the signal.
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1, variables={"ASAN_OPTIONS": "handle_segv=0"}).start()
    dead = {0}  # the slot shows the last one until the master has reaped it
    for _ in range(3):
        victim = servers.wait_for(lambda: next((p for p in daemon.processes() if p.get("document") == str(id_) and p["page"] > 0 and p["pid"] not in dead), None),
                                  "a page in work")
        os.kill(victim["pid"], signal.SIGSEGV)
        dead.add(victim["pid"])
        servers.wait_for(lambda p=victim["pid"]: gone(p), "the crash")
    servers.wait_for(lambda: office.db.row(id_, "status_id") == FAILED, "the document to fail")
    error = office.db.row(id_, "ocr_error")
    print(error)
    assert error.startswith("worker crashed by SIGSEGV at page ")
    servers.wait_for(lambda: office.db.row(after, "status_id") == DONE, "the document behind it")
    assert daemon.drain() == 0


def test_sigterm_lets_documents_in_work_finish_and_leaves_nothing_behind(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 400})
    ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 4, 10 * n) for n in range(4)]
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    servers.wait_for(lambda: office.count(CLAIMED) == 2 and len(calls(double)) >= 2, "two documents in work")
    children = daemon.children()
    assert daemon.drain() == 0
    assert [office.db.row(i, "status_id") for i in ids] == [DONE, DONE, READY, READY]
    assert_nothing_left(daemon, children)


def test_a_second_sigterm_and_sigquit_give_claims_back_with_their_attempt(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=3)
    for signals in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGQUIT,)):
        double.reset()
        double.control("delay", {"ms": 3000})
        daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
        servers.wait_for(lambda: office.count(CLAIMED) == 1 and calls(double), "the document in work")
        children = daemon.children()
        for n, number in enumerate(signals):
            daemon.process.send_signal(number)
            if n == 0 and len(signals) > 1:
                servers.wait_for(lambda: daemon.status()["draining"], "the drain")
        assert daemon.wait() == 0
        assert office.db.row(id_, "status_id", "worker_id", "ocr_attempts") == (READY, None, 0)
        assert_nothing_left(daemon, children)


def test_when_the_master_is_killed_its_children_go_and_its_successor_frees_what_they_held(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1500})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=3)
    first = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    claimed(office, id_)
    children = first.children()
    for pid in [first.process.pid, *children]:
        os.kill(pid, signal.SIGKILL)
    first.wait()
    second = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2, host_directory=first.directory).start()
    servers.wait_for(office.idle, "the document, long before its lease of a minute ends", 40)
    assert office.db.row(id_, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 1)
    assert second.drain() == 0


def test_children_of_a_killed_master_finish_and_end(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 500})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=3)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    claimed(office, id_)
    children = daemon.children()
    daemon.process.kill()
    daemon.wait()
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document")
    for pid in children:
        servers.wait_for(lambda p=pid: gone(p), f"child {pid} to end", 100)


def test_a_worker_stopped_past_its_lease_changes_nothing_when_it_goes_on(new_office, new_daemon, gemini, tmp_path):
    office, slow, quick = new_office(), gemini(), gemini()
    slow.control("delay", {"ms": 1500})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=3)
    one = new_daemon({"prod": office.settings()}, sections=sections(slow, lease=3), workers=1, worker_id="one").start()
    victim = reading(one, id_)
    servers.wait_for(lambda: calls(slow), "a call")
    os.kill(victim["pid"], signal.SIGSTOP)
    two = new_daemon({"prod": office.settings()}, sections=sections(quick, lease=3), workers=1, worker_id="two").start()
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the other host to finish it", 60)
    row = office.db.row(id_, "to_jsonb(extraction_queue)::text")
    before = len(calls(slow))
    os.kill(victim["pid"], signal.SIGCONT)
    servers.wait_for(lambda: one.status()["totals"]["claims_lost"] == 1, "the loss to be noticed")
    assert one.drain() == 0 and two.drain() == 0
    assert office.db.row(id_, "to_jsonb(extraction_queue)::text") == row
    assert len(calls(slow)) == before, "no call is paid for after the claim was lost"


def test_a_bad_reload_changes_nothing_and_says_where(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    pids = {p["pid"] for p in daemon.processes()}
    good = daemon.conf.read_text()
    daemon.configure(good + "queue { poll_interval = never }\n")
    answer = daemon.ctl("reload")
    assert answer.returncode == 78
    assert f"{daemon.conf}:{len(good.splitlines()) + 1}:" in answer.stderr
    daemon.process.send_signal(signal.SIGHUP)
    servers.wait_for(lambda: len(daemon.messages("Reload refused, going on with the configuration in force")) == 2, "both refusals in the log")
    assert daemon.status()["reloadError"] and daemon.status()["generation"] == 1
    assert {p["pid"] for p in daemon.processes()} == pids
    assert daemon.drain() == 0


def test_a_good_reload_replaces_idle_workers_and_lets_a_busy_one_finish(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1000})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=3)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    busy = reading(daemon, id_)
    daemon.workers = 3
    daemon.configure()
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: len(daemon.processes("idle")) == 2, "two fresh workers beside the busy one")
    assert daemon.process_with(id_)["pid"] == busy["pid"]
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "ocr_attempts", "ocr_losses") == (1, 0)
    servers.wait_for(lambda: busy["pid"] not in {p["pid"] for p in daemon.processes()}, "the busy one to be replaced")
    servers.wait_for(lambda: len(daemon.processes("idle")) == 3, "three workers")
    assert daemon.drain() == 0


def test_the_pool_grows_and_shrinks_by_signal_and_command(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    daemon.process.send_signal(signal.SIGTTIN)
    servers.wait_for(lambda: len(daemon.processes("idle")) == 2, "two workers")
    assert daemon.ctl("scale", "4").returncode == 0
    servers.wait_for(lambda: len(daemon.processes("idle")) == 4, "four workers")
    daemon.process.send_signal(signal.SIGTTOU)
    servers.wait_for(lambda: len(daemon.processes()) == 3, "three workers")
    assert daemon.ctl("scale", "many").returncode == 64
    assert daemon.drain() == 0


def test_two_daemons_on_one_pid_file_are_refused_clearly(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    answer = servers.run([daemon.programs / "indexocrd", "-c", daemon.conf], cwd=daemon.directory, **daemon.identity())
    assert answer.returncode == 73
    assert f"pid {daemon.process.pid}" in answer.stderr
    assert daemon.drain() == 0


def test_a_document_that_arrives_wakes_one_sleeper_without_polling(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    settings = sections(double)
    settings["queue"]["poll_interval"] = 60
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=3).start()
    servers.wait_for(lambda: len(daemon.processes("idle")) == 3, "three sleepers")
    servers.wait_for(lambda: daemon.status()["environments"][0].get("notifications"), "the keeper to listen")
    ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 1, n) for n in range(6)]
    servers.wait_for(lambda: all(office.db.row(i, "status_id") == DONE for i in ids), "all six, within a poll interval", 40)
    assert daemon.drain() == 0


def test_an_environment_that_is_down_does_not_keep_the_others_from_working(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    port = servers.free_port()
    broken = {"database": f"postgresql://nobody:secret-password@127.0.0.1:{port}/none", "storage": f"directory:{office.directory}"}
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=1)
    daemon = new_daemon({"prod": broken, "staging": office.settings()}, sections=sections(double), workers=1).start()
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document of the other environment")
    down = servers.wait_for(lambda: next((e for e in daemon.status()["environments"] if e["name"] == "prod" and e["database"] == "down"), None), "prod to be shown as down")
    assert down["error"]
    assert daemon.drain() == 0
    assert "secret-password" not in daemon.everything_said()


def test_secrets_stand_in_no_log_status_or_process_title(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    pages_document(office, tmp_path / "doc.pdf", pages=1)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    servers.wait_for(office.idle, "the document")
    titles = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in [daemon.process.pid, *daemon.children()]]
    status = json.dumps(daemon.status())
    assert daemon.drain() == 0
    assert KEY not in status + daemon.everything_said()
    assert all(KEY.encode() not in title for title in titles)


def test_the_older_worker_s_log_filters_find_their_lines(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=1)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    servers.wait_for(office.idle, "the document")
    assert daemon.drain() == 0
    for message in ("Claimed job", "Processing job", "Job completed successfully"):
        (line,) = daemon.messages(message)
        assert line["stage"] == "worker" and line["job"] == id_ and line["environment"] == "prod" and line["worker"] == "test-1"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_keeper_that_dies_is_replaced_and_leases_go_on(new_office, new_daemon, gemini, tmp_path, number):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1200})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=5)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double, lease=3), workers=1).start()
    reading(daemon, id_)
    keeper = next(p for p in daemon.status()["processes"] if p["id"] == "keeper")
    os.kill(keeper["pid"], number)
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0)
    assert daemon.drain() == 0


def test_redis_shows_the_workers_and_forgets_them_at_a_clean_stop(new_office, new_daemon, gemini, redis):
    office, double = new_office(), gemini()
    settings = {**sections(double), "redis": {"url": f"redis://127.0.0.1:{redis.port}"}}
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=2).start()
    shown = servers.wait_for(lambda: servers.run(["redis-cli", "-p", redis.port, "--json", "HGETALL", "gemini:workers"]).stdout.strip() not in ("", "{}") and
                             json.loads(servers.run(["redis-cli", "-p", redis.port, "--json", "HGETALL", "gemini:workers"]).stdout), "the heartbeats")
    entry = json.loads(shown["test-1"])
    assert {"workerId", "type", "startedAt", "lastHeartbeat", "environment", "host", "pid", "state"} <= set(entry)
    assert daemon.drain() == 0
    assert servers.run(["redis-cli", "-p", redis.port, "HLEN", "gemini:workers"]).stdout.strip() == "0"
