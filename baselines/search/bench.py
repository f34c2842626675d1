"""Where credit functions are judged: recorded turns, gates, numbers, and the report of what passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import collm_envs
from baselines.credit import pinned
from baselines.credit.features import PER_AGENT
from baselines.search import prompts
from baselines.search.game_turns import play_game
from baselines.search.gates import Admitted, admit
from baselines.search.ranking import Numbers, measure, shared_numbers
from baselines.search.settings import Config
from baselines.search.turns import GROUP, Contexts, gather, recorded, scripted
from collm_envs.files import saving
from collm_envs.sandbox import Sandbox


class Field(NamedTuple):
    """An environment's recorded turns, which functions are judged on, and the coder's task."""

    brief: str
    """the coder's task"""
    contexts: Contexts
    shapes: Mapping[str, Sequence[int]] | None = None
    """field -> shape of a game's state; None for text environments"""

    def reads(self, read: Mapping[str, Sequence[str]]) -> dict[str, list[int | None]]:
        """Field -> shape of what a function reads, as in credit/pinned.py; None for the number of agents."""
        if self.shapes is not None:
            return {name: list(self.shapes[name]) for name in read["ctx"]}
        shapes: dict[str, list[int | None]] = {"feat": [None], "pair": [None, None]}
        return {
            f"{argument}.{name}": shapes.get(argument, [None] if name in PER_AGENT else [])
            for argument, names in read.items()
            for name in names
        }


class Bench(NamedTuple):
    """A field with the sandbox and the settings: judges functions."""

    config: Config
    field: Field
    sandbox: Sandbox

    def judge(self, source: str) -> tuple[Admitted, Numbers]:
        """Run the gates on one function and measure it.  Raises Refused with the reason."""
        contexts, config = self.field.contexts, self.config
        admitted = admit(self.sandbox, source, config.mode, contexts, config.seed)
        return admitted, measure(admitted, contexts, config.alpha)

    def facts(self, admitted: Admitted, numbers: Numbers) -> dict[str, Any]:
        """Entries of the .json of a function that passed, apart from hash, author and reviewer."""
        config, contexts = self.config, self.field.contexts
        grading = self.sandbox.grade(
            main="def f():\n    return 1", entry_point="f", tests=[{"input": [], "expected": 1}]
        )
        return {
            "reads": self.field.reads(admitted.reads),
            "form": "turn" if self.field.shapes is None else "state",
            "env": config.env,
            "env_kwargs": config.env_kwargs,
            "mode": config.mode,
            "alpha": config.alpha,
            "report": {
                "gates": dict(admitted.checks),
                "numbers": numbers.to_dict(),
                "shared_reward": shared_numbers(contexts, config.mode).to_dict(),
                "turns": f"{len(contexts.rows)} of {config.records or 'scripted play'}, seed {config.seed}",
                "sandbox": grading.isolation,
            },
        }


def submit_candidate(path: Path, facts: Mapping[str, Any], written_by: str) -> None:
    """Write the .json beside a function that passed; training refuses it until it is reviewed.

    While the source stays the same its reviewer stays, and its author where `written_by` is "".
    """
    stands = pinned.standing(path)
    author = written_by or stands.get("written_by", "not said")
    reviewer = stands.get("reviewed_by", "")
    hint = "make room and give the same command again"
    with saving(str(path.with_suffix(".json")), hint):
        pinned.pin(path, written_by=author, reviewed_by=reviewer, **facts)


def set_up(config: Config, sandbox: Sandbox) -> Bench:
    """Play the turns that functions are judged on, and write the coder's task."""
    mode, groups = config.mode, max(2, -(-config.turns // GROUP))
    if config.env.startswith("game:"):
        game = play_game(config.env.removeprefix("game:"), groups * GROUP, config.seed)
        brief = prompts.task(game.page, prompts.fields(game.contexts, game.shapes), mode)
        return Bench(config, Field(brief, game.contexts, game.shapes), sandbox)
    env = collm_envs.make(config.env, **config.env_kwargs)
    if config.records:
        turns = recorded(env.spec.id, env.task, Path(config.records), groups, config.seed)
    else:
        turns = scripted(env.task, groups, config.seed)
    contexts = gather(env.task, turns, mode == "mix")
    brief = prompts.task(prompts.page(env), prompts.inputs(contexts, mode), mode)
    return Bench(config, Field(brief, contexts), sandbox)
