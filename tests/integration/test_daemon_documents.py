"""What becomes of documents: the whole way from the queue to text, against real servers."""

import hashlib
import io
import json
import subprocess
import sys

from PIL import Image
import pytest

import offices
import servers
from cer import cer
from offices import KEY

DONE, FAILED, CLAIMED, READY = 4, 5, 2, 3
ACTES = {"sources": ["acte", "index"], "poll_interval": 1}


def gemini_sections(double, **engine):
    return {"queue": {**ACTES, "backoff": 1, "max_attempts": 2}, "engine": {"use": "gemini", "page_concurrency": 4, **engine},
            "gemini": {"api_key": KEY, "base_url": double.url}}


def wait_until_idle(*rooms, timeout_s=240):
    servers.wait_for(lambda: all(room.idle() for room in rooms), "the queue to be empty", timeout_s)


def finish(daemon):
    assert daemon.drain() == 0
    assert "Sanitizer" not in daemon.log()


def test_scans_nobody_has_seen_become_text_with_the_local_engine(new_office, new_daemon, tmp_path):
    office = new_office()
    truths = {}
    for kind, source, coding in (("letter", "acte", "g4"), ("ruled", "index", "jpeg")):
        for pdf in offices.generated(tmp_path / kind, kind, count=2, coding=coding):
            truths[office.add(pdf.name, source, pdf)] = json.loads(pdf.with_suffix(".json").read_text())
    daemon = new_daemon({"prod": office.settings()}, sections={"queue": ACTES}, workers=2).start()
    wait_until_idle(office)
    finish(daemon)
    for id_, truth in truths.items():
        status, worker, result = office.db.row(id_, "status_id", "worker_id", "file_content")
        assert (status, worker) == (DONE, None)
        rate = cer("\n".join(p["text"] for p in truth["pages"]), "\n".join(p["text"] for p in result["pages"]))
        print(f"document {id_} ({truth['source']}): character error rate {100 * rate:.2f} %")
        assert rate < 0.02


