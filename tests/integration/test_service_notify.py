"""What a service manager is told over $NOTIFY_SOCKET: in which order, and what never."""

import os
import pathlib
import re
import signal
import time

import pytest

import offices
import servers
import service_manager
from offices import KEY

CLAIMED = 2


@pytest.fixture
def notified():
    """Factory: the socket of a service manager."""
    made = []

    def make(kind="path"):
        made.append(service_manager.Notified(kind))
        return made[-1]

    yield make
    for manager in made:
        manager.close()


@pytest.fixture
def new_service(new_office, new_daemon, gemini):
    """Factory: a daemon that is told of this manager, with its office and its double. Not started yet."""

    def make(manager, watchdog_us=None, supervise=None, environments=None, **options):
        office, double = new_office(), gemini()
        sections = {"queue": {"sources": ["acte"], "poll_interval": 1}, "engine": {"use": "gemini", "page_concurrency": 1},
                    "gemini": {"api_key": KEY, "base_url": double.url}, "supervise": supervise or {}}
        variables = {"NOTIFY_SOCKET": manager.name, **({"WATCHDOG_USEC": str(watchdog_us)} if watchdog_us else {})}
        daemon = new_daemon(environments or {"prod": office.settings()}, sections=sections, variables=variables, **options)
        return daemon, office, double

    return make


def add_document(office, path, pages):
    return office.add("doc.pdf", "acte", offices.pdf_of([offices.page_image(n) for n in range(pages)], path))


def kinds(messages):
    """The order of events, status and watchdog left out."""
    words = ("READY", "RELOADING", "STOPPING")
    return [word for m in messages for word in words if word in m]


def feeds(manager):
    return [m for m in manager.read() if m.fields.get("WATCHDOG") == "1"]


def monotonic_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_life_is_told_in_order_by_the_master_alone(notified, new_service, tmp_path, kind):
    manager = notified(kind)
    daemon, office, double = new_service(manager)
    double.control("delay", {"ms": 300})
    daemon.start()
    first = manager.wait_for(lambda m: True, "the first message")
    assert first["READY"] == "1" and first["MAINPID"] == str(daemon.process.pid) and first["STATUS"].startswith("2 workers; prod ")
    add_document(office, tmp_path / "doc.pdf", 2)
    servers.wait_for(office.idle, "the document")
    assert daemon.ctl("reload").returncode == 0
    assert daemon.drain() == 0
    messages = manager.read()
    assert kinds(messages) == ["READY", "RELOADING", "READY", "STOPPING"]
    assert {m.sender for m in messages} == {daemon.process.pid}
    assert not any("WATCHDOG" in m for m in messages), "nobody asked for it"
    assert KEY not in "".join(m.text for m in messages)


def test_ready_does_not_wait_for_a_database_and_status_names_the_one_that_is_down(notified, new_service):
    manager = notified()
    broken = {"database": f"postgresql://nobody:secret-password@127.0.0.1:{servers.free_port()}/none", "storage": "directory:/"}
    daemon, _, _ = new_service(manager, environments={"prod": broken})
    daemon.start()
    assert "READY" in manager.wait_for(lambda m: True, "the first message")
    manager.wait_for_status("2 workers", "prod down")
    assert daemon.drain() == 0
    assert "secret-password" not in "".join(m.text for m in manager.read())


def test_what_refuses_the_start_is_never_called_ready(notified, new_service):
    manager = notified()
    daemon, _, _ = new_service(manager)
    daemon.configure(daemon.text() + "no_such_key = 1\n")
    with pytest.raises(RuntimeError, match="ended with 78"):
        daemon.start()
    assert manager.read() == []


