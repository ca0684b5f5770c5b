"""Claiming: the oldest ready row of our sources, once, and nothing of anybody else's."""

import concurrent.futures
import random
import uuid

import pytest


@pytest.mark.parametrize("id_type, content", [("bigint", "jsonb"), ("uuid", "text")])
def test_the_oldest_ready_row_comes_first_with_what_a_worker_needs(database, new_client, id_type, content):
    db = database(id_type=id_type, content=content)
    first, second = db.add(2, document_number="L-12", path="bucket/één.pdf")
    client = new_client(db.url, leaseMs=30000)
    job = client.claim()
    assert job["id"] == first
    assert (job["source"], job["documentNumber"], job["path"]) == ("index", "L-12", "bucket/één.pdf")
    assert (job["attempt"], job["maxAttempts"]) == (1, 3)
    assert 3_500_000 < job["waitedMs"] < 3_700_000
    assert 0 < job["validForMs"] <= 30000
    assert db.row(first, "status_id", "worker_id", "ocr_claim") == (2, "w-1", job["token"])
    assert db.row(first, "ocr_lease_until - ocr_started_at = interval '30 seconds'")
    assert client.claim()["id"] == second
    assert client.claim() is None


def test_rows_of_other_sources_states_and_workers_are_untouched(database, new_client):
    db = database()
    db.add(source="acte")
    db.add(status=1)
    db.add(status=4)
    db.add(status=5)
    db.add(worker_id="somebody")
    db.add(ocr_not_before="2999-01-01")
    before = db.execute("SELECT * FROM extraction_queue ORDER BY id")
    client = new_client(db.url)
    assert client.claim() is None
    assert client.reclaim(ownDaemon="d1") == 0
    assert db.execute("SELECT * FROM extraction_queue ORDER BY id") == before


def test_the_oldest_over_all_sources_comes_first(database, new_client):
    db = database()
    random_ = random.Random(7)
    sources = [random_.choice(["index", "acte", "plan", "other"]) for _ in range(40)]
    for n, source in enumerate(sources):
        db.execute("INSERT INTO extraction_queue (document_source, status_id, created_at) "
                   "VALUES (%s, 3, now() + %s * interval '1 second')", [source, n])
    client = new_client(db.url, sources=["plan", "index", "acte"])
    claimed = []
    while job := client.claim():
        claimed.append(job["source"])
    assert claimed == [s for s in sources if s != "other"]


def test_rows_created_in_the_same_microsecond_are_taken_by_id(database, new_client):
    db = database()
    ids = [db.one("INSERT INTO extraction_queue (document_source, status_id, created_at) "
                  "VALUES ('index', 3, '2026-01-01 00:00:00.123456+00') RETURNING id::text") for _ in range(5)]
    client = new_client(db.url)
    assert [client.claim()["id"] for _ in ids] == ids


def test_two_connections_claim_500_rows_exactly_once_each(database, new_client):
    db = database()
    ids = db.add(500)
    clients = [new_client(db.url, worker=f"w-{n}") for n in range(2)]

    def claim_all(client):
        taken = []
        while job := client.claim():
            taken.append(job["id"])
        return taken

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(claim_all, clients))
    assert sorted(taken[0] + taken[1], key=int) == ids
    assert min(len(t) for t in taken) > 0


def test_a_claim_passes_over_a_locked_row_and_never_waits(database, new_client):
    db = database()
    first, second = db.add(2)
    other = db.connect()
    with other.transaction():
        other.execute("SELECT 1 FROM extraction_queue WHERE id = %s FOR UPDATE", [first])
        client = new_client(db.url, statementTimeoutMs=5000)
        assert client.claim()["id"] == second
        assert client.claim() is None
    other.close()


def test_a_lower_bound_that_is_too_high_does_not_hide_older_rows(database, new_client):
    db = database()
    (old,) = db.add(1)
    client = new_client(db.url)
    assert client.claim(createdAfter="2990-01-01T00:00:00.000000Z")["id"] == old


def test_the_published_lower_bound_is_exact_to_the_microsecond(database, new_client):
    db = database()
    db.execute("INSERT INTO extraction_queue (document_source, status_id, created_at) "
               "VALUES ('index', 3, '2026-01-01 00:00:00.123456+00'), ('index', 3, '2026-01-01 00:00:00.123457+00')")
    client = new_client(db.url)
    bound = client.depth()["createdAfter"]
    assert bound == "2026-01-01T00:00:00.123456Z"
    assert client.claim(createdAfter=bound)["id"] == "1"


