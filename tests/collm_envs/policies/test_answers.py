"""Every shape of an endpoint's answer: one call where something was generated, and why where no text came."""

import gzip
import json

import pytest
from chat_stub import serve

from collm_envs.policies import answers
from collm_envs.policies.openai import OpenAI, parse
from collm_envs.policies.seat import Seat


def choice(message, finish="stop", **more):
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}


def part(kind, text):
    return {"type": kind, "text": text}


TEXTS = {
    "content": (choice({"content": "yes"}), "yes"),
    "parts": (choice({"content": [part("text", "y"), part("text", "es")]}), "yes"),
    "one part": (choice({"content": part("text", "yes")}), "yes"),
    "texts as parts": (choice({"content": ["y", "es"]}), "yes"),
    "part with a value": (choice({"content": [{"type": "text", "text": {"value": "yes"}}]}), "yes"),
    "output_text": (choice({"content": [part("output_text", "yes")]}), "yes"),
    "an image beside": (choice({"content": [part("text", "yes"), {"type": "image_url"}]}), "yes"),
    "a type of nothing": (choice({"content": [{"type": None, "text": "yes"}]}), "yes"),
    "no type": (choice({"content": [{"text": "yes"}]}), "yes"),
    "completion": ({"choices": [{"text": "yes", "finish_reason": "stop"}]}, "yes"),
    "delta": ({"choices": [{"delta": {"content": "yes"}}]}, "yes"),
    "bare message": ({"choices": [{"message": "yes"}]}, "yes"),
    "a warning beside": (choice({"content": "yes"}, error={"message": "soon gone"}), "yes"),
    "usage of texts": (choice({"content": "yes"}, usage={"completion_tokens": "7"}), "yes"),
    "usage of nothing": (choice({"content": "yes"}, usage=None), "yes"),
}

EMPTY = {
    "content missing": (choice({"role": "assistant", "reasoning": "hm"}, "length"), "length"),
    "content null": (choice({"content": None}, "stop"), "no text"),
    "content blank": (choice({"content": " \n"}, "stop"), "no text"),
    "content filter": ({"choices": [{"finish_reason": "content_filter"}]}, "content_filter"),
    "message null": ({"choices": [{"message": None, "finish_reason": "stop"}]}, "no message"),
    "no parts": (choice({"content": []}), "no text"),
    "an image only": (choice({"content": [{"type": "image_url", "image_url": {}}]}), "only image_url"),
    "a number": (choice({"content": 7}), "only int"),
    "refusal": (choice({"content": None, "refusal": "I can't."}), "refusal"),
    "tool call": (choice({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls"), "tool call"),
    "only thinking": (choice({"content": "", "reasoning_content": "hm"}), "only thinking"),
    "thinking in content": (choice({"content": "<think>hm"}, "length"), "length"),
    "no choice but counted": ({"choices": [], "usage": {"prompt_tokens": 9}}, "no choice"),
}


def ask(answer):
    """(reply, number of calls) where the endpoint always answers so."""
    with serve(lambda body, seen: f"say:{answer}") as stub:
        policy = OpenAI(stub.url, "m", retries=1, pause_s=0.001)
        (reply,) = policy.act([Seat("agent_0", ("Say yes.",), 1)])
    return reply, sum(stub.seen.values())


@pytest.mark.parametrize("shape", TEXTS)
def test_a_text_is_found_in_every_shape(shape):
    said, text = TEXTS[shape]
    reply, calls = ask(json.dumps(said))
    assert (reply.text, reply.error, calls) == (text, "", 1)
    assert "empty" not in reply.usage


@pytest.mark.parametrize("shape", EMPTY)
def test_an_answer_without_a_text_is_one_call_and_says_why(shape):
    said, why = EMPTY[shape]
    reply, calls = ask(json.dumps(said))
    assert (reply.text.strip(), reply.error, calls) == ("", "", 1)
    assert reply.usage["empty"] == why


def stream(*chunks):
    return "".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks) + "data: [DONE]\n\n"


@pytest.mark.parametrize(
    "body",
    [
        stream({"choices": [{"delta": {"content": "y"}}]}, {"choices": [{"delta": {"content": "es"}}]}),
        ": ping\n\n" + stream({"choices": [{"delta": {"content": "yes"}, "finish_reason": "stop"}]}),
        "event: message\n" + stream({"choices": [{"delta": {"content": "<think>hm</think>yes"}}]}),
        "id: 1\nretry: 9\n" + stream({"choices": [{"delta": {"content": "yes"}}]}),
        ": ping\n\n: ping\n" + json.dumps(choice({"content": "yes"})),
        stream({"choices": [{"delta": {"content": [part("text", "yes")]}}]}),
        stream({"choices": [{"delta": {"content": "yes"}}, {"index": 1, "delta": {"content": "no"}}]}),
        'data: {"choices":\r\ndata:   [{"delta": {"content": "yes"}}]}\r\n\r\n',
        'data: {"choices": [{"delta": {"content": "y"}}]}\ndata: {"choices": [{"text": "es"}]}\n',
    ],
)
def test_an_answer_that_was_streamed_unasked_is_put_together(body):
    reply, calls = ask(body)
    assert (reply.text, calls) == ("yes", 1)


def test_an_answer_that_was_compressed_unasked_is_unpacked():
    body = gzip.compress(json.dumps(choice({"content": "yes"})).encode())
    assert answers.read(body).text == "yes"
    with pytest.raises(answers.Unread):
        answers.read(body[:20])
    with pytest.raises(answers.Unread):
        answers.read(b"\x1f\x8b is no archive")


def test_a_streamed_tool_call_is_an_empty_text_that_says_so():
    ended = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}
    reply, calls = ask(stream({"choices": [{"delta": {"tool_calls": [{"id": "1"}]}}]}, ended))
    assert (reply.text, reply.usage["empty"], calls) == ("", "tool call", 1)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<!doctype html><title>Sign in</title>",
        "not json",
        "null",
        '"yes"',
        '{"choices": null}',
        '{"choices": [7]}',
        '{"choices": [], "error": {"message": "overloaded"}, "usage": {"prompt_tokens": 9}}',
        json.dumps(choice({"content": ""}, "error")),
        'data: {"error": "overloaded"}\n\ndata: [DONE]\n\n',
        'data: {"choices": [{"delta": {"con',
        'data: {"choices": ["yes"]}\n\n',
        'data: {"choices": {"0": {"delta": {"content": "yes"}}}}\n\n',
        'data: {"choices": 7}\n\n',
    ],
)
def test_what_was_never_generated_is_tried_again(body):
    with pytest.raises(answers.Unread):
        answers.read(body.encode())
    reply, calls = ask(body)
    assert calls == 2
    assert reply.error.startswith("an answer without a text")


