"""Plays many episodes with policies and summarises them.  No torch.

env = collm_envs.make("StrBuild-v0")
policies = seat_all(env.task, "expert", {})             # collm_envs.policies
done = evaluate(env, policies, jobs(env, episodes=100), out="runs/expert")
for row in measure_table(done.records):
    print(row)
"""

from collm_envs.evaluation.episodes import Evaluation, Failure, Job, evaluate, jobs
from collm_envs.evaluation.measures import Measure, measure_table, scores
from collm_envs.evaluation.stats import Summary, summary

__all__ = [
    "Evaluation",
    "Failure",
    "Job",
    "Measure",
    "Summary",
    "evaluate",
    "jobs",
    "measure_table",
    "scores",
    "summary",
]
