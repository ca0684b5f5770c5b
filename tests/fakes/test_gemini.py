"""The Gemini double is as strict as the API and fails as it does."""

import base64
import concurrent.futures
import copy
import hashlib
import http.client
import io
import json
import subprocess
import sys
import time

import pytest
from PIL import Image

import gemini_answer
from launch import HERE, Double

KEY = "AQ.a-key-for-tests"
MODEL = "gemini-3.5-flash-lite"
SCHEMA = {"type": "object", "required": ["header", "rows"], "properties": {
    "header": {"type": "object", "properties": {n: {"type": "string"} for n in ("circonscription", "cadastre", "lot", "feuille")}},
    "rotation": {"type": "integer"}, "struck": {"type": "array", "items": {"type": "integer"}},
    "rows": {"type": "array", "items": {"type": "array", "items": {"type": "string"}, "minItems": 6, "maxItems": 6}}}}


@pytest.fixture(scope="module")
def server():
    with Double("gemini", "--key", KEY) as running:
        yield running


@pytest.fixture
def gemini(server):
    server.reset()
    return server


def picture(shade=200, size=(700, 900), kind="PNG"):
    out = io.BytesIO()
    Image.new("RGB", size, (shade, shade, shade // 2)).save(out, kind)
    return out.getvalue()


def body(image=None, schema=SCHEMA, prompt="Transcris ce tableau."):
    parts = [{"inlineData": {"mimeType": "image/png", "data": base64.b64encode(image or picture()).decode()}}, {"text": prompt}]
    config = {"maxOutputTokens": 8192}
    if schema:
        config.update(responseMimeType="application/json", responseJsonSchema=schema)
    return {"systemInstruction": {"parts": [{"text": "Tu lis des pages."}]}, "contents": [{"role": "user", "parts": parts}],
            "generationConfig": config}


def call(gemini, request=None, method="generateContent", model=MODEL, raw=None, query="", **headers):
    sent = {"Content-Type": "application/json", "x-goog-api-key": KEY, **{k.replace("_", "-"): v for k, v in headers.items()}}
    sent = {name: value for name, value in sent.items() if value is not None}
    data = raw if raw is not None else json.dumps(request or body()).encode()
    return gemini.send("POST", f"/v1beta/models/{model}:{method}{query}", data, sent)


def text_of(reply):
    return "".join(p["text"] for p in reply.json()["candidates"][0]["content"]["parts"] if not p.get("thought"))


def changed(path, value):
    """A good request in which one place is set to value (None: removed)."""
    request = copy.deepcopy(body())
    place = request
    for step in path[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return request


# --- what it answers ---------------------------------------------------------------------------------------------

def test_answer_names_the_image_and_fits_the_schema(gemini):
    image = picture(77)
    reply = call(gemini, body(image))
    assert reply.status == 200
    key = hashlib.sha256(Image.open(io.BytesIO(image)).convert("RGB").tobytes()).hexdigest()[:16]
    answer = json.loads(text_of(reply))
    assert set(answer) == {"header", "rotation", "struck", "rows"}
    assert len(answer["rows"]) >= 2 and all(len(row) == 6 and key in row[0] for row in answer["rows"])
    assert key in answer["header"]["lot"]


def test_two_images_get_two_answers_and_one_image_always_the_same(gemini):
    first, second, again = (text_of(call(gemini, body(picture(s)))) for s in (10, 11, 10))
    assert first != second and first == again


def test_rows_of_objects_are_answered_as_objects(gemini):
    row = {"type": "object", "properties": {n: {"type": "string"} for n in ("party", "nature", "date")}}
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": row}}}
    answer = json.loads(text_of(call(gemini, body(schema=schema))))
    assert answer["rows"][0]["nature"] == "vente"


def test_without_schema_the_answer_is_plain_text(gemini):
    assert text_of(call(gemini, body(schema=None, prompt="Lis cette page."))).startswith("Texte de la page ")


@pytest.mark.parametrize("model,size,resolution,tokens", [
    ("gemini-3.5-flash-lite", (700, 900), None, 1120), ("gemini-3.5-flash-lite", (700, 900), "MEDIA_RESOLUTION_LOW", 280),
    ("gemini-2.5-flash-lite", (384, 384), None, 258), ("gemini-2.5-flash-lite", (1700, 2200), None, 258 * 9)])
def test_usage_follows_the_token_rules(gemini, model, size, resolution, tokens):
    request = body(picture(size=size))
    if resolution:
        request["generationConfig"]["mediaResolution"] = resolution
    usage = call(gemini, request, model=model).json()["usageMetadata"]
    assert {"modality": "IMAGE", "tokenCount": tokens} in usage["promptTokensDetails"]
    assert usage["promptTokenCount"] == sum(d["tokenCount"] for d in usage["promptTokensDetails"])
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"]


def test_output_is_cut_at_max_output_tokens(gemini):
    reply = call(gemini, changed(["generationConfig", "maxOutputTokens"], 10))
    assert reply.json()["candidates"][0]["finishReason"] == "MAX_TOKENS" and len(text_of(reply)) == 40


def test_given_answers_by_pixels_by_likeness_and_by_order(gemini, tmp_path):
    gradient = Image.radial_gradient("L").resize((700, 900))
    gradient.save(tmp_path / "page.png")
    out = io.BytesIO()
    gradient.resize((350, 450)).save(out, "JPEG", quality=60)
    key = hashlib.sha256(Image.open(io.BytesIO(picture(5))).convert("RGB").tobytes()).hexdigest()
    gemini.control("answers", {"by_sha256": {key[:20]: {"a": 1}}, "by_order": ["un", "deux"],
                               "by_image": [{"image": str(tmp_path / "page.png"), "answer": "la page"}]})
    assert json.loads(text_of(call(gemini, body(picture(5))))) == {"a": 1}
    request = body(out.getvalue())
    request["contents"][0]["parts"][0]["inlineData"]["mimeType"] = "image/jpeg"
    assert text_of(call(gemini, request)) == "la page"
    assert [text_of(call(gemini, body(picture(99)))) for _ in range(2)] == ["un", "deux"]


def test_stream_gives_partial_responses(gemini):
    whole = text_of(call(gemini))
    reply = call(gemini, method="streamGenerateContent", query="?alt=sse")
    chunks = [json.loads(line[6:]) for line in reply.body.decode().splitlines() if line.startswith("data: ")]
    assert len(chunks) > 1 and chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert "".join(c["candidates"][0]["content"]["parts"][0]["text"] for c in chunks) == whole


def test_count_tokens_and_model_info(gemini):
    request = {"contents": body()["contents"]}
    assert call(gemini, request, method="countTokens").json()["totalTokens"] > 1120
    info = gemini.send("GET", f"/v1beta/models/{MODEL}", headers={"x-goog-api-key": KEY})
    assert info.json()["outputTokenLimit"] == 65536
    assert gemini.send("GET", "/v1beta/models/gemini-2.0-flash", headers={"x-goog-api-key": KEY}).status == 404


def test_requests_are_recorded_with_image_and_masked_key(gemini):
    image = picture(33, (123, 45))
    call(gemini, body(image), User_Agent="indexocr/1.0")
    record, = gemini.requests()
    assert record["status"] == 200 and record["model"] == MODEL and record["prompts"] == ["Transcris ce tableau."]
    assert (record["images"][0]["width"], record["images"][0]["height"]) == (123, 45)
    assert KEY not in json.dumps(record) and record["headers"]["User-Agent"] == "indexocr/1.0"
    assert gemini.send("GET", f"/_control/images/{record['n']}").body == image


# --- what it refuses ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("headers,status,word", [
    ({"x_goog_api_key": None}, 403, "unregistered"), ({"x_goog_api_key": KEY + "x"}, 400, "API key not valid"),
    ({"Authorization": "Bearer " + KEY}, 400, "Multiple authentication"),
    ({"Authorization": "Bearer " + KEY, "x_goog_api_key": None}, 401, "OAuth 2"),
    ({"Content_Type": "text/plain"}, 400, "Content-Type")])
def test_wrong_credentials_or_type_are_refused(gemini, headers, status, word):
    reply = call(gemini, **headers)
    assert reply.status == status and word in reply.json()["error"]["message"]


def test_key_in_the_query_is_refused(gemini):
    assert call(gemini, query="?key=" + KEY, x_goog_api_key=None).status == 404
    assert call(gemini, query="?key=" + KEY).status == 400


@pytest.mark.parametrize("path,value,word", [
    (["temprature"], 1, 'Unknown name "temprature"'), (["generationConfig", "max_tokens"], 5, "at 'generation_config'"),
    (["contents", 0, "parts", 0, "inlineData", "displayName"], "x", "contents[0].parts[0].inline_data"),
    (["contents", 0, "role"], "system", "valid role"), (["contents", 0, "role"], "model", "model turn"),
    (["contents", 0, "role"], None, "role is missing"), (["contents"], [], "contents is not specified"),
    (["contents", 0, "parts", 1], {}, "oneof"), (["contents", 0, "parts", 0, "inlineData", "mimeType"], "image/tiff", "MIME"),
    (["contents", 0, "parts", 0, "inlineData", "mimeType"], "image/jpeg", "declared"),
    (["contents", 0, "parts", 0, "inlineData", "data"], "iVBOR\nw0KGgo=", "Base64"),
    (["contents", 0, "parts", 0, "inlineData", "data"], "iVBORw0KGgo=", "process input image"),
    (["systemInstruction"], "Lis.", "expected an object"), (["systemInstruction", "parts"], [], "only text"),
    (["generationConfig", "responseSchema"], {"type": "OBJECT"}, "Only one of"),
    (["generationConfig", "responseMimeType"], None, "mime type"),
    (["generationConfig", "responseJsonSchema"], {"type": "objekt"}, "objekt"),
    (["generationConfig", "responseJsonSchema", "required"], ["absent"], "not defined"),
    (["generationConfig", "maxOutputTokens"], 70000, "supported range"),
    (["generationConfig", "maxOutputTokens"], "viel", "TYPE_INT32"),
    (["generationConfig", "thinkingConfig"], {"thinkingLevel": "low", "thinkingBudget": 0}, "only one"),
    (["generationConfig", "thinkingConfig"], {"thinkingLevel": "much"}, "TYPE_ENUM"),
    (["generationConfig", "candidateCount"], 2, "candidates"), (["store"], "no", "TYPE_BOOL")])
def test_wrong_requests_are_refused(gemini, path, value, word):
    reply = call(gemini, changed(path, value))
    assert reply.status == 400 and reply.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert word in reply.json()["error"]["message"]
    assert word in gemini.stats()["refused"][0]


def test_unknown_fields_name_their_violations(gemini):
    details = call(gemini, changed(["generationConfig", "foo"], 1)).json()["error"]["details"]
    assert details[0]["fieldViolations"] == [{"field": "generation_config", "description":
        "Invalid JSON payload received. Unknown name \"foo\" at 'generation_config': Cannot find field."}]


def test_snake_case_is_accepted_but_not_beside_camel_case(gemini):
    request = body()
    request["generation_config"] = request.pop("generationConfig")
    assert call(gemini, request).status == 200
    assert call(gemini, {**request, "generationConfig": {}}).status == 400


def test_optional_fields_are_accepted(gemini):
    request = {**body(), "store": False, "serviceTier": "flex",
               "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]}
    request["generationConfig"].update(temperature=1.0, topP=0.9, seed=7, thinkingConfig={"thinkingLevel": "minimal"})
    request["contents"][0]["parts"][0]["mediaResolution"] = {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"}
    assert call(gemini, request).status == 200


def test_prompt_before_image_is_refused(gemini):
    request = body()
    request["contents"][0]["parts"].reverse()
    assert "before the prompt" in call(gemini, request).json()["error"]["message"]


@pytest.mark.parametrize("model,thinking", [("gemini-2.5-flash", {"thinkingLevel": "low"}), ("gemini-4-neon", {"thinkingBudget": 0}),
                                            ("gemini-3.8-flash", {"thinkingLevel": "minimal"})])
def test_thinking_fields_depend_on_the_model(gemini, model, thinking):
    assert call(gemini, changed(["generationConfig", "thinkingConfig"], thinking), model=model).status == 400


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'{"contents":[]} junk', b'{"store":true,"store":true}', b'{"store":NaN}',
                                 b'{"model":"\xff"}', b'{"model":"\\ud83d"}'])
def test_what_is_no_json_is_refused(gemini, raw):
    assert call(gemini, raw=raw).status == 400


def test_unknown_model_and_method(gemini):
    assert call(gemini, model="gemini-2.0-flash").json()["error"]["status"] == "NOT_FOUND"
    assert call(gemini, method="generate").status == 404


# --- how it fails ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", sorted(gemini_answer.ERROR_MODES))
def test_every_error_has_its_status_and_is_used_up(gemini, mode):
    gemini.fail(mode)
    reply = call(gemini)
    assert reply.status == int(mode[:3]) == reply.json()["error"]["code"]
    assert call(gemini).status == 200


def test_429_carries_quota_and_retry_info(gemini):
    gemini.fail("429", retry_delay="7.5s")
    details = {d["@type"].rsplit(".", 1)[1]: d for d in call(gemini).json()["error"]["details"]}
    assert details["RetryInfo"]["retryDelay"] == "7.5s"
    assert "PerMinute" in details["QuotaFailure"]["violations"][0]["quotaId"]
    gemini.fail("429_day")
    assert "PerDay" in json.dumps(call(gemini).json())
    gemini.fail("429_limit0")
    assert "limit: 0" in call(gemini).json()["error"]["message"]
    gemini.fail("429_bare", wrap=True)
    assert "details" not in call(gemini).json()[0]["error"]


@pytest.mark.parametrize("reason", ["MAX_TOKENS", "RECITATION", "SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE",
                                    "OTHER", "MALFORMED_RESPONSE", "CONTINUATION", "ESCALATION"])
def test_every_finish_reason(gemini, reason):
    gemini.fail("finish:" + reason)
    candidate = call(gemini).json()["candidates"][0]
    assert candidate["finishReason"] == reason
    if reason == "RECITATION":
        assert candidate["content"] == {}
    if reason == "CONTINUATION":
        assert candidate["continuationToken"]


@pytest.mark.parametrize("mode", sorted(set(gemini_answer.CONTENT_MODES) - {"finish"}))
def test_every_content_mode_differs_from_a_good_answer(gemini, mode):
    good = call(gemini).json()
    gemini.fail(mode, text="autre")
    reply = call(gemini)
    assert reply.status == 200
    assert {**reply.json(), "responseId": ""} != {**good, "responseId": ""}


def test_thoughts_and_several_parts_hold_the_same_text(gemini):
    good = text_of(call(gemini))
    for mode in ("thought_parts", "several_parts"):
        gemini.fail(mode)
        reply = call(gemini)
        assert len(reply.json()["candidates"][0]["content"]["parts"]) > 1 and text_of(reply) == good


def test_broken_json_and_html(gemini):
    gemini.fail("truncated_json")
    with pytest.raises(ValueError):
        json.loads(text_of(call(gemini)))
    gemini.fail("bad_body")
    with pytest.raises(ValueError):
        call(gemini).json()
    gemini.fail("502")
    reply = call(gemini)
    assert reply.status == 502 and reply.headers["Content-Type"].startswith("text/html")
    gemini.fail("escapes")
    assert b"\\ud83d" in call(gemini).body


@pytest.mark.parametrize("mode,error", [("cut_before", http.client.RemoteDisconnected), ("garbage", http.client.BadStatusLine),
                                        ("cut_middle", (http.client.IncompleteRead, ConnectionResetError))])
def test_connections_break(gemini, mode, error):
    gemini.fail(mode)
    with pytest.raises((error, ConnectionResetError) if not isinstance(error, tuple) else error):
        call(gemini)
    assert gemini.requests()[0]["status"] == "cut"


def test_a_call_on_hold_is_answered_when_it_is_released_and_others_are_not_held(gemini):
    gemini.hold("first", {"prompt": "Transcris"})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        held = pool.submit(call, gemini)
        while not gemini.requests():
            time.sleep(0.02)
        assert call(gemini).status == 200 and not held.done()
        gemini.release("first")
        assert held.result(20).status == 200 and text_of(held.result())


def test_hang_says_nothing_until_the_client_goes(gemini):
    gemini.fail("hang")
    data = json.dumps(body())
    with pytest.raises(TimeoutError):
        gemini.send("POST", f"/v1beta/models/{MODEL}:generateContent", data,
                    {"Content-Type": "application/json", "x-goog-api-key": KEY}, timeout=0.3)
    for _ in range(100):
        if gemini.stats()["in_flight"] == 0:
            break
        time.sleep(0.05)
    assert gemini.requests()[0]["status"] == "cut"


def test_orders_match_model_and_prompt_and_count(gemini):
    gemini.fail("503", times=2, match={"model": "flash-lite", "prompt": "tableau"})
    assert call(gemini, model="gemini-3.6-flash").status == 200
    assert call(gemini, body(schema=None, prompt="Lis.")).status == 200
    assert [call(gemini).status for _ in range(3)] == [503, 503, 200]


def test_unknown_modes_are_told(gemini):
    with pytest.raises(RuntimeError, match="no mode"):
        gemini.fail("403_typo")


def test_quota_is_enforced_per_model():
    with Double("gemini", "--key", KEY, "--rpm", 2) as gemini:
        assert [call(gemini).status for _ in range(3)] == [200, 200, 429]
        error = call(gemini).json()["error"]
        assert "RetryInfo" in error["details"][-1]["@type"] and "limit: 2" in error["message"]
        assert call(gemini, model="gemini-3.6-flash").status == 200
        assert gemini.stats()["peak_rpm"] == 3
    with Double("gemini", "--key", KEY, "--tpm", 2000) as gemini:
        assert [call(gemini).status for _ in range(2)] == [200, 429]


def test_it_prints_one_line_and_ends_on_sigterm():
    process = subprocess.Popen([sys.executable, HERE + "/gemini.py"], stdout=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    process.terminate()
    assert first.startswith("http://127.0.0.1:") and process.stdout.read() == ""
    assert process.wait(10) == 0
    process.stdout.close()
