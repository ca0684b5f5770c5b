"""Settling: results, failures and releases, each under the claim it was made for, and nothing under any other."""

import json

import pytest

import servers

ENVELOPE = {"sourceUrl": "x", "createdAt": "2026-01-01T00:00:00Z", "runId": "job-1-a", "totalPages": 0, "totalLines": 0,
            "processingTimeMs": 5, "models": {"extraction": "gemini"},
            "indexocr": {"version": "1", "tokens": None, "attempt": 1, "warnings": []}}


def page(number, lines=1, tokens=None, text=None):
    return {"page": number, "tokens": 7, "result": {
        "page": number, "isCompleted": True, "tokens": tokens or {"input": 10, "output": 2, "thinking": 1, "total": 13},
        "lines": [{"index": n, "rawLine": "é|ç"} for n in range(1, lines + 1)], "text": text or f"page {number}"}}


@pytest.fixture
def settled(database, new_client):
    """A database, a client, a claim."""
    db = database()
    db.add(1)
    client = new_client(db.url)
    return db, client, client.claim()


# ---- the fence -------------------------------------------------------------------------------------------------

WRITES = {
    "checkpoint": lambda client, job: client.checkpoint(job, [page(1)]),
    "complete": lambda client, job: client.complete(job, [page(1)]),
    "fail": lambda client, job: client.fail(job),
    "fail with a retry": lambda client, job: client.fail(job, retry_after_ms=1),
    "release": lambda client, job: client.release(job),
}
SNAPSHOT = "SELECT row_to_json(q)::text, (SELECT count(*) FROM extraction_queue_page) FROM extraction_queue AS q"


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("id_type", ["bigint", "uuid"])
def test_a_stale_token_of_the_same_worker_writes_nothing(database, new_client, write, id_type):
    db = database(id_type=id_type)
    db.add(1)
    client = new_client(db.url)
    stale = client.claim()
    assert client.reclaim(daemon="d1") == 1
    current = client.claim()
    assert stale["id"] == current["id"]
    (other,) = db.add(1)
    before = db.execute(SNAPSHOT + " ORDER BY id")
    assert WRITES[write](client, stale) == 1
    assert WRITES[write](client, {**current, "id": other}) == 1
    assert db.execute(SNAPSHOT + " ORDER BY id") == before
    assert client.renew(stale, current) == [0]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("change", ["worker_id = 'w-2'", "worker_id = NULL", "status_id = 3", "status_id = 4",
                                    "ocr_claim = NULL", "ocr_claim = ocr_claim || '0'"])
def test_each_part_of_the_fence_holds(settled, write, change):
    db, client, job = settled
    db.execute(f"UPDATE extraction_queue SET {change}")
    before = db.execute(SNAPSHOT)
    assert WRITES[write](client, job) == 1
    assert client.renew(job) == [0]
    assert db.execute(SNAPSHOT) == before


@pytest.mark.parametrize("write", WRITES)
def test_an_expired_lease_by_itself_forfeits_nothing(settled, write):
    db, client, job = settled
    db.execute("UPDATE extraction_queue SET ocr_lease_until = '2020-01-01'")
    assert WRITES[write](client, job) == 0


