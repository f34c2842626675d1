"""A group scored behind one copy of its prompt gives the numbers and gradients of a row for each text."""

import pytest
import torch
from lm_fixtures import CONFIGS, scores_of, tiny_lm, words_tokenizer

from baselines.formulas.losses import Objective
from baselines.lm.history import Message, Move
from baselines.lm.learning import Lesson, Optimizer
from baselines.lm.sampling import Sampling

TOKENIZER = words_tokenizer([f"w{k}" for k in range(20)])
SAMPLING = Sampling(temperature=0.7, top_p=0.9)


def tree():
    """Two groups of three texts of several lengths; two texts of the first go on for a turn."""
    moves = []
    for k in range(2):
        prompt = Message(None, [5 + k, 6, 7, 8, 9, 10, 11, 12][: 8 - 2 * k])
        moves += [Move(prompt, [3 + g + k] * n, [-1.0] * n) for g, n in enumerate((2, 5, 8))]
    moves += [Move(Message(move, [4, 9]), [12, 13, 14], [-1.0] * 3) for move in moves[:2]]
    return moves


@pytest.mark.parametrize("kind", CONFIGS)
def test_log_probabilities_and_gradients_are_those_of_separate_rows(kind):
    lm = tiny_lm(kind, TOKENIZER, sampling=SAMPLING)
    moves = tree()
    results = []
    for shared in (False, True):
        lm.large = shared
        lm.model.zero_grad()
        assert {scores.tokens for scores in lm.logp(moves)} == {54 if shared else 82}
        logp = torch.cat(scores_of(lm, moves))
        (logp * torch.linspace(-1, 1, len(logp))).sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in lm.parameters() if p.grad is not None])
        results.append((logp.detach(), gradient))
    for apart, together in zip(*results, strict=True):
        assert torch.allclose(apart, together, atol=1e-5 * float(apart.abs().max()), rtol=1e-4)


def test_weights_after_three_steps_are_those_of_separate_rows():
    weights = []
    for shared in (False, True):
        lm = tiny_lm("qwen3", TOKENIZER, sampling=SAMPLING)
        lm.large = shared
        lm.optimizer = Optimizer(lm.parameters(), lr=1e-4, steps=3)
        moves = tree()
        lesson = Lesson(moves, [(-1.0) ** k for k in range(len(moves))], [1 / 6] * len(moves))
        for _ in range(3):
            lm.learn(lesson, Objective())
        weights.append(torch.cat([p.detach().flatten() for p in lm.parameters()]))
    assert float((weights[0] - weights[1]).abs().max()) < 1e-5
