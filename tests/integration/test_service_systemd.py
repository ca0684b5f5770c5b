"""The systemd units: sound, closed enough, and run by a real systemd, with a daemon that still does its work."""

import re
import shutil

import pytest

import offices
import servers
import systemd_host
from offices import KEY
from systemd_host import unit_text

CLAIMED, DONE = 2, 4
EXPOSURE = 15  # tenths


# ---- the files

@pytest.fixture
def units(programs, tmp_path):
    """Both, with programs that are there."""
    (tmp_path / "indexocrd.service").write_text(unit_text(programs.directory, programs.directory, "/etc/indexocr.conf", "indexocr"))
    (tmp_path / "indexocrd@.service").write_text(unit_text(programs.directory, programs.directory, "/etc/indexocr/%i.conf", "indexocr/%i", ": %i"))
    return tmp_path


@pytest.mark.parametrize("name", ["indexocrd.service", "indexocrd@test.service"])
def test_systemd_finds_no_fault_in_a_unit(units, name):
    if "@" in name:
        shutil.copy(units / "indexocrd@.service", units / name)
    answer = servers.run(["systemd-analyze", "verify", "--man=no", units / name])
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


@pytest.mark.parametrize("name", ["indexocrd.service", "indexocrd@.service"])
def test_a_unit_is_closed_as_far_as_the_daemon_allows(units, name):
    answer = servers.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", units / name])
    print(answer.stdout)
    assert answer.returncode == 0, answer.stdout.splitlines()[-1]


def test_make_sets_the_paths_it_was_configured_with(builddir):
    for name, conf in (("indexocrd.service", r"/\S+/indexocr\.conf"), ("indexocrd@.service", r"/\S+/indexocr/%i\.conf")):
        made = (builddir / "packaging" / "systemd" / name).read_text()
        assert not re.search(r"@[A-Za-z_]+@", made)
        assert re.search(rf"^ExecStart=/\S+/indexocrd -c {conf}$", made, re.M)
    script = (builddir / "packaging" / "sysvinit" / "indexocrd").read_text()
    assert not re.search(r"@[A-Za-z_]+@", script) and re.search(r"^DAEMON=/\S+/indexocrd$", script, re.M)


def test_the_account_is_made_by_sysusers(tmp_path):
    (tmp_path / "etc").mkdir()
    answer = servers.run(["systemd-sysusers", f"--root={tmp_path}", systemd_host.PACKAGING / "indexocr.sysusers"])
    assert answer.returncode == 0, answer.stderr
    assert re.search(r"^indexocr:x:\d+:\d+:OCR queue worker:/var/lib/indexocr:/usr/sbin/nologin$", (tmp_path / "etc" / "passwd").read_text(), re.M)


# ---- the service

@pytest.fixture
def host(programs):
    if not systemd_host.possible():
        pytest.skip("a systemd of the test's own needs root and namespaces")
    made = systemd_host.Host(programs)
    yield made
    made.close()


def text(office, double, engine="gemini", workers=2, run="/run/indexocr", log="/var/log/indexocr", supervise=""):
    """A configuration as inside of the host."""
    url = double.url.replace("127.0.0.1", "localhost")
    return f"""workers = {workers}
environment_file = ""
render_helper = "/srv/indexocr-render"
tesseract_helper = "/srv/indexocr-tesseract"
pid_file = "{run}/indexocrd.pid"
environment prod {{ database = "{office.db.url}" storage = "directory:/srv/documents" }}
queue {{ sources = {{"acte"}} poll_interval = 1 }}
engine {{ use = "{engine}" page_concurrency = 1 prompt_directory = "/srv/prompts" }}
gemini {{ api_key = "{KEY}" base_url = "{url}" }}
supervise {{ {supervise} }}
status {{ socket = "{run}/control.sock" listen = "" }}
log {{ directory = "{log}" }}
"""


@pytest.fixture
def office(new_office):
    return new_office()


@pytest.fixture
def double(gemini):
    return gemini()


def add_document(host, office, path, pages):
    """Its row comes last: who looks for it finds the file."""
    name = office.put("acte", "doc.pdf", offices.pdf_of([offices.page_image(n) for n in range(pages)], path))
    shutil.copytree(office.directory, host.directory / "documents", dirs_exist_ok=True)
    return office.db.add(source="acte", path=name)[0]


def wait_until_done(office, id_):
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document")


@pytest.mark.parametrize("engine", ["gemini", "tesseract"])
def test_a_document_is_read_under_all_restrictions(host, office, double, tmp_path, engine):
    host.configure(text(office, double, engine))
    host.boot()
    host.start("indexocrd")
    wait_until_done(office, add_document(host, office, tmp_path / "doc.pdf", 2))
    pid = host.show("MainPID")
    state = dict(re.findall(r"^(\w+):\s*(.*)$", host.shell(f"cat /proc/{pid}/status"), re.M))
    assert (state["NoNewPrivs"], state["Seccomp"], int(state["CapBnd"], 16)) == ("1", "2", 0)
    assert state["Uid"].split()[0] == "970"
    assert host.shell("stat -c '%U %a' /run/indexocr /var/log/indexocr").split() == ["indexocr", "755", "indexocr", "750"]
    assert host.systemctl("stop", "indexocrd").returncode == 0
    assert (host.show("Result"), host.show("ExecMainStatus")) == ("success", "0")
    assert host.shell("ls /run/indexocr").split() == ["indexocrd.pid.lock"]


