"""What happens to the run, and when: a table of faults, and a schedule drawn from it. No I/O, no clock: the same seed, the same schedule.

A fault holds what it breaks (a path such as "a/worker/3") until it is mended; no other fault is put on that, on what it
is part of, or on its parts meanwhile. All is mended when the schedule ends.

Good documents never fail. What the contract counts as an attempt (a crash of the worker, for which the document may be
to blame; a fault of storage) is bounded for each document and adds up to less than MAX_ATTEMPTS: CRASHES by the harness,
which stops a worker and looks at what it holds before it crashes it, STORAGE_FAULTS by the storage double. Faults of
the engine cost tries of a page; the double bounds them at ENGINE_FAULTS for a page, fewer than PAGE_TRIES, and GARBAGE
for answers without a text, of which retry.c takes fewer. Everything
else (kills, outages, lost connections, restarts) is nobody's attempt, and is not bounded.
"""

import dataclasses
import random

LEASE_S = 24
HANG_S = 60             # longer than anybody is stopped: who is killed as hung has spent an attempt
DRAIN_S = 35            # longer than any outage: what is kept is written in time, where nobody is killed
CRASHES = 2
STORAGE_FAULTS = 2
MAX_ATTEMPTS = 6
ENGINE_FAULTS = 3
GARBAGE = 1
PAGE_TRIES = 5
REQUEST_TIMEOUT_S = 30
WORKERS = 6

HOSTS = ("a", "b")
ENVIRONMENTS = {"prod": 4, "staging": 3, "dev": 3}              # and their shares of the documents
SERVERS = {"one": ("prod",), "two": ("staging", "dev")}         # dev through PgBouncer
EVERY_S = 1.0           # a fault


@dataclasses.dataclass(frozen=True)
class Fault:
    at: float           # seconds into the run
    kind: str
    on: str             # what it holds
    lasts: float        # until it is mended
    how: dict


@dataclasses.dataclass(frozen=True)
class Kind:
    cards: int                              # how often it is in the deck
    on: object                              # (dice) -> path
    lasts: tuple = (0.3, 0.3)               # s, from and to
    how: object = lambda dice: {}           # (dice) -> details


def host(dice):
    return dice.choice(HOSTS)


def worker(dice):
    return f"{host(dice)}/worker/{dice.randint(1, WORKERS)}"


def server(dice):
    return f"postgres/{dice.choice(list(SERVERS))}"


def wire(dice):
    return f"wire/{host(dice)}/{dice.choice(list(ENVIRONMENTS))}"


def engine(dice):
    return f"engine/{host(dice)}"


def some(low, high):
    return lambda dice: {"times": dice.randint(low, high)}


def signals(*names):
    return lambda dice: {"signal": dice.choice(names)}


def modes(low, high, *names):
    return lambda dice: {"mode": dice.choice(names), "times": dice.randint(low, high)}


CRASH = ("SEGV", "ABRT", "BUS")
STATEMENTS = ("claim", "complete", "fail", "checkpoint", "renew", "release")

