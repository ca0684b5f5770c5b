"""A host of its own that systemd runs, in namespaces of this one: our units, and nothing else.

It shares the network and most files with this host. Its /run, /tmp and /var/log are its own, its /srv is a directory of the
test's, /proc/sys is read-only: nothing of what systemd sets at its start reaches this host.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import daemon
import servers

PACKAGING = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "systemd"
UNIT = PACKAGING / "indexocrd.service.in"
TARGETS = ("sysinit", "basic", "shutdown", "network", "nss-lookup", "multi-user")

# A cgroup of its own, below which systemd thinks it has the whole tree.
OUTSIDE = """
set -e
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$1/cgroup"
mkdir "$1/cgroup/$2"
echo $$ > "$1/cgroup/$2/cgroup.procs"
umount "$1/cgroup"
exec unshare --cgroup --pid --ipc --uts --mount --fork --kill-child sh -c "$3" sh "$1"
"""
INSIDE = """
set -e
mount -t proc proc /proc
mount --bind -o ro /proc/sys /proc/sys
for directory in /run /var/tmp /var/log /sys/fs/cgroup; do mount -t tmpfs tmpfs "$directory"; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind "$1" /srv
mount --bind /srv/etc/passwd /etc/passwd
mount --bind /srv/etc/group /etc/group
mount -t tmpfs tmpfs /tmp
mount --make-rshared / # as at the start of a machine; a container's systemd leaves it to others
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=indexocr SYSTEMD_LOG_TARGET=console \
    SYSTEMD_UNIT_PATH=/srv/units SYSTEMD_GENERATOR_PATH=/srv/none /lib/systemd/systemd --system --unit=multi-user.target --show-status=0
"""
CLEAN_UP = 'mount -t cgroup2 cgroup2 "$1/cgroup" && find "$1/cgroup/$2" -depth -type d -exec rmdir {} +'


def unit_text(sbindir, bindir, conf, directory, instance=""):
    """The unit as make leaves it."""
    text = UNIT.read_text()
    for name, value in {"sbindir": sbindir, "bindir": bindir, "CONF": conf, "DIRECTORY": directory, "OF_INSTANCE": instance}.items():
        text = text.replace(f"@{name}@", str(value))
    assert not re.search(r"@\w+@", text)
    return text


def possible():
    return os.geteuid() == 0 and servers.run(["unshare", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/run"]).returncode == 0


class Host:
    def __init__(self, programs):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="indexocr-systemd-"))
        self.directory.chmod(0o755)
        self.name = self.directory.name
        for name in ("cgroup", "units", "etc", "documents"):
            (self.directory / name).mkdir()
        for name in daemon.PROGRAMS:
            shutil.copy2(programs / name, self.directory / name)
        shutil.copytree(programs / "prompts", self.directory / "prompts")
        (self.directory / "etc" / "passwd").write_text(pathlib.Path("/etc/passwd").read_text() + "indexocr:x:970:970::/:/usr/sbin/nologin\n")
        (self.directory / "etc" / "group").write_text(pathlib.Path("/etc/group").read_text() + "indexocr:x:970:\n")
        for target in TARGETS:
            (self.directory / "units" / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        self.add_unit("indexocrd.service", unit_text("/srv", "/srv", "/srv/indexocr.conf", "indexocr"))
        self.add_unit("indexocrd@.service", unit_text("/srv", "/srv", "/srv/%i.conf", "indexocr/%i", ": %i"))
        self.process = None

    def add_unit(self, name, text):
        (self.directory / "units" / name).write_text(text)
        # A journal is not there; the leak check of a sanitizer traces its own process, which the unit forbids.
        self.drop_in(name, "test", "StandardError=append:/srv/stderr\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")

    def drop_in(self, unit, name, text):
        directory = self.directory / "units" / f"{unit}.d"
        directory.mkdir(exist_ok=True)
        (directory / f"{name}.conf").write_text(f"[Service]\n{text}")

    def configure(self, text, name="indexocr"):
        path = self.directory / f"{name}.conf"
        path.write_text(text)
        path.chmod(0o640)
        os.chown(path, 0, 970)

    def boot(self):
        with open(self.directory / "console", "wb") as console:
            self.process = subprocess.Popen(["unshare", "--mount", "sh", "-c", OUTSIDE, "sh", str(self.directory), self.name, INSIDE],
                                            stdin=subprocess.DEVNULL, stdout=console, stderr=console, preexec_fn=servers._die_with_parent)
        try:
            servers.wait_for(self.is_up, "systemd to start", 30)
        except BaseException:
            print(self.console())
            raise
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"systemd ended with {self.process.returncode}")
        return self.manager() and self.systemctl("is-active", "multi-user.target").stdout.strip() == "active"

    def manager(self):
        """The pid of its systemd, as this host sees it; 0 = it is not there yet."""
        with contextlib.suppress(FileNotFoundError):  # a command on the way to it has just ended
            for pid in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
                if pathlib.Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                    return int(pid)
        return 0

    def run(self, *argv, timeout_s=90):
        return servers.run(["nsenter", "-t", self.manager(), "--mount", "--pid", *argv], timeout_s=timeout_s)

    def systemctl(self, *arguments, timeout_s=90):
        return self.run("systemctl", "--no-pager", *arguments, timeout_s=timeout_s)

    def start(self, *units):
        answer = self.systemctl("start", *units)
        assert answer.returncode == 0, "\n".join([answer.stderr, self.systemctl("status", *units).stdout, self.console(), self.stderr()])

    def show(self, name, unit="indexocrd"):
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def status(self, run="/run/indexocr"):
        return json.loads(self.run("/srv/indexocrctl", "--socket", f"{run}/control.sock", "--json", "status").stdout)

    def shell(self, script):
        return self.run("sh", "-c", script).stdout

    def stderr(self):
        path = self.directory / "stderr"
        return path.read_text() if path.exists() else ""

    def console(self):
        return (self.directory / "console").read_text()

    def close(self):
        if self.process:
            if self.process.poll() is None and (pid := self.manager()):
                os.kill(pid, signal.SIGKILL)  # and with it every process in its namespace
            self.process.wait(30)
            servers.wait_for(lambda: servers.run(["unshare", "--mount", "sh", "-c", CLEAN_UP, "sh", self.directory, self.name]).returncode == 0, "its cgroups to be empty")
        shutil.rmtree(self.directory)
