"""A copy is found by what its texts do, however it is disguised; other work is not."""

import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import pytest

import collm_envs
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies.specs import seat_all
from collm_envs.record import record as record_of
from collm_envs.replay import task_of
from leaderboard import bundle
from leaderboard.similar import (
    ALIKE,
    by_expert,
    like_expert,
    near,
    pairs,
    share,
    similarity,
    statements,
    written,
)

ENTRIES = Path(bundle.__file__).parent / "entries"


def episodes(id, player, count=3):
    env = collm_envs.make(id)
    return env.task, evaluate(env, seat_all(env.task, player, {}), jobs(env, episodes=count)).records


def rewritten(record, change):
    """The episode as if its texts had been written so; what it earned is as it was."""
    turns = [
        {**turn, "texts": {agent: change(text) for agent, text in turn["texts"].items()}}
        for turn in record.turns
    ]
    return replace(record, turns=turns)


def shuffled(text):
    lines = text.split("\n")
    Random(0).shuffle(lines)
    return "\n".join(lines)


COMMANDS = {
    "blanks": lambda text: text.replace(" ", "   ").replace("\n", "\n\n"),
    "no slash": lambda text: text.replace("/setblock", "setblock"),
    "prefixes": lambda text: re.sub(r"(\S+)$", r"minecraft:\1", text.replace("minecraft:", ""), flags=re.M),
    "rejected lines": lambda text: "first I think\n" + text.replace("\n", "\nhm, now this\n"),
    "twice": lambda text: f"{text}\n{text.split(chr(10))[0]}",
    "a fence": lambda text: f"Here it is.\n```\n{text}\n```",
    "order": shuffled,
}


@pytest.mark.parametrize("disguise", COMMANDS)
def test_a_disguised_build_of_the_expert_is_found(disguise):
    task, records = episodes("StrBuild-v0", "expert")
    for record in records:
        copy = rewritten(record, COMMANDS[disguise])
        assert similarity(written(copy).effects, by_expert(task, record).effects) >= ALIKE


def test_a_house_that_stands_the_same_by_single_blocks_is_found():
    task, records = episodes("HouseBuild-v0", "expert", 1)

    def unrolled(text):
        found = re.findall(r"fill (-?\d+) (-?\d+) (-?\d+) (-?\d+) (-?\d+) (-?\d+) (\S+)", text)
        halves = []
        for x1, y1, z1, x2, y2, z2, block in found:
            middle = (int(x1) + int(x2)) // 2
            halves.append(f"/fill {x1} {y1} {z1} {middle} {y2} {z2} {block}")
            if middle < int(x2):
                halves.append(f"/fill {middle + 1} {y1} {z1} {x2} {y2} {z2} {block}")
        return "\n".join(halves)

    copy = rewritten(records[0], unrolled)
    assert (
        similarity(written(copy).effects, by_expert(task, records[0]).effects) >= 0.7
    )  # stock may end earlier


def other_kinds(text):
    """Every kind of block replaced by the next one that this agent holds."""
    kinds = sorted(set(re.findall(r"\S+$", text, re.MULTILINE)))
    following = dict(zip(kinds, kinds[1:] + kinds[:1], strict=True))
    return re.sub(r"\S+$", lambda kind: following[kind[0]], text, flags=re.MULTILINE)


def played_anew(record, change):
    """The episode that these changed texts really earn."""
    env = collm_envs.make(record.env, **record.kwargs)
    env.reset(seed=record.seed, options={"item": record.item, "split": record.split})
    for turn in record.turns:
        env.step({agent: change(text) for agent, text in turn["texts"].items()})
    return record_of(env, record.agents)


@pytest.mark.parametrize(
    "disguise",
    [
        other_kinds,
        lambda text: other_kinds(shuffled(text)),
        lambda text: other_kinds("\n".join(text.split("\n")[1:])),
    ],
)
def test_the_experts_wall_of_other_kinds_of_blocks_reads_like_the_expert(disguise):
    task, records = episodes("StrBuild-v0", "expert", 2)
    copies = [played_anew(record, disguise) for record in records]
    assert [copy.turns[-1]["reward"] > 1.9 for copy in copies] == [True, True]
    assert all(like_expert(task, copy) for copy in copies)
    task, records = episodes("StrBuild-v0", "noisy", 8)
    assert sum(like_expert(task, record) for record in records) < 4


