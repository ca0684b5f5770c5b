"""The control socket and indexocrctl: hostile, slow and many clients; pause and resume; a status in any storm."""

import concurrent.futures
import contextlib
import fcntl
import json
import os
import pwd
import random
import resource
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

import offices
import servers
from offices import KEY

DONE, CLAIMED, READY = 4, 2, 3
CROWD = 1000
ANSWER_S = 10  # far more than any answer takes, the sanitizer's too: whoever waits longer is stuck


def sections(double, **more):
    return {"queue": {"sources": ["acte"], "poll_interval": 1, "backoff": 1}, "engine": {"use": "gemini", "page_concurrency": 1},
            "gemini": {"api_key": KEY, "base_url": double.url}, "supervise": {"restart_backoff": 1}, **more}


def document(office, path, number, pages=1):
    return office.add(f"{number}.pdf", "acte", offices.pdf_of([offices.page_image(100 * number + n) for n in range(pages)], path))


def connected(daemon):
    client = socket.socket(socket.AF_UNIX)
    for timeout in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # a connect() waits for its turn, as settimeout() would not let it
        client.setsockopt(socket.SOL_SOCKET, timeout, struct.pack("ll", ANSWER_S, 0))
    client.connect(str(daemon.directory / "run" / "control.sock"))
    return client


def all_of(client):
    """What comes until the end; a reset is the end of one whose bytes were not all read."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(65536):
            got += data
    return got


def ask(daemon, request):
    """One request, its answer; a connection that the daemon lets go without a word comes again, as indexocrctl does."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        with connected(daemon) as client:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(request)
            got = all_of(client)
        if got:
            assert got.endswith(b"\n") and got.count(b"\n") == 1, got
            return json.loads(got)
        assert time.monotonic() < deadline, "put out again and again"


@pytest.fixture
def small_daemon(new_office, new_daemon, gemini):
    """With nothing to do."""
    return new_daemon({"prod": new_office().settings()}, sections=sections(gemini()), workers=2).start()


# -- clients


class Crowd:
    """Clients that connect and never ask, some with half a request; whoever is put out comes again."""

    def __init__(self, daemon, count):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), max(hard, count + 500)))
        self.daemon = daemon
        self.clients = []
        self.put_out = 0
        self.end = threading.Event()
        self.poll = select.poll()
        while len(self.clients) < count:
            self.come()
        self.thread = threading.Thread(target=self.come_again)
        self.thread.start()

    def come(self):
        client = connected(self.daemon)
        if len(self.clients) % 2:
            with contextlib.suppress(BrokenPipeError):
                client.sendall(b"stat")
        self.clients.append(client)
        self.poll.register(client, select.POLLIN)

    def come_again(self):
        while not self.end.is_set():
            ended = {fd for fd, _ in self.poll.poll(100)}
            gone = [c for c in self.clients if c.fileno() in ended]
            self.clients = [c for c in self.clients if c.fileno() not in ended]
            for client in gone:
                self.poll.unregister(client)
                client.close()
                self.put_out += 1
                if not self.end.is_set():
                    self.come()

    def close(self):
        self.end.set()
        self.thread.join()
        for client in self.clients:
            client.close()


def test_a_thousand_half_open_clients_lock_nobody_out_and_do_not_delay_the_master(small_daemon):
    crowd = Crowd(small_daemon, CROWD)
    try:
        for _ in range(20):
            answer = small_daemon.ctl("status", "--json")
            assert answer.returncode == 0, answer.stderr
            assert len(json.loads(answer.stdout)["processes"]) == 3
        victim = small_daemon.processes()[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        servers.wait_for(lambda: all(p["pid"] not in (0, victim) for p in small_daemon.processes("idle")) and len(small_daemon.processes("idle")) == 2,
                         "the killed worker to be replaced")
        print(crowd.put_out, "were put out and came again")
        assert crowd.put_out > CROWD, "the crowd does not hold its places"
    finally:
        crowd.close()
    assert small_daemon.drain() == 0


def test_a_request_may_come_byte_by_byte(small_daemon):
    with connected(small_daemon) as client:
        for byte in b"status\n":
            client.sendall(bytes([byte]))
        assert json.loads(all_of(client))["pid"] == small_daemon.process.pid


NO_REQUESTS = [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "printable"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "printable"),
    (b"status\0\n", "printable"),
    (b"\0" * 100000, "printable"),
    (b"a" * 100000, "256 bytes"),
    (b"\n", "command"),
    (b"stop\n", "no such command"),
    (b"scale 8 9\n", "one argument"),
    (b"scale -1\n", "from 0 to workers_limit"),
    (b"scale 99999999999999999999\n", "from 0 to workers_limit"),
    (b"scale\n", "wants an argument"),
    (b"status all\n", "takes no argument"),
]


