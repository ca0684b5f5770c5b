"""The master dies or freezes with a document at every step: its workers finish what they have."""

import pytest

import faults
import servers
from held import DONE, READY, STEPS, Held
from test_daemon_life import assert_nothing_left


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
    held.assert_all_done_at_the_first_attempt()
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
    held.assert_all_done_at_the_first_attempt()
    faults.thaw(master)
    assert held.daemon.children() == before
    assert held.daemon.status()["totals"]["documents_done"] == len(STEPS)
    assert held.daemon.drain() == 0