def mirrored(text):
    """The corners of every box exchanged."""
    return re.sub(r"fill (-?\d+ -?\d+ -?\d+) (-?\d+ -?\d+ -?\d+)", r"fill \2 \1", text)


HOUSES = {
    name: COMMANDS[name] for name in ("blanks", "no slash", "prefixes", "rejected lines", "twice", "order")
}
HOUSES["mirrored corners"] = mirrored
HOUSES["nothing of what is there"] = lambda text: (
    f"{text}\n/fill 0 0 0 0 0 0 gold_block\n/fill 99 0 0 99 0 0 air"
)


@pytest.mark.parametrize("disguise", HOUSES)
@pytest.mark.parametrize("id", ["HouseBuild-v0", "HouseBuild-v1"])
def test_a_disguised_house_of_the_expert_is_found(disguise, id):
    task, records = episodes(id, "expert", 1)
    assert all(like_expert(task, played_anew(record, HOUSES[disguise])) for record in records)


def built(id, write, seed=0):
    """The episode in which each agent writes `write(task, state, agent)`."""
    env = collm_envs.make(id)
    env.reset(seed=seed)
    while env.agents:
        env.step({agent: write(env.task, env.snapshot, agent) for agent in env.agents})
    return record_of(env, dict.fromkeys(env.possible_agents, "own"))


def slow_expert(task, state, agent):
    """Every second command of the expert's a turn, all of them at the last one."""
    lines = task.players["expert"](task, state, agent, Random(0)).split("\n")
    return "\n".join(lines if state.turn + 1 == task.max_turns else lines[::2])


def exchanged_expert(task, state, agent):
    """What the expert writes for the other agent."""
    other = next(name for name in task.agents if name != agent)
    return task.players["expert"](task, state, other, Random(0))


def test_an_expert_slowed_down_or_with_exchanged_seats_is_found():
    for seed in range(4):
        slow = built("HouseBuild-v1", slow_expert, seed)
        assert like_expert(task_of(slow), slow)
        exchanged = built("HouseBuild-v0", exchanged_expert, seed)
        assert like_expert(task_of(exchanged), exchanged)


def by_single_rows(task, state, agent):
    """A good builder of HouseBuild-v1 with boxes of its own: the runs along z that are still missing."""
    cells, standing = state.house.cells, state.stacks
    own = task.blocks[task.agents.index(agent)]
    missing = sorted(cell for cell, block in cells.items() if block in own and cell not in standing)
    lines = []
    while missing and len(lines) < task.limit:
        x, y, z = missing[0]
        end = z
        while (x, y, end + 1) in missing and cells[x, y, end + 1] == cells[x, y, z]:
            end += 1
        missing = [cell for cell in missing if cell not in {(x, y, at) for at in range(z, end + 1)}]
        lines.append(f"/fill {x} {y} {z} {x} {y} {end} {cells[x, y, z]}")
    return "\n".join(lines)


def left_and_right(task, state, agent):
    """A good team of HouseBuild-v0 that divides the blueprint's boxes in its own way: in turn, by their x."""
    boxes = sorted(state.site.plan.rectangles, key=lambda box: (box.x1, box.z1, box.y))
    return "\n".join(
        f"/fill {box.x1} {box.y} {box.z1} {box.x2} {box.y} {box.z2} {box.block}"
        for box in boxes[task.agents.index(agent) :: 2]
    )


def test_a_good_house_that_a_team_builds_in_its_own_way_is_not_the_experts():
    finished = 0
    for seed in range(4):
        for id, write in {"HouseBuild-v1": by_single_rows, "HouseBuild-v0": left_and_right}.items():
            own = built(id, write, seed)
            finished += own.turns[-1]["metrics"]["iou"] > 0.95
            assert not like_expert(task_of(own), own)
    assert finished >= 4


def test_a_wall_of_two_kinds_with_the_kinds_exchanged_is_not_the_experts():
    """Every good wall of two kinds is one of two, so that a likeness but for names would tell nothing."""
    env = collm_envs.make("StrBuild-v0", num_agents=1)
    seated = seat_all(env.task, "expert", {})
    for record in evaluate(env, seated, jobs(env, episodes=2)).records:
        assert like_expert(env.task, record)
        assert not like_expert(env.task, played_anew(record, other_kinds))


