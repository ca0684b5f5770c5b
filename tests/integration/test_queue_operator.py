"""What operators do: add, show, requeue."""

import pytest


@pytest.mark.parametrize("id_type", ["bigint", "uuid"])
def test_an_added_row_is_ready(database, new_client, id_type):
    db = database(id_type=id_type)
    client = new_client(db.url)
    row = client.call("add", source="index", documentNumber=None, path="index/a.pdf")["id"]
    assert client.claim()["id"] == row


def test_show_says_why_a_row_is_not_claimed(database, new_client):
    db = database()
    client = new_client(db.url)
    reasons = {}
    for what, columns in {"done": {"status": 4}, "failed": {"status": 5}, "not ours": {"source": "acte"},
                          "waiting": {"ocr_not_before": "2999-01-01"}, "other status": {"status": 1},
                          "foreign": {"status": 2, "worker_id": "older"}, "still has a worker": {"worker_id": "x"},
                          "ready": {}}.items():
        shown = client.call("show", id=db.add(1, **columns)[0])["row"]
        reasons[what] = shown["notClaimedBecause"]
        assert shown["foreign"] == (what == "foreign")
    assert reasons["ready"] is None
    assert len(set(reasons.values())) == len(reasons)
    job = client.claim()
    shown = client.call("show", id=job["id"])["row"]
    assert (shown["claim"], shown["status"], shown["attempts"]) == (job["token"], "claimed", 1)
    assert "being read" in shown["notClaimedBecause"]
    assert 50_000 < shown["leaseMs"] <= 60_000


def test_show_counts_what_comes_before_and_what_is_stored(database, new_client):
    db = database()
    db.add(3)
    client = new_client(db.url)
    job = client.claim()
    rows = [client.call("show", id=id_)["row"] for id_ in ("1", "2", "3")]
    assert [row["before"] for row in rows] == [None, 0, 1]
    for key, pages in (("old", [1]), ("k", [2, 3, 5])):
        client.checkpoint(job, [{"page": n, "tokens": 100 + n, "result": {}} for n in pages], key=key)
    stored = client.call("show", id=job["id"])["row"]["checkpoints"]
    assert (stored["pages"], stored["tokens"], stored["keys"]) == ([1, 2, 3, 5], 411, 2)
    assert stored["oldestAt"] <= stored["newestAt"]
    assert rows[1]["checkpoints"]["pages"] == []


def test_a_row_that_an_open_transaction_has_locked_is_known(database, new_client):
    db = database()
    (row,) = db.add(1)
    client = new_client(db.url)
    assert client.call("locked", id=row)["locked"] is False
    with db.connect() as other, other.transaction():
        other.execute("SELECT 1 FROM extraction_queue WHERE id = %s FOR UPDATE", [row])
        assert client.claim() is None
        assert client.call("locked", id=row)["locked"] is True
    assert client.claim()["id"] == row


def test_show_of_no_row_and_of_no_id(database, new_client):
    client = new_client(database().url)
    assert client.call("show", id="99")["rc"] == 1
    for odd in ("abc", "99999999999999999999999", "1 OR 1=1"):
        with pytest.raises(AssertionError) as failure:
            client.call("show", id=odd)
        assert failure.value.kind == "request"


def test_requeue_starts_from_the_first_attempt(database, new_client):
    db = database()
    failed, waiting, done, other = (db.add(1, status=s, ocr_attempts=3, ocr_losses=2, **c)[0] for s, c in (
        (5, {"ocr_completed_at": "2026-01-01", "ocr_error": "x", "ocr_last_error_at": "2026-01-01"}),
        (3, {"ocr_not_before": "2999-01-01"}), (4, {"ocr_completed_at": "2026-01-01"}), (1, {})))
    client = new_client(db.url)
    assert client.requeue(failed, "12345", waiting, done, other) == ["requeued", "missing", "requeued", "requeued", "other"]
    assert db.row(failed, "status_id", "ocr_attempts", "ocr_losses", "ocr_error", "ocr_completed_at") == (3, 0, 0, None, None)
    assert [client.claim()["attempt"] for _ in range(3)] == [1, 1, 1]
    assert client.claim() is None


def test_a_live_claim_is_refused_unless_stolen(database, new_client):
    db = database()
    db.add(2)
    client = new_client(db.url)
    live, expired = client.claim(), client.claim()
    db.execute("UPDATE extraction_queue SET ocr_lease_until = '2020-01-01' WHERE id = %s", [expired["id"]])
    assert client.requeue(expired["id"], live["id"]) == ["requeued", "claimed"]
    assert client.requeue(live["id"], expired["id"], steal=True) == ["stolen", "requeued"]
    assert client.complete(live) == 1


def test_many_ids_are_requeued_in_batches_and_an_odd_one_is_named(database, new_client):
    db = database()
    ids = db.add(2500, status=5)
    client = new_client(db.url)
    assert client.requeue(*ids) == ["requeued"] * 2500
    with pytest.raises(AssertionError) as failure:
        client.requeue("1", "1x")
    assert failure.value.kind == "request" and '"1x"' in failure.value.text


def test_all_failed_rows_of_our_sources_are_requeued_in_batches(database, new_client):
    db = database()
    db.add(1500, status=5, ocr_error="the bucket is missing", ocr_last_error_at="2026-01-01")
    db.add(700, status=5, ocr_error="encrypted")
    db.add(5, status=5, source="acte", ocr_error="the bucket is missing")
    client = new_client(db.url)
    assert client.call("requeue", reason="bucket")["count"] == 1500
    assert client.call("requeue", reason="100%")["count"] == 0
    assert client.call("requeue")["count"] == 700
    assert client.depth()["ready"] == 2200
    assert db.one("SELECT count(*) FROM extraction_queue WHERE status_id = 5") == 5
