"""Who is woken, by what, and what an idle host costs."""

import pytest

import offices
import servers
from test_daemon_life import CLAIMED, DONE, calls, pages_document, sections

FAR = 3600  # a poll interval that no test waits for


def waking(double, poll_interval=FAR, **queue):
    settings = sections(double)
    settings["queue"].update(poll_interval=poll_interval, **queue)
    return settings


def environment(daemon, name="prod"):
    return next(e for e in daemon.status()["environments"] if e["name"] == name)


def wait_until_heard(daemon, *names):
    for name in names or ("prod",):
        servers.wait_for(lambda n=name: environment(daemon, n).get("notifications"), f"{name}'s notifications")


def wait_until_idle(daemon):
    servers.wait_for(lambda: len(daemon.processes("idle")) == daemon.workers, "all workers to sleep")


def connections(db):
    """Whose they are, but for the test's own."""
    return sorted(row[0] for row in db.execute(
        "SELECT application_name FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() AND application_name <> ''",
        [db.name]))


def sessions(db):
    db.execute("SELECT pg_stat_clear_snapshot()")
    return db.one("SELECT sessions FROM pg_stat_database WHERE datname = %s", [db.name])


@pytest.fixture
def page(tmp_path):
    """A document of one page."""
    return offices.pdf_of([offices.page_image(1)], tmp_path / "page.pdf")


@pytest.fixture
def elsewhere(postgres):
    """The same database under another URL: LISTEN goes there."""
    return lambda db: postgres.url(db.name) + "?application_name=ear"


def test_a_hundred_idle_workers_hold_two_connections_and_three_where_they_listen_elsewhere(new_office, new_daemon, gemini, page, elsewhere):
    prod, staging, dev, double = new_office(), new_office(), new_office(), gemini()
    daemon = new_daemon({"prod": prod.settings(), "staging": staging.settings(listen_database=elsewhere(staging.db)), "dev": dev.settings()},
                        sections=waking(double, idle_close=1), workers=100).start()
    wait_until_idle(daemon)
    wait_until_heard(daemon, "prod", "staging", "dev")
    assert connections(dev.db) == ["indexocr-keeper"], "who has nothing to fetch connects to nothing"
    for office in (prod, staging):
        for n in range(20):
            office.add(f"{n}.pdf", "acte", page)
    servers.wait_for(lambda: prod.idle() and staging.idle(), "the documents")
    servers.wait_for(lambda: len(connections(prod.db)) <= 2, "the connections to be closed")
    servers.wait_for(lambda: len(connections(staging.db)) <= 3, "the connections to be closed")
    kept = {who for office in (prod, staging) for who in connections(office.db) if who.startswith("test-")}
    assert len(kept) == 1, "the last active worker's connections stay open, for who comes next"
    assert set(connections(prod.db)) - kept == {"indexocr-keeper"}
    assert set(connections(staging.db)) - kept == {"ear", "indexocr-keeper"}
    assert daemon.drain() == 0


def test_a_document_wakes_one_of_many_and_its_claim_one_more(new_office, new_daemon, gemini, page):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=waking(double), workers=20).start()
    wait_until_idle(daemon)
    wait_until_heard(daemon)
    before = sessions(office.db)
    for n in range(3):
        office.add(f"{n}.pdf", "acte", page)
        servers.wait_for(office.idle, "the document")
    wait_until_idle(daemon)
    assert sessions(office.db) - before <= 4, "no herd: a few of twenty have connected"
    assert daemon.drain() == 0


def test_a_burst_wakes_as_many_as_it_has_documents(new_office, new_daemon, gemini, page):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 4000})
    daemon = new_daemon({"prod": office.settings()}, sections=waking(double), workers=8).start()
    wait_until_idle(daemon)
    wait_until_heard(daemon)
    path = office.put("acte", "page.pdf", page)
    office.db.add(6, source="acte", path=path)  # one statement, one notification
    servers.wait_for(lambda: office.count(CLAIMED) == 6, "six workers at once")
    assert daemon.drain() == 0


def test_documents_that_were_ready_before_the_daemon_are_found_at_once(new_office, new_daemon, gemini, page):
    office, double = new_office(), gemini()
    office.db.add(3, source="acte", path=office.put("acte", "page.pdf", page))
    daemon = new_daemon({"prod": office.settings()}, sections=waking(double), workers=2).start()
    servers.wait_for(office.idle, "the documents, without a poll interval of an hour")
    assert daemon.drain() == 0


def test_a_keeper_whose_connection_is_cut_listens_again_and_looks_for_what_it_missed(new_office, new_daemon, gemini, page):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=waking(double), workers=1).start()
    wait_until_heard(daemon)
    path = office.put("acte", "page.pdf", page)
    with office.db.connect() as other:
        other.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'indexocr-keeper' AND datname = %s",
                      [office.db.name])
        other.execute("INSERT INTO extraction_queue (document_source, status_id, supabase_path) VALUES ('acte', 3, %s)", [path])
    servers.wait_for(office.idle, "the document that nobody was told of")
    wait_until_heard(daemon)
    office.db.add(1, source="acte", path=path)
    servers.wait_for(office.idle, "one that the new connection tells of")
    assert daemon.drain() == 0


