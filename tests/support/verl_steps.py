"""Three steps of a policy here and of the same one in verl, and another one in verl that takes none.

PYTHON verl_steps.py MODEL        a process of its own: verl chooses its platform when it is imported
"""

import json
import os
import random
import sys
from pathlib import Path

LR, STEPS = 1e-3, 3


def main(model):
    os.environ["VERL_PLATFORM"] = "cpu"
    sys.path.append(str(Path(__file__).parents[2] / "examples/verl_update"))
    import cpu

    cpu.begin(random.Random(os.getpid()).randrange(20000, 30000))
    import torch
    from verl_update import VerlPolicy, worker

    from baselines.formulas.losses import Objective
    from baselines.lm import learning
    from baselines.lm.opening import Setup, open_all
    from baselines.lm.policy import Context
    from baselines.lm.sampling import Sampling
    from baselines.lm.scoring import token_logp

    torch.set_num_threads(1)
    here = open_all({"agent_0": model}, Setup(Sampling(max_new_tokens=4), Context()))["agent_0"]
    histories = here.converse(4, 0)
    histories.read(["q0 t0 p0", "q1 t0 p0", "q0 t0 p0", "q1 t1 p1 p0"])
    moves = histories.write()
    lesson, objective = (
        learning.Lesson(moves, [1.0, -1.0, 0.5, -0.5], [0.25] * 4),
        Objective(epochs=2, clip=0.2),
    )
    here.optimizer = learning.Optimizer(here.parameters(), LR, steps=2 * STEPS)
    away, other = (VerlPolicy(name, worker(model, LR)) for name in ("agent_0", "agent_1"))

    def gap(one, two):
        return float((torch.cat(one) - torch.cat(two)).abs().max())

    before = token_logp(here, moves)
    out = {"fresh": gap(token_logp(away, moves), before), "norms": []}
    for _ in range(STEPS):
        logged = here.learn(lesson, objective), learning.learn(away, lesson, objective)
        out["norms"].append([float(log["grad_norm"]) for log in logged])
    out["moved"] = gap(token_logp(here, moves), before)
    out["apart"] = gap(token_logp(away, moves), token_logp(here, moves))
    out["still"] = gap(token_logp(other, moves), before)
    print(json.dumps(out))


main(sys.argv[1])
