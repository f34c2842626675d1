"""Runs and evaluations side by side: who is one row, what stands in which column, the page in a browser."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser

import collm_envs
from baselines import magrpo
from baselines.cli import main, report, report_diagnostics
from baselines.cli.report_rows import ReportRow, collect
from baselines.cli.train import command
from baselines.maac import Config
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.evaluation.stats import Summary, summary
from collm_envs.policies.seat import Reply
from leaderboard.reported import METHODS

KWARGS = {"max_turns": 1}


class Named:
    """Writes nothing, under a name of one's choice."""

    def __init__(self, name):
        self.name = name

    def act(self, seats):
        return [Reply("", {"tokens_written": 7, "seconds": 2.0}) for _ in seats]


def write_run(folder, algorithm, config, returns, iou=0.5):
    """A folder as `collm train` leaves it; `returns` are those of the evaluations at steps 0, 5, ..."""
    folder.mkdir()
    stored = {"algorithm": algorithm, "config": {**config.to_dict(), "out": str(folder)}}
    (folder / "config.json").write_text(json.dumps(stored))
    lines = [{"step": 5 * k, "return": y, "metric/iou": iou} for k, y in enumerate(returns)]
    (folder / "eval.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    lines = [{"step": k + 1, "return": 0.1 * k} for k in range(10)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_evaluation(folder, name, **kwargs):
    env = collm_envs.make("StrBuild-v0", **KWARGS, **kwargs)
    evaluate(env, dict.fromkeys(env.possible_agents, Named(name)), jobs(env, episodes=3, seeds=2), folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    for seed, returns in enumerate([(0.0, 1.0, 2.0), (0.0, 1.2, 1.0), (0.0, 1.4, 0.0, 9.0)]):
        write_run(base / f"cc{seed}", "maac", Config(env_kwargs=KWARGS, steps=10, seed=seed), returns)
    write_run(base / "one", "magrpo", magrpo.Config(env_kwargs={**KWARGS, "num_agents": 1}), (0.0, -1.0))
    write_evaluation(base / "talk", "discussion:openai:http://host/v1#m")
    write_evaluation(base / "alone", "openai:http://host/v1#m", num_agents=1)
    return base


@pytest.fixture(scope="module")
def rows(folders):
    return {row.paper: row for row in collect([folders])}


def test_seeds_of_one_algorithm_are_one_row_by_the_last_step_that_all_were_evaluated_at(rows):
    row = rows["CoLLM-CC"]
    assert (row.name, row.units, len(row.folders)) == ("CoLLM-CC", "3 seeds", 3)
    mean, low, high, iqm = row.numbers["return"]
    assert (mean, iqm) == pytest.approx((1.0, 1.0))
    assert (low, high) == pytest.approx((1.0 - 4.303 / 3**0.5, 1.0 + 4.303 / 3**0.5))  # sd 1, three seeds
    assert row.returns == [2.0, 1.0, 0.0]


def test_what_the_agents_of_runs_played_stands_in_the_runs_row(tmp_path):
    for seed in (0, 1):
        run = tmp_path / f"cc{seed}"
        write_run(run, "maac", Config(env_kwargs=KWARGS, steps=10, seed=seed), (0.0, 9.0))
        write_evaluation(tmp_path / f"played{seed}", f"hf:{run}/agent_0?temperature=0")
    (row,) = collect([tmp_path])
    assert (row.name, row.units, row.numbers["tokens_written"].mean) == ("CoLLM-CC", "2 seeds", 14.0)
    assert row.numbers["return"].mean != 9.0
    assert row.returns == [row.numbers["return"].mean] * 2
    assert len(row.curves["evaluation"]) == 2
    assert row.command.count("collm eval") == 2
    write_run(tmp_path / "cc2", "maac", Config(env_kwargs=KWARGS, steps=10, seed=2), (0.0, 9.0))
    (row,) = collect([tmp_path])  # one of three has played nothing: the runs' own evaluations count
    assert (row.units, row.numbers["return"].mean) == ("3 seeds", 9.0)


def row_of(env, name, *returns, paper=""):
    numbers = {"return": summary(np.array(returns)[:, None], [np.array([0])])}
    return ReportRow(env, {}, name, paper, "", numbers, returns, "", [])


def test_over_all_environments_returns_are_scaled_between_the_random_player_and_the_expert():
    rows = [row_of(env, name, value) for env in "AB" for name, value in (("random", 1.0), ("expert", 3.0))]
    rows += [row_of("A", "m", 1.5, 2.0, paper="MAGRPO"), row_of("B", "n", 2.5, 3.0, paper="MAGRPO")]
    rows += [row_of("A", "only here", 2.0)]
    columns, cells = report.together(rows)
    found = {line[0]: line[1:] for line in cells}
    assert columns == ["method", "IQM", "mean"]
    assert list(found) == ["expert", "MAGRPO", "random"]
    assert found["expert"] == ["1.000", "1.000"]
    assert found["MAGRPO"][0].startswith("0.625 [")  # of 0.25, 0.5, 0.75, 1 the middle two
    assert found["MAGRPO"][1] == "0.625"
    assert report.together(rows[:2])[1] == []


def test_over_all_environments_no_row_is_lost_under_the_name_of_another():
    rows = [row_of(env, name, value) for env in "AB" for name, value in (("random", 0.0), ("expert", 1.0))]
    for env in "AB":
        rows += [row_of(env, f"MAGRPO, lr {k}", 0.25 * k, paper="MAGRPO") for k in (1, 2)]
        rows += [row_of(env, "noisy", 0.75), row_of(env, "noisy", 0.6)]
    rows.append(row_of("A", "expert", 0.9))
    _, cells = report.together(rows)
    assert [(line[0], line[2]) for line in cells] == [
        ("expert", "1.000"),
        ("noisy", "0.750"),
        ("noisy (2)", "0.600"),
        ("MAGRPO, lr 2", "0.500"),
        ("MAGRPO, lr 1", "0.250"),
        ("random", "0.000"),
    ]


def test_an_environment_where_the_expert_earns_what_the_random_player_does_is_left_out():
    rows = [row_of(env, name, value) for env in "AB" for name, value in (("random", 1.0), ("expert", 3.0))]
    flat = [row_of("C", name, 2.0) for name in ("random", "expert", "m")]
    assert report.together([*rows, *flat]) == report.together(rows)
    assert [line[2] for line in report.together(rows)[1]] == ["1.000", "0.000"]


def test_the_command_of_a_row_repeats_its_settings_and_names_its_seeds(rows, folders):
    config = Config(env_kwargs=KWARGS, steps=10)
    want = f"for seed in 0 1 2; do {command('maac', config)} --seed $seed --out {folders}/cc$seed; done"
    assert rows["CoLLM-CC"].command == want
    talk = rows["discussion"].command
    assert "--protocol discussion --policy 'openai:http://host/v1#m'" in talk
    assert talk.endswith("--split eval --episodes 3 --seeds 2")


def test_the_papers_numbers_stand_in_a_table_of_their_own(rows):
    assert set(rows) == {"CoLLM-CC", "GRPO", "discussion", "untrained"}
    columns, cells = report.wide("StrBuild-v0", [*rows.values()])
    found = {line[0]: dict(zip(columns, line, strict=True)) for line in cells}
    assert found["CoLLM-CC"]["iou %"] == "50.0 [50.0, 50.0]"
    assert len(found) == 4
    columns, cells = report.reported("StrBuild-v0")
    paper = {line[0]: dict(zip(columns, line, strict=True)) for line in cells}
    assert paper["CoLLM-CC"]["iou %"] == "68.5"
    assert paper["GRPO"]["iou %"] == "46.1"
    assert paper["discussion"]["adj %"] == "16.2"
    assert paper["untrained"]["iou %"] == "36.6"
    assert paper["CoLLM-DC"]["agents"] == "two"
    assert report.reported("Adding-v0")[1] == []


def test_of_two_seeds_both_are_shown_and_no_interval():
    numbers = {"return": Summary(1.5, -3.0, 6.0, 1.5), "seconds_parallel": Summary(0.1, -0.2, 0.4, 0.1)}
    two = ReportRow("A", {}, "m", "", "2 seeds", numbers, (1.0, 2.0), "", [])
    (line,) = report.wide("A", [two])[1]
    assert line == ["m", "2 seeds", "1.500 (1.000 and 2.000)", "1.500", "", "0.100"]


def test_an_interval_ends_at_the_range_of_its_measure():
    numbers = {"return": Summary(1.5, -3.0, 6.0, 1.5), "iou": Summary(0.9, 0.5, 1.3, 0.9)}
    numbers["seconds_parallel"] = Summary(0.1, -0.2, 0.4, 0.1)
    three = ReportRow("StrBuild-v0", {}, "m", "", "3 seeds", numbers, (1.0, 1.5, 2.0), "", [])
    (line,) = report.wide("StrBuild-v0", [three])[1]
    assert "90.0 [50.0, 100.0]" in line
    assert "0.100 [0.000, 0.400]" in line


def test_runs_that_differ_in_a_setting_are_rows_named_by_it(folders, tmp_path):
    write_run(tmp_path / "slow", "maac", Config(env_kwargs=KWARGS, steps=10, lr=1e-3), (0.0, 0.5))
    names = sorted(row.name for row in collect([folders, tmp_path / "slow"]) if row.paper == "CoLLM-CC")
    assert names == ["CoLLM-CC, lr 0.001", "CoLLM-CC, lr 5e-06"]


def test_a_folder_of_a_trained_agent_is_compared_with_what_trained_it(folders, tmp_path):
    write_evaluation(tmp_path / "trained", f"hf:{folders}/cc0/agent_0?temperature=0")
    write_evaluation(tmp_path / "prompted", f"hf:{tmp_path}/model")
    assert sorted(row.paper for row in collect([tmp_path])) == ["CoLLM-CC", "parallel"]


def test_markdown_latex_and_csv_hold_the_same_numbers(rows):
    some = [*rows.values()]
    assert "| CoLLM-CC | 3 seeds | 1.000 [" in report.markdown(some)
    latex = report.latex(some)
    assert "StrBuild-v0, in the paper" in latex
    assert latex.count(r"\\") == (1 + 4) + (1 + len(METHODS))
    assert "discussion: m" in latex
    lines = list(csv.DictReader(io.StringIO(report.measures_csv(some))))
    (line,) = [one for one in lines if one["method"] == "CoLLM-CC" and one["measure"] == "iou"]
    assert (float(line["mean"]), float(line["paper_percent"])) == (0.5, 68.5)
    tokens = [float(one["mean"]) for one in lines if one["measure"] == "tokens_written"]
    assert sorted(tokens) == [7.0, 14.0]


def test_a_folder_with_nothing_in_it_is_refused(tmp_path, capsys):
    assert main.main(["report", str(tmp_path)]) == 2
    assert f"{tmp_path} holds neither a run (eval.jsonl) nor an evaluation" in capsys.readouterr().err
    assert main.main(["report"]) == 2
    assert "which folders? collm report DIR..." in capsys.readouterr().err
    assert main.main(["report", f"{tmp_path}/such"]) == 2
    assert f"{tmp_path}/such: no such folder" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_page_shows_tables_curves_and_commands_in_a_browser(folders, tmp_path, capsys):
    assert main.main(["report", str(folders), "--out", str(tmp_path / "out")]) == 0
    page = Path(tmp_path / "out" / "index.html")
    assert str(page) in capsys.readouterr().out
    assert {path.name for path in page.parent.iterdir()} == {
        "index.html",
        "measures.csv",
        "tables.md",
        "tables.tex",
    }
    browser = Browser(tmp_path / "profile")
    try:
        for width in (1300, 420):
            browser.open(page, width=width)
            assert browser.run("document.documentElement.scrollWidth") == width
        assert browser.run("document.querySelectorAll('tbody tr').length") == 4 + len(METHODS)
        assert browser.run("document.querySelectorAll('svg path.band').length") == 4
        assert "--seed $seed" in browser.run("document.querySelector('pre').textContent")
        assert browser.errors == []
    finally:
        browser.close()


UNUSABLE = {
    "not begun": (lambda at: (at / "eval.jsonl").write_text(""), "nothing was evaluated in this run yet"),
    "no settings": (lambda at: (at / "config.json").unlink(), "holds no run: there is no config.json in it"),
    "cut settings": (lambda at: (at / "config.json").write_text("{"), "config.json cannot be read"),
    "other settings": (lambda at: (at / "config.json").write_text('{"model": 1}'), "is no run's"),
    "another version": (
        lambda at: (at / "config.json").write_text(
            (at / "config.json").read_text().replace('"lr"', '"rate"')
        ),
        "unknown settings ['rate']",
    ),
    "an algorithm of somebody else": (
        lambda at: (at / "config.json").write_text(
            (at / "config.json").read_text().replace("maac", "nobodys")
        ),
        "got 'nobodys'",
    ),
}


@pytest.mark.parametrize("fault", UNUSABLE)
def test_a_folder_of_no_use_is_left_out_by_name(fault, tmp_path, capsys):
    spoil, reason = UNUSABLE[fault]
    for name in ("bad", "good"):
        write_run(
            tmp_path / name,
            "maac",
            Config(env_kwargs=KWARGS, steps=10, lr=2e-3 if name == "bad" else 1e-3),
            (0.0, 1.0),
        )
    spoil(tmp_path / "bad")
    assert main.main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("left out: ")
    assert str(tmp_path / "bad") in line
    assert reason in line
    assert said.out.startswith("1 row; ")
    assert main.main(["report", str(tmp_path / "bad"), "--out", str(tmp_path / "none")]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_an_evaluation_without_records_is_left_out_by_name(tmp_path, capsys):
    write_evaluation(tmp_path / "good", "openai:http://host/v1#m")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "records.jsonl").touch()
    assert main.main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    assert "empty/records.jsonl holds no records" in capsys.readouterr().err


def test_runs_that_differ_in_threads_alone_are_one_row(tmp_path):
    for seed in range(2):
        write_run(
            tmp_path / f"r{seed}", "maac", Config(env_kwargs=KWARGS, seed=seed, threads=seed), (0.0, 1.0)
        )
    (row,) = collect([tmp_path])
    assert row.units == "2 seeds"


def test_the_page_shows_how_the_trained_rows_learned_and_leaves_out_what_was_never_logged():
    steps = [
        {"token_entropy": 2.0 - k / 10, "gradient_share/agent_0": 0.4, "gradient_share/agent_1": 0.6}
        for k in range(20)
    ]
    evals = [{"influence/agent_0": 0.5, "influence/agent_1": 0.0}]
    trained = replace(row_of("A", "cc", 1.0), curves={"training": [steps], "evaluation": [evals]})
    (shown,) = report_diagnostics.diagnostics([row_of("A", "expert", 2.0), trained])
    for text in ("1.80 → 0.30", "0.60 agent_1", "0.50 agent_0, 0.00 agent_1"):
        assert text in shown
    assert "explained variance</th>" not in shown
    assert ">expert<" not in shown
    assert report_diagnostics.diagnostics([row_of("A", "expert", 2.0)]) == []
