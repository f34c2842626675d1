"""The same tiny models trained by CoMLRL 1.4.3, through its adapter, and by `magrpo` and `maac`.

    python studies/against_comlrl.py [SEED ...]     make the runs that are missing, then the page anew

Both sides begin with one folder of weights, play the same items with the same episode seeds in the same
order, read the same self-contained prompts, sample at temperature 1 from the whole vocabulary, and step
AdamW at one rate once a batch, with advantages divided by their deviation and without clipping.  A row of
studies/results/comlrl.csv is an evaluation by our own code, on the same episodes for both.  What remains
different is CoMLRL's arithmetic.  MENDS takes its faults away one after the other:

- padding: MAGRPO trains every padding token behind a text as if the agent had written it;
- last token: MAGRPO's loss lacks the last token of every text, which is its end;
- one step: a batch of two turns is two steps, the second one with weights that have changed since.

MAAC has none of the first two; it steps its central critic once for each agent, which `critic_epochs` of ours
equals.  A run's rows are written together when it is done, so the script can be stopped at any time.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from comlrl.trainers.actor_critic import MAACConfig, MAACTrainer
from comlrl.trainers.reinforce import MAGRPOConfig, MAGRPOTrainer
from datasets import Dataset
from transformers import AutoTokenizer

from baselines import maac, magrpo
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling
from baselines.lm.tiny import model as tiny
from baselines.play.episode import rollout_metrics
from baselines.play.rollout import eval_starts, play, starts
from baselines.runs.budget import append_rows, read_results
from collm_envs import Task, make
from collm_envs.adapters.comlrl import plug
from collm_envs.pages.report import chart, prose, report, section, spread, table

FOLDER = Path(__file__).parent / "results"
ROWS, PAGE = FOLDER / "comlrl.csv", FOLDER / "comlrl.html"
FIELDS = ("case", "trainer", "side", "seed", "step", "return", "tokens", "cpu_s")
SEEDS = (0, 1, 2)
LR = 1e-3
EVAL_EPISODES = 64


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


WORDS = {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 600, "self_contained": True}
TALK = {"prompts": "terse", "talk": 1, "self_contained": True}
STEPS = {"MAGRPO": 8, "MAAC": 6}
CASES = {
    "StrBuild-v0, one turn": Case("StrBuild-v0", {**WORDS, "max_turns": 1}, 100, 1, 8, 4, 16, STEPS),
    "StrBuild-v0, two turns": Case("StrBuild-v0", {**WORDS, "max_turns": 2}, 100, 2, 4, 2, 8, STEPS),
    "TLDR-v0, two turns": Case("TLDR-v0", TALK, 64, 2, 4, 2, 8, STEPS),
}
OURS, PEER = "ours", "CoMLRL"
MENDS = {PEER: (), "no padding": ("padding",), "all mended": ("padding", "last token", "one step")}
"""side -> the faults of CoMLRL's MAGRPO that are taken away"""
SIDES = {"MAGRPO": (OURS, *MENDS), "MAAC": (OURS, PEER)}
RUNS = [(trainer, name, side) for name in CASES for trainer, sides in SIDES.items() for side in sides]
RUNS = [run for run in RUNS if run[2] != "no padding" or CASES[run[1]].turns == 1]
"""(trainer, case, side) of a seed; "no padding" shows on one turn what each fault of the text costs"""
Policies = Mapping[str, LM]


def ours(case: Case, trainer: str, seed: int, folder: str) -> Iterator[Policies]:
    """Our trainer; yields the policies before the first step and after each."""
    settings: dict[str, Any] = {
        "env": case.env,
        "env_kwargs": case.kwargs,
        "model": folder,
        "history": "last turn",
        "max_new_tokens": case.tokens,
        "steps": case.steps[trainer],
        "lr": LR,
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
        settings.update(normalize=True, critic_lr=LR, critic_epochs=len(task.agents))
    config = module.Config(episodes=episodes, **settings)
    team = module.team(config, task)
    yield team.policies
    for _ in module.train(config, task, team):
        yield team.policies


def theirs(case: Case, trainer: str, seed: int, folder: str, mends: tuple[str, ...]) -> Iterator[Policies]:
    """CoMLRL's trainer, an epoch for each of our steps; yields its agents as policies of ours."""
    torch.manual_seed(seed)
    random.seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the early stop, which is off below
        plugged = plug(case.env, **case.kwargs)
    task, tokenizer = make(case.env, **case.kwargs).task, AutoTokenizer.from_pretrained(folder)
    options: dict[str, Any] = {
        "num_train_epochs": 1,
        "num_agents": len(task.agents),
        "num_turns": case.turns,
        "max_new_tokens": case.tokens,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "early_termination_threshold": None,
        "eval_interval": 0,
        "agent_learning_rate": LR,
        "rollout_buffer_size": 10_000,
    }
    given: dict[str, Any] = {
        "agent_model": folder,
        "reward_func": plugged.reward_func,
        "formatters": [chat(formatter, tokenizer) for formatter in plugged.formatters],
        "external_transition": plugged.external_transition,
    }
    if trainer == "MAGRPO":
        config: Any = MAGRPOConfig(**options, num_generations=case.group)
        peer: Any = mended(mends)(num_agents=len(task.agents), args=config, **given)
    else:
        config = MAACConfig(**options, num_generations=1, critic_learning_rate=LR)
        peer = MAACTrainer(args=config, critic_model=folder, **given)
    peer.verbose = False
    n = case.roots if trainer == "MAGRPO" else case.episodes
    yield policies(peer, task, tokenizer, case)
    for step in range(case.steps[trainer]):
        drawn = starts(task, seed, step, n)
        rows = [{"prompt": "", "item": item.id, "split": "train", "seed": number} for item, number in drawn]
        peer.train_dataset = Dataset.from_list(rows)
        peer.train()
        yield policies(peer, task, tokenizer, case)


def chat(formatter: Callable[..., str], tokenizer: Any) -> Callable[..., str]:
    """The formatter with the chat template around its prompts, which CoMLRL leaves out."""

    def prompt(row: Mapping[str, Any], external_prompts: str | None = None) -> str:
        message = {"role": "user", "content": formatter(row, external_prompts=external_prompts)}
        return tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)

    return prompt


