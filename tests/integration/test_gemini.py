"""The Gemini engine against the double of the API: what is sent, what comes back, every way to fail."""

import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys

import pytest
from PIL import Image

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "fakes"))

from launch import Double  # noqa: E402

KEY = "AQ.test-key-of-this-test"
MODEL = "gemini-3.5-flash-lite"
LIMIT_S = 60


def page(path, number, size=(60, 80)):
    image = Image.new("RGB", size, (number * 7 % 256, 200, 100))
    image.save(path)
    return path, hashlib.sha256(image.tobytes()).hexdigest()[:16]


class Driver:
    def __init__(self, double, directory):
        build = pathlib.Path(os.environ.get("builddir", SOURCE / "build"))
        self.program, self.double = build / "tests/integration/gemini_driver", double
        self.pages = [page(directory / f"{n}.png", n) for n in range(1, 13)]

    def run(self, do, images=(), **more):
        """(answers in the order they came, how the whole ended)"""
        given = {"do": do, "base_url": self.double.url, "key": KEY, "model": MODEL, "prompt": "Lis cette page.", **more}
        command = [str(self.program)] + [f"{k}={v}" for k, v in given.items()] + [f"image={i}" for i in images]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr
        assert KEY not in done.stdout + done.stderr
        *answers, end = [json.loads(line) for line in done.stdout.splitlines()]
        return answers, end

    def read(self, count=1, **more):
        answers, end = self.run("read", [path for path, _ in self.pages[:count]], **more)
        assert end == {"ok": True}
        return answers

    def read_one(self, **more):
        return self.read(1, **more)[0]


@pytest.fixture(scope="module")
def double():
    with Double("gemini", "--key", KEY) as running:
        yield running


@pytest.fixture
def driver(double, tmp_path):
    double.reset()
    return Driver(double, tmp_path)


def failed(answer, kind, code):
    assert "body" not in answer
    assert (answer["error"]["kind"], answer["error"]["code"]) == (kind, code), answer


# --- what is sent ----------------------------------------------------------------------------------------------------------

def test_a_page_is_read_and_nothing_that_was_sent_is_refused(driver):
    answer = driver.read_one()
    sha = driver.pages[0][1]
    assert answer["body"]["lines"] == [f"Texte de la page {sha}", "60 x 80", f"Fin de la page {sha}"]
    assert answer["body"]["rows"] is None and answer["finish_reason"] == "STOP" and answer["model"] == MODEL
    request, = driver.double.requests()
    assert answer["tokens"]["input"] == request["prompt_tokens"] > 1120
    assert request["prompts"] == ["Lis cette page."] and request["generationConfig"] == {"maxOutputTokens": 8192}
    assert request["extra"] == {} and request["query"] == {}


def test_headers_carry_key_deadline_and_length(driver):
    driver.read_one(timeout_ms=20000)
    headers = driver.double.requests()[0]["headers"]
    assert headers["X-Server-Timeout"] == "15" and headers["Content-Type"] == "application/json"
    assert int(headers["Content-Length"]) == driver.double.requests()[0]["body_bytes"]
    assert "Authorization" not in headers and "Expect" not in headers


def test_a_large_image_arrives_as_it_was(driver, tmp_path):
    path = tmp_path / "large.png"
    image = Image.frombytes("RGB", (1700, 1100), os.urandom(1700 * 1100 * 3))
    image.save(path)
    answers, _ = driver.run("read", [path])
    assert "body" in answers[0]
    reply = driver.double.send("GET", "/_control/images/1")
    assert reply.body == path.read_bytes()
    assert Image.open(io.BytesIO(reply.body)).tobytes() == image.tobytes()


def test_an_index_page_comes_as_header_and_rows_of_six(driver):
    body = driver.read_one(table=1)["body"]
    sha = driver.pages[0][1]
    assert body["header"]["lot"] == f"lot {sha}" and body["rotation"] == 0 and body["struck"] == []
    assert len(body["rows"]) >= 2 and all(len(row) == 6 for row in body["rows"]) and sha in body["rows"][0][0]
    config = driver.double.requests()[0]["generationConfig"]
    assert config["responseMimeType"] == "application/json" and "responseJsonSchema" in config


