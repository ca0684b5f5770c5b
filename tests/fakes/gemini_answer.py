"""What the double answers: tokens, answers made from the image and the schema, and every way to fail."""

import hashlib
import json
import math

from gemini_request import generation

NATIVE = {"LOW": 280, "MEDIUM": 560, "HIGH": 1120, "ULTRA_HIGH": 2240}
THOUGHTS = {"MINIMAL": 0, "LOW": 32, "MEDIUM": 96, "HIGH": 256, "XHIGH": 512}
HEADER = ("circonscription", "cadastre", "lot", "feuille")
GOOGLE = "type.googleapis.com/google.rpc."
METRIC = "generativelanguage.googleapis.com/generate_content_"


# --- tokens ------------------------------------------------------------------------------------------------------

def text_tokens(text):
    return math.ceil(len(text) / 4)


def image_tokens(image, config, model):
    if generation(model) < 3:
        if image.width <= 384 and image.height <= 384:
            return 258
        return 258 * math.ceil(image.width / 768) * math.ceil(image.height / 768)
    level = image.level or config.get("mediaResolution", "")
    return NATIVE.get(level.upper().replace("MEDIA_RESOLUTION_", ""), NATIVE["HIGH"])


def prompt_tokens(checked, model):
    """(text, image) tokens of the input."""
    text = text_tokens(checked.system) + sum(text_tokens(prompt) for prompt in checked.prompts)
    return text, sum(image_tokens(image, checked.config, model) for image in checked.images)


def usage(checked, model, text, thoughts):
    """usageMetadata; counters that are zero are left out, as Google does."""
    prompt = prompt_tokens(checked, model)
    details = [{"modality": kind, "tokenCount": count} for kind, count in zip(("TEXT", "IMAGE"), prompt) if count]
    counts = {"promptTokenCount": sum(prompt), "candidatesTokenCount": text_tokens(text), "thoughtsTokenCount": thoughts,
              "totalTokenCount": sum(prompt) + text_tokens(text) + thoughts}
    return {**{k: v for k, v in counts.items() if v}, "promptTokensDetails": details, "serviceTier": "standard"}


def thinking_tokens(checked, model):
    thinking = checked.config.get("thinkingConfig", {})
    if "thinkingLevel" in thinking:
        return THOUGHTS.get(thinking["thinkingLevel"].upper(), 0)
    return 0 if "lite" in model else THOUGHTS["MEDIUM"]


# --- answers of the double's own -----------------------------------------------------------------------------------

def pixels_key(checked):
    """16 hex digits of the first image's pixels; of the prompts where there is none."""
    if checked.images:
        return checked.images[0].sha256[:16]
    return hashlib.sha256("\n".join(checked.prompts).encode()).hexdigest()[:16]


def index_rows(key):
    """Two to five rows that name the image they were made from."""
    count = 2 + int(key[:4], 16) % 4
    return [[f"Partie {key} ligne {i}", "vente", f"19{10 + i}-0{i}-1{i}", f"{100 + i} {int(key[4:7], 16) % 1000:03d}",
             f"rad. {key[:6]}" if i == 2 else "", ""] for i in range(1, count + 1)]


def index_answer(key):
    return {"header": {name: f"{name} {key}" for name in HEADER}, "rotation": 0, "rows": index_rows(key)}


def instance(schema, name, key, row=None):
    """A value that fits the schema; known names get the index answer's content."""
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return instance(schema["anyOf"][0], name, key, row)
    kind = schema.get("type", "string")
    kind = next((k for k in kind if k.lower() != "null"), "null") if isinstance(kind, list) else kind
    kind = kind.lower()
    if kind == "object":
        cells = iter(row or [])
        return {child: instance(sub, child, key) if row is None or sub.get("type", "string") != "string"
                else next(cells, "") for child, sub in schema.get("properties", {}).items()}
    if kind == "array":
        return array_instance(schema, name, key)
    return {"string": f"{name} {key}", "integer": 0, "number": 0.0, "boolean": False, "null": None}[kind]


def array_instance(schema, name, key):
    items = schema.get("items") or schema.get("prefixItems", [{}])[0]
    if name in ("rows", "lines"):
        rows = index_rows(key)
        if str(items.get("type", "")).lower() == "array":
            return rows
        return [instance(items, name, key, row) for row in rows]
    return [instance(items, name, key) for _ in range(schema.get("minItems", 0))]


