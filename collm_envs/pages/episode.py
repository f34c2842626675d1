"""An episode as one HTML file that needs no network, and a list of episodes to sort and filter.

    page(asdict(record), scenes(record))        # see collm_envs.record, collm_envs.replay
    episodes_page([asdict(r) for r in records], links=["0001.html", ...])

Text from agents, data sets and policies is escaped and never becomes markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from collm_envs.evaluation.headline import Range, definition, score_of, score_range
from collm_envs.evaluation.meanings import defined
from collm_envs.pages import svg
from collm_envs.pages.chart import colour, reward_bars
from collm_envs.pages.episodes import episodes_page as episodes_page
from collm_envs.pages.lanes import conversation, lane, shown
from collm_envs.pages.markup import aligned, document, escape, number
from collm_envs.pages.signs import plan
from collm_envs.pages.stage import pair, stage
from collm_envs.policies.names import short_name
from collm_envs.task import Scene

Row = Mapping[str, Any]
"""a record as plain JSON: `dataclasses.asdict(record)`, or one line of a records file"""


class Trail(NamedTuple):
    """Where a page stands among others."""

    above: Sequence[tuple[str, str]]
    """(name, address) of the pages above it, the uppermost first"""
    previous: str = ""
    """address of the episode before it, "" for the first"""
    following: str = ""
    """address of the episode after it, "" for the last"""


def trails(above: Sequence[tuple[str, str]], links: Sequence[str]) -> list[Trail]:
    """The trail of each of some episodes in order, whose pages have these addresses."""
    return [
        Trail(above, previous, following)
        for previous, following in zip(["", *links[:-1]], [*links[1:], ""], strict=True)
    ]


def page(
    record: Row,
    scenes: Sequence[Scene] = (),
    reward_range: Range | None = None,
    trail: Trail | None = None,
) -> str:
    """The HTML page of a record's episode; `reward_range` (of a turn) adds the largest possible reward.

    `trail` links it to the pages around it.  `scenes` are the scene at the start and after each turn, all
    with one target; without them the page shows no world.  Raises ValueError for another number of scenes.
    """
    turns = record["turns"]
    if scenes and len(scenes) != len(turns) + 1:
        raise ValueError(f"page: need {len(turns) + 1} scenes for {len(turns)} turns, got {len(scenes)}")
    voxels = bool(scenes) and all(scenes[-1].size)
    name = (scenes[0].title if scenes else "") or record["item"]
    parts = [_links(trail, name) if trail else "", _header(record, name, reward_range)]
    parts.append(f'<p class="note">{escape(scenes[0].note)}</p>' if scenes and scenes[0].note else "")
    parts.append(_reward(turns) if turns else "")
    target = svg.target(scenes[-1], "the target") if voxels else ""
    parts.append(stage(scenes, target) if voxels else "")
    parts.append(_texts(scenes[0].texts) if scenes else "")
    for t in range(len(turns)):
        before, after = scenes[t : t + 2] if scenes else (Scene(), Scene())
        acted = voxels and not _is_message_round(turns[t])
        world = pair(after, target, f"after turn {t + 1}") + plan(after) if acted else ""
        parts.append(_turn(record, t, world, _texts(_fresh(before, after, turns[t]))))
    parts.append(_provenance(record))
    return document(f"{name} · {record['env']}", "".join(parts), ("world.js",) if voxels else ())


def _links(trail: Trail, name: str) -> str:
    """The breadcrumb, and links to the episodes before and after."""
    above = "".join(f'<a href="{escape(href)}">{escape(text)}</a> › ' for text, href in trail.above)
    beside = "".join(
        f' <a href="{escape(href)}" rel="{rel}">{text}</a>'
        for href, rel, text in ((trail.previous, "prev", "← previous"), (trail.following, "next", "next →"))
        if href
    )
    inner = f"<span>{above}{escape(name)}</span><span>{beside}</span>"
    return f'<nav class="trail" aria-label="breadcrumb">{inner}</nav>'


def _header(record: Row, name: str, reward_range: Range | None) -> str:
    turns = record["turns"]
    where = f"{record['env']} · {record['split']} · {record['item']} · seed {record['seed']}"
    who = "".join(
        f'<li class="agent" style="--c:{colour(k)}">{escape(agent)} '
        f'<span class="quiet" title="{escape(policy)}">{escape(short_name(policy))}</span></li>'
        for k, (agent, policy) in enumerate(record["agents"].items())
    )
    tiles = {}
    if turns:
        highest = f" of {score_range(turns, reward_range)[1]:.3g}" if reward_range else ""
        tiles["score"] = number(score_of(turns)) + highest
    tiles["turns"] = f"{len(turns)}{'' if record['terminated'] else ', cut short'}"
    if turns:
        tiles["return"] = number(sum(turn["reward"] for turn in turns))
        metrics = [(name, value) for name, value in turns[-1]["metrics"].items() if name != "score"]
        tiles |= {_named(name): number(value) for name, value in metrics[:4]}
    meaning = f'<p class="quiet">{definition(turns, reward_range)}</p>' if turns and reward_range else ""
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in tiles.items())
    return (
        f'<header><p class="eyebrow">{escape(where)}</p><h1>{escape(name)}</h1>'
        f'<ul class="who">{who}</ul><dl class="tiles">{listed}</dl>{meaning}</header>'
    )


def _reward(turns: Sequence[Row]) -> str:
    """The chart of the reward's parts beside a table of parts and metrics."""
    head = "".join(f'<th class="n" scope="col">turn {t + 1}</th>' for t in range(len(turns)))
    reward_row = _measured("reward", [turn["reward"] for turn in turns], "whole")
    groups = [f"<tbody>{reward_row}{_rows(turns, 'parts')}</tbody>"]
    if metrics := _rows(turns, "metrics"):
        groups.append(f"<tbody>{metrics}</tbody>")
    parts = [turn["parts"] for turn in turns]
    chart = reward_bars([turn["reward"] for turn in turns], parts) if any(parts) else ""
    names = ["reward", *(name for turn in turns for kind in ("parts", "metrics") for name in turn[kind])]
    return (
        f'<section><header><h2>Reward</h2></header><div class="chart-and-table">{chart}'
        f'<div class="scroll" tabindex="0"><table class="measured"><thead><tr><td></td>{head}</tr></thead>'
        f"{''.join(groups)}</table></div></div>{definitions(names)}</section>"
    )


