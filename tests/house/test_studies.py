"""The study that makes the paper's table: its command lines are valid and play the public lists."""

import json
import sys
from pathlib import Path

import pytest
from folders import ROOT

from baselines.cli.train import read
from baselines.credit import rules
from leaderboard import lists
from leaderboard.reported import METHODS

sys.path.append(str(ROOT / "studies"))
import claim
import claim_games
import claim_page
import claim_rows
import claim_runs
import prompted
import real
import table
from claim_runs import Arm

from collm_envs import make_task


@pytest.fixture(autouse=True)
def no_runs_yet(monkeypatch):
    monkeypatch.setattr(table, "RUNS", Path("no/runs"))


@pytest.mark.parametrize("env", table.SETTINGS)
def test_every_row_of_the_papers_table_is_trained_or_prompted_and_plays_the_list(env):
    lines = [line for _, line in table.commands(env, seeds=2)]
    trained = [read(line[1], line[2:]) for line in lines if line[0] == "train"]
    assert len(trained) == 2 * len(table.TRAINED)
    assert {config.seed for config in trained} == {0, 1}
    assert all(lists.list_of(config.env, config.env_kwargs) == f"{env}-tiny" for config in trained)
    played = [line for line in lines if line[0] == "eval"]
    assert len(played) == len(table.SCRIPTED) + len(table.PROTOCOLS) + len(trained)
    for line in played:
        assert lists.list_of(line[1], json.loads(line[line.index("--env-kwargs") + 1])) == f"{env}-tiny"
        assert "--episodes 64 --seeds 4" in " ".join(line)
    rows = {"untrained" if name == "single" else name for name in (*table.PROTOCOLS, *table.TRAINED)}
    assert rows == {method for _, method in METHODS}


def test_an_entry_of_a_trained_row_names_its_runs_and_the_command_that_repeats_them():
    place, line = table.submitting("TLDR-v0", "GRPO", 2, "abc123")
    assert str(place) == "leaderboard/entries/TLDR-v0-tiny/tiny-grpo"
    flags = dict(zip(line[4::2], line[5::2], strict=False))
    assert line[2:4] == ["no/runs/TLDR-v0/GRPO-0-played", "no/runs/TLDR-v0/GRPO-1-played"]
    assert (flags["--commit"], flags["--kind"]) == ("abc123", "trained")
    assert "--seed SEED --out no/runs/TLDR-v0/GRPO-SEED --env-kwargs" in flags["--command"]
    assert line[-3:] == ["--training", "no/runs/TLDR-v0/GRPO-0", "no/runs/TLDR-v0/GRPO-1"]


def test_a_row_is_of_the_commits_its_runs_were_made_at(tmp_path, monkeypatch):
    runs = [tmp_path / str(k) for k in range(3)]
    for run in runs:
        run.mkdir()

    def made(line):
        (runs[int(line[0])] / "agent_0").mkdir()
        return 0

    monkeypatch.setattr(table.cli, "main", made)
    assert table.run_once(runs[0] / "agent_0", ["0"])
    assert not table.run_once(runs[0] / "agent_0", ["0"])
    for run in runs[:2]:
        (run / table.COMMIT).write_text("aaa")
    assert table.commits(runs[:2], "") == "aaa"
    assert table.commits(runs, "bbb") == "aaa, bbb"
    with pytest.raises(ValueError, match="--commit says of which"):
        table.commits(runs, "")


def test_every_arm_of_the_claim_has_settings_and_all_methods_of_a_horizon_nearly_the_same_joint_turns():
    for arm in {arm for arm, _ in claim.selected([])}:
        for lr in claim.ACTOR_RATES:
            assert claim_runs.config_of(arm, 0, claim_runs.rates_of(arm.method, lr)).normalize
        steps = claim_runs.STEPS * max(64, 16 * arm.turns) / claim_runs.joint_turns(arm)
        assert round(steps) / steps == pytest.approx(1, abs=0.05)


def test_a_step_of_the_claim_has_the_starts_that_its_protocol_says():
    at = {turns: Arm("StrBuild-v0", turns, "final", "MAGRPO") for turns in (1, 4)}
    assert claim_runs.sizes(at[1]) == {"group": 8, "episodes": 64}
    assert claim_runs.sizes(at[4]) == {"group": 2, "episodes": 2 * 2**4}
    assert claim_runs.joint_turns(at[4]) == 60
    assert claim_runs.sizes(at[4]._replace(method="ridge")) == {"episodes": 16}


