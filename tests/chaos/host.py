"""One host: its daemon, kept running through whatever is done to it, and a ledger of who was killed when."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import daemon
import offices
import servers
from schedule import CRASHES, DRAIN_S, HANG_S, LEASE_S, MAX_ATTEMPTS, PAGE_TRIES, REQUEST_TIMEOUT_S, WORKERS
from papers import DOCUMENT_MAX_MB, MAX_PAGES

ASK_TIMEOUT_S = 5
STOPPED_WITHIN_S = 2
BACK_WITHIN_S = 90
EVERYBODY = "*"
AS_SENT = {"ASAN_OPTIONS": "handle_segv=0:handle_abort=0:handle_sigbus=0"}      # a sanitizer would make exit statuses of the signals


def sections(engine, redis):
    return {
        "queue": {"sources": ["index", "acte"], "poll_interval": 1, "lease": LEASE_S, "max_attempts": MAX_ATTEMPTS, "backoff": 1, "backoff_max": 4,
                  "connect_timeout": 3, "statement_timeout": 5, "idle_close": 5},
        "engine": {"use": "gemini", "page_concurrency": 3, "page_tries": PAGE_TRIES, "request_timeout": REQUEST_TIMEOUT_S},
        "gemini": {"api_key": offices.KEY, "base_url": engine.url},
        "storage": {"document_max": DOCUMENT_MAX_MB, "memory_document_max": DOCUMENT_MAX_MB, "timeout": 5},
        "render": {"format": "png", "max_pages": MAX_PAGES},
        "limits": {"rpm": 1000000, "tpm": 1000000000},
        "redis": {"url": redis.url, "hosts": 2},
        "supervise": {"restart_backoff": 0.2, "restart_backoff_max": 2, "drain_timeout": DRAIN_S, "hang_timeout": HANG_S},
    }


def state_of(pid):
    """"R", "S", "T", ...; "" where there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return ""


def children_of(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def send(pid, name):
    """False: it was gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, getattr(signal, "SIG" + name))
        return True
    return False


class Host:
    def __init__(self, name, stage, spared):
        self.name, self.spared = name, spared
        self.daemon = daemon.Daemon(stage.programs, stage.environments(name), workers=WORKERS, worker_id=f"host-{name}",
                                    sections=sections(stage.engines[name], stage.redis), variables=AS_SENT)
        self.pages_at_once = 3
        self.kills = []             # (time, worker id or EVERYBODY, what): whose pages in flight may be sent again
        self.complaints = []
        self.lock, self.life = threading.Lock(), threading.RLock()      # life: one at a time starts and ends the daemon

    # -- its life

    def start(self):
        """Until it answers: after a kill the old children may hold the lock for as long as they finish what they have."""
        deadline = time.monotonic() + BACK_WITHIN_S
        with self.life:
            while True:
                try:
                    return self.daemon.start()
                except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as error:
                    if not self.has_ended():
                        self.kill_whole()
                    if time.monotonic() > deadline:
                        self.complaints.append(f"host {self.name} did not start again in {BACK_WITHIN_S} s: {str(error)[-300:]}")
                        return None
                    time.sleep(0.3)

    def note_kill(self, whom, what):
        with self.lock:
            self.kills.append((time.time(), whom, what))

    def end(self, name):
        """Asks the master to stop, and waits for it."""
        self.note_kill(EVERYBODY, name)     # past drain_timeout documents are interrupted
        self.daemon.process.send_signal(getattr(signal, "SIG" + name))
        try:
            status = self.daemon.wait(60)
        except subprocess.TimeoutExpired:
            self.complaints.append(f"host {self.name} did not stop at SIG{name} within 60 s")
            self.kill_whole()
            return
        if status != 0:
            self.complaints.append(f"host {self.name} ended with {status} at SIG{name}")

    def kill_whole(self):
        children = children_of(self.daemon.process.pid)
        self.note_kill(EVERYBODY, "killed whole")
        for pid in [self.daemon.process.pid, *children]:
            send(pid, "KILL")
        self.daemon.process.wait(30)

    def has_ended(self):
        return self.daemon.process.poll() is not None

    # -- looking

    def status(self):
        """None: it does not answer."""
        try:
            answer = self.daemon.ctl("status", "--json", timeout_s=ASK_TIMEOUT_S)
            return json.loads(answer.stdout) if answer.returncode == 0 else None
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            return None

    def process(self, id_):
        """That of the keeper, or of a worker by its id, while it has one."""
        status = self.status() or {"processes": []}
        return next((p for p in status["processes"] if p["id"] == id_ and p["pid"] > 0), None)

    def worker_id(self, number):
        return f"host-{self.name}-{number}"

    @contextlib.contextmanager
    def held_still(self, id_):
        """Its process, stopped, as it stands then; None where there is none. It goes on behind."""
        seen = self.process(id_)
        if not seen or not send(seen["pid"], "STOP"):
            yield None
            return
        try:
            with contextlib.suppress(TimeoutError):
                servers.wait_for(lambda: state_of(seen["pid"]) in ("T", "Z", ""), "the process to stop", STOPPED_WITHIN_S)
            now = self.process(id_)
            yield now if now and now["pid"] == seen["pid"] and state_of(now["pid"]) == "T" else None
        finally:
            send(seen["pid"], "CONT")

    def crash(self, id_, signal_name, only=None):
        """
        Crashes a worker, if the document that it holds may be blamed once more: what it held, or None. Between two
        documents it is let go: a claim on its way could be anybody's. only: (environment, id) of the document that is meant.
        """
        with self.held_still(id_) as process:
            if not process or "document" not in process:
                return None
            document = (process["environment"], int(process["document"]))
            if only:
                if document != only:
                    return None
            elif not self.spared.may_blame(document):
                return None
            self.note_kill(id_, signal_name)
            send(process["pid"], signal_name)
            return document

    def hurt_helper(self, id_, signal_name, lasts=0):
        """A signal to the renderer of a worker: True where there was one."""
        with self.held_still(id_) as process:
            helpers = children_of(process["pid"]) if process else []
            if not helpers:
                return False
            send(helpers[0], signal_name)
        if signal_name == "STOP":
            time.sleep(lasts)
            send(helpers[0], "CONT")
        return True


class Spared:
    """How often each good document was made to look guilty; poisons shall fail for their own reason."""

    def __init__(self):
        self.lock = threading.Lock()
        self.poisoned, self.blamed = set(), {}

    def poison(self, document):
        with self.lock:
            self.poisoned.add(document)

    def may_blame(self, document):
        with self.lock:
            if document in self.poisoned or self.blamed.get(document, 0) >= CRASHES:
                return False
            self.blamed[document] = self.blamed.get(document, 0) + 1
            return True
