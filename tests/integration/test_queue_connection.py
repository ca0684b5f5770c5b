"""The connection: what refuses it, what it says, and that nothing lasts longer than its deadline."""

import json
import os
import random
import socket
import time

import pytest

import servers


def failure_of(client):
    with pytest.raises(AssertionError) as failure:
        client.claim()
    return failure.value


@pytest.fixture
def guarded(database):
    """A database and a role with a password."""
    db = database()
    db.execute("DO $$ BEGIN CREATE ROLE guarded LOGIN PASSWORD 'hunter2-topsecret' SUPERUSER; "
               "EXCEPTION WHEN duplicate_object THEN END $$")
    return db


def test_a_right_password_is_let_in(guarded, new_client):
    url = f"host=127.0.0.1 port={guarded.postgres.port} dbname={guarded.name} user=guarded password=hunter2-topsecret"
    assert new_client(url).claim() is None


@pytest.mark.parametrize("url, kind, code", [
    ("postgresql://guarded:wrong-topsecret@127.0.0.1:{port}/{name}", "config", "28P01"),
    ("postgresql://guarded:wrong-topsecret@127.0.0.1:{port}/nowhere", "config", "28P01"),
    ("postgresql://postgres@127.0.0.1:{port}/nowhere", "config", "3D000"),
    ("postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=require&password=topsecret", "transient", "connect"),
    ("postgresql://u:pass@topsecret@127.0.0.1:{port}/{name}", "transient", "resolve"),
    ("postgresql://u:topsecret@[::1/{name}", "config", "conninfo"),
    ("host=127.0.0.1 port={port} topsecret", "config", "conninfo"),
    ("host=127.0.0.1 port={closed} password=topsecret", "transient", "connect"),
    ("host=no-such-host.invalid password=topsecret", "transient", "resolve"),
    ("host=/no/such/directory password=topsecret", "transient", "connect"),
])
def test_a_refused_connection_is_classified_and_gives_no_secret_away(guarded, new_client, url, kind, code):
    url = url.format(port=guarded.postgres.port, name=guarded.name, closed=servers.free_port())
    error = failure_of(new_client(url))
    assert (error.kind, error.code) == (kind, code), error.text
    assert "topsecret" not in error.text
    assert "\n" not in error.text


def test_of_several_hosts_the_next_is_tried(database, new_client):
    db = database()
    port = db.postgres.port
    url = f"postgresql://postgres@127.0.0.1:{servers.free_port()},no-such-host.invalid:1,localhost:{port}/{db.name}"
    assert new_client(url).claim() is None


def test_a_host_that_accepts_and_says_nothing_leaves_time_for_the_next(database, new_client):
    db = database()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        hosts = f"127.0.0.1:{mute.getsockname()[1]},127.0.0.1:{db.postgres.port}"
        client = new_client(f"postgresql://postgres@{hosts}/{db.name}", connectTimeoutMs=2000)
        assert client.claim() is None


def test_a_server_that_says_nothing_is_given_up(new_client):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = new_client(f"postgresql://postgres@127.0.0.1:{mute.getsockname()[1]}/x", connectTimeoutMs=300)
        error = failure_of(client)
    assert (error.kind, error.code) == ("transient", "connect")


def test_a_unix_socket_serves(database, new_client):
    db = database()
    assert new_client(f"host={db.postgres.directory} port={db.postgres.port} user=postgres dbname={db.name}").claim() is None


def test_a_statement_past_its_deadline_costs_the_connection_only(database, new_client):
    db = database()
    db.add(1)
    client = new_client(db.url, statementTimeoutMs=500)
    job = client.claim()
    with db.connect() as other, other.transaction():
        other.execute("LOCK TABLE extraction_queue_page")
        started = time.monotonic()
        with pytest.raises(AssertionError) as failure:
            client.checkpoint(job, [{"page": 1, "result": {}}])
        assert (failure.value.kind, failure.value.code) == ("transient", "timeout")
        assert time.monotonic() - started < 30
    servers.wait_for(lambda: db.one("SELECT count(*) FROM extraction_queue_page") == 1, "the late commit")
    assert client.checkpoint(job, [{"page": 1, "result": {}}]) == 0


def test_the_connection_says_who_it_is_and_sets_no_session_state(database, new_client):
    db = database()
    client = new_client(db.url)
    client.claim()
    assert db.execute("SELECT DISTINCT application_name, query LIKE '%%SET %%' AND query LIKE 'SET%%' "
                      "FROM pg_stat_activity WHERE application_name = 'queue_driver'") == [("queue_driver", False)]


def test_another_encoding_of_the_role_does_not_matter(database, new_client):
    db = database()
    db.execute(f"ALTER DATABASE {db.name} SET client_encoding = 'LATIN1'")
    db.execute(f"ALTER DATABASE {db.name} SET DateStyle = 'SQL, DMY'")
    db.add(1, path="été.pdf")
    client = new_client(db.url)
    bound = client.depth()["createdAfter"]
    assert client.claim(createdAfter=bound)["path"] == "été.pdf"


def can_mount():
    return os.geteuid() == 0 and servers.run(["unshare", "--mount", "true"]).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="a name server of one's own needs port 53 and a mount namespace")
def test_a_name_server_that_says_nothing_is_given_up(builddir, tmp_path):
    """libpq's own lookup would wait as long as resolv.conf says."""
    address = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}.53"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind((address, 53))
        resolv = tmp_path / "resolv.conf"
        resolv.write_text(f"nameserver {address}\noptions timeout:30 attempts:5\n")
        calls = [{"database": "postgresql://u:topsecret@db.example.invalid/x", "sources": ["index"], "connectTimeoutMs": 500},
                 *[{"call": "claim", "worker": "w", "token": "w/d/1/1"}] * 2]
        done = servers.run(["unshare", "--mount", "sh", "-c", 'mount --bind "$1" "$(realpath /etc/resolv.conf)" && exec "$2"',
                            "sh", resolv, builddir / "tests/integration/queue_driver"], timeout_s=20,
                           input="".join(json.dumps(c) + "\n" for c in calls))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(a["kind"], a["code"]) for a in answers] == [("transient", "resolve")] * 2, done
    assert "topsecret" not in done.stdout
