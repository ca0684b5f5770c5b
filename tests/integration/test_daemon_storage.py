"""Storage that fails, is slow or lies: no document pays for an outage, and no other environment waits for it."""

import offices
import servers
from offices import KEY, STORAGE_KEY
from test_daemon_life import calls, pages_document, sections

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3


def supabase(office, store):
    return {"database": office.db.url, "supabase_url": store.url, "service_key": STORAGE_KEY}


def failures(daemon):
    return daemon.status()["environments"][0].get("storageFailures", 0)


def test_a_passing_fault_of_storage_costs_at_most_an_attempt(new_office, new_daemon, storage, gemini, tmp_path):
    office, double = new_office(), gemini()
    store = storage(office)
    ids = {}
    for n, mode in enumerate(("503", "cut", "cut_before", "garbage", "slow")):
        store.fail(mode, match={"path": f"{mode}.pdf"}, **({"step": 4096, "pause_ms": 20} if mode == "slow" else {}))
        ids[mode] = pages_document(office, tmp_path / "doc.pdf", f"{mode}.pdf", 1, n)
    daemon = new_daemon({"prod": supabase(office, store)}, sections=sections(double), workers=2).start()
    servers.wait_for(lambda: all(office.db.row(i, "status_id") == DONE for i in ids.values()), "all documents")
    attempts = {mode: office.db.row(i, "ocr_attempts") for mode, i in ids.items()}
    print("attempts:", attempts)
    assert attempts["slow"] == 1 and max(attempts.values()) <= 2
    assert len(calls(double)) == len(ids), "nothing was read that was not there"
    assert daemon.drain() == 0


def test_an_outage_of_storage_spends_no_attempts_and_holds_up_nobody_else(new_office, new_daemon, storage, gemini, tmp_path):
    office, other, double = new_office(), new_office(), gemini()
    store = storage(office)
    store.fail("503", times=-1)
    ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 1, n) for n in range(6)]
    settings = sections(double)
    settings["queue"]["max_attempts"] = 2
    daemon = new_daemon({"prod": supabase(office, store), "staging": other.settings()}, sections=settings, workers=2).start()
    servers.wait_for(lambda: failures(daemon) >= 3, "the outage to be known")
    theirs = [pages_document(other, tmp_path / "doc.pdf", f"{n}.pdf", 1, 100 + n) for n in range(4)]
    servers.wait_for(lambda: all(other.db.row(i, "status_id") == DONE for i in theirs), "the other environment's documents")
    assert office.count(FAILED, DONE) == 0
    assert office.db.one("SELECT sum(ocr_attempts) FROM extraction_queue") <= 2, "of those who met it first, and of nobody since"
    assert any("the storage of prod does not work" in warning for warning in daemon.status()["warnings"])
    waiting = office.db.execute("SELECT ocr_error FROM extraction_queue WHERE ocr_not_before IS NOT NULL")
    assert waiting and all("HTTP 503" in error for error, in waiting)
    asked = len(store.requests())
    store.reset()
    servers.wait_for(lambda: all(office.db.row(i, "status_id") == DONE for i in ids), "all documents, once storage is back", 120)
    assert asked <= 12, "one process asked now and then"
    assert failures(daemon) == 0 and not any("storage" in warning for warning in daemon.status()["warnings"])
    assert daemon.drain() == 0


def test_no_secret_of_a_path_or_of_a_server_s_answer_is_told(new_office, new_daemon, storage, gemini):
    office, double = new_office(), gemini()
    store = storage(office)
    token = "eyJhbGciOiJIUzI1NiJ9.this-signature-opens-the-document"
    store.fail("echo_key", times=-1, match={"path": "echo.pdf"})
    office.put("acte", "html.pdf", content=b"<html>" + token.encode())
    paths = [f"{store.url}/storage/v1/object/sign/actes/{name}.pdf?token={token}" for name in ("echo", "nowhere", "html")]
    ids = [office.db.add(source="acte", path=path)[0] for path in paths]
    settings = sections(double)
    settings["queue"].update(max_attempts=1, backoff=0.1)
    daemon = new_daemon({"prod": supabase(office, store)}, sections=settings, workers=1).start()
    servers.wait_for(lambda: office.count(FAILED) == 3, "all to fail")
    errors = [office.db.row(i, "ocr_error") for i in ids]
    print(errors)
    said = "\n".join(errors) + daemon.everything_said() + str(daemon.status())
    assert daemon.drain() == 0
    assert all(0 < len(error) <= 512 and "\n" not in error for error in errors)
    for secret in (token, token.split(".")[1], STORAGE_KEY, KEY):
        assert secret not in said