def test_what_is_no_request_gets_one_error_and_the_end(small_daemon):
    for request, says in NO_REQUESTS:
        answer = ask(small_daemon, request)
        assert answer["ok"] is False and answer["code"] == "request" and says in answer["error"], (request[:40], answer)
    assert ask(small_daemon, b"status\n")["pool"]["wanted"] == 2


def test_random_bytes_never_end_the_daemon(small_daemon):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    words = [b"status", b"scale", b"pause", b"resume", b" ", b"\n", b"\0", b"8", b"\xff", b"{"]
    for _ in range(300):
        request = b"".join(rng.choice(words) if rng.random() < 0.8 else rng.randbytes(rng.randrange(300)) for _ in range(rng.randrange(6)))
        with connected(small_daemon) as client:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
            got = all_of(client)
        assert got == b"" or json.loads(got), request
    assert ask(small_daemon, b"status\n")["pid"] == small_daemon.process.pid


def test_those_who_ask_and_never_read_hold_up_nobody(small_daemon):
    silent = []
    for _ in range(200):
        silent.append(connected(small_daemon))
        silent[-1].sendall(b"status\n")
    assert small_daemon.ctl("status").returncode == 0
    for client in silent:
        client.close()


# -- who may


def a_stranger(daemon):
    """An account that is neither root, nor the daemon's, nor in its group."""
    return next(u for u in pwd.getpwall() if u.pw_uid not in (0, daemon.user.pw_uid) and u.pw_gid not in (0, daemon.user.pw_gid))


def ctl_as(daemon, *arguments, **identity):
    return servers.run([daemon.programs / "indexocrctl", "--socket", daemon.directory / "run" / "control.sock", *arguments], cwd="/", **identity)


def test_only_root_the_daemon_s_user_and_its_group_may_connect(small_daemon):
    stranger = a_stranger(small_daemon)
    ours = small_daemon.user
    path = small_daemon.directory / "run" / "control.sock"
    assert path.stat().st_mode & 0o777 == 0o660
    assert (path.stat().st_uid, path.stat().st_gid) == (ours.pw_uid, ours.pw_gid)
    for directory in (small_daemon.directory, path.parent):
        directory.chmod(0o755)
    refused = ctl_as(small_daemon, "status", user=stranger.pw_uid, group=stranger.pw_gid, extra_groups=[])
    assert refused.returncode == 77 and "you may not open" in refused.stderr
    path.chmod(0o666)  # only the look at the peer stands now
    for _ in range(5):
        refused = ctl_as(small_daemon, "drain", user=stranger.pw_uid, group=stranger.pw_gid, extra_groups=[])
        assert refused.returncode == 77 and "permission denied" in refused.stderr
    assert small_daemon.status()["draining"] is False
    lines = [line for line in small_daemon.log_lines() if line["level"] == "warn" and f"refused uid {stranger.pw_uid} " in line["message"]]
    assert len(lines) == 1, "logged, but not once for each"
    for identity in ({"user": 0}, {"user": ours.pw_uid, "group": stranger.pw_gid, "extra_groups": []},
                     {"user": stranger.pw_uid, "group": ours.pw_gid, "extra_groups": []},
                     {"user": stranger.pw_uid, "group": stranger.pw_gid, "extra_groups": [stranger.pw_gid, ours.pw_gid]}):
        allowed = ctl_as(small_daemon, "status", **identity)
        assert allowed.returncode == 0, (identity, allowed.stderr)


def test_who_changes_something_stands_in_the_log(small_daemon):
    assert small_daemon.ctl("scale", "1").returncode == 0
    assert small_daemon.ctl("status").returncode == 0
    lines = [line["message"] for line in small_daemon.log_lines() if line["message"].startswith("indexocrctl ")]
    assert len(lines) == 1 and lines[0].startswith(f"indexocrctl scale 1, by uid {small_daemon.user.pw_uid} (pid ")


def test_a_second_daemon_on_the_same_socket_is_refused_and_the_first_keeps_it(small_daemon, new_daemon):
    other = new_daemon(small_daemon.environments, sections=small_daemon.sections)
    other.configure(other.text().replace(str(other.directory / "run" / "control.sock"), str(small_daemon.directory / "run" / "control.sock")))
    answer = servers.run([other.programs / "indexocrd", "-c", other.conf], cwd=other.directory, **other.identity())
    assert answer.returncode == 73
    assert f"another daemon listens on {small_daemon.directory}/run/control.sock" in answer.stderr
    assert small_daemon.status()["pid"] == small_daemon.process.pid


