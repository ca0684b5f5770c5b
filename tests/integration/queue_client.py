"""The queue's calls from Python, through the program queue_driver."""

import json
import itertools
import os
import subprocess


class QueueError(AssertionError):
    def __init__(self, call, answer):
        super().__init__(f"{call}: {answer}")
        self.kind, self.code, self.text = answer["kind"], answer["code"], answer["text"]


class QueueClient:
    """One connection, one daemon, one worker. Calls return the driver's answer (a dict with "rc" 0 or 1), and raise
    QueueError where the queue returned -1."""

    def __init__(self, builddir, url, worker="w-1", daemon="d1", spawn=1, sources=("index",), **configuration):
        self.worker, self.daemon, self.spawn = worker, daemon, spawn
        self.numbers = itertools.count(1)
        wrapper = os.environ.get("QUEUE_DRIVER_WRAPPER", "").split()
        self.process = subprocess.Popen(wrapper + [str(builddir / "tests/integration/queue_driver")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self._send({"database": url, "sources": list(sources), **configuration})

    def _send(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def send(self, call, **arguments):
        """Starts a call whose answer receive() takes."""
        self.call_sent = call
        self._send({"call": call, **arguments})

    def receive(self):
        line = self.process.stdout.readline()
        assert line, f"queue_driver ended: {self.process.wait(10)}"
        answer = json.loads(line)
        if answer["rc"] == -1:
            raise QueueError(self.call_sent, answer)
        return answer

    def call(self, call, **arguments):
        self.send(call, **arguments)
        return self.receive()

    def new_token(self):
        return f"{self.worker}/{self.daemon}/{self.spawn}/{next(self.numbers)}"

    def claim(self, **arguments):
        """The claimed row with its token, or None."""
        token = arguments.pop("token", None) or self.new_token()
        answer = self.call("claim", worker=self.worker, token=token, **arguments)
        return None if answer["rc"] == 1 else {**answer, "token": token}

    def claims_held(self):
        return [(c["id"], c["token"]) for c in self.call("claims", daemon=self.daemon)["claims"]]

    def _fenced(self, call, job, **arguments):
        return self.call(call, worker=arguments.pop("worker", self.worker), id=job["id"], token=job["token"],
                         **arguments)["rc"]

    def checkpoint(self, job, pages, key="k", **fence):
        return self._fenced("checkpoint", job, key=key, pages=json.dumps(pages), **fence)

    def checkpoints(self, job, key="k"):
        return self.call("checkpoints", id=job["id"], key=key)["pages"]

    def complete(self, job, pages=(), key="k", envelope=None, **fence):
        return self._fenced("complete", job, key=key, envelope=json.dumps(envelope or {}), pages=json.dumps(list(pages)),
                            **fence)

    def fail(self, job, error="it broke", retry_after_ms=-1, **fence):
        return self._fenced("fail", job, error=error, retryAfterMs=retry_after_ms, **fence)

    def release(self, job, **fence):
        return self._fenced("release", job, **fence)

    def renew(self, *jobs):
        return self.call("renew", leases=[{"id": j["id"], "token": j["token"]} for j in jobs])["lost"]

    def reclaim(self, **which):
        return self.call("reclaim", **which)["count"]

    def promote(self):
        answer = self.call("promote")
        return answer["count"], answer["nextMs"]

    def depth(self):
        return self.call("depth")

    def requeue(self, *ids, **options):
        """What was done to each."""
        return self.call("requeue", ids=list(ids), **options)["outcomes"]

    def migrate(self, **options):
        return self.call("migrate", **options)["statements"]

    def close(self):
        self.process.stdin.close()
        try:
            assert self.process.wait(20) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