def asks_for_table(prompts):
    text = " ".join(prompts).lower()
    return any(word in text for word in ("tableau", "colonnes", "inscription"))


def own_answer(checked):
    """The text the model would give, made from the image, so that it proves which page was read."""
    key, schema = pixels_key(checked), checked.schema()
    if schema:
        return json.dumps(instance(schema, "answer", key), ensure_ascii=False)
    if asks_for_table(checked.prompts + [checked.system]):
        answer = index_answer(key)
        if "json" in " ".join(checked.prompts + [checked.system]).lower() or \
                checked.config.get("responseMimeType") == "application/json":
            return json.dumps(answer, ensure_ascii=False)
        return "\n".join([*answer["header"].values()] + [" | ".join(row) for row in answer["rows"]])
    size = f"{checked.images[0].width} x {checked.images[0].height}" if checked.images else "sans image"
    return f"Texte de la page {key}\n{size}\nFin de la page {key}"


# --- responses -----------------------------------------------------------------------------------------------------

def response_id(checked, n):
    return hashlib.sha256(f"{n}:{pixels_key(checked)}".encode()).hexdigest()[:20]


def success(checked, model, n, text):
    """A whole answer; cut at maxOutputTokens, which the thoughts use up too."""
    thoughts, reason = thinking_tokens(checked, model), "STOP"
    room = int(checked.config.get("maxOutputTokens", 65536)) - thoughts
    if text_tokens(text) > room:
        text, reason = text[:max(0, room) * 4], "MAX_TOKENS"
    parts = [{"text": text}] if text else []
    return respond(checked, model, n, text, {"content": {"parts": parts, "role": "model"}, "finishReason": reason}, thoughts)


def respond(checked, model, n, text, candidate, thoughts=0):
    return {"candidates": [{**candidate, "index": 0}], "usageMetadata": usage(checked, model, text, thoughts),
            "modelVersion": model, "responseId": response_id(checked, n)}


def finish(checked, model, n, text, reason):
    """An answer that ended otherwise than by STOP, in the shape seen for that reason."""
    if reason == "RECITATION":
        return respond(checked, model, n, "", {"content": {}, "finishReason": reason, "finishMessage":
                       "The response was blocked because it may reproduce existing material."})
    if reason == "MAX_TOKENS":
        half = text[:len(text) // 2]
        return respond(checked, model, n, half, {"content": {"parts": [{"text": half}], "role": "model"}, "finishReason": reason})
    if reason == "CONTINUATION":
        half = text[:len(text) // 2]
        return respond(checked, model, n, half, {"content": {"parts": [{"text": half}], "role": "model"},
                                                 "finishReason": reason, "continuationToken": "Cs8BAQID"})
    candidate = {"finishReason": reason}
    if reason == "SAFETY":
        candidate["safetyRatings"] = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}]
    return respond(checked, model, n, "", candidate)