# -- pause and resume


def all_paused(daemon):
    workers = daemon.processes()
    return workers and all(p["state"] == "paused" and p["reason"] == "paused by an operator" for p in workers)


def test_a_pause_lets_documents_finish_and_nothing_is_claimed_before_its_end(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 700})
    first = document(office, tmp_path / "doc.pdf", 1, pages=3)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=2).start()
    servers.wait_for(lambda: daemon.process_with(first), "the first document in work")
    paused = daemon.ctl("pause", "--json")
    assert (paused.returncode, json.loads(paused.stdout)) == (0, {"ok": True})
    second = document(office, tmp_path / "doc.pdf", 2)
    servers.wait_for(lambda: office.db.row(first, "status_id") == DONE, "the first document to be finished all the same")
    servers.wait_for(lambda: all_paused(daemon), "both workers to be paused")
    text = daemon.ctl("status").stdout
    assert text.splitlines()[1].startswith("PAUSED by an operator for ") and "paused by an operator" in text
    assert daemon.ctl("reload").returncode == 0
    servers.wait_for(lambda: daemon.status()["generation"] == 2 and all_paused(daemon), "the pause to be kept by the reload")
    os.kill(daemon.processes()[0]["pid"], signal.SIGKILL)
    servers.wait_for(lambda: all_paused(daemon) and all(p["pid"] for p in daemon.processes()), "a new worker to be paused as well")
    assert office.db.row(second, "status_id", "ocr_attempts") == (READY, 0)
    assert daemon.status()["totals"]["claims_made"] == 1
    assert daemon.ctl("resume").returncode == 0
    servers.wait_for(lambda: office.db.row(second, "status_id") == DONE, "the second document")
    assert daemon.status()["paused"] is False
    assert daemon.drain() == 0


def test_a_restart_ends_a_pause(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=1).start()
    assert daemon.ctl("pause").returncode == 0
    id_ = document(office, tmp_path / "doc.pdf", 1)
    servers.wait_for(lambda: all_paused(daemon), "the pause")
    assert daemon.drain() == 0, "a paused daemon drains"
    assert office.db.row(id_, "status_id") == READY
    daemon.start()
    servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, "the document")
    assert daemon.drain() == 0


# -- status in a storm


class Readers:
    """Clients that ask for the status in a tight loop: every answer is whole, and none waits for long."""

    def __init__(self, daemon, count):
        self.daemon = daemon
        self.end = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(count)
        self.readers = [self.pool.submit(self.read) for _ in range(count)]

    def read(self):
        answers, slowest = 0, 0
        while not self.end.is_set():
            began = time.monotonic()
            status = ask(self.daemon, b"status\n")
            slowest = max(slowest, time.monotonic() - began)
            assert status["pid"] == self.daemon.process.pid and len(status["processes"]) >= 1
            answers += 1
        return answers, slowest

    def close(self):
        self.end.set()
        found = [reader.result() for reader in self.readers]
        self.pool.shutdown()
        return sum(answers for answers, _ in found), max(slowest for _, slowest in found)


def test_status_is_whole_and_answers_at_once_in_a_storm_of_kills(new_office, new_daemon, gemini, tmp_path):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    office, double = new_office(), gemini()
    double.control("delay", {"ms": 50})
    for number in range(30):
        document(office, tmp_path / "doc.pdf", number, pages=2)
    daemon = new_daemon({"prod": office.settings()}, sections=sections(double), workers=12).start()
    readers = Readers(daemon, 4)
    for _ in range(40):
        alive = servers.wait_for(lambda: [p for p in daemon.status()["processes"] if p["pid"] > 0 and p["post"] == "running"], "somebody to kill")
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(alive)["pid"], rng.choice([signal.SIGKILL, signal.SIGSEGV]))
    answers, slowest = readers.close()
    print(f"{answers} answers, the slowest after {1000 * slowest:.0f} ms")
    assert answers > 200
    assert daemon.status()["totals"]["restarts"] > 0
    assert daemon.drain() == 0


# -- indexocrctl


