"""Two training steps of 8 joint samples on a real model, by ours, CoMLRL or TRL, in a process of its own.

    python real_speed.py SIDE MODEL_FOLDER full|lora THREADS

SIDE is `ours-1`, `ours-2` (agents), `ours-2-mixed` (with `mixed_batches`, lora only), `comlrl` (two agents)
or `trl` (one agent).  4 prompts, two a step, 4 texts each of up to 24 tokens at temperature 0.6, top-p 0.6,
top-k 50; LoRA of rank 16 on all linear layers.  CoMLRL has no LoRA of its own: it is given two models that
peft has wrapped.
All sides read the same token ids: each prompt as the model's own chat template renders it.  Prints one JSON
line: joint samples, written tokens, CPU and wall seconds of writing ("rollout") and in all, peak memory.
Loading is not counted.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import transformers
from speed_task import PROMPTS, LengthRatio, State, adapted

ITEMS, GROUP, STEPS, NEW = 4, 4, 2, 24
SAMPLES = ITEMS * GROUP
SAMPLING = {"temperature": 0.6, "top_p": 0.6, "top_k": 50}


@dataclass
class Clock:
    """CPU and wall seconds by what they were spent on."""

    cpu: dict[str, float] = field(default_factory=dict)
    wall: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, work: Callable) -> Callable:
        """`work`, its seconds added under this name."""

        def run(*args, **kwargs):
            cpu, wall = time.process_time(), time.perf_counter()
            out = work(*args, **kwargs)
            self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu
            self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
            return out

        return run


def rendered(folder: str) -> tuple[list[str], transformers.PreTrainedTokenizerBase]:
    """The prompts as the model's chat template writes them.

    Its padding is a token that no prompt holds: CoMLRL cuts a prompt at the first one.
    """
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, pad_token="<|endoftext|>")
    chats = [[{"role": "user", "content": prompt}] for prompt in PROMPTS[:ITEMS]]
    return [
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats
    ], tokenizer


class Reward:
    """Rewards of joint samples; counts the tokens of the texts it was shown."""

    def __init__(self, agents: int, tokenizer: transformers.PreTrainedTokenizerBase):
        self.task, self.tokenizer, self.tokens = LengthRatio(num_agents=agents), tokenizer, 0

    def __call__(self, rows):
        rows = list(rows)
        self.tokens += sum(len(self.tokenizer(text)["input_ids"]) for row in rows for text in row)
        return [self.task.score(State("", 1, tuple(row))).reward for row in rows]


def ours(folder: str, kind: str, agents: int, clock: Clock, mixed: bool) -> int:
    from baselines import magrpo

    class Task(LengthRatio):
        def items(self, split):
            return self._items[:ITEMS]

    task = Task(num_agents=agents)
    rank = 16 if kind == "lora" else 0
    config = magrpo.Config(
        model=folder,
        lora_rank=rank,
        episodes=SAMPLES // STEPS,
        group=GROUP,
        steps=STEPS,
        max_new_tokens=NEW,
        mixed_batches=mixed,
        **SAMPLING,
    )
    team = magrpo.team(config, task)
    magrpo.play = clock.timed("rollout", magrpo.play)
    team.learn = clock.timed("update", team.learn)
    steps = clock.timed("all", lambda: list(magrpo.train(config, task, team)))()
    return int(sum(step["tokens"] for step in steps))


def comlrl(folder: str, kind: str, clock: Clock) -> int:
    from comlrl.trainers.reinforce import MAGRPOConfig, MAGRPOTrainer
    from datasets import Dataset

    prompts, tokenizer = rendered(folder)
    reward = Reward(2, tokenizer)
    config = MAGRPOConfig(
        num_train_epochs=1,
        num_agents=2,
        num_turns=1,
        num_generations=GROUP,
        max_new_tokens=NEW,
        early_termination_threshold=None,
        eval_interval=0,
        agent_learning_rate=1e-5,
        **SAMPLING,
    )
    trainer = MAGRPOTrainer(
        num_agents=2,
        args=config,
        tokenizer=tokenizer,
        agent_model=folder if kind == "full" else None,
        agents=None if kind == "full" else [adapted(folder, 16), adapted(folder, 16)],
        reward_func=lambda *texts, batch_items=None, prompts=None: reward(zip(*texts, strict=True)),
        train_dataset=Dataset.from_dict({"prompt": prompts}),
    )
    trainer.verbose = False
    trainer._generate_completions = clock.timed("rollout", trainer._generate_completions)
    clock.timed("all", trainer.train)()
    assert trainer.env_step == SAMPLES
    assert reward.tokens > 0
    return reward.tokens


def trl(folder: str, kind: str, clock: Clock) -> int:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import GRPOConfig, GRPOTrainer

    prompts, tokenizer = rendered(folder)
    reward = Reward(1, tokenizer)
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory() as out:
        config = GRPOConfig(
            output_dir=out,
            use_cpu=True,
            max_steps=STEPS,
            per_device_train_batch_size=SAMPLES // STEPS,
            num_generations=GROUP,
            max_completion_length=NEW,
            beta=0.0,
            learning_rate=1e-5,
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            bf16=False,
            **SAMPLING,
        )
        trainer = GRPOTrainer(
            folder,
            lambda completions, **kwargs: reward((text,) for text in completions),
            args=config,
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            peft_config=lora if kind == "lora" else None,
        )
        trainer._generate = clock.timed("rollout", trainer._generate)
        clock.timed("all", trainer.train)()
    return reward.tokens


def main(side: str, folder: str, kind: str, threads: str) -> None:
    os.environ.update(HF_HUB_OFFLINE="1", WANDB_MODE="disabled")
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    clock = Clock()
    if side == "comlrl":
        tokens = comlrl(folder, kind, clock)
    elif side == "trl":
        tokens = trl(folder, kind, clock)
    else:
        _, agents, *mixed = side.split("-")
        tokens = ours(folder, kind, int(agents), clock, mixed=mixed == ["mixed"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        json.dumps({"samples": SAMPLES, "tokens": tokens, "cpu": clock.cpu, "wall": clock.wall, "mb": peak})
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
