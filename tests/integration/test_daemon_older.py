"""Beside the older worker, which knows neither leases nor fences, on the same table: what is its stays its."""

import threading

import psycopg
import pytest

import servers
from test_daemon_life import pages_document, sections

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3


class OlderWorker(threading.Thread):
    """SELECT, then UPDATE: what it does in between, it does not see. It writes its result over whatever stands there."""

    def __init__(self, url, name, hold_s):
        super().__init__(daemon=True)
        self.connection = psycopg.connect(url, autocommit=True)
        self.worker, self.hold_s = name, hold_s
        self.ending = threading.Event()
        self.done = []

    def run(self):
        while not self.ending.is_set():
            row = self.connection.execute("SELECT id FROM extraction_queue WHERE status_id = 3 AND worker_id IS NULL AND document_source = 'acte' "
                                          "ORDER BY created_at LIMIT 1").fetchone()
            if not row:
                self.ending.wait(0.05)
                continue
            self.ending.wait(0.003)
            self.connection.execute("UPDATE extraction_queue SET status_id = 2, worker_id = %s WHERE id = %s", [self.worker, row[0]])
            self.ending.wait(self.hold_s)
            self.connection.execute("UPDATE extraction_queue SET status_id = 4, worker_id = NULL, file_content = %s WHERE id = %s",
                                    [psycopg.types.json.Jsonb({"by": self.worker}), row[0]])
            self.done.append(str(row[0]))

    def close(self):
        self.ending.set()
        self.join(30)
        self.connection.close()


@pytest.fixture
def older(new_office):
    """An office where two older workers are at it, and that notes who had a row and who has it now."""
    office = new_office()
    office.db.execute("CREATE TABLE audit (n bigint GENERATED ALWAYS AS IDENTITY, id text, before int, after int, had text, has text, written text)")
    office.db.execute("""CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit (id, before, after, had, has, written) VALUES (OLD.id::text, OLD.status_id, NEW.status_id, OLD.worker_id, NEW.worker_id,
            CASE WHEN NEW.file_content IS DISTINCT FROM OLD.file_content THEN COALESCE(NEW.file_content ->> 'by', 'us') END);
        RETURN NEW; END $$""")
    office.db.execute("CREATE TRIGGER note BEFORE UPDATE ON extraction_queue FOR EACH ROW EXECUTE FUNCTION note()")
    workers = [OlderWorker(office.db.url, f"older-{n}", 0.15) for n in (1, 2)]
    yield office, workers
    for worker in workers:
        worker.close()


def test_both_work_on_one_table_and_neither_loses_a_document(older, new_daemon, gemini, tmp_path):
    office, workers = older
    double = gemini()
    double.control("delay", {"ms": 30})
    abandoned, = office.db.add(source="acte", status=CLAIMED, worker_id="older-9", path="gone.pdf")
    before = office.db.row(abandoned, "to_jsonb(extraction_queue)::text")
    ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 1, n) for n in range(60)]
    settings = sections(double, lease=1)
    settings["supervise"]["keeper_timeout"] = 0.2
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=2).start()
    servers.wait_for(lambda: daemon.processes(), "workers")
    for worker in workers:
        worker.start()
    servers.wait_for(lambda: all(office.db.row(i, "status_id") == DONE for i in ids), "all documents")
    servers.wait_for(lambda: daemon.status()["environments"][0]["foreign"] == 1, "what an older worker left behind to be counted")
    assert daemon.drain() == 0
    theirs = [i for worker in workers for i in worker.done]
    ours = {i for i, in office.db.execute("SELECT DISTINCT id FROM audit WHERE written = 'us'")}
    print(f"{len(ours)} read by us, {len(theirs)} by the older workers, {len(ours & set(theirs))} by both")
    assert ours and theirs and ours | set(theirs) == set(ids)
    assert office.db.execute("SELECT * FROM audit WHERE had LIKE 'older%%' AND has LIKE 'test%%'") == [], "a live claim of theirs is never taken"
    assert office.db.execute("SELECT * FROM audit WHERE had LIKE 'older%%' AND written = 'us'") == [], "nor a result written over it"
    assert office.db.execute("SELECT * FROM audit WHERE had LIKE 'older%%' AND after = 3") == [], "nor reclaimed"
    for id_ in set(theirs):
        written = [by for by, in office.db.execute("SELECT written FROM audit WHERE id = %s AND written IS NOT NULL ORDER BY n", [id_])]
        assert written.count("us") <= 1 and written[-1].startswith("older"), (id_, written)
    assert office.db.row(abandoned, "to_jsonb(extraction_queue)::text") == before
