"""The policies of all agents, their optimizers and critics: everything a run must keep to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from baselines.credit.rules import Credit
from baselines.lm import loading
from baselines.lm.optimizer import Optimizer
from baselines.lm.policy import LM
from baselines.train.critic import Critic
from baselines.train.settings import Settings


@dataclass
class Team:
    """Who acts and who learns.  `policies[agent]` are one object for agents that share weights."""

    policies: dict[str, LM]
    optimizers: dict[str, Optimizer]
    """by policy name"""
    references: dict[str, LM]
    """by policy name; empty without a KL term"""
    critics: dict[str, Critic] = field(default_factory=dict)
    """"central", or one for each agent"""
    critic_optimizers: dict[str, Optimizer] = field(default_factory=dict)
    credit: Credit = field(default_factory=Credit)
    """how the reward of a turn is divided"""
    step: int = 0
    """optimizer steps taken"""

    def members(self) -> dict[str, list[str]]:
        """policy name -> the agents it acts for."""
        out: dict[str, list[str]] = {}
        for agent, policy in self.policies.items():
            out.setdefault(policy.name, []).append(agent)
        return out

    def lineups(self, agents: Sequence[str]) -> dict[str, dict[str, LM]]:
        """Who plays when the team is evaluated: one line-up without a name, all agents together."""
        return {"": {agent: self.policies[agent] for agent in agents}}

    def policy(self, name: str) -> LM:
        return next(policy for policy in self.policies.values() if policy.name == name)

    def modules(self) -> dict[str, nn.Module]:
        """Every module with weights of its own, by a name that stays."""
        out: dict[str, nn.Module] = {}
        for policy in self.policies.values():
            if not any(policy.model is known for known in out.values()):
                out[f"policy/{policy.name}"] = policy.model
        for name, critic in self.critics.items():
            out[f"head/{name}"] = critic.head
            if not any(critic.lm.model is known for known in out.values()):
                out[f"critic/{name}"] = critic.lm.model
        return out

    def state_dict(self) -> dict[str, Any]:
        """Trainable weights, optimizer states, the state of its credit, and the step."""
        steppers = {**self.optimizers, **{f"critic/{k}": v for k, v in self.critic_optimizers.items()}}
        credit = self.credit.state_dict()
        return {
            "step": self.step,
            "weights": {name: _trainable(module) for name, module in self.modules().items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in steppers.items()},
            **({"credit": credit} if credit else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        for name, module in self.modules().items():
            own = dict(module.named_parameters())
            with torch.no_grad():
                for key, value in state["weights"][name].items():
                    own[key].copy_(value)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, optimizer in self.critic_optimizers.items():
            optimizer.load_state_dict(state["optimizers"][f"critic/{name}"])
        self.credit.load_state_dict(state.get("credit", {}))

    def save_pretrained(self, folder: Path) -> None:
        """One folder per agent that `from_pretrained` (or peft) loads anywhere, without critics."""
        for agent, policy in self.policies.items():
            loading.save(policy.model, policy.adapter, policy.tokenizer, folder / agent)


def build(
    settings: Settings,
    agents: Sequence[str],
    critics: Sequence[str] = (),
    *,
    critic_model: str = "",
    critic_on_actor: bool = False,
    critic_lr: float = 0.0,
    critic_epochs: int = 1,
    critic_max_context: int = 0,
) -> Team:
    """The team of a fresh run: models loaded, adapters and critics made, optimizers empty.

    `critics` are named "central" or by agent.  `critic_model` is where their trunks come from, "" being the
    model of the agent they judge (the first agent's for a central one); with `critic_on_actor` they are heads
    on the actors themselves, with LoRA adapters of their own on the shared base.
    """
    torch.manual_seed(settings.seed)  # adapters and value heads are the only random weights
    if settings.models and len(settings.models) != len(agents):
        raise ValueError(f"models: need one for each of {list(agents)}, got {len(settings.models)}")
    judged = {name: agents[0] if name == "central" else name for name in critics}
    trunks = {
        f"critic_{name}": critic_model or _source(settings, agents, agent)
        for name, agent in judged.items()
        if not critic_on_actor
    }
    policies, spare = _load(settings, agents, trunks if settings.lora_rank else {})
    team = Team(policies, {}, {})
    for name in team.members():
        policy = team.policy(name)
        team.optimizers[name] = optimizer(policy.parameters(), settings, settings.lr, settings.epochs)
        if settings.kl:
            team.references[name] = policy if policy.adapter else _frozen(settings, agents, policy)
    for name, agent in judged.items():
        actor = policies[agent]
        if critic_on_actor:
            team.critics[name] = critic = Critic(actor, critic_max_context)
            both = [*actor.parameters(), *critic.head.parameters()]
            team.critic_optimizers[name] = optimizer(both, settings, critic_lr, critic_epochs)
            continue
        if settings.lora_rank:
            lm = spare[f"critic_{name}"]
        else:
            lm = _lm(settings, f"critic_{name}", trunks[f"critic_{name}"])
        team.critics[name] = critic = Critic(lm, critic_max_context)
        team.critic_optimizers[name] = optimizer(critic.parameters(), settings, critic_lr, critic_epochs)
    return team


def _load(
    settings: Settings, agents: Sequence[str], spare: Mapping[str, str]
) -> tuple[dict[str, LM], dict[str, LM]]:
    """The policies by agent, and with LoRA the further adapters `spare` (name -> where its base is)."""
    names = ["shared"] if settings.shared else list(agents)
    sources = {name: _source(settings, agents, name) for name in names} | dict(spare)
    made: dict[str, LM] = {}
    if not settings.lora_rank:
        for name, source in sources.items():
            made[name] = _lm(settings, name, source)
    else:
        for source in dict.fromkeys(sources.values()):
            made |= _adapted(settings, source, [name for name, of in sources.items() if of == source])
    policies = {agent: made["shared" if settings.shared else agent] for agent in agents}
    return policies, {name: made[name] for name in spare}


def _lm(settings: Settings, name: str, source: str) -> LM:
    device = device_of(settings)
    model, tokenizer = loading.load(source, device, gradient_checkpointing=settings.gradient_checkpointing)
    return _wrapped(settings, name, model, tokenizer, None)


def device_of(settings: Settings) -> str:
    """Where the models compute.  Raises ValueError for a device that is not there and for bf16 on a CPU."""
    device = loading.pick_device(settings.device)
    if settings.bf16 and device == "cpu":
        raise ValueError("bf16 is for devices that have it; on a cpu it is slower: bf16=False (--no-bf16)")
    return device


def _adapted(settings: Settings, source: str, names: Sequence[str]) -> dict[str, LM]:
    """One frozen base with a LoRA adapter for every name."""
    model, tokenizer = loading.load(
        source,
        device_of(settings),
        dtype=torch.bfloat16 if settings.bf16 else torch.float32,
        gradient_checkpointing=settings.gradient_checkpointing,
    )
    wrapped = loading.add_adapters(model, names, settings.lora_rank, settings.lora_alpha)
    return {name: _wrapped(settings, name, wrapped, tokenizer, name) for name in names}


def _wrapped(settings: Settings, name: str, model: Any, tokenizer: Any, adapter: str | None) -> LM:
    # small batches stay in a CPU's cache; a GPU wants large ones
    tokens = settings.micro_batch_tokens or (512 if str(model.device) == "cpu" else 8192)
    return LM(
        name,
        model,
        tokenizer,
        settings.sampling,
        settings.context,
        adapter=adapter,
        micro_batch_tokens=tokens,
        autocast=torch.bfloat16 if settings.bf16 else None,
    )


def _source(settings: Settings, agents: Sequence[str], name: str) -> str:
    """Where the model of an agent, or of all that share one, comes from."""
    return settings.models[list(agents).index(name)] if settings.models else settings.model


def _frozen(settings: Settings, agents: Sequence[str], policy: LM) -> LM:
    lm = _lm(settings, f"reference_{policy.name}", _source(settings, agents, policy.name))
    lm.model.requires_grad_(False)
    return lm


def optimizer(
    parameters: Sequence[nn.Parameter],
    settings: Settings,
    lr: float,
    passes: int,
    heads: Sequence[nn.Parameter] = (),
    head_lr: float = 0.0,
) -> Optimizer:
    """`passes` times it steps in every step of the run: its warm-up and its schedule are the run's."""
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
    """Copies of the weights a run can change: all of a model's, or its adapters'."""
    adapted = any(".lora_" in name for name, _ in module.named_parameters())
    return {
        name: p.detach().cpu().clone()
        for name, p in module.named_parameters()
        if not adapted or ".lora_" in name
    }
