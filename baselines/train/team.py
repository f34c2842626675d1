"""The policies and critics of all agents: how they are opened, how they learn, what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from baselines.credit.rules import Credit
from baselines.formulas.advantages import normalized
from baselines.formulas.diagnostics import mean_variance, proportions
from baselines.lm.learning import Beside, Lesson, Optimizer
from baselines.lm.opening import open_all
from baselines.lm.policy import LM
from baselines.train.critic import Critic, CriticSettings
from baselines.train.settings import Settings

NO_CRITICS = CriticSettings()
ALL = ""
"""name of the line-up of a team that plays together"""


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
        metrics: dict[str, list[float]] = {}
        norms: dict[str, float] = {}
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
            logged = self.policies[agents[0]].learn(joined, settings.objective, beside.get(name))
            norms |= dict.fromkeys(agents, logged["grad_norm"])
            for key, value in logged.items():
                metrics.setdefault(key, []).append(value)
        texts = [advantage for lesson in lessons.values() for advantage in lesson.advantages]
        return {
            **{key: sum(values) / len(values) for key, values in metrics.items()},
            "pushed": sum(advantage != 0 for advantage in texts) / max(1, len(texts)),
            "advantage_variance": mean_variance([lesson.advantages for lesson in lessons.values()]),
            **self._portions(lessons, norms),
        }

    def _portions(self, lessons: Mapping[str, Lesson], norms: Mapping[str, float]) -> dict[str, float]:
        """`credit_share/AGENT` and `gradient_share/AGENT` of teams of two and more agents.

        Shares of the sum of |weighted advantage| over all texts, and of the sum of the policies' gradient
        norms, which are the agents' own only where no weights are shared.
        """
        if len(lessons) < 2:
            return {}
        pushes = {
            agent: sum(abs(a) * w for a, w in zip(lesson.advantages, lesson.weights, strict=True))
            for agent, lesson in lessons.items()
        }
        out = {f"credit_share/{agent}": share for agent, share in proportions(pushes).items()}
        if len(self.members()) == len(norms):
            out |= {f"gradient_share/{agent}": share for agent, share in proportions(norms).items()}
        return out

    def lineups(self, agents: Sequence[str]) -> dict[str, dict[str, LM]]:
        """{name: {agent: policy}} of evaluations: one line-up, named ALL, of all agents."""
        return {ALL: {agent: self.policies[agent] for agent in agents}}

    def optimizers(self) -> dict[str, Optimizer]:
        """Optimizers of policies by the policy's name, then those of critics as "critic/<name>"."""
        policies = {policy.name: policy.optimizer for policy in self.policies.values()}
        critics = {f"critic/{name}": critic.optimizer for name, critic in self.critics.items()}
        return {name: used for name, used in {**policies, **critics}.items() if used is not None}

    def modules(self) -> dict[str, nn.Module]:
        """Every module with weights of its own, by a name that is stable across runs."""
        out: dict[str, nn.Module] = {}
        for policy in self.policies.values():
            if all(policy.model is not module for module in out.values()):
                out[f"policy/{policy.name}"] = policy.model
        for name, critic in self.critics.items():
            out[f"head/{name}"] = critic.head
            if all(critic.lm.model is not module for module in out.values()):
                out[f"critic/{name}"] = critic.lm.model
        return out

    def state_dict(self) -> dict[str, Any]:
        """Trainable weights, optimizer states, the state of its credit, and the step."""
        credit = self.credit.state_dict()
        return {
            "step": self.step,
            "weights": {name: _trainable(module) for name, module in self.modules().items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers().items()},
            **({"credit": credit} if credit else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` of such a team gave."""
        self.step = state["step"]
        for name, module in self.modules().items():
            own = dict(module.named_parameters())
            with torch.no_grad():
                for key, value in state["weights"][name].items():
                    own[key].copy_(value)
        for name, optimizer in self.optimizers().items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.credit.load_state_dict(state.get("credit", {}))

    def save_pretrained(self, folder: Path) -> None:
        """One folder per agent that `from_pretrained` (or peft) loads anywhere, without critics."""
        for agent, policy in self.policies.items():
            policy.save_pretrained(folder / agent)


def build_team(settings: Settings, agents: Sequence[str], critics: CriticSettings = NO_CRITICS) -> Team:
    """The team of a fresh run: models loaded, adapters and critics made, optimizers empty."""
    torch.manual_seed(settings.seed)  # adapters and value heads are the only random weights
    if settings.models and len(settings.models) != len(agents):
        raise ValueError(f"models: need one for each of {list(agents)}, got {len(settings.models)}")
    source = dict(zip(agents, settings.models or [settings.model] * len(agents), strict=True))
    actors = {"shared": settings.model} if settings.shared else source
    apart = settings.kl and not settings.lora_rank  # with LoRA the reference is the base below the adapters
    frozen = {f"reference_{name}": model for name, model in actors.items()} if apart else {}
    judged = {name: agents[0] if name == "central" else name for name in critics.names}
    trunks = {f"critic_{name}": critics.model or source[agent] for name, agent in judged.items()}
    opened = open_all({**actors, **frozen, **({} if critics.on_actor else trunks)}, settings.setup)
    for name in actors:
        policy = opened[name]
        policy.optimizer = optimizer(policy.parameters(), settings, settings.lr, settings.epochs)
        if frozen:
            policy.reference = opened[f"reference_{name}"]
            policy.reference.model.requires_grad_(False)
        elif settings.kl:
            policy.reference = policy
    team = Team({agent: opened["shared" if settings.shared else agent] for agent in agents})
    for name, agent in judged.items():
        trunk = team.policies[agent] if critics.on_actor else opened[f"critic_{name}"]
        team.critics[name] = critic = Critic(trunk, critics.max_context)
        weights = critic.parameters()
        if critics.on_actor:
            weights = [*trunk.parameters(), *critic.head.parameters()]
        critic.optimizer = optimizer(weights, settings, critics.lr, critics.epochs)
    return team


def optimizer(
    parameters: Sequence[nn.Parameter],
    settings: Settings,
    lr: float,
    passes: int,
    heads: Sequence[nn.Parameter] = (),
    head_lr: float = 0.0,
) -> Optimizer:
    """An optimizer with `passes` steps in each step of the run, which warm-up and schedule count."""
    return Optimizer(
        parameters,
        lr,
        steps=settings.steps * passes,
        schedule=settings.schedule,
        warmup=settings.warmup * passes,
        max_grad_norm=settings.max_grad_norm,
        heads=heads,
        head_lr=head_lr,
    )


def _trainable(module: nn.Module) -> dict[str, torch.Tensor]:
    """Copies of the trainable weights: all of a model's, or its adapters'."""
    adapted = any(".lora_" in name for name, _ in module.named_parameters())
    return {
        name: p.detach().cpu().clone()
        for name, p in module.named_parameters()
        if not adapted or ".lora_" in name
    }
