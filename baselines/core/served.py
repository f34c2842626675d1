"""Which models are served, and how long a history each of them can read: from its configuration alone."""

from __future__ import annotations

from typing import Any, NamedTuple

POSITIONS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
)
"""what configurations call the number of positions a model was made for"""
UNLIMITED = 2**62


class Reach(NamedTuple):
    """How many tokens of a history a model can read, and the setting that says so."""

    tokens: int
    setting: str


def reach(config: Any) -> Reach:
    """The longest history of a model: what its positions were learned or trained for.

    Rotary frequencies of the kind longrope change once a text exceeds the original length, those of tokens
    already read do not; texts are sampled as they are scored up to that length only.
    """
    values = config.get_text_config().to_dict()
    limits = [Reach(values[name], name) for name in POSITIONS if isinstance(values.get(name), int)]
    rope = values.get("rope_parameters") or {}
    for one in [rope, *(part for part in rope.values() if isinstance(part, dict))]:
        if one.get("rope_type") == "longrope":
            original = one.get("original_max_position_embeddings")
            limits.append(Reach(original, "original_max_position_embeddings"))
    return min(limits, key=lambda limit: limit.tokens, default=Reach(UNLIMITED, "no limit"))


def attention_kinds(name: str, config: Any) -> tuple[set[str], int | None]:
    """The kinds of attention in a model's layers, full or sliding, and the window of the sliding ones.

    Raises ValueError naming the model where its layers keep no key-value memory that any mask may be laid on.
    """
    values = config.to_dict()
    window = values.get("sliding_window")
    default = "full_attention" if window is None else "sliding_attention"
    kinds = set(values.get("layer_types") or [default])
    if not kinds <= {"full_attention", "sliding_attention"}:
        raise ValueError(
            f"{name}: layers of the kinds {sorted(kinds)} keep no key-value memory; "
            "models whose layers all attend are supported"
        )
    return kinds, window