def test_optional_fields_are_sent_when_set(driver):
    assert "body" in driver.read_one(store=0, thinking_level="low")
    request, = driver.double.requests()
    assert request["extra"] == {"store": False}
    assert request["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "low"}


def test_pages_run_side_by_side_and_come_back_each_once(driver):
    driver.double.control("delay", {"min_ms": 20, "max_ms": 200})
    answers = driver.read(12, at_once=5)
    assert sorted(answer["page"] for answer in answers) == list(range(1, 13))
    for answer in answers:
        assert driver.pages[answer["page"] - 1][1] in answer["body"]["text"]
    assert driver.double.stats()["max_in_flight"] == 5


def test_a_slow_page_does_not_hold_back_the_others(driver):
    driver.double.fail("slow", delay_ms=1500, match={"sha256": driver.pages[0][1]})
    answers = driver.read(4)
    assert answers[-1]["page"] == 1


def test_cancelled_calls_give_no_answer(driver):
    driver.double.fail("hang", times=2)
    assert sorted(answer["page"] for answer in driver.read(4, cancel=2, at_once=4, timeout_ms=3000)) == [3, 4]


def test_the_estimate_learns_from_what_was_counted(driver):
    estimates = [answer["estimate"] for answer in driver.read(12, at_once=1, prompt="mot " * 4000)]
    actual = driver.double.requests()[0]["prompt_tokens"]
    assert abs(estimates[-1] - actual) < abs(estimates[0] - actual) and estimates == sorted(estimates, reverse=True)


# --- answers ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["several_parts", "thought_parts"])
def test_all_parts_but_thoughts_make_the_text(driver, mode):
    driver.double.fail(mode)
    sha = driver.pages[0][1]
    assert driver.read_one()["body"]["text"] == f"Texte de la page {sha}\n60 x 80\nFin de la page {sha}"


def test_nul_and_half_surrogates_do_not_spoil_the_page(driver):
    driver.double.fail("escapes")
    text = driver.read_one()["body"]["text"]
    assert "\0" not in text and "Fin de la page" in text and "�" in text


def test_a_fenced_table_is_taken(driver):
    driver.double.fail("fenced_json")
    assert len(driver.read_one(table=1)["body"]["rows"]) >= 2


def test_no_text_is_a_blank_page(driver):
    driver.double.fail("text", text="NO_TEXT")
    assert driver.read_one()["body"]["lines"] == []


def test_the_model_that_answered_is_told(driver):
    driver.double.fail("rerouted", model_version="gemini-3.8-flash")
    assert driver.read_one()["model"] == "gemini-3.8-flash"


FINISH = {"MAX_TOKENS": ("truncated", "max-tokens"), "CONTINUATION": ("truncated", "continuation"),
          "RECITATION": ("refused", "recitation"), "SAFETY": ("refused", "safety"), "BLOCKLIST": ("refused", "blocklist"),
          "PROHIBITED_CONTENT": ("refused", "prohibited-content"), "SPII": ("refused", "spii"), "LANGUAGE": ("refused", "language"),
          "OTHER": ("refused", "other"), "MALFORMED_RESPONSE": ("refused", "malformed-response"),
          "MALFORMED_FUNCTION_CALL": ("request", "finish-reason"), "NEW_IN_2027": ("request", "finish-reason")}


@pytest.mark.parametrize("reason", FINISH)
def test_every_other_ending_is_a_failure_with_its_tokens(driver, reason):
    driver.double.fail("finish:" + reason)
    answer = driver.read_one(table=1)
    failed(answer, *FINISH[reason])
    assert answer["finish_reason"] == reason and answer["tokens"]["input"] == driver.double.requests()[0]["prompt_tokens"]


@pytest.mark.parametrize("mode, kind, code", [
    ("blocked", "refused", "blocked"), ("no_candidates", "empty", "no-candidate"), ("empty_candidates", "empty", "no-candidate"),
    ("stop_no_parts", "empty", "empty"), ("stop_empty_parts", "empty", "empty"), ("stop_empty_text", "empty", "empty"),
    ("stop_no_content", "empty", "empty"), ("no_finish_reason", "truncated", "no-finish-reason"),
    ("thinking_only", "truncated", "max-tokens"), ("truncated_json", "truncated", "bad-json"),
    ("invalid_json", "truncated", "bad-json"), ("wrong_rows", "truncated", "bad-rows"), ("loop", "truncated", "max-tokens"),
    ("empty_body", "transient", "bad-answer"), ("bad_body", "transient", "bad-answer"),
    ("cut_before", "transient", "cut"), ("cut_middle", "transient", "cut"), ("garbage", "transient", "cut"),
])
def test_every_broken_answer_has_its_name(driver, mode, kind, code):
    driver.double.fail(mode)
    failed(driver.read_one(table=1), kind, code)


def test_silence_ends_with_the_timeout(driver):
    driver.double.fail("hang")
    failed(driver.read_one(timeout_ms=300), "transient", "timeout")


# --- statuses ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("mode, kind, code", [
    ("400", "request", "bad-request"), ("400_key", "config", "key-refused"), ("400_field", "config", "field"),
    ("400_image", "request", "bad-request"), ("400_precondition", "config", "precondition"), ("401", "config", "key-refused"),
    ("403", "config", "api-disabled"), ("403_leaked", "config", "key-refused"), ("404", "config", "no-model"),
    ("404_retired", "config", "no-model"), ("408", "transient", "http-408"), ("499", "transient", "http-499"),
    ("500", "transient", "http-500"), ("503", "transient", "http-503"), ("503_demand", "transient", "http-503"),
    ("504", "transient", "http-504"), ("429_day", "quota-day", "quota-day"), ("429_limit0", "config", "no-quota"),
])
def test_every_status_has_its_name(driver, mode, kind, code, wrap):
    driver.double.fail(mode, wrap=wrap)
    answer = driver.read_one()
    failed(answer, kind, code)
    assert answer["error"]["retry_after_ms"] == 0


