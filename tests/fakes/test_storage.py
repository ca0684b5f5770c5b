"""The storage double is as strict as Supabase Storage and fails as it does."""

import concurrent.futures
import http.client
import json
import socket
import time

import pytest

import storage as module
from launch import Double

JWT = "eyJhbGciOiJIUzI1NiJ9.e30.signature"
SECRET = "sb_secret_for_tests"
PDF = b"%PDF-1.4\n" + bytes(range(256)) * 400 + b"\n%%EOF\n"
OBJECT = "/storage/v1/object/"
FILE = OBJECT + "authenticated/index/scans/a.pdf"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("objects")
    for bucket in ("index", "actes", "ouvert"):
        (root / bucket / "scans").mkdir(parents=True)
    (root / "index" / "scans" / "a.pdf").write_bytes(PDF)
    (root / "index" / "scans" / "à côté #1+2?.pdf").write_bytes(PDF)
    (root / "ouvert" / "b.pdf").write_bytes(PDF)
    with Double("storage", "--root", root, "--key", JWT, "--key", SECRET, "--public", "ouvert") as running:
        yield running


@pytest.fixture
def storage(server):
    server.reset()
    return server


def secret(**more):
    return {"apikey": SECRET, "User-Agent": "indexocr/1.0", **more}


def get(storage, target=FILE, headers=None, method="GET", **more):
    return storage.send(method, target, headers=secret() if headers is None else headers, **more)


# --- what it delivers --------------------------------------------------------------------------------------------

def test_download_has_length_type_and_etag(storage):
    reply = get(storage)
    assert reply.status == 200 and reply.body == PDF
    assert reply.headers["Content-Length"] == str(len(PDF)) and reply.headers["Content-Type"] == "application/pdf"
    assert reply.headers["ETag"].startswith('"') and reply.headers["Accept-Ranges"] == "bytes"


def test_range_and_etag(storage):
    part = get(storage, headers=secret(Range="bytes=5-9"))
    assert part.status == 206 and part.body == PDF[5:10] and part.headers["Content-Range"] == f"bytes 5-9/{len(PDF)}"
    assert get(storage, headers=secret(Range="bytes=999999999-")).json()["code"] == "InvalidRange"
    etag = get(storage).headers["ETag"]
    assert get(storage, headers=secret(**{"If-None-Match": etag})).status == 304


def test_head_and_info(storage):
    head = get(storage, method="HEAD")
    assert head.status == 200 and head.headers["Content-Length"] == str(len(PDF)) and head.body == b""
    assert get(storage, FILE + "x", method="HEAD").status == 400
    info = get(storage, OBJECT + "info/authenticated/index/scans/a.pdf").json()
    assert info["size"] == len(PDF) and info["bucket_id"] == "index"


def test_public_buckets_need_no_key_and_others_seem_missing(storage):
    assert get(storage, OBJECT + "public/ouvert/b.pdf", headers={}).body == PDF
    assert get(storage, OBJECT + "public/index/scans/a.pdf", headers={}).json()["code"] == "NoSuchBucket"


def test_upload_list_and_buckets(storage):
    sent = {**secret(), "Content-Type": "application/pdf"}
    up = storage.send("POST", OBJECT + "actes/2026/n%201.pdf", PDF, sent)
    assert up.status == 200 and up.json()["Key"] == "actes/2026/n 1.pdf"
    again = storage.send("POST", OBJECT + "actes/2026/n%201.pdf", PDF, sent)
    assert again.status == 400 and again.json()["statusCode"] == "409"
    assert storage.send("POST", OBJECT + "actes/2026/n%201.pdf", b"%PDF-", {**sent, "x-upsert": "true"}).status == 200
    assert get(storage, OBJECT + "authenticated/actes/2026/n%201.pdf").body == b"%PDF-"
    listing = storage.send("POST", OBJECT + "list/actes", json.dumps({"prefix": "2026/", "limit": 5}), secret()).json()
    assert [(e["name"], e["metadata"]["size"]) for e in listing] == [("n 1.pdf", 5)]
    assert storage.send("POST", OBJECT + "list/actes", "{}", secret()).status == 400
    assert storage.send("POST", "/storage/v1/bucket", json.dumps({"id": "plans", "name": "plans"}), secret()).status == 200
    assert get(storage, "/storage/v1/bucket/plans").json()["public"] is False
    assert get(storage, "/storage/v1/bucket/absent").json()["code"] == "NoSuchBucket"


