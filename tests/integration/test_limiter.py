"""The limiter over its two homes: what a worker asks, what Redis then says, and what happens when Redis is away."""

import contextlib
import json
import random
import signal
import threading
import time

import limiter_host
import pytest
import redis as client
import servers

DECIDED_MS = 5000  # see test_redis.py: bounds a hang, measures nothing


@pytest.fixture
def own_redis():
    running = []

    def make(*lines, **more):
        running.append(limiter_host.OwnRedis(*lines, **more))
        return running[-1]

    yield make
    for server in running:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGCONT)
        server.close()


@pytest.fixture
def host(builddir):
    hosts = []

    def make(server=None, **options):
        url = f"redis://127.0.0.1:{server.port}" if server else "-"
        hosts.append(limiter_host.Host(builddir, url, **options))
        return hosts[-1]

    yield make
    for h in hosts:
        h.close()


def connect(server):
    return client.Redis(port=server.port, decode_responses=True)


def wait_until_due(answer):
    time.sleep(max(0, answer["in_ms"]) / 1000)


def send(h, tokens):
    """One call, sent at its time."""
    answer = h.granted(tokens)
    wait_until_due(answer)
    assert h.call("confirm", answer["id"])["rc"] == 1
    return answer["id"]


def worst_window(calls, window_ms):
    """The most calls and the most tokens that any window of that length holds."""
    calls = sorted(calls)
    most_calls = most_tokens = tokens = first = 0
    for last, (at_ms, used) in enumerate(calls):
        tokens += used
        while at_ms - calls[first][0] >= window_ms:
            tokens -= calls[first][1]
            first += 1
        most_calls = max(most_calls, last - first + 1)
        most_tokens = max(most_tokens, tokens)
    return most_calls, most_tokens


# ---- one arithmetic, two homes ----

@pytest.fixture(params=["redis", "shared mapping"])
def any_home(request, own_redis, host):
    server = own_redis() if request.param == "redis" else None

    def make(**options):
        return host(server, **options)

    make.local = server is None
    return make


def test_first_call_goes_at_once(any_home):
    h = any_home()
    answer = h.granted(15000)
    assert answer["in_ms"] <= 0 < answer["until_ms"]
    assert answer["local"] is any_home.local
    view = h.call("look")
    assert (view["calls"], view["tokens"]) == (1, 15000)
    assert view["redis_up"] is not any_home.local


def test_ceiling_is_the_limit_times_headroom(any_home):
    view = any_home(rpm=2000, tpm=8000000, headroom=0.8).call("look")
    assert (view["call_limit"], view["token_limit"]) == (1600, 6400000)


def test_settle_corrects_what_was_charged_and_only_once(any_home):
    h = any_home()
    answer = h.granted(15000)
    h.call("settle", answer["id"], 4000)
    assert h.call("look")["tokens"] == 4000
    h.call("settle", answer["id"], 1)
    h.call("cancel", answer["id"])
    view = h.call("look")
    assert (view["calls"], view["tokens"]) == (1, 4000)


def test_call_that_used_more_than_reserved_is_counted_in_full(any_home):
    h = any_home()
    h.call("settle", h.granted(100)["id"], 90000)
    assert h.call("look")["tokens"] == 90000


def test_cancelled_call_frees_its_slot(any_home):
    h = any_home(rpm=1)
    answer = h.granted(10)
    assert h.reserve(10)["rc"] == 1
    h.call("cancel", answer["id"])
    assert h.call("look")["calls"] == 0
    assert h.granted(10)["in_ms"] <= 0


def test_failed_call_still_counts_as_a_call(any_home):
    h = any_home(rpm=1)
    h.call("settle", h.granted(10)["id"], 0)
    assert h.reserve(10)["code"] == "window-full"


def test_calls_are_spaced(any_home):
    h = any_home(rpm=60)
    slots = [h.granted(1)["in_ms"] for _ in range(8)]
    assert slots == sorted(slots)
    # A slot each 750 ms or more; the answers themselves come some time apart.
    assert slots[-1] > 7 * 500 - 250


def test_full_window_says_when_to_ask_again(any_home):
    h = any_home(tpm=20000)
    h.granted(15000)
    answer = h.reserve(15000)
    assert answer["rc"] == 1 and answer["kind"] == "quota" and answer["code"] == "window-full"
    assert 0 < answer["retry_ms"] <= 60000


