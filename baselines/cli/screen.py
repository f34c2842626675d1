"""What a person sees of an episode that is played at the terminal (`collm play`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from baselines.cli.terminal import width
from collm_envs import TextEnv
from collm_envs.policies import Policy
from collm_envs.render import ascii as ascii_render
from collm_envs.render.plain import in_lines, plain

BORDER = 4
"""columns that a panel takes of the terminal"""


class Screen:
    """The turns of a running episode as panels; a block has one letter in all of them."""

    def __init__(self, env: TextEnv, policies: Mapping[str, Policy]):
        self.env, self.policies = env, policies
        self.scenes = [env.task.scene(env.snapshot)]
        self.letters = ascii_render.letters(self.scenes[0])

    def take_up(self) -> None:
        """Note the turn that has just been played."""
        self.scenes.append(self.env.task.scene(self.env.snapshot))
        self.letters = ascii_render.letters(self.scenes[-1], self.letters)

    def panel(self, t: int) -> Panel:
        """Turn `t`, counted from 1: what was written, what had no effect, the world and the numbers."""
        turn, room = self.env.turns[t - 1], width() - BORDER
        parts: list[Any] = []
        for agent, text in turn.texts.items():
            parts.append(Text(plain(f"{agent} ({self.policies[agent].name}) wrote"), style="bold cyan"))
            parts.append(Text(plain(text) or "(nothing)"))
            parts += _without_effect(turn.score.rejected.get(agent, ()))
            parts.append(Text())
        shown = [*turn.texts.values(), *self.scenes[t - 1].texts.values()]
        fresh = {
            title: body
            for title, body in self.scenes[t].texts.items()
            if not any(body.strip() in text for text in shown)
        }
        scene = replace(self.scenes[t], texts=fresh)
        if drawn := ascii_render.text(scene, self.letters, room):
            parts += [Text(drawn), Text()]
        numbers = {**turn.score.parts, **turn.score.metrics}
        parts.append(Text(in_lines([f"{name} {value:.3g}" for name, value in numbers.items()], room), "dim"))
        title = Text(f"turn {t} of {self.env.task.max_turns}: reward {turn.score.reward:.3f}")
        return Panel(Group(*parts), title=title, title_align="left", border_style="green", width=width())

    def preview(self, agent: str, text: str) -> str:
        """The world after this text of `agent`, with nobody else writing, and what of it had no effect."""
        task, env = self.env.task, self.env
        if not all(self.scenes[-1].size):
            return "no world to show: this environment is about texts"
        texts, _ = env.check({**dict.fromkeys(env.agents, ""), agent: text})
        state = task.play(env.snapshot, texts)
        scene = replace(task.scene(state), texts={})
        self.letters = ascii_render.letters(scene, self.letters)
        notes = [str(line) for line in _without_effect(task.score(state).rejected.get(agent, ()))]
        drawn = ascii_render.text(scene, self.letters, width())
        return "\n".join(["--- if only this were played ---", drawn, *notes, "--- go on writing ---"])


def _without_effect(rejected: Any) -> list[Text]:
    return [Text(plain(f"  no effect: {line}  ({why})"), style="red") for line, why in rejected]