def definitions(names: Iterable[str]) -> str:
    """What the numbers of these names are, folded, as HTML; "" where none of them has a definition."""
    items = "".join(
        f"<dt>{escape(_named(name))}</dt><dd>{escape(text)}</dd>" for name, text in defined(names).items()
    )
    listed = f'<dl class="defined">{items}</dl>'
    return (
        f'<details class="fold"><summary>what these numbers are</summary>{listed}</details>' if items else ""
    )


def _rows(turns: Sequence[Row], kind: str) -> str:
    names = dict.fromkeys(name for turn in turns for name in turn[kind])
    return "".join(_measured(_named(name), [turn[kind].get(name) for turn in turns]) for name in names)


def _measured(name: str, values: Sequence[float | None], kind: str = "") -> str:
    cells = "".join(f'<td class="n">{value}</td>' for value in aligned(values))
    return f'<tr class="{kind}"><th scope="row">{escape(name)}</th>{cells}</tr>'


def _turn(record: Row, t: int, world: str, texts: str) -> str:
    turn = record["turns"][t]
    earned = f"reward {number(turn['reward'])}"
    if t:
        change = turn["reward"] - record["turns"][t - 1]["reward"]
        earned += f" ({'+' if change > 0 else ''}{number(change)})"
    rounds = sum(map(_is_message_round, record["turns"][:t]))
    if rounds:
        earned = f"turn {t + 1 - rounds} of the task · {earned}"
    colours = {agent: colour(k) for k, agent in enumerate(record["agents"])}
    if _is_message_round(turn):
        earned = (
            f"message round {number(turn['metrics']['talk_round'], 0)}: the others read what is said here"
        )
        lanes = conversation(turn, colours)
    else:
        lanes = "".join(lane(turn, agent, record["agents"][agent], own) for agent, own in colours.items())
        lanes = f'<div class="lanes">{lanes}</div>'
    return (
        f'<section id="turn-{t + 1}"><header><h2>Turn {t + 1}</h2>'
        f'<span class="quiet">{earned}</span></header>'
        f"{world}{lanes}{_verdicts(turn['verdicts'])}{texts}</section>"
    )


def _is_message_round(turn: Row) -> bool:
    """Whether the agents only spoke (`collm_envs.wrappers.talk`)."""
    return "talk_round" in turn["metrics"]


def _verdicts(verdicts: Mapping[str, str]) -> str:
    rows = "".join(
        f'<tr><td class="{"good" if verdict == "ok" else "bad"}">{escape(verdict)}</td>'
        f"<td><code>{escape(test)}</code></td></tr>"
        for test, verdict in verdicts.items()
    )
    if not rows:
        return ""
    head = '<tr><th scope="col">verdict</th><th scope="col">test</th></tr>'
    table = f'<table class="measured"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    return f'<div class="scroll" tabindex="0">{table}</div>'


def _fresh(before: Scene, after: Scene, turn: Row) -> dict[str, str]:
    """The texts of a scene that the page does not show yet as an action, a verdict or a text of last turn."""
    already_shown = {text.strip() for text in (*before.texts.values(), *turn["texts"].values())}
    return {
        title: text
        for title, text in after.texts.items()
        if text.strip() not in already_shown and not _restates(text, turn["verdicts"])
    }


def _restates(text: str, verdicts: Mapping[str, str]) -> bool:
    """Whether every line of a text names a test that is in the table of verdicts."""
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(verdicts) and all(any(test in line for test in verdicts) for line in lines)


def _texts(texts: Mapping[str, str]) -> str:
    """The titled texts of a scene as sections."""
    return "".join(
        f"<section><header><h3>{escape(title)}</h3></header>{shown(text)}</section>"
        for title, text in texts.items()
        if text.strip()
    )


def _provenance(record: Row) -> str:
    """The code that makes the episode again, with version and content hash."""
    keywords = "".join(f", {name}={value!r}" for name, value in record["kwargs"].items())
    options = {"item": record["item"], "split": record["split"]}
    made_by = ":".join(filter(None, (record.get("module"), record["env"])))
    code = (
        f"env = collm_envs.make({made_by!r}{keywords})\nenv.reset(seed={record['seed']}, options={options!r})"
    )
    facts = f"collm {record['version']} · content {record['content_hash'] or 'unknown'}"
    facts += f" · {number(record['seconds'], 1)} seconds" if record["seconds"] else ""
    return f'<footer><pre class="box" tabindex="0">{escape(code)}</pre><p>{escape(facts)}</p></footer>'


def _named(name: str) -> str:
    return name.replace("_", " ")
