"""Who watches the workers: processes that crash, hang, get no further, or never get ready, and what is said of them."""

import os
import pathlib
import re
import shutil
import signal
import time

import pytest

import faults
import offices
import servers
from daemon import sanitizer_variables
from render_lib import SANITIZED
from test_daemon_life import calls, gone, pages_document, reading, sections

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3
HANG_S = 5
# A sanitizer would make an exit status of the signal.
BARE = {"ASAN_OPTIONS": ":".join([sanitizer_variables().get("ASAN_OPTIONS", ""), "handle_segv=0:handle_abort=0:verify_asan_link_order=0"])}


def watched(double, lease=60, supervise=None, **engine):
    return {**sections(double, lease, **engine), "supervise": {"restart_backoff": 1, "hang_timeout": HANG_S, **(supervise or {})}}


def said(daemon, pattern, **fields):
    return [line for line in daemon.log_lines() if re.match(pattern, line["message"]) and all(line.get(k) == v for k, v in fields.items())]


def keeper_of(daemon):
    return next(p for p in daemon.status()["processes"] if p["id"] == "keeper")


def process(daemon, id_):
    return next(p for p in daemon.status()["processes"] if p["id"] == id_)


def obituaries(daemon, pid):
    return [line for line in daemon.log_lines() if line["stage"] == "master" and line.get("data", {}).get("pid") == pid]


def obituary(daemon, pid):
    (line,) = servers.wait_for(lambda: obituaries(daemon, pid), f"the obituary of {pid}")
    return line


def spin(pid):
    """A branch to itself."""
    faults.poke(pid, {"x86_64": b"\xeb\xfe", "aarch64": b"\x00\x00\x00\x14"})


def ticks(pid):
    """Processor time used, in hundredths of a second."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


# ---- crashes

def functions_in(trace, program):
    """Names, innermost first, of the frames that are the daemon's own: what a person does with addr2line."""
    addresses = re.findall(r"indexocrd\(\+(0x[0-9a-f]+)\)", trace)
    assert addresses, trace
    return servers.run(["addr2line", "-f", "-i", "-e", program, *addresses]).stdout.splitlines()[::2]


def test_the_obituary_of_a_crash_says_who_where_on_what_and_which_functions(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 60000})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=3)
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double), workers=1, variables=BARE).start()
    victim = servers.wait_for(lambda: (daemon.process_with(id_) or {}).get("page") == 1 and daemon.process_with(id_), "page 1 to be read")
    os.kill(victim["pid"], signal.SIGSEGV)
    line = obituary(daemon, victim["pid"])
    assert re.fullmatch(rf"test-1 \(pid {victim['pid']}, \d+ s old\) crashed by SIGSEGV while reading prod/{id_} page 1 of 3; starting it again", line["message"])
    assert (line["level"], line["environment"], line["job"], line["page"]) == ("error", "prod", id_, 1)
    death = process(daemon, "test-1")["lastDeath"]
    assert {"pid": victim["pid"], "reason": "SIGSEGV", "state": "reading", "environment": "prod", "document": id_, "page": 1, "pages": 3}.items() <= death.items()
    if not SANITIZED:  # where it happened is told by the sanitizer itself
        assert line["error"].startswith(f"sent by pid {os.getpid()}, in libc.so.6(")
        assert death["trace"] == line["error"]
        functions = functions_in(line["error"], daemon.programs / "indexocrd")
        assert functions.index("http_wait") < functions.index("worker_main") < functions.index("main"), functions
    servers.wait_for(lambda: office.db.row(id_, "ocr_error") == "worker crashed by SIGSEGV at page 1", "the row to tell it")
    servers.wait_for(lambda: daemon.process_with(id_), "the document to be tried again")
    assert process(daemon, "test-1")["lastDeath"]["pid"] == victim["pid"], "it stays to be seen while the next one works"