def test_behind_a_transaction_pooler_polling_alone_serves_and_is_said_once(new_office, new_daemon, gemini, pgbouncer, page):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings(database=pgbouncer.url(office.db.name))}, sections=waking(double, poll_interval=1), workers=3).start()
    servers.wait_for(lambda: daemon.messages("No notifications from prod, polling every 1000 ms"), "the message")
    for n in range(4):
        office.add(f"{n}.pdf", "acte", page)
        servers.wait_for(office.idle, "the document")
    assert environment(daemon)["notifications"] is False
    assert len(daemon.messages("No notifications from prod, polling every 1000 ms", level="warn")) == 1
    assert daemon.drain() == 0


@pytest.mark.parametrize("lost", ["DROP TRIGGER indexocr_notify_insert ON extraction_queue", "ALTER TABLE extraction_queue DISABLE TRIGGER ALL"])
def test_without_triggers_polling_serves_and_is_said_once(new_office, new_daemon, gemini, page, lost):
    office, double = new_office(), gemini()
    office.db.execute(lost)
    daemon = new_daemon({"prod": office.settings()}, sections=waking(double, poll_interval=1), workers=1).start()
    servers.wait_for(lambda: daemon.messages("The queue of prod has no triggers that notify, polling every 1000 ms"), "the message")
    for n in range(3):
        office.add(f"{n}.pdf", "acte", page)
        servers.wait_for(office.idle, "the document")
    assert environment(daemon)["notifications"] is False
    assert len(daemon.messages("The queue of prod has no triggers that notify, polling every 1000 ms")) == 1
    assert daemon.drain() == 0


def test_what_no_notification_tells_is_found_by_polling_all_the_same(new_office, new_daemon, gemini, page):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=waking(double, poll_interval=1), workers=2).start()
    wait_until_heard(daemon)
    office.db.execute("ALTER TABLE extraction_queue DISABLE TRIGGER ALL")
    for n in range(3):
        office.add(f"{n}.pdf", "acte", page)
        servers.wait_for(office.idle, "the document")
    assert daemon.drain() == 0


def test_the_pool_grows_soon_after_a_notification_whatever_the_poll_interval(new_office, new_daemon, gemini, page):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 6000})
    settings = {**waking(double), "": {"scale": "queue", "workers_max": 6}}
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=1).start()
    wait_until_heard(daemon)
    office.db.add(5, source="acte", path=office.put("acte", "page.pdf", page))
    servers.wait_for(lambda: office.count(CLAIMED) == 5, "five workers, long before the first has done", 5)
    assert daemon.drain() == 0


def test_a_retry_is_made_when_its_time_has_come(new_office, new_daemon, gemini, page):
    office, double = new_office(), gemini()
    settings = waking(double, backoff=1)
    settings["engine"]["page_tries"] = 1
    double.fail("500", times=1)
    daemon = new_daemon({"prod": office.settings()}, sections={**settings, "queue": {**settings["queue"], "poll_interval": 2}}, workers=1).start()
    wait_until_heard(daemon)
    id_ = office.add("page.pdf", "acte", page)
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the second attempt")
    assert office.db.row(id_, "ocr_attempts") == 2 and len(calls(double)) == 2
    assert daemon.drain() == 0


def test_after_a_reload_a_hundred_fresh_workers_ask_for_nothing(new_office, new_daemon, gemini, page):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=waking(double), workers=30).start()
    wait_until_heard(daemon)
    pages_id = office.add("page.pdf", "acte", page)
    servers.wait_for(lambda: office.db.row(pages_id, "status_id") == DONE, "the document")
    before = sessions(office.db)
    daemon.configure(daemon.conf.read_text() + "supervise { drain_timeout = 77 }\n")
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: daemon.status()["generation"] == 2, "the reload")
    wait_until_idle(daemon)
    wait_until_heard(daemon)
    assert sessions(office.db) - before <= 4
    assert daemon.drain() == 0


def test_a_claim_whose_start_somebody_changed_is_taken_back_all_the_same(new_office, new_daemon, gemini, page):
    """The keeper looks at claims from a start on, and once a lease at all of them."""
    office, double = new_office(), gemini()
    path = office.put("acte", "page.pdf", page)
    ids = office.db.add(2, source="acte", status=2, path=path, worker_id="gone-1", ocr_claim="gone-1/0123456789abcdef/1/1", ocr_attempts=1,
                        ocr_started_at="2020-01-01", ocr_lease_until="2020-01-01")
    office.db.execute("UPDATE extraction_queue SET ocr_started_at = NULL WHERE id::text = %s", [ids[0]])
    daemon = new_daemon({"prod": office.settings()}, sections=waking(double, lease=2), workers=1).start()
    servers.wait_for(lambda: all(office.db.row(i, "status_id") == DONE for i in ids), "both")
    (later,) = office.db.add(1, source="acte", status=2, path=path, worker_id="gone-1", ocr_claim="gone-1/0123456789abcdef/1/2", ocr_attempts=1,
                             ocr_started_at="2020-01-01", ocr_lease_until="2020-01-01")
    servers.wait_for(lambda: office.db.row(later, "status_id") == DONE, "one that came while the bound stood")
    assert daemon.drain() == 0