def test_a_start_that_has_to_wait_says_for_whom_and_asks_for_more_time(notified, new_service, tmp_path):
    manager = notified()
    first, office, double = new_service(manager, workers=1)
    double.control("delay", {"ms": 3000})
    first.start()
    id_ = add_document(office, tmp_path / "doc.pdf", 2)
    servers.wait_for(lambda: office.db.row(id_, "status_id") == CLAIMED, "the claim")
    first.process.kill()
    first.wait()
    count = len(manager.read())
    second, _, _ = new_service(manager, environments=first.environments, host_directory=first.directory, workers=1)
    second.start()
    waiting, *more = manager.read()[count:]
    assert waiting["STATUS"] == "Waiting for the children of the previous daemon to finish"
    assert int(waiting["EXTEND_TIMEOUT_USEC"]) == 30_000_000 and "READY" not in waiting
    assert kinds(more) == ["READY"]
    assert {m.sender for m in [waiting, *more]} == {second.process.pid}
    assert second.drain() == 0


def test_a_reload_gives_its_own_time_and_is_ready_again(notified, new_service):
    manager = notified()
    daemon, _, _ = new_service(manager)
    daemon.start()
    for order in (lambda: daemon.process.send_signal(signal.SIGHUP), lambda: daemon.ctl("reload")):
        count, before = len(manager.read()), monotonic_us()
        order()
        reloading = manager.wait_for(lambda m: "RELOADING" in m, "RELOADING", count)
        assert before <= int(reloading["MONOTONIC_USEC"]) <= monotonic_us()
        ready = manager.wait_for(lambda m: "READY" in m, "READY", manager.messages.index(reloading))
        assert ready["MAINPID"] == str(daemon.process.pid)
    assert daemon.drain() == 0


def test_a_refused_reload_is_ready_again_and_says_where_the_fault_is(notified, new_service):
    manager = notified()
    daemon, _, _ = new_service(manager)
    daemon.start()
    good = daemon.conf.read_text()
    where = f"{daemon.conf}:{len(good.splitlines()) + 1}:"
    daemon.configure(good + 'gemini { api_key = "another-secret" temperature = hot }\n')
    count = len(manager.read())
    assert daemon.ctl("reload").returncode == 78
    reloading, ready = manager.read()[count:][:2]
    assert "RELOADING" in reloading and ready["READY"] == "1"
    assert ready["STATUS"].startswith(f"reload refused: {where}")
    daemon.configure(good)
    assert daemon.ctl("reload").returncode == 0
    assert "refused" not in manager.wait_for(lambda m: "READY" in m, "the good one", len(manager.messages))["STATUS"]
    assert daemon.drain() == 0
    assert not re.search(f"another-secret|{re.escape(KEY)}", "".join(m.text for m in manager.read()))


def test_status_is_live_and_a_drain_asks_for_more_time_while_it_lasts(notified, new_service, tmp_path):
    manager = notified()
    daemon, office, double = new_service(manager, workers=3)
    double.control("delay", {"ms": 3000})
    daemon.start()
    manager.wait_for_status("prod 0 ready")
    add_document(office, tmp_path / "doc.pdf", 4)
    manager.wait_for_status("3 workers, 1 busy; prod 0 ready")
    count = len(manager.messages)
    daemon.process.send_signal(signal.SIGTERM)
    stopping = manager.wait_for(lambda m: True, "STOPPING", count)
    assert stopping["STOPPING"] == "1" and int(stopping["EXTEND_TIMEOUT_USEC"]) == 30_000_000
    assert re.fullmatch(r"draining: waiting for [123] workers?, oldest document \d+ s", stopping["STATUS"]), stopping
    again = manager.wait_for(lambda m: "EXTEND_TIMEOUT_USEC" in m, "another request for time", count + 1)
    assert re.fullmatch(r"draining: waiting for 1 worker, oldest document \d+ s", again["STATUS"]), again
    assert daemon.wait() == 0
    assert office.idle()
    assert kinds(manager.read()[count:]) == ["STOPPING"]


