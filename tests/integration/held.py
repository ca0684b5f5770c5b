"""Documents on their way, each held at another step of it, so that a fault can be done there for as long as a test needs."""

import hashlib
import json

from PIL import Image, ImageDraw
import psycopg

import faults
import servers
from offices import KEY, STORAGE_KEY
from pdf_writer import Pdf

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3
PAGES = 3
# In the order in which they are set up: what waits for a statement, which has a deadline, comes last.
STEPS = ("fetching", "rendering", "reading", "checkpointing", "completing", "claimed", "claiming")


def picture(name, page):
    """Lines on a paper like no other, whose grain makes the PNG larger than a pipe: the renderer has to wait for its reader."""
    grain = hashlib.shake_256(f"{name}/{page}".encode()).digest(340 * 340)
    image = Image.frombytes("L", (340, 340), grain).point(lambda value: 192 + value // 4)
    draw = ImageDraw.Draw(image)
    for line in range(6):
        draw.text((20, 20 + 45 * line), f"{name}, page {page}, ligne {line + 1}", fill=20)
    return image


def pixels(image):
    """As the double of Gemini names an image."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


class Document:
    def __init__(self, office, name, pages=PAGES):
        self.db, self.name = office.db, name
        self.images = [pixels(picture(name, page)) for page in range(1, pages + 1)]
        pdf = Pdf()
        sheets = [pdf.page("q 340 0 0 340 0 0 cm /I Do Q", (0, 0, 340, 340), {"I": pdf.image(picture(name, page))}) for page in range(1, pages + 1)]
        self.path = office.put("acte", f"{name}.pdf", content=pdf.write(sheets))
        self.id = None

    def enqueue(self):
        self.id = self.db.add(source="acte", path=self.path, document_number=self.name)[0]
        return self

    def row(self, *columns):
        return self.db.row(self.id, *columns)

    def image(self, page):
        return self.images[page - 1]

    def calls(self, double):
        """How often each page was sent to the engine."""
        sent = [r.get("sha256") for r in double.requests() if r.get("method") == "generateContent"]
        return [sent.count(image) for image in self.images]

    def assert_own_text(self):
        """Each page has what was made from its own image, and nothing of another's."""
        pages = self.row("file_content")["pages"]
        assert [page["page"] for page in pages] == list(range(1, len(self.images) + 1)), (self.name, pages)
        for page, image in zip(pages, self.images):
            assert page["isCompleted"] and image[:16] in json.dumps(page), (self.name, page)
            assert not any(other[:16] in json.dumps(page) for other in self.images if other != image), (self.name, page)


class Held:
    """A daemon with one worker for each of the steps, and a document held there; victims: step -> its worker as status shows it."""

    def __init__(self, office, storage, gemini, proxy, new_daemon, steps=STEPS, **sections):
        self.office, self.db, self.gemini, self.storage, self.proxy, self.steps = office, office.db, gemini, storage(office), proxy, steps
        self.history = faults.History(self.db)
        self.documents = {step: Document(office, step) for step in steps}
        self.lock = None
        self.gates = {}
        if "checkpointing" in steps:
            self.shut("checkpointing", "INSERT", "extraction_queue_page", f"NEW.result::text LIKE '%{self.documents['checkpointing'].image(2)[:16]}%'")
        if "claiming" in steps:
            self.shut("claiming", "UPDATE", "extraction_queue", f"NEW.document_number = 'claiming' AND NEW.status_id = {CLAIMED}")
        database = self.db.postgres.url(self.db.name, port=proxy.port)
        environment = {"database": database, "supabase_url": self.storage.url, "service_key": STORAGE_KEY}
        sections = {"queue": {"sources": ["acte"], "poll_interval": 1, "lease": 6, "backoff": 0.5, "idle_close": 5},
                    "engine": {"use": "gemini", "page_concurrency": 1}, "render": {"format": "png"},
                    "gemini": {"api_key": KEY, "base_url": gemini.url}, **sections}
        # A sanitizer would make an exit status of the signal.
        self.daemon = new_daemon({"prod": environment}, sections=sections, workers=len(steps),
                                 variables={"ASAN_OPTIONS": "handle_segv=0:handle_abort=0"}).start()
        for step in steps:
            getattr(self, "hold_" + step)(self.documents[step])
        self.victims = {step: self.worker(step) for step in steps}

    # -- holding, as long as it takes

    def hold_fetching(self, document):
        self.storage.hold("fetching", {"path": document.path})
        document.enqueue()
        servers.wait_for(lambda: [r for r in self.storage.requests() if r.get("path") == document.path], "the download")

    def hold_page(self, document, page):
        self.gemini.hold(f"{document.name} {page}", {"sha256": document.image(page)})

    def wait_for_call(self, document, page):
        servers.wait_for(lambda: document.calls(self.gemini)[page - 1] > 0, f"the call for page {page} of {document.name}")

    def wait_for_stored(self, document, page):
        servers.wait_for(lambda: self.db.one("SELECT count(*) FROM extraction_queue_page WHERE queue_id::text = %s AND page = %s", [document.id, page]) == 1,
                         f"page {page} of {document.name} to be stored")

    def let_go(self, document, page):
        self.gemini.release(f"{document.name} {page}")

    def hold_rendering(self, document):
        """While the first page is out, the renderer has the second one ready, and waits to be asked for it: it is stopped there."""
        self.hold_page(document, 1)
        document.enqueue()
        self.wait_for_call(document, 1)
        worker = self.worker(document.name)["pid"]
        self.renderer = servers.wait_for(lambda: faults.helper_of(worker, "indexocr-render"), "the renderer")
        faults.inflict(faults.FROZEN, self.renderer)
        self.let_go(document, 1)
        self.wait_for_stored(document, 1)

    def hold_reading(self, document):
        self.hold_page(document, 2)
        document.enqueue()
        self.wait_for_call(document, 2)
        self.wait_for_stored(document, 1)

    def shut(self, step, event, table, condition):
        self.gates[step] = faults.Gate(self.db)
        self.gates[step].before(event, table, condition)

    def hold_checkpointing(self, document):
        self.hold_page(document, 2)
        document.enqueue()
        self.wait_for_stored(document, 1)
        servers.wait_for(lambda: self.db.one("SELECT created_at < now() - interval '0.2 seconds' FROM extraction_queue_page WHERE queue_id::text = %s", [document.id]),
                         "a moment to pass: pages that come within one are stored together")
        self.let_go(document, 2)
        servers.wait_for(self.gates["checkpointing"].held, "page 2 to be about to be stored")

    def hold_completing(self, document):
        """By somebody's open transaction on the row."""
        self.hold_page(document, PAGES)
        document.enqueue()
        self.wait_for_call(document, PAGES)
        self.wait_for_stored(document, PAGES - 1)
        self.lock = psycopg.connect(self.db.url)
        self.lock.execute("SELECT FROM extraction_queue WHERE id = %s FOR UPDATE", [document.id])
        self.let_go(document, PAGES)
        servers.wait_for(lambda: self.db.one("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'",
                                             [document.row("worker_id")]) == 1, "the result to be about to be written")

    def hold_claimed(self, document):
        """The claim stands, its answer is under way."""
        self.proxy.hold(document.path.encode())
        document.enqueue()
        assert self.proxy.holding.wait(servers.START_TIMEOUT_S)

    def hold_claiming(self, document):
        """The statement is under way, and nobody sees anything of it."""
        document.enqueue()
        servers.wait_for(self.gates["claiming"].held, "the claim to be about to be made")

    # -- looking

    def worker(self, step):
        id_ = self.gates["claiming"].held() if step == "claiming" else self.documents[step].row("worker_id")
        return next(p for p in self.daemon.processes() if p["id"] == id_)

    def server_completed(self):
        """The dead worker's result was written all the same. Otherwise the keeper was quicker to get hold of the row when it was let go,
        gave it back, and the page that was to be stored with the result is lost."""
        return not self.history.of(self.documents["completing"].id, "n", after=READY)

    def calls_of_the_dead(self, step):
        """How often each page is sent in all where a worker is gone at that step: only what was not stored is sent again."""
        if step == "completing":
            return [1, 1, 1 if self.server_completed() else 2]
        return [1, 2, 1] if step == "reading" else [1, 1, 1]

    def assert_all_done_at_the_first_attempt(self):
        for step, document in self.documents.items():
            assert document.row("status_id", "ocr_attempts", "ocr_losses", "ocr_error") == (DONE, 1, 0, None), step
            assert document.calls(self.gemini) == [1] * PAGES, step
            assert len(self.history.of(document.id, "n", after=DONE)) == 1, step
            document.assert_own_text()

    # -- letting go

    def go_on(self):
        """Nothing holds back anything any more."""
        for gate in self.gates.values():
            gate.open()
        if self.lock:
            self.lock.rollback()
        self.proxy.release()
        self.storage.release("fetching")
        for document in self.documents.values():
            for page in range(1, PAGES + 1):
                self.let_go(document, page)
        if faults.state(self.renderer) == "T":
            faults.thaw(self.renderer)

    def close(self):
        for connection in [gate.connection for gate in self.gates.values()] + [self.lock] * bool(self.lock):
            connection.close()
