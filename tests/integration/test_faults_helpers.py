"""A helper dies or freezes, in every way: its worker lives on, and the document is tried again, or fails with the reason."""

import pytest
from PIL import Image

import faults
import offices
import servers
from held import DONE, FAILED, PAGES, READY, Held
from pdf_writer import Pdf, scan
from render_lib import SANITIZED
from test_daemon_life import pages_document, sections

# Steps at which a renderer lives, and the page that it has ready, and waits to be asked for.
RENDERING = {"rendering": 2, "reading": 3, "checkpointing": 3}
FROM_OUTSIDE = ("SIGKILL", "SIGTERM")


def words_for(fault):
    """What is said of a renderer. A sanitizer makes an exit status of the signal."""
    if fault in FROM_OUTSIDE:
        return f"the renderer was killed by {fault}" + " (out of memory?)" * (fault == "SIGKILL")
    if fault.startswith("SIG") and not (SANITIZED and fault == "SIGSEGV"):
        return f"it made the renderer crash ({fault})"
    return f"it made the renderer give up: exit code {fault.split()[-1] if fault.startswith('exit') else 1}"


@pytest.mark.parametrize("fault", ("SIGTERM", *faults.FAULTS))
def test_a_renderer_that_dies_costs_its_worker_nothing_and_the_document_nothing_or_itself(new_office, storage, gemini, proxy, new_daemon, fault):
    held = Held(new_office(), storage, gemini(), proxy, new_daemon, RENDERING)
    workers = {process["pid"] for process in held.daemon.processes()}
    renderers = [faults.helper_of(victim["pid"], "indexocr-render") for victim in held.victims.values()]
    assert None not in renderers
    faults.inflict(fault, *renderers)
    held.go_on()
    servers.wait_for(held.office.idle, "all documents")
    for step, document in held.documents.items():
        status, attempts, losses, error = document.row("status_id", "ocr_attempts", "ocr_losses", "ocr_error")
        lost_page = RENDERING[step]
        again = [(line["page"], line["error"]) for line in held.daemon.messages("Page is rendered again", job=document.id)]
        assert again == [(lost_page, words_for(fault))] * (fault in FROM_OUTSIDE), step
        if fault in FROM_OUTSIDE:
            assert (status, attempts, losses, error) == (DONE, 1, 0, None), step
            assert document.calls(held.gemini) == [1] * PAGES, step
            document.assert_own_text()
        else:
            assert (status, attempts, losses, error) == (FAILED, 1, 0, f"page {lost_page}: {words_for(fault)}"), step
            assert document.calls(held.gemini) == [int(page < lost_page) for page in range(1, PAGES + 1)], step
        assert len(held.history.of(document.id, "n", after=status)) == 1, step
    assert {process["pid"] for process in held.daemon.processes()} == workers
    assert held.daemon.drain() == 0


def heavy_document(office, name):
    """A page of a scan, one that takes the renderer longer than any test, and one of a scan again."""
    pdf = Pdf()
    image = pdf.image(offices.page_image(1))
    light = pdf.page("q 340 0 0 340 0 0 cm /I Do Q", (0, 0, 340, 340), {"I": image})
    curves = " ".join(f"{n % 200} 0 m {n % 97} 200 {n % 113} 10 200 {n % 200} c S" for n in range(40000))
    heavy = pdf.page(f"0.1 w {curves}", (0, 0, 200, 200))
    return office.add(name, "acte", content=pdf.write([light, heavy, light]))


def busy_renderer(daemon, office, id_, other_than=None):
    """The renderer of that document, in its heavy page, and frozen there."""
    servers.wait_for(lambda: office.db.one("SELECT count(*) FROM extraction_queue_page WHERE queue_id::text = %s", [id_]) == 1, "the first page to be stored")

    def found():
        renderer = faults.helper_of((daemon.process_with(id_) or {"pid": 0})["pid"], "indexocr-render")
        return renderer if renderer != other_than else None

    renderer = servers.wait_for(found, "the renderer")
    faults.inflict(faults.FROZEN, renderer)
    return renderer


def test_a_crash_in_the_middle_of_a_page_keeps_the_others_where_incomplete_pages_are_kept(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    settings = sections(double)
    settings["queue"]["incomplete_pages"] = "keep"
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=1).start()
    id_ = heavy_document(office, "heavy.pdf")
    faults.inflict("SIGABRT", busy_renderer(daemon, office, id_))
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "status_id", "ocr_attempts") == (DONE, 1)
    first, second, third = office.document(id_)["pages"]
    assert first["isCompleted"] and third["isCompleted"] and not second["isCompleted"]
    assert words_for("SIGABRT") in second["error"]["message"]
    assert daemon.drain() == 0


def test_a_page_at_which_the_renderer_is_killed_again_and_again_fails_its_document_alone(new_office, new_daemon, gemini, tmp_path):
    """As the kernel does when a page takes more memory than there is."""
    office, double = new_office(), gemini()
    settings = sections(double)
    settings["queue"]["max_attempts"] = 1
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=1).start()
    id_ = heavy_document(office, "heavy.pdf")
    renderer = None
    while office.db.row(id_, "status_id") != FAILED:
        renderer = busy_renderer(daemon, office, id_, other_than=renderer)
        faults.inflict("SIGKILL", renderer)
        servers.wait_for(lambda r=renderer: office.db.row(id_, "status_id") == FAILED or faults.helper_of(daemon.processes()[0]["pid"], "indexocr-render") not in (None, r),
                         "another try, or the end of it")
    assert office.db.row(id_, "ocr_attempts", "ocr_losses", "ocr_error") == (1, 0, f"page 2: {words_for('SIGKILL')}")
    after = pages_document(office, tmp_path / "doc.pdf", pages=1)
    servers.wait_for(lambda: office.db.row(after, "status_id") == DONE, "the document behind it")
    assert daemon.drain() == 0


def test_a_frozen_renderer_is_ended_after_page_timeout(new_office, storage, gemini, proxy, new_daemon):
    held = Held(new_office(), storage, gemini(), proxy, new_daemon, ("rendering",), render={"format": "png", "page_timeout": 4})
    servers.wait_for(held.office.idle, "the document")
    document = held.documents["rendering"]
    assert document.row("status_id", "ocr_attempts", "ocr_losses") == (DONE, 2, 0)
    assert held.history.of(document.id, "error", after=READY) == [("page 2: the page took longer than 4 seconds to render (render.page_timeout)",)]
    assert document.calls(held.gemini) == [1] * PAGES
    assert faults.state(held.renderer) == "X"
    assert [p["pid"] for p in held.daemon.processes()] == [held.victims["rendering"]["pid"]]
    assert held.daemon.drain() == 0


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs more address space than the limit leaves")
def test_a_page_that_needs_more_memory_than_the_renderer_may_have_fails_the_document_alone(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    large = office.add("large.pdf", "acte", content=scan(Image.new("RGB", (8000, 8000), (0, 90, 0)), 600, 600))
    small = pages_document(office, tmp_path / "doc.pdf", pages=1)
    daemon = new_daemon({"prod": office.settings()}, sections={**sections(double), "render": {"memory_limit": 150}}, workers=1).start()
    worker = servers.wait_for(daemon.processes, "the worker")[0]["pid"]
    servers.wait_for(office.idle, "both documents")
    status, attempts, error = office.db.row(large, "status_id", "ocr_attempts", "ocr_error")
    assert (status, attempts) == (FAILED, 1) and "memory" in error
    assert office.db.row(small, "status_id") == DONE
    assert [p["pid"] for p in daemon.processes()] == [worker]
    assert daemon.drain() == 0
