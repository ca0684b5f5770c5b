"""A database that answers, but not as it should: a standby, no connection left, our backends killed, tables locked."""

import contextlib

import pytest

import servers
from test_daemon_kept import Outage
from test_daemon_life import calls, pages_document, sections

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3
PAGES = 14


@pytest.fixture
def in_work(new_daemon, new_office, gemini, tmp_path):
    """Factory: a document of this office is being read by a host with one worker, which has another environment too."""
    def begin(office, **database):
        other, double = new_office(), gemini()
        double.control("delay", {"ms": 250})
        settings = sections(double, lease=4)
        settings["queue"].update(statement_timeout=1, connect_timeout=1)
        daemon = new_daemon({"prod": {**office.settings(), **database}, "staging": other.settings()}, sections=settings, workers=1)
        id_ = pages_document(office, tmp_path / "doc.pdf", pages=PAGES)
        daemon.start()
        servers.wait_for(lambda: office.db.one("SELECT count(*) FROM extraction_queue_page") >= 2, "stored pages")
        return id_, daemon, other, double

    return begin


def is_down(daemon):
    return next(e for e in daemon.status()["environments"] if e["name"] == "prod")["database"] == "down"


def while_it_is_away(daemon, other, tmp_path):
    servers.wait_for(lambda: is_down(daemon), "the outage to be shown")
    theirs = pages_document(other, tmp_path / "doc.pdf", pages=1, first=90)
    servers.wait_for(lambda: other.db.row(theirs, "status_id") == DONE, "the other environment's document")


def assert_read_once(office, id_, double, daemon):
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document, once all is well")
    assert office.db.row(id_, "ocr_attempts", "ocr_losses", "ocr_error") == (1, 0, None)
    assert [p["page"] for p in office.document(id_)["pages"]] == list(range(1, PAGES + 1))
    assert len(calls(double)) in (PAGES, PAGES + 1), "each page once, and the other environment's"
    servers.wait_for(lambda: not is_down(daemon), "the status to be well again")
    assert daemon.drain() == 0


def test_a_primary_that_becomes_a_standby_and_is_promoted_again(own_postgres, new_client, in_work, tmp_path):
    away = Outage(own_postgres, new_client)
    id_, daemon, other, double = in_work(away.office)
    away.begin()
    (own_postgres.data / "standby.signal").touch()
    own_postgres.own(own_postgres.data / "standby.signal")
    away.end()
    assert away.db.one("SELECT pg_is_in_recovery()")
    while_it_is_away(daemon, other, tmp_path)
    assert away.db.one("SELECT pg_promote()")
    assert_read_once(away.office, id_, double, daemon)
    assert away.db.execute("SELECT id, worker FROM audit") == [(id_, "test-1")]
    away.office.close()


def test_no_connection_is_left_for_us(new_office, in_work, tmp_path):
    office = new_office()
    role = f"app_{office.db.name}"
    office.db.execute(f"CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT pg_read_all_stats TO {role}")
    office.db.execute(f"CREATE POLICY app ON extraction_queue_page TO {role} USING (true) WITH CHECK (true)")
    try:
        id_, daemon, other, double = in_work(office, database=office.db.postgres.url(office.db.name, role))
        office.db.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
        office.db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
        while_it_is_away(daemon, other, tmp_path)
        assert "too many connections" in next(e for e in daemon.status()["environments"] if e["name"] == "prod")["error"]
        office.db.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
        assert_read_once(office, id_, double, daemon)
    finally:
        office.db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_our_backends_are_killed_again_and_again(new_office, in_work):
    office = new_office()
    id_, daemon, _, double = in_work(office)
    for least in range(3, PAGES, 2):
        servers.wait_for(lambda n=least: len(calls(double)) >= n, f"{least} pages")
        office.db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    assert_read_once(office, id_, double, daemon)


def test_tables_that_somebody_has_locked(new_office, in_work, tmp_path):
    office = new_office()
    id_, daemon, other, double = in_work(office)
    with contextlib.closing(office.db.connect()) as slow:
        with slow.transaction():
            slow.execute("LOCK TABLE extraction_queue, extraction_queue_page IN ACCESS EXCLUSIVE MODE")
            while_it_is_away(daemon, other, tmp_path)
    assert_read_once(office, id_, double, daemon)