def test_a_worker_that_leaves_although_nobody_asked_it_to_is_not_born_without_end(new_office, new_daemon, gemini, injector):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double), workers=1)
    injector.into(daemon).start()
    worker = servers.wait_for(lambda: daemon.processes("idle"), "the worker")[0]
    injector.order("exit 0")
    os.kill(worker["pid"], signal.SIGKILL)
    shown = servers.wait_for(lambda: (daemon.status().get("crashLoop") and process(daemon, "test-1")["post"] == "throttled") and process(daemon, "test-1"), "it to be throttled")
    assert shown["reason"] == "exit status 0, which nobody asked for, before ready"
    assert shown["lastDeath"]["reason"] == shown["reason"]


# How a worker ends, what is said of it, and whether the document has used an attempt.
ENDS = {
    "kill": (lambda pid: os.kill(pid, signal.SIGKILL), "ended by SIGKILL", False),
    "segv": (lambda pid: os.kill(pid, signal.SIGSEGV), "crashed by SIGSEGV", True),
    "abort": (lambda pid: os.kill(pid, signal.SIGABRT), "crashed by SIGABRT", True),
    "exit 0": (lambda pid: faults.leave(pid, 0), "ended by exit status 0, which nobody asked for", False),
    "exit 1": (lambda pid: faults.leave(pid, 1), "crashed by exit status 1", True),
    "stop": (lambda pid: os.kill(pid, signal.SIGSTOP), r"hung: no sign of life for \d+ s", True),
}


@pytest.mark.parametrize("step", ["fetching", "reading", "waiting for quota"])
def test_every_end_at_each_step_is_told_and_costs_no_document(new_office, new_daemon, gemini, storage, tmp_path, step):
    office, double = new_office(), gemini()
    store = storage(office)
    if step == "fetching":
        store.fail("hang", times=len(ENDS))
    elif step == "reading":
        double.fail("hang", times=len(ENDS))
    else:
        double.fail("429", times=len(ENDS), retry_delay="9s")
    ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 1, n) for n in range(len(ENDS))]
    environment = {"database": office.db.url, "supabase_url": store.url, "service_key": offices.STORAGE_KEY}
    daemon = new_daemon({"prod": environment}, sections=watched(double), workers=len(ENDS), variables=BARE).start()
    victims = servers.wait_for(lambda: len(daemon.processes(step)) == len(ENDS) and daemon.processes(step), f"all workers to be {step}")
    assert {v["document"] for v in victims} == set(ids)
    for victim, (end, _, _) in zip(victims, ENDS.values()):
        end(victim["pid"])
    for victim, (_, how, _) in zip(victims, ENDS.values()):
        assert re.search(rf" s old\) {how} while {step} prod/{victim['document']}( page 1 of 1)?; starting it again", obituary(daemon, victim["pid"])["message"])
        assert process(daemon, victim["id"])["lastDeath"]["document"] == victim["document"]
    servers.wait_for(office.idle, "the documents")
    for victim, (_, _, is_attempt) in zip(victims, ENDS.values()):
        assert office.db.row(victim["document"], "status_id", "ocr_attempts", "ocr_losses") == ((DONE, 2, 0) if is_attempt else (DONE, 1, 1)), victim
    assert daemon.drain() == 0


# ---- nobody gets ready

class Injector:
    """Ends what the master forks, as die_at_birth.c says, once ordered to."""

    def __init__(self, library):
        self.library = library
        self.variables = None
        self.file = None

    def into(self, daemon):
        library = daemon.directory / "die_at_birth.so"
        shutil.copy2(self.library, library)
        self.file = daemon.directory / "die"
        daemon.variables = {**BARE, "LD_PRELOAD": library, "DIE_AT_BIRTH": self.file}
        return daemon

    def order(self, what):
        temporary = self.file.with_name("die.new")
        temporary.write_text(what)
        temporary.chmod(0o644)
        temporary.rename(self.file)

    def mend(self):
        self.file.unlink()


