#!/usr/bin/python3
"""A strict double of Supabase Storage for tests: files of --root DIR/<bucket>/<path>, key rules and error bodies as they are.

Prints its address when ready, exits on SIGTERM. What the routes under /_control do is told in README.md here.
"""

import argparse
import asyncio
import email.utils
import json
import re

from aiohttp import web

import double
import storage_files as files

PREFIX = "/storage/v1/"
BROWSER = re.compile(r"Mozilla/|Chrome/|Safari/|Firefox/|AppleWebKit/")
MAX_UPLOAD = 64 * 1024 * 1024
HTML = ("<!DOCTYPE html>\n<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center>"
        "<hr><center>cloudflare</center></body></html>\n")

ERRORS = {   # mode: (HTTP, statusCode, error, message, code)
    "500": (500, "500", "Internal", "Internal Server Error", "InternalError"),
    "503": (503, "503", "Unavailable", "Service Unavailable", "ServiceUnavailable"),
    "503_body": (400, "503", "Error", "cannot execute INSERT in a read-only transaction", "DatabaseReadOnly"),
    "544": (544, "544", "DatabaseTimeout", "The connection to the database timed out", "DatabaseTimeout"),
    "429": (429, "429", "too_many_connections", "Too many connections issued to the database", "SlowDown"),
    "no_such_key": (400, "404", "not_found", "Object not found", "NoSuchKey"),
    "bytes_lost": (400, "404", "Not found", "The resource was not found", "NoSuchKey"),
    "no_such_bucket": (400, "404", "Bucket not found", "Bucket not found", "NoSuchBucket"),
    "access_denied": (400, "403", "Unauthorized", "new row violates row-level security policy", "AccessDenied"),
    "invalid_jws": (400, "403", "Unauthorized", "Invalid Compact JWS", "AccessDenied"),
}
GATEWAY = {"401": (401, "Invalid API key"), "502": (502, None), "504": (504, None), "520": (520, None), "524": (524, None)}
BODY_MODES = {"slow", "cut", "chunked", "html", "empty", "endless"}
MODES = {*ERRORS, *GATEWAY, *BODY_MODES, "hang", "cut_before", "garbage", "redirect", "echo_key", "hold"}


class Gateway(Exception):
    """An answer of the gateway before Storage: another shape."""

    def __init__(self, message, hint=None):
        super().__init__(message)
        self.body = {"message": message, **({"hint": hint} if hint else {})}


