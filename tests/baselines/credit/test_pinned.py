"""Pinned credit functions: what is refused and why, and that those we ship pass."""

import json

import numpy as np
import pytest
import torch

from baselines import games
from baselines.credit.pinned import FLOOR, FOLDER, Refused, check_weights, load_pinned, pin
from baselines.games.game import consecutive
from baselines.games.memory import Episode
from baselines.games.mixers import make_mixer, named
from baselines.mixing import Config, Learner, td_loss, train

SHIPPED = {"two_step": "two-step", "foraging": "Foraging-8x8-2p-2f-coop-v3", "simple_spread": "simple-spread"}


def written(folder, body, reads=None, name="candidate"):
    path = folder / f"{name}.py"
    path.write_text(
        f"import torch\n\n\ndef weights(state):\n    rows = len(state['table'])\n    return {body}\n"
    )
    pin(path, written_by="the test", reads=reads or {"table": [3]})
    return path


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("torch.tensor([[1.2, -0.2]]).expand(rows, 2)", "negative weight -0.2"),
        ("torch.tensor([[0.5, float('nan')]]).expand(rows, 2)", r"not finite: \[0.5, nan\]"),
        (
            "torch.tensor([[0.999, 0.001]]).expand(rows, 2)",
            r"saturated, N \* w = 0.002 is below the floor 0.1",
        ),
        ("torch.tensor([[1.0, 0.0]]).expand(rows, 2)", "saturated"),
        ("torch.tensor([[0.9, 0.9]]).expand(rows, 2)", "must sum to 1 over the agents, off by 0.8"),
        ("torch.full((rows, 3), 1 / 3)", r"weights of shape \(8, 2\) wanted, got \(8, 3\)"),
        ("torch.full((1, 2), 0.5)", "weights of shape"),
    ],
)
def test_weights_that_would_mislead_are_refused_in_training_with_the_reason(tmp_path, body, reason):
    game = games.make("two-step")
    config = Config(mixer=f"qllm:{written(tmp_path, body)}", steps=1, batch=4)
    with pytest.raises(Refused, match=f"candidate: .*{reason}"):
        list(train(config, [game], Learner(config, game.layout)))


def test_weights_at_the_floor_pass_and_just_below_do_not():
    check_weights(torch.tensor([[1 - FLOOR / 2, FLOOR / 2]]), (1, 2), "it")
    with pytest.raises(Refused, match="saturated"):
        check_weights(torch.tensor([[1 - FLOOR / 2.1, FLOOR / 2.1]]), (1, 2), "it")


def test_a_stale_function_is_refused(tmp_path):
    path = written(tmp_path, "torch.full((rows, 2), 0.5)")
    assert load_pinned(path).sha256 == json.loads(path.with_suffix(".json").read_text())["sha256"]
    path.write_text(path.read_text().replace("0.5", "0.50"))
    with pytest.raises(Refused, match="candidate: stale, the source's sha256 is"):
        load_pinned(path)
    pin(path, written_by="the test", reads={"table": [3]})
    load_pinned(path)


def test_a_stale_function_is_not_executed(tmp_path):
    path = written(tmp_path, "torch.full((rows, 2), 0.5)")
    path.write_text(path.read_text() + "\n\nraise SystemExit('executed')\n")
    with pytest.raises(Refused, match="stale"):
        load_pinned(path)


def test_line_ends_of_another_system_do_not_make_a_function_stale(tmp_path):
    path = written(tmp_path, "torch.full((rows, 2), 0.5)")
    before = load_pinned(path).sha256
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_pinned(path).sha256 == before


@pytest.mark.parametrize(
    ("reads", "reason"),
    [
        ({"stage": [3]}, r"reads 'stage', the environment has \['table'\]"),
        ({"table": [4]}, r"reads 'table' of shape \[4\], the environment's is \[3\]"),
        ({"table": [None, 3]}, "reads 'table' of shape"),
    ],
)
def test_a_function_for_another_state_is_refused_before_training(tmp_path, reads, reason):
    path = written(tmp_path, "torch.full((rows, 2), 0.5)", reads)
    with pytest.raises(Refused, match=reason):
        make_mixer(f"qllm:{path}", games.make("two-step").layout)


