"""storage.h against the double of Supabase Storage: every form of path, every key mode, every way to fail."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "fakes"))

from launch import Double  # noqa: E402

SECRET = "sb_secret_of_the_test"
JWT = "eyJhbGciOiJIUzI1NiJ9.e30.signature"
PDF = b"%PDF-1.4\n" + b"x" * 3000
LARGE = b"%PDF-1.7\n" + bytes(range(256)) * 1200
LIMIT_S = 60


def put(root, name, data):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class Driver:
    """Runs storage_driver against one double."""

    def __init__(self, double, root):
        build = pathlib.Path(os.environ.get("builddir", SOURCE / "build"))
        self.program, self.double, self.root = build / "tests/integration/storage_driver", double, root
        self.tmpdir = root / "tmp"
        self.tmpdir.mkdir(exist_ok=True)

    def run(self, do, path=None, **more):
        given = {"do": do, "storage": "supabase", "url": self.double.url, "key": SECRET, "source": "index",
                 "tmpdir": self.tmpdir, "path": path, **more}
        command = [str(self.program)] + [f"{k}={v}" for k, v in given.items() if v is not None]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def fetch(self, path, **more):
        return self.run("fetch", path, **more)

    def targets(self):
        return [entry["target"] for entry in self.double.requests()]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("storage")
    put(path, "objects/index/a.pdf", PDF)
    put(path, "objects/index/été/no 12?#%.pdf", PDF)
    put(path, "objects/index/index/deep.pdf", PDF)
    put(path, "objects/index/large.pdf", LARGE)
    put(path, "objects/other/o.pdf", PDF)
    return path


@pytest.fixture(scope="module")
def double(root):
    with Double("storage", "--root", root / "objects", "--key", SECRET, "--key", JWT) as running:
        yield running


@pytest.fixture
def driver(double, root):
    double.reset()
    return Driver(double, root)


def good(answer, data=PDF):
    assert answer["ok"], answer
    assert answer["bytes"] == answer["file_bytes"] == len(data)
    assert answer["sha256"] == hashlib.sha256(data).hexdigest()
    assert answer["head"] == "%PDF-" and answer["links"] == 0


def bad(answer, kind, code):
    assert not answer["ok"]
    assert (answer["kind"], answer["code"]) == (kind, code), answer
    assert SECRET not in answer["text"] and JWT not in answer["text"] and "token" not in answer["text"]


# --- paths -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path, target", [
    ("a.pdf", "index/a.pdf"),
    ("index/a.pdf", "index/a.pdf"),
    ("été/no 12?#%.pdf", "index/%C3%A9t%C3%A9/no%2012%3F%23%25.pdf"),
    ("{url}/storage/v1/object/public/index/a.pdf", "index/a.pdf"),
    ("{url}/storage/v1/object/authenticated/index/a.pdf", "index/a.pdf"),
    ("{url}/storage/v1/object/sign/index/a.pdf?token=eyJexpired", "index/a.pdf"),
    ("{url}/storage/v1/object/index/%C3%A9t%C3%A9/no%2012%3F%23%25.pdf", "index/%C3%A9t%C3%A9/no%2012%3F%23%25.pdf"),
    ("{url}/storage/v1/object/other/o.pdf", "other/o.pdf"),
])
def test_every_form_goes_to_the_authenticated_route(driver, path, target):
    good(driver.fetch(path.replace("{url}", driver.double.url)))
    assert driver.targets() == ["/storage/v1/object/authenticated/" + target]


def test_a_first_segment_that_names_a_bucket_may_be_a_directory_after_all(driver):
    good(driver.fetch("index/deep.pdf"))
    assert driver.targets() == ["/storage/v1/object/authenticated/index/deep.pdf",
                                "/storage/v1/object/authenticated/index/index/deep.pdf"]


@pytest.mark.parametrize("path", ["../a.pdf", "index//a.pdf", "https://evil.example/storage/v1/object/index/a.pdf", "a\\b.pdf"])
def test_a_hostile_path_reaches_no_server(driver, path):
    bad(driver.fetch(path), "document", "bad-path")
    assert driver.targets() == []


def test_a_slash_at_the_end_of_the_address_does_no_harm(driver):
    good(driver.fetch("a.pdf", url=driver.double.url + "/"))


# --- keys ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("key, mode, bearer", [(SECRET, "auto", False), (SECRET, "secret", False), (SECRET, "bearer", True),
                                               (JWT, "auto", True), (JWT, "jwt", True)])
def test_each_kind_of_key_goes_where_it_belongs(driver, key, mode, bearer):
    good(driver.fetch("a.pdf", key=key, key_mode=mode))
    headers = driver.double.requests()[0]["headers"]
    assert ("Authorization" in headers) == bearer and headers["User-Agent"].startswith("indexocr/")


def test_a_wrong_key_is_a_fault_of_configuration(driver):
    bad(driver.fetch("a.pdf", key="sb_secret_wrong"), "config", "key-refused")
    bad(driver.fetch("a.pdf", key=JWT, key_mode="secret"), "config", "key-refused")


# --- what is missing ---------------------------------------------------------------------------------------------------

def test_a_missing_object_is_missing(driver):
    bad(driver.fetch("none.pdf"), "missing", "missing")


def test_a_missing_bucket_is_a_fault_of_configuration(driver):
    bad(driver.fetch("a.pdf", source="acte"), "config", "no-bucket")


def test_a_bucket_that_the_server_does_not_name_is_asked_for(driver):
    """Real servers call any object of a bucket that is not there missing, to a key that may see all."""
    driver.double.fail("no_such_key", times=-1)
    bad(driver.fetch("a.pdf", source="acte"), "config", "no-bucket")
    bad(driver.fetch("a.pdf"), "missing", "missing")


def test_check_tells_a_bucket_from_none(driver):
    assert driver.run("check")["ok"]
    bad(driver.run("check", source="acte"), "config", "no-bucket")
    bad(driver.run("check", key="sb_secret_wrong"), "config", "key-refused")


# --- faults ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode, kind, code", [
    ("500", "transient", "http-500"), ("502", "transient", "http-502"), ("503", "transient", "http-503"),
    ("503_body", "transient", "http-503"), ("504", "transient", "http-504"), ("520", "transient", "http-520"),
    ("524", "transient", "http-524"), ("544", "transient", "busy"), ("429", "transient", "busy"),
    ("401", "config", "key-refused"), ("access_denied", "config", "key-refused"), ("invalid_jws", "config", "key-refused"),
    ("no_such_bucket", "config", "no-bucket"), ("no_such_key", "missing", "missing"), ("bytes_lost", "missing", "missing"),
    ("redirect", "config", "redirect"), ("cut", "transient", "cut"), ("cut_before", "transient", "cut"),
    ("garbage", "transient", "cut"), ("html", "document", "not-a-pdf"), ("empty", "document", "empty"),
])
def test_every_fault_has_its_name(driver, mode, kind, code):
    driver.double.fail(mode)
    bad(driver.fetch("a.pdf"), kind, code)


@pytest.mark.parametrize("key", [SECRET, JWT])
@pytest.mark.parametrize("pad", [0, 75, 76, 79])
def test_a_server_that_repeats_the_key_is_not_quoted(driver, key, pad):
    """Not in part either: the message is cut behind 160 bytes."""
    driver.double.fail("echo_key", pad=pad)
    answer = driver.fetch("a.pdf", key=key)
    bad(answer, "transient", "http-500")
    assert "HTTP 500: " + "é" * pad + "*" in answer["text"]
    assert key[:2] not in answer["text"] and "?" not in answer["text"]


def test_silence_ends_with_the_timeout(driver):
    driver.double.fail("hang")
    bad(driver.fetch("a.pdf", timeout_ms=300), "transient", "timeout")


def test_an_endless_file_ends_at_the_limit(driver):
    driver.double.fail("endless")
    bad(driver.fetch("a.pdf", max_bytes=200000), "document", "too-large")


def test_a_slow_or_chunked_document_arrives_whole(driver):
    driver.double.fail("slow", step=512, pause_ms=5)
    good(driver.fetch("a.pdf"))
    driver.double.fail("chunked", step=700)
    good(driver.fetch("a.pdf"))


# --- where it lies -------------------------------------------------------------------------------------------------------

def test_a_small_document_stays_in_memory_and_a_large_one_goes_to_disk(driver):
    small = driver.fetch("a.pdf", memory_bytes=100000)
    good(small)
    assert small["file"].startswith("/memfd:")
    large = driver.fetch("large.pdf", memory_bytes=100000)
    good(large, LARGE)
    assert large["file"].startswith(str(driver.tmpdir)) and large["file"].endswith("(deleted)")
    assert not list(driver.tmpdir.iterdir())


def test_a_tmpdir_that_is_not_there_is_this_hosts_fault(driver):
    answer = driver.fetch("large.pdf", memory_bytes=1000, tmpdir="/nonexistent")
    bad(answer, "system", "system")
    assert "/nonexistent" in answer["text"]


def test_what_is_put_is_fetched_again(driver, root):
    put(root, "mine.pdf", LARGE)
    for _ in range(2):
        assert driver.run("put", "new/mine.pdf", file=root / "mine.pdf")["ok"]
    good(driver.fetch("new/mine.pdf"), LARGE)
    assert driver.double.requests()[0]["headers"]["Content-Type"] == "application/pdf"
    bad(driver.run("put", "x.pdf", file=root / "none.pdf"), "document", "system")


def test_a_directory_serves_the_same_objects(driver, root):
    directory = f"directory:{root}/objects"
    good(driver.fetch("été/no 12?#%.pdf", storage=directory, url=None, key=None))
    bad(driver.fetch("none.pdf", storage=directory, url=None, key=None), "missing", "missing")
    assert driver.targets() == []
