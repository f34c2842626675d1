"""The space of texts: cheap to build, to check and to sample, and loud where a library would garble it."""

from __future__ import annotations

import re
import string
from typing import Any

import numpy as np
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import Text
from gymnasium.spaces.utils import flatdim, flatten, flatten_space, unflatten
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory

SURROGATE = re.compile("[\ud800-\udfff]")
"""half of a UTF-16 pair on its own: a `str` in Python that cannot be written as UTF-8"""


class TextSpace(Text):
    """Every `str` of `min_length` to `max_length` characters that can be written as UTF-8.

    `gymnasium.spaces.Text` checks each character against an alphabet: the default one has no blank, and
    one for all of Unicode takes seconds to build and 46 MB to pickle.  Here membership is type, length and
    the absence of lone surrogates, in constant time for ASCII.  `sample` draws at most
    `SAMPLE_CHARS` printable characters.  Vector environments with shared memory and `flatten` would
    silently return wrong text, so both raise `CustomSpaceError`.
    """

    SAMPLE_CHARS = 1024

    def __init__(
        self,
        max_length: int,
        *,
        min_length: int = 0,
        charset: str = string.printable,
        seed: int | np.random.Generator | None = None,
    ):
        super().__init__(max_length, min_length=min_length, charset=charset, seed=seed)
        self._letters = np.array(sorted(charset))

    def contains(self, x: Any) -> bool:
        if not isinstance(x, str) or not self.min_length <= len(x) <= self.max_length:
            return False
        return x.isascii() or SURROGATE.search(x) is None

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Random printable text; masks are refused, since there is no alphabet to mask."""
        if mask is not None or probability is not None:
            raise ValueError("TextSpace.sample: masks and probabilities are not supported, got one")
        high = max(self.min_length, min(self.max_length, self.SAMPLE_CHARS))
        length = int(self.np_random.integers(self.min_length, high, endpoint=True))
        return "".join(self._letters[self.np_random.integers(len(self._letters), size=length)])

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"TextSpace({self.min_length}, {self.max_length})"

    def __eq__(self, other: Any) -> bool:
        return (
            isinstance(other, TextSpace)
            and self.min_length == other.min_length
            and self.max_length == other.max_length
        )

    def __hash__(self) -> int:
        return hash((self.min_length, self.max_length))


def _refuse_shared_memory(space: TextSpace, *args: Any, **kwargs: Any) -> Any:
    raise CustomSpaceError("TextSpace: text does not fit into shared memory; use shared_memory=False")


def _refuse_flatten(space: TextSpace, *args: Any, **kwargs: Any) -> Any:
    raise CustomSpaceError("TextSpace: text is not an array; tokenize it instead of flattening it")


create_shared_memory.register(TextSpace, _refuse_shared_memory)
read_from_shared_memory.register(TextSpace, _refuse_shared_memory)
for _function in (flatten, flatdim, flatten_space, unflatten):
    _function.register(TextSpace, _refuse_flatten)
