"""Gates where scripted play never comes: rejected lines, rewards below zero, silence, the last turn."""

import math

import pytest
import torch
from credit_games import played
from toy_task import Adding

from baselines.credit import language, pinned
from baselines.credit.features import extract
from baselines.credit.language import Refused
from baselines.credit.written import load_written
from baselines.play.replays import Replays
from baselines.search.gates import admit
from baselines.search.sandboxed import edge_rows
from baselines.search.turns import gather, other_teams, scripted
from collm_envs.registry import make_task
from collm_envs.sandbox import Sandbox


class Experts(Adding):
    """The same game, whose only scripted player is its expert."""

    def __init__(self):
        super().__init__()
        self.players = {"expert": self.players["expert"]}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def contexts():
    """Eight turns of two experts: first turns only, no line of theirs was rejected, no reward is negative."""
    task = Experts()
    found = gather(task, [scripted(task, 1, seed)[0] for seed in (1, 2)], pairs=True)
    assert all(row.ctx["turn"] == 0 for row in found.rows)
    assert not any(any(row.feat["rejected"]) or any(row.ctx["last_rejected"]) for row in found.rows)
    assert not any(row.ctx["last"] < 0 for row in found.rows)
    assert all(all(row.feat["chars"]) for row in found.rows)
    return found


def source(mode, lines):
    head = f"from math import exp, log, sqrt\n\n\ndef {mode}({', '.join(language.MODES[mode])}):\n    "
    return head + "\n    ".join(lines.split("\n")) + "\n"


