"""The doubles of the outside world, as processes: the Gemini API, Supabase Storage."""

import json
import pathlib
import signal
import subprocess
import sys
import urllib.request

FAKES = pathlib.Path(__file__).resolve().parents[1] / "fakes"


class Double:
    def __init__(self, script, *arguments):
        self.process = subprocess.Popen([sys.executable, FAKES / script, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), f"{script} did not start"

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
