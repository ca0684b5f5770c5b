"""A database that is away while documents of it are in work: what was paid for is kept, and the worker is free for others."""

import os
import signal
import subprocess

import pytest

import offices
import servers
from test_daemon_life import calls, pages_document, sections

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3
LEASE_S = 3


class Outage:
    """An office whose database can go away and come back."""

    def __init__(self, server, new_client):
        self.server = server
        self.office = offices.Office(servers.Database(server))
        client = new_client(self.office.db.url)
        client.migrate()
        client.close()
        self.db = self.office.db
        self.db.execute("CREATE TABLE audit (id text, worker text, status int)")
        self.db.execute("""CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO audit VALUES (OLD.id::text, OLD.worker_id, NEW.status_id); RETURN NEW; END $$""")
        self.db.execute("CREATE TRIGGER note BEFORE UPDATE ON extraction_queue FOR EACH ROW WHEN (OLD.status_id = 2 AND NEW.status_id <> 2) EXECUTE FUNCTION note()")

    def begin(self):
        self.db.connection.close()
        self.server.stop()

    def end(self):
        self.server.start()
        self.db.connection = self.server.connect(self.db.name)


@pytest.fixture
def away(own_postgres, new_client):
    outage = Outage(own_postgres, new_client)
    yield outage
    outage.office.close()


def kept(daemon):
    return sum(p.get("kept", 0) for p in daemon.processes())



@pytest.mark.parametrize("pages, when", [(2, "the result is written"), (12, "pages are read")])
def test_a_document_whose_database_is_away_is_kept_and_other_environments_go_on(away, new_office, new_daemon, gemini, tmp_path, pages, when):
    other, double = new_office(), gemini()
    double.control("delay", {"ms": 500})
    held = pages_document(away.office, tmp_path / "doc.pdf", pages=pages)
    daemon = new_daemon({"prod": away.office.settings(), "staging": other.settings()}, sections=sections(double, lease=LEASE_S), workers=1).start()
    servers.wait_for(lambda: len(calls(double)) >= pages - 1 if pages == 2 else len(calls(double)) >= 3, "the moment")
    away.begin()
    servers.wait_for(lambda: kept(daemon) == 1, "the document to be kept")
    read = len(calls(double))
    ids = [pages_document(other, tmp_path / "doc.pdf", f"{n}.pdf", 1, 100 + n) for n in range(3)]
    servers.wait_for(lambda: all(other.db.row(i, "status_id") == DONE for i in ids), "the other environment's documents, while this one is away")
    assert kept(daemon) == 1 and len(calls(double)) == read + 3
    away.end()
    servers.wait_for(lambda: away.db.row(held, "status_id") == DONE, "the document that was kept")
    assert away.db.row(held, "ocr_attempts", "ocr_losses") == (1, 0)
    assert [p["page"] for p in away.office.document(held)["pages"]] == list(range(1, pages + 1))
    assert len(calls(double)) == pages + 3, f"no page is read twice: away while {when}"
    assert away.db.execute("SELECT * FROM audit") == [(held, "test-1", DONE)], "written once, and never given back"
    assert kept(daemon) == 0
    assert daemon.drain() == 0


