"""How a daemon under load comes to its end: nothing new is taken, nothing is lost, and it ends in time."""

import os
import signal
import time

import pytest

import faults
import servers
from held import Document
from test_daemon_life import CLAIMED, DONE, READY, assert_nothing_left, sections

WORKERS = 8
PROMISED_S = 5  # to end, past drain_timeout


class Load:
    """Eight workers at eight documents of two pages, the first page read, the second one out for a minute; others wait behind."""

    def __init__(self, office, double, new_daemon, drain_timeout, waiting=0):
        self.office, self.double, self.new_daemon = office, double, new_daemon
        self.history = faults.History(office.db)
        self.sections = {**sections(double), "render": {"format": "png"}, "supervise": {"restart_backoff": 1, "drain_timeout": drain_timeout}}
        self.documents = [Document(office, f"document {n}", pages=2) for n in range(WORKERS + waiting)]
        for document in self.documents[:WORKERS]:
            double.control("fail", {"mode": "slow", "delay_ms": 60000, "times": -1, "match": {"sha256": document.image(2)}})
        for document in self.documents:
            document.enqueue()
        self.daemon = self.start()
        servers.wait_for(lambda: all(document.calls(double)[1] for document in self.documents[:WORKERS]), "the second pages to be out")
        servers.wait_for(lambda: office.db.one("SELECT count(*) FROM extraction_queue_page") == WORKERS, "the first pages to be stored")

    def start(self, **options):
        return self.new_daemon({"prod": self.office.settings()}, sections=self.sections, workers=WORKERS, **options).start()

    def rows(self):
        return [document.row("status_id", "worker_id", "ocr_attempts", "ocr_losses") for document in self.documents]

    def claimed_since(self, told_at):
        return self.office.db.execute("SELECT number, at - %s FROM history WHERE after = %s AND at > %s + interval '100 milliseconds'",
                                      [told_at, CLAIMED, told_at])

    def assert_first_pages_are_not_read_again(self):
        """By another daemon, to whom the engine answers at once."""
        self.double.reset()
        daemon = self.start(host_directory=self.daemon.directory)
        servers.wait_for(self.office.idle, "the documents")
        begun = [document.calls(self.double) for document in self.documents]
        assert begun == [[0, 1]] * WORKERS + [[1, 1]] * (len(begun) - WORKERS)
        for document in self.documents:
            document.assert_own_text()
            assert len(self.history.of(document.id, "n", after=DONE)) == 1
        assert daemon.drain() == 0


@pytest.fixture
def load(new_office, new_daemon, gemini):
    return lambda **options: Load(new_office(), gemini(), new_daemon, **options)


def test_after_sigterm_nothing_is_claimed_and_the_eight_documents_in_work_finish(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    history = faults.History(office.db)
    documents = [Document(office, f"document {n}", pages=2) for n in range(WORKERS + 4)]
    for document in documents:
        double.hold("second pages", {"sha256": document.image(2)})
        document.enqueue()
    settings = {**sections(double), "render": {"format": "png"}}
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=WORKERS).start()
    servers.wait_for(lambda: all(document.calls(double) == [1, 1] for document in documents[:WORKERS]), "eight documents in work")
    children = daemon.children()
    told_at = office.db.one("SELECT clock_timestamp()")
    daemon.process.send_signal(signal.SIGTERM)
    servers.wait_for(lambda: daemon.status().get("drain"), "the drain")
    double.release("second pages")
    assert daemon.wait() == 0
    assert office.db.execute("SELECT number, at - %s FROM history WHERE after = %s AND at > %s + interval '100 milliseconds'", [told_at, CLAIMED, told_at]) == []
    assert [document.row("status_id", "ocr_attempts") for document in documents] == [(DONE, 1)] * WORKERS + [(READY, 0)] * 4
    for document in documents[:WORKERS]:
        assert document.calls(double) == [1, 1] and len(history.of(document.id, "n", after=DONE)) == 1
        document.assert_own_text()
    assert_nothing_left(daemon, children)


