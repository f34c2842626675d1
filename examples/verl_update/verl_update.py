"""A policy's update by verl's TinkerTrainingWorker (verl 0.9.1), which shards weights by FSDP2.

The loss stays here: `baselines.lm.learning.learn` asks for token log-probabilities, computes its loss of them,
and leaves d loss / d logp; a step sends these numbers c back, and verl's loss is sum c logp, whose gradient is
that of the loss.  docs/verl.md says how this would be one agent of a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils
from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig, TrainingWorkerConfig
from verl.workers.engine_workers_tinker import TinkerTrainingWorker

from baselines.lm.history import Move
from baselines.lm.scoring import Scores

FP32 = {"param_dtype": "fp32", "reduce_dtype": "fp32", "buffer_dtype": "fp32"}
TOKENS = 2048
"""of a micro-batch"""


def worker(folder: str, lr: float, max_grad_norm: float = 1.0) -> TinkerTrainingWorker:
    """A worker with all weights of a model in float32; torch.distributed must be initialised."""
    engine = FSDPEngineConfig(
        strategy="fsdp2", dtype="float32", model_dtype="fp32", mixed_precision=FP32, forward_only=False,
        use_dynamic_bsz=True, max_token_len_per_gpu=TOKENS, infer_max_token_len_per_gpu=TOKENS, fsdp_size=-1,
        use_torch_compile=False, use_remove_padding=False,
    )  # fmt: skip
    optimizer = FSDPOptimizerConfig(
        lr=lr, weight_decay=0.0, lr_scheduler_type="constant", lr_warmup_steps=0, total_training_steps=1,
        clip_grad=max_grad_norm, betas=(0.9, 0.999),
    )  # fmt: skip
    model = HFModelConfig(
        path=folder, use_remove_padding=False, override_config={"attn_implementation": "sdpa"}
    )
    out = TinkerTrainingWorker(
        TrainingWorkerConfig(
            model_type="language_model",
            model_config=model,
            engine_config=engine,
            optimizer_config=optimizer,
            checkpoint_config=CheckpointConfig(),
        )
    )
    out.reset()
    out.set_loss_fn(given_derivatives)
    return out


def given_derivatives(
    model_output: Any, data: Any, dp_group: Any = None
) -> tuple[torch.Tensor, dict[str, Any]]:
    """sum c logp, which verl divides by the number of data-parallel ranks."""
    return (data["c"].values() * model_output["log_probs"].values()).sum() * data["dp_size"], {}


class VerlPolicy:
    """What `learn` needs of a policy and of its optimizer, over a worker."""

    rescored = True
    reference = None

    def __init__(self, name: str, worker: TinkerTrainingWorker):
        self.name, self.worker, self.optimizer = name, worker, self
        self.scored: list[tuple[Sequence[Move], torch.Tensor]] = []

    def logp(
        self, moves: Sequence[Move], *, entropy: bool = False, reference: bool = False
    ) -> Iterator[Scores]:
        """Log-probabilities of every token of these moves, whose derivatives `step` sends."""
        logps = self.worker.infer_batch(rows(moves, torch.zeros(sum(len(move.ids) for move in moves))))
        values, ends = logps["log_probs"].values(), logps["log_probs"].offsets().tolist()[1:]
        own = [values[end - 1 - len(move.ids) : end - 1] for end, move in zip(ends, moves, strict=True)]
        leaf = torch.cat(own).float().requires_grad_(torch.is_grad_enabled())
        self.scored.append((moves, leaf))
        lengths = torch.tensor([len(move.ids) for move in moves])
        yield Scores(
            leaf, torch.arange(len(moves)).repeat_interleave(lengths), [*range(len(moves))], None, len(leaf)
        )

    def zero_grad(self) -> None:
        """Forget what was scored."""
        self.scored = []

    def step(self) -> float:
        """Send the derivatives; returns the norm of the gradient before clipping."""
        self.worker.optimizer_zero_grad()
        for moves, leaf in self.scored:
            assert leaf.grad is not None
            self.worker.forward_backward(rows(moves, leaf.grad))
        return float(self.worker.optimizer_step()["grad_norm"])


def rows(moves: Sequence[Move], derivatives: torch.Tensor) -> Any:
    """Texts after their histories as verl reads them.   derivatives: of all tokens, end to end"""
    ids = [move.all_ids() for move in moves]
    parts = derivatives.split([len(move.ids) for move in moves])
    # verl's log-probability at a position is that of the token after it
    c = [
        torch.cat([torch.zeros(len(row) - len(part) - 1), part, torch.zeros(1)])
        for row, part in zip(ids, parts, strict=True)
    ]
    mask = [[0] * (len(row) - len(part)) + [1] * len(part) for row, part in zip(ids, parts, strict=True)]
    tensors = {
        "input_ids": nested([torch.tensor(row) for row in ids]),
        "position_ids": nested([torch.arange(len(row)) for row in ids]),
        "loss_mask": nested([torch.tensor(row, dtype=torch.float32) for row in mask]),
        "c": nested(c),
    }
    settings = {"temperature": 1.0, "use_remove_padding": False, "use_dynamic_bsz": True}
    settings |= {"max_token_len_per_gpu": TOKENS, "global_token_num": None, "compute_loss": False}
    return tensordict_utils.get_tensordict(tensor_dict=tensors, non_tensor_dict=settings)


def nested(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Rows of different lengths as one tensor."""
    return torch.nested.as_nested_tensor([*parts], layout=torch.jagged)