def test_a_failure_is_kept_as_well(away, new_daemon, gemini, tmp_path):
    double = gemini()
    double.control("delay", {"ms": 1500})
    double.fail("400_image", times=-1)
    id_ = pages_document(away.office, tmp_path / "doc.pdf", pages=1)
    settings = sections(double, lease=LEASE_S, page_tries=1)
    settings["queue"]["max_attempts"] = 1
    daemon = new_daemon({"prod": away.office.settings()}, sections=settings, workers=1).start()
    servers.wait_for(lambda: calls(double), "the call")
    away.begin()
    servers.wait_for(lambda: kept(daemon) == 1, "the failure to be kept")
    away.end()
    servers.wait_for(lambda: away.db.row(id_, "status_id") == FAILED, "the failure")
    assert away.db.row(id_, "ocr_attempts") == 1 and "page 1" in away.db.row(id_, "ocr_error")
    assert len(calls(double)) == 1, "what failed for good is not paid for again"
    assert daemon.drain() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_waits_for_what_is_kept_and_an_interrupt_does_not(away, new_daemon, gemini, tmp_path, number):
    double = gemini()
    double.control("delay", {"ms": 500})
    id_ = pages_document(away.office, tmp_path / "doc.pdf", pages=6)
    daemon = new_daemon({"prod": away.office.settings()}, sections=sections(double, lease=LEASE_S), workers=1).start()
    servers.wait_for(lambda: len(calls(double)) >= 3, "pages")
    away.begin()
    servers.wait_for(lambda: kept(daemon) == 1, "the document to be kept")
    daemon.process.send_signal(number)
    if number == signal.SIGQUIT:
        assert daemon.wait() == 0, "an interrupt waits for no database"
    away.end()
    if number == signal.SIGTERM:
        assert daemon.wait() == 0
        assert away.db.row(id_, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0)
        assert len(calls(double)) == 6
        return
    successor = new_daemon({"prod": away.office.settings()}, sections=sections(double, lease=LEASE_S), workers=1, host_directory=daemon.directory).start()
    servers.wait_for(lambda: away.db.row(id_, "status_id") == DONE, "the document, by the next daemon")
    assert away.db.row(id_, "ocr_attempts", "ocr_losses") == (1, 1)
    assert successor.drain() == 0


@pytest.mark.parametrize("interrupted", [False, True])
def test_process_waits_for_its_database_until_it_is_interrupted(away, new_daemon, gemini, tmp_path, interrupted):
    double = gemini()
    double.control("delay", {"ms": 400})
    id_ = pages_document(away.office, tmp_path / "doc.pdf", pages=4)
    daemon = new_daemon({"prod": away.office.settings()}, sections=sections(double, lease=LEASE_S))
    command = [daemon.programs / "indexocrctl", "-c", daemon.conf, "process", "prod", id_]
    process = subprocess.Popen(command, cwd=daemon.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **daemon.identity())
    servers.wait_for(lambda: len(calls(double)) >= 2, "pages")
    away.begin()
    for line in process.stderr:
        if "is kept until prod can take it" in line:
            break
    if interrupted:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 130 and "the database is away" in said, said
        away.end()
        assert away.db.row(id_, "status_id") == CLAIMED, "for whoever comes once the lease is over"
        return
    away.end()
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"document {id_} is done: 4 pages" in said
    assert len(calls(double)) == 4 and away.db.row(id_, "ocr_attempts", "ocr_losses") == (1, 0)


def test_a_reload_drops_nothing_that_is_kept_and_the_next_waits_no_longer_than_a_drain(away, new_daemon, gemini, tmp_path):
    """The next one may be the one that tells where the database is now."""
    double = gemini()
    double.control("delay", {"ms": 500})
    id_ = pages_document(away.office, tmp_path / "doc.pdf", pages=12)
    settings = sections(double, lease=LEASE_S)
    settings["supervise"]["drain_timeout"] = 2
    daemon = new_daemon({"prod": away.office.settings()}, sections=settings, workers=1).start()
    servers.wait_for(lambda: len(calls(double)) >= 3, "pages")
    away.begin()
    servers.wait_for(lambda: kept(daemon) == 1, "the document to be kept")
    holder = daemon.processes()[0]["pid"]
    assert daemon.ctl("reload").returncode == 0
    away.end()
    servers.wait_for(lambda: kept(daemon) == 0, "it to be gone on with")
    away.begin()
    servers.wait_for(lambda: kept(daemon) == 1, "it to be kept again")
    assert daemon.processes()[0]["pid"] == holder and daemon.status()["generation"] == 2
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: daemon.status()["generation"] == 3 and daemon.processes("idle"), "the second reload, and a fresh worker")
    assert daemon.processes()[0]["pid"] != holder and kept(daemon) == 0
    away.end()
    servers.wait_for(lambda: away.db.row(id_, "status_id") == DONE, "the document")
    assert away.db.row(id_, "ocr_attempts", "ocr_losses") == (1, 1)
    assert daemon.drain() == 0


# ---- stored pages ----------------------------------------------------------------------------------------------