@pytest.fixture
def injector(builddir):
    return Injector(builddir / "tests/integration/die_at_birth.so")


def kill_workers(daemon):
    for p in daemon.processes():
        if p["pid"]:
            os.kill(p["pid"], signal.SIGKILL)


def births(daemon):
    """Of the whole life of the daemon: each process has the next number."""
    return max(p["spawn"] for p in daemon.status()["processes"])


def test_workers_that_all_die_at_birth_are_told_once_cost_nothing_and_recover_with_a_reload(new_office, new_daemon, gemini, injector):
    office, double = new_office(), gemini()
    slots = 8
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double), workers=slots)
    injector.into(daemon).start()
    servers.wait_for(lambda: len(daemon.processes("idle")) == slots, "the workers")
    before = births(daemon)
    injector.order("signal 11")
    kill_workers(daemon)
    started = time.monotonic()
    loop = servers.wait_for(lambda: daemon.status().get("crashLoop"), "the loop to be seen")
    assert loop["workers"] == slots and loop["reason"] == "SIGSEGV, before ready"
    used = ticks(daemon.process.pid)
    servers.wait_for(lambda: time.monotonic() - started > 20, "20 seconds to pass")
    used = ticks(daemon.process.pid) - used
    print(f"{births(daemon) - before} births of {slots} slots in 20 s, {used} ticks of the master's time")
    assert births(daemon) - before <= 2 * slots + 5, "two births each, then one tries for all: at 1, 3, 7 and 15 s"
    assert used <= 20, "one percent of 20 s"
    assert len(said(daemon, r"No worker gets ready: all 8 end before they begin to work \(SIGSEGV, before ready\)", level="error")) == 1
    assert {p["post"] for p in daemon.processes()} == {"throttled"}
    assert keeper_of(daemon)["post"] == "running", "the others are not affected"
    injector.mend()
    daemon.process.send_signal(signal.SIGHUP)
    servers.wait_for(lambda: len(daemon.processes("idle")) == slots, "all workers, at once", 10)
    assert "crashLoop" not in daemon.status()
    assert len(daemon.messages("Workers get ready again")) == 1
    assert daemon.drain() == 0


def test_one_goes_on_trying_for_all_and_brings_them_back_without_a_reload(new_office, new_daemon, gemini, injector):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double, supervise={"restart_backoff_max": 2}), workers=3)
    injector.into(daemon).start()
    servers.wait_for(lambda: len(daemon.processes("idle")) == 3, "the workers")
    injector.order("exit 70")
    kill_workers(daemon)
    servers.wait_for(lambda: daemon.status().get("crashLoop"), "the loop to be seen")
    injector.mend()
    servers.wait_for(lambda: len(daemon.processes("idle")) == 3, "all workers")
    assert len(daemon.messages("Workers get ready again")) == 1
    assert daemon.drain() == 0


def test_a_fault_of_the_configuration_is_held_until_a_reload_mends_it(new_office, new_daemon, gemini, injector):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double), workers=2)
    injector.into(daemon).start()
    servers.wait_for(lambda: len(daemon.processes("idle")) == 2, "the workers")
    injector.order("exit 78")
    kill_workers(daemon)
    servers.wait_for(lambda: [p["post"] for p in daemon.processes()] == ["held", "held"], "both to be held")
    spawned = births(daemon)
    (line,) = said(daemon, "No worker gets ready")
    assert "none is started again before a reload" in line["message"]
    daemon.process.send_signal(signal.SIGHUP)
    servers.wait_for(lambda: births(daemon) >= spawned + 3, "a try each, and the keeper's replacement")
    injector.mend()
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: len(daemon.processes("idle")) == 2, "both workers")
    servers.wait_for(lambda: "crashLoop" not in daemon.status(), "the loop to be over")
    assert daemon.drain() == 0


