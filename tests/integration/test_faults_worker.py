"""A worker dies or freezes at every step of a document: nothing is lost, nothing is done twice, and what happened is told."""

import pytest

import faults
import servers
from held import DONE, READY, STEPS, Held

# What somebody's SIGKILL and an end without a reason take away is a loss; what looks like the document's doing, an attempt.
CRASHES = ("SIGSEGV", "SIGABRT", "exit status 1", faults.FROZEN)
AS_LOSS, AS_ATTEMPT, UNTOUCHED = (1, 1), (2, 0), (1, 0)


def outcome(held, step, fault):
    """(attempts, losses) that a document ends with."""
    if step == "completing" and held.server_completed():
        return UNTOUCHED
    if step in ("claiming", "claimed"):
        return AS_LOSS  # the worker had not learned yet which document it was given
    return AS_ATTEMPT if fault in CRASHES else AS_LOSS


def given_back(held, step):
    return held.history.of(held.documents[step].id, "error", after=READY)


def assert_told(held, step, fault):
    victim = held.victims[step]
    death = next(p for p in held.daemon.processes() if p["id"] == victim["id"])["lastDeath"]
    assert death["pid"] == victim["pid"] and death["reason"].startswith(faults.reason(fault)), death
    if step in ("claiming", "claimed"):
        assert death["state"] == "claiming" and "document" not in death, death
    else:
        assert death["document"] == held.documents[step].id, death
    (line,) = [line for line in held.daemon.log_lines() if line["stage"] == "master" and (line.get("data") or {}).get("pid") == victim["pid"]]
    assert faults.reason(fault) in line["message"] and line["level"] == ("error" if fault in CRASHES else "warn"), line


@pytest.mark.parametrize("fault", (*faults.FAULTS, faults.FROZEN))
def test_a_worker_that_dies_or_freezes_at_any_step_loses_no_document_and_no_page(new_office, storage, gemini, proxy, new_daemon, fault):
    held = Held(new_office(), storage, gemini(), proxy, new_daemon, supervise={"hang_timeout": 5})
    victims = [victim["pid"] for victim in held.victims.values()]
    faults.inflict(fault, *victims)
    servers.wait_for(lambda: len([p for p in held.daemon.processes() if p["post"] == "running" and p["pid"] not in victims]) == len(STEPS), "others in their places")
    free = ("fetching", "rendering", "reading", "claimed")
    for step in free:
        servers.wait_for(lambda s=step: given_back(held, s), f"the document to be given back that was {step}")
    for step in STEPS:
        assert_told(held, step, fault)
    assert not given_back(held, "checkpointing") and not given_back(held, "completing"), "while their rows are locked"
    held.go_on()
    servers.wait_for(held.office.idle, "all documents")
    assert faults.state(held.renderer) in "XZ", "although it was stopped"
    for step, document in held.documents.items():
        assert document.row("status_id", "ocr_attempts", "ocr_losses") == (DONE, *outcome(held, step, fault)), step
        assert document.calls(held.gemini) == held.calls_of_the_dead(step), step
        assert len(held.history.of(document.id, "n", after=DONE)) == 1, step
        document.assert_own_text()
        for (error,) in given_back(held, step):
            if outcome(held, step, fault) == AS_ATTEMPT:
                assert error.startswith(f"worker {'' if fault == faults.FROZEN else 'crashed by '}{faults.reason(fault)}"), error
            else:
                assert error is None, "a loss is no fault of the document's"
    assert held.daemon.status()["totals"]["restarts"] == len(STEPS)
    assert held.daemon.drain() == 0
