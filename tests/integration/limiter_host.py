"""One host that uses the limiter (tests/integration/limiter_driver.c), and Redis servers of every kind."""

import json
import os
import subprocess

import servers


class Host:
    """A host of its own: its shared mapping, its view of Redis."""

    def __init__(self, builddir, url="-", rpm=1000, tpm=1000000, headroom=1.0, window_ms=60000, guard_ms=1000,
                 on_loss="local", hosts=0):
        wrapper = os.environ.get("LIMITER_DRIVER_WRAPPER", "").split()
        self.process = subprocess.Popen(
            wrapper + [str(builddir / "tests/integration/limiter_driver")]
            + [str(a) for a in (url, rpm, tpm, headroom, window_ms, guard_ms, on_loss, hosts)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, *words):
        self.process.stdin.write("\t".join(str(w) for w in words) + "\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        assert line, f"limiter_driver ended: {self.process.wait(10)}"
        return json.loads(line)

    def call(self, *words):
        self.send(*words)
        return self.receive()

    def reserve(self, tokens):
        return self.call("reserve", tokens)

    def granted(self, tokens):
        answer = self.reserve(tokens)
        assert answer["rc"] == 0, answer
        return answer

    def redis(self, *words):
        return self.call("redis", *words)

    def calls_made(self):
        """After send("saturate", ...): what was sent, as (ms, tokens)."""
        calls = []
        while "done" not in (line := self.receive()):
            calls.append((line["at_ms"], line["tokens"]))
        return calls

    def close(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.stdout.close()
        assert code == 0, f"limiter_driver ended with {code}"


class OwnRedis(servers.Server):
    """A redis-server with further lines of configuration; tls: only TLS, with a certificate for that name."""

    def __init__(self, *lines, tls=None):
        super().__init__()
        self.socket = self.directory / "redis.sock"
        config = ["bind 127.0.0.1", 'save ""', "appendonly no", f"dir {self.directory}", f"unixsocket {self.socket}"]
        if tls:
            self.ca = self.directory / "ca.pem"
            self.make_certificates(tls)
            config += ["port 0", f"tls-port {self.port}", "tls-auth-clients no",
                       f"tls-cert-file {self.directory}/server.pem", f"tls-key-file {self.directory}/server.key",
                       f"tls-ca-cert-file {self.ca}"]
        else:
            config += [f"port {self.port}"]
        (self.directory / "redis.conf").write_text("\n".join([*config, *lines]) + "\n")
        self.argv = ["redis-server", self.directory / "redis.conf"]
        self.start(self.argv)

    def restart(self):
        self.stop()
        self.start(self.argv)

    def make_certificates(self, name):
        def openssl(*arguments):
            servers.run_quietly(["openssl", *arguments], cwd=self.directory)

        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                "-subj", "/CN=test authority", "-addext", "basicConstraints=critical,CA:TRUE")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr",
                "-subj", f"/CN={name}")
        (self.directory / "ext").write_text(f"subjectAltName=DNS:{name}\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", "server.pem", "-days", "2", "-extfile", "ext")
