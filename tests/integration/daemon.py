"""A daemon under test: its configuration, its life, what it says."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import servers

PROGRAMS = ("indexocrd", "indexocrctl", "indexocr-render", "indexocr-tesseract")
SOURCE = pathlib.Path(__file__).resolve().parents[2]


class Programs:
    """The programs and prompts, copied to where an unprivileged user may run them."""

    def __init__(self, builddir):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="indexocr-bin-"))
        for name in PROGRAMS:
            shutil.copy2(builddir / name, self.directory / name)
        shutil.copytree(SOURCE / "etc" / "prompts", self.directory / "prompts")
        for path in [self.directory, *self.directory.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or path.parent == self.directory and path.name in PROGRAMS else 0o644)

    def __truediv__(self, name):
        return self.directory / name

    def close(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def literal(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(literal(v) for v in value) + "}"
    return json.dumps(str(value)) if isinstance(value, (str, pathlib.Path)) else str(value)


class Daemon(servers.Server):
    """indexocrd with a directory of its own. environments: name -> {key: value}; sections: {"queue": {...}, ...}, "" for keys outside any.

    become: started by root, with this user in the configuration; else by an unprivileged user."""

    def __init__(self, programs, environments, sections=None, workers=2, worker_id="test", host_directory=None, variables=None, become=None):
        super().__init__(unprivileged=True)
        self.programs = programs
        if host_directory:  # another life of the same host: its lock file is there
            shutil.rmtree(self.directory)
            self.directory = host_directory
        self.become = become
        self.environments = environments
        self.sections = {"queue": {"poll_interval": 1}, "engine": {"use": "tesseract"}, **(sections or {})}
        self.workers = workers
        self.worker_id = worker_id
        self.variables = variables or {}
        self.conf = self.directory / "indexocr.conf"
        for name in ("run", "log", "tmp"):
            (self.directory / name).mkdir(exist_ok=True)
            self.own(self.directory / name)
        self.configure()

    # -- configuration

    def text(self):
        d = self.directory
        sections = {name: dict(keys) for name, keys in self.sections.items()}
        top = sections.pop("", {})
        if self.become is not None:
            top["user"] = self.become
        sections.setdefault("engine", {}).setdefault("prompt_directory", self.programs / "prompts")
        sections.setdefault("storage", {}).setdefault("tmpdir", d / "tmp")
        sections.setdefault("log", {}).update(directory=d / "log", level=sections.get("log", {}).get("level", "debug"), stderr="text")
        sections["status"] = {"socket": d / "run" / "control.sock", "listen": ""}
        lines = [f"workers = {self.workers}", f"worker_id = {literal(self.worker_id)}", f"pid_file = {literal(d / 'run' / 'pid')}",
                 'environment_file = ""',
                 f"render_helper = {literal(self.programs / 'indexocr-render')}",
                 f"tesseract_helper = {literal(self.programs / 'indexocr-tesseract')}"]
        lines += [f"{key} = {literal(value)}" for key, value in top.items()]
        for name, keys in self.environments.items():
            lines.append(f"environment {name} {{ " + " ".join(f"{k} = {literal(v)}" for k, v in keys.items()) + " }")
        for name, keys in sections.items():
            lines.append(f"{name} {{ " + " ".join(f"{k} = {literal(v)}" for k, v in keys.items()) + " }")
        return "\n".join(lines) + "\n"

    def configure(self, text=None):
        self.conf.write_text(text if text is not None else self.text())
        self.conf.chmod(0o600)
        self.own(self.conf)

    # -- life

    def identity(self):
        return {} if self.become is not None else super().identity()

    def environment(self):
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **sanitizer_variables(), **self.variables}

    def run(self, *arguments, **options):
        """indexocrd with these arguments, to its end."""
        return servers.run([self.programs / "indexocrd", "-c", self.conf, *arguments], cwd=self.directory, env=self.environment(), **self.identity(), **options)

    def spawn(self, *arguments, before=(), **options):
        """As start(), without waiting for anything; before: a command that runs it."""
        with open(self.directory / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [*before, self.programs / "indexocrd", "-c", self.conf, *arguments], cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment(), **self.identity(), **options)
        return self

    def start(self, *arguments, **options):
        self.spawn(*arguments, **options)
        servers.wait_for(lambda: self.process.poll() is not None or self.answers(), "the daemon to answer")
        if self.process.poll() is not None:
            raise RuntimeError(f"indexocrd ended with {self.process.returncode}: {self.log()}")
        return self

    def answers(self):
        return (self.directory / "run" / "control.sock").exists() and self.ctl("status", "--json").returncode == 0

    def wait(self, timeout_s=120):
        return self.process.wait(timeout_s)

    def drain(self, timeout_s=120):
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                for pid in [*self.children(), self.process.pid]:
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- looking

    def ctl(self, *arguments, **options):
        return servers.run([self.programs / "indexocrctl", "-c", self.conf, "--socket", self.directory / "run" / "control.sock", *order(arguments)], env=self.environment(),
                           cwd=self.directory, **self.identity(), **options)

    def status(self):
        answer = self.ctl("status", "--json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def processes(self, state=None):
        return [p for p in self.status()["processes"] if p["id"] != "keeper" and (state is None or p["state"] == state)]

    def process_with(self, document):
        return next((p for p in self.processes() if p.get("document") == str(document)), None)

    def children(self):
        try:
            return [int(pid) for pid in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]
        except FileNotFoundError:
            return []

    def log_lines(self):
        lines = []
        for path in sorted((self.directory / "log").glob("*.ndjson")):
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        return sorted(lines, key=lambda line: line["ts"])

    def messages(self, message, **fields):
        return [line for line in self.log_lines() if line["message"] == message and all(line.get(k) == v for k, v in fields.items())]

    def everything_said(self):
        """Logs, stderr and status: where no secret may be."""
        said = [path.read_text(errors="replace") for path in (self.directory / "log").iterdir()]
        return "\n".join(said + [self.log()])


def order(arguments):
    """--json stands before the command."""
    return [a for a in arguments if a == "--json"] + [a for a in arguments if a != "--json"]


def sanitizer_variables():
    return {k: v for k, v in os.environ.items() if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")}
