"""Our trainers on the same model and reward, in a process of their own.

    python ours_speed.py ALGORITHM MODEL_FOLDER TURNS GROUP THREADS ENGINE

ENGINE is `own` or `modules` (transformers' unmodified modules).  Prints one JSON line like peer_comlrl.py.
`bound` instead of an algorithm times a bare batched decode loop and one batched forward and backward pass of
the same number of tokens; `bound-iac` and `bound-maac` add a critic of the same size that reads the same
conversations, each agent's or all agents' laid end to end.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import torch
import transformers
from speed_task import LengthRatio

from baselines import maac, magrpo
from baselines.lm import cache, engines, served
from baselines.lm.loading import load_model

EPISODES, NEW = 64, 64
SAMPLING = {"temperature": 0.6, "top_p": 0.6, "top_k": 50, "max_new_tokens": NEW}


def run(algorithm: str, folder: str, turns: int, group: int, agents: int = 2) -> dict[str, float]:
    """One update to warm up, then two that count."""
    task = LengthRatio(num_agents=agents, max_turns=turns)
    shared = {"model": folder, "episodes": EPISODES, "steps": 3, "lr": 1e-5, **SAMPLING}
    if algorithm == "magrpo":
        module, config = magrpo, magrpo.Config(**shared, group=group)
    else:
        critic = {"iac": "decentral", "maac": "central"}[algorithm]
        module, config = maac, maac.Config(**shared, critic=critic, critic_lr=1e-5)
    team = module.team(config, task)
    steps = module.train(config, task, team)
    next(steps)
    cpu, wall = time.process_time(), time.perf_counter()
    tokens = sum(metrics["tokens"] for metrics in steps)
    return {
        "samples": tokens / NEW / agents,  # a random model never ends a text by itself
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
    }


def bound(folder: str, turns: int, critic: str) -> dict[str, float]:
    """64 texts of 64 tokens a turn for each of two agents: decoded, then one forward and backward pass."""
    model, _ = load_model(folder, "cpu")
    engine = engines.engine_for(model)
    engine.refresh()

    def pass_over(length: int, keep: int) -> None:
        rows = torch.randint(4, 2000, (EPISODES, length))
        out = model(input_ids=rows, logits_to_keep=keep, use_cache=False).logits
        out.log_softmax(-1)[..., 0].sum().backward()
        model.zero_grad(set_to_none=True)

    def once() -> None:
        for _ in range(2):
            ids, one = torch.randint(4, 2000, (EPISODES, 13)), torch.ones(EPISODES, 1, dtype=torch.bool)
            memory = cache.Memory.empty(EPISODES, engine.layers, torch.device("cpu"))
            with torch.no_grad():
                for _ in range(turns):
                    logits = engine.forward(ids, torch.ones_like(ids, dtype=torch.bool), memory)
                    for _ in range(NEW - 1):
                        logits = engine.forward(logits.argmax(-1)[:, None], one, memory)
            pass_over(turns * (13 + NEW), turns * NEW)
            if critic == "iac":
                pass_over(turns * (13 + NEW), turns)
        if critic == "maac":
            pass_over(2 * turns * (13 + NEW), turns)

    once()
    cpu, wall = time.process_time(), time.perf_counter()
    once()
    once()
    return {
        "samples": 2 * turns * EPISODES,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
    }


def main(algorithm: str, folder: str, turns: str, group: str, threads: str, engine: str) -> None:
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(int(threads))
    if engine == "modules":
        served.LLAMA_SHAPED = ()  # nothing is served by our own forward pass
    if algorithm.startswith("bound"):
        out = bound(folder, int(turns), algorithm.partition("-")[2])
    else:
        agents = 1 if algorithm == "magrpo1" else 2
        out = run(algorithm.rstrip("1"), folder, int(turns), int(group), agents)
    out["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(out))


if __name__ == "__main__":
    main(*sys.argv[1:7])