def with_parts(checked, model, n, text, parts, thoughts=0):
    return respond(checked, model, n, text, {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP"}, thoughts)


def several_parts(checked, model, n, text, _order):
    third = max(1, len(text) // 3)
    return with_parts(checked, model, n, text, [{"text": text[:third]}, {"text": text[third:2 * third]},
                                                {"text": text[2 * third:], "thoughtSignature": "Ab12"}])


def thought_parts(checked, model, n, text, _order):
    thought = {"text": "The page has a table with six columns; I will copy {\"rows\": …}.", "thought": True}
    return with_parts(checked, model, n, text, [thought, {"text": text, "thoughtSignature": "Ab12"}], 96)


def blocked(checked, model, n, _text, order):
    reason = order.get("reason", "PROHIBITED_CONTENT")
    return {"promptFeedback": {"blockReason": reason, "blockReasonMessage": "The prompt was blocked."},
            "usageMetadata": usage(checked, model, "", 0), "modelVersion": model, "responseId": response_id(checked, n)}


def loop(checked, model, n, text, order):
    """The same row again and again, up to the limit (or order["chars"]); ends in MAX_TOKENS."""
    chars = order.get("chars", int(checked.config.get("maxOutputTokens", 8192)) * 4)
    unit = "Partie X | vente | 1950-01-01 | 100 000 |  | \n"
    text = (text[:40] + unit * (chars // len(unit) + 1))[:chars]
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": order.get("reason", "MAX_TOKENS")}
    return respond(checked, model, n, text, candidate)


def wrong_rows(checked, model, n, text, _order):
    """Valid JSON that breaks the schema: a row of five cells, a number for a cell, one that is no list."""
    return success(checked, model, n, json.dumps({**index_answer(pixels_key(checked)), "rows": [
        ["a", "b", "c", "d", "e"], ["a", 7, None, "d", "e", "f"], "no row"]}))


def without(*path):
    """A good answer in which one field is missing."""
    def make(checked, model, n, text, _order):
        answer = success(checked, model, n, text)
        place = answer
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        return answer
    return make


def text_of(change):
    """A good answer whose text went through `change`."""
    return lambda checked, model, n, text, order: success(checked, model, n, change(text, order))


def rerouted(checked, model, n, text, order):
    return {**success(checked, model, n, text), "modelVersion": order.get("model_version", "gemini-3.8-flash")}


CONTENT_MODES = {
    "finish": lambda c, m, n, t, o: finish(c, m, n, t, o.get("reason", "OTHER")),
    "blocked": blocked,
    "no_candidates": without("candidates"),
    "empty_candidates": lambda c, m, n, t, o: {**success(c, m, n, ""), "candidates": []},
    "stop_no_parts": lambda c, m, n, t, o: respond(c, m, n, "", {"content": {"role": "model"}, "finishReason": "STOP"}),
    "stop_empty_parts": lambda c, m, n, t, o: with_parts(c, m, n, "", []),
    "stop_empty_text": lambda c, m, n, t, o: with_parts(c, m, n, "", [{"text": ""}]),
    "stop_no_content": lambda c, m, n, t, o: respond(c, m, n, "", {"finishReason": "STOP"}),
    "no_finish_reason": without("candidates", 0, "finishReason"),
    "no_usage": without("usageMetadata"),
    "thinking_only": lambda c, m, n, t, o: respond(c, m, n, "", {"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}, 478),
    "thought_parts": thought_parts,
    "several_parts": several_parts,
    "truncated_json": text_of(lambda text, order: text[:max(1, len(text) * 2 // 3)]),
    "invalid_json": text_of(lambda text, order: "Voici la page demandée : " + text.replace('"', "'")),
    "fenced_json": text_of(lambda text, order: "```json\n" + text + "\n```"),
    "text": text_of(lambda text, order: order["text"]),
    "loop": loop,
    "wrong_rows": wrong_rows,
    "rerouted": rerouted,
}


# --- errors --------------------------------------------------------------------------------------------------------

def error(code, status, message, *details):
    body = {"code": code, "message": message, "status": status}
    if details:
        body["details"] = list(details)
    return code, {"error": body}


def bad_request(message, violations=()):
    details = [{"@type": GOOGLE + "BadRequest", "fieldViolations":
                [{**({"field": path} if path else {}), "description": text} for path, text in violations]}] if violations else []
    return error(400, "INVALID_ARGUMENT", message, *details)


def reason(name, **metadata):
    return {"@type": GOOGLE + "ErrorInfo", "reason": name, "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com", **metadata}}


def key_invalid():
    return error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", reason("API_KEY_INVALID"),
                 {"@type": GOOGLE + "LocalizedMessage", "locale": "en-US",
                  "message": "API key not valid. Please pass a valid API key."})


def unauthenticated():
    return error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
                 "cookie or other valid authentication credential. See "
                 "https://developers.google.com/identity/sign-in/web/devconsole-project.",
                 reason("ACCESS_TOKEN_TYPE_UNSUPPORTED", method="google.ai.generativelanguage.v1beta.GenerativeService"
                                                                ".GenerateContent"))


def quota(model, quota_id, metric, value, delay):
    """The full 429: QuotaFailure, Help and, where a delay is given, RetryInfo."""
    message = ("You exceeded your current quota, please check your plan and billing details. For more information on this error, "
               "head to: https://ai.google.dev/gemini-api/docs/rate-limits. \n"
               f"* Quota exceeded for metric: {METRIC}{metric}, limit: {value}, model: {model}")
    details = [{"@type": GOOGLE + "QuotaFailure", "violations": [
        {"quotaMetric": METRIC + metric, "quotaId": quota_id, "quotaDimensions": {"location": "global", "model": model},
         **({"quotaValue": str(value)} if value else {})}]},
               {"@type": GOOGLE + "Help", "links": [{"description": "Learn more about Gemini API quotas",
                                                     "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}]}]
    if delay is not None:
        message += f"\nPlease retry in {delay}."
        details.append({"@type": GOOGLE + "RetryInfo", "retryDelay": delay})
    return error(429, "RESOURCE_EXHAUSTED", message, *details)


def per_minute(model, order, tokens=False):
    name, metric = ("InputTokensPerModelPerMinute", "paid_tier_input_token_count") if tokens else \
        ("RequestsPerMinutePerProjectPerModel", "paid_tier_requests")
    return quota(model, f"GenerateContentPaidTier{name}", metric, order.get("limit", 1000),
                 order.get("retry_delay", "34.207927518s"))


def not_found(model):
    return error(404, "NOT_FOUND", f"models/{model} is not found for API version v1beta, or is not supported for "
                 "generateContent. Call ModelService.ListModels to see the list of available models and their supported methods.")


ERROR_MODES = {
    "429": per_minute,
    "429_tokens": lambda model, order: per_minute(model, order, True),
    "429_no_delay": lambda model, order: per_minute(model, {**order, "retry_delay": None}),
    "429_day": lambda model, order: quota(model, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "free_tier_requests",
                                          250, order.get("retry_delay", "22.5s")),
    "429_limit0": lambda model, order: quota(model, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "free_tier_requests",
                                             0, order.get("retry_delay", "46s")),
    "429_bare": lambda model, order: error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    "400": lambda model, order: bad_request(order.get("message", "Request contains an invalid argument.")),
    "400_field": lambda model, order: bad_request(
        'Invalid JSON payload received. Unknown name "store": Cannot find field.',
        [("", 'Invalid JSON payload received. Unknown name "store": Cannot find field.')]),
    "400_image": lambda model, order: bad_request("Unable to process input image. Please retry or report in "
                                                  "https://developers.generativeai.google/guide/troubleshooting"),
    "400_key": lambda model, order: key_invalid(),
    "400_precondition": lambda model, order: error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    "401": lambda model, order: unauthenticated(),
    "403": lambda model, order: error(403, "PERMISSION_DENIED", "Generative Language API has not been used in project 1 before "
                                      "or it is disabled.", reason("SERVICE_DISABLED", consumer="projects/1")),
    "403_leaked": lambda model, order: error(403, "PERMISSION_DENIED",
                                             "Your API key was reported as leaked. Please use another API key."),
    "404": lambda model, order: not_found(model),
    "404_retired": lambda model, order: error(404, "NOT_FOUND", f"This model models/{model} is no longer available to new users. "
                                              "Please update your code to use a newer model for the latest features."),
    "408": lambda model, order: error(408, "DEADLINE_EXCEEDED", "Request timed out."),
    "499": lambda model, order: error(499, "CANCELLED", "The operation was cancelled."),
    "500": lambda model, order: error(500, "INTERNAL", "An internal error has occurred. Please retry or report in "
                                      "https://developers.generativeai.google/guide/troubleshooting"),
    "503": lambda model, order: error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "503_demand": lambda model, order: error(503, "UNAVAILABLE", "This model is currently experiencing high demand. Spikes in "
                                             "demand are usually temporary. Please try again later."),
    "504": lambda model, order: error(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}

HTML_MODES = {"502": 502, "413": 413, "411": 411}
RAW_MODES = ("empty_body", "bad_body", "escapes", "slow", "hang", "cut_before", "cut_middle", "garbage")
MODES = {*CONTENT_MODES, *ERROR_MODES, *HTML_MODES, *RAW_MODES, "echo_key", "hold"}


def html(status):
    return (f"<!DOCTYPE html>\n<html lang=en>\n  <title>Error {status} (Server Error)!!1</title>\n"
            f"  <p><b>{status}.</b> <ins>That’s an error.</ins>\n  <p>The server encountered a temporary error and could not "
            "complete your request.\n</html>\n")