# ---- results ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("content", ["jsonb", "text", "json"])
def test_pages_stored_and_pages_given_make_one_document_in_order(database, new_client, content):
    db = database(content=content)
    (row,) = db.add(1)
    client = new_client(db.url)
    job = client.claim()
    assert client.checkpoint(job, [page(11, lines=3), page(2)]) == 0
    assert client.checkpoint(job, [page(1)]) == 0
    assert client.checkpoint(job, [page(2, lines=2)]) == 0
    assert client.checkpoints(job) == [1, 2, 11]
    assert client.complete(job, [page(3), page(11, lines=4)], envelope=ENVELOPE) == 0
    text, boosted = db.row(row, "file_content::text", "boosted_file_content::text")
    assert text == boosted
    document = json.loads(text)
    assert [p["page"] for p in document["pages"]] == [1, 2, 3, 11]
    assert (document["totalPages"], document["totalLines"]) == (4, 1 + 2 + 1 + 4)
    assert document["indexocr"]["tokens"] == {"input": 40, "output": 8, "thinking": 4, "total": 52}
    assert (document["runId"], document["models"]) == ("job-1-a", {"extraction": "gemini"})
    assert document["pages"][0]["lines"][0]["rawLine"] == "é|ç"
    if content != "jsonb":
        assert list(document) == ["pages"] + list(ENVELOPE)
        assert list(document["indexocr"]) == list(ENVELOPE["indexocr"])
    assert db.one("SELECT count(*) FROM extraction_queue_page") == 0
    assert db.row(row, "status_id", "worker_id", "ocr_claim", "ocr_lease_until", "ocr_completed_at IS NOT NULL") == (
        4, None, job["token"], None, True)


def test_pages_of_another_key_are_not_used_and_do_not_stay(settled):
    db, client, job = settled
    client.checkpoint(job, [page(1), page(2)], key="old prompt")
    assert client.checkpoints(job, key="new prompt") == []
    client.checkpoint(job, [page(1, lines=5)], key="new prompt")
    assert client.checkpoints(job, key="old prompt") == [2]
    assert client.complete(job, key="new prompt") == 0
    assert db.one("SELECT file_content -> 'totalLines', jsonb_array_length(file_content -> 'pages') "
                  "FROM extraction_queue") == (5, 1)
    assert db.one("SELECT count(*) FROM extraction_queue_page") == 0


def test_a_page_that_could_not_be_read_is_read_again_after_a_requeue(settled):
    db, client, job = settled
    unread = {"page": 2, "tokens": 1, "result": {"page": 2, "isCompleted": False, "error": "refused", "lines": []}}
    client.checkpoint(job, [page(1), unread])
    client.fail(job)
    client.requeue(job["id"])
    again = client.claim()
    assert client.checkpoints(again) == [1]
    assert client.checkpoint(again, [page(2, lines=3)]) == 0
    assert client.checkpoints(again) == [1, 2]
    assert client.complete(again) == 0
    assert db.one("SELECT file_content -> 'totalLines', file_content #> '{pages,1,isCompleted}' "
                  "FROM extraction_queue") == (4, True)


def test_pages_read_before_a_crash_count_in_the_next_claim(settled):
    db, client, job = settled
    client.checkpoint(job, [page(1)])
    client.reclaim(prefix="w-1/d1/1/", crashed=True, reason="signal 11")
    client.spawn = 2
    again = client.claim()
    assert client.checkpoints(again) == [1]
    assert client.complete(again, [page(2)]) == 0
    assert db.one("SELECT file_content #>> '{indexocr,tokens,total}', ocr_attempts FROM extraction_queue") == ("26", 2)


@pytest.mark.parametrize("content, expected", [("text", "one\n\fdeux é"), ("jsonb", '"one\\n\\fdeux é"')])
def test_plain_text_is_the_pages_joined_by_form_feeds(database, new_client, content, expected):
    db = database(content=content)
    (row,) = db.add(1)
    client = new_client(db.url, resultText=True)
    job = client.claim()
    client.checkpoint(job, [page(2, text="deux é")])
    assert client.complete(job, [page(1, text="one\n")]) == 0
    assert db.row(row, "file_content::text", "boosted_file_content::text") == (expected, expected)


def test_a_document_without_pages_or_with_odd_ones_is_still_written(settled):
    db, client, job = settled
    odd = [{"page": 1, "result": {"page": 1, "isCompleted": False, "error": "x", "lines": None, "tokens": "many"}},
           {"page": 2, "result": {"tokens": {"input": 1.5e300, "total": -3}, "lines": {}}}]
    assert client.complete(job, odd) == 0
    assert db.one("SELECT file_content -> 'totalLines', jsonb_array_length(file_content -> 'pages') "
                  "FROM extraction_queue") == (0, 2)
    db.add(1)
    assert client.complete(client.claim()) == 0
    assert db.one("SELECT file_content ->> 'pages' FROM extraction_queue WHERE id = 2") == "[]"


