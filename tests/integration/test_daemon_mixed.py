"""Beside the older worker on the same table: it selects, then updates without looking, has no lease, and writes its result wherever it stands."""

import json
import os
import signal
import threading

import servers
from test_daemon_life import pages_document, sections

DONE, CLAIMED, READY = 4, 2, 3
LEASE_S = 2
OLDER = "index-ocr-older-1"
AUDIT = """
CREATE TABLE audit (id bigint, who text, old_status int, old_worker text, status int, worker text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit VALUES (OLD.id, current_setting('application_name'), OLD.status_id, OLD.worker_id, NEW.status_id, NEW.worker_id); RETURN NULL; END $$;
CREATE TRIGGER note AFTER UPDATE ON extraction_queue FOR EACH ROW WHEN (OLD.status_id IS DISTINCT FROM NEW.status_id OR OLD.worker_id IS DISTINCT FROM NEW.worker_id)
    EXECUTE FUNCTION note();
"""


class OlderWorker:
    """One document after the other; each takes it longer than two leases of ours."""

    def __init__(self, office, works_s=2.5 * LEASE_S):
        self.db, self.works_s, self.over, self.taken = office.db.connect(), works_s, threading.Event(), []
        self.db.execute("SET application_name = 'older'")
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        while not self.over.is_set():
            row = self.db.execute("SELECT id FROM extraction_queue WHERE status_id = 3 AND worker_id IS NULL ORDER BY created_at LIMIT 1").fetchone()
            if not row:
                self.over.wait(0.1)
                continue
            self.db.execute("UPDATE extraction_queue SET status_id = 2, worker_id = %s WHERE id = %s", [OLDER, row[0]])
            self.taken.append(row[0])
            self.over.wait(self.works_s)
            self.db.execute("UPDATE extraction_queue SET status_id = 4, worker_id = NULL, file_content = %s WHERE id = %s", [json.dumps({"older": True}), row[0]])

    def close(self):
        self.over.set()
        self.thread.join()
        self.db.close()


def test_what_the_older_worker_has_claimed_is_left_alone_through_kills_and_restarts(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    office.db.execute(AUDIT)
    double.control("delay", {"ms": 300})
    for n in range(24):
        pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 3, 10 * n)
    older = OlderWorker(office)
    try:
        servers.wait_for(lambda: older.taken, "the older worker to have a document")
        daemon = new_daemon({"prod": office.settings()}, sections=sections(double, lease=LEASE_S), workers=2).start()
        servers.wait_for(lambda: daemon.status()["environments"][0]["foreign"] == 1, "its claim to be shown as foreign")
        other = new_daemon({"prod": office.settings()}, sections=sections(double, lease=LEASE_S), workers=1, worker_id="other").start()
        servers.wait_for(lambda: office.count(DONE) >= 4, "some documents")
        for pid in [daemon.process.pid, *daemon.children()]:
            os.kill(pid, signal.SIGKILL)
        daemon.process.wait()
        again = new_daemon({"prod": office.settings()}, sections=sections(double, lease=LEASE_S), workers=2, host_directory=daemon.directory).start()
        servers.wait_for(lambda: office.idle() and len(older.taken) >= 2, "all documents")
    finally:
        older.close()
    assert office.count(DONE) == 24
    touched = office.db.execute("SELECT * FROM audit WHERE old_status = 2 AND old_worker = %s AND who <> 'older'", [OLDER])
    assert touched == [], "its claim was taken from it"
    for id_ in older.taken:
        assert office.document(id_) == {"older": True}, "its result was written over"
    assert again.drain() == 0 and other.drain() == 0
