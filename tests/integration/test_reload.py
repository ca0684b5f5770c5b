"""Reload after reload under load: no document is dropped, interrupted or read twice, and the last good file is in force."""

import random
import signal
import time

import servers
from faults import History
from held import DONE, READY, Document
from test_daemon_life import sections

WORKERS = 4


class Load:
    """A daemon that always has more documents than workers, and what each look at it must show."""

    def __init__(self, office, double, new_daemon):
        double.control("delay", {"min_ms": 50, "max_ms": 200})
        self.office, self.double, self.history = office, double, History(office.db)
        self.documents = []
        settings = {**sections(double), "render": {"format": "png"}}
        self.daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=WORKERS)
        self.totals = {}
        self.generation = 0
        for _ in range(2 * WORKERS):
            self.add()
        self.daemon.start()
        servers.wait_for(lambda: len([p for p in self.daemon.processes() if p.get("document")]) == WORKERS, "everybody to be at work")

    def add(self):
        self.documents.append(Document(self.office, f"document-{len(self.documents)}", pages=2).enqueue())

    def hang_up(self):
        self.daemon.process.send_signal(signal.SIGHUP)

    def look(self):
        """Whatever was sent before is dealt with when this is answered."""
        status = self.daemon.status()
        generations = {p["generation"] for p in status["processes"] if p["pid"]}
        assert len(generations) <= 2 and max(generations) <= status["generation"], status
        assert status["generation"] >= self.generation
        fallen = {name: (before, status["totals"][name]) for name, before in self.totals.items() if status["totals"][name] < before}
        assert not fallen
        self.totals, self.generation = status["totals"], status["generation"]
        return status

    def finish(self, workers):
        """All is done, each page once, each document at its first attempt, and the pool is as the last good file says."""
        servers.wait_for(self.office.idle, "all documents")
        servers.wait_for(lambda: len(self.daemon.processes("idle")) == workers == len(self.daemon.processes()), f"{workers} workers")
        status = self.look()
        assert {p["generation"] for p in status["processes"]} == {status["generation"]} and not status["reloadWaits"], status
        assert status["pool"]["wanted"] == workers
        for document in self.documents:
            assert document.row("status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0), document.name
            assert document.calls(self.double) == [1, 1], document.name
            assert not self.history.of(document.id, "n", after=READY), document.name
            document.assert_own_text()
        totals = self.look()["totals"]
        assert totals["documents_done"] == len(self.documents) and totals["restarts"] == 0 and totals["claims_lost"] == 0
        assert self.daemon.drain() == 0


def spoil(draw, good):
    """A file that no daemon may take over, each in another way."""
    lines = good.splitlines(keepends=True)
    return draw.choice([
        lambda: good + "nonsense = 1\n",
        lambda: good + "queue { lease = soon }\n",
        lambda: good + "queue { lease = -3 }\n",
        lambda: good + "queue { lease = 60\n",
        lambda: good.replace("environment prod", "environment"),
        lambda: good.replace("database =", "#"),
        lambda: "".join(lines[:len(lines) // 2]),
        lambda: good.replace('"gemini"', '"no such engine"'),
        lambda: "",
        lambda: "\0\xff" * 100,
        lambda: None,
    ])()


def test_fifty_reloads_of_good_and_bad_files_under_load(new_office, new_daemon, gemini):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    draw = random.Random(seed)
    load = Load(new_office(), gemini(), new_daemon)
    good, wanted, refused = load.daemon.text(), WORKERS, 0
    for _ in range(50):
        load.add()
        if draw.random() < 0.5:
            load.daemon.workers = wanted = draw.randint(1, 6)
            load.daemon.sections["queue"]["backoff"] = draw.randint(1, 9)
            good = load.daemon.text()
            load.daemon.configure(good)
            is_good = True
        else:
            text = spoil(draw, good)
            load.daemon.configure(text) if text is not None else load.daemon.conf.unlink(missing_ok=True)
            is_good = False
            refused += 1
        load.hang_up()
        status = load.look()
        assert bool(status["reloadError"]) != is_good, status["reloadError"]
    assert len(load.daemon.messages("Reload refused, going on with the configuration in force")) == refused
    load.daemon.configure(good)
    load.finish(wanted)


def test_a_hundred_reloads_within_ten_seconds_while_everybody_is_busy(new_office, new_daemon, gemini):
    load = Load(new_office(), gemini(), new_daemon)
    began = time.monotonic()
    for n in range(1, 101):
        load.daemon.workers = 1 + n % 5
        load.daemon.configure()
        load.hang_up()
        if n % 4 == 0:
            load.add()
            load.look()
    print(f"100 signals in {time.monotonic() - began:.1f} s, {load.generation} generations")
    load.finish(1 + 100 % 5)
