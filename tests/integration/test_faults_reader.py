"""The local reader dies or freezes, in every way: the page is read again by another one, and the document knows nothing of it."""

import pytest

import faults
import offices
import servers
from faults import History
from held import DONE, FAILED
from render_lib import SANITIZED

SETTINGS = {"queue": {"sources": ["acte"], "poll_interval": 1, "backoff": 0.2, "backoff_max": 0.2}, "engine": {"use": "tesseract", "page_tries": 2},
            "tesseract": {"helpers": 1}}


def words_for(fault):
    """A sanitizer makes an exit status of the signal."""
    if fault.startswith("SIG") and not (SANITIZED and fault == "SIGSEGV"):
        return f"the local reader was killed by {fault}" + " (out of memory?)" * (fault == "SIGKILL")
    return f"the local reader ended with exit status {fault.split()[-1] if fault.startswith('exit') else 1}"


def enqueue(office, tmp_path, name, pages=2):
    return office.add(name, "acte", offices.pdf_of([offices.page_image(n) for n in range(pages)], tmp_path / "pages.pdf"))


def local_reader(daemon, other_than=None):
    """The worker's reader, once it has a page: the first call starts it."""
    def found():
        reader = faults.helper_of(daemon.processes()[0]["pid"], "indexocr-tesseract")
        return reader if reader != other_than else None
    return servers.wait_for(found, "the local reader")


def text(office, id_):
    return [page["text"] for page in office.document(id_)["pages"]]


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_a_page_whose_reader_dies_is_read_again_by_another(new_office, new_daemon, tmp_path, fault):
    office = new_office()
    history = History(office.db)
    daemon = new_daemon({"prod": office.settings()}, sections=SETTINGS, workers=1).start()
    harmed = enqueue(office, tmp_path, "harmed.pdf")
    reader = local_reader(daemon)
    faults.inflict(faults.FROZEN, reader)
    faults.inflict(fault, reader)
    servers.wait_for(office.idle, "the document")
    after = local_reader(daemon)
    faults.inflict(fault, after)  # it has nothing to do now
    unharmed = enqueue(office, tmp_path, "unharmed.pdf")
    servers.wait_for(office.idle, "the other document")
    for id_ in (harmed, unharmed):
        assert office.db.row(id_, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0)
        assert len(history.of(id_, "n", after=DONE)) == 1
    assert text(office, harmed) == text(office, unharmed) and all("ligne" in page for page in text(office, harmed))
    assert [line["error"] for line in daemon.messages("Page not read")] == [words_for(fault)]
    assert daemon.status()["totals"]["restarts"] == 0
    assert daemon.drain() == 0


def test_a_page_that_kills_every_reader_fails_its_document_with_the_reason(new_office, new_daemon, tmp_path):
    office = new_office()
    settings = {**SETTINGS, "queue": {**SETTINGS["queue"], "max_attempts": 1}}
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=1).start()
    id_ = enqueue(office, tmp_path, "deadly.pdf")
    reader = None
    for _ in range(SETTINGS["engine"]["page_tries"]):
        reader = local_reader(daemon, other_than=reader)
        faults.inflict("SIGABRT", reader)
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "status_id", "ocr_attempts", "ocr_error") == (FAILED, 1, f"page 1: {words_for('SIGABRT')}")
    after = enqueue(office, tmp_path, "after.pdf")
    servers.wait_for(office.idle, "the document behind it")
    assert office.db.row(after, "status_id", "ocr_attempts") == (DONE, 1)
    assert daemon.drain() == 0


def test_a_frozen_reader_is_replaced_after_request_timeout(new_office, new_daemon, tmp_path):
    office = new_office()
    settings = {**SETTINGS, "engine": {**SETTINGS["engine"], "request_timeout": 10}}
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=1).start()
    id_ = enqueue(office, tmp_path, "page.pdf", pages=1)
    reader = local_reader(daemon)
    faults.inflict(faults.FROZEN, reader)
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "status_id", "ocr_attempts") == (DONE, 1)
    assert faults.state(reader) == "X"
    assert [line["error"] for line in daemon.messages("Page not read")] == ["the local reader did not answer within 10000 ms"]
    assert daemon.drain() == 0