def test_a_checkpoint_of_no_pages_says_whether_the_claim_stands(settled):
    _, client, job = settled
    assert client.checkpoint(job, []) == 0
    client.release(job)
    assert client.checkpoint(job, []) == 1


def test_a_document_of_a_thousand_pages_is_written_whole(settled):
    db, client, job = settled
    client.checkpoint(job, [page(n, lines=20) for n in range(1, 1001)])
    assert client.complete(job, envelope=ENVELOPE) == 0
    assert db.one("SELECT file_content -> 'totalPages', file_content -> 'totalLines', "
                  "file_content #> '{pages,999,page}' FROM extraction_queue") == (1000, 20000, 1000)


# ---- failures --------------------------------------------------------------------------------------------------

def test_a_failure_with_attempts_left_waits_for_its_time(settled):
    db, client, job = settled
    assert client.fail(job, "réseau", retry_after_ms=60_000) == 0
    assert db.row(job["id"], "status_id", "worker_id", "ocr_lease_until", "ocr_error", "ocr_completed_at") == (
        3, None, None, "réseau", None)
    assert db.row(job["id"], "ocr_not_before - ocr_last_error_at = interval '60 seconds'")
    assert client.claim() is None
    assert client.depth()["waiting"] == 1


def test_a_failure_without_delay_is_ready_at_once(settled):
    _, client, job = settled
    assert client.fail(job, retry_after_ms=0) == 0
    assert client.claim()["attempt"] == 2


@pytest.mark.parametrize("limit, row_limit", [(2, None), (9, 2)])
def test_the_last_attempt_fails_for_good_and_a_requeue_starts_again(database, new_client, limit, row_limit):
    db = database()
    (row,) = db.add(1, ocr_max_attempts=row_limit)
    client = new_client(db.url, maxAttempts=limit)
    assert client.fail(client.claim(), retry_after_ms=0) == 0
    assert client.fail(client.claim(), "again", retry_after_ms=0) == 0
    assert db.row(row, "status_id", "worker_id", "ocr_error", "ocr_completed_at IS NOT NULL") == (5, None, "again", True)
    db.execute("UPDATE extraction_queue SET status_id = 3, worker_id = NULL")
    assert client.claim()["attempt"] == 1


def test_an_error_text_is_bounded_and_keeps_its_characters(settled):
    db, client, job = settled
    assert client.fail(job, "é" * 100_000) == 0
    assert db.row(job["id"], "status_id", "ocr_error") == (5, "é" * 2000)


@pytest.mark.parametrize("retry_after_ms, status", [(-1, 5), (60_000, 3)])
@pytest.mark.parametrize("refusal", ["constraint", "encoding"])
def test_a_failure_whose_text_is_refused_is_written_with_a_fixed_text(settled, refusal, retry_after_ms, status):
    db, client, job = settled
    if refusal == "constraint":
        db.execute(r"ALTER TABLE extraction_queue ADD CHECK (ocr_error !~ 'page \d')")
    else:
        db.execute("ALTER TABLE extraction_queue ADD CHECK (octet_length(convert_to(ocr_error, 'LATIN1')) > 0)")
    assert client.fail(job, "page 7: \u5931\u6557", retry_after_ms=retry_after_ms) == 0
    assert db.row(job["id"], "status_id", "worker_id", "ocr_error") == (
        status, None, "the error text could not be stored")


def test_a_failure_that_no_text_helps_is_an_error_and_the_claim_stands(settled):
    db, client, job = settled
    db.execute("ALTER TABLE extraction_queue ADD CHECK (ocr_error IS NULL)")
    with pytest.raises(AssertionError) as failure:
        client.fail(job)
    assert failure.value.code == "23514"
    assert client.renew(job) == []


