"""`collm real` and the study beside it, on a tiny random model."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from folders import ROOT
from lm_fixtures import save, words_tokenizer
from scenes import record, turn

from baselines.cli import learned, main, real
from baselines.cli.train import read
from baselines.runs import run, samples
from baselines.train.presets import PRESETS
from collm_envs import make_task
from collm_envs.record import Record
from collm_envs.replay import replay

sys.path.append(str(ROOT / "studies"))
import real as study

CHAT = "{% for m in messages %}{{ m['content'] }} <end> {% endfor %}"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A model of a few words, steps and texts so few that a run takes a second."""
    monkeypatch.chdir(tmp_path)
    few = {"steps": 2, "episodes": 4, "eval_every": 1, "eval_episodes": 3, "lora_rank": 2}
    for name, value in few.items():
        monkeypatch.setitem(PRESETS["laptop"].always, name, value)
    monkeypatch.setattr(real, "TOKENS", {"TLDR-v1": 12, "TLDR-v0": 12})
    monkeypatch.setattr(real, "POSTS", {"train": (47, 60), "eval": (25, 17)})
    monkeypatch.setattr(real, "WARM_STEPS", 1)
    monkeypatch.setattr(real, "TAUGHT", (82,))
    monkeypatch.setattr(real, "FACTUAL", (*real.FACTUAL[:1], "4"))
    monkeypatch.setattr(real, "GROUP", 4)
    words = words_tokenizer(["the", "post", "says", "that", "it", "is", "long", "."], chat=CHAT)
    return save(tmp_path / "model", "llama", words)


def test_the_report_has_curves_and_texts_of_the_same_posts_before_and_after(
    small, tmp_path, monkeypatch, capsys
):
    for name, value in {"steps": 1, "eval_episodes": 2}.items():
        monkeypatch.setitem(PRESETS["laptop"].always, name, value)
    assert main.main(["real", "--model", small]) == 0
    page = (tmp_path / "runs/real/report.html").read_text()
    for words in ("MAGRPO", "CoLLM-CC", "source covered", "source copied", "facts in the detailed text"):
        assert words in page
    assert "The untrained model earns" in page
    assert "untrained: reward" in page
    assert "collm warm-start --env TLDR-v1" in page
    assert "never reads the post" in page
    assert "step 0: reward" in page
    assert "step 1: reward" in page
    assert "cut at the limit" in page
    assert "collm train magrpo --preset laptop --env TLDR-v1" in page
    assert "--shared --credit difference" in page
    lines = capsys.readouterr().out.splitlines()
    assert [sum(f"{env}\t" in line for line in lines) for env in ("TLDR-v1", "TLDR-v0")] == [1, 2]


def test_a_report_of_runs_on_a_writing_task_shows_what_texts_hold_and_texts(small, tmp_path, monkeypatch):
    monkeypatch.setattr(real, "DEMO", {"TLDR-v0": ("MAGRPO",)})
    assert main.main(["real", "--model", small]) == 0
    assert main.main(["report", "runs/real", "--out", "page"]) == 0
    page = (tmp_path / "page/index.html").read_text()
    for words in ("source covered", "source copied", "step 0: reward", "step 2: reward"):
        assert words in page


