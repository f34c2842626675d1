"""Whatever stands in an entry, it is verified or refused: no other error, no crash."""

import copy
import json
import random

import pytest
from leaderboard_entries import read_lines, write_lines

import collm_envs
from collm_envs.evaluation.episodes import evaluate
from collm_envs.policies.specs import seat_all
from leaderboard import lists, verify
from leaderboard.bundle import NotAccepted
from leaderboard.entry import About
from leaderboard.submit import submit

VALUES = [None, True, 0, -1, 1.5, 1e308, 10**30, -(10**40), float("nan"), "", "\ud800", "\x00", "a" * 5000]
VALUES += [[], {}, [None], {"agent_0": None}, {"agent_0": "\udfff\u2028"}, {"x": {"y": [1]}}, "../../etc"]
VALUES += ["[" * 50, {"agent_0": "\ud83d", "agent_1": "\x0c\x85"}, {"data": "hub:me/mine"}]


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """Of a list of two pairs, each played once."""
    first = lists.SPLITS.joinpath("StrBuild-v0.jsonl").read_text().splitlines(keepends=True)[:2]
    (tmp_path / "StrBuild-v0.jsonl").write_text("".join(first))
    for name, value in (("SPLITS", tmp_path), ("PAIRS", 2), ("TRIALS", 1)):
        monkeypatch.setattr(lists, name, value)
    env = collm_envs.make("StrBuild-v0")
    evaluate(env, seat_all(env.task, "noisy", {}), lists.jobs("StrBuild-v0"), tmp_path / "run")
    about = About(name="a", kind="scripted", method="m", licence="MIT", contact="c", command="x")
    return submit([tmp_path / "run"], about, tmp_path / "entries")


def places(value, here=()):
    """The path to everything inside a JSON value, itself included."""
    yield here
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, some in inside:
        yield from places(some, (*here, key))


def changed(value, place, new):
    """A copy with something else at a place."""
    if not place:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return value


def outcome(entry):
    try:
        verify.verify(entry)
    except NotAccepted:
        return "refused"
    return "verified"


def test_an_entry_with_anything_anywhere_is_verified_or_refused(entry):
    dice, lines, raw = random.Random(0), read_lines(entry), (entry / "entry.json").read_text()
    record, about = json.loads(lines[1]), json.loads(raw)
    seen = []
    for _ in range(100):
        write_lines(entry, [lines[0], json.dumps(changed(record, *pick(dice, record))) + "\n"])
        seen.append(outcome(entry))
    write_lines(entry, lines)
    for _ in range(100):
        (entry / "entry.json").write_text(json.dumps(changed(about, *pick(dice, about))))
        seen.append(outcome(entry))
    assert seen.count("refused") > 150
    write_lines(entry, [lines[0], json.dumps(changed(record, ("turns", 1, "usage"), {})) + "\n"])
    assert outcome(entry) == "refused"


def pick(dice, value):
    return dice.choice([*places(value)]), dice.choice(VALUES)
