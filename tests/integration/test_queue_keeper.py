"""What the keeper does for a host: leases, taking claims back, promoting, counting."""

import pytest

import servers

STATE = ("status_id", "worker_id", "ocr_claim", "ocr_attempts", "ocr_losses")


# ---- renew -----------------------------------------------------------------------------------------------------

def test_renewing_names_exactly_the_claims_that_are_gone(database, new_client):
    db = database()
    db.add(4)
    client = new_client(db.url, leaseMs=60000)
    jobs = [client.claim() for _ in range(4)]
    db.execute("UPDATE extraction_queue SET ocr_lease_until = '2020-01-01'")
    client.release(jobs[1])
    client.complete(jobs[3])
    assert client.renew(*jobs) == [1, 3]
    assert client.renew() == []
    for job in (jobs[0], jobs[2]):
        assert db.row(job["id"], "ocr_lease_until > now() + interval '50 seconds'")


def test_a_locked_row_does_not_hold_up_the_other_leases(database, new_client):
    db = database()
    db.add(2)
    client = new_client(db.url, statementTimeoutMs=5000)
    jobs = [client.claim() for _ in range(2)]
    db.execute("UPDATE extraction_queue SET ocr_lease_until = '2020-01-01'")
    with db.connect() as other, other.transaction():
        other.execute("SELECT 1 FROM extraction_queue WHERE id = %s FOR UPDATE", [jobs[0]["id"]])
        answer = client.call("renew", leases=jobs)
        assert (answer["lost"], answer["locked"]) == ([], [0])
    assert [db.row(j["id"], "ocr_lease_until > now()") for j in jobs] == [False, True]
    assert client.call("renew", leases=jobs)["locked"] == []
    assert db.row(jobs[0]["id"], "ocr_lease_until > now()")


def test_a_worker_is_told_of_the_leases_that_the_database_renewed_and_of_no_other(database, new_client):
    db = database()
    db.add(3)
    client = new_client(db.url, statementTimeoutMs=5000, leaseMs=60_000)
    jobs = [client.claim() for _ in range(3)]
    client.release(jobs[2])
    with db.connect() as other, other.transaction():
        other.execute("SELECT 1 FROM extraction_queue WHERE id = %s FOR UPDATE", [jobs[0]["id"]])
        answer = client.call("renewSlots", leases=jobs)
    assert answer["lost"] == [False, False, True]
    assert [left >= 60_000 for left in answer["leftMs"]] == [False, True, False]
    assert answer["leftMs"][0] == 0


def test_renewals_stay_hot(database, new_client):
    db = database()
    db.add(10)
    client = new_client(db.url)
    jobs = [client.claim() for _ in range(10)]
    # Statistics of this backend are sent before it idles; read them on another.
    before = db.one("SELECT pg_stat_get_xact_tuples_updated('extraction_queue'::regclass), "
                    "n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'extraction_queue'")
    for _ in range(32):
        assert client.renew(*jobs) == []
    client.call("close")  # the server process ends and reports

    def counted():
        upd, hot = db.one("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'extraction_queue'")
        return (upd, hot) if upd >= before[1] + 320 else None
    upd, hot = servers.wait_for(counted, "the statistics")
    assert hot - before[2] >= 0.9 * 320


# ---- reclaim ---------------------------------------------------------------------------------------------------

def test_a_crash_is_an_attempt_and_the_last_one_fails_the_row(database, new_client):
    db = database()
    (row,) = db.add(1)
    client = new_client(db.url, maxAttempts=2)
    client.claim()
    assert client.reclaim(prefix="w-1/d1/1/", crashed=True, reason="signal 11 on page 3") == 1
    assert db.row(row, *STATE, "ocr_error") == (3, None, None, 1, 0, "signal 11 on page 3")
    assert client.claim()["attempt"] == 2
    assert client.reclaim(prefix="w-1/d1/1/", crashed=True, reason="signal 6") == 1
    assert db.row(row, *STATE, "ocr_error", "ocr_completed_at IS NOT NULL") == (5, None, None, 2, 0, "signal 6", True)


