"""Worlds leave as Minecraft functions, episodes as conversations and as marl-eval's JSON."""

from __future__ import annotations

import json
import random

import datasets
import pytest

from baselines.cli.export import chat_rows
from baselines.cli.main import main
from collm_envs import make
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies import seat_all
from collm_envs.record import read, record, write


def played(id: str, player: str, **kwargs):
    env = make(id, max_cycles=1, **kwargs)
    env.reset(seed=0)
    env.step({a: env.task.players[player](env.task, env.snapshot, a, random.Random(0)) for a in env.agents})
    return record(env)


def test_the_world_of_each_episode_becomes_a_function(tmp_path, capsys):
    write([played("HouseBuild-v0", "expert"), played("StrBuild-v0", "noisy")], tmp_path / "records.jsonl")
    assert main(["export", str(tmp_path)]) == 0
    files = sorted((tmp_path / "functions").iterdir())
    assert [file.suffix for file in files] == [".mcfunction"] * 2
    assert "fill ~" in files[0].read_text()
    assert "2 worlds" in capsys.readouterr().out


def test_records_without_a_world_are_refused(tmp_path, capsys):
    write([played("TLDR-v0", "expert")], tmp_path / "records.jsonl")
    assert main(["export", str(tmp_path / "records.jsonl")]) == 2
    assert "none of 1 records has a world" in capsys.readouterr().err


@pytest.mark.parametrize("turn", ["2", "-2"])
def test_a_turn_that_was_not_played_is_named(tmp_path, capsys, turn):
    write([played("StrBuild-v0", "expert")], tmp_path / "records.jsonl")
    assert main(["export", str(tmp_path), "--turn", turn]) == 2
    assert f"has 1 turns, got --turn {turn}" in capsys.readouterr().err


def evaluated(folder, policy="noisy", episodes=3, seeds=1, id="StrBuild-v0"):
    env = make(id)
    evaluate(env, seat_all(env.task, policy, {}), jobs(env, episodes=episodes, seeds=seeds), folder)
    return list(read(folder / "records.jsonl"))


def test_each_agents_conversation_becomes_a_row_that_datasets_loads(tmp_path, capsys):
    records = evaluated(tmp_path / "eval")
    assert main(["export", "chat", str(tmp_path / "eval")]) == 0
    assert "6 conversations of 3 of 3 episodes" in capsys.readouterr().out
    rows = datasets.load_dataset(
        "json", data_files=str(tmp_path / "eval/chat.jsonl"), split="train", cache_dir=str(tmp_path)
    )
    assert len(rows) == 6
    for k, row in enumerate(rows):
        played, agent = records[k // 2], f"agent_{k % 2}"
        assert [m["role"] for m in row["messages"]] == ["user", "assistant"] * len(played.turns)
        assert [m["content"] for m in row["messages"]] == [
            text for turn in played.turns for text in (turn["prompts"][agent], turn["texts"][agent])
        ]
        assert row["reward"] == [turn["reward"] for turn in played.turns]
        assert row["return"] == sum(row["reward"])
        assert (row["agent"], row["policy"], row["env"]) == (agent, "noisy", "StrBuild-v0")
        assert (row["item"], row["seed"], row["split"]) == (played.item, played.seed, "eval")


def test_a_conversation_leaves_out_the_steps_in_which_only_others_write():
    episode = played("StrBuild-v0", "expert", order="sequential")  # one step: agent_0 writes
    rows = {row["agent"]: row["messages"] for row in chat_rows(episode)}
    assert [message["role"] for message in rows["agent_0"]] == ["user", "assistant"]
    assert rows["agent_1"] == []


def test_only_episodes_that_returned_enough_are_kept(tmp_path, capsys):
    records = evaluated(tmp_path / "eval", episodes=8)
    returns = sorted(sum(turn["reward"] for turn in one.turns) for one in records)
    out = tmp_path / "good"
    command = ["export", "chat", str(tmp_path / "eval"), "--out", str(out), "--format", "datasets"]
    assert main([*command, "--min-return", repr(returns[5])]) == 0
    rows = datasets.load_from_disk(str(out))
    assert sorted({row["return"] for row in rows}) == sorted(set(returns[5:]))
    assert main([*command, "--min-return", "100"]) == 2
    assert "the best of 8 episodes returned" in capsys.readouterr().err


def test_several_evaluations_may_be_given_or_the_folder_they_are_in(tmp_path):
    evaluated(tmp_path / "a/noisy")
    evaluated(tmp_path / "a/expert", "expert")
    assert main(["export", "chat", str(tmp_path / "a"), "--out", str(tmp_path / "all.jsonl")]) == 0
    each = ["export", "chat", *(str(tmp_path / f"a/{name}/records.jsonl") for name in ("expert", "noisy"))]
    assert main([*each, "--out", str(tmp_path / "each.jsonl")]) == 0
    assert (tmp_path / "all.jsonl").read_text() == (tmp_path / "each.jsonl").read_text()


@pytest.mark.parametrize("arguments", [["chat"], ["--marl-eval"]])
def test_a_folder_without_records_is_named(tmp_path, capsys, arguments):
    assert main(["export", *arguments, str(tmp_path)]) == 2
    assert f"{tmp_path} holds n" in capsys.readouterr().err
    assert main(["export", *arguments, str(tmp_path / "nothing.jsonl")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_marl_eval_gets_every_episode_of_an_evaluation(tmp_path):
    records = evaluated(tmp_path / "eval", seeds=2)
    assert main(["export", str(tmp_path / "eval"), "--marl-eval", "--out", str(tmp_path / "m.json")]) == 0
    tree = json.loads((tmp_path / "m.json").read_text())
    runs = tree["collm"]["StrBuild-v0"]["noisy"]
    for trial in (0, 1):
        returns = [sum(turn["reward"] for turn in one.turns) for one in records if one.trial == trial]
        run = runs[f"seed_{trial}"]
        assert run["absolute_metrics"]["return"] == returns == run["step_0"]["return"]
        assert run["step_0"]["step_count"] == 0
        assert {len(values) for values in run["absolute_metrics"].values()} == {3}


def test_marl_eval_gets_the_evaluations_of_a_run(tmp_path, capsys):
    for seed in (0, 1):
        folder = tmp_path / f"run{seed}"
        folder.mkdir()
        config = {"env": "StrBuild-v0", "env_kwargs": {"max_turns": 1}, "seed": seed}
        (folder / "config.json").write_text(json.dumps({"algorithm": "magrpo", "config": config}))
        lines = [{"step": step, "return": step + seed, "turns": 1.0, "metric/iou": 0.5} for step in (0, 50)]
        (folder / "eval.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    runs = [str(tmp_path / f"run{seed}") for seed in (0, 1)]
    assert main(["export", "chat", *runs, "--marl-eval", "--out", str(tmp_path / "m.json")]) == 0
    tree = json.loads((tmp_path / "m.json").read_text())
    assert tree["collm"]["StrBuild-v0 max_turns=1"]["magrpo"]["seed_1"] == {
        "step_0": {"step_count": 0, "return": [1], "iou": [0.5]},
        "step_1": {"step_count": 50, "return": [51], "iou": [0.5]},
        "absolute_metrics": {"return": [51], "iou": [0.5]},
    }
    assert main(["export", runs[0], runs[0], "--marl-eval", "--out", str(tmp_path / "m.json")]) == 2
    assert "there is already seed_0 of magrpo" in capsys.readouterr().err
