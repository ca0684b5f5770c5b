"""What has been read is paid for: it is kept through outages and refusals, nobody spins meanwhile, and nobody's attempt is spent."""

import re
import socket
import threading
import time

import pytest

import offices
import servers
from test_daemon_life import calls, pages_document, reading, sections

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3


@pytest.fixture
def own_office(own_postgres, new_client):
    """An office on a server that the test may stop."""
    db = servers.Database(own_postgres)
    client = new_client(db.url)
    client.migrate()
    client.close()
    office = offices.Office(db)
    yield office
    office.close()


def stop_database(office):
    office.db.connection.close()
    office.db.postgres.stop()


def start_database(office):
    office.db.postgres.start()
    office.db.connection = office.db.postgres.connect(office.db.name)


def refuse(office, table, when, error):
    """Writes for which `when` holds are refused with this condition until allow()."""
    office.db.execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused by a test' USING ERRCODE = '{error}'; END $$;"
                      f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()")


def allow(office):
    office.db.execute("DROP FUNCTION refuse CASCADE")


def elapse(since, seconds):
    servers.wait_for(lambda: time.monotonic() - since > seconds, f"{seconds} s to pass")


def test_a_database_away_for_longer_than_the_lease_costs_two_busy_hosts_nothing(own_office, new_daemon, gemini, tmp_path):
    lease_s, away_s, pages = 3, 12, 14
    office, double = own_office, gemini()
    double.control("delay", {"ms": 500})
    ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", pages, 50 * n) for n in range(4)]
    hosts = [new_daemon({"prod": office.settings()}, sections=sections(double, lease=lease_s, page_concurrency=2), workers=2, worker_id=name).start()
             for name in ("one", "two")]
    servers.wait_for(lambda: office.count(CLAIMED) == 4 and len(calls(double)) >= 12, "all four in work")
    held = [office.db.row(i, "ocr_claim") for i in ids]
    assert {token.split("-")[0] for token in held} == {"one", "two"}
    stop_database(office)
    stopped = time.monotonic()
    elapse(stopped, lease_s + 1)
    sent = len(calls(double))
    elapse(stopped, away_s)
    assert len(calls(double)) == sent, "no call is made under a lease that has ended"
    start_database(office)
    servers.wait_for(office.idle, "the documents")
    for id_, token in zip(ids, held):
        assert office.db.row(id_, "status_id", "ocr_claim", "ocr_attempts", "ocr_losses") == (DONE, token, 1, 0)
    assert len(calls(double)) == 4 * pages
    assert [host.drain() for host in hosts] == [0, 0]


class Doorman:
    """Stands at a server's port, turns everybody away, and counts."""

    def __init__(self, port):
        self.turned_away = 0
        self.socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.stand, daemon=True).start()

    def stand(self):
        try:
            while True:
                self.socket.accept()[0].close()
                self.turned_away += 1
        except OSError:
            pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def test_a_worker_that_holds_answers_through_an_outage_does_not_hammer_the_database(own_office, new_daemon, gemini, tmp_path):
    office, double = own_office, gemini()
    double.control("delay", {"ms": 800})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=12)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double, page_concurrency=4), workers=1).start()
    reading(daemon, id_)
    servers.wait_for(lambda: len(calls(double)) >= 4, "four calls at once")
    stop_database(office)
    door = Doorman(office.db.postgres.port)
    servers.wait_for(lambda: double.stats()["in_flight"] == 0 and door.turned_away, "the answers to be there, and no database")
    since, before = time.monotonic(), door.turned_away
    elapse(since, 5)
    tries = door.turned_away - before
    print(tries, "tries in 5 s")
    assert tries < 50
    door.close()
    start_database(office)
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0) and len(calls(double)) == 12
    assert daemon.drain() == 0


def test_who_is_interrupted_while_the_result_cannot_be_written_spends_no_attempt(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    refuse(office, "extraction_queue", "NEW.status_id = 4", "57014")
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=2)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    servers.wait_for(lambda: daemon.messages("The result is kept until prod can take it"), "the result to be held")
    daemon.process.send_signal(servers.signal.SIGQUIT)
    assert daemon.wait() == 0
    assert office.db.row(id_, "status_id", "worker_id", "ocr_attempts", "ocr_losses", "ocr_not_before", "ocr_error") == (READY, None, 0, 0, None, None)


def test_pages_of_a_result_that_the_database_refuses_are_not_read_again(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    refuse(office, "extraction_queue", "NEW.status_id = 4", "23514")
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=3)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    error = servers.wait_for(lambda: office.db.row(id_, "ocr_error"), "the refusal")
    assert "refused by a test" in error
    allow(office)
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "status_id") == DONE and len(calls(double)) == 3
    assert [page["page"] for page in office.document(id_)["pages"]] == [1, 2, 3]
    assert daemon.drain() == 0


@pytest.mark.parametrize("table, when", [("extraction_queue_page", "true"), ("extraction_queue", "NEW.status_id = 4")])
def test_a_database_that_refuses_what_is_read_closes_its_environment_alone(new_office, new_daemon, gemini, tmp_path, table, when):
    broken, good, double = new_office(), new_office(), gemini()
    refuse(broken, table, when, "42501")
    held = pages_document(broken, tmp_path / "doc.pdf", pages=2)
    fine = [pages_document(good, tmp_path / "doc.pdf", f"{n}.pdf", 2, 10 + n) for n in range(3)]
    daemon = new_daemon({"prod": broken.settings(), "staging": good.settings()}, sections=sections(double), workers=1).start()
    servers.wait_for(lambda: all(good.db.row(i, "status_id") == DONE for i in fine), "the other environment's documents", 30)
    assert daemon.messages("Claimed job", environment="prod"), "the broken one came first"
    assert broken.db.row(held, "status_id", "ocr_attempts") == (READY, 0)
    assert daemon.drain() == 0


def test_what_a_server_says_at_its_end_is_told_in_our_words_only(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    keepers = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'indexocr-keeper'"
    servers.wait_for(lambda: daemon.status()["environments"][0].get("notifications"), "the keeper to listen")
    before = office.db.execute(keepers, [office.db.name])
    office.db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", [office.db.name])
    servers.wait_for(lambda: not set(before) & set(office.db.execute(keepers, [office.db.name])) and daemon.status()["environments"][0].get("notifications"),
                     "the keeper to listen again")
    assert daemon.drain() == 0
    assert [line for line in daemon.log().splitlines() if not re.match(r"\d\d:\d\d:\d\d ", line)] == []