def test_a_release_may_wait_and_say_why(settled):
    db, client, job = settled
    db.execute("UPDATE extraction_queue SET ocr_attempts = 2, ocr_error = 'of before'")
    client.call("release", worker="w-1", id=job["id"], token=job["token"], delayMs=60_000, why="no room")
    assert db.row(job["id"], "status_id", "ocr_attempts", "ocr_error") == (3, 1, "no room")
    assert db.row(job["id"], "ocr_not_before - ocr_last_error_at = interval '60 seconds'")
    assert client.claim() is None


def test_a_release_whose_reason_is_refused_is_done_without(settled):
    db, client, job = settled
    db.execute("ALTER TABLE extraction_queue ADD CHECK (ocr_error IS NULL)")
    client.call("release", worker="w-1", id=job["id"], token=job["token"], why="no room")
    assert db.row(job["id"], "status_id", "ocr_error", "ocr_not_before") == (3, None, None)


def test_a_release_gives_the_attempt_back(settled):
    db, client, job = settled
    assert client.release(job) == 0
    assert db.row(job["id"], "status_id", "worker_id", "ocr_claim", "ocr_lease_until", "ocr_attempts") == (
        3, None, None, None, 0)
    assert client.claim()["attempt"] == 1


# ---- broken connections ----------------------------------------------------------------------------------------

@pytest.fixture
def broken(database, new_client, proxy):
    """A database and a client whose connection goes through the proxy."""
    db = database()
    db.add(3)
    return db, new_client(db.postgres.url(db.name, port=proxy.port), statementTimeoutMs=3000), proxy


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_a_complete_whose_answer_was_lost_is_known_to_be_done(broken, times, silent):
    db, client, proxy = broken
    job = client.claim()
    client.checkpoint(job, [page(1)])
    proxy.cut(b"ocr_completed_at = now()", times=times, silent=silent)
    assert client.complete(job, [page(2)]) == 0
    assert proxy.cuts == 0
    assert db.row(job["id"], "status_id", "file_content -> 'totalPages'") == (4, 2)


@pytest.mark.parametrize("retry_after_ms, status", [(-1, 5), (60_000, 3), (0, 3)])
def test_a_failure_whose_answer_was_lost_is_known_to_be_done(broken, retry_after_ms, status):
    db, client, proxy = broken
    job = client.claim()
    proxy.cut(b"ocr_error = left(")
    assert client.fail(job, retry_after_ms=retry_after_ms) == 0
    assert db.row(job["id"], "status_id", "ocr_attempts") == (status, 1)


@pytest.mark.parametrize("settle, status", [("complete", 4), ("fail", 5), ("fail with a retry", 3)])
def test_settling_again_after_an_earlier_call_lost_its_answer_is_known_to_be_done(broken, settle, status):
    """The first call gives up after all its tries, though one of them was done."""
    db, client, proxy = broken
    job = client.claim()
    proxy.cut(b"ocr_completed_at = ", times=4)
    with pytest.raises(AssertionError) as failure:
        WRITES[settle](client, job)
    assert failure.value.kind == "transient"
    assert db.row(job["id"], "status_id") == status
    assert WRITES[settle](client, job) == 0
    assert db.row(job["id"], "status_id", "ocr_attempts") == (status, 1)


@pytest.mark.parametrize("settle", ["complete", "fail", "fail with a retry"])
def test_settling_twice_over_a_good_connection_is_done_once(settled, settle):
    db, client, job = settled
    assert WRITES[settle](client, job) == 0
    before = db.execute(SNAPSHOT)
    assert WRITES[settle](client, job) == 0
    assert db.execute(SNAPSHOT) == before


def test_a_release_whose_answer_was_lost_counts_once(broken):
    db, client, proxy = broken
    db.execute("UPDATE extraction_queue SET ocr_attempts = 1")
    job = client.claim()
    proxy.cut(b"GREATEST(q.ocr_attempts - 1, 0)")
    assert client.release(job) == 0
    assert db.row(job["id"], "status_id", "ocr_attempts") == (3, 1)