def test_one_row_can_be_claimed_by_its_id_even_while_it_waits_for_its_time(database, new_client):
    db = database()
    first, second = db.add(2)
    db.execute("UPDATE extraction_queue SET ocr_not_before = '2999-01-01' WHERE id = %s", [second])
    client = new_client(db.url)
    assert client.claim(id=second)["id"] == second
    assert client.claim(id=second) is None
    assert db.row(second, "ocr_not_before") is None
    assert db.row(first, "status_id") == 3


@pytest.mark.parametrize("state, attempts, expected", [
    ("a first try", {}, 1),
    ("a retry", {"ocr_attempts": 2}, 3),
    ("made ready by hand after its last attempt", {"ocr_attempts": 3, "ocr_losses": 4}, 1),
    ("made ready by hand after it was done", {"ocr_attempts": 1, "ocr_completed_at": "2026-01-01"}, 1),
    ("exhausted by the row's own limit", {"ocr_attempts": 1, "ocr_max_attempts": 1}, 1),
    ("allowed more by the row's own limit", {"ocr_attempts": 3, "ocr_max_attempts": 9}, 4),
])
def test_the_attempt_counts_up_and_starts_again_when_a_person_asks(database, new_client, state, attempts, expected):
    db = database()
    (row,) = db.add(1, **attempts)
    job = new_client(db.url).claim()
    assert job["attempt"] == expected, state
    losses, completed = db.row(row, "ocr_losses", "ocr_completed_at")
    assert completed is None
    assert losses == 0


def test_a_manual_update_requeues_a_row_that_is_claimed_done_or_failed(database, new_client):
    db = database()
    client = new_client(db.url)
    for settle in (lambda job: None, client.complete, client.fail):
        (row,) = db.add(1)
        stale = client.claim()
        settle(stale)
        db.execute("UPDATE extraction_queue SET status_id = 3, worker_id = NULL WHERE id = %s", [row])
        again = client.claim()
        assert again["id"] == row
        assert client.complete(stale) == 1
        assert client.complete(again) == 0


def test_tables_and_columns_can_be_renamed(database, new_client):
    db = database(migrate=False, table='"Work Queue"."extraction queue"', schema_sql=(
        'CREATE SCHEMA "Work Queue"; CREATE TABLE "Work Queue"."extraction queue" ("Id" uuid PRIMARY KEY '
        'DEFAULT gen_random_uuid(), nummer varchar(50), "document Source" varchar(20) NOT NULL, pad text, '
        'state smallint NOT NULL, who varchar(99), "re""sult" varchar, boosted json, '
        'made timestamp NOT NULL DEFAULT now())'))
    client = new_client(db.url, table="Work Queue.extraction queue", pagesTable="pages of 'it", idColumn="Id",
                        numberColumn="nummer", sourceColumn="document Source", pathColumn="pad", statusColumn="state",
                        workerColumn="who", contentColumn='re"sult', boostedColumn="boosted", createdColumn="made",
                        statusReady=30, statusClaimed=20, statusDone=40, statusFailed=50)
    client.migrate()
    assert client.migrate() == []
    row = client.call("add", source="index", documentNumber="n", path="p.pdf")["id"]
    uuid.UUID(row)
    job = client.claim()
    assert (job["id"], job["path"], job["documentNumber"]) == (row, "p.pdf", "n")
    assert client.renew(job) == []
    assert client.checkpoint(job, [{"page": 1, "result": {"page": 1, "text": "é"}, "tokens": 1}]) == 0
    assert client.checkpoints(job) == [1]
    assert client.depth()["claimed"] == 1
    assert client.complete(job) == 0
    assert db.one('SELECT state, who, "re""sult"::json -> \'pages\' -> 0 ->> \'text\', boosted ->> \'totalPages\' '
                  'FROM "Work Queue"."extraction queue"') == (40, None, "é", "1")
    assert client.call("show", id=row)["row"]["status"] == "done"
    assert client.requeue(row) == ["requeued"]
    job = client.claim()
    assert client.fail(job) == 0
    assert client.call("requeue")["count"] == 1
    assert client.promote() == (0, -1)
    job = client.claim()
    assert client.reclaim(prefix="w-1/d1/1/", crashed=True, reason="it crashed") == 1
    assert client.reclaim(ownDaemon="d1") == 0