def test_exit_codes_and_json_of_the_commands(small_daemon):
    assert small_daemon.ctl("status", "now").returncode == 64
    assert small_daemon.ctl("status", "--watch", "0").returncode == 64
    assert small_daemon.ctl("pause", "prod").returncode == 64
    refused = small_daemon.ctl("scale", "4000", "--json")
    assert refused.returncode == 64 and json.loads(refused.stdout)["code"] == "request"
    for command in (["pause"], ["resume"], ["scale", "1"]):
        answer = small_daemon.ctl(*command, "--json")
        assert (answer.returncode, json.loads(answer.stdout)) == (0, {"ok": True})
    workers = json.loads(small_daemon.ctl("workers", "--json").stdout)
    assert [w["id"] for w in workers if w["post"] == "running"] == ["test-1"]
    assert "test-1" in small_daemon.ctl("workers").stdout
    assert small_daemon.ctl("drain", "--json").stdout == '{"ok":true}\n'
    assert small_daemon.wait() == 0
    assert small_daemon.ctl("status").returncode == 69


def test_a_stopped_master_is_told_from_a_living_one(small_daemon):
    small_daemon.process.send_signal(signal.SIGSTOP)
    try:
        answer = small_daemon.ctl("status")
        assert answer.returncode == 69 and "did not answer within 5 s" in answer.stderr
    finally:
        small_daemon.process.send_signal(signal.SIGCONT)
    assert small_daemon.ctl("status").returncode == 0


def watching(daemon, *arguments, **options):
    return subprocess.Popen([daemon.programs / "indexocrctl", "--socket", daemon.directory / "run" / "control.sock", *arguments], **options)


def test_watch_in_a_pipe_prints_one_status_after_the_other(small_daemon):
    with watching(small_daemon, "status", "--watch=1", stdout=subprocess.PIPE, text=True) as process:
        heads = 0
        for line in process.stdout:
            assert "\033" not in line
            heads += line.startswith("indexocrd ")
            if heads == 3:
                break
        process.stdout.close()
        assert process.wait(30) == -signal.SIGPIPE
    with watching(small_daemon, "--json", "status", "--watch", "1", stdout=subprocess.PIPE, text=True) as process:
        for _ in range(2):
            assert json.loads(process.stdout.readline())["pid"] == small_daemon.process.pid
        process.terminate()


class Terminal:
    """indexocrctl on a terminal of its own."""

    def __init__(self, daemon, columns, rows, *arguments):
        self.fd, slave = os.openpty()
        self.before = termios.tcgetattr(slave)
        self.resize(columns, rows)
        self.process = watching(daemon, *arguments, stdin=slave, stdout=slave, start_new_session=True,
                                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave = slave
        self.seen = ""

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            self.seen += os.read(self.fd, 65536).decode()
        return self.seen

    def frames(self):
        """What stood on the screen each time, as lines."""
        return [frame.split("\033[J")[0].replace("\033[K", "").replace("\r", "").split("\n") for frame in self.read().split("\033[H")[1:] if "\033[J" in frame]

    def key(self, key):
        os.write(self.fd, key)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self.slave)


@pytest.fixture
def terminal(small_daemon):
    terminals = []

    def make(*arguments, columns=50, rows=8):
        terminals.append(Terminal(small_daemon, columns, rows, *arguments))
        return terminals[-1]

    yield make
    for t in terminals:
        t.close()


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "Ctrl-C"])
def test_watch_on_a_terminal_redraws_in_place_and_leaves_it_as_it_was(terminal, key):
    t = terminal("status", "--watch", "1")
    servers.wait_for(lambda: len(t.frames()) >= 2, "two frames")
    assert t.seen.startswith("\033[?25l")
    for lines in t.frames():
        assert len(lines) <= 8 and all(len(line) <= 50 for line in lines)
        assert lines[0].startswith("indexocrd ") and "more lines" in lines[6]
    t.resize(200, 60)
    servers.wait_for(lambda: any(len(line) > 50 for line in t.frames()[-1]) and "more lines" not in t.seen.rsplit("\033[H", 1)[1], "the wider screen to be used")
    t.key(key)
    assert t.process.wait(30) == 0
    assert t.read().endswith("\033[?25h")
    assert termios.tcgetattr(t.slave)[3] == t.before[3], "echo and lines are as they were"


def test_watch_goes_on_while_the_daemon_is_restarted(small_daemon, terminal):
    t = terminal("status", "--watch", "1", columns=120, rows=40)
    servers.wait_for(lambda: t.frames(), "a frame")
    assert small_daemon.drain() == 0
    servers.wait_for(lambda: t.frames()[-1][0].startswith("no daemon answers on "), "the silence to be shown")
    small_daemon.start()
    servers.wait_for(lambda: f"pid {small_daemon.process.pid}," in t.frames()[-1][0], "the new daemon to be shown")
    t.key(b"q")
    assert t.process.wait(30) == 0
