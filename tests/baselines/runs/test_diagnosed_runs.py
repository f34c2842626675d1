"""What every run logs about how it learns, and that nothing it learns depends on that."""

import pytest
from lm_fixtures import save, words_tokenizer
from run_folders import lines

from baselines import maac, ridge
from baselines.runs import run

ENV = {"env": "StrBuild-v1", "env_kwargs": {"prompts": "terse", "talk": 1, "max_turns": 1}}
SMALL = {"steps": 2, "episodes": 4, "max_new_tokens": 3, "eval_episodes": 2, "eval_every": 0, "lr": 0.05}
WORDS = ["4", "1.1", "/setblock", "0", "1", "2", "oak_planks", "stone", "words"]
CHECKED = {"credit_agreement", "influence/agent_0", "influence/agent_1"}


@pytest.mark.parametrize(("name", "algorithm"), [("maac", maac), ("ridge", ridge)])
def test_a_run_logs_its_diagnostics_and_learns_the_same_without_those_that_cost(name, algorithm, tmp_path):
    model = save(tmp_path / "model", "qwen3", words_tokenizer(WORDS))
    logs = {}
    for checked in (8, 0):
        out = tmp_path / f"run{checked}"
        config = algorithm.Config(**ENV, **SMALL, model=model, checked_turns=checked, out=str(out))
        run.train(name, config, quiet=True)
        logs[checked] = [*lines(out / "metrics.jsonl"), *lines(out / "eval.jsonl")]
    always = {"explained_variance", "advantage_variance", "token_entropy", "text_tokens"}
    always |= {f"{kind}_share/agent_{k}" for kind in ("gradient", "credit") for k in range(2)}
    assert all(always <= set(step) for step in logs[0][:2])
    assert "influence/agent_1" in logs[8][-1]
    for with_checks, without in zip(logs[8], logs[0], strict=True):
        assert set(with_checks) - set(without) <= CHECKED
        assert {key: with_checks[key] for key in without} == without