@pytest.mark.parametrize("mode, kind, code", [("411", "transient", "http-411"), ("413", "request", "too-large")])
def test_front_ends_that_answer_html_are_understood(driver, mode, kind, code):
    driver.double.fail(mode)
    failed(driver.read_one(), kind, code)


@pytest.mark.parametrize("pad", [0, 110, 118])
def test_a_server_that_repeats_the_key_is_not_quoted(tmp_path, pad):
    """Not in part either, and whatever the key looks like: the message is cut behind 240 bytes."""
    with Double("gemini", "--key", "zq-plain-key-of-no-known-form") as double:
        driver = Driver(double, tmp_path)
        double.fail("echo_key", pad=pad)
        answer = driver.read_one(key="zq-plain-key-of-no-known-form")
    failed(answer, "transient", "http-500")
    assert "é" * pad + "*" in answer["error"]["text"]
    assert "zq" not in answer["error"]["text"] and "?" not in answer["error"]["text"]


@pytest.mark.parametrize("mode, more, ms", [
    ("429", {}, 34208), ("429", {"retry_delay": "2s"}, 2000), ("429_tokens", {"retry_delay": "0.5s"}, 500),
    ("429_no_delay", {}, 60000), ("429_bare", {}, 0), ("429_bare", {"retry_after": 9}, 9000),
    ("429", {"retry_delay": "2s", "retry_after": 9}, 9000),
])
def test_a_quota_for_now_says_how_long(driver, mode, more, ms):
    driver.double.fail(mode, **more)
    answer = driver.read_one()
    failed(answer, "quota", "quota")
    assert answer["error"]["retry_after_ms"] == ms


# --- the first question -------------------------------------------------------------------------------------------------------

def test_a_probe_tells_key_model_and_address_apart(driver):
    assert driver.run("probe")[1] == {"ok": True}
    for given, code in (({"key": "wrong"}, "key-refused"), ({"model": "gemini-1.0"}, "no-model"), ({"key": ""}, "no-key"),
                        ({"base_url": driver.double.url + "/elsewhere/"}, "no-model")):
        end = driver.run("probe", **given)[1]
        assert (end["error"]["kind"], end["error"]["code"]) == ("config", code), end
    assert driver.run("probe", base_url=driver.double.url + "/")[1] == {"ok": True}
    assert driver.run("probe", base_url="http://127.0.0.1:1")[1]["error"]["code"] == "connect"
