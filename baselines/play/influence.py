"""How much an agent's text changes what the others write next, by replay (Jaques et al. 2019, 1810.08647).

    I_{i,t} = mean_j log pi_j(a_{j,t+1} | h_{j,t+1}) - log pi_j(a_{j,t+1} | h'_{j,t+1})        j: the others

h' is what j would have read had i been silent at turn t, and all else as it was.  The mean of I over j's
texts is KL(pi_j(. | h) || pi_j(. | h')), in nats a text; it is 0 where i's text never reaches j.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from baselines.lm.history import Move
from baselines.lm.policy import LM
from baselines.play.episode import Node, walk
from baselines.play.replays import silenced
from collm_envs import Task, writers


class Rereading(NamedTuple):
    """A text, and what its agent would have read before it otherwise."""

    silent: str
    """the agent that would have written nothing"""
    reader: str
    move: Move
    prompt: str | None
    """None where the reader would have read the same"""


def text_influence(
    task: Task, roots: Sequence[Node], policies: Mapping[str, LM], turns: int
) -> dict[str, float]:
    """`influence/AGENT`: mean I_i over at most so many turns of these episodes, the same ones in every run.

    Agents of which no text is followed by one of another agent are left out: {} in episodes of one turn.
    """
    followed = [node for node in walk(roots) if node.children]
    drawn = Random(0).sample(followed, min(turns, len(followed)))
    readings = [reading for node in drawn for reading in _readings(task, node)]
    own = {agent: [reading for reading in readings if reading.reader == agent] for agent in task.agents}
    asked = {agent: _gains(policies[agent], own[agent]) for agent in task.agents}
    gaps: dict[str, list[float]] = {}
    for agent in task.agents:
        gains = iter(asked[agent])
        for reading in own[agent]:
            gain = 0.0 if reading.prompt is None else next(gains)
            if gain is not None:
                gaps.setdefault(reading.silent, []).append(gain)
    return {
        f"influence/{agent}": sum(gaps[agent]) / len(gaps[agent]) for agent in task.agents if agent in gaps
    }


def _readings(task: Task, node: Node) -> list[Rereading]:
    """The texts after this turn, each with what its agent would have read had another one been silent."""
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
            out.append(Rereading(agent, reader, move, None if same else prompt))
    return out


def _gains(policy: LM, readings: Sequence[Rereading]) -> Sequence[float | None]:
    """log pi(text | what was read) - log pi(text | what would have been), of those where these differ."""
    changed = [(reading.move, reading.prompt) for reading in readings if reading.prompt is not None]
    return policy.prompt_gains([move for move, _ in changed], [prompt for _, prompt in changed])
