"""How much an agent's text changes what the others write next, by replay (Jaques et al. 2019, 1810.08647).

    I_{i,t} = mean_j log pi_j(a_{j,t+1} | h_{j,t+1}) - log pi_j(a_{j,t+1} | h'_{j,t+1})        j: the others

h' is what j would have read had i been silent at turn t, and all else as it was.  The mean of I over j's
texts is KL(pi_j(. | h) || pi_j(. | h')), in nats a text; it is 0 where i's text never reaches j.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

import torch

from baselines.lm.history import Move
from baselines.lm.policy import LM
from baselines.lm.reading import message_after
from baselines.lm.scoring import token_logp
from baselines.play.episode import Node, walk
from baselines.play.replays import silenced
from collm_envs import Task, writers


class Rereading(NamedTuple):
    """A text as it was written, and the same text after what its agent would have read otherwise."""

    silent: str
    """the agent that would have written nothing"""
    reader: str
    actual: Move
    other: Move | None
    """None where the reader would have read the same"""


def text_influence(
    task: Task, roots: Sequence[Node], policies: Mapping[str, LM], turns: int
) -> dict[str, float]:
    """`influence/AGENT`: mean I_i over at most so many turns of these episodes, the same ones in every run.

    Agents of which no text is followed by one of another agent are left out: {} in episodes of one turn.
    """
    followed = [node for node in walk(roots) if node.children]
    drawn = Random(0).sample(followed, min(turns, len(followed)))
    readings = [reading for node in drawn for reading in _readings(task, node, policies)]
    gaps: dict[str, list[float]] = {}
    for reader in task.agents:
        own = [reading for reading in readings if reading.reader == reader]
        for reading, gap in zip(own, _gaps(policies[reader], own), strict=True):
            gaps.setdefault(reading.silent, []).append(gap)
    return {
        f"influence/{agent}": sum(gaps[agent]) / len(gaps[agent]) for agent in task.agents if agent in gaps
    }


def _readings(task: Task, node: Node, policies: Mapping[str, LM]) -> list[Rereading]:
    """The texts after this turn, each beside what its agent would have read had another one been silent."""
    out = []
    for agent in node.moves:
        after = task.play(node.before, silenced(task, node, agent))
        if task.done(after):
            continue
        for reader, move in node.children[0].moves.items():
            if reader == agent or reader not in writers(task, after):
                continue
            prompt = task.prompt(after, reader)
            same = prompt == node.children[0].prompts[reader]
            other = None if same else _moved(move, prompt, policies[reader])
            if same or other:
                out.append(Rereading(agent, reader, move, other))
    return out


def _moved(move: Move, prompt: str, policy: LM) -> Move | None:
    """The same text after another prompt; None where the policy cannot read that much."""
    assert move.parent is not None
    message = message_after(policy.renderer, move.parent.parent, prompt)
    length = sum(len(segment.ids) for segment in message.chain()) + len(move.ids)
    return Move(message, move.ids, text=move.text) if length <= policy.limit.tokens else None


def _gaps(policy: LM, readings: Sequence[Rereading]) -> list[float]:
    """log pi(text | what was read) - log pi(text | what would have been) of each; 0 where these are equal."""
    changed = [(reading.actual, reading.other) for reading in readings if reading.other is not None]
    scored = token_logp(policy, [move for pair in changed for move in pair])
    sums = torch.tensor([float(logp.double().sum()) for logp in scored]).reshape(len(changed), 2)
    gaps = iter((sums[:, 0] - sums[:, 1]).tolist())
    return [0.0 if reading.other is None else next(gaps) for reading in readings]