class Storage:
    def __init__(self, args):
        self.keys, self.old_gateway = args.key or ["sb_secret_of_the_double"], args.old_gateway
        self.store = files.Store(args.root, set(args.public))
        self.records, self.orders, self.delay_ms = double.Records(), double.Orders(MODES), 0

    # --- who asks --------------------------------------------------------------------------------------------------

    def check_key(self, request):
        """Raises unless the caller has a key, in the headers that its kind of key demands."""
        keys = request.headers.getall("apikey", [])
        if len(keys) != 1:
            raise Gateway("No API key found in request", "No `apikey` request header or url param was found.")
        if keys[0] not in self.keys:
            raise Gateway("Invalid API key", "Double check your Supabase `anon` or `service_role` API key.")
        bearer, secret = request.headers.get("Authorization"), keys[0].startswith("sb_")
        if secret and BROWSER.search(request.headers.get("User-Agent", "")):
            raise Gateway("Forbidden use of secret API key in browser", "Secret API keys can only be used in a protected "
                          "environment and should never be used in a browser.")
        if bearer is None:
            if secret and not self.old_gateway:
                return
            raise files.invalid_request("headers must have required property 'authorization'")
        if bearer != f"Bearer {keys[0]}" or (secret and self.old_gateway):
            raise files.invalid_jws()

    # --- one request -----------------------------------------------------------------------------------------------

    async def handle(self, request):
        entry = self.records.begin({"method": request.method, "target": request.raw_path, "mode": None, "headers":
                                    double.masked_headers(request.headers, {"apikey", "authorization"})})
        status = "cut"
        try:
            response = await self.answer(request, entry)
            status = "cut" if isinstance(response, double.Broken) else response.status
            return response
        finally:
            self.records.end(entry, status)

    async def answer(self, request, entry):
        await asyncio.sleep(self.delay_ms / 1000)
        try:
            return await self.route(request, entry)
        except Gateway as error:
            entry["refused"] = str(error)
            return web.json_response(error.body, status=401)
        except files.StorageError as error:
            entry["refused"] = str(error)
            if request.method == "HEAD":
                return web.Response(status=error.http)
            return web.json_response(error.body, status=error.http)

    async def route(self, request, entry):
        segments, query = files.decode_target(request.raw_path[len(PREFIX) - 1:])
        if query is not None and segments[:2] != ["object", "sign"]:
            raise files.invalid_request(f"querystring must NOT have additional properties: {query!a}")
        public = segments[:2] == ["object", "public"] or segments[:3] == ["object", "info", "public"]
        if not public and segments[:2] != ["object", "sign"]:
            self.check_key(request)
        verb, rest = "GET" if request.method == "HEAD" else request.method, segments
        if rest[0] == "bucket":
            return await self.buckets(request, verb, rest[1:])
        if rest[:2] == ["object", "list"] and verb == "POST" and len(rest) == 3:
            return await self.list_objects(request, rest[2])
        if rest[0] == "object" and len(rest) >= 3 and verb in ("POST", "PUT"):
            return await self.upload(request, rest[1], "/".join(rest[2:]), verb == "PUT")
        if rest[0] == "object" and verb == "GET":
            return await self.get_object(request, entry, rest[1:], public)
        return web.json_response({"message": f"Route {request.method}:{request.raw_path} not found", "error": "Not Found",
                                  "statusCode": 404}, status=404)

    async def get_object(self, request, entry, rest, public):
        info = rest[:1] == ["info"]
        rest = rest[1:] if info else rest
        if rest[:1] == ["sign"]:
            raise files.StorageError(400, "400", "InvalidJWT", '"exp" claim timestamp check failed', "InvalidJWT")
        if rest[:1] in (["authenticated"], ["public"]):
            rest = rest[1:]
        if len(rest) < 2:
            raise files.invalid_request("params must have required property '*'")
        bucket, name = rest[0], "/".join(rest[1:])
        entry.update(bucket=bucket, path=name)
        order = self.orders.take(entry)
        if order and order["mode"] == "hold":
            entry["mode"] = "hold"
            if not await self.orders.held(order, request):
                return double.Broken()
            order = None
        if order:
            entry["mode"] = order["mode"]
            broken = await self.fail(request, order)
            if broken is not None:
                return broken
        if public and bucket not in self.store.public:
            raise files.no_such_bucket()
        stored = self.store.find(bucket, name)
        if info:
            return web.json_response({"id": stored.etag.strip('"'), "name": name, "version": "1", "bucket_id": bucket,
                                      "size": stored.size, "content_type": stored.content_type, "etag": stored.etag,
                                      "cache_control": "no-cache", "last_modified": stored.metadata()["lastModified"],
                                      "metadata": {}})
        return await self.download(request, stored, order)

    async def download(self, request, stored, order):
        headers = {"Content-Type": stored.content_type, "ETag": stored.etag, "Accept-Ranges": "bytes",
                   "Last-Modified": email.utils.formatdate(stored.mtime, usegmt=True), "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == stored.etag:
            return web.Response(status=304, headers=headers)
        with open(stored.path, "rb") as file:
            data = file.read()
        if order:
            return await self.spoil(request, order, data, headers)
        status = 200
        if "Range" in request.headers:
            first, last = self.wanted_range(request.headers["Range"], len(data))
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first:last + 1], 206
        return web.Response(status=status, body=data, headers=headers)

    @staticmethod
    def wanted_range(text, size):
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", text)
        if not found or int(found.group(1)) >= size:
            raise files.StorageError(416, "416", "InvalidRange", "The requested range is not satisfiable", "InvalidRange")
        return int(found.group(1)), min(int(found.group(2) or size), size - 1)

    # --- failures --------------------------------------------------------------------------------------------------

    async def fail(self, request, order):
        """The reply of a mode that needs no object; None for those that spoil its delivery."""
        mode = order["mode"]
        if mode in ERRORS:
            raise files.StorageError(*ERRORS[mode])
        if mode in GATEWAY:
            status, message = GATEWAY[mode]
            if message:
                raise Gateway(message)
            return web.Response(status=status, text=HTML.format(f"{status}: Error"), content_type="text/html")
        if mode == "echo_key":    # "pad" characters of two bytes before it
            raise files.StorageError(500, "500", "Internal", "é" * order.get("pad", 0) + request.headers["apikey"], "InternalError")
        if mode == "redirect":
            return web.Response(status=302, headers={"Location": order.get("location", "http://127.0.0.2:9/elsewhere.pdf")})
        if mode == "hang":
            return await double.hang(request)
        if mode == "cut_before":
            return double.cut(request)
        if mode == "garbage":
            return double.garbage(request)
        return None

    async def spoil(self, request, order, data, headers):
        mode = order["mode"]
        if mode == "html":
            return web.Response(text=HTML.format("Just a moment..."), content_type="text/html")
        if mode == "empty":
            return web.Response(body=b"", headers=headers)
        if mode == "cut":
            part = data[:int(len(data) * order.get("fraction", 0.5))]
            await double.cut_after(request, 200, headers, part, len(data))
            return double.Broken()
        response = web.StreamResponse(headers=headers)
        if mode == "slow":
            response.content_length = len(data)
        else:
            response.enable_chunked_encoding()
        await response.prepare(request)
        step, pause = order.get("step", 65536), order.get("pause_ms", 100 if mode == "slow" else 0) / 1000
        for start in range(0, len(data), step):
            await response.write(data[start:start + step])
            await asyncio.sleep(pause)
        if mode == "endless":    # "limit" bytes of nothing behind the document
            for _ in range(0, order.get("limit", 1 << 30), 65536):
                await response.write(b"\0" * 65536)
        await response.write_eof()
        return response

    # --- the rest of the API -----------------------------------------------------------------------------------------

    async def upload(self, request, bucket, name, update):
        data = await request.read()
        if not data:
            raise files.invalid_request("the body is empty")
        upsert = update or request.headers.get("x-upsert", "false") == "true"
        return web.json_response(self.store.put(bucket, name, data, request.content_type, upsert))

    async def list_objects(self, request, bucket):
        body = await self.json_body(request)
        if not isinstance(body.get("prefix"), str):
            raise files.invalid_request("body must have required property 'prefix'")
        return web.json_response(self.store.listing(bucket, body["prefix"], body.get("limit", 100), body.get("offset", 0)))

    async def buckets(self, request, verb, rest):
        if verb == "POST" and not rest:
            body = await self.json_body(request)
            if not isinstance(body.get("name"), str):
                raise files.invalid_request("body must have required property 'name'")
            return web.json_response(self.store.make_bucket(body.get("id", body["name"]), body.get("public", False)))
        if verb == "GET" and len(rest) == 1:
            return web.json_response(self.store.bucket_info(rest[0]))
        raise files.invalid_request("no such route for buckets")

    @staticmethod
    async def json_body(request):
        try:
            body = json.loads(await request.read())
        except ValueError as error:
            raise files.invalid_request("Body is not valid JSON but content-type is set to 'application/json'") from error
        if not isinstance(body, dict):
            raise files.invalid_request("body must be object")
        return body

    # --- control -----------------------------------------------------------------------------------------------------

    async def set_fail(self, request):
        wrong = self.orders.add(await request.json())
        return web.json_response({"error": wrong} if wrong else {}, status=400 if wrong else 200)

    async def release(self, request):
        self.orders.release((await request.json())["name"])
        return web.json_response({})

    async def set_delay(self, request):
        self.delay_ms = (await request.json()).get("ms", 0)
        return web.json_response({})

    async def relent(self, _request):
        self.orders.relent()
        return web.json_response({})

    async def reset(self, _request):
        self.records.clear()
        self.orders.clear()
        self.delay_ms = 0
        return web.json_response({})

    async def requests(self, _request):
        return web.json_response(self.records.entries)

    async def stats(self, _request):
        entries = self.records.entries
        return web.json_response({"requests": len(entries), "refused": [e["refused"] for e in entries if "refused" in e],
                                  "in_flight": self.records.in_flight, "max_in_flight": self.records.max_in_flight})

    def app(self):
        app = web.Application(client_max_size=MAX_UPLOAD)
        app.add_routes([
            web.post("/_control/fail", self.set_fail), web.post("/_control/relent", self.relent), web.post("/_control/release", self.release),
            web.post("/_control/delay", self.set_delay),
            web.post("/_control/reset", self.reset), web.get("/_control/requests", self.requests),
            web.get("/_control/stats", self.stats), web.route("*", PREFIX + "{rest:.*}", self.handle)])
        return app


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    double.add_common_arguments(parser)
    parser.add_argument("--root", required=True, metavar="DIR", help="objects are DIR/<bucket>/<path>")
    parser.add_argument("--key", action="append", help="a service key, eyJ… or sb_secret_…; may be repeated")
    parser.add_argument("--public", action="append", default=[], metavar="BUCKET", help="a public bucket; may be repeated")
    parser.add_argument("--old-gateway", action="store_true", help="a gateway that knows no sb_secret_ keys")
    args = parser.parse_args()
    double.run(Storage(args).app(), args)


if __name__ == "__main__":
    main()
