"""The migration of a live table: writers and a long reader on it, an index build cut off in its middle, and once more for nothing."""

import statistics
import threading
import time

import queue_client
import servers

WRITERS = 3
INDEXES = ["extraction_queue_ocr_claim", "extraction_queue_ocr_claimed", "extraction_queue_ocr_failed", "extraction_queue_ocr_promote"]
GOOD = """SELECT array_agg(c.relname ORDER BY c.relname) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
          WHERE i.indrelid = 'extraction_queue'::regclass AND i.indisvalid AND i.indisready AND c.relname LIKE '%%\\_ocr\\_%%'"""
BUILDING = "SELECT pid FROM pg_stat_progress_create_index WHERE relid = 'extraction_queue'::regclass AND index_relid <> 0"
WAITING = """SELECT max(extract(epoch FROM clock_timestamp() - l.waitstart)) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
             WHERE NOT l.granted AND a.application_name = 'writer' AND l.relation = 'extraction_queue'::regclass"""


class Traffic:
    """Writers that never pause, one reader after the other that holds its snapshot for hold_s, and somebody who looks at their waits."""

    def __init__(self, db, rows, hold_s):
        self.db, self.rows, self.hold_s = db, rows, hold_s
        self.stop = threading.Event()
        self.took_ms, self.longest_wait_s, self.failures, self.readers = [], 0.0, [], 0
        jobs = [*((self.write, n) for n in range(WRITERS)), (self.read,), (self.watch,)]
        self.threads = [threading.Thread(target=self.run, args=job) for job in jobs]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        servers.wait_for(lambda: len(self.took_ms) > 50 and self.readers, "the writers and the reader")
        return self

    def __exit__(self, *_error):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def run(self, job, *arguments):
        try:
            with self.db.connect() as connection:
                job(connection, *arguments)
        except Exception as failure:  # of a thread: the run fails with it
            self.failures.append(failure)

    def write(self, connection, n):
        connection.execute("SET application_name = 'writer'")
        while not self.stop.is_set():
            n = (n * 7919 + 1) % self.rows
            for sql in (f"UPDATE extraction_queue SET document_number = 'w' WHERE id = {n + 1}",
                        "INSERT INTO extraction_queue (document_source, status_id) VALUES ('index', 1)"):
                began = time.perf_counter()
                connection.execute(sql)
                self.took_ms.append(1000 * (time.perf_counter() - began))

    def read(self, connection):
        while not self.stop.is_set():
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                connection.execute("SELECT count(*) FROM extraction_queue WHERE id < 1000")
                self.readers += 1
                self.stop.wait(self.hold_s)
            self.stop.wait(0.5)

    def watch(self, connection):
        while not self.stop.is_set():
            waited = connection.execute(WAITING).fetchone()[0]
            self.longest_wait_s = max(self.longest_wait_s, float(waited or 0))
            time.sleep(0.01)


def interrupted(db, builddir):
    """Kills the server process in the middle of an index build. True = the build left an index behind that is no good."""
    client = queue_client.QueueClient(builddir, db.url)
    client.send("migrate")
    (pid,) = servers.wait_for(lambda: db.execute(BUILDING), "an index build", 600)[0]
    db.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])
    try:
        client.receive()
        raise AssertionError("the migration went on without its connection")
    except queue_client.QueueError as failure:
        assert failure.kind == "transient", failure
    client.close()
    return db.one(GOOD) != INDEXES


def migrated(db, builddir):
    """The statements it took, and the seconds."""
    began = time.perf_counter()
    client = queue_client.QueueClient(builddir, db.url)
    statements = client.migrate()
    client.close()
    return statements, time.perf_counter() - began


def under_traffic(table, builddir, hold_s):
    """Findings, and how long the longest writer waited for a lock, in ms; prints what it saw."""
    db, findings = table.db, []
    with Traffic(db, table.rows, hold_s) as traffic:
        if not interrupted(db, builddir):
            findings.append("the build that was cut off left nothing to be mended")
        statements, first_s = migrated(db, builddir)
        if not statements[0].startswith("DROP INDEX CONCURRENTLY"):
            findings.append(f"the index that was left behind was not dropped first: {statements[0]}")
        again, again_s = migrated(db, builddir)
        readers = traffic.readers
    if traffic.failures:
        raise traffic.failures[0]
    if db.one(GOOD) != INDEXES:
        findings.append(f"indexes after the migration: {db.one(GOOD)}")
    if again:
        findings.append(f"the second migration had something to do: {again}")
    took = traffic.took_ms
    print(f"migration under {WRITERS} writers and {readers} readers of {hold_s} s: cut off, mended in {first_s:.1f} s, repeated in {again_s:.2f} s\n"
          f"  {len(took)} writes, p99 {statistics.quantiles(took, n=100)[98]:.1f} ms, longest {max(took):.0f} ms; "
          f"longest wait for a lock {1000 * traffic.longest_wait_s:.0f} ms (lock timeout 200 ms)")
    return findings, 1000 * traffic.longest_wait_s
