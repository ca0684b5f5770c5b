"""What the doubles share: starting and stopping, records of requests, orders to fail, broken connections."""

import asyncio
import collections
import contextlib
import ctypes
import os
import signal
import sys
import time

from aiohttp import web

PR_SET_PDEATHSIG = 1
FOREVER = -1


def add_common_arguments(parser):
    parser.add_argument("--port", type=int, default=0, help="0: one the system picks")
    parser.add_argument("--exit-with-parent", action="store_true", help="die when the starting process dies")


def run(app, args):
    """Serves on loopback until SIGTERM or SIGINT; prints the address, and nothing else, when ready."""
    if args.exit_with_parent:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() == 1:
            sys.exit(0)
    asyncio.run(serve(app, args.port))


async def serve(app, port):
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, shutdown_timeout=0.1, backlog=1024)
    await site.start()
    print(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    await runner.cleanup()


def mask(value):
    return value[:4] + "…" if len(value) > 8 else "…"


def masked_headers(headers, secret_names):
    return {name: mask(value) if name.lower() in secret_names else value for name, value in headers.items()}


class Orders:
    """Orders to fail, as given to /_control/fail: {"mode", "times", "match": {...}, and what the mode takes}.

    {"each": n, "of": fact}: all orders that say so together fail no more than n requests with the same value of that fact.
    """

    def __init__(self, modes):
        self.modes, self.queue, self.spent = modes, [], collections.Counter()

    def add(self, order):
        """Returns what is wrong with the order, or None."""
        base = str(order.get("mode", "")).split(":")[0]
        if base not in self.modes:
            return f"no mode {base!r}; there are {', '.join(sorted(self.modes))}"
        if not isinstance(order.get("times", 1), int) or not isinstance(order.get("match", {}), dict):
            return "times is a number (-1: for ever), match an object"
        if ("each" in order) != ("of" in order):
            return "each is a number, and of the fact that it bounds"
        self.queue.append({"times": 1, "match": {}, **order})
        return None

    def take(self, facts):
        """The first order that matches these facts, used up by one; text matches as a substring."""
        for order in self.queue:
            if order["times"] != 0 and not self.is_spared(order, facts) and \
                    all(self.matches(facts.get(k), v) for k, v in order["match"].items()):
                if order["times"] != FOREVER:
                    order["times"] -= 1
                if "each" in order:
                    self.spent[facts.get(order["of"])] += 1
                return order
        return None

    def is_spared(self, order, facts):
        return "each" in order and self.spent[facts.get(order["of"])] >= order["each"]

    async def held(self, order, request):
        """Waits until the order is released; False where the client has gone before."""
        while any(order is standing for standing in self.queue):
            if request.transport is None or request.transport.is_closing():
                return False
            await asyncio.sleep(0.02)
        return True

    def release(self, name):
        self.queue = [order for order in self.queue if order.get("name") != name]

    @staticmethod
    def matches(fact, wanted):
        return wanted in fact if isinstance(fact, str) and isinstance(wanted, str) else fact == wanted

    def relent(self):
        """Only what is to fail for ever still does."""
        self.queue = [order for order in self.queue if order["times"] == FOREVER]

    def clear(self):
        self.queue.clear()
        self.spent.clear()


class Records:
    """Every request in order of arrival, with how it ended."""

    def __init__(self):
        self.entries, self.in_flight, self.max_in_flight = [], 0, 0

    def begin(self, entry):
        entry.update(n=len(self.entries) + 1, time=time.time(), monotonic=time.monotonic(), status=None)
        self.entries.append(entry)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        return entry

    def end(self, entry, status):
        entry.update(status=status, ended=time.monotonic())
        self.in_flight -= 1

    def clear(self):
        self.entries.clear()
        self.max_in_flight = self.in_flight


def peak(events, window):
    """The largest sum of amounts within any `window` seconds; events are (time, amount) in order of time."""
    best = total = start = 0
    for moment, amount in events:
        total += amount
        while events[start][0] <= moment - window:
            total -= events[start][1]
            start += 1
        best = max(best, total)
    return best


# --- broken connections ------------------------------------------------------------------------------------------

class Broken(web.Response):
    """Stands for a connection that was cut: nothing more can be sent on it."""

    def __init__(self):
        super().__init__(status=499)
        self.force_close()


def cut(request):
    if request.transport is not None:
        request.transport.abort()
    return Broken()


async def cut_after(request, status, headers, part, declared, delay=0.05):
    """Sends the head with Content-Length `declared` and only `part` of the body, then cuts."""
    response = web.StreamResponse(status=status, headers={**headers, "Content-Length": str(declared)})
    with contextlib.suppress(ConnectionResetError):     # the client was quicker
        await response.prepare(request)
        await response.write(part)
    await asyncio.sleep(delay)
    if request.transport is not None:
        request.transport.abort()
    return response


def garbage(request):
    """Bytes that are no HTTP."""
    if request.transport is not None:
        request.transport.write(b"\x15\x03\x01\x00\x02\x02\x46 not HTTP at all\r\n\r\n")
        request.transport.close()
    return Broken()


async def hang(request):
    """Says nothing until the client gives up."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.05)
    return Broken()
