"""What the core costs: a step of StrBuild, an evaluated and a replayed episode, an import."""

import statistics
import subprocess
import sys
import time

import pytest

import collm_envs
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies.seat import Reply
from collm_envs.policies.specs import seat_all
from collm_envs.replay import replay

pytestmark = pytest.mark.bench


class Free:
    """A policy that costs nothing."""

    name = "free"
    text = "\n".join(f"/setblock {k} {k % 5} 0 stone" for k in range(5))

    def act(self, seats):
        return [Reply(self.text)] * len(seats)


def rates(function, count, runs=5):
    """Runs of `function`, each worth `count`, as a rate a second of processor time."""
    found = []
    for _ in range(runs):
        start = time.process_time()
        function()
        found.append(count / (time.process_time() - start))
    return statistics.median(found)


def test_strbuild_takes_5000_steps_a_second_with_prompts_and_feedback(capsys):
    env = collm_envs.make("StrBuild-v0")
    texts = dict.fromkeys(env.possible_agents, Free.text)

    def play():
        for seed in range(250):
            env.reset(seed=seed)
            while env.agents:
                env.step(texts)

    rate = rates(play, 1000)
    with capsys.disabled():
        print(
            f"\nStrBuild-v0, five commands an agent: {rate:,.0f} steps/s, {rate / 5000:.1f} times the target"
        )
    assert rate > 5000


def test_200_episodes_a_second_are_evaluated_and_written(tmp_path, capsys):
    env, policy = collm_envs.make("StrBuild-v0"), Free()
    folders = iter(range(100))

    def run():
        todo = jobs(env, episodes=300)
        evaluate(env, dict.fromkeys(env.possible_agents, policy), todo, tmp_path / str(next(folders)))

    rate = rates(run, 300)
    with capsys.disabled():
        print(
            f"\nevaluation of StrBuild-v0, 4 turns: {rate:,.0f} episodes/s, {rate / 200:.1f} times the target"
        )
    assert rate > 200


def test_records_are_replayed_at_least_as_fast(capsys):
    env = collm_envs.make("StrBuild-v0")
    records = evaluate(env, seat_all(env.task, "noisy", {}), jobs(env, episodes=300)).records
    rate = rates(lambda: [replay(one) for one in records], 300)
    with capsys.disabled():
        print(f"\nreplay of StrBuild-v0, 4 turns: {rate:,.0f} episodes/s")
    assert rate > 200


def test_the_import_takes_well_under_half_a_second(capsys):
    code = "import time; t = time.process_time(); import collm_envs; print(time.process_time() - t)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        for _ in range(7)
    ]
    with capsys.disabled():
        print(f"\nimport collm_envs: {statistics.median(seconds):.3f} s of processor time")
    assert statistics.median(seconds) < 0.4
