"""How each kind of fault in the schedule is done, and mended. Each returns a word on what it did, None where there was nothing to do it to."""

import contextlib
import subprocess
import time

import daemon
import servers
from host import EVERYBODY, send
from schedule import ENGINE_FAULTS, GARBAGE, LEASE_S, SERVERS, STORAGE_FAULTS
from stage import ROLE

MARKS = {       # bytes that only this statement has; a claim may be prepared, and is known by its name then
    "claim": (b"RETURNING q.", b"indexocr_claim"), "complete": (b"wanted.value",), "fail": (b"again.allowed",),
    "checkpoint": (b"jsonb_to_recordset",), "renew": (b"standing",), "release": (b"ocr_error = COALESCE(left($5",),
}


class Injector:
    def __init__(self, stage, hosts):
        self.stage, self.hosts = stage, hosts
        for statement, marks in MARKS.items():
            assert marks[0] in (daemon.SOURCE / "src" / "sql" / f"{statement}.sql").read_bytes(), f"{statement}.sql has another mark now"

    def do(self, fault):
        return getattr(self, fault.kind.lower().replace(" ", "_").replace("-", "_"))(fault, *fault.on.split("/"))

    # -- workers, keepers, helpers

    def kill_a_worker(self, _fault, host, _worker, number):
        host = self.hosts[host]
        process = host.process(host.worker_id(number))
        if not process:
            return None
        host.note_kill(host.worker_id(number), "KILL")
        send(process["pid"], "KILL")
        return process["state"]

    def crash_a_worker(self, fault, host, _worker, number):
        host = self.hosts[host]
        return "crashed" if host.crash(host.worker_id(number), fault.how["signal"]) else None

    def stop_a_worker(self, fault, host, _worker, number):
        host = self.hosts[host]
        process = host.process(host.worker_id(number))
        if not process:
            return None
        if fault.lasts > LEASE_S / 2:       # its lease is not renewed any more
            host.note_kill(host.worker_id(number), "STOP")
        send(process["pid"], "STOP")
        time.sleep(fault.lasts)
        send(process["pid"], "CONT")
        return process["state"]

    stop_a_worker_past_its_lease = stop_a_worker

    def kill_a_keeper(self, fault, host, _keeper):
        process = self.hosts[host].process("keeper")
        return fault.how["signal"] if process and send(process["pid"], fault.how["signal"]) else None

    def stop_a_keeper(self, fault, host, _keeper):
        process = self.hosts[host].process("keeper")
        if not process or not send(process["pid"], "STOP"):
            return None
        time.sleep(fault.lasts)
        send(process["pid"], "CONT")
        return "stopped"

    def kill_a_helper(self, fault, host, _worker, number):
        host = self.hosts[host]
        return fault.how["signal"] if host.hurt_helper(host.worker_id(number), fault.how["signal"]) else None

    def stop_a_helper(self, fault, host, _worker, number):
        host = self.hosts[host]
        return "stopped" if host.hurt_helper(host.worker_id(number), "STOP", fault.lasts) else None

    # -- daemons

    def kill_a_master(self, fault, host):
        host = self.hosts[host]
        with host.life:
            host.note_kill(EVERYBODY, "orphaned")
            send(host.daemon.process.pid, fault.how["signal"])
            host.daemon.process.wait(30)
            host.start()
        return fault.how["signal"]

    def stop_a_master(self, fault, host):
        pid = self.hosts[host].daemon.process.pid
        send(pid, "STOP")
        time.sleep(fault.lasts)
        send(pid, "CONT")
        return "stopped"

    def kill_a_daemon_whole(self, fault, host):
        host = self.hosts[host]
        with host.life:
            host.kill_whole()
            time.sleep(max(0, fault.lasts - 4))
            host.start()
        return "killed"

    def restart_a_daemon(self, fault, host):
        host = self.hosts[host]
        with host.life:
            host.end(fault.how["signal"])
            host.start()
        return fault.how["signal"]

    # -- configuration

    def reload(self, fault, host, _pool):
        host = self.hosts[host]
        host.daemon.workers = fault.how["workers"]
        host.daemon.sections["engine"]["page_concurrency"] = fault.how["page_concurrency"]
        host.daemon.configure()
        return self.reload_command(host, 0)

    def reload_a_bad_file(self, fault, host, _pool):
        host = self.hosts[host]
        good = host.daemon.text()
        bad = {"syntax": good + "queue {\n", "value": good + "queue { poll_interval = never }\n",
               "environment": "\n".join(line for line in good.splitlines() if not line.startswith("environment "))}[fault.how["bad"]]
        host.daemon.configure(bad)
        said = self.reload_command(host, 78)
        host.daemon.configure(good)
        return said

    @staticmethod
    def reload_command(host, expected):
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = host.daemon.ctl("reload", timeout_s=30).returncode
            if status not in (expected, 69):        # 69: it does not answer, a fault of its own
                host.complaints.append(f"reload on host {host.name} ended with {status}, not {expected}")
            return f"exit {status}"
        return None

    def scale(self, fault, host, _pool):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return f"exit {self.hosts[host].daemon.ctl('scale', str(fault.how['workers']), timeout_s=30).returncode}"
        return None

    def pause_claiming(self, fault, host, _pool):
        ctl = self.hosts[host].daemon.ctl
        with contextlib.suppress(subprocess.TimeoutExpired):
            said = ctl("pause", timeout_s=30).returncode
            time.sleep(fault.lasts)
            while ctl("resume", timeout_s=30).returncode == 69 and not self.hosts[host].has_ended():
                time.sleep(0.2)     # another fault has stopped it; a daemon that was restarted meanwhile is not paused
            return f"exit {said}"
        return None

    # -- databases

    def restart_a_database(self, fault, _postgres, server):
        postgres = self.stage.postgres[server]
        postgres.stop(getattr(servers.signal, "SIG" + fault.how["signal"]))
        time.sleep(max(0, fault.lasts - 0.5))
        postgres.start()
        return "immediate" if fault.how["signal"] == "QUIT" else "fast"

    database_away_past_the_lease = restart_a_database

    def desk(self, server):
        return self.stage.desks[SERVERS[server][0]]

    def end_all_backends(self, _fault, _postgres, server):
        ended = self.desk(server).run("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                      "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
        return f"{ended[0][0]} ended"

    def a_read_only_database(self, fault, _postgres, server):
        desk = self.desk(server)
        try:
            desk.run("ALTER SYSTEM SET default_transaction_read_only = on")
            desk.run("SELECT pg_reload_conf()")
            time.sleep(fault.lasts)
        finally:
            desk.run("ALTER SYSTEM RESET default_transaction_read_only")
            desk.run("SELECT pg_reload_conf()")
        return "read-only"

    def out_of_connections(self, fault, _postgres, server):
        desk = self.desk(server)
        try:
            desk.run(f"ALTER ROLE {ROLE} CONNECTION LIMIT 2")
            desk.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [ROLE])
            time.sleep(fault.lasts)
        finally:
            desk.run(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")
        return "two left"

    def restart_the_pooler(self, fault, _pooler):
        pooler = self.stage.pooler
        pooler.stop(getattr(servers.signal, "SIG" + fault.how["signal"]))
        time.sleep(fault.lasts)
        pooler.start(["pgbouncer", pooler.directory / "pgbouncer.ini"])
        return fault.how["signal"]

    # -- connections

    def wire(self, host, name):
        return self.stage.wires[host, name]

    def cut_connections(self, _fault, _wire, host, name):
        wire = self.wire(host, name)
        count = len(wire.links)
        wire.cut()
        return f"{count} cut" if count else None

    def delay_connections(self, fault, _wire, host, name):
        self.wire(host, name).delay(fault.how["delay_ms"] / 1000)
        time.sleep(fault.lasts)
        self.wire(host, name).delay(0)
        return f"{fault.how['delay_ms']} ms"

    def swallow_everything(self, fault, _wire, host, name):
        self.wire(host, name).mute(True)
        time.sleep(fault.lasts)
        self.wire(host, name).mute(False)
        return "mute"

    def swallow_an_answer(self, fault, _wire, host, name):
        wire = self.wire(host, name)
        before = wire.swallowed
        wire.swallow(MARKS[fault.how["statement"]], fault.how["times"])
        time.sleep(fault.lasts)
        wire.swallow((), 0)
        return f"{wire.swallowed - before} of {fault.how['statement']}" if wire.swallowed > before else None

    # -- Redis

    def stop_redis(self, fault, _redis):
        self.stage.redis.stop()
        time.sleep(fault.lasts)
        self.stage.redis.start()
        return "stopped"

    def freeze_redis(self, fault, _redis):
        send(self.stage.redis.process.pid, "STOP")
        time.sleep(fault.lasts)
        send(self.stage.redis.process.pid, "CONT")
        return "frozen"

    def empty_redis(self, _fault, _redis):
        return servers.run(["redis-cli", "-p", self.stage.redis.port, "FLUSHALL"], timeout_s=10).stdout.strip()

    # -- engine, storage

    def engine_quota(self, fault, _engine, host):
        each = GARBAGE if fault.kind == "engine garbage" else ENGINE_FAULTS
        self.stage.engines[host].fail(**fault.how, each=each, of="sha256")
        return fault.how["mode"]

    def engine_hangs(self, fault, _hang, host):
        """For as long as a call may take; then the page is tried again."""
        self.stage.engines[host].fail("hang", times=fault.how["times"], each=ENGINE_FAULTS, of="sha256")
        time.sleep(fault.lasts)
        return f"{fault.how['times']} calls"

    engine_errors = engine_cuts = engine_garbage = engine_stalls = engine_quota

    def storage_errors(self, fault, _storage):
        self.stage.storage.fail(**fault.how, match={"path": "good/"}, each=STORAGE_FAULTS, of="path")
        return fault.how["mode"]

    storage_cuts = storage_stalls = storage_errors