def test_reservation_above_the_whole_limit_is_counted_as_the_whole_limit(any_home):
    h = any_home(tpm=20000)
    assert h.granted(50000)["tokens"] == 20000
    assert h.reserve(1)["rc"] == 1


def test_no_limit_never_waits(any_home):
    h = any_home(rpm=0, tpm=0)
    assert all(h.granted(10 ** 6)["in_ms"] <= 0 for _ in range(50))


def test_pause_stops_reserving_and_what_was_reserved(any_home):
    h = any_home()
    waiting = h.granted(10)
    h.call("pause", 60000)
    assert h.call("confirm", waiting["id"])["rc"] == 0
    answer = h.reserve(10)
    assert answer["rc"] == 1 and answer["code"] == "paused"
    assert 50000 < answer["retry_ms"] <= 60000
    view = h.call("look")
    assert view["calls"] == 0, "the slot was given back"
    assert 50000 < view["paused_ms"] <= 60000


def test_longer_pause_wins(any_home):
    h = any_home()
    h.call("pause", 60000)
    h.call("pause", 1000)
    assert h.call("look")["paused_ms"] > 50000


def test_pause_ends(any_home):
    h = any_home()
    h.call("pause", 300)
    assert h.reserve(1)["code"] == "paused"
    servers.wait_for(lambda: h.reserve(1)["rc"] == 0, "the pause to end")


def test_slot_that_was_missed_is_given_back(any_home):
    h = any_home(rpm=1)
    answer = h.granted(10)
    time.sleep(answer["until_ms"] / 1000 + 0.1)
    assert h.call("confirm", answer["id"])["rc"] == 0
    assert h.call("look")["calls"] == 0
    assert h.granted(10)["in_ms"] <= 0


def test_reset_frees_everything_sent(any_home):
    h = any_home(rpm=1, tpm=1000)
    send(h, 1000)
    assert h.reserve(1)["rc"] == 1
    assert h.call("reset")["rc"] == 0
    view = h.call("look")
    assert (view["calls"], view["tokens"]) == (0, 0)
    assert h.reserve(1)["rc"] == 0


# ---- saturation, with a window of two seconds ----

WINDOW_MS, GUARD_MS = 2000, 250
SATURATED_MS = 10000


