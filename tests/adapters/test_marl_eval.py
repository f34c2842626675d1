"""marl-eval reads what `collm export --marl-eval` writes: a score for each run, from its own pipeline."""

import json

import pytest
from frameworks import need

need("id-marl-eval", "0.0.4")

from marl_eval.utils.data_processing_utils import create_matrices_for_rliable, data_process_pipeline

import collm_envs
from baselines.cli.main import main
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies import seat_all

pytestmark = pytest.mark.filterwarnings("ignore")


def test_its_pipeline_finds_every_run_of_two_policies(tmp_path):
    env, returns = collm_envs.make("StrBuild-v0", max_turns=1), {}
    for policy in ("expert", "noisy"):
        policies = seat_all(env.task, policy, {})
        played = evaluate(env, policies, jobs(env, episodes=3, seeds=2), tmp_path / policy).records
        for trial in (0, 1):
            earned = [record.turns[0]["reward"] for record in played if record.trial == trial]
            returns.setdefault(policy, []).append(sum(earned) / 3)
    out = tmp_path / "marl-eval.json"
    assert main(["export", str(tmp_path), "--marl-eval", "--out", str(out)]) == 0
    data = data_process_pipeline(json.loads(out.read_text()), [])
    matrices, _ = create_matrices_for_rliable(data, "collm", [])
    for policy, values in returns.items():
        assert matrices["mean_return"][policy].ravel().tolist() == pytest.approx(values)
