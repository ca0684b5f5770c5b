"""The init script, with start-stop-daemon and a real daemon: actions, exit codes of the LSB, and what it never does."""

import fcntl
import json
import os
import pathlib
import pwd
import re
import signal
import subprocess

import pytest

import servers

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "sysvinit" / "indexocrd.in"
DONE, FAILED, USAGE, NOT_CONFIGURED, NOT_RUNNING = 0, 1, 2, 6, 7
RUNNING, DEAD, STOPPED, UNKNOWN = 0, 1, 3, 4


class Host:
    """The script as make leaves it, for a host in a directory of the test's own."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.directory = daemon.directory
        self.run = self.directory / "runstate"
        self.pid_file = self.run / "indexocr" / "indexocrd.pid"
        self.run.mkdir()
        daemon.own(self.run)
        paths = {"sbindir": daemon.programs.directory, "sysconfdir": self.directory, "runstatedir": self.run}
        text = SCRIPT.read_text()
        for name, path in paths.items():
            text = text.replace(f"@{name}@", str(path))
        assert not re.search(r"@\w+@", text)
        self.script = self.directory / "init.d"
        self.script.write_text(text)
        self.script.chmod(0o755)
        self.configure()

    def configure(self, more=""):
        user = self.daemon.user.pw_name if self.daemon.user else pwd.getpwuid(os.getuid()).pw_name
        text = re.sub(r"^pid_file = .*$", f'pid_file = "{self.pid_file}"', self.daemon.text(), flags=re.M)
        self.daemon.configure(f'user = "{user}"\n{text}{more}')

    def __call__(self, *action):
        """What init calls: no environment, no terminal."""
        return servers.run([self.script, *action], cwd="/", env={"TERM": "dumb"})

    def status(self):
        return self("status").returncode

    def pid(self):
        return int(self.pid_file.read_text())

    def generation(self):
        return json.loads(self.daemon.ctl("status", "--json").stdout)["generation"]

    def kill(self):
        """The whole daemon, as a machine would that runs out of memory."""
        pids = [self.pid(), *children(self.pid())]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            servers.wait_for(lambda p=pid: gone(p), f"process {pid} to be gone and reaped")


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid):
    """Reaped, too: start-stop-daemon takes a zombie for a process."""
    return not pathlib.Path(f"/proc/{pid}").exists()


@pytest.fixture
def host(new_daemon):
    port = servers.free_port()
    daemon = new_daemon({"prod": {"database": f"postgresql://nobody@127.0.0.1:{port}/none", "storage": "directory:/"}}, workers=1)
    made = Host(daemon)
    yield made
    if made.pid_file.exists() and not gone(made.pid()):
        made.kill()


def test_start_makes_its_directory_and_returns_when_the_daemon_is_up(host):
    assert host.status() == STOPPED
    answer = host("start")
    assert answer.returncode == DONE and answer.stdout == "Starting OCR queue worker: indexocrd.\n", answer
    assert host.daemon.answers()
    assert host.status() == RUNNING
    if host.daemon.user:
        assert host.pid_file.parent.owner() == host.daemon.user.pw_name


def test_a_second_start_and_a_second_stop_change_nothing_and_succeed(host):
    assert host("start").returncode == DONE
    pid = host.pid()
    assert host("start").returncode == DONE
    assert host.pid() == pid
    assert host("stop").returncode == DONE
    assert gone(pid) and not host.pid_file.exists()
    assert host("stop").returncode == DONE
    assert host.status() == STOPPED


def test_restart_is_another_daemon_but_not_with_a_bad_file(host):
    assert host("restart").returncode == DONE
    first = host.pid()
    assert host("restart").returncode == DONE
    second = host.pid()
    assert second != first and gone(first)
    host.configure("queue { poll_interval = never }\n")
    where = f"{host.daemon.conf}:{len(host.daemon.conf.read_text().splitlines())}: "
    for action in ("restart", "try-restart", "reload", "force-reload", "configtest"):
        answer = host(action)
        assert answer.returncode == NOT_CONFIGURED and where in answer.stderr, (action, answer)
        assert host.pid() == second and host.status() == RUNNING and host.generation() == 1
    assert host("stop").returncode == DONE, "a bad file keeps nobody from stopping"
    answer = host("start")
    assert answer.returncode == NOT_CONFIGURED and where in answer.stderr
    assert host.status() == STOPPED


def test_reload_goes_on_with_the_new_configuration(host):
    assert host("start").returncode == DONE
    pid = host.pid()
    for generation, action in ((2, "reload"), (3, "force-reload")):
        servers.wait_for(lambda: len(host.daemon.status()["processes"]) == 2, "the generation before to end")
        assert host(action).returncode == DONE
        servers.wait_for(lambda g=generation: host.generation() == g, "the reload")
    assert host.pid() == pid


def test_what_does_not_run_is_not_reloaded_and_not_restarted(host):
    assert host("reload").returncode == NOT_RUNNING
    assert host("force-reload").returncode == NOT_RUNNING
    assert host("try-restart").returncode == DONE
    assert host.status() == STOPPED
    assert host("configtest").returncode == DONE


def test_a_dead_daemon_with_its_pid_file_is_said_to_be_dead_and_can_be_stopped_and_started(host):
    assert host("start").returncode == DONE
    host.kill()
    assert host.status() == DEAD
    assert host("stop").returncode == DONE
    assert host.status() == STOPPED
    assert host("start").returncode == DONE
    host.kill()
    assert host("start").returncode == DONE, "a stale pid file is no obstacle"
    assert host.status() == RUNNING


def test_a_pid_that_has_gone_to_another_process_is_left_alone(host):
    with subprocess.Popen(["sleep", "600"]) as other:
        host.pid_file.parent.mkdir()
        host.pid_file.write_text(f"{other.pid}\n")
        assert host.status() == DEAD
        assert host("reload").returncode == NOT_RUNNING
        assert host("stop").returncode == DONE
        assert other.poll() is None
        other.kill()


def test_an_empty_pid_file_is_that_of_a_daemon_that_ended(host):
    host.pid_file.parent.mkdir()
    host.daemon.own(host.pid_file.parent)
    host.pid_file.write_text("")
    host.daemon.own(host.pid_file)
    assert host.status() == STOPPED
    assert host("try-restart").returncode == DONE and host.status() == STOPPED
    assert host("start").returncode == DONE
    assert host.status() == RUNNING


def test_a_master_that_hangs_is_killed_when_its_time_has_passed(host):
    host.configure("supervise { drain_timeout = 0 }\n")
    assert host("start").returncode == DONE
    pid = host.pid()
    os.kill(pid, signal.SIGSTOP)
    assert host("stop").returncode == DONE
    assert gone(pid) and host.status() == STOPPED


def test_a_daemon_that_is_refused_its_start_says_why(host):
    host.pid_file.parent.mkdir()
    host.daemon.own(host.pid_file.parent)
    with open(f"{host.pid_file}.lock", "w") as lock:
        host.daemon.own(lock.name)
        fcntl.lockf(lock, fcntl.LOCK_EX)
        answer = host("start")
    assert answer.returncode == FAILED
    assert f"another indexocrd (pid {os.getpid()}) holds {host.pid_file}.lock" in answer.stderr
    assert host.status() == STOPPED


def test_keys_are_not_for_the_shell(host):
    keys = host.directory / "default" / "indexocrd"
    keys.parent.mkdir()
    keys.write_text(f"KEY=$(touch {host.directory}/expanded)\nDAEMON=/bin/false\n")
    assert host("start").returncode == DONE
    assert not (host.directory / "expanded").exists()


def test_wrong_usage_and_a_removed_package(host):
    for action in ([], ["dance"]):
        answer = host(*action)
        assert answer.returncode == USAGE and answer.stderr.startswith("Usage: ")
    host.script.write_text(host.script.read_text().replace(f"DAEMON={host.daemon.programs.directory}", "DAEMON=/nonexistent"))
    assert host("start").returncode == DONE
    assert host("stop").returncode == DONE
    assert host.status() == UNKNOWN


def test_the_header_says_what_init_needs():
    header = re.search(r"### BEGIN INIT INFO\n(.*)### END INIT INFO", SCRIPT.read_text(), re.S).group(1)
    keys = dict(re.findall(r"^# ([\w-]+): +(.*)$", header, re.M))
    assert keys["Provides"] == "indexocrd"
    assert {"$remote_fs", "$network"} <= set(keys["Required-Start"].split()) & set(keys["Required-Stop"].split())
    assert (keys["Default-Start"], keys["Default-Stop"]) == ("2 3 4 5", "0 1 6")
    assert keys["Short-Description"] and keys["Description"]
