"""The policies and critics of all agents: how they are opened, how they learn, what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from baselines.credit.rules import Credit
from baselines.formulas.advantages import normalized
from baselines.formulas.diagnostics import mean_variance, proportions
from baselines.lm.learning import Beside, Lesson
from baselines.lm.policy import LM
from baselines.train.critic import NO_CRITICS, Critic, CriticSettings
from baselines.train.networks import open_networks, policy_of
from baselines.train.placement.actors import open_on_ray
from baselines.train.placement.tinker_networks import open_on_tinker
from baselines.train.settings import Settings

ALL = ""
"""name of the line-up of a team that plays together"""
PLACEMENTS = {"local": open_networks, "ray": open_on_ray, "tinker": open_on_tinker}
"""where networks are opened (`--placement`): in this process, a process for each policy, on a server"""


@dataclass
class Team:
    """The policies and critics of a run.  Agents that share weights share one object in `policies`."""

    policies: dict[str, LM]
    critics: dict[str, Critic] = field(default_factory=dict)
    """"central", or one for each agent"""
    credit: Credit = field(default_factory=Credit)
    """how the reward of a turn is divided"""
    step: int = 0
    """optimizer steps taken"""
    close: Callable[[], None] = lambda: None
    """ends the processes of its policies, where they have any"""

    def by_name(self) -> dict[str, LM]:
        """Every policy once, by its name."""
        return {policy.name: policy for policy in self.policies.values()}

    def members(self) -> dict[str, list[str]]:
        """policy name -> the agents it acts for."""
        names = {agent: policy.name for agent, policy in self.policies.items()}
        return {name: [agent for agent in names if names[agent] == name] for name in names.values()}

    def learn(
        self,
        lessons: Mapping[str, Lesson],
        settings: Settings,
        beside: Mapping[str, Beside] = MappingProxyType({}),
    ) -> dict[str, float]:
        """One step of every policy, on the lessons of its agents (lm/learning.py).   -> averages to log

        `beside`: policy name -> additional loss of its steps.  `pushed` is the share of texts with an
        advantage other than 0: none where every group earned alike.  What else says how the step went is in
        `_portions` and, of advantages before `normalize`, in `advantage_variance`.
        """
        logs: dict[str, Mapping[str, float]] = {}
        for name, agents in self.members().items():
            joined = Lesson()
            for agent in agents:
                lesson = lessons[agent]
                advantages = torch.tensor(lesson.advantages, dtype=torch.float64)
                if settings.normalize:  # each agent by itself, also where weights are shared
                    advantages = normalized(advantages)
                joined.moves += lesson.moves
                joined.advantages += advantages.tolist()
                joined.weights += [weight / len(agents) for weight in lesson.weights]
            logs[name] = self.policies[agents[0]].learn(joined, settings.objective, beside.get(name))
        metrics: dict[str, list[float]] = {}
        for logged in logs.values():  # once all policies are at work: where they are elsewhere, looking waits
            for key, value in logged.items():
                metrics.setdefault(key, []).append(value)
        texts = [advantage for lesson in lessons.values() for advantage in lesson.advantages]
        return {
            **{key: sum(values) / len(values) for key, values in metrics.items()},
            "pushed": sum(advantage != 0 for advantage in texts) / max(1, len(texts)),
            "advantage_variance": mean_variance([lesson.advantages for lesson in lessons.values()]),
            **self._portions(lessons, {name: logged["grad_norm"] for name, logged in logs.items()}),
        }

    def _portions(self, lessons: Mapping[str, Lesson], norms: Mapping[str, float]) -> dict[str, float]:
        """`credit_share/AGENT` and `gradient_share/AGENT` of teams of two and more agents.

        Shares of the sum of |weighted advantage| over all texts, and of the sum of the policies' gradient
        `norms`, by name, which are the agents' own only where no weights are shared.
        """
        if len(lessons) < 2:
            return {}
        pushes = {
            agent: sum(abs(a) * w for a, w in zip(lesson.advantages, lesson.weights, strict=True))
            for agent, lesson in lessons.items()
        }
        out = {f"credit_share/{agent}": share for agent, share in proportions(pushes).items()}
        members = self.members()
        if len(members) == len(lessons):
            own = {members[name][0]: norm for name, norm in norms.items()}
            out |= {f"gradient_share/{agent}": share for agent, share in proportions(own).items()}
        return out

    def lineups(self, agents: Sequence[str]) -> dict[str, dict[str, LM]]:
        """{name: {agent: policy}} of evaluations: one line-up, named ALL, of all agents."""
        return {ALL: {agent: self.policies[agent] for agent in agents}}

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimizer states of every policy and critic, the state of its credit, and the step."""
        credit = self.credit.state_dict()
        return {
            "step": self.step,
            "policies": {name: policy.state_dict() for name, policy in self.by_name().items()},
            "critics": {name: critic.state_dict() for name, critic in self.critics.items()},
            **({"credit": credit} if credit else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` of such a team gave.  Raises ValueError for an early version's."""
        if "policies" not in state:
            raise ValueError("this checkpoint is of an early version; begin the run anew, in another folder")
        self.step = state["step"]
        for name, policy in self.by_name().items():
            policy.load_state_dict(state["policies"][name])
        for name, critic in self.critics.items():
            critic.load_state_dict(state["critics"][name])
        self.credit.load_state_dict(state.get("credit", {}))

    def save_pretrained(self, folder: Path) -> None:
        """One folder per agent that `from_pretrained` (or peft) loads anywhere, without critics."""
        for agent, policy in self.policies.items():
            policy.save_pretrained(folder / agent)


def build_team(settings: Settings, agents: Sequence[str], critics: CriticSettings = NO_CRITICS) -> Team:
    """The team of a fresh run: models loaded, adapters and critics made, optimizers empty."""
    networks = PLACEMENTS[settings.placement](settings, agents, critics)
    policies = {agent: networks.policies[policy_of(settings, agent)] for agent in agents}
    return Team(policies, networks.critics, close=networks.close)
