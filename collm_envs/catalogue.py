"""The documentation page of each environment: its docstring, spaces, keywords and first prompt.

A task's docstring is a summary line and paragraphs that begin with a heading in bold (`**Reward.** ...`);
indented blocks are shown unchanged, the paragraph `**Keywords.**` as a table (`collm_envs.keyword_docs`).
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from collm_envs.env import TextEnv
from collm_envs.keyword_docs import (
    KEYWORDS,
    Keyword,
    general_keywords,
    keyword_rows,
    keyword_table,
    markdown_table,
)
from collm_envs.pages.markup import escape
from collm_envs.pages.report import code, prose, report, section, table
from collm_envs.registry import home, make, registry, task_class

GENERAL = "Of every task of more than one agent:"
_HEADED = re.compile(r"\*\*([^*]+?)\.?\*\*([,:]?)\s*(.*)", re.DOTALL)


class Block(NamedTuple):
    """A paragraph of a docstring, or an indented block."""

    kind: Literal["text", "code"]
    heading: str
    """"" if the paragraph has none"""
    body: str


def blocks(id: str) -> Iterator[Block]:
    """The paragraphs of the docstring of an environment's task but the list of keywords.

    Raises ValueError if there is no docstring.
    """
    text = inspect.getdoc(task_class(id))
    if not text:
        raise ValueError(f"{id}: its class has no docstring to make a page of")
    for part in re.split(r"\n\s*\n", text):
        if part.startswith(KEYWORDS):
            continue
        if all(line.startswith("    ") for line in part.split("\n")):
            yield Block("code", "", textwrap.dedent(part))
        elif headed := _HEADED.fullmatch(part):
            heading, goes_on, body = headed.groups()
            yield Block("text", heading, body[:1].upper() + body[1:] if goes_on else body)
        else:
            yield Block("text", "", part)


def facts(env: TextEnv) -> list[tuple[str, str]]:
    """[(name, value)]: facts about an environment made without keywords."""
    task, spec = env.task, env.spec
    low, high = task.reward_range
    name = f"{module}:{spec.id}" if (module := home(spec)) else spec.id
    return [
        ("made by", f"`collm_envs.make({name!r})`"),
        ("agents", ", ".join(task.agents)),
        ("turns", str(task.max_turns)),
        ("reward a turn", f"{low:g} to {high:g}, the same for all agents"),
        ("items", " + ".join(f"{len(env.items(split))} {split}" for split in ("train", "eval"))),
        ("scripted players", ", ".join(task.players)),
        ("class", f"`{spec.entry_point}`"),
        ("content hash", f"`{(spec.content_hash or '')[:16]}`"),
    ]


def spaces(env: TextEnv) -> list[tuple[str, str]]:
    """[(name, value)]: what PettingZoo's methods of an environment take and give."""
    agent = env.possible_agents[0]
    _, infos = env.reset(seed=0)
    return [
        ("observation space", f"`{env.observation_space(agent)!r}`: the newest message to the agent"),
        ("action space", f"`{env.action_space(agent)!r}`: its text"),
        ("`env.state()`", "what all agents have read and written so far, as one text"),
        ("`infos[agent]`", ", ".join(f"`{name}`" for name in infos[agent])),
    ]


def first_prompt(env: TextEnv) -> tuple[str, str]:
    """(a title that names agent and item, the first agent's first prompt on that item)."""
    item = env.items("eval")[0].id
    observations, _ = env.reset(seed=0, options={"item": item})
    agent = env.possible_agents[0]
    return f"what {agent} reads first on item {item}", observations[agent]


def markdown(ids: Sequence[str] = ()) -> str:
    """The pages of `ids` (default: all) as one Markdown text."""
    return "\n\n".join(_markdown_page(id) for id in ids or registry) + "\n"


def _markdown_page(id: str) -> str:
    env = make(id)
    where, prompt = first_prompt(env)
    parts = [f"# {id}"]
    for block in blocks(id):
        if block.kind == "code":
            parts.append(textwrap.indent(block.body, "    "))
        else:
            parts.append(f"**{block.heading}.** {block.body}" if block.heading else block.body)
    parts.append(markdown_table(("fact", "by default"), [*facts(env), *spaces(env)]))
    parts += [keyword_table(keyword_rows(id)), GENERAL, keyword_table(general_keywords())]
    parts.append(f"{where[0].upper()}{where[1:]}:\n\n{textwrap.indent(prompt, '    ')}")
    return "\n\n".join(parts)


def html(ids: Sequence[str] = ()) -> str:
    """The pages of `ids` (default: all) as one self-contained HTML page."""
    ids = list(ids or registry)
    overview = "".join(f'<li><a href="#{id}">{id}</a> {escape(registry[id].summary)}</li>' for id in ids)
    sections = [f"<ul>{overview}</ul>", *(f'<div id="{id}">{_html_page(id)}</div>' for id in ids)]
    return report("Environments" if len(ids) > 1 else ids[0], sections, about="collm")


def _html_page(id: str) -> str:
    env = make(id)
    parts = []
    for block in blocks(id):
        heading = f"<h3><b>{escape(block.heading)}</b></h3>" if block.heading else ""
        parts.append(heading + (prose if block.kind == "text" else code)(block.body))
    where, prompt = first_prompt(env)
    plain = [(name.strip("`"), value.replace("`", "")) for name, value in (*facts(env), *spaces(env))]
    parts += [table(("fact", "by default"), plain), table(Keyword._fields, keyword_rows(id))]
    parts += [prose(GENERAL), table(Keyword._fields, general_keywords())]
    parts += [f"<h3><b>{escape(where[0].upper() + where[1:])}</b></h3>", code(prompt)]
    return section(id, *parts, note=registry[id].summary)
