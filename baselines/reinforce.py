"""MA-REINFORCE (arXiv:2601.21972; Williams 1992).  With one agent: REINFORCE, and RLOO (Ahmadian et al. 2024,
arXiv:2402.14740) with the leave-one-out baseline.

G whole episodes are played from every start.  With R_{t,g} the return-to-go of episode g at turn t:

    R_{t,g}  = sum_{k >= t} gamma^(k-t) r_{k,g}
    A_{t,g}  = R_{t,g} - b(R_{t,1}, ..., R_{t,G})       b: none 0 | mean | leave-one-out | max of the group
    grad J_i = E[ sum_t  A_{t,g}  grad log pi_i(a_{i,t,g} | h_{i,t}) ]                each agent by itself

`credit` turns the team's A into one for each agent (credit/rules.py); shared, the default, leaves it alone.

MA-REINFORCE assumes that the episodes of a start are drawn from the present policies.  There is no gradient
where all returns of a group are equal.  Without a baseline the gradient's noise grows with the size of the
returns; with "max" the best sample of a group has no advantage.

To read on, in order: play/rollout.py (episodes), credit/rules.py (p and m), formulas/advantages.py (b),
train/team.py (lessons to policies), lm/learning.py (passes), formulas/losses.py (importance ratio, loss).

Where we differ from the paper:
- Nothing is re-centred or divided by a deviation after the baseline: that would cancel the baseline and make
  all four of these one algorithm.
- The group's mean holds the sample's own return, so its gradient is (1 - 1/G) of the true one; leave-one-out
  is unbiased; the maximum holds the sample's own return too and is biased: the best sample learns nothing.
- At later turns the group's episodes have different pasts: the baseline depends on the start and the turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from baselines.credit import rules
from baselines.credit.rules import Shares
from baselines.formulas.advantages import Baseline, group_baseline, returns_to_go
from baselines.lm.learning import Lesson
from baselines.play.episode import Node, by_turn, episodes, rollout_metrics
from baselines.play.rollout import play, starts
from baselines.train.settings import Settings
from baselines.train.team import Team, build_team
from collm_envs import Task


@dataclass
class Config(Settings):
    """Settings of MA-REINFORCE."""

    group: int = 4
    """G: episodes from each start"""
    baseline: Baseline = "none"
    """subtracted from a return: nothing, its group's mean, the mean of the others, the best"""
    gamma: float = 1.0
    """discount between turns"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_group(self.group)
        least = 1 if self.baseline == "none" else 2
        if self.group < least:
            raise ValueError(
                f"group must be at least {least} for baseline={self.baseline!r}, got {self.group}"
            )


def team(config: Config, task: Task) -> Team:
    """Actors alone.  Raises ValueError for mixed_batches where agents take turns."""
    config.check_task(task)
    divided = rules.make(config.credit, config.credit_samples, task, config.checked_turns)
    return replace(build_team(config, task.agents), credit=divided)


def train(config: Config, task: Task, team: Team) -> Iterator[dict[str, float]]:
    """Take `config.steps` steps; yields what to log after each."""
    while team.step < config.steps:
        nodes = play(
            task,
            starts(task, config.seed, team.step, max(1, config.episodes // config.group)),
            team.policies,
            f"{config.seed}/{team.step}",
            copies=config.group,
            alternatives=team.credit.alternatives,
        )
        shares = team.credit.divide(task, nodes)
        paths = episodes(nodes)
        lessons = {agent: Lesson() for agent in task.agents}
        for k in range(0, len(paths), config.group):
            collect(paths[k : k + config.group], config, shares, lessons, 1 / len(paths))
        metrics = team.learn(lessons, config)
        team.step += 1
        checked = team.credit.agreement(task, nodes, shares)
        yield {**rollout_metrics(nodes), **shares.metrics, **checked, **metrics}


def collect(
    group: Sequence[list[Node]], config: Config, shares: Shares, lessons: dict[str, Lesson], weight: float
) -> None:
    """Learn from a group of episodes, turn by turn; every move weighs `weight`."""
    R = returns_to_go(by_turn(group, lambda node: node.reward), config.gamma)
    for t in range(R.shape[1]):
        playing = [g for g, path in enumerate(group) if t < len(path)]  # the others have ended: no text
        nodes = [group[g][t] for g in playing]
        for agent in [agent for agent in lessons if agent in nodes[0].moves]:  # the others did not write
            own = (R[playing, t] + shares.p(nodes, agent))[None]
            A = own - group_baseline(own, config.baseline if len(playing) > 1 else "none")
            for node, advantage in zip(nodes, (shares.m(nodes, agent) * A[0]).tolist(), strict=True):
                lessons[agent].add(node.moves[agent], advantage, weight)
