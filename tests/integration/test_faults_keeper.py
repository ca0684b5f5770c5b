"""The keeper dies or freezes with a document at every step: no claim suffers."""

import pytest

import faults
import servers
from held import Held


def keeper_of(daemon):
    return next(process for process in daemon.status()["processes"] if process["id"] == "keeper")


@pytest.mark.parametrize("fault", (*faults.FAULTS, faults.FROZEN))
def test_a_keeper_that_dies_or_freezes_is_replaced_and_no_claim_suffers(new_office, storage, gemini, proxy, new_daemon, fault):
    held = Held(new_office(), storage, gemini(), proxy, new_daemon)
    workers = {process["pid"] for process in held.daemon.processes()}
    keeper = keeper_of(held.daemon)
    faults.inflict(fault, keeper["pid"])
    servers.wait_for(lambda: keeper_of(held.daemon)["pid"] not in (0, keeper["pid"]), "another keeper")
    death = keeper_of(held.daemon)["lastDeath"]
    assert death["pid"] == keeper["pid"] and death["reason"].startswith(faults.reason(fault)), death
    died = held.db.one("SELECT clock_timestamp()")
    for step in ("fetching", "rendering", "reading"):  # the others' rows are locked, or nobody knows yet that they are claimed
        servers.wait_for(lambda d=held.documents[step]: held.db.one("SELECT ocr_lease_until > CAST(%s AS timestamptz) + interval '6 seconds' FROM extraction_queue WHERE id = %s",
                                                                    [died, d.id]), f"the lease of {step} to be renewed")
    held.go_on()
    servers.wait_for(held.office.idle, "all documents")
    held.assert_all_done_at_the_first_attempt()
    assert {process["pid"] for process in held.daemon.processes()} == workers
    assert held.daemon.drain() == 0
