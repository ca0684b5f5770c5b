"""The keeper or the master dies, in every way, with a document at every step: those who work go on, and lose nothing."""

import pytest

import faults
import servers
from held import DONE, PAGES, READY, STEPS, Held
from test_daemon_life import assert_nothing_left


def keeper_of(daemon):
    return next(process for process in daemon.status()["processes"] if process["id"] == "keeper")


def assert_all_done_at_the_first_attempt(held):
    for step, document in held.documents.items():
        assert document.row("status_id", "ocr_attempts", "ocr_losses", "ocr_error") == (DONE, 1, 0, None), step
        assert document.calls(held.gemini) == [1] * PAGES, step
        assert len(held.history.of(document.id, "n", after=DONE)) == 1, step
        document.assert_own_text()


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_a_keeper_that_dies_is_replaced_and_no_claim_suffers(new_office, storage, gemini, proxy, new_daemon, fault):
    held = Held(new_office(), storage, gemini(), proxy, new_daemon)
    workers = {process["pid"] for process in held.daemon.processes()}
    keeper = keeper_of(held.daemon)
    faults.inflict(fault, keeper["pid"])
    servers.wait_for(lambda: keeper_of(held.daemon)["pid"] not in (0, keeper["pid"]), "another keeper")
    died = held.db.one("SELECT clock_timestamp()")
    for step in ("fetching", "rendering", "reading"):  # the others' rows are locked, or nobody knows yet that they are claimed
        servers.wait_for(lambda d=held.documents[step]: held.db.one("SELECT ocr_lease_until > CAST(%s AS timestamptz) + interval '6 seconds' FROM extraction_queue WHERE id = %s",
                                                                    [died, d.id]), f"the lease of {step} to be renewed")
    held.go_on()
    servers.wait_for(held.office.idle, "all documents")
    assert_all_done_at_the_first_attempt(held)
    assert {process["pid"] for process in held.daemon.processes()} == workers
    assert held.daemon.drain() == 0


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_when_the_master_dies_its_workers_finish_what_they_have_and_a_new_one_starts_over_its_remains(new_office, storage, gemini, proxy, new_daemon, fault):
    held = Held(new_office(), storage, gemini(), proxy, new_daemon)
    children = held.daemon.children()
    waiting = held.db.add(source="acte", path=held.documents["reading"].path, document_number="behind")[0]
    faults.inflict(fault, held.daemon.process.pid)
    held.daemon.wait()
    held.go_on()
    for pid in children:
        servers.wait_for(lambda p=pid: faults.state(p) in "XZ", f"child {pid} to end")
    assert_all_done_at_the_first_attempt(held)
    assert held.db.row(waiting, "status_id", "ocr_attempts") == (READY, 0), "nothing new is begun"
    second = new_daemon(held.daemon.environments, sections=held.daemon.sections, workers=2, host_directory=held.daemon.directory).start()
    servers.wait_for(held.office.idle, "the document that waited")
    assert held.db.row(waiting, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0)
    children = second.children()
    assert second.drain() == 0
    assert_nothing_left(second, children)


def test_a_frozen_master_holds_up_no_document_and_goes_on_where_it_was(new_office, storage, gemini, proxy, new_daemon):
    held = Held(new_office(), storage, gemini(), proxy, new_daemon)
    master = held.daemon.process.pid
    before = held.daemon.children()
    faults.inflict(faults.FROZEN, master)
    held.go_on()
    servers.wait_for(held.office.idle, "all documents")
    assert_all_done_at_the_first_attempt(held)
    faults.thaw(master)
    assert held.daemon.children() == before
    assert held.daemon.status()["totals"]["documents_done"] == len(STEPS)
    assert held.daemon.drain() == 0
