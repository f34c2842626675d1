"""`collm train ALGO --paper`: every row of the paper's table runs to its end, on a tiny random model."""

import json

import pytest
from lm_fixtures import save, words_tokenizer
from tokenizers import pre_tokenizers

from baselines.cli.train import read
from baselines.runs import run
from baselines.runs.logs import read_log as lines
from baselines.runs.published import PUBLISHED
from baselines.runs.published import ROWS as TRAINED

ROWS = [(env, row) for env, rows in PUBLISHED.items() for row in rows]
SMALL = "--steps 2 --max-new-tokens 2 --no-bf16 --device cpu --eval-every 0 --eval-episodes 1 --save-every 0"
LONE = [(env, row) for env, row in ROWS if PUBLISHED[env][row]["episodes"] == 1]
"""rows that play one episode a step"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a model to which every paragraph of a prompt is one unknown token."""
    tokenizer = words_tokenizer([f"w{k}" for k in range(8)])
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split("\n\n", "removed")
    return save(tmp_path_factory.mktemp("models") / "tiny", "qwen3", tokenizer)


def published(env, row, model, out, **env_kwargs):
    """The settings of `--paper` for a row, small where its cost is, and not its arithmetic."""
    algorithm, own = TRAINED[row]
    flags = ["--critic", own["critic"]] if "critic" in own else []
    keywords = {"data": "builtin"} if "data" in PUBLISHED[env][row]["env_kwargs"] else {}
    keywords |= env_kwargs | own.get("env_kwargs", {})
    args = ["--paper", "--env", env, "--env-kwargs", json.dumps(keywords), *flags, *SMALL.split()]
    return algorithm, read(algorithm, [*args, "--model", model, "--out", str(out)])


DECISIVE = {"lr", "episodes", "gamma", "group", "normalize", "critic", "value_coef", "value_clip"}
"""published settings that a small run must keep"""


@pytest.mark.parametrize(("env", "row"), ROWS)
@pytest.mark.filterwarnings("ignore:normalize")
def test_every_published_row_runs_to_its_end(env, row, model, tmp_path):
    algorithm, config = published(env, row, model, tmp_path / "run")
    assert all(
        vars(config)[name] == PUBLISHED[env][row][name] for name in DECISIVE & set(PUBLISHED[env][row])
    )
    run.train(algorithm, config, quiet=True)
    assert [line["step"] for line in lines(tmp_path / "run" / "metrics.jsonl")] == [1, 2]


@pytest.mark.parametrize(("env", "row"), LONE)
def test_an_episode_that_stops_after_its_first_turn_does_not_end_the_run(env, row, model, tmp_path):
    """One text an agent is left in such a step, and nothing to scale its advantage by."""
    algorithm, config = published(env, row, model, tmp_path / "run", stop_above=-100.0)
    with pytest.warns(UserWarning, match="a single text of an agent has nothing to be scaled by"):
        run.train(algorithm, config, quiet=True)
    assert [line["turns"] for line in lines(tmp_path / "run" / "metrics.jsonl")] == [1.0, 1.0]