def test_what_cannot_be_forked_is_told_once_and_tried_again(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double), workers=4).start()
    servers.wait_for(lambda: len(daemon.processes("idle")) == 4, "the workers")

    def limit_processes(soft):
        done = servers.run(["prlimit", f"--pid={daemon.process.pid}", f"--nproc={soft}:"], **daemon.identity())
        assert done.returncode == 0, done.stderr

    (before,) = re.findall(r"Max processes +(\S+)", pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text())
    limit_processes(1)
    kill_workers(daemon)
    servers.wait_for(lambda: [p.get("reason") for p in daemon.processes()].count("cannot be forked: Resource temporarily unavailable") >= 1, "the reason to be seen")
    seen = births(daemon)
    servers.wait_for(lambda: births(daemon) >= seen + 2, "two more tries")
    assert births(daemon) - seen < 4, "one is tried for all"
    limit_processes(before)
    servers.wait_for(lambda: len(daemon.processes("idle")) == 4, "all workers")
    assert len(said(daemon, "Cannot fork a worker")) == len(said(daemon, "Forking works again")) == 1
    assert daemon.drain() == 0


# ---- hangs

STOPS = {"stopped": lambda pid: os.kill(pid, signal.SIGSTOP), "spinning": spin}


@pytest.mark.parametrize("how", STOPS)
def test_a_busy_worker_that_hangs_is_replaced_and_told_with_stage_document_and_page(new_office, new_daemon, gemini, tmp_path, how):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1500})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=4)
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double), workers=1, variables=BARE).start()
    victim = servers.wait_for(lambda: (daemon.process_with(id_) or {}).get("page") == 2 and daemon.process_with(id_), "page 2 to be read")
    STOPS[how](victim["pid"])
    line = obituary(daemon, victim["pid"])
    assert re.fullmatch(rf"test-1 \(pid {victim['pid']}, \d+ s old\) hung: no sign of life for \d+ s while reading prod/{id_} page 2 of 4; starting it again",
                        line["message"])
    assert re.search(r"for (\d+) s", line["message"])[1] in ("5", "6")
    if how == "spinning" and not SANITIZED:
        assert re.match(rf"sent by pid {daemon.process.pid}, in \S+", line["error"]), "its last words are where it turned in a circle"
        assert "main" in functions_in(line["error"], daemon.programs / "indexocrd")
    servers.wait_for(lambda: gone(victim["pid"]), "it to be gone")
    assert re.fullmatch(rf"worker hung: no sign of life for \d+ s while reading prod/{id_} page 2 of 4",
                        servers.wait_for(lambda: office.db.row(id_, "ocr_error"), "the row to tell it"))
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document")
    assert office.db.row(id_, "ocr_attempts", "ocr_losses") == (2, 0), "a hang is an attempt: the document may be the cause"
    assert len(calls(double)) == 5, "the page that was being read, once more"
    assert daemon.drain() == 0


def test_an_idle_worker_and_the_keeper_that_hang_are_replaced(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double, lease=30), workers=1, variables=BARE).start()
    worker = servers.wait_for(lambda: daemon.processes("idle"), "the worker")[0]
    keeper = servers.wait_for(lambda: keeper_of(daemon)["state"] == "idle" and keeper_of(daemon), "the keeper")
    for victim in (worker, keeper):
        os.kill(victim["pid"], signal.SIGSTOP)
    for victim in (worker, keeper):
        assert " hung: no sign of life for " in obituary(daemon, victim["pid"])["message"]
        assert process(daemon, victim["id"])["lastDeath"]["state"] == "idle"
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=1)
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "a document for the new ones")
    assert office.db.row(id_, "ocr_attempts", "ocr_losses") == (1, 0)
    assert daemon.drain() == 0