def test_a_loss_gives_the_attempt_back_and_the_tenth_fails_the_row(database, new_client):
    db = database()
    (row,) = db.add(1)
    client = new_client(db.url)
    for loss in range(1, 11):
        assert client.claim()["attempt"] == 1
        assert client.reclaim(prefix="w-1/d1/1/", crashed=False, reason="killed") == 1
        assert db.row(row, "ocr_losses") == loss
    assert db.row(row, "status_id", "ocr_attempts", "ocr_error") == (5, 0, "lost its worker 10 times, the last time: killed")
    db.execute("UPDATE extraction_queue SET status_id = 3, worker_id = NULL")
    assert client.claim()["attempt"] == 1
    assert db.row(row, "ocr_losses") == 0


def test_only_the_spawn_that_died_is_reclaimed(database, new_client):
    db = database()
    db.add(6)
    held = {}
    for worker, daemon, spawn in [("w-1", "d1", 1), ("w-1", "d1", 11), ("w-11", "d1", 1), ("w_1", "d1", 1), ("w%", "d1", 1),
                                  ("w-1", "d2", 1)]:
        held[worker, daemon, spawn] = new_client(db.url, worker=worker, daemon=daemon, spawn=spawn).claim()
    keeper = new_client(db.url)
    assert keeper.reclaim(prefix="w_1/d1/1/", crashed=False, reason="x") == 1
    assert keeper.reclaim(prefix="w%/d1/1/", crashed=False, reason="x") == 1
    assert keeper.reclaim(prefix="w-1/d1/1/", crashed=False, reason="x") == 1
    assert db.one("SELECT array_agg(ocr_claim ORDER BY ocr_claim COLLATE \"C\") FROM extraction_queue WHERE status_id = 2") == [
        "w-1/d1/11/1", "w-1/d2/1/1", "w-11/d1/1/1"]


def test_the_previous_daemon_of_this_host_loses_all_its_claims_and_no_other_does(database, new_client):
    db = database()
    db.add(3)
    old = [new_client(db.url, worker=f"w-{n}", daemon="old").claim() for n in range(2)]
    other = new_client(db.url, daemon="older").claim()
    assert new_client(db.url, daemon="new").reclaim(daemon="old") == 2
    assert [db.row(j["id"], "status_id", "ocr_losses") for j in old] == [(3, 1), (3, 1)]
    assert db.row(other["id"], "status_id") == 2


def test_leases_that_have_ended_are_reclaimed_from_other_daemons_only(database, new_client):
    db = database()
    db.add(3)
    ours = new_client(db.url, daemon="d1").claim()
    live = new_client(db.url, daemon="d2").claim()
    dead = new_client(db.url, daemon="d3").claim()
    db.execute("UPDATE extraction_queue SET ocr_lease_until = now() - interval '1 ms' WHERE id <> %s", [live["id"]])
    keeper = new_client(db.url, daemon="d1")
    assert keeper.reclaim(ownDaemon="d1") == 1
    assert [db.row(j["id"], "status_id") for j in (ours, live, dead)] == [2, 2, 3]


def test_a_locked_claim_is_left_for_the_next_time(database, new_client):
    db = database()
    db.add(1)
    job = new_client(db.url, daemon="old").claim()
    keeper = new_client(db.url, statementTimeoutMs=5000)
    with db.connect() as other, other.transaction():
        other.execute("SELECT 1 FROM extraction_queue WHERE id = %s FOR UPDATE", [job["id"]])
        assert keeper.reclaim(daemon="old") == 0
    assert keeper.reclaim(daemon="old") == 1


def stored(db):
    return {row[0] for row in db.execute("SELECT DISTINCT queue_id::text FROM extraction_queue_page")}


@pytest.mark.parametrize("id_type", ["bigint", "uuid"])
def test_old_pages_are_deleted_unless_somebody_works_on_the_document(database, new_client, id_type):
    db = database(id_type=id_type)
    client = new_client(db.url, checkpointDays=7)
    rows = {what: db.add(1, status=status)[0] for what, status in (("failed", 5), ("ready", 3), ("young", 5), ("vanished", 5), ("claimed", 2))}
    db.execute("INSERT INTO extraction_queue_page (queue_id, page, key, result, created_at) "
               "SELECT id, n, 'k', '{}', now() - interval '8 days' FROM extraction_queue, generate_series(1, 3) AS n")
    db.execute("UPDATE extraction_queue_page SET created_at = now() - interval '6 days' WHERE queue_id::text = %s OR (queue_id::text = %s AND page = 3)",
               [rows["young"], rows["ready"]])
    db.execute("DELETE FROM extraction_queue WHERE id::text = %s", [rows["vanished"]])
    assert client.call("prune") == {"rc": 0, "count": 8, "behind": ""}
    assert stored(db) == {rows["ready"], rows["young"], rows["claimed"]}
    assert client.call("prune")["count"] == 0
    db.execute("UPDATE extraction_queue SET status_id = 5, worker_id = NULL WHERE id::text = %s", [rows["claimed"]])
    assert client.call("prune")["count"] == 3


