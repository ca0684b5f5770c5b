"""A service manager as far as a daemon sees it: the socket of sd_notify(3), owned by the test."""

import contextlib
import os
import pathlib
import socket
import struct
import tempfile
import time

import servers

SO_PASSCRED, SCM_CREDENTIALS = 16, 2


class Message:
    def __init__(self, text, sender):
        self.text = text
        self.sender = sender  # pid, as the kernel saw it
        self.at = time.monotonic()
        self.fields = dict(line.split("=", 1) for line in text.splitlines())

    def __contains__(self, field):
        return field in self.fields

    def __getitem__(self, field):
        return self.fields[field]

    def __repr__(self):
        return repr(self.text)


class Notified:
    """kind is "path" or "abstract". messages are all that has come, oldest first."""

    def __init__(self, kind="path"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="indexocr-notify-"))
        self.directory.chmod(0o755)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_PASSCRED, 1)
        self.socket.setblocking(False)
        self.name = str(self.directory / "notify") if kind == "path" else f"@{self.directory}"
        self.socket.bind(self.name.replace("@", "\0"))
        if kind == "path":
            os.chmod(self.name, 0o777)
        self.messages = []

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                data, more, _, _ = self.socket.recvmsg(8192, 128)
                pid, _, _ = struct.unpack("3i", next(d for _, kind, d in more if kind == SCM_CREDENTIALS))
                self.messages.append(Message(data.decode(), pid))
        return self.messages

    def wait_for(self, condition, what, after=0, timeout_s=60):
        """The first message behind number `after` that fits."""
        return servers.wait_for(lambda: next((m for m in self.read()[after:] if condition(m)), None), what, timeout_s)

    def status(self):
        """The last line that was told."""
        return next((m["STATUS"] for m in reversed(self.read()) if "STATUS" in m), "")

    def wait_for_status(self, *words):
        return servers.wait_for(lambda: all(word in self.status() for word in words) and self.status(), f"a status with {words}")

    def fill(self):
        """Until no further message goes in: a manager that does not read."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    s.sendto(b"STATUS=full", self.name.replace("@", "\0"))

    def close(self):
        self.socket.close()
        for path in self.directory.iterdir():
            path.unlink()
        self.directory.rmdir()
