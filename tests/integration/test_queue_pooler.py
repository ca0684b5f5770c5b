"""Behind PgBouncer in transaction mode everything works but LISTEN, which is found out."""

import concurrent.futures

import servers


def test_everything_but_listen_works_behind_a_transaction_pooler(database, new_client, pgbouncer):
    db = database()
    db.add(6)
    url = pgbouncer.url(db.name)
    client, other = new_client(url), new_client(url, worker="w-2", daemon="d2")
    with db.connect() as pinned:  # other transactions move us between server connections
        pinned.execute("SELECT 1")
        done, failed, retried, released, crashed, expired = [client.claim() for _ in range(6)]
        assert other.claim() is None
        assert client.renew(done, failed) == []
        assert client.checkpoint(done, [{"page": 1, "result": {"lines": [1]}}]) == 0
        assert other.checkpoints(done) == [1]
        assert client.complete(done, [{"page": 2, "result": {}}]) == 0
        assert client.fail(failed) == 0
        assert client.fail(retried, retry_after_ms=1) == 0
        assert client.release(released) == 0
        assert other.reclaim(ownDaemon="d2") == 0
        assert client.reclaim(prefix=crashed["token"].rsplit("/", 1)[0] + "/", crashed=True, reason="x") == 2
        servers.wait_for(lambda: other.promote()[0] == 1, "the retry's time")
        depth = client.depth()
        assert (depth["ready"], depth["claimed"], depth["failed"]) == (4, 0, 1)
        assert client.call("requeue")["count"] == 1
        assert client.requeue(done["id"]) == ["requeued"]
        row = client.call("add", source="index", path="p")["id"]
        assert client.call("show", id=row)["row"]["path"] == "p"
        assert other.claim(id=row)["id"] == row
        assert client.call("listen")["rc"] == 1
    assert db.one("SELECT count(*) FROM pg_prepared_statements") == 0
    assert expired


def test_two_workers_behind_a_pooler_claim_each_row_once(database, new_client, pgbouncer):
    db = database()
    ids = db.add(100)
    clients = [new_client(pgbouncer.url(db.name), worker=f"w-{n}") for n in range(4)]

    def drain(client):
        taken = []
        while job := client.claim():
            taken.append(job["id"])
            assert client.complete(job) == 0
        return taken

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        taken = sum(pool.map(drain, clients), [])
    assert sorted(taken, key=int) == ids
    assert db.one("SELECT count(*) FROM extraction_queue WHERE status_id = 4") == 100


def test_listen_goes_to_its_own_database_url_beside_a_pooler(database, new_client, pgbouncer):
    db = database()
    client = new_client(pgbouncer.url(db.name), listenDatabase=db.url)
    assert client.call("listen")["rc"] == 0
    db.add(1)
    assert client.call("notified", waitMs=10_000)["rc"] == 1
    assert client.call("prove")["rc"] == 0
    servers.wait_for(lambda: client.call("notified", waitMs=50)["rc"] == 0, "the proof")
    assert client.call("prove")["rc"] == 0


def test_a_claim_prepared_for_a_session_that_is_none_is_made_all_the_same(database, new_client, pgbouncer):
    """The pool mode may be changed while we run."""
    db = database()
    ids = db.add(40)
    clients = [new_client(pgbouncer.url(db.name), worker=f"w-{n}") for n in range(4)]
    with db.connect() as pinned:
        pinned.execute("SELECT 1")
        taken = [clients[n % 4].claim(hears=True)["id"] for n in range(40)]
    assert taken == ids