def test_a_file_without_weights_is_refused(tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("def wieghts(state):\n    return None\n")
    pin(path, written_by="the test", reads={})
    with pytest.raises(Refused, match=r"defines \['wieghts'\], not weights"):
        make_mixer(f"qllm:{path}", games.make("two-step").layout)


def test_a_missing_function_says_which_there_are():
    with pytest.raises(FileNotFoundError, match=r"'nope'.*there are .*foraging, .*simple_spread, .*two_step"):
        load_pinned("nope")


def test_a_function_is_given_only_the_fields_it_says_it_reads(tmp_path):
    path = tmp_path / "peek.py"
    path.write_text("def weights(state):\n    return sorted(state)\n")
    pin(path, written_by="the test", reads={"food": [None, 3]})
    assert load_pinned(path).call("weights", {"food": torch.ones(1), "players": torch.ones(1)}) == ["food"]


def of_language(folder, lines, reads):
    """A pinned function of the small language, as `collm qllm game:two-step` writes it."""
    path = folder / "plain.py"
    path.write_text(f"def weights(ctx):\n    {lines}\n")
    pin(path, written_by="the test", reads=reads, form="state", mode="weights")
    return path


def test_constant_weights_read_nothing_and_train_like_sums(tmp_path):
    game, path = games.make("two-step"), of_language(tmp_path, "return [0.5, 0.5]", {})
    config = Config(mixer=f"qllm:{path}", steps=3, batch=4)
    ours = list(train(config, [game], Learner(config, game.layout)))
    sums = Config(steps=3, batch=4)
    assert ours == list(train(sums, [game], Learner(sums, game.layout)))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("a = 1 / (ctx['table'][1] - 1)\n    return [a, a]", "ZeroDivisionError: float division by zero"),
        ("return [ctx['table'], 0]", "TypeError: float"),
        ("return [0.5, 0.5, 0][: 2 + int(ctx['table'][1])]", "more numbers at some states than at others"),
    ],
)
def test_a_function_that_fails_at_a_state_is_refused_with_name_and_state(tmp_path, lines, reason):
    path = of_language(tmp_path, lines, {"table": [3]})
    with pytest.raises(Refused, match=f"plain: weights .*{reason}"):
        load_pinned(path).call("weights", {"table": torch.eye(3)})


def test_a_function_is_never_asked_about_padding(tmp_path):
    path = of_language(tmp_path, "a = 0.5 / sum(ctx['table'])\n    return [a, a]", {"table": [3]})
    game, config = games.make("two-step"), Config(mixer=f"qllm:{path}", steps=1, batch=2)
    learner = Learner(config, game.layout)
    state, obs = np.eye(3, dtype=np.float32), np.zeros((3, 2, 3), np.float32)
    for turns in (1, 2):  # of two lengths: the shorter is padded
        ended = np.array([0.0] * (turns - 1) + [1.0], np.float32)
        actions = np.zeros((turns, 2), np.int64)
        learner.replay.add(Episode(obs[: turns + 1], state[: turns + 1], actions, ended, ended))
    loss, _ = td_loss(config, learner, learner.replay.sample(2, np.random.default_rng(0)))
    assert torch.isfinite(loss)


def test_a_run_goes_on_with_the_function_it_began_with_or_not_at_all(tmp_path):
    game, path = games.make("two-step"), of_language(tmp_path, "return [0.5, 0.5]", {})
    config = Config(mixer=f"qllm:{path}")
    state = Learner(config, game.layout).state_dict()
    Learner(config, game.layout).load_state_dict(state)
    of_language(tmp_path, "return [0.6, 0.4]", {})  # another one, reviewed and pinned in its place
    with pytest.raises(
        Refused, match=r"the run began with a function of sha256 [0-9a-f]{12} and [0-9a-f]{12}"
    ):
        Learner(config, game.layout).load_state_dict(state)
    old = {name: value for name, value in state.items() if name != "function"}
    with pytest.raises(Refused, match="of sha256 unknown and"):
        Learner(config, game.layout).load_state_dict(old)