def test_a_second_call_trains_nothing_and_one_with_other_settings_is_refused(small, monkeypatch):
    monkeypatch.setattr(real, "DEMO", {"TLDR-v0": ("MAGRPO",)})
    assert main.main(["real", "--model", small]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(run, "train", None)
        patch.setattr(run, "resume", None)
        assert main.main(["real", "--model", small]) == 0
    monkeypatch.setattr(real, "TOKENS", {"TLDR-v0": 13})
    assert main.main(["real", "--model", small]) == 2


def test_a_run_that_was_stopped_goes_on_with_the_same_call(small, tmp_path, monkeypatch):
    line = real.line_of("TLDR-v0", "MAGRPO", 0, tmp_path, small)
    config = read(line[0], [*line[1:], "--save-every", "1"])
    seen = []

    def measure_twice(*args):
        seen.append(args)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return {"return": 0.0}

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("baselines.runs.texts.measure", measure_twice)
        run.finished("magrpo", config, quiet=True)
    out = run.finished("magrpo", config, quiet=True)
    assert json.loads((out / "config.json").read_text())["finished"]["step"] == 2


def test_a_run_of_before_a_setting_came_is_found_again_and_one_of_other_settings_is_not(small, tmp_path):
    line = real.line_of("TLDR-v0", "MAGRPO", 0, tmp_path, small)
    config = read(line[0], line[1:])
    out = Path(config.out)
    stored = config.to_dict()
    del stored["cuda_graphs"]
    out.mkdir(parents=True)
    end = {"step": stored["steps"], "saved": []}
    (out / "config.json").write_text(json.dumps({"algorithm": "magrpo", "config": stored, "finished": end}))
    assert run.finished("magrpo", config, quiet=True) == out
    for changes in ({"cuda_graphs": True}, {"seed": 1}):
        with pytest.raises(ValueError, match=rf"other settings \({next(iter(changes))}\); move it away"):
            run.finished("magrpo", replace(config, **changes), quiet=True)


def test_samples_hold_each_evaluation_once_and_replay(small, tmp_path):
    line = real.line_of("TLDR-v0", "MAGRPO", 0, tmp_path, small)
    out = run.finished(line[0], read(line[0], line[1:]), quiet=True)
    before = samples.read_samples(out)
    with (out / samples.FILE).open("a") as file:  # as a resumed run does
        file.write((out / samples.FILE).read_text().splitlines()[-1] + "\n")
    after = samples.read_samples(out)
    assert [*after] == [0, 1, 2]
    assert after == before
    assert [record.item for record in after[0]] == [record.item for record in after[2]]
    assert all(replay(record).status == "equal" for record in after[2])


def test_the_sentence_tells_what_texts_hold_beside_what_they_earn():
    first = {"return": 0.5, "closed": 0.75, "metric/source_covered": 0.2, "metric/source_copied": 0.5}
    last = {"return": 2.0, "closed": 0.0, "metric/source_covered": 0.1, "metric/source_copied": 0.25}
    assert learned.sentence("TLDR-v0", "MAGRPO", [[first, last]]) == (
        "MAGRPO: return 0.50 to 2.00; source covered 0.20 to 0.10, source copied 0.50 to 0.25; "
        "texts cut at the limit 25% to 100%."
    )
    assert learned.sentence("StrBuild-v0", "MAGRPO", [[first, last]]) == ""


def test_the_study_keeps_numbers_and_texts_of_a_finished_run_and_makes_no_run_twice(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(study, "MODEL", small)
    cells = ["TLDR-v0/MAGRPO/0", "TLDR-v0/GRPO/1"]
    study.main(cells)
    rows = (tmp_path / "results/rows.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 3
    assert "step 2: reward" in (tmp_path / "results/index.html").read_text()
    monkeypatch.setattr(run, "train", None)
    study.main(cells)
    assert (tmp_path / "results/rows.csv").read_text().splitlines() == rows


def test_posts_are_met_in_one_place_alone_and_references_earn_there():
    assert not set(real.TAUGHT) & set(real.POSTS["train"])
    task = make_task("TLDR-v1")
    by_id = {item.id: item.data for item in task.items("eval")}
    texts = []
    for k, number in enumerate(real.POSTS["eval"][:3]):
        written = {
            "agent_0": by_id[f"eval/{number}"]["brief"],
            "agent_1": by_id[f"eval/{number}"]["detailed"],
        }
        line = record(turn(texts=written), env="TLDR-v1", item=f"eval/{k}")
        texts.append(Record(**{"seconds": 0.0, "trial": 0, **line}))
    assert study.factual("TLDR-v1", texts) > 2.5
    assert study.factual("TLDR-v1", texts, shift=1) == 0.0