OFF = {"chat_template_kwargs": {"enable_thinking": False}}
BODY = 'body={"top_a":0.2,"chat_template_kwargs":{"enable_thinking":false}}'


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("seed=off", {}),
        ("reasoning_effort=low", {"reasoning_effort": "low"}),
        ('stop=["END","a&b"]', {"stop": ["END", "a&b"]}),
        ("stop=END", {"stop": "END"}),
        ('chat_template_kwargs={"enable_thinking":false}', OFF),
        (BODY, {"top_a": 0.2, **OFF}),
        ("temperature=0.5&" + BODY, {"temperature": 0.5, "top_a": 0.2, **OFF}),
        ('stop="100%25 a%26b=c"', {"stop": "100% a&b=c"}),
    ],
)  # fmt: skip
def test_further_settings_are_sent_as_json_and_the_name_says_them_again(query, sent):
    for seeded in ("", "&seed=off" * (query != "seed=off")):
        policy = parse(f"http://h/v1#m?{query}{seeded}")
        body = policy.request(Seat("agent_0", ("hi",), 3))
        assert ("seed" in body) is (not seeded and query != "seed=off")
        assert {name: body[name] for name in body if name not in ("model", "messages", "seed")} == sent
        again = parse(policy.name.removeprefix("openai:"))
        assert (again.sampling, again.seeded, again.name) == (policy.sampling, policy.seeded, policy.name)


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("seed=7", "seed: need on or off"),
        ("body=[1]", "body: need a JSON object such as"),
        ('body={"a":NaN}', "NaN is no JSON"),
        ('stop=["END"', "stop: need JSON"),
        ("temperature=nan", "temperature must be a finite number"),
        ("top_p=1&top_p=0.5", "top_p is given twice"),
        ('top_p=1&body={"top_p":0.5}', "top_p stands in body and beside it"),
        ('body={"stream":true}', "stream cannot stand in the body"),
        ('body={"seed":1}', "seed=off leaves it out"),
        ("reasoning_efort=low", "did you mean 'reasoning_effort'"),
        ('body={"api_key":"hidden"}', "api_key looks like a key"),
        ('body={"user":"sk-hidden-0123456789abcdef"}', "user looks like a key"),
        ('body={"extra_headers":{"Authorization":"hidden"}}', "Authorization looks like a key"),
    ],
)
def test_a_setting_that_cannot_be_sent_is_refused_and_no_secret_is_shown(query, match):
    with pytest.raises(ValueError, match=match) as caught:
        parse(f"http://h/v1#m?{query}")
    assert "hidden" not in str(caught.value)


def test_the_key_itself_cannot_stand_among_the_settings(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "hidden-key-hidden")
    with pytest.raises(ValueError, match="user looks like a key"):
        parse('http://h/v1#m?body={"user":"hidden-key-hidden"}')


def test_an_endpoint_that_refuses_the_seed_is_told_how_to_leave_it_out():
    with serve(lambda body, seen: "status:422" if "seed" in body else "good") as stub:
        (with_seed,) = parse(f"{stub.url}#m").act([Seat("agent_0", ("seed",), 1)])
        (without,) = parse(f"{stub.url}#m?seed=off").act([Seat("agent_0", ("hi",), 1)])
    assert with_seed.error.startswith("HTTP 422")
    assert without.text == "reply to hi"
