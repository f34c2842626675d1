"""The endpoint policy against a real server that errs, limits, hangs, cuts, and answers nonsense."""

import json
import logging
import re
import threading
import time
from random import Random

import pytest
from chat_stub import serve

from collm_envs.policies.openai import OpenAI, parse
from collm_envs.policies.seat import Reply, Seat

KEY = "sk-secret-0123456789abcdef"


def quick(url, **kwargs):
    return OpenAI(url, "m", **{"pause_s": 0.01, "timeout_s": 60.0, **kwargs})


def good(body, seen):
    return "good"


def first(fault):
    """That fault once for every request, then good answers."""
    return lambda body, seen: "good" if seen else fault


def seats(n):
    return [Seat(f"agent_{k % 2}", (f"prompt {k}",), seed=k) for k in range(n)]


def test_a_call_sends_the_agents_own_history_its_seed_and_the_sampling(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serve(good) as stub:
        policy = parse(f"{stub.url}#org/name?temperature=0.7&max_tokens=512")
        (reply,) = policy.act([Seat("agent_0", ("read", "wrote", "read again"), seed=42)])
    assert stub.paths == ["/v1/chat/completions"]
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert stub.bodies == [
        {
            "model": "org/name",
            "messages": [
                {"role": "user", "content": "read"},
                {"role": "assistant", "content": "wrote"},
                {"role": "user", "content": "read again"},
            ],
            "seed": 42,
            "temperature": 0.7,
            "max_tokens": 512,
        }
    ]
    assert reply.text == "reply to read again"
    assert reply.error == ""
    seconds = reply.usage["seconds"]
    assert reply.usage == {
        "tokens_read": 11,
        "tokens_written": 7,
        "finish_reason": "stop",
        "model": "stub-1",
        "seconds": seconds,
        "attempts": 1,
    }
    assert 0 <= seconds < 5


def test_without_a_key_no_header_is_sent(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serve(good) as stub:
        quick(stub.url).act(seats(1))
    assert "Authorization" not in stub.headers[0]


PASSING = {
    "status:500": "HTTP 500 Internal Server Error: {\"error\": \"told to send 500\"}",
    "status:503": "HTTP 503",
    "status:408": "HTTP 408",
    "wait:0": "HTTP 429 Too Many Requests: slow down",
    "hang:4": "no answer within 1 s",
    "drip": "no answer within 1 s",
    "head_drip": "no answer within 1 s",
    "error_stall:4": "HTTP 500 Internal Server Error: ",
    "error_drip": "HTTP 500 Internal Server Error: ",
    "error_reset": "HTTP 500 Internal Server Error: ",
    "error_cut": "HTTP 429 Too Many Requests: ",
    "cut": "RemoteDisconnected",
    "cut_short": "cut in the middle",
    "empty": "an answer without a text",
    "no_choices": 'an answer without a text: {"choices": []}',
    "bad_json": "an answer without a text",
    "not_an_object": "an answer without a text: [1, 2]",
    "error_in_200": "overloaded",
    "stream": "overloaded",
}  # fmt: skip


SLOW = ("hang:4", "drip", "head_drip", "error_stall:4", "error_drip")


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again_and_the_reply_says_what_happened(fault):
    with serve(first(fault)) as stub:
        (reply,) = quick(stub.url, timeout_s=1.0 if fault in SLOW else 60.0).act(seats(1))
    assert reply.text == "reply to prompt 0"
    assert reply.error == ""
    assert reply.usage["attempts"] == 2
    assert len(reply.usage["errors"]) == 1
    assert PASSING[fault] in reply.usage["errors"][0]
    assert not stub.listened_to_the_end
    assert list(stub.paid.values()) == [1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_will_not_pass_is_given_up_at_once(status):
    with serve(lambda body, seen: f"status:{status}") as stub:
        (reply,) = quick(stub.url).act(seats(1))
    assert reply.text == ""
    assert reply.error.startswith(f"HTTP {status} ")
    assert reply.usage == {"attempts": 1, "errors": [reply.error]}
    assert sum(stub.seen.values()) == 1


def test_what_never_passes_ends_after_the_retries():
    with serve(lambda body, seen: "status:500") as stub:
        (reply,) = quick(stub.url, retries=3).act(seats(1))
    assert reply.usage["attempts"] == 4
    assert len(reply.usage["errors"]) == 4
    assert sum(stub.seen.values()) == 4


def test_nobody_there_is_an_error_of_the_reply_and_no_exception():
    with serve(good) as stub:
        url = stub.url
    (reply,) = quick(url, retries=1).act(seats(1))
    assert "ConnectionRefusedError" in reply.error


@pytest.mark.parametrize(("fault", "least"), [("wait:0.4", 0.4), ("wait_until:2", 0.9)])
def test_retry_after_is_waited_for_as_seconds_or_as_a_date(fault, least):
    with serve(first(fault)) as stub:
        began = time.monotonic()
        (reply,) = quick(stub.url).act(seats(1))
        assert time.monotonic() - began >= least
    assert reply.usage["attempts"] == 2


@pytest.mark.parametrize("value", ["soon", "-5", "", "nan", "Sun, 06 Nov 99999999999999999999 08:49:37 GMT"])
def test_a_retry_after_that_says_nothing_is_no_obstacle(value):
    with serve(first(f"wait:{value}")) as stub:
        assert quick(stub.url).act(seats(1))[0].text == "reply to prompt 0"


def test_under_a_storm_of_faults_no_call_is_lost_and_none_is_paid_twice():
    def plan(body, seen):
        faults = ["status:500", "status:503", "wait:0", "cut", "cut_short", "bad_json"]
        rng = Random(f"{body['seed']}/{seen}")
        return rng.choice(faults) if rng.random() < 0.4 else "good"

    heard: list[tuple[int, str]] = []
    with serve(plan) as stub:
        policy = quick(stub.url, retries=30, concurrency=16, pause_s=0.001)
        replies = policy.act_each(seats(120), lambda seat, reply: heard.append((seat.seed, reply.text)))
    assert [reply.text for reply in replies] == [f"reply to prompt {k}" for k in range(120)]
    assert sorted(heard) == [(k, f"reply to prompt {k}") for k in range(120)]
    assert len(stub.paid) == 120
    assert set(stub.paid.values()) == {1}
    assert sum(len(reply.usage.get("errors", ())) for reply in replies) == sum(stub.seen.values()) - 120 > 50


def test_calls_are_under_way_at_once_up_to_the_concurrency():
    with serve(lambda body, seen: "good:0.1") as stub:
        quick(stub.url, concurrency=7).act(seats(21))
    assert 2 <= stub.most_under_way <= 7


def test_no_text_at_all_is_the_empty_text_and_says_why():
    with serve(lambda body, seen: "no_content") as stub:
        (reply,) = quick(stub.url).act(seats(1))
    assert reply == Reply("", {**reply.usage, "finish_reason": "length", "attempts": 1})


@pytest.mark.parametrize("behaviour", ["echo:200", "echo:500", "echo:401"])
def test_the_key_is_blotted_out_of_all_that_comes_back(behaviour, monkeypatch, caplog, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serve(lambda body, seen: behaviour) as stub:
        policy = quick(stub.url, retries=1)
        (reply,) = policy.act(seats(1))
    assert KEY in stub.headers[0]["Authorization"]
    said = repr(reply) + repr(policy) + policy.name + caplog.text + "".join(capfd.readouterr())
    assert "[key]" in said
    assert KEY not in said


@pytest.mark.parametrize("status", [200, 401])
def test_the_key_is_blotted_out_however_json_writes_it(status, monkeypatch):
    key = "sk-secret/0123456789\\abc"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with serve(lambda body, seen: f"escaped:{status}") as stub:
        (reply,) = quick(stub.url).act(seats(1))
    assert stub.headers[0]["Authorization"] == f"Bearer {key}"
    assert "[key]" in (reply.error or reply.text)
    said = json.dumps([reply.text, reply.usage, reply.error])
    for _ in range(4):  # whoever reads a record may decode it as often as they like
        assert "secret" not in said
        said = re.sub(r"\\\\u(....)", lambda code: chr(int(code[1], 16)), said).replace("\\\\/", "/")


def test_only_counts_of_tokens_are_kept_and_only_texts_that_can_be_written():
    def said(read, written, reason):
        usage = {"prompt_tokens": read, "completion_tokens": written}
        choice = {"message": {"content": "yes"}, "finish_reason": reason}
        return "say:" + json.dumps({"choices": [choice], "usage": usage, "model": reason})

    odd = [
        ("11", -1, "st\ud800op"),
        (True, 2.5, 7),
        (float("nan"), None, ["stop"]),
        (0, 2**40, "\udfff"),
    ]
    with serve(lambda body, seen: said(*odd[body["seed"]])) as stub:
        kept = [reply.usage for reply in quick(stub.url, concurrency=1).act(seats(4))]
    ours = ("seconds", "attempts")
    assert [{name: one[name] for name in one if name not in ours} for one in kept] == [
        {"finish_reason": "st\ufffdop", "model": "st\ufffdop"},
        {},
        {},
        {"tokens_read": 0, "tokens_written": 2**40, "finish_reason": "\ufffd", "model": "\ufffd"},
    ]


def test_a_key_that_no_header_may_hold_is_refused_without_being_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one\nsk-two")
    with pytest.raises(ValueError, match="the key in OPENAI_API_KEY holds") as caught:
        quick("http://127.0.0.1:9/v1").act(seats(1))
    assert "sk-" not in str(caught.value)


def test_a_redirect_is_refused_so_that_the_key_goes_nowhere_else(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serve(good) as other, serve(lambda body, seen: f"redirect:{other.url}/x") as stub:
        (reply,) = quick(stub.url).act(seats(1))
    assert reply.error.startswith("HTTP 302")
    assert other.headers == []


def test_a_redirect_to_no_address_is_an_error_of_the_reply_too():
    with serve(lambda body, seen: "redirect:http://[") as stub:
        (reply,) = quick(stub.url).act(seats(1))
    assert reply.error.startswith("HTTP 302")


def test_interrupted_it_makes_no_more_calls_but_hears_those_under_way():
    heard: list[Reply] = []

    def listen(seat, reply):
        heard.append(reply)
        raise KeyboardInterrupt  # as if Ctrl-C came with the first reply

    with serve(lambda body, seen: "good:0.5") as stub, pytest.raises(KeyboardInterrupt):
        quick(stub.url, concurrency=4).act_each(seats(40), listen)
    assert len(heard) == sum(stub.paid.values())
    assert 4 <= len(heard) <= 12
    assert all(thread.name.startswith("ThreadPool") is False for thread in threading.enumerate())


def test_interrupted_in_a_pause_it_makes_no_further_attempt():
    refused = threading.Event()

    def plan(body, seen):
        if body["seed"] == 1:
            refused.set()
            return "wait:60"
        assert refused.wait(600)
        return "good:0.3"  # by then the other call pauses

    def listen(seat, reply):
        if seat.seed == 0:
            raise KeyboardInterrupt

    with serve(plan) as stub, pytest.raises(KeyboardInterrupt):
        quick(stub.url, timeout_s=60.0).act_each(seats(2), listen)
    assert sorted(stub.seen.values()) == [1, 1]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "need 'openai:http://localhost:8000/v1#model', got ''"),
        ("localhost:8000#m", "need 'openai:"),
        ("http://localhost:8000/v1", "and ''"),
        ("file:///etc/passwd#m", "need 'openai:"),
        ("http://me:sk-secret@host/v1#m", "keys go into the environment"),
        ("http://host/v1?key=sk-secret#m", "keys go into the environment"),
        ("http://host/v1#m?temprature=1", "no setting 'temprature'; there are temperature"),
        ("http://host/v1#m?temperature=hot", "temperature must be float, got 'hot'"),
        ("http://host/v1#m?concurrency=0", "concurrency must be above 0"),
        ("http://host/v1#m?retries=-1", "retries must be at least 0"),
    ],
)
def test_a_malformed_address_is_refused_without_showing_a_key(text, match):
    with pytest.raises(ValueError, match=match) as caught:
        parse(text)
    assert "secret" not in str(caught.value)


def test_the_name_makes_the_policy_again():
    policy = parse("http://host:1/v1#org/name?temperature=0.7&top_p=0.9&max_tokens=5&concurrency=3")
    assert policy.name == "openai:http://host:1/v1#org/name?temperature=0.7&top_p=0.9&max_tokens=5"
    assert parse(policy.name.removeprefix("openai:")).sampling == policy.sampling
    assert (policy.concurrency, parse("http://host:1/v1#m").concurrency) == (3, 16)
