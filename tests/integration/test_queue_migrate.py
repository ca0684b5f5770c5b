"""The migration: on a live table, repeatable, and only what is missing."""

import threading

import psycopg
import pytest

import servers

INDEXES = ["extraction_queue_ocr_claim", "extraction_queue_ocr_claimed", "extraction_queue_ocr_failed",
           "extraction_queue_ocr_promote"]
VALID = "SELECT array_agg(c.relname ORDER BY c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid " \
        "WHERE i.indisvalid AND c.relname LIKE 'extraction_queue_ocr_%'"


def test_it_adds_what_is_missing_once(database, new_client):
    db = database(migrate=False)
    client = new_client(db.url)
    printed = client.migrate(printOnly=True)
    assert db.one(VALID) is None
    assert client.migrate() == printed
    assert db.one(VALID) == INDEXES
    assert db.one("SELECT reloptions FROM pg_class WHERE relname = 'extraction_queue'")[0] == "fillfactor=80"
    assert db.one("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'indexocr%'") == 2
    assert client.migrate() == []
    assert client.migrate(printOnly=True) == []


@pytest.mark.parametrize("lost", [
    "ALTER TABLE extraction_queue DROP COLUMN ocr_losses, DROP COLUMN ocr_max_attempts",
    "DROP TABLE extraction_queue_page",
    "ALTER TABLE extraction_queue_page DISABLE ROW LEVEL SECURITY",
    "DROP INDEX extraction_queue_ocr_promote",
    "DROP TRIGGER indexocr_notify_update ON extraction_queue",
    "ALTER TABLE extraction_queue RESET (autovacuum_vacuum_threshold)",
])
def test_what_was_lost_later_is_added_again_and_nothing_else(database, new_client, lost):
    db = database()
    db.execute(lost)
    client = new_client(db.url)
    assert len(client.migrate()) in (1, 3)  # a table of pages comes with its security
    assert client.migrate() == []
    assert client.claim() is None


def test_what_the_owner_has_set_himself_stays(database, new_client):
    db = database(migrate=False)
    db.execute("ALTER TABLE extraction_queue SET (fillfactor = 50)")
    new_client(db.url).migrate()
    assert "fillfactor=50" in db.one("SELECT reloptions FROM pg_class WHERE relname = 'extraction_queue'")


def test_triggers_can_be_left_out(database, new_client):
    db = database(migrate=False)
    client = new_client(db.url)
    client.migrate(notify=False)
    assert db.one("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'indexocr%'") == 0
    assert client.migrate(notify=False) == []
    assert len(client.migrate()) == 3


def test_an_invalid_index_is_dropped_and_built_again(database, new_client):
    db = database()
    db.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'extraction_queue_ocr_claim'::regclass")
    statements = new_client(db.url).migrate()
    assert [s.split(" extraction_queue_ocr_claim")[0].split(" public.")[0] for s in statements] == [
        "DROP INDEX CONCURRENTLY", "CREATE INDEX CONCURRENTLY"]
    assert db.one(VALID) == INDEXES


def test_an_index_that_a_failed_build_left_behind_is_built_again(database, new_client):
    db = database()
    db.add(1)
    db.execute("DROP INDEX extraction_queue_ocr_claim")
    client = new_client(db.url)
    building = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' " \
               "AND wait_event_type = 'Lock' AND datname = current_database()"
    with db.connect() as other, other.transaction():
        other.execute("UPDATE extraction_queue SET document_number = 'held'")
        client.send("migrate")
        pid = servers.wait_for(lambda: db.execute(building), "the build to wait for that transaction")[0][0]
        db.execute("SELECT pg_terminate_backend(%s)", [pid])
        with pytest.raises(AssertionError) as failure:
            client.receive()
        assert failure.value.kind == "transient"
    assert INDEXES[0] not in db.one(VALID)
    assert [s.split()[0] for s in client.migrate()] == ["DROP", "CREATE"]
    assert db.one(VALID) == INDEXES


def test_an_index_for_other_status_numbers_is_replaced(database, new_client):
    db = database()
    assert len(new_client(db.url, statusReady=7).migrate(notify=False)) == 4
    assert "status_id = 7" in db.one("SELECT pg_get_indexdef('extraction_queue_ocr_claim'::regclass)")


@pytest.mark.parametrize("name, columns, where", [
    ("failed", "ocr_last_error_at, id", "status_id = 5"),
    ("promote", "ocr_not_before", "status_id = 3 AND ocr_not_before IS NOT NULL"),
])
def test_an_index_of_an_older_definition_is_replaced(database, new_client, name, columns, where):
    db = database()
    index = f"extraction_queue_ocr_{name}"
    db.execute(f"DROP INDEX {index}")
    db.execute(f"CREATE INDEX {index} ON extraction_queue ({columns}) WHERE {where}")
    client = new_client(db.url)
    assert [s.split()[0] for s in client.migrate()] == ["DROP", "CREATE"]
    assert f"(document_source, {columns})" in db.one("SELECT pg_get_indexdef(%s::regclass)", [index])
    assert client.migrate() == []


