"""Text to token ids in which content stays text: only a chat template's own marks become control tokens.

A post, or the text of a team mate, may spell `<|im_end|>`.  A tokenizer would make of it the token that ends
a turn, and whoever wrote it would write in the name of others.  `Encoder.encode(before, content, after)`
gives the ids of the three strings joined, exactly the tokenizer's own wherever `content` spells no control
token; where it does, it is spelt out in ordinary tokens.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from tokenizers.pre_tokenizers import Metaspace
from transformers import GenerationConfig, PreTrainedTokenizerBase


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Every token that text must not turn into: special ones, and added ones such as `<think>` or `[INST]`.

    Added tokens of blanks, letters and digits alone are vocabulary, no marks.  -> text of the token -> id
    """
    out = {}
    for id, token in tokenizer.added_tokens_decoder.items():
        mark = any(not (c.isalnum() or c.isspace() or c == "▁") for c in token.content)
        if token.content and (token.special or mark):
            out[token.content] = id
    for text, id in zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True):
        out.setdefault(text, id)
    return out


def end_tokens(generation: GenerationConfig | None, tokenizer: Any) -> set[int]:
    """Every token that ends a text, from the tokenizer and from the model's generation settings, if any."""
    configured = None if generation is None else generation.eos_token_id
    ends = {tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])}
    return {end for end in ends if end is not None}


TEXTS_KEPT = 1024
"""texts whose ids are kept: the episodes of a group, and every agent's critic, read the same prompts"""


class Encoder:
    """A tokenizer and its control tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer: Any = tokenizer
        self.control = control_tokens(tokenizer)
        literals = sorted(self.control, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, literals)) or r"(?!)")
        flagged = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
        self.special = flagged | set(tokenizer.all_special_ids)
        unknown = self.tokenizer.unk_token
        # what a tokenizer cannot spell is unknown to it: no mark, unless the same token ends or opens a text
        self.unknown = None if unknown is None else self.control.get(unknown)
        ends = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
        if self.unknown in ends:
            self.unknown = None
        self.marks = set(self.control.values()) - {self.unknown}
        self._marks_of_template = cache(lambda text: self._marks_in(self.ids(text)))
        self._kept = lru_cache(TEXTS_KEPT)(lambda *parts: tuple(self._encode(*parts)))

    def ids(self, text: str) -> list[int]:
        """The tokenizer's own ids of a text, control tokens included, nothing added."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def encode(self, before: str, content: str, after: str) -> list[int]:
        """Ids of the three strings joined; control tokens come from `before` and `after` alone."""
        return list(self._kept(before, content, after))

    def _encode(self, before: str, content: str, after: str) -> list[int]:
        ids = self.ids(before + content + after)
        expected_marks = self._marks_of_template(before) + self._marks_of_template(after)
        if self._marks_in(ids) == expected_marks and not self._spells_unknown(content):
            return ids
        head, tail = self._last_mark(before), self._first_mark(after)
        text = before[head:] + content + after[:tail]
        opening, closing = self.ids(before[:head]), self.ids(after[tail:])
        flags = self.tokenizer.added_tokens_decoder
        if opening and opening[-1] in flags and flags[opening[-1]].rstrip:
            text = text.lstrip()
        if closing and closing[0] in flags and flags[closing[0]].lstrip:
            text = text.rstrip()
        return [*opening, *self.plain(text, start=not opening), *closing]

    def plain(self, text: str, start: bool = True) -> list[int]:
        """Ids of a text without any control token.  `start`: nothing stands before it."""
        ids = self._without_added_tokens(text, start)
        if not self.marks.isdisjoint(ids):  # a vocabulary that holds a mark as a word: cut the word
            cuts = [match.start() + 1 for match in self.pattern.finditer(text)]
            pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
            ids = [
                id
                for k, piece in enumerate(pieces)
                for id in self._without_added_tokens(piece, start and k == 0)
            ]
        return [id for id in ids if id not in self.marks]

    def _without_added_tokens(self, text: str, start: bool) -> list[int]:
        if not text:
            return []
        if not self.tokenizer.is_fast:
            return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        backend = self.tokenizer.backend_tokenizer
        words, splitter = [text], backend.pre_tokenizer
        if backend.normalizer is not None:
            words = [backend.normalizer.normalize_str(text)]
        if isinstance(splitter, Metaspace) and splitter.prepend_scheme == "first" and not start:
            splitter = Metaspace(splitter.replacement, prepend_scheme="never", split=splitter.split)
        if splitter is not None:
            words = [word for word, _ in splitter.pre_tokenize_str(words[0])]
        return [token.id for word in words for token in backend.model.tokenize(word)]

    def _marks_in(self, ids: list[int]) -> list[int]:
        return [id for id in ids if id in self.marks]

    def _spells_unknown(self, content: str) -> bool:
        return self.unknown is not None and self.tokenizer.unk_token in content

    def _last_mark(self, text: str) -> int:
        """Index after the last control token in a text; 0 without any."""
        return max((match.end() for match in self.pattern.finditer(text)), default=0)

    def _first_mark(self, text: str) -> int:
        """Index of the first control token in a text; len(text) without any."""
        match = self.pattern.search(text)
        return match.start() if match else len(text)
