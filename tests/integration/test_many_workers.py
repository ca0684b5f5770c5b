"""A pool of many: everybody is there, nobody costs anything while there is nothing to do, and nobody is in another's way."""

import servers
from test_daemon_life import DONE, pages_document, sections

MANY = 100


def connections(office):
    """How many workers are connected to the database of this office."""
    return office.db.one("SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'test-%%'", [office.db.name])


def test_a_hundred_workers_start_idle_without_a_connection_and_take_work_as_it_comes(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=MANY).start()
    servers.wait_for(lambda: len(daemon.processes("idle")) == MANY, "all to be ready")
    assert connections(office) == 0, "the keeper looks for all of them"
    lines = daemon.ctl("status").stdout.splitlines()
    assert sum(line.startswith("test-") for line in lines) == MANY
    ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 1, n) for n in range(8)]
    servers.wait_for(office.idle, "the documents")
    assert all(office.db.row(i, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0) for i in ids)
    assert connections(office) < MANY / 2, "most were not woken, and have not looked"
    assert daemon.drain() == 0


def test_a_reload_replaces_a_hundred_idle_workers_and_none_of_them_asks_the_database(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=MANY).start()
    servers.wait_for(lambda: len(daemon.processes("idle")) == MANY, "all to be ready")
    before = {p["pid"] for p in daemon.processes()}
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: len(daemon.processes("idle")) == MANY and not before & {p["pid"] for p in daemon.processes()}, "a hundred others")
    assert connections(office) == 0
    assert daemon.drain() == 0
