"""Turns per second of CoopHE, one after the other and in a vector, and the worst texts for the line rules."""

import statistics
import time
from random import Random

import pytest

import collm_envs
from collm_envs.coding import line_rules

WORST = {
    "backticks": "`" * 65_000,
    "blanks after def": "def " + " " * 65_000,
    "one long name": "def " + "a" * 65_000,
    "a far return": "def f(x):\n" + " " * 65_000 + "return aux",
    "many words": "def f(x):\n    " + "a " * 32_000 + "\n    return aux",
    "deep def": " " * 30_000 + "def f(x):\n" + "x\n" * 15_000,
    "many aux": "def f(x):\n    " + "aux   " * 10_000 + "\n    return v",
    "open docstring": "def f(x):\n'''" + "\nA." * 20_000,
    "sentences": "Aa" * 16_000 + "\ndef f():" + "\nA" * 15_000,
}


def seconds_per_turn(id, player, n=None):
    """Wall seconds of one turn (with a vector: of n turns in one step, divided by n), over the easy half."""
    task = collm_envs.make_task(id, max_turns=1)
    items = task.items("train")[:48]
    texts = []
    for item in items:
        state = task.start(item, 0)
        texts.append({a: task.players[player](task, state, a, Random(item.id)) for a in task.agents})
    taken = []
    if n is None:
        for item, text in zip(items, texts, strict=True):
            state, start = task.start(item, 0), time.perf_counter()
            task.play(state, text)
            taken.append(time.perf_counter() - start)
    else:
        vec = collm_envs.make_vec(id, n, max_turns=1)
        for first in range(0, len(items), n):
            some = range(first, first + n)
            vec.reset(seed=list(some), options=[{"item": items[k].id} for k in some])
            start = time.perf_counter()
            vec.step([texts[k] for k in some])
            taken.append((time.perf_counter() - start) / n)
    return statistics.median(taken)


@pytest.mark.bench
@pytest.mark.parametrize("player", ["expert", "noisy"])
@pytest.mark.parametrize("id", ["CoopHE-v0", "CoopHE-v1"])
def test_turns_per_second(id, player, capsys):
    alone = seconds_per_turn(id, player)
    together = seconds_per_turn(id, player, 8)
    with capsys.disabled():
        print(f"\n{id} {player}: {1 / alone:,.0f} turns/s alone, {1 / together:,.0f} in a vector of 8")


@pytest.mark.bench
@pytest.mark.parametrize("name", WORST)
def test_no_text_makes_the_line_rules_slow(name, capsys):
    start = time.perf_counter()
    main = line_rules.extract(WORST[name], "f")
    line_rules.merge("", main)
    line_rules.calls_aux(main), line_rules.is_thin_wrapper(main), line_rules.ignores_aux(main)
    taken = time.perf_counter() - start
    with capsys.disabled():
        print(f"\n{name}: {1000 * taken:.1f} ms")
    assert taken < 2, "work that is quadratic in the text takes minutes"