@pytest.mark.parametrize("name", ["tiny-warm-start", "noisy"])
def test_a_team_that_leaves_a_house_unfinished_is_not_the_expert_who_guards_what_stands(name):
    """At the last turn of this list the expert mostly stands guard, and its world is the one it found."""
    read = bundle.records(bundle.open_bundle(ENTRIES / "HouseBuild-v1-tiny" / name), "run-0.jsonl.gz")
    rows = [record for _, record in islice(read, 32)]
    assert sum(like_expert(task_of(record), record) for record in rows) < len(rows) / 2


PROSE = {
    "case": str.upper,
    "blanks": lambda text: text.replace(" ", "  \n"),
    "marks": lambda text: text.replace(".", " ;;"),
    "a word more": lambda text: "indeed " + text,
    "underscores": lambda text: re.sub(r"(\w+) (\w+)", r"\1_\2", text),
    "invisible": lambda text: re.sub(r"(\w)(\w)", "\\1\u200b\\2", text),
    "soft hyphens": lambda text: re.sub(r"(\w\w)(\w)", "\\1\u00ad\\2", text),
    "accents": lambda text: text.replace("a", "\u00e1").replace("e", "e\u0301"),
    "wide letters": lambda text: text.translate({c: c + 0xFEE0 for c in range(ord("a"), ord("z") + 1)}),
    "Cyrillic letters": lambda text: text.translate(str.maketrans("aeo", "\u0430\u0435\u043e")),
    "a word between": lambda text: re.sub(r"^((?:\S+\s+){3})", r"\1really ", text),
}


@pytest.mark.parametrize("disguise", PROSE)
@pytest.mark.parametrize("id", ["TLDR-v0", "ArXiv-v0"])
def test_a_disguised_text_of_the_expert_is_found(disguise, id):
    task, records = episodes(id, "expert")
    assert all(near(written(rewritten(r, PROSE[disguise])), by_expert(task, r)) for r in records)


@pytest.mark.parametrize("id", ["StrBuild-v0", "TLDR-v0"])
@pytest.mark.parametrize("player", ["noisy", "random"])
def test_other_players_are_not_the_expert(id, player):
    task, records = episodes(id, player, 8)
    assert sum(like_expert(task, record) for record in records) < len(records) / 2


def test_a_copy_of_another_entry_is_found_and_two_honest_ones_are_not():
    _, mine = episodes("TLDR-v0", "noisy")
    _, others = episodes("TLDR-v0", "random")

    def sketches(records):
        return {(one.item, one.seed): [written(one)] for one in records}

    copies = [rewritten(one, lambda text: "Well, " + text.upper()) for one in mine]
    assert share(sketches(copies), sketches(mine)) == 1.0
    assert share(sketches(others), sketches(mine)) < 0.5


CODE = """def aux(x, y):
    '''Add.'''
    total = x + y
    if total > 3:
        return total
    return len([x])
"""
SAME = {
    "names": CODE.replace("total", "s").replace("x", "left").replace("y", "right"),
    "comments": CODE.replace("\n    if", "\n    # now\n\n    if"),
    "layout": CODE.replace("    ", "\t").replace(" + ", "+"),
    "no docstring": CODE.replace("    '''Add.'''\n", ""),
    "types": CODE.replace("(x, y)", "(x: int, y: int) -> int"),
    "a fence": f"Sure!\n```python\n{CODE}```\nDone.",
    "line ends": CODE.replace("\n", "\r\n"),
    "idle lines": CODE.replace("    if", "    pass\n    0\n    if"),
}


@pytest.mark.parametrize("disguise", SAME)
def test_statements_are_the_same_whatever_they_look_like(disguise):
    assert sorted(statements(SAME[disguise])) == sorted(statements(CODE))


def test_other_programs_have_other_statements_and_what_is_no_program_none():
    other = "def aux(x, y):\n    return max(x, y)\n"
    assert len({*statements(other)} & {*statements(CODE)}) <= 1
    assert list(statements("no code")) == list(statements("def broken(:\n    pass")) == []


def test_pairs_of_words_and_sketches_of_nothing():
    assert sorted(pairs("One two  THREE")) == ["one three", "one two", "two three"]
    assert list(pairs("one")) == ["one"]
    assert similarity(frozenset(), frozenset()) == 1.0
    assert similarity(frozenset({1, 2}), frozenset()) == 0.0
    assert similarity(frozenset({1, 2}), frozenset({1, 2, 3})) == 1.0
    assert similarity(frozenset({1, 2}), frozenset(range(1, 9))) == pytest.approx(2 / (8 / 1.5))