KINDS = {
    "kill a worker": Kind(16, worker),
    "crash a worker": Kind(8, worker, how=signals(*CRASH)),
    "stop a worker": Kind(6, worker, (1, 6)),
    "stop a worker past its lease": Kind(2, worker, (LEASE_S + 2, LEASE_S + 6)),
    "kill a keeper": Kind(6, lambda dice: f"{host(dice)}/keeper", how=signals("KILL", *CRASH)),
    "stop a keeper": Kind(2, lambda dice: f"{host(dice)}/keeper", (1, 3)),
    "kill a helper": Kind(5, worker, how=signals("KILL", "TERM")),
    "stop a helper": Kind(2, worker, (1, 4)),
    "kill a master": Kind(2, host, (12, 12), signals("KILL", *CRASH)),
    "stop a master": Kind(2, host, (1, 4)),
    "kill a daemon whole": Kind(3, host, (4, 8)),
    "restart a daemon": Kind(3, host, (8, 12), signals("TERM", "QUIT")),
    "reload": Kind(6, lambda dice: f"{host(dice)}/pool", (1, 1), lambda dice: {"page_concurrency": dice.randint(2, 4), "workers": dice.randint(5, 7)}),
    "reload a bad file": Kind(3, lambda dice: f"{host(dice)}/pool", (1, 1), lambda dice: {"bad": dice.choice(("syntax", "value", "environment"))}),
    "scale": Kind(4, lambda dice: f"{host(dice)}/pool", (1, 1), lambda dice: {"workers": dice.randint(3, 9)}),
    "pause claiming": Kind(2, lambda dice: f"{host(dice)}/pool", (1, 4)),
    "restart a database": Kind(4, server, (0.5, 4), lambda dice: {"signal": dice.choice(("INT", "QUIT"))}),
    "database away past the lease": Kind(1, server, (LEASE_S + 2, LEASE_S + 5), lambda dice: {"signal": dice.choice(("INT", "QUIT"))}),
    "end all backends": Kind(5, server),
    "a read-only database": Kind(2, server, (1, 6)),
    "out of connections": Kind(2, server, (2, 6)),
    "cut connections": Kind(6, wire),
    "delay connections": Kind(3, wire, (2, 6), lambda dice: {"delay_ms": dice.randint(50, 400)}),
    "swallow everything": Kind(2, wire, (2, 8)),
    "swallow an answer": Kind(9, wire, (2, 4), lambda dice: {"statement": dice.choice(STATEMENTS), "times": dice.randint(1, 3)}),
    "restart the pooler": Kind(2, lambda dice: "pooler", (0.5, 3), signals("TERM", "KILL")),
    "stop Redis": Kind(2, lambda dice: "redis", (1, 6)),
    "freeze Redis": Kind(1, lambda dice: "redis", (1, 4)),
    "empty Redis": Kind(2, lambda dice: "redis"),
    "engine quota": Kind(2, engine, how=lambda dice: {"mode": "429", "times": 1, "retry_delay": f"{dice.randint(1, 3)}s"}),
    "engine errors": Kind(4, engine, how=modes(1, 6, "500", "502", "503", "503_demand", "504")),
    "engine cuts": Kind(3, engine, how=modes(1, 6, "cut_before", "cut_middle", "bad_body", "empty_body")),
    "engine garbage": Kind(3, engine, how=modes(1, 4, "garbage", "no_candidates", "stop_no_content", "truncated_json")),
    "engine stalls": Kind(2, engine, how=lambda dice: {"mode": "slow", "times": dice.randint(1, 6), "delay_ms": dice.randint(2000, 8000)}),
    "engine hangs": Kind(1, lambda dice: f"hang/{host(dice)}", (REQUEST_TIMEOUT_S + 1, REQUEST_TIMEOUT_S + 2), some(1, 3)),
    "storage errors": Kind(3, lambda dice: "storage", how=modes(1, 4, "500", "502", "503", "503_body", "544", "429", "524")),
    "storage cuts": Kind(3, lambda dice: "storage", how=modes(1, 4, "cut", "cut_before", "garbage")),
    "storage stalls": Kind(2, lambda dice: "storage", how=modes(1, 2, "hang", "slow")),
}


def overlap(one, other):
    a, b = one.split("/"), other.split("/")
    return all(x == y for x, y in zip(a, b))


class Deck:
    """Cards of every kind, shuffled; so each kind comes as often as its cards say, and none is missing for long."""

    def __init__(self, dice):
        self.dice, self.cards = dice, []

    def draw(self, fits):
        """The first card that fits and what it was made into, or None; the others keep their places."""
        if len(self.cards) < len(KINDS):
            fresh = [name for name, kind in KINDS.items() for _ in range(kind.cards)]
            self.dice.shuffle(fresh)
            self.cards += fresh
        for place, name in enumerate(self.cards):
            made = fits(name)
            if made:
                del self.cards[place]
                return made
        return None


def schedule(seed, seconds):
    """A fault every EVERY_S, as a list in order of time."""
    dice = random.Random(f"{seed}/faults")
    deck, faults = Deck(dice), []

    def fits(name, at):
        kind = KINDS[name]
        on, lasts = kind.on(dice), round(dice.uniform(*kind.lasts), 2)
        held = any(f.at + f.lasts > at and overlap(f.on, on) for f in faults)
        if held or at + lasts > seconds:
            return None
        return Fault(round(at, 2), name, on, lasts, kind.how(dice))

    for n in range(int(seconds / EVERY_S)):
        fault = deck.draw(lambda name, at=(n + dice.uniform(0, 0.5)) * EVERY_S: fits(name, at))
        if fault:
            faults.append(fault)
    return faults
