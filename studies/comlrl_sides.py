"""Both sides of the study against CoMLRL: our trainers, and CoMLRL's with the same settings or mended."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from comlrl.trainers.actor_critic import MAACConfig, MAACTrainer
from comlrl.trainers.reinforce import MAGRPOConfig, MAGRPOTrainer
from datasets import Dataset
from transformers import AutoTokenizer

from baselines import maac, magrpo
from baselines.formulas.advantages import divide_by_std, group_baseline
from baselines.formulas.losses import Objective, lesson_loss
from baselines.lm.history import Message, Move
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling
from baselines.play.rollout import starts
from collm_envs import Task, make
from collm_envs.adapters.comlrl import plug

TEXT_MENDS = ("padding", "last token")
"""faults of CoMLRL's MAGRPO that show in one turn"""
Policies = Mapping[str, LM]


class Case(NamedTuple):
    """A task, and how much of it is played."""

    env: str
    kwargs: dict[str, Any]
    tokens: int
    """of a text at most"""
    turns: int
    group: int
    """texts of an agent at a history, with MAGRPO"""
    roots: int
    """starts of a step of MAGRPO"""
    episodes: int
    """of a step of MAAC"""
    steps: dict[str, int]
    """of each trainer"""
    warm_start: int = 1000
    """steps of the supervised warm start that both sides begin with"""
    lr: float = 1e-3
    """of actors and critics, on both sides"""


def ours(case: Case, trainer: str, seed: int, folder: str) -> Iterator[Policies]:
    """Our trainer; yields the policies before the first step and after each."""
    settings: dict[str, Any] = {
        "env": case.env,
        "env_kwargs": case.kwargs,
        "model": folder,
        "history": "last turn",
        "max_new_tokens": case.tokens,
        "steps": case.steps[trainer],
        "lr": case.lr,
        "max_grad_norm": 1e9,
        "gamma": 1.0,
        "seed": seed,
    }
    task = make(case.env, **case.kwargs).task
    module: Any
    if trainer == "MAGRPO":
        module, episodes = magrpo, case.roots * case.group**case.turns
        settings.update(group=case.group, divide_by_std=True)
    else:
        module, episodes = maac, case.episodes
        settings.update(normalize=True, lam=0.0, critic_lr=case.lr, critic_epochs=len(task.agents))
    config = module.Config(episodes=episodes, **settings)
    team = module.team(config, task)
    yield team.policies
    for _ in module.train(config, task, team):
        yield team.policies


def theirs(case: Case, trainer: str, seed: int, folder: str, mends: tuple[str, ...]) -> Iterator[Policies]:
    """CoMLRL's trainer, an epoch for each of our steps; yields its agents as policies of ours."""
    torch.manual_seed(seed)
    random.seed(seed)
    peer, task = peer_trainer(case, trainer, folder, mends), make(case.env, **case.kwargs).task
    n = case.roots if trainer == "MAGRPO" else case.episodes
    yield policies(peer, task, case)
    for step in range(case.steps[trainer]):
        drawn = starts(task, seed, step, n)
        rows = [{"prompt": "", "item": item.id, "split": "train", "seed": number} for item, number in drawn]
        peer.train_dataset = Dataset.from_list(rows)
        peer.train()
        yield policies(peer, task, case)


