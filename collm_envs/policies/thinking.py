"""What a reasoning model writes before its answer, told apart from the answer.

    split("<think>\nMaybe 4.\n</think>\n\n5")      -> ("5", "Maybe 4.")
    split("Maybe 4.\n</think>\n\n5")               -> ("5", "Maybe 4.")    the template had opened it
    split("<think>\nMaybe 4, or")                  -> ("", "Maybe 4, or")  cut off while it thought

One rule for models behind endpoints and local ones: the answer begins after the last mark that closes
thinking and ends before a later one that opens it again.  A mark in quotation marks or backticks is part of
a text about marks.
"""

from __future__ import annotations

import re

PAIRS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<seed:think>", "</seed:think>"),
    ("<longcat_think>", "</longcat_think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("◁think▷", "◁/think▷"),
)
"""(opens, closes), in any case: Qwen, DeepSeek, Claude-like, Seed, LongCat, Mistral, Command, Sky-T1, Kimi"""

HARMONY = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>")
"""control tokens of gpt-oss, which writes its thinking and its answer into channels"""
OPENS = tuple(opens for opens, _ in PAIRS)
MARKS = frozenset(mark for pair in PAIRS for mark in pair)


def _any(marks: tuple[str, ...]) -> re.Pattern[str]:
    either = "|".join(map(re.escape, marks))
    return re.compile(rf"(?<![\"'`])(?:{either})|(?:{either})(?![\"'`])", re.IGNORECASE)


_OPENS, _CLOSES = (_any(marks) for marks in zip(*PAIRS, strict=True))
_CHANNEL = re.compile(
    r"<\|channel\|>(\w+)(?:(?!<\|message\|>).)*<\|message\|>(.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.S,
)
"""gpt-oss (harmony): a name and what was said in that channel"""
_CHANNEL_NAMES = re.compile(
    r"\A(?:analysis|commentary)(.*)assistant(?:commentary.*assistant)?final(.*)\Z", re.S
)
"""the same where a decoder has left the special tokens out"""


def begins(text: str) -> bool:
    """Whether a text begins with a mark that opens thinking."""
    return text.lstrip().startswith(HARMONY[0]) or _OPENS.match(text.lstrip()) is not None


def split(text: str, opened: bool = False) -> tuple[str, str]:
    """(answer, thinking) of what a model wrote; `opened` where the prompt had opened the thinking already.

    Without a mark the text is the answer as it stands, or all thinking where it was `opened`.
    """
    if HARMONY[0] in text:
        return _harmony(text)
    if names := _CHANNEL_NAMES.match(text):
        return names[2].strip("\n"), names[1].strip()
    closes = [*_CLOSES.finditer(text)]
    if not closes and opened:
        return "", text.strip()
    begins = closes[-1].end() if closes else 0
    thinking, answer = text[: closes[-1].start()] if closes else "", text[begins:]
    if again := _OPENS.search(answer):
        thinking, answer = f"{thinking}\n{answer[again.end() :]}", answer[: again.start()]
    elif not closes:
        return text, ""
    return answer.lstrip("\n"), _OPENS.sub("", _CLOSES.sub("", thinking)).strip()


def _harmony(text: str) -> tuple[str, str]:
    parts = [(match[1], match[2]) for match in _CHANNEL.finditer(text)]
    answer = "\n".join(words for channel, words in parts if channel == "final")
    return answer.strip("\n"), "\n".join(words for channel, words in parts if channel != "final").strip()
