"""Faults around the daemon: nobody's attempt is spent, nobody spins, everything comes back by itself."""

import signal
import socket
import subprocess

import offices
import servers
from test_daemon_life import calls, pages_document, reading, sections
from offices import KEY

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3


def test_a_refused_key_pauses_claiming_instead_of_spinning(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=1)
    settings = sections(double)
    settings["gemini"]["api_key"] = KEY + "-wrong"
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=2).start()
    servers.wait_for(lambda: len(daemon.processes("paused")) == 2, "both workers to pause")
    servers.wait_for(lambda: office.db.row(id_, "status_id", "worker_id", "ocr_attempts") == (READY, None, 0), "the claim to be given back")
    assert daemon.status()["totals"]["claims_made"] == 2, "one try each, then a pause"
    assert daemon.drain() == 0


def test_a_missing_bucket_closes_its_environment_alone_and_is_noticed_when_it_is_there(new_office, new_daemon, gemini, tmp_path):
    broken, good, double = new_office(), new_office(), gemini()
    held = pages_document(broken, tmp_path / "doc.pdf", pages=1)
    (broken.directory / "actes").rename(broken.directory / "elsewhere")
    fine = pages_document(good, tmp_path / "doc.pdf", pages=1, first=7)
    settings = sections(double)
    daemon = new_daemon({"prod": broken.settings(), "staging": good.settings()}, sections=settings, workers=1).start()
    servers.wait_for(lambda: good.db.row(fine, "status_id") == DONE, "the other environment's document")
    assert broken.db.row(held, "status_id", "ocr_attempts") == (READY, 0)
    assert daemon.status()["totals"]["claims_made"] <= 3
    (broken.directory / "elsewhere").rename(broken.directory / "actes")
    servers.wait_for(lambda: broken.db.row(held, "status_id") == DONE, "the document, once the pause is over", 120)
    assert daemon.drain() == 0


def test_a_database_that_restarts_costs_no_attempt_and_no_page(own_postgres, new_client, new_daemon, gemini, tmp_path):
    db = servers.Database(own_postgres)
    client = new_client(db.url)
    client.migrate()
    client.close()
    office, double = offices.Office(db), gemini()
    double.control("delay", {"ms": 300})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=20)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    reading(daemon, id_)
    for n in (3, 8):
        servers.wait_for(lambda least=n: len(calls(double)) >= least, f"{n} pages")
        db.connection.close()
        own_postgres.stop()
        own_postgres.start()
        db.connection = own_postgres.connect(db.name)
    servers.wait_for(office.idle, "the document")
    assert db.row(id_, "status_id", "ocr_attempts", "ocr_losses") == (DONE, 1, 0)
    assert len(calls(double)) == 20
    assert daemon.drain() == 0
    office.close()


def test_an_environment_added_by_a_reload_is_tended_while_old_work_goes_on(new_office, new_daemon, gemini, tmp_path):
    old, new, double = new_office(), new_office(), gemini()
    double.control("delay", {"ms": 1000})
    long = pages_document(old, tmp_path / "doc.pdf", pages=14)
    daemon = new_daemon({"prod": old.settings()}, sections=sections(double, lease=3), workers=2).start()
    reading(daemon, long)
    daemon.environments = {"prod": old.settings(), "staging": new.settings()}
    daemon.configure()
    assert daemon.ctl("reload").returncode == 0
    short = pages_document(new, tmp_path / "doc.pdf", pages=6, first=50)
    servers.wait_for(lambda: new.db.row(short, "status_id") == DONE, "the new environment's document, longer than its lease")
    assert old.db.row(long, "status_id") == CLAIMED, "the old work was still going on"
    servers.wait_for(lambda: old.db.row(long, "status_id") == DONE, "the old work")
    for office, id_ in ((old, long), (new, short)):
        assert office.db.row(id_, "ocr_attempts", "ocr_losses") == (1, 0)
    assert daemon.drain() == 0


def test_an_environment_removed_by_a_reload_is_served_until_its_last_claim_has_ended(new_office, new_daemon, gemini, tmp_path):
    leaving, staying, double = new_office(), new_office(), gemini()
    double.control("delay", {"ms": 800})
    id_ = pages_document(leaving, tmp_path / "doc.pdf", pages=10)
    daemon = new_daemon({"prod": leaving.settings(), "dev": staying.settings()}, sections=sections(double, lease=3), workers=1).start()
    reading(daemon, id_)
    daemon.environments = {"dev": staying.settings()}
    daemon.configure()
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: leaving.db.row(id_, "status_id") == DONE, "its document")
    assert leaving.db.row(id_, "ocr_attempts", "ocr_losses") == (1, 0)
    servers.wait_for(lambda: [e["name"] for e in daemon.status()["environments"]] == ["dev"], "the environment to be let go")
    assert daemon.drain() == 0