def test_arms_are_tuned_at_their_own_horizon_with_the_reward_at_the_end():
    ours = Arm("StrBuild-v0", 4, "dense", claim_runs.OURS)
    assert ours.tuned_at == Arm("StrBuild-v0", 4, "final", claim_runs.OURS)
    for turns in (1, 8):
        final = ours._replace(reward="final", turns=turns)
        assert final.tuned_at == final
    silent = Arm("StrBuild-v0", 4, "dense", claim_runs.SILENT)
    assert silent.tuned_at == Arm("StrBuild-v0", 4, "final", "ridge")
    assert silent._replace(turns=1, reward="final").tuned_at.method == claim_runs.SILENT


def test_a_run_on_houses_begins_with_a_warm_start_of_as_many_turns_and_one_on_words_with_that_of_two():
    taught = {
        (env, turns): claim_runs.taught_kwargs(Arm(env, turns, "final", "ridge"))["max_turns"]
        for env in claim_runs.SETTINGS
        for turns in (4, 8)
    }
    assert taught == {
        ("StrBuild-v0", 4): 2,
        ("StrBuild-v0", 8): 2,
        ("HouseBuild-v1", 4): 2,
        ("HouseBuild-v1", 8): 4,
        ("StrBuild-v1", 4): 1,
        ("StrBuild-v1", 8): 1,
    }


def test_turns_of_messages_count_as_turns_of_an_episode():
    assert claim_runs.kwargs_of("HouseBuild-v1", 4) == {"prompts": "terse", "max_turns": 2, "talk": 1}
    with pytest.raises(ValueError, match="3 turns with 1 rounds"):
        claim_runs.kwargs_of("HouseBuild-v1", 3)


@pytest.mark.parametrize("arm", [Arm("StrBuild-v0", 2, "final", ""), Arm("HouseBuild-v1", 4, "final", "")])
def test_what_is_paid_at_the_end_is_what_dense_turns_pay_in_all_and_measured_as_it_was(arm):
    tasks = claim_runs.task_of(arm._replace(reward="dense")), claim_runs.task_of(arm)
    scores = [scores_of(task, "/setblock 0 0 0 stone") for task in tasks]
    dense, final = ([score.reward for score in of_task] for of_task in scores)
    assert final == [0.0] * (arm.turns - 1) + [pytest.approx(sum(dense))]
    assert sum(map(abs, dense)) > 0
    assert [score.metrics for score in scores[0]] == [score.metrics for score in scores[1]]


def scores_of(task, text):
    """Scores of the turns of an episode in which all agents write the same text at every turn."""
    state, scores = task.start(task.items("eval")[0], 0), []
    while not task.done(state):
        state = task.play(state, dict.fromkeys(task.agents, text))
        scores.append(task.score(state))
    return scores


def test_the_page_counts_the_tokens_of_alternatives():
    factors = {method: claim_runs.texts_written(method) for method in claim_runs.METHODS}
    assert {method for method, factor in factors.items() if factor == 5} == {claim_runs.OURS, claim_runs.C3}
    assert set(factors.values()) == {1, 5}
    row = {"method": claim_runs.C3, "tokens": "10"}
    assert claim_rows.with_all_tokens(row) == {"method": claim_runs.C3, "tokens": 50}


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """A function that writes down what a trial of CoLLM-CC came to: (rate, seed, area) -> None."""
    monkeypatch.setattr(claim, "TRIED", tmp_path / "trials.csv")

    def keep(lr, seed, area):
        rates = claim_runs.label(claim_runs.rates_of(TUNED.method, lr))
        values = zip(claim_runs.KEY, (*TUNED, seed, rates), strict=True)
        claim.append_rows(claim.TRIED, [dict(values) | {"area": area, "after": 0.0, "cpu_s": 0.0}])

    return keep


TUNED = Arm("StrBuild-v0", 8, "final", "CC, GAE 0.9")


