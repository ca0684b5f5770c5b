"""Started as root: what is made, what is given up, what a reload must still be able to read.

Only root can give up the rights of root: these tests are skipped elsewhere.
"""

import grp
import os
import pathlib
import resource
import shutil
import signal

import pytest

import offices
import servers
from offices import KEY

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up the rights of root")
DONE, CLAIMED = 4, 2


def sections(double):
    return {"queue": {"sources": ["acte"], "poll_interval": 1}, "engine": {"use": "gemini", "page_concurrency": 1},
            "gemini": {"api_key": KEY, "base_url": double.url}}


def pages_document(office, path, name="doc.pdf", pages=2):
    return office.add(name, "acte", offices.pdf_of([offices.page_image(n) for n in range(pages)], path))


@pytest.fixture
def user():
    return servers.unprivileged_user()


@pytest.fixture
def root_daemon(new_daemon, gemini, user):
    """A daemon that root starts, and that becomes an ordinary user; without a database where none is given."""
    def make(office=None, double=None, **options):
        nowhere = {"database": "host=/nonexistent dbname=none", "storage": "directory:/nonexistent"}
        options.setdefault("become", user.pw_name)
        options.setdefault("workers", 1)
        daemon = new_daemon({"prod": office.settings() if office else nowhere}, sections=sections(double or gemini()), **options)
        for name in ("run", "log", "tmp"):
            shutil.rmtree(daemon.directory / name)
        return daemon
    return make