def test_keys_that_need_a_restart_are_named_and_kept_by_a_reload(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    daemon.configure(daemon.text().replace('run/pid"', 'run/other-pid"'))
    assert daemon.ctl("reload").returncode == 0
    assert daemon.messages("Changed, but only a restart takes it over: pid_file")
    assert daemon.drain() == 0
    assert [p.name for p in (daemon.directory / "run").iterdir()] == ["pid.lock"]


def test_a_second_drain_command_interrupts_nothing(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 800})
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=4)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    reading(daemon, id_)
    assert daemon.ctl("drain").returncode == 0 and daemon.ctl("drain").returncode == 0
    assert daemon.ctl("scale", "3").returncode == 69, "what stops takes no more orders"
    assert daemon.wait() == 0
    assert office.db.row(id_, "status_id") == DONE


def test_a_start_in_the_background_says_whether_it_was_refused(new_office, new_daemon, gemini):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    answer = servers.run([daemon.programs / "indexocrd", "-d", "-c", daemon.conf], cwd=daemon.directory, **daemon.identity())
    assert answer.returncode == 73 and f"pid {daemon.process.pid}" in answer.stderr
    assert daemon.drain() == 0
    answer = servers.run([daemon.programs / "indexocrd", "-d", "-c", daemon.conf], cwd=daemon.directory, **daemon.identity())
    assert answer.returncode == 0, answer.stderr
    pid = int((daemon.directory / "run" / "pid").read_text())
    servers.wait_for(daemon.answers, "the daemon in the background to answer")
    assert daemon.ctl("drain").returncode == 0
    servers.wait_for(lambda: not (daemon.directory / "run" / "pid").exists(), f"the daemon {pid} to end")


def test_a_single_file_that_somebody_waits_for_is_interrupted_by_one_signal(programs, gemini, tmp_path, new_daemon, new_office):
    double = gemini()
    double.control("delay", {"ms": 20000})
    daemon = new_daemon({"prod": new_office().settings()}, sections=sections(double))
    pdf = offices.pdf_of([offices.page_image(1)], daemon.directory / "one.pdf")
    pdf.chmod(0o644)
    process = subprocess.Popen([programs / "indexocrctl", "-c", daemon.conf, "read", pdf], cwd=daemon.directory, stderr=subprocess.PIPE, **daemon.identity())
    servers.wait_for(lambda: calls(double), "the call")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.stderr.close()


def test_a_database_that_swallows_everything_does_not_hold_up_the_others(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        hole = {"database": f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none", "storage": f"directory:{office.directory}"}
        daemon = new_daemon({"prod": office.settings(), "staging": hole}, sections=sections(double), workers=2).start()
        servers.wait_for(lambda: [e["name"] for e in daemon.status()["environments"] if e["database"] == "down"] == ["staging"], "staging to be shown as down")
        before = office.db.one("SELECT clock_timestamp()")
        ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 1, n) for n in range(4)]
        servers.wait_for(lambda: all(office.db.row(i, "status_id") == DONE for i in ids), "prod's documents")
        print("done after", office.db.one("SELECT max(ocr_completed_at) FROM extraction_queue") - before)
        assert daemon.drain() == 0


def test_a_long_delay_told_to_one_pauses_the_fleet(new_office, new_daemon, gemini, redis, tmp_path):
    office, double = new_office(), gemini()
    double.fail("429", times=-1, retry_delay="400s")
    ids = [pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 1, n) for n in range(3)]
    settings = {**sections(double), "redis": {"url": f"redis://127.0.0.1:{redis.port}"}}
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=1).start()
    servers.wait_for(lambda: "gemini:limit:pause" in servers.run(["redis-cli", "-p", redis.port, "KEYS", "*"]).stdout, "the pause in Redis")
    servers.wait_for(lambda: office.count(READY) == 3, "the claim to be given back")
    other = new_daemon({"prod": office.settings()}, sections=settings, workers=1, worker_id="other").start()
    servers.wait_for(lambda: [p for p in other.processes() if p.get("document") or p["state"] == "paused"], "the other host to have a document")
    assert len(calls(double)) == 1, "one call, and nobody of the fleet makes a second"
    assert [office.db.row(i, "ocr_attempts") for i in ids].count(0) >= 2
    other.process.send_signal(signal.SIGQUIT)
    assert other.wait() == 0 and daemon.drain() == 0
