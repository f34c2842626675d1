"""Turns messages into tokens with the model's chat template, one new message at a time.

Tokens of earlier turns are never made again, so a policy is trained on the tokens that it read and wrote,
and its key-value memory stays valid.  A template renders whole conversations only.  To learn what it writes
before and after the message of turn t, a conversation of t turns is rendered with placeholders for all
messages and replies, and the text around the t-th placeholder is cut out.  Changes that a template makes to
earlier turns (Qwen3 removes their thinking, Mistral puts a blank before a reply) have no effect.

A control token spelt in the content of a message becomes ordinary tokens (lm/tokens.py).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from functools import cache, lru_cache
from typing import Any, NamedTuple

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from baselines.lm.tokens import TEXTS_KEPT, Encoder
from collm_envs.policies import thinking as thoughts

REFUSALS = (TemplateError, TypeError, ValueError, KeyError, AttributeError)
"""what a chat template that cannot render a conversation may raise"""


class Surround(NamedTuple):
    """The text that a template writes before and after the content of one message."""

    before: str
    after: str


class Renderer:
    """Messages to token ids for one tokenizer.

    `thinking=False` asks the template for answers without a thinking block.  `ends` are the ids of tokens
    the model ends a text with, beside the tokenizer's own.  `first(message)` opens a history;
    `following(message, closed)` continues it after a reply, which was `closed` if it ended its turn itself.
    Raises ValueError for a template that cannot write one message of a user, or writes one more than once.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, thinking: bool = False, ends: Collection[int] = ()
    ):
        self.tokenizer: Any = tokenizer
        self.thinking = thinking
        self.encoder = Encoder(tokenizer)
        self.chat = tokenizer.chat_template is not None
        self.ends = {*ends}
        if self.tokenizer.eos_token_id is not None:
            self.ends.add(self.tokenizer.eos_token_id)
        self._frame, self._reply_frame = cache(self._probe_message), cache(self._probe_reply)
        self._opening, self._content = cache(self._opening_ids), lru_cache(TEXTS_KEPT)(self._write_content)
        self._shape = self._first_shape() if self.chat else 0
        self.mark, self._ends_turn, self._stops = self._turn_mark() if self.chat else ("", False, False)
        opened = self.chat and self._frame(1).after.rstrip().endswith(thoughts.OPENS)
        self.opened = opened
        """whether the template opens a thinking block at the beginning of a reply"""

    @property
    def end(self) -> int | None:
        """The token by which the template itself ends a reply that is the last; None where it writes none."""
        return self.encoder.control[self.mark] if self._stops else None

    @property
    def stops(self) -> set[int]:
        """Every token at which sampling ends: `ends`, and the template's own."""
        return self.ends if self.end is None else self.ends | {self.end}

    def first(self, message: str) -> list[int]:
        """Ids of the message that opens a history, up to where the reply begins."""
        if not self.chat:
            return self.text_ids(message, first=True)
        before, after = self._frame(1)
        return self.encoder.encode(before, self._content(message, 1), after)

    def following(self, message: str, closed: bool, turn: int = 2, *, answered: bool = False) -> list[int]:
        """Ids of a later message, the `turn`-th of its history, up to where the reply begins.

        `closed`: the token that ends the reply before it stands there already.  `answered`: the reply is
        not to be sampled; the message ends as the template ends it before a reply that is given.
        """
        if not self.chat:
            return self.encoder.encode("\n", message, "\n")
        before, after = self._frame(turn)
        if answered:
            after = self._lead(turn)[0]
        content, mark = self._content(message, turn), self.encoder.control.get(self.mark)
        if not closed or mark is None:
            return self.encoder.encode(before, content, after)
        # encoded behind the mark, as the template has it: a tokenizer may read what follows differently
        before = self.mark + before.partition(self.mark)[2]
        ids = self.encoder.encode(before, content, after)
        return ids[ids.index(mark) + 1 :]

    def text_ids(self, text: str, first: bool) -> list[int]:
        """Ids of a text without any template, none of them a control token but what opens the `first`."""
        return [*(self._opening() if first else []), *self.encoder.encode("", text, "")]

    def reply(self, text: str, turn: int = 1) -> list[int]:
        """Ids of a reply that was not sampled, with the mark by which the template ends it."""
        eos = self.tokenizer.eos_token_id
        if not self.chat:
            return [*self.encoder.encode("", text, ""), *([] if eos is None else [eos])]
        _, extra = self._lead(turn)
        between = self._frame(turn + 1).before
        closing = "".join(between.partition(self.mark)[:2]) if self._ends_turn else ""
        ids = self.encoder.encode(extra, self._reply_content(text, turn), closing)
        return ids if self.mark or eos is None else [*ids, eos]

    def answered(self, message: str, closed: bool, turn: int) -> list[int]:
        """Ids of a message whose reply is given (`reply`), not sampled."""
        if turn > 1 or not self.chat:
            return self.first(message) if turn == 1 else self.following(message, closed, turn, answered=True)
        return self.encoder.encode(self._frame(1).before, self._content(message, 1), self._lead(1)[0])

    def ended(self, ids: list[int]) -> bool:
        """Whether a reply of these tokens has ended its turn: the template's mark is not written again."""
        mark = self.encoder.control.get(self.mark)
        if not ids or (ids[-1] not in self.ends and not (self._ends_turn and ids[-1] == mark)):
            return False
        return self._ends_turn or mark is None or ids[-1] == mark

    def text(self, ids: list[int], eos: Collection[int]) -> str:
        """The text passed to the environment: without the end-of-text token and without thinking."""
        return self._parts(ids, eos)[1]

    def thought(self, ids: list[int], eos: Collection[int]) -> str:
        """The thinking in a reply; "" without any."""
        return self._parts(ids, eos)[0]

    def _parts(self, ids: list[int], eos: Collection[int]) -> tuple[str, str]:
        if ids and ids[-1] in eos:
            ids = ids[:-1]
        special, control = self.encoder.special, self.encoder.control
        marks = thoughts.MARKS | set(thoughts.HARMONY if thoughts.HARMONY[0] in control else ())
        thinks = {control[mark] for mark in marks & control.keys()}
        skip = special.isdisjoint(thinks)
        if not skip:  # marks that are special tokens must be seen, or the thought reads as the answer
            ids = [id for id in ids if id not in special - thinks]
        text = self.tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
        if not (self.thinking or self.opened or thoughts.begins(text)):
            return "", text  # no thinking was asked for, and none was begun: marks in it are text
        answer, thought = thoughts.split(text, self.opened)
        return thought, answer

    def _opening_ids(self) -> list[int]:
        """Ids that the tokenizer adds before a text; those it adds after a text are left out."""
        ids, bare = self.tokenizer("a")["input_ids"], self.encoder.ids("a")
        at = next(k for k in range(len(ids)) if ids[k : k + len(bare)] == bare)
        return ids[:at]

    # what the template writes

    def _template(self, messages: list[tuple[str, str]], prompt: bool, shape: int | None = None) -> str:
        shape = self._shape if shape is None else shape
        talk: list[dict[str, Any]] = [{"role": role, "content": content} for role, content in messages]
        if shape == 1:  # it demands a system message
            talk.insert(0, {"role": "system", "content": ""})
        if shape == 2:  # it reads content in parts
            talk = [m | {"content": [{"type": "text", "text": m["content"]}]} for m in talk]
        return self.tokenizer.apply_chat_template(
            talk,
            add_generation_prompt=prompt,
            tokenize=False,
            enable_thinking=self.thinking,
            thinking=self.thinking,
        )

    def _first_shape(self) -> int:
        """Index of the first form of a user's message that this template can render."""
        problem: Exception | None = None
        for shape in range(3):
            try:
                if _said(1) in self._template([("user", _said(1))], True, shape):
                    return shape
            except REFUSALS as error:
                problem = problem or error
        reason = str(problem or "it leaves out what the user says").splitlines()[0]
        name = self.tokenizer.name_or_path
        raise ValueError(f"the chat template of {name!r} cannot write one message of a user: {reason}")

    def _past(self, turn: int) -> list[tuple[str, str]]:
        """Placeholder messages and replies before the `turn`-th message."""
        return [pair for k in range(1, turn) for pair in (("user", _said(k)), ("assistant", _replied(k)))]

    def _probe_message(self, turn: int) -> Surround:
        """The text around the content of the `turn`-th message, starting after the reply before it."""
        try:
            text = self._template([*self._past(turn), ("user", _said(turn))], True)
        except REFUSALS:
            text = ""
        _, reply, behind = text.rpartition(_replied(turn - 1)) if turn > 1 else ("", "-", text)
        before, message, after = behind.partition(_said(turn))
        if again := _PLACEHOLDER.search(before + after):
            raise ValueError(
                f"the chat template of {self.tokenizer.name_or_path!r} repeats the message of turn "
                f"{again[1]} beside that of turn {turn}, which a history that only grows cannot hold"
            )
        if reply and message:
            return Surround(before, after)
        warnings.warn(
            f"the chat template of {self.tokenizer.name_or_path!r} does not write later turns; every message "
            "is rendered as the first is",
            stacklevel=2,
        )
        before, after = self._frame(1)
        bos = self.tokenizer.bos_token or ""
        eos = self.tokenizer.eos_token or ""
        return Surround(eos + before.removeprefix(bos), after)

    def _write_content(self, message: str, turn: int) -> str:
        """A message as the template writes it at this turn: some trim it, some change it."""
        before, after = self._frame(turn)
        try:
            text = self._template([*self._past(turn), ("user", message)], True)
        except REFUSALS:
            return message
        if turn > 1:
            text = text.rpartition(_replied(turn - 1))[2]
        return _inside(text, before, after, message)

    def _probe_reply(self, turn: int) -> Surround | None:
        """The text around the `turn`-th reply of a rendered conversation; None where it lacks the reply."""
        before, reply, after = self._after_message(_replied(turn), turn).partition(_replied(turn))
        return Surround(before, after) if reply else None

    def _reply_content(self, text: str, turn: int) -> str:
        """A reply as the template writes it among earlier turns."""
        frame = self._reply_frame(turn)
        return text if frame is None else _inside(self._after_message(text, turn), *frame, text)

    def _after_message(self, reply: str, turn: int) -> str:
        """What is rendered between the `turn`-th message and the next one, with this reply; "" if refused."""
        talk = [*self._past(turn), ("user", _said(turn)), ("assistant", reply), ("user", _said(turn + 1))]
        try:
            text = self._template(talk, True)
        except REFUSALS:
            return ""
        return text.partition(_said(turn))[2].rpartition(_said(turn + 1))[0]

    def _lead(self, turn: int) -> tuple[str, str]:
        """What ends a message whose reply is given, and what then comes before the words of that reply."""
        prompt, frame = self._frame(turn).after, self._reply_frame(turn)
        if frame is None:
            return prompt, ""
        if frame.before.startswith(prompt):
            return prompt, frame.before[len(prompt) :]
        return frame.before, ""

    def _turn_mark(self) -> tuple[str, bool, bool]:
        """The control token that the template writes first after a reply that a message follows.

        -> the token, whether it ends the reply, and whether it ends the last reply of a conversation too.
        GLM's `<|user|>` ends none: it opens the next message; the model may still end with it.  gpt-oss ends
        the last reply by `<|return|>` and those before it by `<|end|>`, after which a model may go on.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when a second message comes
            between = self._frame(2).before
        self._frame.cache_clear()
        match = self.encoder.pattern.search(between)
        if match is None or between[: match.start()].strip():
            return "", False, False
        mark, last = match.group(), self._after_last_reply()
        if mark == self.tokenizer.eos_token or last.startswith(mark):
            return mark, True, True
        ended = any(last.startswith(text) for text, id in self.encoder.control.items() if id in self.ends)
        if ended and self._frame(1).after.lstrip().startswith(mark):  # it closes a user's message too
            return mark, True, False
        return (mark, False, False) if self.encoder.control[mark] in self.ends else ("", False, False)

    def _after_last_reply(self) -> str:
        """What the template writes after a reply that nothing follows; "" where it refuses."""
        try:
            text = self._template([("user", _said(1)), ("assistant", _replied(1))], False)
        except REFUSALS:
            return ""
        return text.rpartition(_replied(1))[2].lstrip()


def _inside(text: str, before: str, after: str, otherwise: str) -> str:
    """The part of `text` between `before` and `after`; `otherwise` where these do not enclose it."""
    framed = text.startswith(before) and text.endswith(after) and len(text) >= len(before) + len(after)
    return text[len(before) : len(text) - len(after)] if framed else otherwise


_PLACEHOLDER = re.compile(r"(?:Say|Reply)-7519-(\d+)\.")


def _said(turn: int) -> str:
    return f"Say-7519-{turn}."


def _replied(turn: int) -> str:
    return f"Reply-7519-{turn}."