def test_sigquit_is_a_stop_too(notified, new_service):
    manager = notified()
    daemon, _, _ = new_service(manager)
    daemon.start()
    daemon.process.send_signal(signal.SIGQUIT)
    assert daemon.wait() == 0
    assert kinds(manager.read()) == ["READY", "STOPPING"]


def test_helpers_know_of_no_service_manager(notified, new_service, tmp_path):
    manager = notified()
    daemon, office, double = new_service(manager, watchdog_us=10_000_000, workers=1)
    double.control("delay", {"ms": 60_000})
    daemon.start()
    add_document(office, tmp_path / "doc.pdf", 40)
    helper = servers.wait_for(lambda: next((pid for pid in descendants(daemon.process.pid) if program(pid) == "indexocr-render"), None), "the render helper")
    assert b"NOTIFY" not in environment(helper) and b"WATCHDOG" not in environment(helper)
    daemon.process.send_signal(signal.SIGQUIT)
    assert daemon.wait() == 0


def descendants(pid):
    found = []
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *descendants(child)]
    return found


def program(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def environment(pid):
    return pathlib.Path(f"/proc/{pid}/environ").read_bytes()


def keeper_pid(daemon):
    return next(p["pid"] for p in daemon.status()["processes"] if p["id"] == "keeper")


def silent_for(manager, seconds):
    return time.monotonic() - feeds(manager)[-1].at > seconds


def test_the_watchdog_is_fed_while_the_keeper_lives(notified, new_service):
    manager = notified()
    daemon, _, _ = new_service(manager, watchdog_us=1_000_000, supervise={"keeper_timeout": 1})
    daemon.start()
    servers.wait_for(lambda: len(feeds(manager)) >= 4, "the watchdog to be fed")
    stopped = keeper_pid(daemon)
    os.kill(stopped, signal.SIGSTOP)
    try:
        servers.wait_for(lambda: silent_for(manager, 1.5), "no more feeding")
    finally:
        os.kill(stopped, signal.SIGCONT)
    count = len(feeds(manager))
    servers.wait_for(lambda: len(feeds(manager)) > count, "feeding again, of a keeper that goes on or is another")
    assert daemon.drain() == 0


def test_the_watchdog_is_not_fed_while_there_is_no_keeper(notified, new_service):
    manager = notified()
    daemon, _, _ = new_service(manager, watchdog_us=1_000_000, supervise={"keeper_timeout": 1, "restart_backoff": 3600, "restart_backoff_max": 3600})
    daemon.start()
    servers.wait_for(lambda: feeds(manager), "the watchdog to be fed")
    killed = set()
    while (pid := keeper_pid(daemon)) != 0:  # the first time it comes back at once
        if pid not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    servers.wait_for(lambda: silent_for(manager, 4), "no more feeding")
    assert "keeper waiting" in manager.status() or "keeper throttled" in manager.status()
    count = len(feeds(manager))
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: len(feeds(manager)) > count, "feeding again")
    assert daemon.drain() == 0


def test_a_manager_that_does_not_read_delays_nothing_and_hears_the_newest_in_the_end(notified, new_service):
    manager = notified()
    daemon, _, _ = new_service(manager)
    manager.fill()
    daemon.start()
    assert daemon.ctl("reload").returncode == 0
    assert daemon.ctl("status").returncode == 0
    assert all(m.text == "STATUS=full" for m in manager.read())
    assert "READY" in manager.wait_for(lambda m: m.text != "STATUS=full", "what was kept back")
    assert daemon.drain() == 0
    assert daemon.everything_said().count("The service manager cannot be told") >= 1


def test_a_manager_that_is_gone_stops_nothing(notified, new_service):
    manager = notified()
    daemon, _, _ = new_service(manager)
    os.unlink(manager.name)
    daemon.start()
    assert daemon.ctl("reload").returncode == 0
    assert daemon.drain() == 0
    (line,) = daemon.messages("The service manager cannot be told, trying again")
    assert line["level"] == "warn" and line["error"] == "No such file or directory"
