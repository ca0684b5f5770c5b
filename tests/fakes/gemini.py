#!/usr/bin/python3
"""A strict double of the Gemini API for tests: the wire format of generateContent, and every way it can fail.

Prints its address when ready, exits on SIGTERM. What the routes under /_control do is told in README.md here.
"""

import argparse
import asyncio
import json
import random
import time
from collections import Counter

from aiohttp import web

import double
import gemini_answer as answers
import gemini_request as requests
from gemini_pages import Answers

MODELS = ["gemini-3.5-flash-lite", "gemini-3.6-flash", "gemini-3.8-flash", "gemini-4-argon", "gemini-4-neon",
          "gemini-2.5-flash", "gemini-2.5-flash-lite"]
METHODS = ("generateContent", "streamGenerateContent", "countTokens")
WINDOW_S = 60
MAX_BODY = 100 * 1024 * 1024
UNREGISTERED = ("Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other "
                "form of API consumer identity to call this API.")


class Quota:
    """Requests and input tokens of the last 60 seconds, per model; a refused call costs nothing."""

    def __init__(self, rpm, tpm):
        self.rpm, self.tpm, self.used = rpm, tpm, {}

    def refuse(self, model, tokens):
        """None and the call is booked, or the 429."""
        now, log = time.monotonic(), self.used.setdefault(model, [])
        while log and log[0][0] <= now - WINDOW_S:
            log.pop(0)
        by_requests = bool(self.rpm) and len(log) >= self.rpm
        by_tokens = bool(self.tpm) and sum(t for _, t in log) + tokens > self.tpm
        if by_requests or by_tokens:
            delay = f"{log[0][0] + WINDOW_S - now:.9f}s" if log else "60s"
            return answers.per_minute(model, {"limit": self.rpm if by_requests else self.tpm, "retry_delay": delay},
                                      not by_requests)
        log.append((now, tokens))
        return None