def facts(pid):
    """Of /proc/PID/status."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


def descendants(pid):
    children = [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [d for child in children for d in descendants(child)]


def is_sanitized(daemon):
    return b"__asan_init" in (daemon.programs / "indexocrd").read_bytes()


# ---- what is given up


def test_no_process_keeps_any_right_of_root(root_daemon, new_office, gemini, user, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 1000})
    daemon = root_daemon(office, double, workers=2).start()
    id_ = pages_document(office, tmp_path / "doc.pdf", pages=5)  # enough for its renderer to be alive
    servers.wait_for(lambda: office.db.row(id_, "status_id") == CLAIMED and double.requests(), "a page in work")
    everybody = [daemon.process.pid, *descendants(daemon.process.pid)]
    names = [facts(pid)["Name"][0] for pid in everybody]
    assert sorted(names) == ["indexocr-render", "indexocrd", "ocr-keeper-0", "ocr-worker-1", "ocr-worker-2"]
    groups = sorted(str(g) for g in os.getgrouplist(user.pw_name, user.pw_gid))
    for pid, name in zip(everybody, names):
        seen = facts(pid)
        assert seen["Uid"] == [str(user.pw_uid)] * 4, name
        assert seen["Gid"] == [str(user.pw_gid)] * 4, name
        assert sorted(seen["Groups"]) == groups, name
        assert seen["NoNewPrivs"] == ["1"], name
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(seen[kind][0], 16) == 0, f"{name} {kind}"
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"], name
        if not is_sanitized(daemon):  # the leak check looks at its own process
            assert os.stat(f"/proc/{pid}/environ").st_uid == 0, f"{name} is not dumpable: its /proc belongs to root"
    servers.wait_for(office.idle, "the document")
    assert office.db.row(id_, "status_id") == DONE
    assert daemon.drain() == 0


def test_everything_later_works_as_the_user(root_daemon, new_office, gemini, user, tmp_path):
    office, double = new_office(), gemini()
    daemon = root_daemon(office, double).start()
    log = daemon.directory / "log" / "indexocrd.ndjson"
    log.rename(log.with_suffix(".1.ndjson"))
    daemon.process.send_signal(signal.SIGUSR1)
    servers.wait_for(log.exists, "the log to be opened anew")
    assert log.stat().st_uid == user.pw_uid
    daemon.workers = 2
    daemon.configure()
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: len(daemon.processes("idle")) == 2, "two workers of the new configuration")
    id_ = pages_document(office, tmp_path / "doc.pdf")
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document")
    assert daemon.drain() == 0
    assert [p.name for p in (daemon.directory / "run").iterdir()] == ["pid.lock"]
    assert list((daemon.directory / "tmp").iterdir()) == []


def test_directories_are_made_for_the_user_and_others_are_left_alone(root_daemon, user):
    daemon = root_daemon()
    log = daemon.directory / "log"
    log.mkdir(mode=0o770)
    os.chown(log, 0, user.pw_gid)
    log.chmod(0o770)
    os.umask(0o077)
    try:
        daemon.start()
    finally:
        os.umask(0o022)
    made = {name: (daemon.directory / name).stat() for name in ("run", "tmp", "log")}
    assert {name: (s.st_uid, s.st_gid, oct(s.st_mode & 0o7777)) for name, s in made.items()} == {
        "run": (user.pw_uid, user.pw_gid, "0o755"), "tmp": (user.pw_uid, user.pw_gid, "0o750"), "log": (0, user.pw_gid, "0o770")}
    assert (log / "indexocrd.ndjson").stat().st_uid == user.pw_uid
    assert daemon.drain() == 0


def test_only_the_last_directory_of_a_path_is_made(root_daemon):
    daemon = root_daemon()
    daemon.configure(daemon.text().replace("/tmp\"", "/no/such/tmp\""))
    answer = daemon.run()
    assert answer.returncode == 73
    assert f"cannot make directory {daemon.directory}/no/such/tmp: No such file or directory" in answer.stderr
    assert [p.name for p in (daemon.directory / "run").iterdir()] == []


def test_descriptors_suffice_for_every_worker_there_can_be(root_daemon):
    daemon = root_daemon(workers=2)

    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    daemon.start(preexec_fn=few)
    limits = pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text()
    (files,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert int(files.split()[3]) >= 1024
    assert daemon.drain() == 0


# ---- who to become


@pytest.mark.parametrize("name, said", [
    ("", "started as root without a user to become: set user to an account without privileges, or to \"root\" if it must be"),
    ("no-such-user", "there is no account \"no-such-user\" to become, started as root: make it, or set user to another one"),
])
@pytest.mark.parametrize("arguments", [(), ("-t",), ("-d",)])
def test_root_without_a_user_is_refused(root_daemon, name, said, arguments):
    daemon = root_daemon(become=name)
    answer = daemon.run(*arguments)
    assert (answer.returncode, answer.stderr, answer.stdout) == (78, f"indexocrd: {said}\n", "")
    assert not (daemon.directory / "run").exists()


def test_root_stays_root_where_it_is_told_to_and_status_says_so(root_daemon, new_office, gemini, tmp_path):
    office, double = new_office(), gemini()
    daemon = root_daemon(office, double, become="root").start()
    assert {facts(pid)["Uid"][1] for pid in [daemon.process.pid, *daemon.children()]} == {"0"}
    warning = "user is \"root\": hostile documents are read with all rights on this host"
    assert daemon.status()["warnings"] == [warning]
    assert daemon.ctl("reload").returncode == 0
    assert daemon.status()["warnings"] == [warning]
    id_ = pages_document(office, tmp_path / "doc.pdf")
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document")
    assert daemon.drain() == 0


def test_a_single_file_is_read_as_nobody_where_there_is_no_account(root_daemon, gemini, tmp_path):
    double = gemini()
    double.control("delay", {"ms": 1500})
    daemon = root_daemon(double=double, become="no-such-user")
    pdf = offices.pdf_of([offices.page_image(1)], tmp_path / "one.pdf")
    pdf.chmod(0o600)  # root's alone: opened before its rights are given up
    daemon.configure(daemon.text().replace("/tmp\"", "\"").replace(f"tmpdir = \"{daemon.directory}\"", "tmpdir = \"/tmp\""))
    reading = servers.subprocess.Popen([daemon.programs / "indexocrctl", "-c", daemon.conf, "read", "--json", pdf], cwd="/", text=True,
                                       stdout=servers.subprocess.PIPE, stderr=servers.subprocess.PIPE, env=daemon.environment())
    servers.wait_for(lambda: [r for r in double.requests() if r.get("method") == "generateContent"] or reading.poll() is not None, "the call")
    owners = {facts(pid)["Uid"][1] for pid in [reading.pid, *descendants(reading.pid)]}
    out, err = reading.communicate(timeout=60)
    assert reading.returncode == 0, err
    assert '"isCompleted"' in out
    assert owners == {str(servers.pwd.getpwnam("nobody").pw_uid)}


# ---- the pid file of a directory that is root's


def test_a_pid_file_that_only_root_can_remove_is_left_empty_and_said(root_daemon, user):
    daemon = root_daemon()
    roots = daemon.directory / "roots"
    roots.mkdir(mode=0o755)
    daemon.configure(daemon.text().replace("/run/pid\"", "/roots/pid\""))
    for _ in range(2):  # what the first leaves is no obstacle to the second
        daemon.start()
        assert (roots / "pid").read_text() == f"{daemon.process.pid}\n"
        assert (roots / "pid").stat().st_uid == 0
        assert daemon.messages(f"User {user.pw_name} may not write to the directory of {roots}/pid: at the end it will be left there, empty")
        assert daemon.drain() == 0
        assert (roots / "pid").read_text() == ""
        assert sorted(p.name for p in roots.iterdir()) == ["pid", "pid.lock"]


def test_a_daemon_that_was_root_s_can_be_started_by_its_user(root_daemon):
    daemon = root_daemon().start()
    assert daemon.drain() == 0
    daemon.become = None
    daemon.start()
    assert daemon.drain() == 0


# ---- what a reload needs


def secret_file(daemon, name, text="a-secret-of-its-own\n"):
    path = daemon.directory / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def the_configuration(daemon, user):
    os.chown(daemon.conf, 0, 0)
    return daemon.conf, "readable", f"chgrp {group(user)} {daemon.conf} && chmod g+r {daemon.conf}"


def an_environment_file(daemon, user):
    path = secret_file(daemon, "env", "NAME=value\n")
    daemon.configure(daemon.text().replace("environment_file = \"\"", f"environment_file = \"{path}\""))
    return path, "readable", f"chgrp {group(user)} {path} && chmod g+r {path}"


def a_secret_of_its_own(daemon, user):
    path = secret_file(daemon, "key")
    daemon.configure(daemon.text().replace(f"api_key = \"{KEY}\"", f"api_key_file = \"{path}\""))
    return path, "readable", f"chgrp {group(user)} {path} && chmod g+r {path}"


def an_environments_secret(daemon, user):
    path = secret_file(daemon, "database", "host=/nonexistent dbname=none\n")
    daemon.configure(daemon.text().replace("database = \"host=/nonexistent dbname=none\"", f"database_file = \"{path}\""))
    return path, "readable", f"chgrp {group(user)} {path} && chmod g+r {path}"


def a_token_file(daemon, user):
    path = secret_file(daemon, "token")
    daemon.configure(daemon.text().replace("listen = \"\"", f"listen = \"\" token_file = \"{path}\""))
    return path, "readable", f"chgrp {group(user)} {path} && chmod g+r {path}"


def a_secret_in_a_closed_directory(daemon, user):
    closed = daemon.directory / "closed"
    closed.mkdir(mode=0o700)
    path = secret_file(daemon, "closed/key")
    os.chown(path, user.pw_uid, user.pw_gid)
    daemon.configure(daemon.text().replace(f"api_key = \"{KEY}\"", f"api_key_file = \"{path}\""))
    return path, "readable", f"chgrp {group(user)} {closed} && chmod g+x {closed}"


def a_prompt(daemon, user):
    prompts = daemon.directory / "prompts"
    shutil.copytree(daemon.programs / "prompts", prompts)
    (prompts / "acte.txt").chmod(0o600)
    daemon.configure(daemon.text().replace(str(daemon.programs / "prompts"), str(prompts)))
    return prompts / "acte.txt", "readable", f"chgrp {group(user)} {prompts}/acte.txt && chmod g+r {prompts}/acte.txt"


def a_helper(daemon, user):
    helper = daemon.directory / "indexocr-render"
    shutil.copy(daemon.programs / "indexocr-render", helper)
    helper.chmod(0o700)
    daemon.configure(daemon.text().replace(str(daemon.programs / "indexocr-render"), str(helper)))
    return helper, "executable", f"chgrp {group(user)} {helper} && chmod g+rx {helper}"


def a_directory(name):
    def make(daemon, user):
        path = daemon.directory / name
        path.mkdir(mode=0o755)
        return path, "writable", f"chown {user.pw_name} {path}"
    return make


def a_log_file(daemon, user):
    log = daemon.directory / "log"
    log.mkdir()
    daemon.own(log)
    path = log / "test-1.ndjson"
    path.touch(0o640)
    return path, "writable", f"chown {user.pw_name} {path}"


def group(user):
    return grp.getgrgid(user.pw_gid).gr_name


@pytest.mark.parametrize("spoil", [
    the_configuration, an_environment_file, a_secret_of_its_own, an_environments_secret, a_token_file, a_secret_in_a_closed_directory, a_prompt,
    a_helper, pytest.param(a_directory("log"), id="the_log_directory"), pytest.param(a_directory("tmp"), id="tmpdir"),
    pytest.param(a_directory("run"), id="the_socket_s_directory"), a_log_file])
def test_what_the_user_cannot_reach_is_said_by_t_and_refuses_the_start(root_daemon, user, spoil):
    daemon = root_daemon()
    assert daemon.run("-t").returncode == 0
    path, verb, remedy = spoil(daemon, user)
    said = f"indexocrd: {path}: not {verb} by user {user.pw_name} after privileges are dropped; mend it with: {remedy}\n"
    for arguments in (("-t",), (), ("-d",)):
        answer = daemon.run(*arguments)
        assert (answer.returncode, answer.stderr, answer.stdout) == (78, said, ""), arguments
    servers.run_quietly(["sh", "-c", remedy])
    answer = daemon.run("-t")
    assert (answer.returncode, answer.stderr) == (0, ""), "the remedy helps"
    daemon.start()
    assert daemon.ctl("reload").returncode == 0
    assert daemon.drain() == 0


@pytest.mark.parametrize("owner_is_root, mode", [(True, 0o640), (False, 0o600), (False, 0o400), (False, 0o640)])
def test_files_with_secrets_may_be_the_users_or_its_groups_but_no_others(root_daemon, user, owner_is_root, mode):
    daemon = root_daemon()
    path = secret_file(daemon, "key")
    daemon.configure(daemon.text().replace(f"api_key = \"{KEY}\"", f"api_key_file = \"{path}\"") + f"# {KEY}\n")
    for file in (daemon.conf, path):
        os.chown(file, 0 if owner_is_root else user.pw_uid, user.pw_gid)
        file.chmod(mode)
    answer = daemon.run("-t")
    assert (answer.returncode, answer.stdout) == (0, f"{daemon.conf}: configuration is good\n"), answer.stderr
    path.chmod(mode | 0o004)
    answer = daemon.run("-t")
    assert answer.returncode == 78 and "other users may read it; mend it with chmod o=" in answer.stderr
    assert "a-secret-of-its-own" not in answer.stderr


def test_a_lock_file_that_is_another_file_too_is_not_written_to(root_daemon):
    daemon = root_daemon()
    (daemon.directory / "run").mkdir()
    daemon.own(daemon.directory / "run")
    victim = daemon.directory / "shadow"
    victim.write_text("precious")
    os.link(victim, daemon.directory / "run" / "pid.lock")
    answer = daemon.run()
    assert answer.returncode == 73 and "pid.lock is no plain file of its own" in answer.stderr
    assert victim.read_text() == "precious" and victim.stat().st_uid == 0
