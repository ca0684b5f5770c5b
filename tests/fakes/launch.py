"""Starts a double for a test and speaks to its control routes; for the tests here and in tests/integration."""

import http.client
import json
import os
import subprocess
import sys
from urllib.parse import urlsplit

HERE = os.path.dirname(os.path.abspath(__file__))
START_TIMEOUT_S = 20


class Reply:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)


class Double:
    """A running double; use it in a `with` statement. `url` is its address."""

    def __init__(self, name, *arguments):
        command = [sys.executable, os.path.join(HERE, name + ".py"), "--exit-with-parent", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        if not self.url.startswith("http://127.0.0.1:"):
            self.close()
            raise RuntimeError(f"{name}.py did not start: {self.url!r}")
        self.address = urlsplit(self.url).netloc

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def close(self):
        """Returns the exit status."""
        self.process.terminate()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.process.stdout.close()

    def send(self, method, target, body=None, headers=None, timeout=20):
        """One request on a connection of its own; the target goes out as it is."""
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        connection._validate_path = lambda _target: None      # the tests of strictness send bad targets on purpose
        try:
            connection.request(method, target, body, headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def control(self, name, body=None):
        """POSTs `body` to /_control/<name>, or GETs it where there is none; returns the JSON."""
        data = None if body is None else json.dumps(body)
        reply = self.send("GET" if body is None else "POST", "/_control/" + name, data, {"Content-Type": "application/json"})
        if reply.status != 200:
            raise RuntimeError(f"/_control/{name}: {reply.body.decode()}")
        return reply.json()

    def fail(self, mode, times=1, match=None, **more):
        self.control("fail", {"mode": mode, "times": times, "match": match or {}, **more})

    def hold(self, name, match, times=1):
        """Requests that match are answered once release(name) is called."""
        self.fail("hold", times, match, name=name)

    def release(self, name):
        self.control("release", {"name": name})

    def requests(self):
        return self.control("requests")

    def stats(self):
        return self.control("stats")

    def reset(self):
        self.control("reset", {})
