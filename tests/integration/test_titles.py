"""What ps(1) shows: who each process is and what it does, never a secret."""

import os
import pathlib
import re
import signal

import offices
import servers
from offices import KEY

PASSWORD = "redis-password-on-the-command-line"


def sections(double):
    return {"queue": {"sources": ["acte"], "poll_interval": 1}, "engine": {"use": "gemini", "page_concurrency": 1},
            "gemini": {"api_key": "${GEMINI_API_KEY}", "base_url": double.url}}


def pages_document(office, path, pages):
    return office.add("doc.pdf", "acte", offices.pdf_of([offices.page_image(n) for n in range(pages)], path))


def title(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


def titles(daemon):
    return [title(pid) for pid in [daemon.process.pid, *daemon.children()]]


def test_every_process_says_who_it_is_and_what_it_does(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 500})
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2, variables={"GEMINI_API_KEY": KEY}).start()
    servers.wait_for(lambda: titles(daemon) == ["indexocrd: master", "indexocrd: keeper", "indexocrd: worker test-1", "indexocrd: worker test-2"],
                     "all to be idle")
    id_ = pages_document(office, tmp_path / "doc.pdf", 5)
    busy = servers.wait_for(lambda: daemon.process_with(id_), "the document to be in work")
    form = re.compile(rf"indexocrd: worker {busy['id']} prod/{id_} page ([2-4])/5")
    servers.wait_for(lambda: form.fullmatch(title(busy["pid"])), "a page in the title")
    daemon.process.send_signal(signal.SIGTERM)
    form = re.compile(rf"indexocrd: worker {busy['id']} prod/{id_} page ([2-5])/5 \(draining\)")
    servers.wait_for(lambda: form.fullmatch(title(busy["pid"])), "the drain in the worker's title")
    assert title(daemon.process.pid) == "indexocrd: master (draining)"
    assert daemon.wait() == 0
    assert office.db.row(id_, "status_id") == 4


def test_a_finished_document_leaves_the_title(new_office, new_daemon, gemini, tmp_path):
    office = new_office()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(gemini()), workers=1, variables={"GEMINI_API_KEY": KEY}).start()
    pages_document(office, tmp_path / "doc.pdf", 2)
    servers.wait_for(office.idle, "the document")
    servers.wait_for(lambda: titles(daemon)[2:] == ["indexocrd: worker test-1"], "the worker to be idle")
    assert daemon.drain() == 0


def test_a_title_longer_than_its_room_is_cut(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 2000})
    long_id = "w" * 100
    daemon = new_daemon({"p" * 40: office.settings()}, sections=sections(double), workers=1, worker_id=long_id, variables={"GEMINI_API_KEY": KEY}).start()
    pages_document(office, tmp_path / "doc.pdf", 1)
    servers.wait_for(lambda: double.requests(), "the call")
    for said in titles(daemon)[2:]:
        assert f"indexocrd: worker {long_id}-1 {'p' * 40}/1 page 1/1".startswith(said) and len(said) > 80
    assert daemon.drain() == 0


def test_arguments_and_environment_of_the_start_are_gone(new_office, new_daemon, gemini, tmp_path):
    """Root can look into every process: even there nothing stands that the daemon was started with."""
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1000})
    secrets = {"GEMINI_API_KEY": KEY, "PROD_PASSWORD": "a-password-of-the-environment"}
    daemon = new_daemon({"prod": office.settings()}, sections={**sections(double), "redis": {"hosts": 1}}, workers=1, variables=secrets)
    daemon.start("--redis-url", f"redis://:{PASSWORD}@127.0.0.1:{servers.free_port()}")
    pages_document(office, tmp_path / "doc.pdf", 40)  # more than a pipe takes: its renderer stays
    servers.wait_for(lambda: double.requests(), "a page in work")
    everybody = [daemon.process.pid, *daemon.children(), *helpers(daemon)]
    assert len(everybody) == 4
    for pid in everybody:
        for name in ("cmdline", "environ"):
            try:
                seen = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
            except PermissionError:
                assert os.geteuid() != 0 and name == "environ"
                continue
            for secret in (*secrets.values(), PASSWORD):
                assert secret.encode() not in seen, f"{name} of {title(pid)}"
    double.control("delay", {"ms": 0})
    assert daemon.drain() == 0
    assert PASSWORD not in daemon.everything_said()


def helpers(daemon):
    return [int(pid) for child in daemon.children() for pid in pathlib.Path(f"/proc/{child}/task/{child}/children").read_text().split()]