@pytest.mark.parametrize("told", ["once", "twice", "by SIGQUIT"])
def test_what_does_not_finish_is_given_back_with_its_attempt_in_time(load, told):
    """Once: drain_timeout passes. Twice or by SIGQUIT: at once."""
    busy = load(drain_timeout=2 if told == "once" else 600, waiting=2)
    daemon, children = busy.daemon, busy.daemon.children()
    told_at, began = busy.office.db.one("SELECT clock_timestamp()"), time.monotonic()
    daemon.process.send_signal(signal.SIGQUIT if told == "by SIGQUIT" else signal.SIGTERM)
    if told == "twice":
        servers.wait_for(lambda: daemon.status().get("drain"), "the drain")
        daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0
    took = time.monotonic() - began
    print(f"ended {took:.2f} s after it was told")
    assert took < (2 if told == "once" else 0) + PROMISED_S
    assert busy.claimed_since(told_at) == []
    assert not [line for line in daemon.log_lines() if line["stage"] == "master" and "Killing" in line["message"]], "who hears ends by himself"
    assert busy.rows() == [(READY, None, 0, 0)] * (WORKERS + 2)
    assert_nothing_left(daemon, children)
    busy.assert_first_pages_are_not_read_again()


def test_a_worker_that_hears_nothing_is_killed_in_time_and_the_keeper_gives_its_claim_back(load):
    busy = load(drain_timeout=1)
    children = busy.daemon.children()
    deaf = busy.documents[0].row("worker_id")
    os.kill(next(p["pid"] for p in busy.daemon.processes() if p["id"] == deaf), signal.SIGSTOP)
    began = time.monotonic()
    assert busy.daemon.drain() == 0
    assert time.monotonic() - began < 1 + PROMISED_S
    assert busy.rows() == [(READY, None, 0, 1)] + [(READY, None, 0, 0)] * (WORKERS - 1), "a kill of ours is a loss"
    assert_nothing_left(busy.daemon, children)


def test_where_nobody_hears_the_master_ends_all_the_same_and_the_next_daemon_gives_back_what_was_left(load):
    busy = load(drain_timeout=1)
    children = busy.daemon.children()
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert busy.daemon.drain() == 0
    took = time.monotonic() - began
    print(f"ended {took:.2f} s after it was told")
    assert took < 1 + 2 * PROMISED_S, "twice of what is promised: all its phases run to their ends, on a machine that may be busy"
    assert_nothing_left(busy.daemon, children)
    busy.assert_first_pages_are_not_read_again()
    assert [row[0::2] for row in busy.rows()] == [(DONE, 1)] * WORKERS and {losses for *_, losses in busy.rows()} == {1}


def test_what_a_daemon_held_that_was_killed_whole_is_claimed_again_within_ten_seconds(load):
    busy = load(drain_timeout=300)
    for pid in [busy.daemon.process.pid, *busy.daemon.children()]:
        os.kill(pid, signal.SIGKILL)
    busy.daemon.wait()
    before = {document.row("ocr_claim") for document in busy.documents}
    busy.double.reset()
    began = busy.office.db.one("SELECT clock_timestamp()")
    again = busy.start(host_directory=busy.daemon.directory)
    servers.wait_for(busy.office.idle, "the documents, long before their leases of a minute end", 50)
    claims = [busy.history.of(document.id, "claim", "at", after=CLAIMED)[-1] for document in busy.documents]
    assert not before & {claim for claim, _ in claims}
    print("claimed again after", max(at - began for _, at in claims))
    assert max(at - began for _, at in claims).total_seconds() < 10
    assert [row[0::2] for row in busy.rows()] == [(DONE, 1)] * WORKERS and {losses for *_, losses in busy.rows()} == {1}
    assert [document.calls(busy.double) for document in busy.documents] == [[0, 1]] * WORKERS
    assert again.drain() == 0
