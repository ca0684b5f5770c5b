"""Redis in every state in which it is of no use: calls go on within this host's share, and all is as before when it is back."""

import contextlib
import socket
import socketserver
import threading

import servers
from test_daemon_life import calls, pages_document, sections

DONE = 4


class Loading(socketserver.ThreadingTCPServer):
    """A Redis that reads its dump: every command is answered so."""

    allow_reuse_address, daemon_threads = True, True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                if line.startswith(b"*"):
                    self.wfile.write(b"-LOADING Redis is loading the dataset in memory\r\n")

    def __init__(self, port):
        super().__init__(("127.0.0.1", port), self.Handler)
        self.connections = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, client_address)

    def close(self):
        self.shutdown()
        self.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def cli(redis, *arguments):
    return servers.run(["redis-cli", "-p", redis.port, *arguments]).stdout.strip()


def test_calls_go_on_without_redis_and_the_fleet_is_whole_when_it_is_back(new_office, new_daemon, gemini, redis, tmp_path):
    office, double = new_office(), gemini()
    numbers = iter(range(100))
    settings = {**sections(double), "redis": {"url": redis.url, "hosts": 1}, "limits": {"rpm": 600, "tpm": 0}}
    daemon = new_daemon({"prod": office.settings()}, sections=settings, workers=1).start()

    def redis_is(state):
        servers.wait_for(lambda: daemon.status()["redis"] == state, f"Redis to be seen as {state}")

    def a_document_is_read(when):
        n = next(numbers)
        id_ = pages_document(office, tmp_path / "doc.pdf", f"{n}.pdf", 2, 10 * n)
        servers.wait_for(lambda: office.db.row(id_, "status_id") == DONE, f"a document, Redis being {when}")

    def all_is_as_before(when):
        redis_is("up")
        servers.wait_for(lambda: cli(redis, "HLEN", "gemini:workers") == "1", f"the heartbeat, {when}")
        a_document_is_read(when)
        assert int(cli(redis, "GET", "gemini:rpm:current")) >= 2, "what is called is counted there again"

    all_is_as_before("there")
    redis.stop()
    redis_is("down")
    a_document_is_read("gone")
    redis.start()
    all_is_as_before("restarted empty")
    cli(redis, "REPLICAOF", "127.0.0.1", servers.free_port())
    a_document_is_read("a read-only replica")
    cli(redis, "REPLICAOF", "NO", "ONE")
    all_is_as_before("promoted")
    redis.stop()
    loading = Loading(redis.port)
    a_document_is_read("loading")
    loading.close()
    redis.start()
    all_is_as_before("loaded")
    assert office.db.one("SELECT max(ocr_attempts) FROM extraction_queue") == 1
    assert len(calls(double)) == 2 * next(numbers)
    assert daemon.drain() == 0
