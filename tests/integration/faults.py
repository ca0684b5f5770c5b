"""Ways for a process to die or to freeze, and the record of what became of the documents."""

import contextlib
import itertools
import os
import pathlib
import platform
import signal

import servers

# Each is done to a process that we did not write for it: it may be anywhere, also in a system call.
FAULTS = ("SIGKILL", "SIGSEGV", "SIGABRT", "exit status 0", "exit status 1")
FROZEN = "SIGSTOP"


def reason(fault):
    """What the daemon says of it begins so."""
    return {FROZEN: "hung: no sign of life for ", "exit status 0": "exit status 0, which nobody asked for"}.get(fault, fault)


def inflict(fault, *pids):
    """Does it to them all, also where they are stopped, and waits until each has ended, or has stopped."""
    if fault.startswith("SIG"):
        for pid in pids:
            os.kill(pid, signal.Signals[fault])
            if fault != FROZEN:  # whoever is stopped dies as soon as he goes on, before anything else
                thaw(pid)
    else:
        for pid in pids:
            leave(pid, int(fault.split()[-1]))
    for pid in pids:
        servers.wait_for(lambda p=pid: state(p) in ("T" if fault == FROZEN else "XZ"), f"process {pid} to feel {fault}")


def thaw(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def leave(pid, status):
    """Makes it call exit_group(status), wherever it is."""
    x86_64 = b"\xbf" + status.to_bytes(4, "little") + b"\xb8\xe7\x00\x00\x00\x0f\x05"
    aarch64 = b"".join(word.to_bytes(4, "little") for word in (0xD2800000 | status << 5, 0xD2800BC8, 0xD4000001))
    poke(pid, {"x86_64": x86_64, "aarch64": aarch64})


def poke(pid, code):
    """Machine code where it goes on. One that was stopped in a system call returns from it, or begins it again: at the
    instruction before, which does nothing now."""
    nothing = {"x86_64": b"\x66\x90", "aarch64": b"\x1f\x20\x03\xd5"}[platform.machine()]
    os.kill(pid, signal.SIGSTOP)
    servers.wait_for(lambda: state(pid) == "T", f"process {pid} to stop")
    counter = int(pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[-1], 16)
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(counter - len(nothing))
        memory.write(nothing + code[platform.machine()])
    thaw(pid)


def state(pid):
    """One letter as in ps; X = gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def helper_of(pid, program):
    """The helper of that name that a worker has running: its pid, or None."""
    for child in children(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == program[:15] and state(child) not in "XZ":
                return child
    return None


class History:
    """Every change of a row's status or claim, with the database's clock, in order."""

    def __init__(self, db):
        self.db = db
        db.execute("""CREATE TABLE history (n bigserial, at timestamptz NOT NULL DEFAULT clock_timestamp(), id text, number text,
            before int, after int, claim text, worker text, attempts int, losses int, error text)""")
        db.execute("""CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO history (id, number, before, after, claim, worker, attempts, losses, error) VALUES (NEW.id::text, NEW.document_number,
                OLD.status_id, NEW.status_id, NEW.ocr_claim, NEW.worker_id, NEW.ocr_attempts, NEW.ocr_losses, NEW.ocr_error);
            RETURN NULL; END $$""")
        db.execute("""CREATE TRIGGER remember AFTER UPDATE ON extraction_queue FOR EACH ROW
            WHEN (OLD.status_id <> NEW.status_id OR OLD.ocr_claim IS DISTINCT FROM NEW.ocr_claim) EXECUTE FUNCTION remember()""")

    def of(self, id_, *columns, after=None):
        """Those columns of each change of one row, only of changes to that status."""
        return self.db.execute(f"SELECT {', '.join(columns)} FROM history WHERE id = %s AND (%s::int IS NULL OR after = %s) ORDER BY n",
                               [str(id_), after, after])


class Gate:
    """Shut, it holds back every statement that changes a row of its kind (see before)."""

    keys = itertools.count(1)

    def __init__(self, db):
        self.db, self.key = db, next(self.keys)
        db.execute("""CREATE OR REPLACE FUNCTION pass_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_xact_lock_shared(CAST(TG_ARGV[0] AS bigint)); RETURN NEW; END $$""")
        self.connection = db.connect()
        self.connection.execute("SELECT pg_advisory_lock(%s)", [self.key])

    def before(self, event, table, condition):
        self.db.execute(f"CREATE TRIGGER gate_{self.key} BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION pass_gate('{self.key}')")

    def held(self):
        """The application whose statement waits, or None."""
        rows = self.db.execute("""SELECT a.application_name FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
            WHERE l.locktype = 'advisory' AND l.objid = %s AND NOT l.granted""", [self.key])
        return rows[0][0] if rows else None

    def open(self):
        self.connection.execute("SELECT pg_advisory_unlock_all()")

    def close(self):
        self.connection.close()
