"""Real servers on loopback for the integration tests: PostgreSQL, Redis, PgBouncer, and a proxy that breaks connections.

Each has its own temporary directory and a port that the system picked; each is ended by its pid, and dies with the
process that started it.
"""

import contextlib
import ctypes
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid

import psycopg

POSTGRESQL_BIN = pathlib.Path(os.environ.get("POSTGRESQL_BIN", "/usr/lib/postgresql/15/bin"))
START_TIMEOUT_S = 60

QUEUE_TABLE = """
CREATE TABLE {table} (
  id                   {id_column},
  document_number      text,
  document_source      text NOT NULL,
  supabase_path        text,
  status_id            int  NOT NULL,
  worker_id            text,
  file_content         {content},
  boosted_file_content {content},
  created_at           timestamptz NOT NULL DEFAULT now()
)"""
ID_COLUMNS = {
    "bigint": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "uuid": "uuid PRIMARY KEY DEFAULT gen_random_uuid()",
}


def free_port():
    """One that the system gives to no outgoing connection: a server that is down for a while finds it free again."""
    first_outgoing = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", random.SystemRandom().randrange(first_outgoing // 2, first_outgoing)))
            return s.getsockname()[1]


def wait_for(condition, what, timeout_s=START_TIMEOUT_S):
    """Polls until condition() gives something true, and returns that."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s for {what}")
        time.sleep(0.02)


def run(argv, timeout_s=60, **options):
    """Runs a program to its end, output captured as text; a program that hangs is killed and fails the test."""
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    if options["stdin"] is None:
        del options["stdin"]
    return subprocess.run([str(a) for a in argv], timeout=timeout_s, text=True, capture_output=True, check=False,
                          **options)


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def unprivileged_user():
    """PostgreSQL and PgBouncer refuse to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("no user to run PostgreSQL as")


class Server:
    """A process with a directory of its own. Subclasses say how it is called and when it is up."""

    stop_signal = signal.SIGTERM

    def __init__(self, unprivileged=False):
        self.user = unprivileged_user() if unprivileged else None
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="indexocr-"))
        self.port = free_port()
        self.process = None
        self.own(self.directory)

    def own(self, path):
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def identity(self):
        if not self.user:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def start(self, argv):
        with open(self.directory / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(a) for a in argv], cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=_die_with_parent, **self.identity())
        try:
            wait_for(self.is_up, f"{argv[0]} to start")
        except BaseException:
            print(self.log())
            self.close()
            raise
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{type(self).__name__} ended with {self.process.returncode} at its start: {self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def log(self):
        return (self.directory / "server.log").read_text(errors="replace")

    def stop(self, with_signal=None):
        if self.process and self.process.poll() is None:
            self.process.send_signal(with_signal or self.stop_signal)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Postgres(Server):
    stop_signal = signal.SIGINT

    def __init__(self, *options):
        """options: further arguments of the server."""
        super().__init__(unprivileged=True)
        self.options = options
        self.data = self.directory / "data"
        run_quietly([POSTGRESQL_BIN / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                     "--locale=C.UTF-8", "--no-sync"], cwd=self.directory, **self.identity())
        # One role that has to give a password; everybody else is trusted.
        hba = self.data / "pg_hba.conf"
        hba.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        self.start()

    def start(self):
        return super().start([
            POSTGRESQL_BIN / "postgres", "-D", self.data, "-p", self.port, "-k", self.directory,
            "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off",
            "-c", "max_connections=200", "-c", "shared_buffers=128MB", "-c", "autovacuum_naptime=5s",
            *self.options])

    def is_up(self):
        if not super().is_up():
            return False
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            return True
        except psycopg.OperationalError:
            return False

    def url(self, database, user="postgres", port=None):
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database="postgres", user="postgres"):
        return psycopg.connect(self.url(database, user), autocommit=True, connect_timeout=10)

    def new_database(self):
        name = "q" + uuid.uuid4().hex[:12]
        with self.connect() as admin:
            admin.execute(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name):
        with self.connect() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class Database:
    """A fresh database that has the queue table of the contract."""

    def __init__(self, postgres, id_type="bigint", content="jsonb", table="extraction_queue", schema_sql=None):
        self.postgres = postgres
        self.name = postgres.new_database()
        self.url = postgres.url(self.name)
        self.id_type = id_type
        self.content = content
        self.table = table
        self.connection = postgres.connect(self.name)
        self.execute(schema_sql or QUEUE_TABLE.format(table=table, id_column=ID_COLUMNS[id_type], content=content))

    def execute(self, sql, params=None):
        """Rows of the statement, [] where it has none."""
        cursor = self.connection.execute(sql, params)
        return cursor.fetchall() if cursor.description else []

    def one(self, sql, params=None):
        """The only row, or its only value."""
        rows = self.execute(sql, params)
        assert len(rows) == 1, rows
        return rows[0][0] if len(rows[0]) == 1 else rows[0]

    def connect(self, user="postgres"):
        """Another connection; the caller closes it."""
        return self.postgres.connect(self.name, user)

    def add(self, count=1, source="index", status=3, path="a/b.pdf", **columns):
        """Rows of that kind, a second apart, oldest first: their ids as text."""
        names = ["document_source", "status_id", "supabase_path", "created_at"] + list(columns)
        values = [source, status, path] + list(columns.values())
        holes = ["%s", "%s", "%s", "now() - interval '1 hour' + n * interval '1 second'"] + ["%s"] * len(columns)
        return [row[0] for row in self.execute(
            f"INSERT INTO {self.table} ({', '.join(names)}) SELECT {', '.join(holes)} "
            f"FROM generate_series(1, {count}) AS n RETURNING id::text", values)]

    def row(self, id_, *columns):
        return self.one(f"SELECT {', '.join(columns)} FROM {self.table} WHERE id::text = %s", [str(id_)])

    def close(self):
        self.connection.close()
        self.postgres.drop_database(self.name)


