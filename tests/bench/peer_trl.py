"""TRL's GRPO for one agent on the same model and reward, run by a Python that has `trl` installed.

    <that python> peer_trl.py MODEL_FOLDER GROUP THREADS

64 completions a step, as ours.  Prints one JSON line like peer_comlrl.py.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
warnings.filterwarnings("ignore")


def main(folder: str, group: int, threads: int) -> None:
    import torch
    from datasets import Dataset
    from speed_task import PROMPTS, LengthRatio, State
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(threads)
    task, marks = LengthRatio(num_agents=1), []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            marks.append((time.process_time(), time.perf_counter()))

    def reward(completions, **kwargs):
        return [task.score(State("", 1, (text,))).reward for text in completions]

    with tempfile.TemporaryDirectory() as out:
        config = GRPOConfig(
            output_dir=out,
            use_cpu=True,
            max_steps=3,
            per_device_train_batch_size=64,
            num_generations=group,
            max_completion_length=64,
            temperature=0.6,
            top_p=0.6,
            top_k=50,
            beta=0.0,
            learning_rate=1e-5,
            gradient_checkpointing=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            bf16=False,
        )
        rows = Dataset.from_dict({"prompt": PROMPTS})
        GRPOTrainer(folder, reward, args=config, train_dataset=rows, callbacks=[Clock()]).train()
    (cpu, wall), (cpu_end, wall_end) = marks[0], marks[-1]  # the first step warms up
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"samples": 128, "cpu_s": cpu_end - cpu, "wall_s": wall_end - wall, "peak_mb": peak}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
