"""What a Tinker server does with a step, found out by taking some: `collm tinker check URL --model NAME`.

Two fresh adapters are opened.  Steps without memory (beta1 = beta2 = 0) and with an eps far above every
gradient are steps of plain gradient descent: they move a text's log-probability in proportion to the gradient
of the loss, whatever the server divides that by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from baselines.lm.history import Move, Segment
from baselines.lm.loading import tokenizer_of
from baselines.train.placement.tinker_policy import Habits, client, row

EPS = 1e4
"""added to the root of the squared gradient: so a step is proportional to the gradient"""
VISIBLE = 1e-2
"""nats that a step has to move a text by"""


class Behaviour(NamedTuple):
    """How a server behaves."""

    moved: float
    """nats by which a step with advantage 1 moved its text"""
    strayed: float
    """nats by which that step moved the same text under the other adapter"""
    repeated: float
    """nats between two scores of one text without a step between"""
    sampled: float
    """nats a token between a text's log-probabilities as sampled and as scored"""
    habits: Habits

    def rows(self) -> list[tuple[str, str, bool]]:
        """(what, how it is, whether training is possible) for a table."""
        by_rows, by_tokens, clips = self.habits
        rounding = max(self.repeated, abs(self.moved) / 10)  # a text is scored in batches of other shapes
        divided = " and ".join(how for how, is_so in (("rows", by_rows), ("tokens", by_tokens)) if is_so)
        return [
            ("a step with advantage 1 makes its text", f"likelier by {self.moved:.2g} nats", self.moved > 0),
            ("that step moves another adapter by", f"{self.strayed:.2g} nats", self.strayed <= rounding),
            ("the same text scored twice differs by", f"{self.repeated:.2g} nats", self.repeated < 0.01),
            ("sampled against scored, a token", f"{self.sampled:.2g} nats", self.sampled < 0.2),
            ("the loss is divided by", divided or "nothing", True),
            ("gradients are clipped (grad_clip_norm)", "yes" if clips else "no", True),
        ]


class Text(NamedTuple):
    """A text to step on, and the weight of each of its tokens' advantages."""

    move: Move
    advantages: list[float]


def probe(service: Any, base: str, rank: int) -> Behaviour:
    """Find out how a server treats adapters of this base.  Takes two of its slots for adapters."""
    tokenizer: Any = tokenizer_of(base)
    ids = tokenizer("The quick brown fox jumps over the lazy dog and runs away.")["input_ids"][:16]
    trainer, other = open_two(service, base, rank)
    text = surprising(trainer, ids)
    n = len(text.ids)
    first, again, away = score(trainer, text), score(trainer, text), score(other, text)
    sampled = gap_of_sampler(trainer, text)
    rate, moved = visible_rate(trainer, text)
    strayed = abs(score(other, text) - away)
    alone = change(trainer, [Text(text, [1.0] * n)], rate)
    twice = change(trainer, [Text(text, [1.0] * n)] * 2, rate)
    # the first token of the text: alone in its row, and before others whose advantages are 0
    short = Move(text.parent, text.ids[:1])
    in_short = change(trainer, [Text(short, [1.0])], rate, watched=short)
    in_long = change(trainer, [Text(text, [1.0] + [0.0] * (n - 1))], rate, watched=short)
    clipped = change(trainer, [Text(text, [1.0] * n)], rate, clip=1e-6)
    habits = Habits(twice < 1.4 * alone, in_long < 0.85 * in_short, clipped < 0.5 * alone)
    return Behaviour(moved, strayed, abs(first - again), sampled, habits)


def open_two(service: Any, base: str, rank: int) -> list[Any]:
    """Training clients of two fresh adapters; ValueError with the reason where the server opens none."""
    from tinker import TinkerError  # pyright: ignore[reportMissingImports]

    try:
        return [
            client(service.create_lora_training_client(base_model=base, rank=rank, seed=k)) for k in (1, 2)
        ]
    except TinkerError as error:
        raise ValueError(f"the Tinker server opens no adapters of {base}: {error}") from error


def refuse(findings: Behaviour, max_grad_norm: float) -> None:
    """Raise ValueError for a server that cannot be trained on, or not with these settings."""
    wrong = [f"{what} {how}" for what, how, is_right in findings.rows() if not is_right]
    if wrong:
        raise ValueError(
            f"the Tinker server cannot be used: {'; '.join(wrong)}; `collm tinker check` says more"
        )
    if not findings.habits.clips and max_grad_norm < float("inf"):
        raise ValueError(
            f"the Tinker server cannot honour max_grad_norm={max_grad_norm:g}: it ignores grad_clip_norm; "
            "set --max-grad-norm inf"
        )


def surprising(trainer: Any, ids: Sequence[int]) -> Move:
    """A text that begins with an unlikely token, whose probability a step can raise, and goes on."""
    fourth = len(ids) // 4
    logp = token_scores(trainer, Move(Segment(None, [*ids[:fourth]]), [*ids[fourth:]]))
    begin = fourth + min(range(2 * fourth), key=lambda k: logp[k])
    return Move(Segment(None, [*ids[:begin]]), [*ids[begin:]])


def token_scores(trainer: Any, move: Move) -> list[float]:
    """log pi of every token of a text after its history."""
    zeros = [0.0] * len(move.ids)
    outputs = trainer.forward([row(move, zeros, zeros)], "importance_sampling").result().loss_fn_outputs
    return list(outputs[0]["logprobs"].data)[-len(move.ids) :]


def score(trainer: Any, move: Move) -> float:
    """log pi of a text after its history."""
    return sum(token_scores(trainer, move))


def change(
    trainer: Any, texts: Sequence[Text], rate: float, watched: Move | None = None, clip: float = 0.0
) -> float:
    """Nats by which a step on these texts moves the first of them, or `watched`."""
    from tinker import types  # pyright: ignore[reportMissingImports]

    watched = watched or texts[0].move
    before = score(trainer, watched)
    rows = [row(move, token_scores(trainer, move), advantages) for move, advantages in texts]
    adam = types.AdamParams(
        learning_rate=rate * EPS, beta1=0.0, beta2=0.0, eps=EPS, weight_decay=0.0, grad_clip_norm=clip
    )
    done, stepped = trainer.forward_backward(rows, "importance_sampling"), trainer.optim_step(adam)
    done.result()
    stepped.result()
    return score(trainer, watched) - before


def visible_rate(trainer: Any, text: Move) -> tuple[float, float]:
    """A learning rate at which a step can be seen, and the nats it moved the text by."""
    rate, moved = 1e-8, 0.0
    while rate < 1e3:
        moved = change(trainer, [Text(text, [1.0] * len(text.ids))], rate)
        if abs(moved) > VISIBLE:
            break
        rate *= 10
    return rate, moved


def gap_of_sampler(trainer: Any, text: Move) -> float:
    """Nats a token between a text's log-probabilities as they were sampled and as they are scored."""
    from tinker import types  # pyright: ignore[reportMissingImports]

    sampler = client(trainer.save_weights_and_get_sampling_client())
    prompt = types.ModelInput.from_ints([*text.chain()[0].ids])
    how = types.SamplingParams(max_tokens=8, temperature=1.0, seed=0)
    answer = sampler.sample(prompt=prompt, num_samples=1, sampling_params=how).result().sequences[0]
    move = Move(text.parent, list(answer.tokens))
    scored = token_scores(trainer, move)
    return sum(abs(a - b) for a, b in zip(answer.logprobs, scored, strict=True)) / len(scored)
