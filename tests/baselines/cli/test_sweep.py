"""A sweep is fair: equal rates, chosen where nothing was trained, reported where nothing was chosen."""

from __future__ import annotations

import pytest

from baselines.cli import sweep
from collm_envs import make_task

KWARGS = '{"prompts": "terse", "words": "generated", "length": [1, 1], "n": 10, "n_eval": 4, "max_turns": 1}'


def row(algorithm: str, trial: int, seed: int, validation: float, eval: float) -> dict[str, str]:
    values = (algorithm, trial, seed, 0.1, 0.2, 3, 1.0, validation, eval)
    return {key: str(value) for key, value in zip(sweep.FIELDS, values, strict=True)}


def test_held_out_items_are_neither_trained_on_nor_evaluation_items():
    task = make_task("StrBuild-v0", words="generated", n=10, n_eval=4, length=(1, 1))
    view = sweep.hold_out(task, 0.3)
    assert len(view.items("train")) == 7
    assert [*view.items("train"), *view.items("eval")] == [*task.items("train")]
    assert len(task.items("train")) == 10


def test_a_trial_has_the_same_rates_for_all_and_within_bounds():
    rates = [sweep.rates_of(k, (1e-4, 1e-2)) for k in range(20)]
    assert rates[3] == sweep.rates_of(3, (1e-4, 1e-2))
    assert all(1e-4 <= value <= 1e-2 for rate in rates for value in rate.values())
    assert len({rate["lr"] for rate in rates}) > 15


def test_the_trial_is_chosen_by_validation_and_not_by_the_eval_split():
    rows = [
        row("a", 0, 0, 1.0, 0.0),
        row("a", 0, 1, 1.2, 0.0),
        row("a", 1, 0, 0.5, 9.0),
        row("a", 1, 1, 0.5, 9.0),
    ]
    assert {line["trial"] for line in sweep.chosen(rows)["a"]} == {"0"}


def test_a_trial_that_lacks_a_seed_is_not_chosen():
    rows = [row("a", 0, 0, 1.0, 0.0), row("a", 0, 1, 1.0, 0.0), row("a", 1, 0, 5.0, 0.0)]
    assert {line["trial"] for line in sweep.chosen(rows)["a"]} == {"0"}


def test_a_sweep_runs_and_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("baselines.lm.tiny.model.STEPS", 2)
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path / "cache"))
    args = ["--env-kwargs", KWARGS, "--algorithms", "magrpo", "maac", "--trials", "1", "--seeds", "1"]
    args += ["--cpu-s", "0.1", "--episodes", "4", "--out", str(tmp_path), "--settings"]
    args += ['{"episodes": 4, "group": 2, "max_new_tokens": 8}']
    assert sweep.main(args) == 0
    rows = sweep.read(tmp_path / "sweep.csv")
    assert [line["algorithm"] for line in rows] == ["magrpo", "maac"]
    assert rows[0]["lr"] == rows[1]["lr"]
    assert sweep.main(args) == 0
    assert sweep.read(tmp_path / "sweep.csv") == rows
    said = capsys.readouterr()
    assert "magrpo" in said.out
    assert "sweep 0/2  magrpo trial 0 seed 0  step 1  return " in said.err
    assert "sweep 2/2  maac trial 0 seed 0  eval " in said.err


def test_bounds_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="0 < validation < 1"):
        sweep.Sweep(validation=1.5)