def test_a_key_of_root_s_own_is_handed_over_as_a_credential(host, office, double, tmp_path):
    (host.directory / "key").write_text(KEY)
    (host.directory / "key").chmod(0o600)
    host.configure(text(office, double).replace(f'api_key = "{KEY}"', 'api_key_file = "/run/credentials/indexocrd.service/gemini-api-key"'))
    host.drop_in("indexocrd.service", "key", "LoadCredential=gemini-api-key:/srv/key\n")
    host.boot()
    host.start("indexocrd")
    wait_until_done(office, add_document(host, office, tmp_path / "doc.pdf", 1))


def test_systemctl_reload_tells_what_came_of_it(host, office, double):
    good = text(office, double)
    host.configure(good)
    host.boot()
    host.start("indexocrd")
    assert host.show("StatusText").startswith("2 workers; prod ")
    host.configure(good.replace("workers = 2", "workers = 3"))
    assert host.systemctl("reload", "indexocrd").returncode == 0
    servers.wait_for(lambda: host.show("StatusText").startswith("3 workers"), "the third worker")
    host.configure(good + "workers = many\n")
    where = f"/srv/indexocr.conf:{len(good.splitlines()) + 1}: "
    assert host.systemctl("reload", "indexocrd").returncode != 0
    assert host.show("StatusText").startswith(f"reload refused: {where}")
    assert where in host.stderr()
    assert (host.show("ActiveState"), host.show("NRestarts")) == ("active", "0")
    assert host.status()["generation"] == 2
    assert KEY not in host.systemctl("status", "indexocrd").stdout


def test_a_stop_waits_for_the_drain_however_short_its_own_timeout(host, office, double, tmp_path):
    double.control("delay", {"ms": 3000})
    host.configure(text(office, double, workers=1))
    host.drop_in("indexocrd.service", "stop", "TimeoutStopSec=3\n")
    host.boot()
    host.start("indexocrd")
    id_ = add_document(host, office, tmp_path / "doc.pdf", 4)
    servers.wait_for(lambda: office.db.row(id_, "status_id") == CLAIMED, "the claim")
    assert host.systemctl("stop", "indexocrd").returncode == 0
    assert office.db.row(id_, "status_id") == DONE
    assert host.show("Result") == "success"


def test_a_wrong_configuration_is_not_tried_again_a_killed_master_is(host, office, double):
    good = text(office, double)
    host.configure(good)
    host.drop_in("indexocrd.service", "restart", "RestartSec=1\n")
    host.boot()
    host.start("indexocrd")
    first = host.show("MainPID")
    host.systemctl("kill", "--kill-whom=main", "--signal=KILL", "indexocrd")
    servers.wait_for(lambda: host.show("NRestarts") == "1" and host.show("ActiveState") == "active", "the restart")
    assert host.show("MainPID") not in (first, "0")
    host.configure(good + "workers = many\n")
    host.systemctl("kill", "--kill-whom=main", "--signal=KILL", "indexocrd")
    servers.wait_for(lambda: host.show("ActiveState") == "failed", "the failure")
    assert (host.show("ExecMainStatus"), host.show("NRestarts")) == ("78", "2")
    assert f"/srv/indexocr.conf:{len(good.splitlines()) + 1}: " in host.stderr()


def test_a_master_that_hangs_is_found_by_the_watchdog(host, office, double):
    host.configure(text(office, double))
    host.drop_in("indexocrd.service", "watchdog", "WatchdogSec=2\nRestartSec=1\n")
    host.boot()
    host.start("indexocrd")
    hung = host.show("MainPID")
    host.shell(f"kill -STOP {hung}")
    servers.wait_for(lambda: host.show("NRestarts") == "1" and host.show("ActiveState") == "active", "another master")
    assert host.show("MainPID") != hung


def test_instances_run_beside_each_other(host, office, double):
    def instance(name, more=""):
        host.configure(text(office, double, run=f"/run/indexocr/{name}", log=f"/var/log/indexocr/{name}") + f'worker_id = "{name}"\n{more}', name)

    def status(name):
        return host.status(f"/run/indexocr/{name}")

    instance("one")
    instance("two")
    host.boot()
    host.start("indexocrd@one", "indexocrd@two")
    for name in ("one", "two"):
        assert [p["id"] for p in status(name)["processes"] if p["id"] != "keeper"] == [f"{name}-1", f"{name}-2"]
    instance("two", "workers = many\n")
    assert host.systemctl("reload", "indexocrd@two").returncode != 0
    assert "two.conf:" in status("two")["reloadError"]
    assert host.systemctl("reload", "indexocrd@one").returncode == 0
    assert status("one")["generation"] == 2 and status("two")["generation"] == 1
    assert host.systemctl("stop", "indexocrd@one").returncode == 0
    assert (host.show("ActiveState", "indexocrd@one"), host.show("ActiveState", "indexocrd@two")) == ("inactive", "active")