class Gemini:
    def __init__(self, args):
        self.key, self.models = args.key, args.models.split(",") if args.models else MODELS
        self.records, self.orders = double.Records(), double.Orders(answers.MODES)
        self.quota = Quota(args.rpm, args.tpm)
        self.answers, self.images = Answers(), {}
        self.delay_ms, self.random = (0, 0), random.Random(args.seed)
        if args.answers:
            with open(args.answers, encoding="utf-8") as file:
                self.answers.load(json.load(file))

    # --- the API ---------------------------------------------------------------------------------------------------

    def credentials_error(self, request):
        """None, or the reply to a caller without exactly the right key in exactly the right place."""
        keys = request.headers.getall("x-goog-api-key", [])
        others = ["Authorization"] if "Authorization" in request.headers else []
        others += ["key"] if "key" in request.query else []
        if len(keys) + len(others) > 1:
            return answers.bad_request("Multiple authentication credentials received. Please pass only one.")
        if "key" in others:
            return answers.error(404, "NOT_FOUND", "Requested entity was not found.")
        if others:
            return answers.unauthenticated()
        if not keys:
            return answers.error(403, "PERMISSION_DENIED", UNREGISTERED)
        return None if keys[0] == self.key else answers.key_invalid()

    async def handle(self, request):
        """POST models/{model}:{method}: records, checks, then answers or fails as told."""
        model, _, method = request.match_info["call"].partition(":")
        entry = self.records.begin({"method": method, "model": model, "query": dict(request.query), "mode": None,
                                    "headers": double.masked_headers(request.headers, {"x-goog-api-key", "authorization"})})
        status = "cut"
        try:
            response = await self.reply(request, entry, model, method)
            status = "cut" if isinstance(response, double.Broken) else response.status
            return response
        finally:
            self.records.end(entry, status)

    async def reply(self, request, entry, model, method):
        error = self.credentials_error(request)
        if error:
            return self.send_error(request, entry, error)
        if method not in METHODS:
            return web.Response(status=404, text=answers.html(404), content_type="text/html")
        if request.content_length is None:
            return web.Response(status=411, text=answers.html(411), content_type="text/html")
        if request.content_type != "application/json":
            return self.refuse(request, entry, f"Content-Type must be application/json, not {request.content_type}.")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text=answers.html(413), content_type="text/html")
        entry["body_bytes"] = len(body)
        if model not in self.models:
            return self.send_error(request, entry, answers.not_found(model))
        try:
            checked = self.understand(body, method, model)
        except requests.Refused as refusal:
            return self.refuse(request, entry, str(refusal), refusal.violations)
        self.note(entry, checked, model)
        if method == "countTokens":
            text, image = answers.prompt_tokens(checked, model)
            return web.json_response({"totalTokens": text + image})
        return await self.generate(request, entry, checked, model)

    @staticmethod
    def understand(body, method, model):
        if method != "countTokens":
            return requests.check(requests.parse(body, requests.GENERATE), model)
        value = requests.parse(body, requests.COUNT)
        return requests.check(value.get("generateContentRequest", value), model)

    def note(self, entry, checked, model):
        entry.update(images=[image.facts() for image in checked.images], prompts=checked.prompts, system=checked.system,
                     generationConfig=checked.config, sha256=checked.images[0].sha256 if checked.images else "",
                     prompt="\n".join([checked.system] + checked.prompts),
                     extra={k: v for k, v in checked.request.items() if k in ("store", "serviceTier", "safetySettings")},
                     prompt_tokens=sum(answers.prompt_tokens(checked, model)))
        if checked.images:
            self.images[entry["n"]] = checked.images[0]

    async def generate(self, request, entry, checked, model):
        refused = self.quota.refuse(model, entry["prompt_tokens"])
        if refused:
            entry["mode"] = "quota"
            return self.send_error(request, entry, refused)
        entry["counted"] = True
        order = self.orders.take(entry) or {}
        mode, _, argument = order.get("mode", "").partition(":")
        entry["mode"] = order.get("mode")
        if mode == "hold":
            if not await self.orders.held(order, request):
                return double.Broken()
            order, mode = {}, ""
        if argument:
            order = {**order, "reason": argument}
        await asyncio.sleep(order.get("delay_ms", self.random.uniform(*self.delay_ms)) / 1000)
        if mode in answers.ERROR_MODES:
            return self.send_error(request, entry, answers.ERROR_MODES[mode](model, order), order)
        if mode == "echo_key":    # "pad" characters of two bytes before it
            message = "é" * order.get("pad", 0) + request.headers["x-goog-api-key"]
            return self.send_error(request, entry, answers.error(500, "INTERNAL", message), order)
        if mode in answers.HTML_MODES:
            return web.Response(status=answers.HTML_MODES[mode], text=answers.html(mode), content_type="text/html")
        text = self.answers.find(checked.images) or answers.own_answer(checked)
        if mode in answers.RAW_MODES:
            return await self.raw(request, mode, order, answers.success(checked, model, entry["n"], text))
        make = answers.CONTENT_MODES.get(mode)
        answer = make(checked, model, entry["n"], text, order) if make else answers.success(checked, model, entry["n"], text)
        entry["usage"] = answer.get("usageMetadata")
        entry["answer"] = text if not mode else None
        return await self.send(request, answer)

    async def raw(self, request, mode, order, answer):
        """Failures below the API: bytes, connections and time."""
        body = json.dumps(answer).encode()
        if mode == "hang":
            return await double.hang(request)
        if mode == "cut_before":
            return double.cut(request)
        if mode == "garbage":
            return double.garbage(request)
        if mode == "cut_middle":
            await double.cut_after(request, 200, {"Content-Type": "application/json"}, body[:len(body) // 2], len(body))
            return double.Broken()
        if mode == "empty_body":
            return web.Response(status=order.get("status", 200), content_type="application/json")
        if mode == "bad_body":
            return web.Response(body=body[:-20], content_type="application/json")
        if mode == "escapes":    # NUL and half a surrogate pair inside the text, as models sometimes send them
            part = answer["candidates"][0]["content"]["parts"][0]
            part["text"] = part["text"].replace("\n", "\u0000\ud83d\n", 1).replace("Partie", "Par\u0000tie\ud83d", 1)
            body = json.dumps(answer).encode("ascii")
        return web.Response(body=body, content_type="application/json")

    async def send(self, request, answer):
        if not request.match_info["call"].endswith(":streamGenerateContent"):
            return web.json_response(answer)
        chunks = list(stream_chunks(answer))
        if request.query.get("alt") != "sse":
            return web.json_response(chunks)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n")
        await response.write_eof()
        return response

    def refuse(self, request, entry, message, violations=()):
        entry["refused"] = message
        return self.send_error(request, entry, answers.bad_request(message, violations))

    @staticmethod
    def send_error(request, entry, error, order=None):
        """As an object; as an array of one on the stream route without SSE, or where the order says {"wrap": true}."""
        status, body = error
        entry["error"] = body["error"]["message"]
        stream = request.match_info["call"].endswith(":streamGenerateContent") and request.query.get("alt") != "sse"
        headers = {"Retry-After": str(order["retry_after"])} if order and "retry_after" in order else None
        return web.json_response([body] if stream or (order or {}).get("wrap") else body, status=status, headers=headers)

    async def model_info(self, request):
        model = request.match_info["call"]
        entry = self.records.begin({"method": "get", "model": model, "query": dict(request.query), "mode": None,
                                    "headers": double.masked_headers(request.headers, {"x-goog-api-key", "authorization"})})
        error = self.credentials_error(request) or (None if model in self.models else answers.not_found(model))
        order = self.orders.take(entry) if not error else None
        if order and order["mode"] in answers.ERROR_MODES:
            error = answers.ERROR_MODES[order["mode"]](model, order)
        self.records.end(entry, error[0] if error else 200)
        if error:
            return web.json_response(error[1], status=error[0])
        return web.json_response({"name": f"models/{model}", "version": "001", "displayName": model, "inputTokenLimit": 1048576,
                                  "outputTokenLimit": requests.MAX_OUTPUT_TOKENS, "temperature": 1, "topP": 0.95, "topK": 64,
                                  "supportedGenerationMethods": ["generateContent", "countTokens"], "thinking": True})

    # --- control ---------------------------------------------------------------------------------------------------

    async def fail(self, request):
        wrong = self.orders.add(await request.json())
        return web.json_response({"error": wrong} if wrong else {}, status=400 if wrong else 200)

    async def release(self, request):
        self.orders.release((await request.json())["name"])
        return web.json_response({})

    async def delay(self, request):
        body = await request.json()
        self.delay_ms = (body.get("min_ms", body.get("ms", 0)), body.get("max_ms", body.get("ms", 0)))
        return web.json_response({})

    async def set_answers(self, request):
        self.answers.load(await request.json())
        return web.json_response({})

    async def relent(self, _request):
        self.orders.relent()
        return web.json_response({})

    async def reset(self, _request):
        self.records.clear()
        self.orders.clear()
        self.images.clear()
        self.answers, self.delay_ms = Answers(), (0, 0)
        self.quota.used.clear()
        return web.json_response({})

    async def requests(self, _request):
        return web.json_response(self.records.entries)

    async def image(self, request):
        image = self.images.get(int(request.match_info["n"]))
        if image is None:
            return web.Response(status=404, text="no image came with this request")
        return web.Response(body=image.data, content_type=image.mime)

    async def stats(self, _request):
        calls = [e for e in self.records.entries if e.get("counted")]
        tokens = [(e["monotonic"], e["prompt_tokens"]) for e in calls]
        return web.json_response({
            "requests": len(self.records.entries), "counted": len(calls),
            "by_status": Counter(str(e["status"]) for e in self.records.entries),
            "by_model": Counter(e["model"] for e in calls),
            "refused": [e["refused"] for e in self.records.entries if "refused" in e],
            "in_flight": self.records.in_flight, "max_in_flight": self.records.max_in_flight,
            "peak_rpm": double.peak([(e["monotonic"], 1) for e in calls], WINDOW_S), "peak_tpm": double.peak(tokens, WINDOW_S),
            "prompt_tokens": sum(t for _, t in tokens)})

    def app(self):
        app = web.Application(client_max_size=MAX_BODY)
        app.add_routes([
            web.post("/v1beta/models/{call}", self.handle), web.get("/v1beta/models/{call}", self.model_info),
            web.post("/_control/fail", self.fail), web.post("/_control/relent", self.relent), web.post("/_control/release", self.release),
            web.post("/_control/delay", self.delay),
            web.post("/_control/answers", self.set_answers), web.post("/_control/reset", self.reset),
            web.get("/_control/requests", self.requests), web.get("/_control/images/{n:\\d+}", self.image),
            web.get("/_control/stats", self.stats)])
        return app


def stream_chunks(answer):
    """The answer in partial responses: text in pieces, finishReason and usage with the last."""
    candidates = answer.get("candidates") or []
    parts = candidates[0].get("content", {}).get("parts", []) if candidates else []
    pieces = [{**part, "text": part["text"][i:i + 120]} for part in parts for i in range(0, max(1, len(part["text"])), 120)]
    for piece in pieces[:-1]:
        yield {**{k: answer[k] for k in ("modelVersion", "responseId") if k in answer},
               "candidates": [{"content": {"parts": [piece], "role": "model"}, "index": 0}]}
    if len(pieces) > 1:
        last = {**candidates[0], "content": {"parts": [pieces[-1]], "role": "model"}}
        answer = {**answer, "candidates": [last]}
    yield answer


def add_arguments(parser):
    parser.add_argument("--key", default="AQ.test-key-of-the-double")
    parser.add_argument("--models", help="comma separated (default: those of late 2026)")
    parser.add_argument("--answers", metavar="FILE", help="JSON as for POST /_control/answers")
    parser.add_argument("--rpm", type=int, default=0, help="requests a minute and model, 0: no limit")
    parser.add_argument("--tpm", type=int, default=0, help="input tokens a minute and model, 0: no limit")
    parser.add_argument("--seed", type=int, default=1, help="of random delays")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    double.add_common_arguments(parser)
    add_arguments(parser)
    args = parser.parse_args()
    double.run(Gemini(args).app(), args)


if __name__ == "__main__":
    main()