def test_a_checkpoint_whose_answer_was_lost_may_be_sent_again(broken):
    db, client, proxy = broken
    job = client.claim()
    proxy.cut(b"jsonb_to_recordset")
    with pytest.raises(AssertionError) as failure:
        client.checkpoint(job, [page(1), page(2)])
    assert failure.value.kind == "transient" and proxy.cuts == 0
    assert client.checkpoints(job) == [1, 2], "it was done all the same"
    assert client.checkpoint(job, [page(1), page(2), page(3)]) == 0
    assert db.one("SELECT count(*) FROM extraction_queue_page") == 3
    assert client.complete(job) == 0
    assert db.row(job["id"], "file_content -> 'totalPages'") == 3


def test_a_renewal_whose_answer_was_lost_is_one_all_the_same(broken):
    db, client, proxy = broken
    job = client.claim()
    db.execute("UPDATE extraction_queue SET ocr_lease_until = '2020-01-01' WHERE id = %s", [job["id"]])
    proxy.cut(b"FROM standing")
    with pytest.raises(AssertionError) as failure:
        client.renew(job)
    assert failure.value.kind == "transient" and proxy.cuts == 0
    assert db.row(job["id"], "ocr_lease_until > now() + interval '50 seconds'")
    assert client.renew(job) == []


def test_a_claim_whose_answer_was_lost_is_found_by_its_token(broken):
    db, client, proxy = broken
    proxy.cut(b"FOR NO KEY UPDATE SKIP LOCKED")
    job = client.claim()
    assert proxy.cuts == 0
    assert job["attempt"] == 1
    assert db.one("SELECT count(*) FROM extraction_queue WHERE status_id = 2") == 1
    assert client.complete(job) == 0


def test_a_lost_claim_is_known_to_be_lost_though_the_answer_was_lost_too(broken):
    db, client, proxy = broken
    job = client.claim()
    db.execute("UPDATE extraction_queue SET ocr_claim = 'w-9/x/1/1', worker_id = 'w-9' WHERE id = %s", [job["id"]])
    proxy.cut(b"ocr_completed_at = now()")
    assert client.complete(job, [page(1)]) == 1
    assert db.row(job["id"], "status_id", "file_content") == (2, None)


def test_a_statement_that_was_sent_again_waits_for_the_first(database, new_client):
    """The first is held by a row lock past its deadline, and commits after its connection was closed."""
    db = database()
    db.add(1)
    client = new_client(db.url, statementTimeoutMs=1500)
    job = client.claim()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with db.connect() as other:
        with other.transaction():
            other.execute("SELECT 1 FROM extraction_queue WHERE id = %s FOR UPDATE", [job["id"]])
            client.send("complete", worker="w-1", id=job["id"], token=job["token"], key="k", envelope="{}", pages="[]")
            servers.wait_for(lambda: db.one(waiting) >= 2, "two senders to wait for the row")
    assert client.receive()["rc"] == 0
    assert db.row(job["id"], "status_id") == 4


def test_a_server_that_was_restarted_while_we_were_idle_costs_nothing(own_postgres, new_client):
    db = servers.Database(own_postgres)
    client = new_client(db.url)
    client.migrate()
    db.add(1)
    job = client.claim()
    db.connection.close()
    own_postgres.stop()
    own_postgres.start()
    assert client.complete(job) == 0
    assert client.claim() is None


def test_a_server_that_stays_away_is_a_transient_error_and_the_result_can_be_written_later(own_postgres, new_client):
    db = servers.Database(own_postgres)
    client = new_client(db.url)
    client.migrate()
    db.add(1)
    job = client.claim()
    db.connection.close()
    own_postgres.stop()
    with pytest.raises(AssertionError) as failure:
        client.complete(job)
    assert failure.value.kind == "transient"
    own_postgres.start()
    assert client.complete(job) == 0
