"""The worlds of an episode on its page: a picture after each turn, and a large view that can be rotated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from collm_envs.pages import svg
from collm_envs.pages.markup import data, escape
from collm_envs.render import ascii as ascii_render
from collm_envs.render.blocks import PATTERNS, count, difference, look
from collm_envs.render.faces import LIGHT, SHADOW, view_of
from collm_envs.task import AgentView, Scene


def stage(scenes: Sequence[Scene], target: str) -> str:
    """The last world beside the target.

    `world.js` lets the reader rotate both and step through the turns.
    """
    last, turns = scenes[-1], len(scenes) - 1
    steps = "".join(
        f'<button type="button" aria-pressed="{"true" if t == turns else "false"}">{t or "start"}</button>'
        for t in range(turns + 1)
    )
    names: dict[str, str] = {}
    for scene in scenes:
        names = ascii_render.letters(scene, names)
    plan = ascii_render.text(Scene(last.size, last.blocks, last.target), names)
    return (
        '<section id="stage"><header><h2>World</h2><span class="quiet" id="hint"></span></header>'
        f'<div class="turning" hidden><span>turn <span class="steps" role="group">{steps}</span></span>'
        '<label><input type="checkbox" id="marks" checked> mark what differs from the target</label>'
        f"{_eyes(last)}</div>"
        f"{pair(last, target, f'after turn {turns}' if turns else 'at the start')}{svg.legend(scenes)}"
        '<details class="fold"><summary>the same as text</summary>'
        f'<pre class="plan" tabindex="0">{escape(plan)}</pre>'
        f"</details>{data('worlds', _worlds(scenes))}</section>"
    )


def _eyes(scene: Scene) -> str:
    """The choice of whose eyes to look through; "" where all see everything."""
    if not scene.sights:
        return ""
    options = "".join(f"<option>{escape(agent)}</option>" for agent in scene.sights)
    return (
        f'<label>as seen by <select id="eyes"><option>everybody together</option>{options}</select></label>'
    )


def pair(scene: Scene, target: str, when: str) -> str:
    """The world beside the picture of its target, each with a caption."""
    stands = count(scene)
    drawn = [(f"{when}: {stands}", svg.world(scene, f"the world {when}: {stands}"))]
    if scene.target:
        drawn.append((f"target: {len(scene.target)} blocks", target))
    figures = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{drawing}</figure>" for name, drawing in drawn
    )
    return f'<div class="pair world">{figures}</div>'


def _worlds(scenes: Sequence[Scene]) -> dict[str, Any]:
    """The data of world.js: cells as [x, y, z, index of the look, mark]; look -1 for a missing block."""
    ids = sorted({block for scene in scenes for block in (*scene.blocks.values(), *scene.target.values())})
    index = {block: k for k, block in enumerate(ids)}

    def cells(scene: Scene) -> list[list[int | str]]:
        apart = difference(scene)
        marks = dict.fromkeys(apart.wrong, "wrong") | dict.fromkeys(apart.extra, "extra")
        stand = [[*cell, index[block], marks.get(cell, "")] for cell, block in sorted(scene.blocks.items())]
        return stand + [[*cell, -1, "missing"] for cell in sorted(apart.missing)]

    size, target = scenes[-1].size, scenes[-1].target
    turns, wanted = [cells(scene) for scene in scenes], cells(Scene(size, target))
    eyes = [
        {
            "turns": [
                [_is_seen(cell, scene.sights[agent]) for cell in drawn]
                for drawn, scene in zip(turns, scenes, strict=True)
            ],
            "target": [tuple(cell[:3]) in sight.target for cell in wanted],
            "fog": sorted({*product(*map(range, size))} - sight.target),
        }
        for agent, sight in scenes[-1].sights.items()
    ]
    return {
        "size": size,
        "view": view_of(scenes[-1]),
        "light": LIGHT,
        "shadow": SHADOW,
        "looks": [look(block) for block in ids],
        "patterns": PATTERNS,
        "turns": turns,
        "target": wanted,
        "eyes": eyes,
    }


def _is_seen(cell: Sequence[Any], sight: AgentView) -> bool:
    """Whether an agent sees a cell of `_worlds`; of a missing block, that something should be there."""
    return tuple(cell[:3]) in (sight.target if cell[3] < 0 else sight.blocks)
