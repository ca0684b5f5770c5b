"""Disks without room: for documents, and for the log."""

import os
import subprocess

import pytest

import offices
import servers
from test_daemon_life import pages_document, sections

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3
MB = 1 << 20


@pytest.fixture
def small_disk():
    """Factory: mounts a tmpfs of that size over a directory. Needs root, or sudo."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    mounted = []

    def mount(directory, size):
        owner = directory.stat()
        subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", f"size={size},mode=755,uid={owner.st_uid},gid={owner.st_gid}", "small", directory], check=True)
        mounted.append(directory)

    yield mount
    for directory in mounted:
        subprocess.run([*as_root, "umount", "-l", directory], check=True)


def fill(directory):
    """Until there is no room for a byte; the file that does it."""
    path = directory / "filler"
    with pytest.raises(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    return path


def large_document(office, name, size=3 * MB):
    """One page, and more bytes than are held in memory: a PDF may be followed by anything."""
    pdf = offices.pdf_of([offices.page_image(1)], office.directory / "page.pdf").read_bytes()
    return office.add(name, "acte", content=pdf + b"\n" + b"%" * (size - len(pdf)))


def disk_sections(double):
    settings = sections(double)
    settings["storage"] = {"memory_document_max": 1}
    return settings


def test_a_full_tmpdir_is_nobody_s_attempt_and_recovers_by_itself(new_office, new_daemon, gemini, small_disk, tmp_path):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=disk_sections(double), workers=2)
    small_disk(daemon.directory / "tmp", "8m")
    filler = fill(daemon.directory / "tmp")
    large = large_document(office, "large.pdf")
    small = pages_document(office, tmp_path / "doc.pdf", "small.pdf", 1, 7)
    daemon.start()
    servers.wait_for(lambda: office.db.row(large, "status_id", "ocr_attempts") == (READY, 0) and office.db.row(large, "ocr_error"), "the document to be given back")
    servers.wait_for(lambda: office.db.row(small, "status_id") == DONE, "one that fits into memory")
    error = office.db.row(large, "ocr_error")
    assert "no room" in error and str(daemon.directory / "tmp") in error and "make room" in error
    assert office.db.row(large, "ocr_not_before > now()"), "others come first"
    filler.unlink()
    servers.wait_for(lambda: office.db.row(large, "status_id") == DONE, "the document, once there is room", 120)
    assert office.db.row(large, "ocr_attempts", "ocr_losses", "ocr_error") == (1, 0, None)
    assert daemon.drain() == 0


def test_a_document_that_can_never_fit_fails_at_once(new_office, new_daemon, gemini, small_disk, tmp_path):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=disk_sections(double), workers=1)
    small_disk(daemon.directory / "tmp", "2m")
    id_ = large_document(office, "large.pdf", 4 * MB)
    after = pages_document(office, tmp_path / "doc.pdf", "small.pdf", 1, 7)
    daemon.start()
    servers.wait_for(lambda: office.db.row(after, "status_id") == DONE, "the one behind it")
    assert office.db.row(id_, "status_id", "ocr_attempts") == (FAILED, 1)
    assert "does not fit into" in office.db.row(id_, "ocr_error")
    assert daemon.drain() == 0


def test_a_full_log_directory_stops_nobody_and_is_told_when_there_is_room(new_office, new_daemon, gemini, small_disk, tmp_path):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1)
    small_disk(daemon.directory / "log", "256k")
    daemon.start()
    first = pages_document(office, tmp_path / "doc.pdf", "first.pdf", 1, 1)
    servers.wait_for(lambda: office.db.row(first, "status_id") == DONE, "a document before")
    filler = fill(daemon.directory / "log")
    for n in range(20):  # until the last page of the file is full as well
        lost = pages_document(office, tmp_path / "doc.pdf", f"lost-{n}.pdf", 1, 10 + n)
        servers.wait_for(lambda i=lost: office.db.row(i, "status_id") == DONE, "a document while there is no room")
        if f"prod/{lost}" in daemon.log() and not [line for line in daemon.log_lines() if line.get("job") == lost]:
            break
    else:
        raise AssertionError("there was room for twenty documents")
    filler.unlink()
    last = pages_document(office, tmp_path / "doc.pdf", "last.pdf", 1, 3)
    servers.wait_for(lambda: daemon.messages("Job completed successfully", job=last), "the log to go on")
    assert any("log lines could not be written" in line["message"] for line in daemon.log_lines())
    assert daemon.drain() == 0
