"""What became of everything: the queue's audit, the doubles' records and the ledger of kills, brought together into findings and a table."""

import bisect
import collections
import dataclasses
import re

import papers
from host import EVERYBODY

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3
CONNECTIONS_A_SECOND = 30   # to all databases; who spins makes thousands
SLACK_S = 0.5       # between what a clock shows before and behind a call


@dataclasses.dataclass
class Claim:
    token: str
    worker: str
    started: float
    ended: float = float("inf")
    status: int = None      # that the row had behind it
    error: str = None


@dataclasses.dataclass
class Document:
    """One row, with everything that happened to it."""
    paper: papers.Paper
    environment: str
    id: int
    status: int = None
    attempts: int = 0
    losses: int = 0
    error: str = None
    content: dict = None
    claims: list = dataclasses.field(default_factory=list)
    written: int = 0        # results
    stored: dict = dataclasses.field(default_factory=dict)      # page -> when it was stored first

    def name(self):
        return f"{self.environment}/{self.id} ({self.paper.kind or 'good'}, {self.paper.pages} pages)"


class Account:
    def __init__(self, stage, hosts, spared, offered):
        self.stage, self.hosts, self.spared = stage, hosts, spared
        self.documents = {key: Document(paper, *key) for key, paper in offered.items()}
        self.findings = []
        self.counts = collections.Counter()

    def find(self, text):
        self.findings.append(text)

    # ---- gathering

    def gather(self):
        for name, desk in self.stage.desks.items():
            rows = desk.run("SELECT id, status_id, COALESCE(ocr_attempts, 0), COALESCE(ocr_losses, 0), ocr_error, file_content, "
                            "file_content IS NOT DISTINCT FROM boosted_file_content FROM extraction_queue")
            for id_, status, attempts, losses, error, content, same in rows:
                d = self.documents.get((name, id_))
                if not d:
                    self.find(f"{name}/{id_}: a row that nobody added")
                    continue
                d.status, d.attempts, d.losses, d.error, d.content = status, attempts, losses, error, content
                if not same:
                    self.find(f"{d.name()}: its two contents differ")
            self.gather_history(name, desk)
            left = desk.run("SELECT count(*) FROM extraction_queue_page AS p JOIN extraction_queue AS q ON q.id = p.queue_id WHERE q.status_id = 4")[0][0]
            if left:
                self.find(f"{name}: {left} stored pages of completed documents are left")
        self.calls = {host: engine.control("calls") for host, engine in self.stage.engines.items()}
        self.downloads = collections.Counter(r["path"] for r in self.stage.storage.requests() if r.get("mode"))

    def gather_history(self, name, desk):
        for at, id_, old_status, status, worker, claim, error, content in desk.run(
                "SELECT extract(epoch FROM at)::float8, id, old_status, status, worker, claim, error, content FROM chaos_row ORDER BY n"):
            d = self.documents.get((name, id_))
            if not d:
                continue
            if content:
                d.written += 1
            if old_status == CLAIMED and d.claims:
                d.claims[-1].ended, d.claims[-1].status, d.claims[-1].error = at, status, error
            if status == CLAIMED:
                d.claims.append(Claim(claim, worker, at))
            if old_status in (DONE, FAILED):
                self.find(f"{d.name()}: left status {old_status} for {status}")
        for at, id_, page in desk.run("SELECT extract(epoch FROM at)::float8, id, page FROM chaos_page ORDER BY n"):
            if (name, id_) in self.documents:
                self.documents[name, id_].stored.setdefault(page, at)

    # ---- judging

    def judge(self, seconds):
        self.gather()
        self.connections = sum(wire.accepted for wire in self.stage.wires.values())
        if self.connections > CONNECTIONS_A_SECOND * seconds:
            self.find(f"somebody spins: {self.connections} connections to databases in {seconds} s")
        for d in self.documents.values():
            self.judge_document(d)
        self.judge_calls()
        for host in self.hosts.values():
            self.findings += host.complaints
        return self.findings

    def judge_document(self, d):
        self.counts["poison" if d.paper.kind else "good"] += 1
        self.counts[f"status {d.status}"] += 1
        self.counts["losses"] += d.losses
        self.counts["claims"] += len(d.claims)
        if d.status in (CLAIMED, READY, None):
            self.find(f"{d.name()}: still in status {d.status}, error {d.error!r}, claims {d.claims[-2:]}")
        elif d.paper.kind:
            self.judge_poison(d)
        elif d.status != DONE:
            self.find(f"{d.name()}: a good document failed: {d.error!r}")
        else:
            self.judge_good(d)

    def judge_poison(self, d):
        if d.status != FAILED:
            self.find(f"{d.name()}: poison in status {d.status}")
        elif not re.search(d.paper.poison.reason, d.error or ""):
            self.find(f"{d.name()}: failed for another reason: {d.error!r}")
        if d.written:
            self.find(f"{d.name()}: a result was written for poison")

    def judge_good(self, d):
        if d.written != 1:
            self.find(f"{d.name()}: its result was written {d.written} times")
        got = [self.text_of(page) for page in d.content["pages"]]
        wanted = [(n, {print_} if print_ else set()) for n, print_ in enumerate(d.paper.fingerprints(), 1)]
        if got != wanted:
            self.find(f"{d.name()}: another text than its own: {got}, not {wanted}")
        blamed = self.spared.blamed.get((d.environment, d.id), 0) + self.downloads[d.paper.name]
        self.counts["attempts beyond the first"] += d.attempts - 1
        if d.attempts - 1 > blamed:
            errors = [(c.worker, c.error) for c in d.claims]
            self.find(f"{d.name()}: {d.attempts} attempts, and only {blamed} faults that count as one: {errors}")

    @staticmethod
    def text_of(page):
        """Its number, and every fingerprint in what was read."""
        said = f"{page.get('text')} {page.get('lines')} {page.get('header')}"
        return page["page"], set(papers.FINGERPRINT.findall(said))

    # ---- pages and calls

    def judge_calls(self):
        pages = {print_: (d, n) for d in self.documents.values() if not d.paper.kind for n, print_ in enumerate(d.paper.fingerprints(), 1) if print_}
        kills = {name: sorted((at, whom) for at, whom, _ in host.kills) for name, host in self.hosts.items()}
        sent = collections.defaultdict(list)
        for host, calls in self.calls.items():
            for print_, started, ended, status, mode in calls:
                if print_ in pages:
                    sent[print_].append((started, ended, status, mode, host))
        for print_, (d, n) in pages.items():
            self.judge_page(d, n, sorted(sent[print_]), kills)

    def judge_page(self, d, n, calls, kills):
        self.counts["calls"] += len(calls)
        self.counts["pages"] += 1
        if not calls and d.status == DONE:
            self.find(f"{d.name()}: page {n} was never sent")
        for place, (started, _, status, mode, host) in enumerate(calls):
            claim = self.claim_of(d, host, started)
            if not claim:
                self.find(f"{d.name()}: page {n} was sent by host {host} without a claim, {self.when(d, started)}")
            if d.stored.get(n, float("inf")) < started:
                self.find(f"{d.name()}: page {n} was sent again though it was stored, {self.when(d, started)}")
            if place == len(calls) - 1:
                continue
            if mode and mode != "slow":     # which answers in the end
                self.counts["repeated after a fault of the engine"] += 1
            elif claim and self.was_killed(claim, host, kills):
                self.counts["repeated after a kill in flight"] += 1
            else:
                self.find(f"{d.name()}: page {n} was sent again for nothing ({status}, by {claim}), {self.when(d, started)}")

    @staticmethod
    def claim_of(d, host, at):
        """The claim under which that host made the call; where several are near, the one that it falls into."""
        mine = [c for c in d.claims if c.worker.startswith(f"host-{host}-")]
        return next((c for slack in (0, SLACK_S) for c in mine if c.started - slack <= at <= c.ended + slack), None)

    @staticmethod
    def was_killed(claim, host, kills):
        known = kills[host]
        for at, whom in known[bisect.bisect_left(known, (claim.started - SLACK_S, "")):]:
            if at > claim.ended + SLACK_S:
                return False
            if whom in (EVERYBODY, claim.worker):
                return True
        return False

    @staticmethod
    def when(d, at):
        first = d.claims[0].started if d.claims else at
        return f"{at - first:.2f} s after its first claim; claims: " + "; ".join(
            f"{c.token} {c.started - first:.2f} to {c.ended - first:.2f} -> {c.status} {c.error or ''}" for c in d.claims)

    # ---- telling

    def lines(self, faults, offered, planned, seconds):
        c = self.counts
        good = [d for d in self.documents.values() if not d.paper.kind]
        yield f"documents offered           {offered:6} of {planned} planned"
        yield f"  good, done                {sum(d.status == DONE for d in good):6} of {len(good)}"
        yield f"  poison, failed            {sum(d.status == FAILED for d in self.documents.values() if d.paper.kind):6} of {c['poison']}"
        yield f"  in status 2 or 3          {c['status 2'] + c['status 3']:6}"
        yield f"claims                      {c['claims']:6}"
        yield f"losses                      {c['losses']:6}, at most {max((d.losses for d in self.documents.values()), default=0)} of one document"
        yield f"attempts beyond the first   {c['attempts beyond the first']:6} of good documents"
        yield f"pages of good documents     {c['pages']:6}"
        yield f"  sent to the engine        {c['calls']:6}"
        yield f"  again, engine at fault    {c['repeated after a fault of the engine']:6}"
        yield f"  again, in flight at kills {c['repeated after a kill in flight']:6}"
        yield f"connections to databases    {self.connections:6}"
        yield f"faults in {seconds:.0f} s" + " " * 12 + f"{sum(1 for _, said in faults if said):6}, and {sum(1 for _, said in faults if not said)} that found nothing to break"
        kinds = collections.Counter(fault.kind for fault, said in faults if said)
        for kind, count in sorted(kinds.items()):
            yield f"  {kind:28}{count:4}"
