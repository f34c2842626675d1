"""The data of an entry: `entry.json`, parsed strictly."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal, get_args

from collm_envs.evaluation.stats import Summary
from collm_envs.shapes import MAX_DEPTH, fits, too_deep
from leaderboard.bundle import ENTRY, Bundle, NotAccepted, opened, read
from leaderboard.claim import Claim
from leaderboard.lists import LISTS
from leaderboard.training import Curves

FORMAT = 2
MAX_JSON_BYTES = 2**18
MAX_TEXT_CHARS = 2000
MAX_ENTRIES = 256
"""of a list or table in an entry"""
Kind = Literal["scripted", "prompted", "trained"]


@dataclass(frozen=True, kw_only=True)
class About:
    """The part of an entry that the submitter writes."""

    name: str
    """name of the entry: lower-case letters, digits and dashes"""
    kind: Kind
    """scripted: texts by a program; prompted: by untrained models; trained: by models trained on the task"""
    method: str
    """the protocol or algorithm, e.g. discussion, MAGRPO, CoLLM-CC"""
    models: Sequence[str] = ()
    """every model with its revision, e.g. `Qwen/Qwen3-1.7B@70d244c`"""
    command: str = ""
    """the training command, or the one that played the episodes"""
    seeds: Sequence[int] = ()
    """training seeds, one for each run"""
    tokens: int | None = None
    """tokens trained on, all runs together"""
    hardware: str = ""
    """machine of training and evaluation"""
    commit: str = ""
    """commit of the code"""
    licence: str = ""
    """licence of the texts in the records; needed, so that others may use them"""
    contact: str = ""
    """contact for questions"""


@dataclass(frozen=True, kw_only=True)
class Entry(About):
    """A row of the board."""

    format: int
    env: str
    list: str
    """name of the public evaluation list"""
    kwargs: Mapping[str, Any]
    """keywords of the list, and `num_agents` if a single agent did all the work"""
    agents: int
    """number of agents"""
    version: str
    """version of the collm package that played the episodes"""
    content_hash: str
    """content hash of the environment"""
    date: str
    runs: Mapping[str, str]
    """{record file: its sha256}"""
    claim: Claim
    score_by_run: Sequence[float]
    curves: Curves
    """for each run [(step, return)] of its evaluations during training, as reported; empty if unknown"""

    @property
    def id(self) -> str:
        """Path of the entry under entries/: LIST/NAME."""
        return f"{self.list}/{self.name}"

    def to_json(self) -> str:
        """The text of entry.json."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def check_about(about: About) -> None:
    """Raises ValueError that names the missing or malformed field."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", about.name):
        raise ValueError(f"name must be lower-case letters, digits and dashes, got {about.name!r}")
    if about.kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {about.kind!r}")
    required = ["method", "licence", "contact", "command"]
    required += ["models"] * (about.kind != "scripted") + ["seeds", "hardware", "commit"] * (
        about.kind == "trained"
    )
    for name in required:
        if not getattr(about, name):
            raise ValueError(f"{name} is needed for an entry of kind {about.kind!r}")


def read_entry(bundle: Bundle) -> tuple[Entry, bytes]:
    """(entry, bytes that its digest is computed of).  NotAccepted that names the malformed field.

    The bytes are those of entry.json without a byte order mark and with "\\n" as line ends, because git and
    editors may change both.
    """
    with opened(bundle, ENTRY) as file:
        raw = read(file, ENTRY, MAX_JSON_BYTES + 1)
    if len(raw) > MAX_JSON_BYTES:
        raise NotAccepted(ENTRY, f"more than {MAX_JSON_BYTES} bytes")
    raw = raw.removeprefix(BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        data = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise NotAccepted(ENTRY, f"not JSON ({error})") from error
    if not isinstance(data, dict):
        raise NotAccepted(ENTRY, f"need a JSON object, got {type(data).__name__}")
    if too_deep(data):
        raise NotAccepted(ENTRY, f"nested more than {MAX_DEPTH} deep")
    expected = {field.name for field in fields(Entry)}
    for name in sorted(expected ^ set(data)):
        raise NotAccepted(ENTRY, f"field {name!r} is {'missing' if name in expected else 'unknown'}")
    for name, shape in _SHAPES.items():
        if not fits(data[name], shape, MAX_ENTRIES):
            raise NotAccepted(ENTRY, f"field {name!r} is malformed: {repr(data[name])[:80]}")
    entry = Entry(**data)
    try:
        check_about(entry)
    except ValueError as error:
        raise NotAccepted(ENTRY, str(error)) from error
    if sorted(entry.runs) != sorted(bundle.runs()):
        raise NotAccepted(ENTRY, f"field 'runs' names {sorted(entry.runs)}, the entry holds {bundle.runs()}")
    _check_runs(entry)
    if entry.curves and len(entry.curves) != len(entry.runs):
        raise NotAccepted(
            ENTRY, f"field 'curves': need one for each of {len(entry.runs)} runs, got {len(entry.curves)}"
        )
    return entry, raw


def _check_runs(entry: Entry) -> None:
    """NotAccepted if two runs are the same file or have the same training seed.

    Teams of K seeds mix in K (K - 1) ways, and a cross-play entry has a run of each.
    """
    mixed = LISTS[entry.list].mixed
    if len(entry.runs) > 1 and entry.kind != "trained":
        raise NotAccepted(ENTRY, "field 'runs': only an entry of kind 'trained' has more than one")
    if mixed and (entry.kind != "trained" or len(entry.runs) != len(entry.seeds) * (len(entry.seeds) - 1)):
        raise NotAccepted(
            ENTRY,
            "field 'runs': an entry of cross-play is of trained teams and has a run for each first and each "
            f"other second team; got {len(entry.runs)} of the seeds {list(entry.seeds)}",
        )
    if entry.kind == "trained" and not mixed and len(entry.seeds) != len(entry.runs):
        raise NotAccepted(
            ENTRY, f"field 'seeds': need one for each of {len(entry.runs)} runs, got {entry.seeds}"
        )
    if len(set(entry.seeds)) < len(entry.seeds):
        raise NotAccepted(ENTRY, f"field 'seeds': {entry.seeds} has one twice")
    name_of: dict[str, str] = {}
    for name, digest in entry.runs.items():
        if digest in name_of:
            raise NotAccepted(ENTRY, f"field 'runs': {name_of[digest]} and {name} are one file")
        name_of[digest] = name


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT_CHARS


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def _number(value: Any) -> bool:
    return _whole(value) or (type(value) is float and isfinite(value))


_SUMMARY = {name: (_number, None) if name in ("low", "high") else _number for name in Summary._fields}
_SHAPES: dict[str, Any] = {
    **dict.fromkeys(
        ("name", "kind", "method", "command", "hardware", "commit", "licence", "contact", "env"), _text
    ),
    **dict.fromkeys(("version", "content_hash", "date"), _text),
    "list": lambda value: isinstance(value, str) and value in LISTS,
    "models": [_text],
    "seeds": [_whole],
    "tokens": (None, lambda value: _whole(value) and value >= 0),
    "format": lambda value: value == FORMAT and type(value) is int,
    "runs": {_text: _text},
    "claim": lambda value: fits(value, {_text: _SUMMARY}, MAX_ENTRIES) and "score" in value,
    "score_by_run": [_number],
    "kwargs": dict,
    "agents": _whole,
    "curves": [[lambda point: fits(point, [_number]) and len(point) == 2 and _whole(point[0])]],
}
