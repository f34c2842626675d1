"""One agent's prompt and text of a turn as HTML: each line marked as accepted, or rejected and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from collm_envs.pages.markup import escape, number
from collm_envs.policies.names import short_name

SHOWN_CHARS, SHOWN_LINES = 700, 14
"""a prompt of more characters or lines is folded"""
CLIPPED = 40
"""characters from which an entry may be the beginning of a longer line"""
PROSE = 120
"""characters of a line above which a text is taken for prose"""
_MARKER = re.compile(r"(?:[-*]+|\d+[.)])\s*")


class Line(NamedTuple):
    """One line of a text with its status ("ok", "no" or "") and a note."""

    text: str
    status: str = ""
    note: str = ""


def lane(turn: Mapping[str, Any], agent: str, policy: str, colour: str) -> str:
    """The HTML of an agent's prompt, text and usage; `turn` is a turn of a record."""
    accepted, rejected = turn["accepted"].get(agent, []), turn["rejected"].get(agent, [])
    counts = f'<span class="good">{len(accepted)} accepted</span>' if accepted else ""
    counts += f'<span class="bad">{len(rejected)} rejected</span>' if rejected else ""
    cut = turn["usage"].get(agent, {}).get("finish_reason") == "length"
    counts += '<span class="bad">cut at the limit</span>' if cut else ""
    facts = " · ".join(
        f"{escape(name.replace('_', ' '))} {escape(_fact(value))}"
        for name, value in turn["usage"].get(agent, {}).items()
    )
    edits = "".join(f'<p class="label bad">{escape(edit)}</p>' for edit in turn["edits"].get(agent, []))
    return (
        f'<div class="lane" style="--c:{colour}"><header><span class="agent">{escape(agent)}</span>'
        f'<span class="quiet" title="{escape(policy)}">{escape(short_name(policy))}</span></header>'
        f"{_read(turn['prompts'].get(agent, ''))}"
        f'<div class="label">wrote {counts}</div>{_wrote(turn["texts"].get(agent, ""), accepted, rejected)}'
        f"{edits}{f'<p class=label>{facts}</p>' if facts else ''}</div>"
    )


def conversation(turn: Mapping[str, Any], colours: Mapping[str, str]) -> str:
    """A message round as HTML: what each agent says to the others, and folded what it had read before."""
    messages, prompts = "", ""
    for agent, own in colours.items():
        others = _listed([other for other in colours if other != agent])
        messages += (
            f'<li style="--c:{own}"><span class="agent">{escape(agent)}</span> '
            f'<span class="quiet">to {escape(others)}</span>{_message(turn, agent)}</li>'
        )
        prompts += (
            f'<div class="lane" style="--c:{own}"><header><span class="agent">{escape(agent)}</span></header>'
            f'<pre class="text">{escape(turn["prompts"].get(agent, ""))}</pre></div>'
        )
    return (
        f'<ol class="talk">{messages}</ol><details class="read"><summary>what they had read before</summary>'
        f'<div class="lanes">{prompts}</div></details>'
    )


def _message(turn: Mapping[str, Any], agent: str) -> str:
    text = turn["texts"].get(agent, "").strip()
    body = escape(text) or '<span class="nothing">nothing</span>'
    edits = "".join(f'<p class="label bad">{escape(edit)}</p>' for edit in turn["edits"].get(agent, []))
    return f"<blockquote>{body}</blockquote>{edits}"


def _listed(names: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _fact(value: Any) -> str:
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _read(prompt: str) -> str:
    body = f'<pre class="text" tabindex="0">{escape(prompt)}</pre>'
    if len(prompt) <= SHOWN_CHARS and prompt.count("\n") < SHOWN_LINES:
        return f'<div class="read"><div class="label">read</div>{body}</div>'
    return f'<details class="read"><summary>read {len(prompt):,} characters</summary>{body}</details>'


def _wrote(text: str, accepted: Sequence[str], rejected: Sequence[Mapping[str, str]]) -> str:
    if not text.strip():
        return '<pre class="text"><span class="nothing">nothing</span></pre>'
    if not accepted and not rejected:
        return shown(text)
    kind = _kind(text)
    lines, others = annotate(text, accepted, rejected)
    other_rows = "".join(map(_row, others))
    return f'<pre class="{kind}" tabindex="0">{"".join(map(_row, lines))}</pre>' + (
        f'<div class="label">as they were read</div><pre class="{kind}" tabindex="0">{other_rows}</pre>'
        if other_rows
        else ""
    )


def shown(text: str) -> str:
    """The text, unchanged, in a box."""
    return f'<pre class="{_kind(text)}" tabindex="0">{escape(text)}</pre>'


def _kind(text: str) -> str:
    """The CSS class of a text: proportional letters for prose with long lines, else monospaced."""
    prose = "```" not in text and max(map(len, text.splitlines()), default=0) > PROSE
    return "text writing" if prose else "text"


def _row(line: Line) -> str:
    note = f"<i>{escape(line.note)}</i>" if line.note else ""
    text = f"<b>{escape(line.text)}</b>"
    return f'<span class="line {line.status}">{note + text if len(line.text) > PROSE else text + note}</span>'


def annotate(
    text: str, accepted: Sequence[str], rejected: Sequence[Mapping[str, str]]
) -> tuple[list[Line], list[Line]]:
    """(lines of the text with their status, entries that match no line).

    A record lists accepted and rejected entries, each in the order of the text, without line numbers.
    """
    lines = [Line(raw) for raw in text.splitlines()]
    if [_plain(entry) for entry in accepted] == [_plain(text)]:  # the text counted as a whole
        return [Line(line.text, "ok" if _plain(line.text) else "") for line in lines], []
    counted, refused = 0, 0
    for k, (raw, _, _) in enumerate(lines):
        plain = _plain(raw)
        if counted < len(accepted) and _is(plain, _plain(accepted[counted])):
            lines[k] = Line(raw, "ok")
            counted += 1
        elif refused < len(rejected) and _is(plain, _plain(rejected[refused]["line"])):
            lines[k] = Line(raw, "no", rejected[refused]["why"])
            refused += 1
    free = [k for k, line in enumerate(lines) if not line.status and _plain(line.text)]
    if len(free) == len(accepted) - counted:  # another spelling: every line is accounted for
        for k in free:
            lines[k] = Line(lines[k].text, "ok", accepted[counted])
            counted += 1
    others = [Line(entry, "ok") for entry in accepted[counted:]]
    others += [Line(entry["line"], "no", entry["why"]) for entry in rejected[refused:]]
    return lines, others


def _is(line: str, entry: str) -> bool:
    """Whether a line matches an entry of a record, which may be cut to the line's beginning."""
    return line == entry != "" or (len(entry) >= CLIPPED and line.startswith(entry))


def _plain(line: str) -> str:
    """A line without list marker, slash, `minecraft:` and repeated blanks."""
    bare = _MARKER.sub("", line.strip(), count=1) if _MARKER.match(line.strip()) else line.strip()
    return " ".join(bare.removeprefix("/").replace("minecraft:", "").split())
