"""CoMLRL's own trainers on the same model and reward, run by a Python that has `comlrl` installed.

    <that python> peer_comlrl.py ALGORITHM MODEL_FOLDER TURNS GROUP THREADS [NEW REPEATS RANK EPOCHS PROMPTS]

prints one JSON line: joint samples, CPU and wall seconds of training, peak memory, that of a GPU too where
torch sees one, and the precision of the weights.  Buffers stay at the library's defaults (2 prompts, 8
samples); its early termination is off, or turn 2 would never be played.  NEW (64) tokens of a text, prompts
that repeat themselves REPEATS (1) times.  With RANK the agents are adapters that peft puts around two models
of their own: the library has none.  EPOCHS (1) passes over the first PROMPTS (all) prompts; of several, the
first is to warm up, and not counted.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings

os.environ.update(HF_HUB_OFFLINE="1", WANDB_MODE="disabled", TRANSFORMERS_VERBOSITY="error")
warnings.filterwarnings("ignore")


def main(
    algorithm: str,
    folder: str,
    turns: int,
    group: int,
    threads: int,
    new: int = 64,
    repeats: int = 1,
    rank: int = 0,
    epochs: int = 1,
    prompts: int | None = None,
) -> None:
    import torch
    from comlrl.trainers.actor_critic import IACConfig, IACTrainer, MAACConfig, MAACTrainer
    from comlrl.trainers.reinforce import MAGRPOConfig, MAGRPOTrainer
    from datasets import Dataset
    from speed_task import LengthRatio, State, adapted, precision
    from transformers import AutoTokenizer

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    task = LengthRatio(repeats=repeats)

    def reward(*texts, batch_items=None, prompts=None):
        return [task.score(State("", 1, row)).reward for row in zip(*texts, strict=True)]

    def transition(
        prompt, agent_completions, num_agents, prompt_history_per_agent=None, response_history_per_agent=None
    ):
        return [f"{prompt}\n{text}\nNow revise it:" for text in agent_completions]

    settings = options(turns, group, new, epochs)
    given = {
        "agent_model": None if rank else folder,
        "agents": [adapted(folder, rank) for _ in range(2)] if rank else None,
        "tokenizer": AutoTokenizer.from_pretrained(folder),
        "reward_func": reward,
        "train_dataset": Dataset.from_dict(
            {"prompt": [item.data["prompt"] for item in task.items("train")[:prompts]]}
        ),
        "external_transition": transition if turns > 1 else None,
    }
    if algorithm == "magrpo":
        trainer = MAGRPOTrainer(num_agents=2, args=MAGRPOConfig(**settings), **given)
    elif algorithm == "iac":
        trainer = IACTrainer(args=IACConfig(**settings), critic_model=folder, **given)
    else:
        trainer = MAACTrainer(args=MAACConfig(**settings), critic_model=folder, **given)
    trainer.verbose = False
    print(json.dumps({**trained(trainer), "precision": precision(trainer.agents[0])}))


def options(turns: int, group: int, new: int, epochs: int) -> dict:
    """What the configurations of all its trainers are given."""
    return {
        "num_train_epochs": epochs,
        "num_agents": 2,
        "num_turns": turns,
        "num_generations": group,
        "max_new_tokens": new,
        "temperature": 0.6,
        "top_p": 0.6,
        "top_k": 50,
        "early_termination_threshold": None,
        "eval_interval": 0,
        "agent_learning_rate": 1e-5,
    }


def trained(trainer) -> dict[str, float]:
    """Samples, seconds and memory of a training, from its second epoch on where it has several."""
    import torch

    cuda, begun, load = torch.cuda.is_available(), [], trainer.get_train_dataloader

    def at_an_epoch():
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        begun.append((trainer.env_step, time.process_time(), time.perf_counter()))
        return load()

    trainer.get_train_dataloader = at_an_epoch
    trainer.train()
    if cuda:
        torch.cuda.synchronize()
    samples, cpu, wall = begun[:2][-1]
    return {
        "samples": trainer.env_step - samples,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0,
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