def policies(peer: Any, task: Task, tokenizer: Any, case: Case) -> dict[str, LM]:
    """CoMLRL's agents, to be evaluated by our code."""
    sampling, context = Sampling(max_new_tokens=case.tokens), Context(history="last turn")
    models = [actor.model if isinstance(peer, MAACTrainer) else actor for actor in peer.agents]
    return {
        agent: LM(agent, model, tokenizer, sampling, context)
        for agent, model in zip(task.agents, models, strict=True)
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
            return super()._compute_loss_with_gradients(agent, data, returns)

        def _process_buffer(self, agent_idx: int, buffer: Any) -> Any:
            for sample in buffer if "one step" in mends else ():
                sample.turn_idx = 0
            return super()._process_buffer(agent_idx, buffer)

    return Mended


def one_run(name: str, trainer: str, side: str, seed: int) -> list[dict[str, Any]]:
    """The rows of one run: before the first step and after every second."""
    case = CASES[name]
    folder = str(tiny.folder(case.env, case.kwargs, "last turn"))
    task = make(case.env, **case.kwargs).task
    begun = (
        ours(case, trainer, seed, folder)
        if side == OURS
        else theirs(case, trainer, seed, folder, MENDS[side])
    )
    rows, spent, start = [], 0.0, time.process_time()
    for step, agents in enumerate(begun):
        spent += time.process_time() - start
        if step % 2 == 0:
            seen = rollout_metrics(play(task, eval_starts(task, EVAL_EPISODES), agents, "study"))
            values = name, trainer, side, seed, step, seen["return"], seen["text_tokens"], round(spent, 1)
            rows.append(dict(zip(FIELDS, values, strict=True)))
        start = time.process_time()
    return rows


def page(rows: list[dict[str, str]]) -> str:
    """studies/results/comlrl.html: a chart and a table for each trainer and task."""
    sections = []
    for trainer, name in dict.fromkeys(run[:2] for run in RUNS):
        curves, lines = [], []
        for side in [run[2] for run in RUNS if run[:2] == (trainer, name)]:
            if runs := runs_of(rows, trainer, name, side):
                steps = [2.0 * k for k in range(len(runs[0]))]
                curves.append(spread(side, steps, [[step["return"] for step in run] for run in runs]))
                last = [run[-1]["return"] for run in runs]
                beside = [fmean(run[-1][field] for run in runs) for field in ("tokens", "cpu_s")]
                before = runs[0][0]["return"]
                lines.append([side, float(len(runs)), before, fmean(last), min(last), max(last), *beside])
        if lines:
            columns = ["", "seeds", "before", "after", "least", "most", "tokens of a text", "CPU seconds"]
            drawn = chart(curves, "batches", "return of evaluation episodes")
            sections.append(section(f"{trainer} on {name}", drawn, table(columns, lines, digits=2)))
    notes = [prose(part) for part in (__doc__ or "").split("\n\n")[2:]]
    about = "collm · studies/against_comlrl.py"
    return report("CoMLRL and ours, side by side", [*notes, *sections], about=about)


def runs_of(rows: list[dict[str, str]], *run: str) -> list[list[dict[str, float]]]:
    """For each seed, the evaluations of the runs of (trainer, case, side)."""
    by_seed: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        if (row["trainer"], row["case"], row["side"]) == run:
            numbers = {field: float(row[field]) for field in FIELDS[4:]}
            by_seed.setdefault(row["seed"], []).append(numbers)
    return list(by_seed.values())


def main(seeds: Sequence[int]) -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    done = {tuple(row[field] for field in FIELDS[:4]) for row in read_results(ROWS)}
    for seed, (trainer, name, side) in itertools.product(seeds, RUNS):
        if (name, trainer, side, str(seed)) not in done:
            rows = one_run(name, trainer, side, seed)
            append_rows(ROWS, rows)
            print(*rows[0].values(), "->", *rows[-1].values(), flush=True)
    PAGE.write_text(page(read_results(ROWS)), encoding="utf-8")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or SEEDS)
