"""The world of a run: two PostgreSQL servers with three queues, a pooler, Redis, the doubles, and a wire from each host to each database."""

import contextlib
import pathlib
import shutil
import tempfile
import threading
import time

import psycopg

import launch
import offices
import servers
import wire
from schedule import ENVIRONMENTS, HOSTS, SERVERS

SERVICE_KEY = "sb_secret_that_must_not_be_seen"
ROLE = "indexocr"       # no superuser, so that a connection limit holds for it
PATIENCE_S = 90         # of the harness itself, with a database that a fault holds down
AUDIT = """
CREATE TABLE chaos_row (n bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp(), id bigint, old_status int, status int,
    old_worker text, worker text, old_claim text, claim text, attempts int, losses int, error text, content bool);
CREATE TABLE chaos_page (n bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp(), id bigint, page int, claim text);
CREATE FUNCTION chaos_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO chaos_row (id, old_status, status, old_worker, worker, old_claim, claim, attempts, losses, error, content)
    VALUES (NEW.id, OLD.status_id, NEW.status_id, OLD.worker_id, NEW.worker_id, OLD.ocr_claim, NEW.ocr_claim, NEW.ocr_attempts, NEW.ocr_losses, NEW.ocr_error,
        NEW.file_content IS DISTINCT FROM OLD.file_content OR NEW.boosted_file_content IS DISTINCT FROM OLD.boosted_file_content);
    RETURN NULL; END $$;
CREATE FUNCTION chaos_page() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO chaos_page (id, page, claim) VALUES (NEW.queue_id, NEW.page, (SELECT ocr_claim FROM extraction_queue WHERE id = NEW.queue_id));
    RETURN NULL; END $$;
CREATE TRIGGER chaos_row AFTER UPDATE ON extraction_queue FOR EACH ROW
    WHEN (OLD.status_id IS DISTINCT FROM NEW.status_id OR OLD.file_content IS DISTINCT FROM NEW.file_content
        OR OLD.boosted_file_content IS DISTINCT FROM NEW.boosted_file_content) EXECUTE FUNCTION chaos_row();
CREATE TRIGGER chaos_page AFTER INSERT OR UPDATE ON extraction_queue_page FOR EACH ROW EXECUTE FUNCTION chaos_page();
"""
GRANTS = f"""
DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
GRANT SELECT, INSERT, UPDATE ON extraction_queue TO {ROLE};
"""


class Desk:
    """The harness' own way to one queue: straight to the server, a connection for each statement, patient, writing where nobody else may."""

    def __init__(self, postgres, name):
        self.postgres, self.name = postgres, name
        self.database = postgres.new_database()

    def url(self, user="postgres"):
        return self.postgres.url(self.database, user)

    def run(self, sql, params=None, patience_s=PATIENCE_S):
        """Rows of the statement, [] where it has none. A statement that may have been done already is done again: write it so."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                with psycopg.connect(self.url(), autocommit=True, connect_timeout=5,
                                     options="-c default_transaction_read_only=off -c statement_timeout=30s") as connection:
                    cursor = connection.execute(sql, params)
                    return cursor.fetchall() if cursor.description else []
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def add(self, number, source, path, max_attempts):
        """The row of document `number`, once, whatever becomes of connections: its id."""
        self.run("INSERT INTO extraction_queue (document_number, document_source, supabase_path, status_id, ocr_max_attempts) SELECT %s, %s, %s, 3, %s "
                 "WHERE NOT EXISTS (SELECT FROM extraction_queue WHERE document_number = %s)", [str(number), source, path, max_attempts, str(number)])
        return self.run("SELECT id FROM extraction_queue WHERE document_number = %s", [str(number)])[0][0]

    def unsettled(self, patience_s=PATIENCE_S):
        return self.run("SELECT count(*) FROM extraction_queue WHERE status_id IN (2, 3)", patience_s=patience_s)[0][0]


class Stage:
    def __init__(self, programs):
        self.programs = programs
        self.closing = contextlib.ExitStack()
        self.lock = threading.Lock()
        try:
            self.set_up()
        except BaseException:
            self.closing.close()
            raise

    def keep(self, thing):
        self.closing.callback(thing.close)
        return thing

    def set_up(self):
        self.postgres = {name: self.keep(servers.Postgres()) for name in SERVERS}
        self.redis = self.keep(servers.Redis())
        self.pooler = self.keep(servers.PgBouncer(self.postgres["two"]))
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="indexocr-chaos-docs-"))
        self.closing.callback(shutil.rmtree, self.root, ignore_errors=True)
        for bucket in offices.BUCKETS.values():
            for kind in ("good", "poison"):
                (self.root / bucket / kind).mkdir(parents=True)
        self.storage = self.keep(launch.Double("storage", "--root", self.root, "--key", SERVICE_KEY))
        self.engines = {host: self.keep(launch.Double("../chaos/engine", "--key", offices.KEY, "--least-ms", 300, "--most-ms", 2000)) for host in HOSTS}
        self.desks = {name: Desk(self.postgres[server], name) for server, names in SERVERS.items() for name in names}
        for desk in self.desks.values():
            self.make_queue(desk)
        loop = self.keep(wire.Loop())
        self.wires = {(host, name): self.keep(wire.Wire(loop, self.upstream(name))) for host in HOSTS for name in ENVIRONMENTS}

    def make_queue(self, desk):
        desk.run(servers.QUEUE_TABLE.format(table="extraction_queue", id_column=servers.ID_COLUMNS["bigint"], content="jsonb"))
        desk.run(GRANTS)
        conf = self.root / "migrate.conf"
        conf.write_text(f'environment {desk.name} {{ storage = "directory:{self.root}" database = "{desk.url()}" }}\nengine {{ use = "tesseract" }}\n')
        conf.chmod(0o600)
        servers.run_quietly([self.programs / "indexocrctl", "-c", conf, "migrate", desk.name])
        desk.run(AUDIT)

    def upstream(self, name):
        return self.pooler.port if name == "dev" else self.desks[name].postgres.port

    def environments(self, host):
        """As a daemon's configuration has them."""
        return {name: {"database": f"postgresql://{ROLE}@127.0.0.1:{self.wires[host, name].port}/{self.desks[name].database}",
                       "supabase_url": self.storage.url, "service_key": SERVICE_KEY} for name in ENVIRONMENTS}

    def put(self, paper):
        """The document into storage, then its row: the id."""
        content = paper.content()
        if content is not None:
            (self.root / offices.BUCKETS[paper.source] / paper.name).write_bytes(content)
        for order in paper.engine_orders():
            for engine in self.engines.values():
                engine.control("fail", order)
        path = None if paper.poison and paper.poison.no_path else paper.name
        return self.desks[paper.environment].add(paper.number, paper.source, path, 2 if paper.kind else None)

    def close(self):
        self.closing.close()
