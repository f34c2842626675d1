"""The settings of QLLM's loop, in a module without torch so that `collm qllm --help` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from baselines.credit.language import Mode
from baselines.train.keywords import Json


@dataclass(frozen=True)
class Config:
    """Settings of a search."""

    env: Annotated[Positional[str], arg(metavar="ENV")]
    """id of the environment; game:NAME for a game of baselines/games, which takes mode weights"""
    model: str
    """the coder: openai:http://host:8000/v1#model?temperature=1.0 (the key, if any: OPENAI_API_KEY)"""
    evaluator: str = ""
    """the model that is asked between equals; empty: the coder"""
    mode: Mode = "baseline"
    """what the function says: baseline (the reward to expect whatever the agent writes), weights (shares of
    the reward, known before the turn) or mix (each agent's part in the reward)"""
    candidates: int = 3
    """K: functions asked for in a round"""
    rounds: int = 3
    """each but the first starts from the best function so far"""
    retries: int = 3
    """how often a refused candidate may be mended"""
    turns: int = 100
    """recorded turns that functions are tried and measured on"""
    records: str = ""
    """a records file to take turns from; empty: the environment's scripted players"""
    env_kwargs: Json = field(default_factory=dict)
    """keywords of the environment, as JSON"""
    alpha: float = 0.5
    """share of the advantage that `mix` takes"""
    seed: int = 0
    """fixes the turns, the random ones and the seeds sent to the model"""
    out: str = ""
    """folder of the search; empty: runs/qllm/<env>-<mode>-seed<seed>"""

    def __post_init__(self) -> None:
        for name in ("candidates", "rounds", "turns"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.retries < 0 or not 0 < self.alpha <= 0.5:
            values = f"{self.retries}, {self.alpha}"
            raise ValueError(f"retries must be at least 0 and alpha above 0, at most 0.5, got {values}")
        if self.env.startswith("game:") and (self.mode != "weights" or self.records):
            raise ValueError(f"{self.env}: a game takes mode weights and no records")

    @property
    def folder(self) -> Path:
        name = self.env.replace(":", "-").replace("/", "-")
        return Path(self.out or f"runs/qllm/{name}-{self.mode}-seed{self.seed}")