def test_a_document_that_is_just_being_claimed_keeps_its_pages_or_has_none(database, new_client):
    """Whoever is first: the claim finds its pages gone before it looks for them, or they stay."""
    db = database()
    (row,) = db.add(1)
    db.execute("INSERT INTO extraction_queue_page VALUES (%s, 1, 'k', '{}', 0, now() - interval '1 year')", [row])
    client, keeper = new_client(db.url), new_client(db.url)
    with db.connect() as claiming:
        with claiming.transaction():
            claiming.execute("UPDATE extraction_queue SET status_id = 2, worker_id = 'w-1'")
            assert keeper.call("prune")["count"] == 0
    assert keeper.call("prune")["count"] == 0
    db.execute("UPDATE extraction_queue SET status_id = 3, worker_id = NULL")
    with db.connect() as pruning:
        with pruning.transaction():
            pruning.execute("SELECT 1 FROM extraction_queue FOR NO KEY UPDATE")
            assert client.claim() is None
    assert keeper.call("prune")["count"] == 1
    assert client.checkpoints(client.claim()) == []


def test_pages_are_pruned_in_batches_from_where_the_last_one_ended(database, new_client):
    db = database()
    db.add(1200, status=5)
    db.execute("INSERT INTO extraction_queue_page SELECT id, n, 'k', '{}', 0, now() - interval '1 year' FROM extraction_queue, generate_series(1, 9) AS n")
    client = new_client(db.url)
    first = client.call("prune")
    assert 5000 <= first["count"] < 5000 + 9 and first["behind"] == "556"
    second = client.call("prune", behind=first["behind"])
    assert second["behind"] == "1112"
    third = client.call("prune", behind=second["behind"])
    assert third["behind"] == "" and first["count"] + second["count"] + third["count"] == 1200 * 9


def test_foreign_claims_are_counted_and_never_touched(database, new_client):
    db = database()
    for worker, token in [("older-worker", None), ("w-1", "w-2/d1/1/1"), ("w-1", "w-1"), ("w-1", "W-1/d1/1/1")]:
        db.add(1, status=2, worker_id=worker, ocr_claim=token, ocr_lease_until="2020-01-01")
    db.add(1, status=2, worker_id="w-1", ocr_claim="w-1/d1/1/1")  # an older worker of that name took a row we had had
    before = db.execute("SELECT * FROM extraction_queue ORDER BY id")
    client = new_client(db.url)
    assert client.depth()["foreign"] == 5
    assert client.depth()["claimed"] == 0
    assert client.reclaim(ownDaemon="another") == 0
    assert client.reclaim(daemon="d1") == 0
    assert client.reclaim(prefix="w-1/d1/1/", crashed=True, reason="x") == 0
    assert client.claims_held() == []
    assert client.requeue("1") == ["foreign"]
    assert db.execute("SELECT * FROM extraction_queue ORDER BY id") == before


def test_foreign_claims_are_adopted_only_where_that_is_asked_for_and_they_did_not_change(database, new_client):
    db = database()
    left, moving, other = (db.add(1, status=2, worker_id="older-worker", source=s)[0] for s in ("index", "index", "acte"))
    db.add(1)
    ours = new_client(db.url).claim()
    never, soon, later = (new_client(db.url, adoptForeignAfterMs=ms) for ms in (0, 1, 3_600_000))
    assert soon.call("adopt")["count"] == 0  # seen for the first time
    db.execute("UPDATE extraction_queue SET document_number = 'still alive' WHERE id = %s", [moving])
    assert never.call("adopt")["count"] == 0
    assert later.call("adopt")["count"] == 0
    assert soon.call("adopt")["count"] == 1
    assert [db.row(i, "status_id") for i in (left, moving, other, ours["id"])] == [3, 2, 2, 2]
    assert later.call("adopt")["count"] == 0
    assert soon.claim()["id"] == left


def test_the_claims_of_a_daemon_can_be_listed(database, new_client):
    db = database()
    db.add(3)
    client = new_client(db.url)
    jobs = [client.claim() for _ in range(2)]
    new_client(db.url, daemon="d2").claim()
    assert client.claims_held() == [(j["id"], j["token"]) for j in jobs]