class Redis(Server):
    def __init__(self):
        super().__init__()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        return super().start(["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                              "--dir", self.directory])


class PgBouncer(Server):
    """PgBouncer before a Postgres; pool_mode is "transaction" or "session"."""

    stop_signal = signal.SIGTERM  # immediate; SIGINT waits for clients

    def __init__(self, postgres, pool_mode="transaction"):
        super().__init__(unprivileged=True)
        self.postgres = postgres
        config = self.directory / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {pool_mode}\ndefault_pool_size = 5\nmax_client_conn = 200\nignore_startup_parameters =\n")
        self.own(config)
        self.start(["pgbouncer", config])

    def url(self, database):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


class CuttingProxy:
    """A TCP proxy before a PostgreSQL. After cut(), it waits for a statement that holds the given bytes, lets the
    server answer it, and then breaks the connection with the answer kept back. After hold(), it keeps back the first
    answer that holds the given bytes until release()."""

    def __init__(self, port):
        self.upstream_port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.triggers = ()
        self.cuts = 0
        self.silent = False
        self.answer = None
        self.holding, self.released = threading.Event(), threading.Event()
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, trigger, times=1, silent=False):
        """trigger: bytes, or several of which one will do. silent: the connection stays open and nothing comes through any more."""
        self.triggers = (trigger,) if isinstance(trigger, bytes) else trigger
        self.cuts, self.silent = times, silent

    def hold(self, answer):
        self.answer = answer

    def release(self):
        self.released.set()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.upstream_port))
                self.connections += [client, server]
                armed = threading.Event()
                threading.Thread(target=self._to_server, args=(client, server, armed), daemon=True).start()
                threading.Thread(target=self._to_client, args=(server, client, armed), daemon=True).start()

    def _to_server(self, client, server, armed):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.cuts > 0 and any(trigger in data for trigger in self.triggers):
                    self.cuts -= 1
                    armed.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _to_client(self, server, client, armed):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if self.answer and self.answer in data:
                    self.answer = None
                    self.holding.set()
                    self.released.wait()
                if not armed.is_set():
                    client.sendall(data)
                elif data[-6:-4] == b"Z\x00":  # ReadyForQuery: the server has committed
                    if not self.silent:
                        client.shutdown(socket.SHUT_RDWR)
                    return
            client.shutdown(socket.SHUT_WR)

    def close(self):
        self.release()
        for s in [self.listener] + self.connections:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


class SlowProxy:
    """A TCP proxy before a server whose every answer comes late, one after the other."""

    def __init__(self, port, delay_s):
        self.upstream_port, self.delay_s = port, delay_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.upstream_port))
                self.connections += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server, 0), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, self.delay_s), daemon=True).start()

    @staticmethod
    def _pass_on(source, sink, delay_s):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(delay_s)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        for s in [self.listener] + self.connections:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


def run_quietly(argv, **options):
    done = run(argv, timeout_s=120, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed: {done.stdout}{done.stderr}")
