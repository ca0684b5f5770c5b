#!/usr/bin/python3
"""The double of the Gemini API for long runs: forgets what requests held, and keeps for each call only which page, when, and how it ended.

GET /_control/calls: [[fingerprint, started, ended or null, status, mode or null], ...] in order of arrival, times as of time.time().
"""

import argparse
import pathlib
import sys
import time

from aiohttp import web

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
import double  # noqa: E402
import gemini  # noqa: E402

FINGERPRINT = 16


class Calls(double.Records):
    """Records that are dropped as soon as a call has ended, but for a line each."""

    def __init__(self):
        super().__init__()
        self.lines, self.count = [], 0

    def begin(self, entry):
        super().begin(entry)
        self.entries.clear()
        self.count += 1
        entry["n"] = self.count
        entry["line"] = [None, time.time(), None, None, None]
        self.lines.append(entry["line"])
        return entry

    def end(self, entry, status):
        super().end(entry, status)
        entry["line"][2:] = [time.time(), status, entry.get("mode")]


class Orders(double.Orders):
    """What is to fail for ever comes first: the fault of the moment may be one that answers, only later."""

    def add(self, order):
        wrong = super().add(order)
        self.queue.sort(key=lambda each: each["times"] != double.FOREVER)
        return wrong


class Engine(gemini.Gemini):
    def __init__(self, args):
        super().__init__(args)
        self.records, self.orders = Calls(), Orders(gemini.answers.MODES)
        self.delay_ms = (args.least_ms, args.most_ms)

    def note(self, entry, checked, model):
        super().note(entry, checked, model)
        self.images.clear()
        entry["line"][0] = entry["sha256"][:FINGERPRINT]

    async def calls(self, _request):
        return web.json_response(self.records.lines)

    def app(self):
        app = super().app()
        app.add_routes([web.get("/_control/calls", self.calls)])
        return app


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    double.add_common_arguments(parser)
    gemini.add_arguments(parser)
    parser.add_argument("--least-ms", type=int, default=0, help="every answer takes at least this long")
    parser.add_argument("--most-ms", type=int, default=0, help="and at most this long")
    args = parser.parse_args()
    double.run(Engine(args).app(), args)


if __name__ == "__main__":
    main()
