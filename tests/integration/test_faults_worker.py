"""A worker dies, in every way, at every step of a document: nothing is lost, nothing is done twice, and what happened is told."""

import pytest

import faults
import servers
from held import DONE, READY, STEPS, Held

# What somebody's SIGKILL and an end without a reason take away is a loss; what looks like the document's doing, an attempt.
CRASHES = ("SIGSEGV", "SIGABRT", "exit status 1")
AS_LOSS, AS_ATTEMPT, UNTOUCHED = (1, 1), (2, 0), (1, 0)


def outcome(step, fault):
    """(attempts, losses) that a document ends with."""
    if step == "completing":
        return UNTOUCHED  # the server wrote the result, although nobody waited for its answer
    if step == "claiming":
        return AS_LOSS  # nobody had the document yet
    return AS_ATTEMPT if fault in CRASHES else AS_LOSS


def calls(step):
    """Only the page that was out is sent again."""
    return [1, 2, 1] if step == "reading" else [1, 1, 1]


def given_back(held, step):
    return held.history.of(held.documents[step].id, "error", after=READY)


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_a_worker_that_dies_at_any_step_loses_no_document_and_no_page(new_office, storage, gemini, proxy, new_daemon, fault):
    held = Held(new_office(), storage, gemini(), proxy, new_daemon)
    victims = [victim["pid"] for victim in held.victims.values()]
    faults.inflict(fault, *victims)
    servers.wait_for(lambda: len([p for p in held.daemon.processes() if p["post"] == "running" and p["pid"] not in victims]) == len(STEPS), "others in their places")
    free = ("fetching", "rendering", "reading", "claimed")
    for step in free:
        servers.wait_for(lambda s=step: given_back(held, s), f"the document to be given back that was {step}")
    assert not given_back(held, "checkpointing") and not given_back(held, "completing"), "while their rows are locked"
    held.go_on()
    servers.wait_for(held.office.idle, "all documents")
    assert faults.state(held.renderer) in "XZ", "although it was stopped"
    for step, document in held.documents.items():
        assert document.row("status_id", "ocr_attempts", "ocr_losses") == (DONE, *outcome(step, fault)), step
        assert document.calls(held.gemini) == calls(step), step
        assert len(held.history.of(document.id, "n", after=DONE)) == 1, step
        document.assert_own_text()
        for (error,) in given_back(held, step):
            if outcome(step, fault) == AS_ATTEMPT:
                assert error.startswith(f"worker crashed by {fault} "), error
            else:
                assert error is None, "a loss is no fault of the document's"
    assert held.daemon.status()["totals"]["restarts"] == len(STEPS)
    assert held.daemon.drain() == 0
