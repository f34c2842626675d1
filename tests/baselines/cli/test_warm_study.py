"""The study of warm starts, on a tiny random model."""

import sys

import pytest
from folders import ROOT
from lm_fixtures import save, words_tokenizer

from baselines.runs import run
from baselines.train.presets import PRESETS

sys.path.append(str(ROOT / "studies"))
import warm as study

CHAT = "{% for m in messages %}{{ m['content'] }} <end> {% endfor %}"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A model of a few words, and an environment whose runs take a second."""
    monkeypatch.chdir(tmp_path)
    few = {"episodes": 4, "eval_every": 1, "eval_episodes": 2, "save_every": 1, "lora_rank": 2}
    for name, value in few.items():
        monkeypatch.setitem(PRESETS["laptop"].always, name, value)
    setting = study.SETTINGS["StrBuild-v0"]._replace(
        tokens=8, warm={"steps": 1, "batch": 2}, train={"steps": 1}
    )
    monkeypatch.setattr(study, "SETTINGS", {"StrBuild-v0": setting})
    monkeypatch.setattr(study, "SEEDS", (0, 1))
    monkeypatch.setattr(study, "RESULTS", tmp_path / "results")
    words = words_tokenizer([*"01234.", "stone", "air"], chat=CHAT)
    monkeypatch.setattr(study, "MODEL", save(tmp_path / "model", "llama", words))


def test_the_page_has_the_untrained_model_the_warm_start_and_the_runs_of_each_seed(
    small, tmp_path, monkeypatch
):
    study.main(["StrBuild-v0"])
    rows = (tmp_path / "results/rows.csv").read_text().splitlines()
    assert len(rows) == 1 + 1 + 2 * 2
    page = (tmp_path / "results/index.html").read_text()
    for words in (
        "after the warm start",
        "after MAGRPO",
        "95 % interval",
        "untrained: reward",
        "step 1: reward",
        "collm warm-start --env StrBuild-v0",
    ):
        assert words in page
    monkeypatch.setattr(run, "train", None)
    study.main(["StrBuild-v0"])
    assert (tmp_path / "results/rows.csv").read_text().splitlines() == rows