def test_a_bias_moves_every_value_alike(tmp_path):
    path = tmp_path / "biased.py"
    path.write_text(
        "def weights(state):\n    return 0.5 + 0 * state['table'][:, :2]\n\n\n"
        "def bias(state):\n    return 3 * state['table'][:, 1]\n"
    )
    pin(path, written_by="the test", reads={"table": [3]})
    mix = make_mixer(f"qllm:{path}", games.make("two-step").layout)
    q, states = torch.randn(4, 3, 2), torch.eye(3).expand(4, 3, 3)
    assert torch.equal(mix(q, states), q.sum(-1) + torch.tensor([0.0, 3.0, 0.0]))


def states_of(name, count):
    pytest.importorskip("lbforaging")
    pytest.importorskip("mpe2")
    game = games.make(name)
    played = torch.stack([torch.from_numpy(game.reset(seed).state) for seed in range(count)])
    drawn = torch.rand(count, game.layout.state_dim, generator=torch.Generator().manual_seed(0))
    padding = torch.zeros(1, game.layout.state_dim)
    return game.layout, torch.cat([played, drawn, padding])


@pytest.mark.parametrize(("function", "name"), SHIPPED.items())
def test_every_shipped_function_passes_on_played_random_and_padding_states(function, name):
    layout, states = states_of(name, 100)
    pinned = load_pinned(function)
    w = pinned.call("weights", named(states, layout.fields))
    check_weights(w, (len(states), len(layout.agents)), function)
    assert w.std(0).max() > 0.01  # it says something
    assert torch.equal(w, pinned.call("weights", named(states, layout.fields)))
    half = pinned.call("weights", named(states[::2], layout.fields))
    assert torch.allclose(w[::2], half, atol=1e-6)  # no row looks at another


def test_no_other_function_for_a_mixer_lies_in_the_folder():
    forms = {path.stem: json.loads(path.read_text())["form"] for path in FOLDER.glob("*.json")}
    assert {path.stem for path in FOLDER.glob("*.py")} == set(forms)
    assert {name for name, form in forms.items() if form == "tensors"} == set(SHIPPED)


@pytest.mark.parametrize(
    ("function", "fields"),
    [
        ("foraging", consecutive({"players": (4, 3), "food": (3, 3)})),
        ("simple_spread", consecutive({"to_landmarks": (4, 4, 2)})),
    ],
)
def test_exchanging_agents_exchanges_their_weights(function, fields):
    size = sum(index.size for index in fields.values())
    rows = named(torch.rand(50, size, generator=torch.Generator().manual_seed(0)), fields)
    order = torch.tensor([2, 0, 3, 1])
    swapped = {k: x[:, order] if k in ("players", "to_landmarks") else x for k, x in rows.items()}
    w = load_pinned(function).call("weights", rows)
    assert torch.allclose(load_pinned(function).call("weights", swapped), w[:, order], atol=1e-6)


def test_the_foraging_function_favours_the_player_further_from_food_that_is_left():
    players = torch.tensor([[[0.0, 0.0, 0.25], [0.5, 0.5, 0.25]]])
    near_first = torch.tensor([[[0.0, 0.125, 0.5], [0.5, 0.625, 0.0]]])  # the second is eaten
    w = load_pinned("foraging").call("weights", {"players": players, "food": near_first})[0]
    assert w[1] > w[0]
    eaten = torch.tensor([[[0.0, 0.125, 0.0], [0.5, 0.625, 0.0]]])
    foraging = load_pinned("foraging")
    assert foraging.call("weights", {"players": players, "food": eaten})[0].tolist() == [0.5, 0.5]