def test_trials_widen_until_the_best_rate_is_inside_and_try_the_better_two_again(tried):
    first, *others = claim.TUNING
    assert claim.chosen_rates(TUNED) is None
    assert claim.missing_trials(TUNED) == [(lr, first) for lr in claim.ACTOR_RATES]
    for lr, area in zip(claim.ACTOR_RATES, (-2.0, 1.0, 2.0, 3.0), strict=True):
        tried(lr, first, area)
    assert claim.missing_trials(TUNED) == [(2e-3, first)]
    tried(2e-3, first, 4.0)
    assert claim.missing_trials(TUNED) == [(4e-3, first)]
    tried(4e-3, first, 1.0)
    missing = [(lr, seed) for seed in others for lr in (1e-3, 2e-3)]
    assert claim.missing_trials(TUNED) == missing
    for lr, seed in missing:
        assert claim.chosen_rates(TUNED) is None
        tried(lr, seed, {1e-3: 3.0, 2e-3: 2.0}[lr])
    assert claim.chosen_rates(TUNED) == {"lr": 1e-3, "critic_lr": claim_runs.CRITIC_RATE}
    assert claim.chosen_rates(TUNED._replace(turns=1)) is None


def test_a_choice_at_the_edge_is_widened_on_all_seeds_but_for_what_always_falls(tried, monkeypatch):
    for seed, areas in zip(claim.TUNING, ((2.0, 3.0, 1.0, 0.0), (2.0, 0.0), (2.0, 0.0)), strict=True):
        for lr, area in zip(claim.ACTOR_RATES, areas, strict=False):
            tried(lr, seed, area)
    assert claim.missing_trials(TUNED) == [(6.25e-5, seed) for seed in claim.TUNING]
    assert claim.chosen_rates(TUNED) is None
    with monkeypatch.context() as patched:
        patched.setattr(claim, "ALWAYS_FALLS", {TUNED})
        assert claim.chosen_rates(TUNED)["lr"] == 1.25e-4
    for seed in claim.TUNING:
        tried(6.25e-5, seed, 1.5)
    assert claim.chosen_rates(TUNED)["lr"] == 1.25e-4


def test_trials_in_the_game_are_of_all_seeds_and_widen_while_the_best_is_at_the_edge():
    areas = {}
    for best, further in ((40.5, 121.5), (121.5, 364.5)):
        while missing := claim_games.missing_trials(areas):
            if missing[0][0] == further:
                break
            areas |= {(rate, seed): -abs(rate - best) for rate, seed in missing}
        assert missing == [(further, seed) for seed in claim_games.TUNING]
        areas |= {(further, seed): -1000.0 for seed in claim_games.TUNING}
        assert claim_games.missing_trials(areas) == []
        assert claim_games.best_rate(areas) == best
        areas = {key: -abs(key[0] - 121.5) for key in areas}


@pytest.mark.parametrize(
    ("reward", "words", "paid"),
    [
        ("dense", ("01", "11"), (0.0, 0.5)),
        ("dense", ("00", "11"), (0.5, 0.5)),
        ("final", ("00", "11"), (0.0, 1.0)),
        ("final, each", ("01", "11"), (0.0, 0.75)),
        ("final, each", ("11", "00"), (0.0, 0.0)),
    ],
)
def test_the_game_pays_the_share_of_right_turns_or_words_at_once_or_at_the_end(reward, words, paid):
    game = claim_games.Relay(2, reward)
    state, rewards = game.start(game.rows[0], 0), []
    for pair in words:
        state = game.play(state, dict(zip(game.agents, pair, strict=True)))
        rewards.append(game.score(state).reward)
    assert tuple(rewards) == paid
    assert game.done(state)


@pytest.mark.parametrize(("reward", "uniform"), [("dense", 1 / 9), ("final", 1 / 9), ("final, each", 1 / 3)])
def test_uniform_play_of_the_game_returns_what_its_docstring_says_and_learning_more(reward, uniform):
    rows = claim_games.one_run(reward, 2, "leave-one-out", 0, 4.5)
    assert rows[0]["return"] == pytest.approx(uniform, abs=1e-5)
    assert rows[-1]["return"] > 0.9