def test_writers_go_on_while_it_runs(database, new_client):
    """Each writer's transactions stay short of the lock timeouts' sum, none fails, and the migration gets through."""
    db = database(migrate=False)
    db.add(2000)
    stop = threading.Event()
    written = []

    def write(n):
        with db.connect() as c:
            while not stop.is_set():
                with c.transaction():
                    c.execute("UPDATE extraction_queue SET document_number = 'w' WHERE id = %s", [n + 1])
                    c.execute("INSERT INTO extraction_queue (document_source, status_id) VALUES ('index', 1)")
                written.append(n)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    servers.wait_for(lambda: len(written) > 30, "the writers")
    try:
        client = new_client(db.url)
        client.migrate()
        assert client.migrate() == []
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert db.one(VALID) == INDEXES


def test_a_lock_that_it_cannot_have_at_once_stops_nobody_behind_it(database, new_client):
    db = database(migrate=False)
    db.add(1)
    client = new_client(db.url)
    with db.connect() as other, db.connect() as reader:
        with other.transaction():
            other.execute("SELECT count(*) FROM extraction_queue")
            client.send("migrate")
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'extraction_queue'::regclass"
            servers.wait_for(lambda: db.one(waiting), "the migration to ask for its lock")
            reader.execute("SET statement_timeout = '5s'")
            for _ in range(20):
                reader.execute("SELECT count(*) FROM extraction_queue")
        assert len(client.receive()["statements"]) > 5


def test_the_table_of_pages_is_closed_to_the_public_and_open_to_those_of_the_queue(database, new_client, postgres):
    db = database(migrate=False)
    roles = {r: f"{r}_{db.name}" for r in ("writer", "reader")}
    public = ("anon", "authenticated")
    for role in roles.values():
        db.execute(f"CREATE ROLE {role} LOGIN")
    for role in public:
        db.execute(f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    try:
        db.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon, authenticated, PUBLIC")
        db.execute(f"GRANT SELECT, INSERT, UPDATE ON extraction_queue TO {roles['writer']}, anon")
        db.execute(f"GRANT SELECT ON extraction_queue TO {roles['reader']}, PUBLIC")
        new_client(db.url).migrate()
        assert new_client(db.url).migrate() == []
        db.add(1)
        worker = new_client(postgres.url(db.name, roles["writer"]))
        job = worker.claim()
        assert worker.checkpoint(job, [{"page": 1, "result": {}}]) == 0
        assert worker.checkpoints(job) == [1]
        assert worker.complete(job) == 0
        with db.connect(roles["reader"]) as reader:
            assert reader.execute("SELECT count(*) FROM extraction_queue_page").fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("DELETE FROM extraction_queue_page")
        for role in public:
            with db.connect(role) as outsider, pytest.raises(psycopg.errors.InsufficientPrivilege):
                outsider.execute("SELECT * FROM extraction_queue_page")
    finally:
        for role in (*roles.values(), *public):
            db.execute(f"DROP OWNED BY {role}")
        for role in roles.values():
            db.execute(f"DROP ROLE {role}")


def test_a_role_that_does_not_own_the_table_is_told_what_to_do(database, new_client, postgres):
    db = database(migrate=False)
    role = f"guest_{db.name}"
    db.execute(f"CREATE ROLE {role} LOGIN")
    try:
        with pytest.raises(AssertionError) as failure:
            new_client(postgres.url(db.name, role)).migrate()
        assert failure.value.kind == "config"
        assert "--database" in failure.value.text
    finally:
        db.execute(f"DROP ROLE {role}")


def test_a_second_migration_at_the_same_time_is_refused(database, new_client):
    db = database(migrate=False)
    with db.connect() as other:
        other.execute("SELECT pg_advisory_lock(hashtext('indexocr migrate'))")
        with pytest.raises(AssertionError) as failure:
            new_client(db.url).migrate()
    assert (failure.value.kind, failure.value.code) == ("transient", "busy")


def test_a_name_too_long_for_its_indexes_is_refused(database, new_client):
    name = "q" * 60
    db = database(migrate=False, table=name)
    with pytest.raises(AssertionError) as failure:
        new_client(db.url, table=name).migrate()
    assert failure.value.kind == "config"


@pytest.mark.parametrize("mode, refused", [("transaction", True), ("session", False)])
def test_transaction_poolers_are_refused_and_session_poolers_are_not(database, new_client, postgres, mode, refused):
    db = database(migrate=False)
    pooler = servers.PgBouncer(postgres, mode)
    try:
        client = new_client(pooler.url(db.name))
        if not refused:
            client.migrate()
            assert db.one(VALID) == INDEXES
            return
        with pytest.raises(AssertionError) as failure:
            client.migrate()
        assert (failure.value.kind, failure.value.code) == ("config", "pooler")
        assert "--database" in failure.value.text
        assert db.one(VALID) is None
    finally:
        pooler.close()
