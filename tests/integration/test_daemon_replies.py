"""Replies that get lost after the server has committed: nothing orphaned, nothing written twice, nothing dropped."""

import signal

import pytest

import servers
from test_daemon_life import calls, pages_document, sections

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3

# What stands in each statement and in no other that the daemon sends. A claim may be prepared: then it is its binding that
# is answered by the row.
STATEMENTS = {
    "claim": (b"\0indexocr_claim\0", b"ocr_started_at = now()"),
    "checkpoint": b"jsonb_to_recordset",
    "renew": b"EXISTS (SELECT FROM standing",
    "complete": b"json_object_agg",
    "fail": b"again.allowed",
    "release": b"GREATEST(q.ocr_attempts - 1, 0)",
}


@pytest.fixture
def audited(new_office):
    """An office that notes every change of status: id, from, to, the worker before, the claim after."""
    office = new_office()
    office.db.execute("CREATE TABLE audit (n bigint GENERATED ALWAYS AS IDENTITY, id text, before int, after int, worker text, claim text)")
    office.db.execute("""CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit (id, before, after, worker, claim) VALUES (OLD.id::text, OLD.status_id, NEW.status_id, OLD.worker_id, NEW.ocr_claim); RETURN NEW; END $$""")
    office.db.execute("CREATE TRIGGER note BEFORE UPDATE ON extraction_queue FOR EACH ROW WHEN (OLD.status_id <> NEW.status_id) EXECUTE FUNCTION note()")
    return office


def history(office, id_):
    return [(before, after) for before, after in office.db.execute("SELECT before, after FROM audit WHERE id = %s ORDER BY n", [str(id_)])]


@pytest.mark.parametrize("silent", [False, True])
def test_every_kind_of_statement_survives_the_loss_of_its_reply(audited, proxy, new_daemon, gemini, tmp_path, silent):
    office, double = audited, gemini()
    double.control("delay", {"ms": 300})
    settings = sections(double, lease=6)
    settings["queue"].update(statement_timeout=1, max_attempts=2, backoff=0.1)
    daemon = new_daemon({"prod": {**office.settings(), "database": office.db.postgres.url(office.db.name, port=proxy.port)}}, sections=settings, workers=1).start()
    servers.wait_for(lambda: daemon.processes("idle"), "a worker")

    def cut(statement, document):
        """Cuts its next reply off while this document goes through."""
        proxy.cut(STATEMENTS[statement], silent=silent)
        id_ = document()
        servers.wait_for(lambda: proxy.cuts == 0, f"a {statement} to lose its reply")
        return id_

    def good(n, pages=4):
        return lambda: pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", pages, 20 * n)

    def settled(id_, *status):
        servers.wait_for(lambda: office.db.row(id_, "status_id") in status, f"document {id_}")

    settled(good(8, 1)(), DONE)  # what is prepared, is now
    expected = 1
    for n, statement in enumerate(("claim", "checkpoint", "complete", "renew")):
        pages = 12 if statement == "renew" else 4
        id_ = cut(statement, good(n, pages))
        settled(id_, DONE)
        expected += pages
        assert history(office, id_) == [(READY, CLAIMED), (CLAIMED, DONE)], statement
        assert office.db.row(id_, "ocr_attempts", "ocr_losses") == (1, 0), statement
        assert [p["page"] for p in office.document(id_)["pages"]] == list(range(1, pages + 1)), statement
    assert len(calls(double)) == expected, "no page is read again for a reply that was lost"
    for_good = cut("fail", lambda: office.add("bad.pdf", "acte", content=b"no PDF"))
    settled(for_good, FAILED)
    again = cut("fail", lambda: office.db.add(source="acte", path="nowhere.pdf")[0])
    settled(again, FAILED)
    assert history(office, for_good) == [(READY, CLAIMED), (CLAIMED, FAILED)]
    assert history(office, again) == [(READY, CLAIMED), (CLAIMED, READY), (READY, CLAIMED), (CLAIMED, FAILED)]
    assert office.db.row(again, "ocr_attempts") == 2
    double.control("delay", {"ms": 5000})
    held = good(9)()
    servers.wait_for(lambda: len(calls(double)) > expected, "a document in work")
    proxy.cut(STATEMENTS["release"], silent=silent)
    daemon.process.send_signal(signal.SIGQUIT)
    assert daemon.wait() == 0
    assert proxy.cuts == 0
    assert history(office, held) == [(READY, CLAIMED), (CLAIMED, READY)]
    assert office.db.row(held, "worker_id", "ocr_claim", "ocr_attempts", "ocr_losses") == (None, None, 0, 0)
    assert office.count(CLAIMED) == 0
    assert not daemon.messages("The claim was lost, the result dropped")
