"""What a reasoning model writes before its answer is never played, whoever serves the model."""

import json

import pytest
from chat_stub import serve

import collm_envs
from collm_envs.policies.openai import OpenAI, parse
from collm_envs.policies.seat import Seat
from collm_envs.policies.thinking import PAIRS, split

HARMONY = "<|channel|>analysis<|message|>hm 4<|end|><|start|>assistant<|channel|>final<|message|>5<|return|>"
THOUGHT = [
    ("5", False, "5", ""),
    ("\n5\n", False, "\n5\n", ""),
    ("hm 4</think>5", True, "5", "hm 4"),
    ("hm 4</think>\n\n5", False, "5", "hm 4"),
    ("hm 4", True, "", "hm 4"),
    ("<think>\nhm 4, or", False, "", "hm 4, or"),
    ("Well.<think>hm", False, "Well.", "hm"),
    ("<think>a</think><think>b</think>5", False, "5", "ab"),
    ("<think>a</think>5<think>hm", False, "5", "a\nhm"),
    ("<THINK>hm</Think>\n5", False, "5", "hm"),
    ('<think>is it "5"</think>5', False, "5", 'is it "5"'),
    ('s.replace("</think>", "")', False, 's.replace("</think>", "")', ""),
    ("write `<think>` first", False, "write `<think>` first", ""),
    (HARMONY, False, "5", "hm 4"),
    ("<|channel|>analysis<|message|>hm 4, or", False, "", "hm 4, or"),
    ("<|channel|>final<|message|>5", False, "5", ""),
    ("<|channel|>final <|constrain|>json<|message|>5<|return|>", False, "5", ""),
    ("analysishm 4assistantfinal5", False, "5", "hm 4"),
]


@pytest.mark.parametrize(("text", "opened", "answer", "thinking"), THOUGHT)
def test_the_answer_is_what_follows_the_thinking(text, opened, answer, thinking):
    assert split(text, opened) == (answer, thinking)


@pytest.mark.parametrize(("opens", "closes"), PAIRS)
def test_every_pair_of_marks_is_known_whole_unclosed_and_opened_by_the_template(opens, closes):
    assert split(f"{opens}\nhm\n{closes}\n\n5") == ("5", "hm")
    assert split(f"hm\n{closes}\n\n5") == ("5", "hm")
    assert split(f"{opens}\nhm") == ("", "hm")


def say(content, **more):
    message = {"role": "assistant", "content": content, **more}
    return "say:" + json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})


@pytest.mark.parametrize(
    ("answer", "text", "thinking"),
    [
        (say("<think>\n/setblock 0 0 0 stone\n</think>\n\nok"), "ok", True),
        (say("[THINK]/setblock 0 0 0 stone[/THINK]ok"), "ok", True),
        (say("ok", reasoning_content="/setblock 0 0 0 stone"), "ok", True),
        (say([{"type": "thinking", "thinking": [{"text": "hm"}]}, {"text": "ok"}]), "ok", True),
        (say("ok"), "ok", False),
    ],
)  # fmt: skip
def test_an_endpoints_thinking_is_kept_in_the_usage_and_not_played(answer, text, thinking):
    with serve(lambda body, seen: answer) as stub:
        (reply,) = OpenAI(stub.url, "m").act([Seat("agent_0", ("Build.",), 1)])
    assert reply.text == text
    assert bool(reply.usage.get("thinking")) is thinking
    assert sum(stub.seen.values()) == 1


def test_a_draft_inside_the_thinking_earns_nothing_in_coophe():
    helper = "```python\ndef aux(x):\n    return 2 * x\n```"
    draft = "<think>\n```python\ndef aux(x):\n    return None\n```\nno.\n</think>\n\n"
    env = collm_envs.make("CoopHE-v0")
    with serve(lambda body, seen: say(draft + helper)) as stub:
        (reply,) = parse(f"{stub.url}#m").act([Seat("agent_0", ("Write aux.",), 1)])
    env.reset(seed=0)
    env.step({"agent_0": reply.text, "agent_1": ""})
    assert env.turns[0].texts["agent_0"] == helper