def peer_trainer(case: Case, trainer: str, folder: str, mends: tuple[str, ...]) -> Any:
    """CoMLRL's trainer with our settings, without these faults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the early stop, which is off below
        plugged = plug(case.env, **case.kwargs)
    options: dict[str, Any] = {
        "num_train_epochs": 1,
        "num_agents": len(plugged.formatters),
        "num_turns": case.turns,
        "max_new_tokens": case.tokens,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "early_termination_threshold": None,
        "eval_interval": 0,
        "agent_learning_rate": case.lr,
        "rollout_buffer_size": 10_000,
    }
    tokenizer = AutoTokenizer.from_pretrained(folder)
    given: dict[str, Any] = {
        "agent_model": folder,
        "tokenizer": tokenizer,
        "reward_func": plugged.reward_func,
        "formatters": [chat(formatter, tokenizer) for formatter in plugged.formatters],
        "external_transition": plugged.external_transition,
    }
    if trainer == "MAGRPO":
        settings = MAGRPOConfig(**options, num_generations=case.group)
        peer: Any = mended(mends)(num_agents=len(plugged.formatters), args=settings, **given)
    else:
        settings = MAACConfig(**options, num_generations=1, critic_learning_rate=case.lr)
        peer = MAACTrainer(args=settings, critic_model=folder, **given)
    peer.verbose = False
    return peer


def chat(formatter: Callable[..., str], tokenizer: Any) -> Callable[..., str]:
    """The formatter with the chat template around its prompts, which CoMLRL leaves out."""

    def prompt(row: Mapping[str, Any], external_prompts: str | None = None) -> str:
        message = {"role": "user", "content": formatter(row, external_prompts=external_prompts)}
        return tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)

    return prompt


def policies(peer: Any, task: Task, case: Case) -> dict[str, LM]:
    """CoMLRL's agents, to be evaluated by our code."""
    sampling, context = Sampling(max_new_tokens=case.tokens), Context(history="last turn")
    models = [actor.model if isinstance(peer, MAACTrainer) else actor for actor in peer.agents]
    return {
        agent: LM(agent, model, tokenizer, sampling, context)
        for agent, model, tokenizer in zip(task.agents, models, peer.tokenizers, strict=True)
    }


def mended(mends: tuple[str, ...]) -> type[MAGRPOTrainer]:
    """CoMLRL's MAGRPO without these faults."""

    class Mended(MAGRPOTrainer):
        def _compute_loss_with_gradients(self, agent: Any, completions_data: Any, returns: Any) -> Any:
            texts = completions_data["completion_input_ids"][0]
            pad = self.tokenizers[0].pad_token_id
            if "padding" in mends:
                texts = [ids[ids != pad] for ids in texts]
            if "last token" in mends:  # it leaves out the last one given: give it one more
                texts = [torch.cat([ids, ids[:1]]) for ids in texts]
            data = {**completions_data, "completion_input_ids": [texts]}
            return MAGRPOTrainer._compute_loss_with_gradients(self, agent, data, returns)

        def _process_buffer(self, agent_idx: int, buffer: Any) -> Any:
            for sample in buffer if "one step" in mends else ():
                sample.turn_idx = 0
            return super()._process_buffer(agent_idx, buffer)

    return Mended


def gradients(case: Case, folder: str) -> list[tuple[str, float, float]]:
    """[(side, cosine to ours, length by ours)] of MAGRPO's gradient for one group of texts.

    The texts are CoMLRL's, their returns 1, 2, ...; its faults are taken away one after the other.
    """
    torch.manual_seed(0)
    peer = peer_trainer(case, "MAGRPO", folder, ())
    item = make(case.env, **case.kwargs).items("train")[0]
    row = {"prompt": "", "item": item.id, "split": "train", "seed": 0}
    texts = peer._generate_completions_with_external_prompts(
        peer.agents[0], [row], num_return_sequences=case.group, max_new_tokens=case.tokens
    )
    returns = torch.arange(1.0, case.group + 1)
    (actor, *_) = policies(peer, make(case.env, **case.kwargs).task, case).values()
    prompt, pad = Message(None, texts["prompt_input_ids"][0].tolist()), actor.tokenizer.pad_token_id
    moves = [Move(prompt, ids[ids != pad].tolist()) for ids in texts["completion_input_ids"][0]]
    advantage = divide_by_std(returns[None] - group_baseline(returns[None], "mean"))[0]
    weight = torch.full((case.group,), 1 / case.group)
    for scores in actor.logp(moves):
        at = torch.tensor(scores.moves)
        old, owner = scores.logp.detach(), scores.owner
        lesson_loss(Objective(), scores.logp, old, advantage[at], weight[at], owner).loss.backward()
    own, rows = gradient_of(actor.causal), []
    for side, mends in (("CoMLRL", ()), ("no padding", ("padding",)), ("no padding, last token", TEXT_MENDS)):
        actor.causal.zero_grad()
        loss = mended(mends)._compute_loss_with_gradients(peer, actor.causal, texts, returns.tolist())
        loss.backward()
        g = gradient_of(actor.causal)
        cosine = min(1.0, float(torch.cosine_similarity(g, own, dim=0)))  # float32: 1.00003 is 1
        rows.append((side, cosine, float(g.norm() / own.norm())))
    return rows


def gradient_of(model: torch.nn.Module) -> torch.Tensor:
    """All gradients end to end."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