# ---- promote ---------------------------------------------------------------------------------------------------

def test_rows_whose_time_has_come_become_ready_and_the_next_time_is_told(database, new_client):
    db = database()
    due, later, other = db.add(1)[0], db.add(1)[0], db.add(1, source="acte")[0]
    db.execute("UPDATE extraction_queue SET ocr_not_before = now() - interval '1 s' WHERE id IN (%s, %s)", [due, other])
    db.execute("UPDATE extraction_queue SET ocr_not_before = now() + interval '100 s' WHERE id = %s", [later])
    client = new_client(db.url)
    count, next_ms = client.promote()
    assert count == 1
    assert 90_000 < next_ms <= 100_000
    assert client.claim()["id"] == due
    assert client.claim() is None
    assert db.row(other, "ocr_not_before IS NOT NULL")


def test_nothing_that_waits_is_said_by_minus_one(database, new_client):
    db = database()
    db.add(1)
    assert new_client(db.url).promote() == (0, -1)


def test_many_rows_are_promoted_in_batches_without_a_pause(database, new_client):
    db = database()
    db.add(2500, ocr_not_before="2020-01-01")
    client = new_client(db.url)
    assert [client.promote() for _ in range(4)] == [(1000, 0), (1000, 0), (500, -1), (0, -1)]


def test_a_locked_row_that_is_due_is_not_asked_for_in_a_hurry(database, new_client):
    db = database()
    (row,) = db.add(1, ocr_not_before="2020-01-01")
    client = new_client(db.url, statementTimeoutMs=5000)
    with db.connect() as other, other.transaction():
        other.execute("SELECT 1 FROM extraction_queue WHERE id = %s FOR UPDATE", [row])
        assert client.promote() == (0, 1000)
    assert client.promote() == (1, -1)


# ---- depth -----------------------------------------------------------------------------------------------------

def test_the_depth_counts_our_sources_by_state(database, new_client):
    db = database()
    db.add(5)
    db.add(2, ocr_not_before="2999-01-01")
    db.add(3, status=5)
    db.add(1, status=2, worker_id="older-worker")
    for status in (1, 2, 3, 4, 5):
        db.add(1, source="acte", status=status)
    client = new_client(db.url)
    client.claim()
    depth = client.depth()
    assert {k: depth[k] for k in ("ready", "waiting", "claimed", "foreign", "failed")} == {
        "ready": 4, "waiting": 2, "claimed": 1, "foreign": 1, "failed": 3}
    assert 3_500_000 < depth["oldestReadyMs"] < 3_700_000


def test_an_empty_queue_has_no_oldest_row_and_nothing_new_is_older_than_the_look(database, new_client):
    db = database()
    client = new_client(db.url)
    depth = client.depth()
    assert (depth["ready"], depth["oldestReadyMs"], depth["dueMs"]) == (0, -1, -1)
    assert db.one("SELECT now() - %s::timestamptz BETWEEN '10 seconds' AND '1 minute'", [depth["createdAfter"]])
    (row,) = db.execute("INSERT INTO extraction_queue (document_source, status_id) VALUES ('index', 3) RETURNING id::text")[0]
    assert client.claim(createdAfter=depth["createdAfter"])["id"] == row


@pytest.mark.parametrize("times, due", [
    (["now() + interval '1 hour'", "now() + interval '2 hours'"], (3_500_000, 3_600_000)),
    (["now() - interval '1 hour'", "now() + interval '1 hour'"], (0, 0)),
    (["'infinity'"], (-1, -1)),
    (["'-infinity'"], (0, 0)),
])
def test_the_depth_tells_when_the_first_that_waits_is_due(database, new_client, times, due):
    db = database()
    for time in times:
        db.execute(f"UPDATE extraction_queue SET ocr_not_before = {time} WHERE id::text = %s", db.add(1))
    db.add(1, source="acte", ocr_not_before="2000-01-01")
    assert due[0] <= new_client(db.url).depth()["dueMs"] <= due[1]


def test_counting_stops_past_a_hundred_thousand(database, new_client):
    db = database()
    db.add(100_500)
    assert new_client(db.url).depth()["ready"] == 100_001


# ---- notifications ---------------------------------------------------------------------------------------------