def test_a_pause_of_everybody_is_nobodys_hang(new_office, new_daemon, gemini):
    """As when the machine is suspended: whoever wakes up first must not judge the others."""
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double), workers=2, variables=BARE).start()
    servers.wait_for(lambda: len(daemon.processes("idle")) == 2, "the workers")
    everybody = [daemon.process.pid, *daemon.children()]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()
    servers.wait_for(lambda: time.monotonic() - stopped > HANG_S + 3, "longer than a hang to pass")
    os.kill(daemon.process.pid, signal.SIGCONT)
    alive = time.monotonic()
    servers.wait_for(lambda: time.monotonic() - alive > HANG_S - 3, "the master to look at those who sleep on")
    for pid in everybody[1:]:
        os.kill(pid, signal.SIGCONT)
    servers.wait_for(lambda: all(p["aliveMs"] < 2000 for p in daemon.status()["processes"]), "signs of life from all")
    assert {p["pid"] for p in daemon.status()["processes"]} == set(everybody[1:])
    assert daemon.drain() == 0


def test_a_slow_engine_is_no_hang(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": (HANG_S + 4) * 1000})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=1)
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double), workers=1).start()
    worker = reading(daemon, id_)
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document")
    assert [p["pid"] for p in daemon.processes()] == [worker["pid"]]
    assert daemon.drain() == 0


# ---- documents that get no further

def test_a_document_without_a_finished_page_is_interrupted_and_fails_after_its_attempts(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.fail("slow", times=1, delay_ms=10)
    double.fail("hang", times=2)
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=3)
    settings = watched(double, supervise={"job_timeout": 2})
    settings["queue"]["max_attempts"] = 2
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=1).start()
    worker = reading(daemon, id_)
    why = "no page finished for 2 s (supervise.job_timeout), last: page 2 of 3"
    servers.wait_for(lambda: office.db.row(id_, "status_id", "ocr_attempts", "ocr_error") == (READY, 1, why), "the first attempt to end")
    assert office.db.one("SELECT count(*) FROM extraction_queue_page") == 1, "what was read is kept"
    servers.wait_for(lambda: office.db.row(id_, "status_id") == FAILED, "the last attempt to end")
    assert office.db.row(id_, "ocr_attempts", "ocr_losses", "ocr_error") == (2, 0, why)
    after = pages_document(office, tmp_path / "doc.pdf", "after.pdf", pages=1, first=50)
    servers.wait_for(lambda: office.db.row(after, "status_id") == DONE, "the document behind it")
    assert [r["mode"] for r in calls(double)].count("hang") == 2 and len(calls(double)) == 4
    assert [p["pid"] for p in daemon.processes()] == [worker["pid"]]
    assert daemon.drain() == 0


def test_waiting_for_quota_is_seen_and_does_not_count(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.fail("429", times=1, retry_delay="6s")
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=2)
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double, supervise={"job_timeout": 2}), workers=1).start()
    servers.wait_for(lambda: (daemon.process_with(id_) or {}).get("state") == "waiting for quota", "the wait to be seen")
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document")
    assert office.db.row(id_, "ocr_attempts") == 1
    assert daemon.drain() == 0


def test_waiting_for_the_database_does_not_count(own_postgres, new_client, new_daemon, gemini, tmp_path):
    db = servers.Database(own_postgres)
    client = new_client(db.url)
    client.migrate()
    client.close()
    office, double = offices.Office(db), gemini()
    double.control("delay", {"ms": 500})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=4)
    daemon = new_daemon({"prod": office.settings()}, sections=watched(double, supervise={"job_timeout": 2}), workers=1).start()
    reading(daemon, id_)
    servers.wait_for(lambda: calls(double), "a call")
    db.connection.close()
    own_postgres.stop()
    stopped = time.monotonic()
    servers.wait_for(lambda: daemon.status()["environments"][0]["database"] == "down" and time.monotonic() - stopped > 5, "a long outage")
    own_postgres.start()
    db.connection = own_postgres.connect(db.name)
    servers.wait_for(office.idle, "the document")
    assert db.row(id_, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0)
    assert len(calls(double)) == 4
    assert daemon.drain() == 0
    office.close()