def test_pages_that_come_within_a_moment_are_stored_together(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    office.db.execute("CREATE TABLE saves (pages int)")
    office.db.execute("""CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO saves SELECT count(*) FROM new; RETURN NULL; END $$""")
    office.db.execute("CREATE TRIGGER note AFTER INSERT ON extraction_queue_page REFERENCING NEW TABLE AS new FOR EACH STATEMENT EXECUTE FUNCTION note()")
    double.hold("all", {}, times=16)
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=17)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double, page_concurrency=16), workers=1).start()
    servers.wait_for(lambda: len(calls(double)) == 16, "sixteen pages at once")
    double.release("all")
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document")
    saved = [n for n, in office.db.execute("SELECT pages FROM saves")]
    print("pages in each statement:", saved)
    assert len(saved) < 12 and sum(saved) <= 16 and [p["page"] for p in office.document(id_)["pages"]] == list(range(1, 18))
    assert daemon.drain() == 0


def test_pages_that_nobody_came_back_for_are_deleted_by_the_keeper(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    failed, = office.db.add(source="acte", status=FAILED)
    office.db.execute("INSERT INTO extraction_queue_page SELECT %s::bigint, n, 'k', '{}', 0, now() - interval '31 days' FROM generate_series(1, 9) AS n", [failed])
    office.db.execute("INSERT INTO extraction_queue_page VALUES (%s::bigint + 1, 1, 'k', '{}', 0, now() - interval '29 days')", [failed])
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    servers.wait_for(lambda: office.db.one("SELECT count(*) FROM extraction_queue_page") == 1, "the old pages to be gone")
    assert daemon.messages("Deleted 9 stored pages in prod that were too old to be kept")
    assert daemon.drain() == 0


def test_a_crash_is_an_attempt_for_the_document_in_work_and_a_loss_for_what_is_kept(away, new_office, new_daemon, gemini, tmp_path):
    double, other = gemini(), new_office()
    read = pages_document(away.office, tmp_path / "doc.pdf", pages=1)
    settings = sections(double, lease=LEASE_S)
    settings["queue"]["max_attempts"] = 1
    environments = {"prod": away.office.settings(), "staging": other.settings()}
    double.control("delay", {"ms": 700})
    # A sanitizer would make an exit status of the signal.
    daemon = new_daemon(environments, sections=settings, workers=1, variables={"ASAN_OPTIONS": "handle_segv=0"}).start()
    servers.wait_for(lambda: calls(double), "the first call")
    away.begin()
    servers.wait_for(lambda: kept(daemon) == 1, "the result to be kept")
    double.control("delay", {"ms": 30000})
    fatal = pages_document(other, tmp_path / "doc.pdf", "fatal.pdf", pages=1, first=30)
    victim = servers.wait_for(lambda: daemon.process_with(fatal), "the other document to be in work")
    servers.wait_for(lambda: len(calls(double)) == 2, "its call")
    os.kill(victim["pid"], signal.SIGSEGV)
    servers.wait_for(lambda: other.db.row(fatal, "status_id") == FAILED, "the document in work to fail")
    double.control("delay", {"ms": 0})
    away.end()
    servers.wait_for(lambda: away.db.row(read, "status_id") == DONE, "the document that was only kept")
    assert away.db.row(read, "ocr_attempts", "ocr_losses") == (1, 1)
    assert daemon.drain() == 0


def test_a_worker_id_that_no_slot_can_have_does_not_disturb_the_keeper(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 3000})
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double, lease=LEASE_S), workers=1).start()
    status = daemon.status()
    for slot in ("-2147483648", "3000000000", "4294967297", "0"):
        office.db.execute("INSERT INTO extraction_queue (document_source, supabase_path, status_id, worker_id, ocr_claim, ocr_lease_until) "
                          "VALUES ('acte', 'x.pdf', 2, %s, %s, now() + interval '1 hour')", [f"x-{slot}", f"x-{slot}/{status['daemon']}/1/1"])
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=4)
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "a document that takes longer than a lease")
    assert daemon.status()["totals"]["restarts"] == 0
    assert daemon.drain() == 0