def test_listening_is_proved_and_each_burst_is_told_once(database, new_client):
    db = database()
    client = new_client(db.url)
    assert client.call("listen")["rc"] == 0
    assert client.call("notified")["rc"] == 0
    db.add(3)
    assert client.call("notified", waitMs=10_000)["rc"] == 1
    assert client.call("notified")["rc"] == 0
    for _ in range(3):
        assert client.call("prove")["rc"] == 0
        servers.wait_for(lambda: client.call("notified", waitMs=50)["rc"] == 0, "the proof")
    db.execute("UPDATE extraction_queue SET document_number = 'x'")
    assert client.call("notified", waitMs=200)["rc"] == 0
    db.execute("UPDATE extraction_queue SET status_id = 1")
    db.execute("UPDATE extraction_queue SET status_id = 3")
    assert client.call("notified", waitMs=10_000)["rc"] == 1


@pytest.mark.parametrize("how", ["fail and promote", "release", "requeue by hand"])
def test_whatever_makes_a_row_ready_notifies(database, new_client, how):
    db = database()
    db.add(1)
    client, listener = new_client(db.url), new_client(db.url)
    job = client.claim()
    assert listener.call("listen")["rc"] == 0
    if how == "release":
        client.release(job)
    elif how == "requeue by hand":
        db.execute("UPDATE extraction_queue SET status_id = 3, worker_id = NULL")
    else:
        client.fail(job, retry_after_ms=1)
        assert listener.call("notified", waitMs=100)["rc"] == 0
        servers.wait_for(lambda: client.promote()[0] == 1, "the row's time")
    assert listener.call("notified", waitMs=10_000)["rc"] == 1


def test_a_lost_listener_says_so_and_can_listen_again(database, new_client):
    db = database()
    client = new_client(db.url)
    client.call("listen")
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    with pytest.raises(AssertionError):
        servers.wait_for(lambda: client.call("notified", waitMs=100)["rc"] == 1, "the loss")
    assert client.call("listen")["rc"] == 0
    db.add(1)
    assert client.call("notified", waitMs=10_000)["rc"] == 1


# ---- the lower bound of claims -----------------------------------------------------------------------------------

def test_the_depth_tells_a_start_before_which_no_claim_of_ours_was_made(database, new_client):
    db = database()
    db.add(3)
    db.add(1, source="acte")
    client, other = new_client(db.url), new_client(db.url, sources=["acte"])
    seconds_ago = "SELECT extract(epoch FROM now() - %s::timestamptz)"
    assert 15 <= db.one(seconds_ago, [client.depth()["claimsAfter"]]) < 60
    jobs = [client.claim(), client.claim(), other.claim()]
    for age, job in zip(("1 minute", "2 hours", "3 hours"), jobs):
        db.execute("UPDATE extraction_queue SET ocr_started_at = now() - %s::interval WHERE id::text = %s", [age, job["id"]])
    assert 10_800 <= db.one(seconds_ago, [client.depth()["claimsAfter"]]) < 11_000, "also of a source that is not asked for"
    db.execute("UPDATE extraction_queue SET ocr_lease_until = NULL WHERE id::text = %s", [jobs[2]["id"]])
    assert 7_200 <= db.one(seconds_ago, [client.depth()["claimsAfter"]]) < 7_300, "another program's claim does not count"


@pytest.mark.parametrize("how", [{"prefix": "w-1/d1/1/", "crashed": True, "reason": "x"}, {"prefix": "w-1/d1/1/", "crashed": False, "reason": "x"},
                                 {"daemon": "d1"}, {"ownDaemon": "d2"}])
def test_a_reclaim_with_a_bound_finds_what_was_started_later_and_what_has_no_start(database, new_client, how):
    db = database()
    db.add(3)
    client = new_client(db.url)
    old, new, unknown = (client.claim()["id"] for _ in range(3))
    db.execute("UPDATE extraction_queue SET ocr_lease_until = '2020-01-01'")
    db.execute("UPDATE extraction_queue SET ocr_started_at = '2020-01-01' WHERE id::text = %s", [old])
    db.execute("UPDATE extraction_queue SET ocr_started_at = NULL WHERE id::text = %s", [unknown])
    assert client.reclaim(claimsAfter="2026-01-01T00:00:00.000000Z", **how) == 2
    assert [db.row(i, "status_id") for i in (old, new, unknown)] == [2, 3, 3]
    assert client.reclaim(**how) == 1