def saturated(hosts, processes, tokens):
    for h in hosts:
        h.send("saturate", processes, SATURATED_MS, tokens)
    threads_calls = [[] for _ in hosts]
    threads = [threading.Thread(target=lambda h=h, out=out: out.extend(h.calls_made()))
               for h, out in zip(hosts, threads_calls)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    return [call for calls in threads_calls for call in calls]


@pytest.mark.parametrize("rpm, tpm, tokens", [(60, 10 ** 9, 100), (10 ** 5, 40000, 1000), (60, 40000, 700)],
                         ids=["calls bind", "tokens bind", "both bind"])
def test_no_window_ever_holds_more_than_the_limit(any_home, rpm, tpm, tokens):
    options = {"rpm": rpm, "tpm": tpm, "window_ms": WINDOW_MS, "guard_ms": GUARD_MS}
    hosts = [any_home(**options) for _ in range(1 if any_home.local else 3)]
    calls = saturated(hosts, 6 // len(hosts), tokens)
    most_calls, most_tokens = worst_window(calls, WINDOW_MS)
    part_calls = len(calls) / (rpm * SATURATED_MS / WINDOW_MS)
    part_tokens = sum(t for _, t in calls) / (tpm * SATURATED_MS / WINDOW_MS)
    print(f"worst window {most_calls}/{rpm} calls {most_tokens}/{tpm} tokens; used {part_calls:.1%} {part_tokens:.1%}")
    assert most_calls <= rpm
    assert most_tokens <= tpm
    # The ceiling of so short a window is 2,000/2,500.
    assert max(part_calls, part_tokens) > 0.5


# ---- Redis: what people and other programs see ----

def keys_of(server):
    return {key: connect(server).pttl(key) for key in connect(server).keys("*")}


def test_counters_show_the_truth(own_redis, host):
    server = own_redis()
    r = connect(server)
    hosts = [host(server) for _ in range(3)]
    for h in hosts:
        h.call("settle", send(h, 15000), 5000)
    assert r.get("gemini:rpm:current") == "3"
    assert r.get("gemini:tpm:current") == "15000"
    assert r.type("gemini:rpm:current") == "string"


def test_counters_end_with_the_calls(own_redis, host):
    server = own_redis()
    r = connect(server)
    h = host(server, window_ms=1000, guard_ms=250)
    send(h, 100)
    assert r.get("gemini:rpm:current") == "1"
    servers.wait_for(lambda: r.get("gemini:rpm:current") is None and r.get("gemini:tpm:current") is None,
                     "the counters to expire")
    assert h.call("look")["calls"] == 0


def test_counters_lose_what_leaves_the_window_with_every_look(own_redis, host):
    server = own_redis()
    r = connect(server)
    h = host(server, window_ms=2000, guard_ms=250)
    send(h, 100)
    time.sleep(1)
    send(h, 50)
    assert r.get("gemini:tpm:current") == "150"

    def first_gone():
        h.call("look")
        return r.get("gemini:tpm:current") == "50"

    servers.wait_for(first_gone, "the first call to leave the window")


def test_every_key_has_the_prefix_and_an_expiry(own_redis, host):
    server = own_redis()
    h = host(server)
    for _ in range(3):
        h.call("settle", send(h, 100), 50)
    h.granted(7)
    h.call("pause", 1000)
    found = keys_of(server)
    assert len(found) >= 4
    assert all(key.startswith("gemini:") for key in found)
    assert all(0 < ttl < 120000 for ttl in found.values()), found


def test_keys_that_are_touched_are_all_declared(own_redis, host):
    """A user who may touch the prefix' keys and channels only."""
    server = own_redis("user default on nopass resetchannels ~gemini:* &gemini:* +@all")
    h = host(server)
    h.call("settle", send(h, 100), 50)
    h.call("pause", 100)
    assert h.call("look")["redis_up"]
    assert h.call("reset")["rc"] == 0


def test_works_where_scripts_may_only_be_sent_whole(own_redis, host):
    server = own_redis("user default on nopass ~* &* +@all -script -evalsha")
    h = host(server)
    answer = h.granted(100)
    assert not answer["local"]
    h.call("settle", answer["id"], 50)
    assert h.call("look")["tokens"] == 50


def test_survives_a_flush_of_the_script_cache(own_redis, host):
    server = own_redis()
    h = host(server)
    first = h.granted(100)
    connect(server).script_flush()
    h.call("settle", first["id"], 40)
    connect(server).script_flush()
    assert not h.granted(100)["local"]
    assert h.call("look")["tokens"] == 140


def test_reserve_and_settle_are_one_round_trip_each(own_redis, host):
    server = own_redis()
    h = host(server)
    send(h, 100)  # the first ones load the scripts and count the hosts
    h.call("settle", h.granted(1)["id"], 1)
    r = connect(server)
    before = r.info("commandstats")["cmdstat_evalsha"]["calls"]
    other = r.info("commandstats").get("cmdstat_eval", {"calls": 0})["calls"]
    for _ in range(20):
        h.call("settle", h.granted(100)["id"], 90)
    assert r.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 40
    assert r.info("commandstats")["cmdstat_eval"]["calls"] == other


@pytest.mark.parametrize("key", ["gemini:rpm:current", "gemini:tpm:current"])
def test_counter_set_to_zero_by_hand_frees_the_budget(own_redis, host, key):
    server = own_redis()
    r = connect(server)
    h = host(server, rpm=1, tpm=10 ** 6) if "rpm" in key else host(server, rpm=1000, tpm=1000)
    send(h, 1000)
    assert h.reserve(1000)["rc"] == 1
    r.set(key, 0)
    assert h.granted(1000)["in_ms"] < 1000, "the pace at most"
    assert r.get(key) == ("1" if "rpm" in key else "1000")
    assert r.pttl(key) > 0
    assert h.reserve(1000)["rc"] == 1, "once, not for ever"


def test_counter_lowered_by_hand_frees_the_difference(own_redis, host):
    server = own_redis()
    h = host(server, rpm=1000, tpm=1000)
    send(h, 1000)
    connect(server).set("gemini:tpm:current", 600)
    assert h.reserve(500)["rc"] == 1
    assert h.reserve(400)["rc"] == 0


def test_freed_call_is_not_refunded_again_when_it_is_settled(own_redis, host):
    server = own_redis()
    h = host(server, tpm=1000)
    old = send(h, 1000)
    connect(server).set("gemini:tpm:current", 0)
    send(h, 1000)
    h.call("settle", old, 0)
    assert h.call("look")["tokens"] == 1000


def test_what_others_add_to_the_counters_counts(own_redis, host):
    server = own_redis()
    h = host(server, rpm=1000, tpm=1000)
    send(h, 100)
    connect(server).incrby("gemini:tpm:current", 850)
    assert h.reserve(100)["rc"] == 1
    assert connect(server).get("gemini:tpm:current") == "950"
    assert h.reserve(50)["rc"] == 0


@pytest.mark.parametrize("rubbish", ["nan", "inf", "-5", "1e9", "", "x" * 1000, "9" * 30])
def test_rubbish_in_a_counter_is_overwritten(own_redis, host, rubbish):
    server = own_redis()
    h = host(server)
    connect(server).set("gemini:rpm:current", rubbish)
    connect(server).lpush("gemini:tpm:current", rubbish)
    send(h, 10)
    assert connect(server).get("gemini:rpm:current") == "1"
    assert connect(server).get("gemini:tpm:current") == "10"


def test_flushed_redis_starts_anew_and_late_settlements_change_nothing(own_redis, host):
    server = own_redis()
    h = host(server)
    answer = h.granted(100)
    connect(server).flushall()
    h.call("settle", answer["id"], 50000)
    view = h.call("look")
    assert (view["calls"], view["tokens"]) == (0, 0)
    assert not h.granted(100)["local"]


def test_share_of_a_killed_worker_returns_with_the_window(own_redis, builddir, host):
    server = own_redis()
    victim = limiter_host.Host(builddir, f"redis://127.0.0.1:{server.port}", rpm=1, window_ms=1000, guard_ms=250)
    victim.granted(10)
    victim.process.kill()
    victim.process.wait()
    victim.process.stdin.close()
    victim.process.stdout.close()
    h = host(server, rpm=1, window_ms=1000, guard_ms=250)
    servers.wait_for(lambda: h.reserve(10)["rc"] == 0, "the share to come back")


def test_pause_reaches_the_other_hosts_and_is_published(own_redis, host):
    server = own_redis()
    one, other = host(server), host(server)
    listener = connect(server).pubsub()
    listener.subscribe("gemini:limit:paused")
    servers.wait_for(lambda: listener.get_message(timeout=1), "the subscription")
    waiting = other.granted(10)
    time.sleep(1.1)  # so old may a host's knowledge be before it asks
    one.call("pause", 60000)
    assert other.call("confirm", waiting["id"])["rc"] == 0
    assert other.reserve(10)["code"] == "paused"
    message = servers.wait_for(lambda: listener.get_message(timeout=1), "the message")
    assert message["data"].endswith(" gemini:model")
    one.call("pause", 1000)
    assert connect(server).pttl("gemini:limit:pause:gemini:model") > 50000
    listener.close()


# ---- Redis away ----

def lost(h):
    """The first answer that Redis did not give."""
    return servers.wait_for(lambda: (a := h.reserve(10)).get("local", True) and a, "Redis to be missed")


@pytest.mark.parametrize("how", ["refused", "hung", "replica"])
def test_loss_is_decided_once_and_this_host_goes_on_with_its_safe_share(own_redis, host, how):
    server = own_redis()
    h = host(server, rpm=2000, tpm=8000000, headroom=0.8, hosts=4)
    assert not h.granted(10)["local"]
    if how == "refused":
        server.stop()
    elif how == "hung":
        server.process.send_signal(signal.SIGSTOP)
    else:
        connect(server).replicaof("127.0.0.1", servers.free_port())
    assert lost(h)["local"]
    # min(1,600/4, (2,000 - 1,600)/4) of the calls.
    view = h.call("look")
    assert view["redis_up"] is False
    assert (view["call_limit"], view["token_limit"]) == (100, 400000)
    answers = [h.granted(10) for _ in range(30)]
    assert all(a["local"] for a in answers)
    # At most one of them a second looked for Redis, and none waited longer than the decision takes.
    assert sum(a["ms"] > 200 for a in answers) <= 2
    assert max(a["ms"] for a in answers) < DECIDED_MS
    if how == "refused":
        server.restart()
    elif how == "hung":
        server.process.send_signal(signal.SIGCONT)
    else:
        connect(server).replicaof("NO", "ONE")
    servers.wait_for(lambda: h.reserve(10).get("local") is False, "Redis to be used again")
    assert h.call("look")["redis_up"] is True


def test_local_reservations_are_settled_where_they_were_made(own_redis, host):
    server = own_redis()
    h = host(server, rpm=2000, tpm=8000000, headroom=0.8, hosts=1)
    server.stop()
    answer = h.granted(1000)
    assert answer["local"]
    h.call("settle", answer["id"], 400)
    assert h.call("look")["tokens"] == 400
    h.call("settle", answer["id"], 1)
    assert h.call("look")["tokens"] == 400


def test_number_of_hosts_is_remembered_from_the_registered_workers(own_redis, host):
    server = own_redis()
    r = connect(server)
    for i in range(6):
        r.hset("gemini:workers", f"w-{i}", json.dumps({"workerId": f"w-{i}", "host": f"host-{i % 3}"}))
    r.hset("gemini:workers", "old", json.dumps({"workerId": "old"}))
    r.hset("gemini:workers", "rubbish", "{")
    h = host(server, rpm=2000, headroom=0.8)
    h.granted(10)
    server.stop()
    assert lost(h)["local"]
    assert h.call("look")["call_limit"] == 100, "three hosts, and the older workers as a fourth"


@pytest.mark.parametrize("options, why", [
    ({"on_loss": "wait", "hosts": 2, "headroom": 0.8}, "on_redis_loss"),
    ({"hosts": 0, "headroom": 0.8}, "never seen"),
    ({"hosts": 2, "headroom": 1.0}, "too little"),
    ({"hosts": 300, "headroom": 0.8}, "too little")])
def test_without_a_safe_share_it_waits_and_says_why(own_redis, host, options, why):
    server = own_redis()
    server.stop()
    h = host(server, **options)
    answer = h.reserve(10)
    assert answer["rc"] == -1 and answer["kind"] == "transient" and answer["code"] == "redis-lost"
    assert why in answer["error"]
    assert answer["retry_ms"] > 0
    server.restart()
    servers.wait_for(lambda: h.reserve(10)["rc"] == 0, "Redis to be found")


def test_wrong_password_is_a_configuration_fault(own_redis, builddir):
    server = own_redis("requirepass right")
    with contextlib.closing(limiter_host.Host(builddir, f"redis://:wrong1@127.0.0.1:{server.port}", hosts=1)) as h:
        answer = h.reserve(10)
        assert answer["rc"] == -1 and answer["kind"] == "config"
        assert "wrong1" not in answer["error"]


def test_redis_restarted_again_and_again_under_load_stays_within_the_limit_and_the_rest(own_redis, host):
    """Ceiling in Redis and the safe share beside it: together the configured limit. A Redis that comes back empty
    has forgotten its window; that is a later issue, so here it is hung and not emptied."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    server = own_redis()
    options = {"rpm": 100, "tpm": 0, "headroom": 0.6, "hosts": 2, "window_ms": WINDOW_MS, "guard_ms": GUARD_MS}
    hosts = [host(server, **options) for _ in range(2)]
    stop = threading.Event()

    def trouble():
        while not stop.wait(dice.uniform(0.3, 1.5)):
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(dice.uniform(0.05, 1.5))
            server.process.send_signal(signal.SIGCONT)

    troublemaker = threading.Thread(target=trouble)
    troublemaker.start()
    try:
        calls = saturated(hosts, 3, 10)
    finally:
        stop.set()
        troublemaker.join()
    most_calls, _ = worst_window(calls, WINDOW_MS)
    print(f"worst window {most_calls}/100, {len(calls)} calls")
    assert most_calls <= 100
    assert len(calls) > 50
