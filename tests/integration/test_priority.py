"""Environments are asked in the order written; one that is slow or gone holds up nobody else."""

import pytest

import offices
import servers
from test_daemon_life import CLAIMED, DONE, sections
from test_wakeups import environment, wait_until_heard, wait_until_idle


@pytest.fixture
def page(tmp_path):
    return offices.pdf_of([offices.page_image(1)], tmp_path / "page.pdf")


def arrive(office, page, count=1):
    """Documents that come just now: their ids."""
    path = office.put("acte", "page.pdf", page)
    return [row[0] for row in office.db.execute(
        "INSERT INTO extraction_queue (document_source, status_id, supabase_path) SELECT 'acte', 3, %s FROM generate_series(1, %s) "
        "RETURNING id::text", [path, count])]


def waits_s(office, ids):
    """From enqueue to claim, in seconds."""
    return [office.db.row(i, "extract(epoch FROM ocr_started_at - created_at)::float8") for i in ids]


def test_a_steady_stream_into_prod_keeps_staging_waiting_only_while_prod_has_ready_rows(new_office, new_daemon, gemini, page):
    prod, staging, double = new_office(), new_office(), gemini()
    double.control("delay", {"ms": 150})
    daemon = new_daemon({"prod": prod.settings(), "staging": staging.settings()}, sections=sections(double), workers=2).start()
    wait_until_idle(daemon)
    wait_until_heard(daemon, "prod", "staging")
    prod_ids = arrive(prod, page, 8)
    staging_ids = arrive(staging, page, 4)
    for n in range(12):  # one more as soon as there are few: prod is never empty for long
        servers.wait_for(lambda: prod.count(3) < 3, "prod's queue to shrink")
        prod_ids += arrive(prod, page)
    servers.wait_for(lambda: prod.idle() and staging.idle(), "all documents")
    for start in [staging.db.row(i, "ocr_started_at") for i in staging_ids]:
        passed_over = prod.db.one("SELECT count(*) FROM extraction_queue WHERE created_at < %s - interval '1 second' AND ocr_started_at > %s",
                                  [start, start])
        assert passed_over == 0, "a document of prod was ready, and staging's was taken"
    assert max(prod.db.row(i, "ocr_started_at") for i in prod_ids[:-2]) < max(staging.db.row(i, "ocr_started_at") for i in staging_ids)
    assert daemon.drain() == 0


def test_with_prod_gone_staging_is_served_without_delay_and_prod_when_it_is_back(own_postgres, new_client, new_office, new_daemon, gemini, page):
    db = servers.Database(own_postgres)
    client = new_client(db.url)
    client.migrate()
    client.close()
    prod, staging, double = offices.Office(db), new_office(), gemini()
    daemon = new_daemon({"prod": prod.settings(), "staging": staging.settings()}, sections=sections(double), workers=2).start()
    wait_until_idle(daemon)
    wait_until_heard(daemon, "prod", "staging")
    own_postgres.stop()
    served = []
    for _ in range(5):
        served += arrive(staging, page)
        servers.wait_for(staging.idle, "staging's document")
    servers.wait_for(lambda: environment(daemon)["database"] == "down", "the outage to be noticed")
    for _ in range(5):
        served += arrive(staging, page)
        servers.wait_for(staging.idle, "staging's document")
    waits = waits_s(staging, served)
    print("waits in s, prod gone:", [round(w, 3) for w in waits])
    assert max(waits) < 5
    own_postgres.start()
    db.connection = own_postgres.connect(db.name)
    (back,) = arrive(prod, page)
    servers.wait_for(lambda: db.row(back, "status_id") == DONE, "prod's document")
    assert daemon.drain() == 0
    prod.close()


def test_with_prod_slow_staging_does_not_wait_for_its_answers(new_office, new_daemon, gemini, postgres, page):
    prod, staging, double = new_office(), new_office(), gemini()
    delay_s = 1
    proxy = servers.SlowProxy(postgres.port, delay_s)
    try:
        daemon = new_daemon({"prod": prod.settings(database=postgres.url(prod.db.name, port=proxy.port)), "staging": staging.settings()},
                            sections=sections(double), workers=2).start()
        wait_until_heard(daemon, "prod", "staging")
        wait_until_idle(daemon)
        served = []
        for _ in range(12):
            served += arrive(staging, page)
            servers.wait_for(staging.idle, "staging's document")
        waits = waits_s(staging, served)
        print("waits in s, prod slow:", [round(w, 3) for w in waits])
        assert max(waits) < delay_s, "not one waited for one of prod's answers"
        (late,) = arrive(prod, page)
        servers.wait_for(lambda: prod.db.row(late, "status_id") == CLAIMED, "prod's document to be taken, in its own time")
        daemon.close()
    finally:
        proxy.close()