BAD = {
    "negative once lines were rejected": (
        "weights",
        "a, b = ctx['last_rejected']\nw = 0.5 - 0.2 * a + 0.2 * b\nreturn [w, 1 - w]",
        "negative weight",
    ),
    "all to one agent after a reward below zero": (
        "weights",
        "w = 0.999 if ctx['last'] < 0 else 0.5\nreturn [w, 1 - w]",
        "saturated",
    ),
    "negative at the last turn": (
        "weights",
        "w = 0 - 0.1 if ctx['turn'] > ctx['turns'] - 2 else 0.5\nreturn [w, 1 - w]",
        "negative weight",
    ),
    "negative at the third turn alone": (
        "weights",
        "w = 1.1 if ctx['turn'] == 2 else 0.5\nreturn [w, 1 - w]",
        "negative weight",
    ),
    "negative after a turn in which nobody was accepted": (
        "weights",
        "w = 1.5 if ctx['turn'] and not sum(ctx['last_accepted']) else 0.5\nreturn [w, 1 - w]",
        "negative weight",
    ),
    "a sum that is off by a thousandth": ("weights", "return [0.5, 0.501]", "must sum to 1"),
    "a sum that is off once three lines of one agent were rejected": (
        "weights",
        "w = 0.501 if ctx['last_rejected'][1] == 3 else 0.5\nreturn [0.5, w]",
        "must sum to 1",
    ),
    "two conditions at once": (
        "weights",
        "w = 0 - 1 if ctx['last'] < 0 and ctx['last_rejected'][0] > ctx['last_rejected'][1] else 0.5\n"
        "return [w, 1 - w]",
        "negative weight",
    ),
    "NaN without characters": (
        "baseline",
        "if min(feat['chars']) == 0 and me == 0:\n    return 1e308 * 10 - 1e308 * 10\nreturn 0",
        "finite: .* is nan",
    ),
    "beyond all rewards where all are silent": (
        "baseline",
        "return 0 if sum(feat['chars']) else 1000",
        "bounds: .* 1000 is outside",
    ),
    "a division by the lines that count": (
        "baseline",
        "return 0.1 / sum(feat['accepted'])",
        "ZeroDivisionError",
    ),
    "a root of the reward": ("baseline", "return sqrt(ctx['last'])", "math domain error"),
    "a logarithm of what the other one earns alone": (
        "mix",
        "return [log(2 + 2 * pair['reward'][0][1])] * 2",
        "math domain error",
    ),
    "infinite below zero": (
        "mix",
        "return [reward, reward] if reward >= 0 else [1e308 * 10, 0]",
        "finite: .* is inf",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_goes_wrong_only_where_scripts_never_come_is_refused(sandbox, contexts, name):
    mode, lines, reason = BAD[name]
    with pytest.raises(Refused, match=f"(?s){reason}"):
        admit(sandbox, source(mode, lines), mode, contexts)


GOOD = {
    "uniform": ("weights", "return [0.5, 0.5]"),
    "less for who was rejected": (
        "weights",
        "a, b = [1 / (1 + x) for x in ctx['last_rejected']]\n"
        "return [0.05 + 0.9 * a / (a + b), 0.05 + 0.9 * b / (a + b)]",
    ),
    "a softmax of accepted lines": (
        "weights",
        "top = max(ctx['last_accepted'])\neach = [exp(x - top) for x in ctx['last_accepted']]\n"
        "return [0.1 + 0.8 * x / sum(each) for x in each]",
    ),
    "by the reward, kept within": (
        "weights",
        "a, b = ctx['last_accepted']\nw = 0.5 + 0.3 * ctx['last'] * (a - b) / (1 + a + b)\nreturn [w, 1 - w]",
    ),
    "half of what the others earn": (
        "baseline",
        "return ctx['silent'] + 0.5 * sum(x - ctx['silent'] for x in feat['reward'])",
    ),
    "the length of texts": (
        "baseline",
        "return 0.01 * sum(log(1 + x) for x in feat['chars']) - 0.01 * sum(feat['rejected'])",
    ),
    "earlier turns earn less": ("baseline", "return ctx['last'] * (1 + ctx['turn']) / ctx['turns']"),
    "what each adds": ("mix", "a = pair['reward']\nreturn [reward - a[1][1], reward - a[0][0]]"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_keeps_its_contract_everywhere_is_accepted(sandbox, name):
    mode, lines = GOOD[name]
    task = Adding()
    contexts = gather(task, scripted(task, 6, seed=1), pairs=True)
    found = admit(sandbox, source(mode, lines), mode, contexts)
    assert "of other teams" in found.checks["runs"]


@pytest.mark.parametrize("env", ["StrBuild-v0", "TLDR-v0"])
def test_other_teams_are_silent_rejected_and_paid_nothing_or_less(env):
    task = make_task(env)
    turns = other_teams(task, seed=0)
    assert turns == other_teams(task, seed=0)
    assert any(not any(one.texts.values()) for one in turns)
    scores = [task.score(task.play(one.before, one.texts)) for one in turns]
    assert min(score.reward for score in scores) <= 0
    if env == "StrBuild-v0":
        assert any(score.rejected["agent_0"] for score in scores)


def test_edges_move_what_is_read_and_nothing_else_but_in_turns_of_corners(contexts):
    read = {"ctx": ("last_rejected", "turn"), "feat": (), "pair": ()}
    rows = edge_rows(contexts, read, seed=0)
    assert {row.ctx["turn"] for row in rows} == {0, 1, 2, 3}
    assert {x for row in rows for x in row.ctx["last_rejected"]} == {0, 1, 2, 3, 4, 5, 10}
    assert {row.ctx["agents"] for row in rows} == {2}
    assert min(row.ctx["last"] for row in rows) == -1


@pytest.mark.parametrize(
    ("mode", "lines", "reason"),
    [
        ("weights", "w = 0.5 - ctx['last_rejected'][0]\nreturn [w, 1 - w]", "negative weight -0.5 at row 1"),
        (
            "weights",
            "w = 0.01 if ctx['last'] < 0 else 0.5\nreturn [w, 1 - w]",
            "saturated, .* at row 1: agent 0 would hardly learn",
        ),
        ("weights", "return [0.5, 0.501 if ctx['turn'] else 0.5]", "sum to 1 .* off by 0.001 at row 1"),
        ("baseline", "return 1e308 * 10 * ctx['turn']", "baseline of turn 0, agent 0 is nan"),
    ],
)
def test_the_contract_is_checked_at_every_call_in_training(tmp_path, mode, lines, reason):
    """Whatever passed the gates: the second turn follows one with a rejected line and a negative reward."""
    path = tmp_path / "late.py"
    path.write_text(source(mode, lines))
    pinned.pin(path, written_by="the test", reads={}, form="turn", mode=mode, alpha=0.5)
    task = Adding()
    nodes = played(task, [{"agent_0": "none\n20", "agent_1": "20"}, {"agent_0": "1", "agent_1": "1"}])
    features = extract(Replays(task), nodes)
    assert features.ctx["last_rejected"][1].tolist()[0] == 1
    assert float(features.ctx["last"][1]) < 0
    with pytest.raises(Refused, match=f"late: .*{reason}"):
        load_written(path).credit(features, torch.zeros(2).double())


def test_a_written_bias_of_a_mixer_that_is_not_finite_is_refused_by_name(tmp_path):
    from baselines import games
    from baselines.games.mixers import make_mixer

    path = tmp_path / "blows.py"
    path.write_text(
        "import torch\n\n\ndef weights(state):\n    return torch.full((len(state['table']), 2), 0.5)\n\n\n"
        "def bias(state):\n    return torch.log(state['table'][:, 0] * 0 - 1)\n"
    )
    layout = games.make("two-step").layout
    (field,) = layout.fields.values()
    pinned.pin(path, written_by="the test", reads={"table": [len(field)]})
    mixer = make_mixer(f"qllm:{path}", layout)
    with pytest.raises(Refused, match="blows: bias is not finite: nan at row 0"):
        mixer(torch.zeros(3, 2), torch.zeros(3, layout.state_dim))
    assert math.isfinite(float(make_mixer("vdn", layout)(torch.zeros(1, 2), torch.zeros(1, 2))))
