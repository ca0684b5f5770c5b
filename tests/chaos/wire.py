"""A TCP proxy between a host and a database that can be cut, delayed, made mute, or made to swallow an answer.

All proxies of a run live on one event loop in a thread of its own; what changes them may be called from any thread.
"""

import asyncio
import contextlib
import threading

READY_FOR_QUERY = b"Z\x00\x00\x00\x05I"     # the server has committed, or had nothing to commit
CHUNK = 65536


class Loop:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def call(self, function):
        async def now():
            return function()
        return self.run(now())

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)


class Wire:
    def __init__(self, loop, upstream_port):
        self.loop, self.upstream_port = loop, upstream_port
        self.delay_s = 0
        self.marks, self.swallow_left, self.swallowed = (), 0, 0
        self.open = None            # an event: set while anything comes through
        self.links, self.accepted = set(), 0
        self.server = loop.run(self._listen())
        self.port = self.server.sockets[0].getsockname()[1]

    async def _listen(self):
        self.open = asyncio.Event()
        self.open.set()
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)

    async def _accept(self, reader, writer):
        link, ways = Link(self, writer), []
        self.links.add(link)
        self.accepted += 1
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
            link.writers.append(up_writer)
            ways = [asyncio.create_task(link.to_server(reader, up_writer)), asyncio.create_task(link.to_client(up_reader, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass
        finally:
            for way in ways:
                way.cancel()
            link.cut()
            self.links.discard(link)

    # -- faults

    def cut(self):
        """Every connection there is breaks."""
        self.loop.call(lambda: [link.cut() for link in list(self.links)])

    def delay(self, seconds):
        self.delay_s = seconds

    def mute(self, on):
        """Connections stay and are accepted, and nothing comes through."""
        self.loop.call(self.open.clear if on else self.open.set)

    def swallow(self, marks, times):
        """Statements that hold one of these marks are executed; their answer is kept back and the connection cut."""
        self.marks, self.swallow_left = marks, times

    def close(self):
        self.loop.call(self.server.close)
        self.cut()


class Link:
    """One connection through the proxy."""

    def __init__(self, wire, writer):
        self.wire, self.writers, self.armed, self.tail = wire, [writer], False, b""

    def cut(self):
        for writer in self.writers:
            with contextlib.suppress(Exception):
                writer.transport.abort()

    async def to_server(self, reader, writer):
        wire = self.wire
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if wire.swallow_left > 0 and any(mark in data for mark in wire.marks):
                    wire.swallow_left -= 1
                    self.armed = True
                await self.pass_on(data, writer)

    async def to_client(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if not self.armed:
                    await self.pass_on(data, writer)
                    continue
                self.tail = (self.tail + data)[-len(READY_FOR_QUERY):]
                if self.tail == READY_FOR_QUERY:
                    self.wire.swallowed += 1
                    return

    async def pass_on(self, data, writer):
        await self.wire.open.wait()
        if self.wire.delay_s:
            await asyncio.sleep(self.wire.delay_s)
        writer.write(data)
        await writer.drain()