def test_invalid_keys_cannot_be_uploaded(storage):
    assert storage.send("POST", OBJECT + "actes/%C3%A9.pdf", PDF, secret()).json()["code"] == "InvalidKey"


# --- who may ask -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("headers,status,word", [
    ({}, 401, "No API key"), ({"apikey": "sb_secret_wrong"}, 401, "Invalid API key"),
    ({"Authorization": "Bearer " + SECRET}, 401, "No API key"),
    ({"apikey": SECRET, "Authorization": "Bearer sb_secret_other"}, 400, "Invalid Compact JWS"),
    ({"apikey": SECRET, "Authorization": "Bearer " + JWT}, 400, "Invalid Compact JWS"),
    ({"apikey": JWT}, 400, "required property 'authorization'"),
    ({"apikey": JWT, "Authorization": JWT}, 400, "Invalid Compact JWS"),
    ({"apikey": SECRET, "User-Agent": "Mozilla/5.0 (X11) Firefox/140"}, 401, "browser")])
def test_wrong_credentials_are_refused(storage, headers, status, word):
    reply = get(storage, headers=headers)
    assert reply.status == status and word in reply.json()["message"]
    assert word in storage.stats()["refused"][0]


@pytest.mark.parametrize("headers", [{"apikey": SECRET}, {"apikey": SECRET, "Authorization": "Bearer " + SECRET},
                                     {"apikey": JWT, "Authorization": "Bearer " + JWT}])
def test_right_credentials(storage, headers):
    assert get(storage, headers=headers).status == 200


def test_an_old_gateway_knows_no_secret_keys(tmp_path):
    (tmp_path / "index").mkdir()
    with Double("storage", "--root", tmp_path, "--key", SECRET, "--old-gateway") as old:
        assert "authorization" in get(old).json()["message"]
        assert get(old, headers=secret(Authorization="Bearer " + SECRET)).json()["message"] == "Invalid Compact JWS"


def test_keys_are_not_recorded(storage):
    get(storage, headers={"apikey": JWT, "Authorization": "Bearer " + JWT})
    assert JWT not in json.dumps(storage.requests())


# --- paths -------------------------------------------------------------------------------------------------------

def test_encoded_paths_reach_their_object(storage):
    assert get(storage, OBJECT + "authenticated/index/scans/%C3%A0%20c%C3%B4t%C3%A9%20%231%2B2%3F.pdf").body == PDF


@pytest.mark.parametrize("path", ["scans/a.pdf?x", "scans/%zz.pdf", "scans/[a].pdf", "scans/../scans/a.pdf", "scans//a.pdf",
                                  "scans%2Fa.pdf", "scans/%FF.pdf", "scans/\"a\".pdf", "scans/a.pdf?token=x"])
def test_paths_that_are_not_encoded_are_refused(storage, path):
    reply = get(storage, OBJECT + "authenticated/index/" + path)
    assert reply.status == 400 and reply.json()["code"] == "InvalidRequest"
    assert storage.requests()[0]["target"].endswith(path)


def test_a_raw_space_is_no_http(storage):
    with socket.create_connection(storage.address.split(":"), timeout=10) as connection:
        connection.sendall(f"GET {OBJECT}authenticated/index/a b.pdf HTTP/1.1\r\nHost: x\r\napikey: {SECRET}\r\n\r\n".encode())
        assert connection.recv(100).split()[1] == b"400"


def test_missing_objects_and_buckets_are_400_with_the_cause_in_the_body(storage):
    for target, code in (("index/scans/none.pdf", "NoSuchKey"), ("nulle/a.pdf", "NoSuchBucket")):
        reply = get(storage, OBJECT + "authenticated/" + target)
        assert reply.status == 400 and reply.json()["statusCode"] == "404" and reply.json()["code"] == code


def test_expired_signed_urls(storage):
    assert get(storage, OBJECT + "sign/index/scans/a.pdf?token=eyJ", headers={}).json()["code"] == "InvalidJWT"