def test_a_database_that_is_not_migrated_says_what_to_run(database, new_client):
    db = database(migrate=False)
    client = new_client(db.url, environment="staging")
    with pytest.raises(AssertionError) as failure:
        client.claim()
    assert failure.value.kind == "config"
    assert "indexocrctl migrate staging" in failure.value.text
    client.migrate()
    assert client.claim() is None


def test_a_table_or_column_that_is_not_there_is_named(database, new_client):
    db = database()
    for configuration, expected in [({"table": "nowhere"}, "nowhere"), ({"pathColumn": "elsewhere"}, "elsewhere")]:
        with pytest.raises(AssertionError) as failure:
            new_client(db.url, **configuration).claim()
        assert failure.value.kind == "config"
        assert expected in failure.value.text


def test_a_result_column_of_another_type_is_refused(database, new_client):
    db = database()
    db.execute("ALTER TABLE extraction_queue ALTER boosted_file_content TYPE bytea USING NULL")
    with pytest.raises(AssertionError) as failure:
        new_client(db.url).claim()
    assert (failure.value.kind, "bytea" in failure.value.text) == ("config", True)


def test_an_id_or_source_with_quotes_and_commas_is_only_data(database, new_client):
    db = database()
    odd = "in{d}e,x\"'\\ \u00e9"
    (row,) = db.add(1, source=odd)
    client = new_client(db.url, sources=["index", odd], worker='w"{},\\')
    job = client.claim()
    assert (job["id"], job["source"]) == (row, odd)
    assert client.renew(job) == []
    assert client.renew({**job, "token": job["token"] + "x"}, job) == [0]




@pytest.mark.parametrize("created", ["infinity", "-infinity", "4000-01-01 BC", "294000-01-01"])
def test_no_creation_time_holds_up_the_queue(database, new_client, created):
    db = database()
    db.execute("INSERT INTO extraction_queue (document_source, status_id, created_at) VALUES ('index', 3, %s)", [created])
    client = new_client(db.url)
    depth = client.depth()
    assert (depth["ready"], depth["createdAfter"]) == (1, "")
    assert client.claim(createdAfter=depth["createdAfter"])["id"] == "1"


def test_extreme_bookkeeping_holds_up_nothing(database, new_client):
    db = database()
    most = 2**31 - 1
    db.add(1, ocr_attempts=most, ocr_max_attempts=most, ocr_losses=most, path="p" * 100_000)
    db.add(1, ocr_not_before="infinity")
    db.add(1, ocr_not_before="-infinity")
    client = new_client(db.url)
    assert client.promote() == (1, -1)
    job = client.claim()
    assert (job["attempt"], len(job["path"])) == (1, 4000)
    db.execute("UPDATE extraction_queue SET ocr_losses = %s", [most])
    assert client.reclaim(daemon="d1") == 1
    assert db.row(job["id"], "status_id") == 5


# ---- on a session that is known to be one: prepared ---------------------------------------------------------------

@pytest.mark.parametrize("sources", [["index"], ["index", "acte"]])
def test_a_prepared_claim_takes_what_any_other_would(database, new_client, sources):
    db = database()
    expected = []
    for _ in range(8):
        for source in sources:
            expected += db.add(1, source=source)
    db.add(1, source="plan")
    db.execute("UPDATE extraction_queue SET created_at = now() - interval '1 day' + id * interval '1 second'")
    client = new_client(db.url, sources=sources)
    assert [client.claim(hears=n % 3 > 0)["id"] for n in range(len(expected))] == expected
    assert client.claim(hears=True) is None
    assert client.claim(hears=True, createdAfter="2990-01-01T00:00:00.000000Z") is None


def test_a_prepared_claim_outlives_its_connection_and_a_change_of_the_table(database, new_client):
    db = database()
    expected = db.add(4)
    client = new_client(db.url)
    taken = [client.claim(hears=True)["id"]]
    db.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'queue_driver' AND datname = current_database()")
    taken.append(client.claim(hears=True)["id"])
    db.execute("ALTER TABLE extraction_queue ADD COLUMN of_others text")
    taken.append(client.claim(hears=True)["id"])
    db.execute("ALTER TABLE extraction_queue ALTER COLUMN document_number TYPE varchar(80)")
    taken.append(client.claim(hears=True)["id"])
    assert taken == expected