def test_a_register_read_by_gemini_has_header_six_columns_and_tokens(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    pdf = offices.generated(tmp_path, "ruled", pages=2)[0]
    id_ = office.add(pdf.name, "index", pdf)
    daemon = new_daemon({"prod": office.settings()}, sections=gemini_sections(double)).start()
    wait_until_idle(office)
    finish(daemon)
    result = office.document(id_)
    assert [page["page"] for page in result["pages"]] == [1, 2]
    for page in result["pages"]:
        assert page["isCompleted"] is True and page["finishReason"] == "STOP"
        assert all(page["header"][key] for key in ("circonscription", "cadastre", "lot", "feuille"))
        for line in page["lines"]:
            assert {"index", "rawLine", "party", "nature", "date", "publicationNo", "radiation", "remarks", "confidence", "struck"} <= set(line)
            assert line["party"] and line["rawLine"].count("|") >= 5
    tokens = result["indexocr"]["tokens"]
    assert tokens["input"] > 0 and tokens["output"] > 0
    assert tokens["total"] == sum(page["tokens"]["total"] for page in result["pages"])
    assert result["totalLines"] == sum(len(page["lines"]) for page in result["pages"])
    assert result["models"] == {"extraction": "gemini"} and result["runId"].startswith(f"job-{id_}-")
    assert office.db.row(id_, "boosted_file_content") == result
    jq = subprocess.run(["jq", "-r", ".pages[].lines[].party"], input=json.dumps(result), capture_output=True, text=True, check=True)
    assert len(jq.stdout.splitlines()) == result["totalLines"]


def test_every_page_reaches_the_engine_once_in_order_and_its_answer_its_page(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    images = [offices.page_image(n, 700 + n, 500) for n in range(12)]
    id_ = office.add("pages.pdf", "index", offices.pdf_of(images, tmp_path / "pages.pdf"))
    daemon = new_daemon({"prod": office.settings()}, sections=gemini_sections(double), workers=1).start()
    wait_until_idle(office)
    finish(daemon)
    requests = [r for r in double.requests() if r.get("method") == "generateContent"]
    assert len(requests) == len(images)
    seen = {}
    for number, request in enumerate(requests):
        reply = double.send("GET", f"/_control/images/{request.get('n', number)}")
        image = Image.open(io.BytesIO(reply.body))
        seen[image.width - 700] = hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()[:16]
    assert sorted(seen) == list(range(12)), "each page once, at the scan's own resolution"
    for page in office.document(id_)["pages"]:
        assert seen[page["page"] - 1] in json.dumps(page["lines"]), "the answer made for this page's image"


def test_everything_in_prod_is_taken_before_staging_and_that_before_dev(new_office, new_daemon, gemini, tmp_path):
    rooms, double = {name: new_office() for name in ("prod", "staging", "dev")}, gemini()
    for name in ("dev", "staging", "prod"):
        for n in range(6):
            rooms[name].add(f"{n}.pdf", "acte", offices.pdf_of([offices.page_image(n)], tmp_path / "one.pdf"))
    daemon = new_daemon({name: room.settings() for name, room in rooms.items()}, sections=gemini_sections(double), workers=2).start()
    wait_until_idle(*rooms.values())
    finish(daemon)
    span = {name: room.db.one("SELECT min(ocr_started_at), max(ocr_started_at) FROM extraction_queue") for name, room in rooms.items()}
    assert span["prod"][1] < span["staging"][0] and span["staging"][1] < span["dev"][0]


def test_rows_of_other_sources_and_claims_of_other_programs_are_left_alone(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    pdf = offices.pdf_of([offices.page_image(1)], tmp_path / "one.pdf")
    office.put("acte", "one.pdf", pdf)
    ours = office.add("ours.pdf", "acte", pdf)
    plan = office.add("plan.pdf", "plan_cadastraux", pdf)
    foreign = office.db.add(source="acte", status=CLAIMED, path="one.pdf", worker_id="worker-of-the-older-kind")[0]
    waiting = office.db.add(source="acte", status=1, path="one.pdf")[0]
    before = [office.db.row(i, "to_jsonb(extraction_queue)::text") for i in (plan, foreign, waiting)]
    daemon = new_daemon({"prod": office.settings()}, sections=gemini_sections(double)).start()
    servers.wait_for(lambda: office.db.row(ours, "status_id") == DONE, "our document")
    servers.wait_for(lambda: daemon.status()["environments"][0]["foreign"] == 1, "the foreign claim to be counted")
    finish(daemon)
    assert [office.db.row(i, "to_jsonb(extraction_queue)::text") for i in (plan, foreign, waiting)] == before


def test_eight_workers_read_five_hundred_documents_exactly_once(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    for n in range(500):
        office.put("acte", f"{n}.pdf", offices.pdf_of([offices.page_image(n)], tmp_path / "one.pdf"))
    office.db.execute("CREATE TABLE audit (id text, worker text)")
    office.db.execute("""CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit VALUES (OLD.id::text, OLD.worker_id); RETURN NEW; END $$""")
    office.db.execute("CREATE TRIGGER note BEFORE UPDATE ON extraction_queue FOR EACH ROW WHEN (NEW.status_id = 4) EXECUTE FUNCTION note()")
    office.db.execute("""INSERT INTO extraction_queue (document_source, status_id, supabase_path, document_number)
        SELECT 'acte', 3, n || '.pdf', n::text FROM generate_series(0, 499) AS n""")
    daemon = new_daemon({"prod": office.settings()}, sections=gemini_sections(double), workers=8).start()
    wait_until_idle(office)
    finish(daemon)
    assert office.count(DONE) == 500
    assert office.db.one("SELECT count(*), count(DISTINCT id) FROM audit") == (500, 500)
    shares = dict(office.db.execute("SELECT worker, count(*) FROM audit GROUP BY worker"))
    print("documents a worker:", shares)
    assert len(shares) == 8 and max(shares.values()) < 250
    calls = [r for r in double.requests() if r.get("method") == "generateContent"]
    assert len(calls) == 500 and len({r["sha256"] for r in calls}) == 500


def test_documents_that_cannot_be_read_fail_in_plain_words_and_harm_no_other(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    subprocess.run([sys.executable, offices.GENERATE, "--poison", tmp_path / "poison"], check=True, timeout=300)
    poison = {name: office.add(f"{name}.pdf", "acte", tmp_path / "poison" / f"{name}.pdf")
              for name in ("html", "empty", "truncated", "encrypted", "zero-pages", "many-pages", "huge-image")}
    poison["missing"] = office.db.add(source="acte", path="nowhere.pdf")[0]
    poison["nothing"] = office.db.add(source="acte", path=None)[0]
    good = [office.add(f"good-{n}.pdf", "acte", offices.pdf_of([offices.page_image(n)], tmp_path / "one.pdf")) for n in range(3)]
    daemon = new_daemon({"prod": office.settings()}, sections=gemini_sections(double)).start()
    wait_until_idle(office)
    finish(daemon)
    assert all(office.db.row(id_, "status_id") == DONE for id_ in good)
    words = {"html": "PDF", "empty": "empty", "truncated": "", "encrypted": "encrypted", "zero-pages": "", "many-pages": "pages", "huge-image": "pixels",
             "missing": "nowhere.pdf", "nothing": "path"}
    for name, id_ in poison.items():
        status, worker, error, attempts = office.db.row(id_, "status_id", "worker_id", "ocr_error", "ocr_attempts")
        print(f"{name}: {error} (attempts: {attempts})")
        assert (status, worker) == (FAILED, None), name
        assert error and words[name].lower() in error.lower(), (name, error)
        assert attempts == (2 if name == "missing" else 1), name


@pytest.mark.parametrize("mode, times", [("429", 1), ("500", 1), ("503", 2), ("502", 1), ("504", 1), ("cut_before", 1), ("cut_middle", 1), ("garbage", 1)])
def test_a_passing_fault_of_the_engine_costs_no_attempt(new_office, new_daemon, gemini, tmp_path, mode, times):
    office, double = new_office(), gemini()
    id_ = office.add("one.pdf", "acte", offices.pdf_of([offices.page_image(1)], tmp_path / "one.pdf"))
    more = {"retry_delay": "0.5s"} if mode == "429" else {}
    double.fail(mode, times=times, **more)
    daemon = new_daemon({"prod": office.settings()}, sections=gemini_sections(double)).start()
    wait_until_idle(office)
    finish(daemon)
    assert office.db.row(id_, "status_id", "ocr_attempts") == (DONE, 1)
    assert len([r for r in double.requests() if r.get("method") == "generateContent"]) == times + 1


def test_a_refused_key_is_nobody_s_attempt_and_is_seen_nowhere(new_office, new_daemon, gemini, tmp_path):
    office, double = new_office(), gemini()
    id_ = office.add("one.pdf", "acte", offices.pdf_of([offices.page_image(1)], tmp_path / "one.pdf"))
    sections = gemini_sections(double)
    sections["gemini"]["api_key"] = "AQ.another-key-that-must-not-be-seen"
    daemon = new_daemon({"prod": office.settings()}, sections=sections).start()
    servers.wait_for(lambda: daemon.messages("Job processing failed"), "the refusal")
    servers.wait_for(lambda: office.db.row(id_, "status_id", "worker_id", "ocr_attempts") == (READY, None, 0), "the claim to be given back")
    finish(daemon)
    assert "another-key" not in daemon.everything_said()


@pytest.mark.parametrize("id_type, content", [("uuid", "text"), ("bigint", "jsonb")])
def test_ids_and_result_columns_of_either_type(new_office, new_daemon, gemini, tmp_path, id_type, content):
    office, double = new_office(id_type=id_type, content=content), gemini()
    id_ = office.add("one.pdf", "acte", offices.pdf_of([offices.page_image(1)], tmp_path / "one.pdf"))
    daemon = new_daemon({"prod": office.settings()}, sections=gemini_sections(double)).start()
    wait_until_idle(office)
    finish(daemon)
    result = office.document(id_)
    result = json.loads(result) if content == "text" else result
    assert result["totalPages"] == 1 and result["pages"][0]["text"]


def test_reading_one_local_file_prints_its_result(programs, tmp_path):
    pdf = offices.generated(tmp_path, "letter", coding="jpeg")[0]
    truth = json.loads(pdf.with_suffix(".json").read_text())
    conf = tmp_path / "read.conf"
    conf.write_text(f'user = "nobody"\nengine {{ prompt_directory = "{programs / "prompts"}" }}\nrender_helper = "{programs / "indexocr-render"}"\n'
                    f'tesseract_helper = "{programs / "indexocr-tesseract"}"\n')
    conf.chmod(0o600)
    answer = servers.run([programs / "indexocrctl", "-c", conf, "read", "--json", "--engine", "tesseract", pdf], timeout_s=120)
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    assert result["totalPages"] == len(truth["pages"]) and result["indexocr"]["engine"] == "tesseract"
    assert cer(truth["pages"][0]["text"], result["pages"][0]["text"]) < 0.02
    answer = servers.run([programs / "indexocrctl", "-c", conf, "read", "--engine", "tesseract", tmp_path / "nothing.pdf"])
    assert answer.returncode == 66 and "nothing.pdf" in answer.stderr