def test_prompts_alone_play_the_episodes_that_runs_are_evaluated_on_and_sample_as_they_do(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(real, "RUNS", tmp_path)
    for env in prompted.ENVS:
        trained = real.line_of(env, "MAGRPO", 0)
        run = read(trained[0], trained[1:])
        for protocol in prompted.PROTOCOLS:
            line = prompted.line_of(env, protocol)
            kwargs = json.loads(line[line.index("--env-kwargs") + 1])
            agents = kwargs.pop("num_agents", 2)
            assert (agents, kwargs) == (1 if protocol == "single" else 2, run.env_kwargs)
            assert int(line[line.index("--episodes") + 1]) == run.eval_episodes
            policy = line[line.index("--policy") + 1]
            tokens = run.max_new_tokens * (2 if agents == 1 else 1)
            assert policy.endswith(f"temperature={run.temperature}&top_p={run.top_p}&max_new_tokens={tokens}")


@pytest.mark.parametrize("key", dict.fromkeys((env, row) for env, row, _ in real.CELLS))
def test_a_cell_of_the_real_models_table_has_settings_that_its_team_can_be_made_of(
    key, tmp_path, monkeypatch
):
    monkeypatch.setattr(real, "RUNS", tmp_path)
    line = real.line_of(*key, seed=0)
    config = read(line[0], line[1:])
    task = make_task(config.env, **config.env_kwargs)
    config.check_task(task)
    assert rules.make(config.credit, config.credit_samples, task)
    texts = {"TLDR-v0": 64, "ArXiv-v0": 40}
    assert config.episodes * config.steps == texts.get(key[0], 96)


def test_a_sentence_of_the_claim_holds_only_where_the_whole_interval_is_on_its_side():
    assert claim_page.verdict([0.19, 0.2, 0.2, 0.21], "better", 1.0) == "holds"
    assert claim_page.verdict([-0.19, -0.2, -0.2, -0.21], "better", 1.0) == "does not: the other is better"
    assert claim_page.verdict([-0.1, 0.2, 0.2, 0.3], "better", 1.0) == "cannot be told"
    assert claim_page.verdict([0.19, 0.2, 0.21], "better", 1.0) == "not measured"
    assert claim_page.verdict([-0.1, 0.2, 0.2, 0.3], "alike", 1.0) == "cannot be told"
    assert claim_page.verdict([0.19, 0.2, 0.2, 0.21], "alike", 1.0) == "not alike"


def test_a_difference_below_a_hundredth_of_the_best_return_is_none_however_sure_its_sign():
    assert claim_page.verdict([0.005, 0.005, 0.005, 0.006], "better", 1.0) == "alike"
    assert claim_page.verdict([0.04, 0.05, 0.05, 0.06], "better", 8.0) == "alike"
    assert claim_page.verdict([0.04, 0.05, 0.05, 0.06], "better", 1.0) == "holds"
    assert claim_page.verdict([0.009, 0.0091, 0.0091, 0.0092], "alike", 0.5) == "not alike"


def test_words_choose_the_runs_whose_names_they_begin():
    both = claim.selected(["StrBuild-v0/1/final/ridge", "StrBuild-v0/4/dense/MAGRPO/2"])
    assert {cell for cell, _ in both} == {
        Arm("StrBuild-v0", 1, "final", "ridge"),
        Arm("StrBuild-v0", 4, "dense", "MAGRPO"),
    }
    assert len(both) == len(claim.SEEDS) + 1
    assert len(claim.selected([])) == sum(len(seeds) * len(methods) for *_, seeds, methods in claim.CELLS)
    for word in ("StrBuild", "StrBuild-v0/8/dense", "StrBuild-v0/4/final/rid", "StrBuild-v0/4/final/ridge/9"):
        with pytest.raises(ValueError, match="names no run"):
            claim.selected([word])


def test_of_the_jobs_no_more_are_made_than_was_allowed_and_a_repeated_run_keeps_nothing(
    tmp_path, monkeypatch, capsys
):
    for name, file in {"TRIED": "trials.csv", "ROWS": "text.csv"}.items():
        monkeypatch.setattr(claim, name, tmp_path / file)

    def fake_run(arm, seed, rates):
        ends = ((0, 0.0), (10, 1.0 - abs(rates["lr"] - 5e-4)))
        values = {**arm._asdict(), "seed": seed, "rates": claim_runs.label(rates)}
        values |= {"tokens": 5, "cpu_s": 1.0, "explained_variance": 0.0}
        return [{**values, "step": x, "joint_turns": x, "return": y} for x, y in ends]

    def fake_jobs(jobs, keep, processes):
        for job in jobs:
            keep(fake_run(*job))

    methods = ("ridge", "leave-one-out", claim_runs.REFERENCE, claim_runs.OURS)
    monkeypatch.setattr(claim, "make_jobs", fake_jobs)
    monkeypatch.setattr(claim, "one_run", fake_run)
    runs = claim.selected([f"StrBuild-v0/4/final/{method}" for method in methods])
    claim.make_runs(runs, 5, 1)
    assert len(claim.read_results(claim.TRIED)) == 5
    assert not claim.ROWS.exists()
    claim.make_runs(runs, 100, 1)
    critics = len(claim.CRITIC_RATES) * len(claim.TUNING)
    assert len(claim.read_results(claim.TRIED)) == 4 * (4 + 2 * 2) + critics
    rows = claim.read_results(claim.ROWS)
    assert len(rows) == 4 * 2 * len(claim.SEEDS)
    assert {row["rates"] for row in rows} == {"0.0005", "0.0005/0.001"}
    claim.make_runs(runs, 100, 1)
    assert claim.read_results(claim.ROWS) == rows
    claim.once_more(runs[:1])
    assert "return that is kept: 1.0" in capsys.readouterr().out
    assert claim.read_results(claim.ROWS) == rows
    assert "--again 'StrBuild-v0/4/final/ridge/0'" in claim.commands()
    games = {claim_rows.GAMES: claim_rows.TASKS[claim_rows.GAMES]}
    monkeypatch.setattr(claim_rows, "TASKS", games | dict.fromkeys(claim_runs.SETTINGS, claim.ROWS))
    for kept in (claim_rows.cached_rates, claim_rows.runs_of):
        kept.cache_clear()
    shown = claim_page.page()
    for kept in (claim_rows.cached_rates, claim_rows.runs_of):
        kept.cache_clear()
    assert "StrBuild-v0, 4 turns, final reward" in shown
    assert "ridge less leave-one-out" in shown
    assert "s rate 0.004" in shown
    assert (
        "With language models CC (GAE 0.9), beside leave-one-out, MAGRPO and DC, is alike in 1 of 1" in shown
    )
    assert "With alternatives it is alike in 1 of 1 comparison." in shown
    assert "CC less leave-one-out" in shown
    assert "HouseBuild-v1, 4 turns" not in shown


def test_two_starts_and_two_times_of_payment_stand_beside_each_other(tmp_path, monkeypatch):
    def rows(reward, method, ends):
        arm = Arm(claim_rows.HOUSE_V1, 8, reward, method)
        for seed, end in enumerate(ends):
            for x, earned in ((0, 0.0), (10, end)):
                values = zip(claim_runs.KEY, (*arm, seed, "0.001"), strict=True)
                costs = {"step": x, "joint_turns": x, "tokens": x, "cpu_s": x}
                yield dict(values) | costs | {"return": earned}

    kept, lost = tmp_path / "text.csv", tmp_path / "first.csv"
    for file, reward, ours in ((kept, "final", 0.5), (kept, "dense", 0.9), (lost, "final", 0.75)):
        for method, end in (("ridge", ours), (claim_runs.REFERENCE, 0.25 if reward == "final" else 0.5)):
            claim.append_rows(file, list(rows(reward, method, [end] * 4)))
    monkeypatch.setattr(claim_rows, "FIRST_START", lost)
    monkeypatch.setattr(claim_rows, "TASKS", claim_rows.TASKS | {claim_rows.HOUSE_V1: kept})
    monkeypatch.setattr(claim_rows, "is_chosen", lambda row: True)
    claim_rows.runs_of.cache_clear()
    starts, payment = claim_page.two_starts(), claim_page.paid_at_once()
    claim_rows.runs_of.cache_clear()
    line = starts[starts.index("ridge less CC, GAE 0.9") :]
    assert line.index("0.50 [0.50, 0.50]") < line.index("0.25 [0.25, 0.25]")
    line = payment[payment.index("CC, GAE 0.9, every turn, less CC, GAE 0.9, at the end") :]
    assert line.index("HouseBuild-v1, 8 turns") < line.index("0.25 [0.25, 0.25]")
    assert "final" not in payment


def test_the_area_under_a_curve_is_its_mean_height_whatever_the_distances_of_its_points():
    rows = [{"joint_turns": x, "return": y} for x, y in ((0, 0.0), (10, 1.0), (40, 1.0))]
    assert claim_games.area(rows) == pytest.approx((5 + 30) / 40)
