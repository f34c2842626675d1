"""What the summaries of TLDR-v1 earn."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from collm_envs.task import Rejected, Score
from collm_envs.writing.facts import CORE, Fact, TextReading, read_post, read_text
from collm_envs.writing.fluency import ramp
from collm_envs.writing.score import SHOWN_CHARS

BRIEF_WORDS = (4, 8, 35, 90)
"""of a brief text: worth 0, 1, 1 and 0 at these lengths, straight lines between"""


def summary_score(
    prompt: str, facts: tuple[Fact, ...], texts: Sequence[str], writers: Sequence[str]
) -> Score:
    """Reward and metrics of a brief text and one or more detailed ones, the k-th written by `writers[k]`."""
    post = read_post(prompt)
    brief, *later = [read_text(text, post, facts) for text in texts]
    lengths = [
        _brief_length(brief.length),
        *(_detailed_length(reading.length, post.length) for reading in later),
    ]
    full = [length * reading.gate for length, reading in zip(lengths, [brief, *later], strict=True)]
    most = min(CORE, len(facts))
    parts = {
        "brief": min(1.0, sum(brief.hit) / most) * full[0],
        "detailed": fmean(
            sum(reading.hit) / len(facts) * value for reading, value in zip(later, full[1:], strict=True)
        ),
        "together": fmean(
            _together(brief, reading) * full[0] * value
            for reading, value in zip(later, full[1:], strict=True)
        ),
    }
    reward = sum(parts.values())
    metrics = {
        "score": reward / 3.0,
        "contradicted": float(sum(reading.wrong for reading in [brief, *later])),
        **_metrics("brief", [brief]),
        **_metrics("detailed", later),
    }
    accepted: dict[str, list[str]] = {agent: [] for agent in writers}
    rejected: dict[str, list[Rejected]] = {agent: [] for agent in writers}
    for text, agent, reading, value, length in zip(
        texts, writers, [brief, *later], full, lengths, strict=True
    ):
        if value > 0:
            accepted[agent].append(text)
        else:
            names = {"length": length, **reading.gates}
            why = ", ".join(name.replace("_", " ") for name, gate in names.items() if not gate)
            rejected[agent].append(
                Rejected(text[:SHOWN_CHARS], f"earns nothing: {why or 'too little of all'}")
            )
    return Score(reward, parts, metrics, accepted, rejected)


def _brief_length(n: int) -> float:
    zero, low, high, end = BRIEF_WORDS
    return ramp(n, zero, low) * ramp(n, end, high)


def _detailed_length(n: int, post: int) -> float:
    return ramp(n, 10, 25) * ramp(n, max(112.0, 0.8 * post), max(70.0, 0.5 * post))


def _together(brief: TextReading, detailed: TextReading) -> float:
    """Share of the brief text's facts that the detailed one has, times that of the others that it adds."""
    pairs = list(zip(brief.hit, detailed.hit, strict=True))
    if not any(brief.hit):
        return 0.0
    agree = sum(b and d for b, d in pairs) / sum(brief.hit)
    missing = len(pairs) - sum(brief.hit)
    return agree * sum(d and not b for b, d in pairs) / max(1, missing)


def _metrics(kind: str, readings: Sequence[TextReading]) -> dict[str, float]:
    """Means over the texts of a kind."""
    means = {
        f"{kind}_facts": fmean(sum(reading.hit) for reading in readings),
        f"{kind}_words": fmean(reading.length for reading in readings),
    }
    return means | {
        f"{kind}_{name}": fmean(reading.gates[name] for reading in readings) for name in readings[0].gates
    }
