"""A stop, and the end of the whole daemon, with a document at every step: what the server is still at then is settled by it, or by the next daemon."""

import os
import signal
import time

import faults
import servers
from held import CLAIMED, DONE, READY, Held
from test_daemon_life import assert_nothing_left
from test_stop import PROMISED_S


def descendants(daemon):
    children = daemon.children()
    return children + [helper for child in children for helper in faults.children(child)]


def another(daemon, new_daemon):
    """The next daemon of this host, with the same worker ids."""
    return new_daemon(daemon.environments, sections=daemon.sections, workers=daemon.workers, host_directory=daemon.directory).start()


def assert_done_once(held):
    for step, document in held.documents.items():
        status, attempts, losses = document.row("status_id", "ocr_attempts", "ocr_losses")
        assert (status, attempts) == (DONE, 1) and losses <= 1, (step, status, attempts, losses)
        assert document.calls(held.gemini) == held.calls_of_the_dead(step), step
        assert len(held.history.of(document.id, "n", after=DONE)) == 1, step
        document.assert_own_text()


def test_a_stop_with_a_document_at_every_step_spends_no_attempt_and_no_page(new_office, storage, gemini, proxy, new_daemon):
    held = Held(new_office(), storage, gemini(), proxy, new_daemon, supervise={"drain_timeout": 1})
    everybody = descendants(held.daemon)
    began = time.monotonic()
    assert held.daemon.drain() == 0
    took = time.monotonic() - began
    print(f"ended {took:.2f} s after it was told")
    assert took < 1 + PROMISED_S
    assert_nothing_left(held.daemon, everybody)
    for step in ("fetching", "rendering", "reading"):
        assert held.documents[step].row("status_id", "worker_id", "ocr_attempts", "ocr_losses") == (READY, None, 0, 0), step
    held.go_on()
    second = another(held.daemon, new_daemon)
    servers.wait_for(held.office.idle, "all documents")
    assert_done_once(held)
    assert second.drain() == 0


def test_what_a_daemon_held_at_every_step_when_it_was_killed_whole_is_claimed_again_within_ten_seconds(new_office, storage, gemini, proxy, new_daemon):
    queue = {"sources": ["acte"], "poll_interval": 1, "lease": 120, "backoff": 0.5}
    held = Held(new_office(), storage, gemini(), proxy, new_daemon, queue=queue)
    everybody = [held.daemon.process.pid, *descendants(held.daemon)]
    for pid in everybody:
        os.kill(pid, signal.SIGKILL)
    killed = held.db.one("SELECT clock_timestamp()")
    held.daemon.wait()
    for pid in everybody:
        servers.wait_for(lambda p=pid: faults.state(p) in "XZ", f"process {pid} to be gone")
    second = another(held.daemon, new_daemon)
    held.go_on()
    servers.wait_for(held.office.idle, "all documents, long before their leases end", 60)
    for step, document in held.documents.items():
        again = [(at - killed).total_seconds() for (at,) in held.history.of(document.id, "at", after=CLAIMED) if at > killed]
        print(step, "claimed after", again)
        if step != "completing" or not held.server_completed():
            assert again[-1] < 10, step
    assert_done_once(held)
    assert second.drain() == 0
