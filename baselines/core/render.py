"""How messages become tokens: the model's chat template, applied to the new message only.

A history only grows: what has been read or written is never rendered again, so the tokens a policy is
trained on are the tokens it saw, and a key-value memory stays valid.  Templates that would rewrite earlier
turns (Qwen3 drops earlier thinking) are therefore used for the first message alone; later messages then
stand between plain turn markers, with one warning.
"""

from __future__ import annotations

import warnings
from typing import Any

from transformers import PreTrainedTokenizerBase

from collm_envs.thinking import split

_USER, _REPLY, _NEXT = "Say one.", "Reply-7519-one.", "Say-7519-two."
_THOUGHT = "<think>\nWell.\n</think>\n\n"


class Renderer:
    """Messages to token ids for one tokenizer.

    `thinking=False` asks the template for answers without a thinking block.  `first(message)` opens a
    history; `following(message, closed)` continues it after a reply, which was `closed` if it ended with
    an end-of-text token of its own.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, thinking: bool = False):
        self.tokenizer: Any = tokenizer
        self.thinking = thinking
        self.chat = tokenizer.chat_template is not None
        self.before, self.after = self._markers()

    def first(self, message: str) -> list[int]:
        if not self.chat:
            return self._ids(message, special=True)
        return self._ids(self._template([{"role": "user", "content": message}], True))

    def following(self, message: str, closed: bool) -> list[int]:
        before = self.before
        eos = self.tokenizer.eos_token
        if closed and eos and before.startswith(eos):
            before = before[len(eos) :]  # the reply has ended itself already
        return self._ids(before + message + self.after)

    def text(self, ids: list[int], eos: set[int]) -> str:
        """What the environment is given: without the end-of-text token and without thinking."""
        if ids and ids[-1] in eos:
            ids = ids[:-1]
        text = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if not self.thinking:
            return text
        return split(text, opened=self.after.rstrip().endswith("<think>"))[0].lstrip("\n")

    def _ids(self, text: str, special: bool = False) -> list[int]:
        return self.tokenizer(text, add_special_tokens=special)["input_ids"]

    def _template(self, messages: list[dict[str, str]], prompt: bool) -> str:
        return self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=prompt, tokenize=False, enable_thinking=self.thinking
        )

    def _markers(self) -> tuple[str, str]:
        """The text between a reply and the next message, and between that message and the next reply."""
        if not self.chat:
            return "\n", "\n"
        said = _THOUGHT + _REPLY if self.thinking else _REPLY
        user, reply = {"role": "user", "content": _USER}, {"role": "assistant", "content": said}
        opening = self._template([user], True)
        whole = self._template([user, reply, {"role": "user", "content": _NEXT}], True)
        held, between, after = opening + said, "", ""
        if whole.startswith(held) and _NEXT in whole:
            between, _, after = whole[len(held) :].partition(_NEXT)
            return between, after
        warnings.warn(
            f"the chat template of {self.tokenizer.name_or_path!r} rewrites earlier turns; messages after "
            "the first stand between plain turn markers instead",
            stacklevel=3,
        )
        eos = self.tokenizer.eos_token or ""
        thinks = "<think>\n" if opening.rstrip().endswith("<think>") else ""
        return f"{eos}\n\nUser: ", f"\n\nAssistant: {thinks}"
