"""How much a run samples and scores at once, from its settings and its task's own prompts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from baselines.lm.policy import LM
from baselines.train.settings import Settings
from baselines.train.team import Team
from collm_envs import Task, in_parallel, writers

EPISODES = 8
"""of a scripted player, whose prompts are measured"""


@dataclass(frozen=True)
class Workload:
    """The largest batches of a step and of an evaluation; texts as long as they may become."""

    messages: tuple[int, ...]
    """tokens of the longest message of each turn"""
    written: int
    """tokens of a text at most"""
    episodes: int
    """of a step"""
    rows: int
    """histories of an agent that are written at once, those of a credit's alternatives among them"""
    starts: int
    """histories of an agent that are read at once, before groups branch"""
    group: int
    """texts after one prompt"""
    branches_again: bool
    """whether every turn branches, and not the first alone"""
    unfiltered: bool
    """whether tokens are drawn without top-k and top-p"""
    max_context: int
    """tokens of one history at most"""

    @property
    def history(self) -> int:
        """Tokens of an agent's longest history."""
        return min(self.max_context, sum(self.messages) + self.written * len(self.messages))

    @property
    def branched(self) -> int:
        """Tokens of all histories of a group, their first message once."""
        return self.messages[0] + self.group * (self.history - self.messages[0])


def workload(config: Settings, task: Task, team: Team) -> Workload:
    """The workload of a run."""
    stored = config.to_dict()
    group = 1 if stored.get("estimator") == "ppo" else stored.get("group", 1)
    siblings = group ** len(task.agents) if stored.get("joint") == "cross" else group
    grown = siblings**task.max_turns if "joint" in stored else 1  # a tree is played whole
    episodes = max(config.episodes, grown)
    rows = max(episodes, config.eval_episodes)
    messages = tuple(message_tokens(task, next(iter(team.policies.values()))))
    return Workload(
        messages[-1:] if config.history == "last turn" else messages,
        config.max_new_tokens,
        episodes,
        rows * (1 + team.credit.alternatives),
        max(config.eval_episodes, rows // group),
        group,
        "joint" in stored and task.max_turns > 1,
        config.top_p == 1 and config.top_k == 0,
        config.max_context,
    )


def message_tokens(task: Task, policy: LM) -> Iterator[int]:
    """Tokens of the longest message of each turn, over some episodes of the task's first scripted player.

    A task without players, or with programs to run, shows its first message alone, and is taken to repeat it.
    """
    player = None if in_parallel(task) else next(iter(task.players.values()), None)
    longest = [0] * task.max_turns
    for k, item in enumerate(task.items("train")[:EPISODES]):
        state, rng = task.start(item, k), Random(k)
        for turn in range(task.max_turns if player else 1):
            prompts = [policy.renderer.first(task.prompt(state, agent)) for agent in task.agents]
            longest[turn] = max(longest[turn], *map(len, prompts))
            if player is None:
                break
            texts = {agent: player(task, state, agent, rng) for agent in writers(task, state)}
            state = task.play(state, dict.fromkeys(task.agents, "") | texts)
            if task.done(state):
                break
    return (tokens or longest[0] for tokens in longest)