# --- how it fails ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", sorted(module.ERRORS))
def test_every_error_of_storage(storage, mode):
    storage.fail(mode)
    http_status, status, _, message, code = module.ERRORS[mode]
    reply = get(storage)
    assert reply.status == http_status
    assert reply.json() == {"statusCode": status, "error": reply.json()["error"], "message": message, "code": code}
    assert get(storage).status == 200


@pytest.mark.parametrize("mode", sorted(module.GATEWAY))
def test_every_error_of_the_gateway(storage, mode):
    storage.fail(mode)
    assert get(storage).status == int(mode)


def test_object_appears_after_some_misses(storage):
    storage.fail("no_such_key", times=2, match={"path": "a.pdf"})
    assert [get(storage).status for _ in range(3)] == [400, 400, 200]


def test_orders_that_bound_each_object_spare_it_after_so_many_failures(storage):
    other = OBJECT + "authenticated/ouvert/b.pdf"
    for mode in ("500", "503"):
        storage.fail(mode, times=5, each=2, of="path")
    assert [get(storage).status for _ in range(4)] == [500, 500, 200, 200]
    assert [get(storage, other).status for _ in range(3)] == [500, 500, 200]


def test_relenting_forgets_the_orders_that_are_not_for_ever_and_no_request(storage):
    storage.fail("500", times=3)
    storage.fail("502", times=-1, match={"path": "a.pdf"})
    assert get(storage).status == 500
    storage.control("relent", {})
    assert get(storage).status == 502 and get(storage, OBJECT + "authenticated/ouvert/b.pdf").status == 200
    assert storage.stats()["requests"] == 3


def test_body_cut_in_the_middle(storage):
    storage.fail("cut")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        get(storage)
    assert storage.requests()[0]["status"] == "cut"


@pytest.mark.parametrize("mode,error", [("cut_before", ConnectionError), ("garbage", http.client.BadStatusLine)])
def test_connections_break(storage, mode, error):
    storage.fail(mode)
    with pytest.raises((error, ConnectionResetError)):
        get(storage)


def test_chunked_redirect_html_and_empty(storage):
    storage.fail("chunked")
    reply = get(storage)
    assert reply.body == PDF and reply.headers["Content-Length"] is None
    storage.fail("redirect", location="http://127.0.0.3:1/x")
    reply = get(storage)
    assert reply.status == 302 and reply.headers["Location"] == "http://127.0.0.3:1/x"
    storage.fail("html")
    assert get(storage).body.startswith(b"<!DOCTYPE html>")
    storage.fail("empty")
    assert get(storage).body == b""


def test_endless_bodies_stop_only_at_their_limit(storage):
    storage.fail("endless", limit=1 << 20)
    assert len(get(storage).body) == len(PDF) + (1 << 20)


def test_slow_bodies_trickle(storage):
    storage.fail("slow", step=1024, pause_ms=50)
    with socket.create_connection(storage.address.split(":"), timeout=10) as connection:
        connection.sendall(f"GET {FILE} HTTP/1.1\r\nHost: x\r\napikey: {SECRET}\r\nUser-Agent: t\r\n\r\n".encode())
        connection.settimeout(10)
        assert len(connection.recv(65536)) < len(PDF)


def test_an_object_on_hold_comes_whole_when_it_is_released_and_others_are_not_held(storage):
    storage.hold("first", {"bucket": "index"})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        held = pool.submit(get, storage)
        while not storage.requests():
            time.sleep(0.02)
        assert get(storage).body == PDF and not held.done()
        storage.release("first")
        assert held.result(20).body == PDF


def test_hang_ends_with_the_client_and_the_double_with_sigterm(tmp_path):
    (tmp_path / "index").mkdir()
    double = Double("storage", "--root", tmp_path, "--key", SECRET)
    double.fail("hang", times=2)
    with pytest.raises(TimeoutError):
        get(double, timeout=0.3)
    for _ in range(100):
        if double.stats()["in_flight"] == 0:
            break
        time.sleep(0.05)
    assert double.requests()[0]["status"] == "cut"
    waiting = socket.create_connection(double.address.split(":"))
    waiting.sendall(f"GET {FILE} HTTP/1.1\r\nHost: x\r\napikey: {SECRET}\r\n\r\n".encode())
    assert double.close() == 0
    waiting.close()
