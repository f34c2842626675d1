"""A group that shares its prompt's keys and values writes what it would write with copies of them."""

import pytest
import torch
from lm_fixtures import alone, tiny_lm, words_tokenizer

from baselines.lm.cache import Memory
from baselines.lm.policy import Context
from baselines.lm.sampling import Sampling
from baselines.lm.shared import LEAST, branches_of_all

WORDS = [f"w{k}" for k in range(12)]
LONG = " ".join(WORDS[k * 7 % 12] for k in range(LEAST + 6))


def policy(kind="qwen2", **more):
    return tiny_lm(kind, words_tokenizer(WORDS), sampling=Sampling(max_new_tokens=12), **more)


def texts(lm, shares, picks, turns=2):
    """Moves of every turn: two prompts of different lengths, and after turn t the rows `picks[t]`."""
    lm.engine.shares = shares
    talk = lm.converse(2, seed=4)
    talk.read([LONG, LONG + " w1 w2"])
    out = []
    for t in range(turns):
        talk = talk.pick(picks[t])
        assert (talk.memory.shared is not None) == (shares and t < 1 + (len(picks[1]) == len(set(picks[1]))))
        out.append(talk.write())
        if t + 1 < turns:
            talk.read([f"w{k} w3" if k % 2 else "w5" for k in range(len(picks[t]))])
    return out


PICKS = {
    "groups of three that all go on": [[0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5]],
    "some episodes have ended": [[0, 0, 0, 1, 1, 1], [5, 0, 2]],
    "a tree that branches again": [[0, 0, 1, 1], [0, 0, 1, 1, 2, 2, 3, 3]],
}


@pytest.mark.parametrize("picks", PICKS.values(), ids=PICKS)
@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_texts_and_log_probabilities_are_those_of_copies(kind, picks):
    lm = policy(kind)
    shared, copied = texts(lm, True, picks), texts(lm, False, picks)
    ended = {move.closed for moves in shared for move in moves}
    assert ended == {True, False}  # rows leave the batch at different times
    for ours, theirs in zip(shared, copied, strict=True):
        for text, copy in zip(ours, theirs, strict=True):
            assert text.ids == copy.ids
            assert torch.allclose(torch.tensor(text.logp), torch.tensor(copy.logp), atol=1e-5)
            assert torch.allclose(torch.tensor(text.logp), alone(lm, text), atol=1e-4)


def test_a_prompt_is_held_once_for_its_group():
    lm = policy()
    lm.engine.shares = True
    talk = lm.converse(2, seed=0)
    talk.read([LONG, LONG])
    group = talk.pick([0] * 4 + [1] * 4)
    group.write()
    slab = group.memory.layers[0]
    assert slab.prompt[0].data_ptr() == talk.memory.layers[0].keys.data_ptr()
    assert slab.keys.shape[0] == 8
    assert slab.length <= 12


def test_short_prompts_are_copied_and_other_picks_too():
    lm = policy()
    lm.engine.shares = True
    talk = lm.converse(2, seed=0)
    talk.read([LONG, LONG])
    assert talk.pick([0, 0, 1]).memory.shared is None
    assert talk.pick([1, 1, 0, 0]).memory.shared is None
    talk = lm.converse(2, seed=0)
    talk.read(["w1 w2", "w3"])
    assert talk.pick([0, 0, 1, 1]).memory.shared is None


def test_a_history_that_begins_anew_leaves_its_group():
    lm = policy(context=Context(max_context=LEAST + 30, overflow="drop"))

    def turns(shares):
        lm.engine.shares = shares
        talk = lm.converse(1, seed=2)
        talk.read([LONG])
        talk = talk.pick([0, 0])
        talk.write()
        talk.read(["w1 " * 20, "w2"])
        return [move.ids for move in talk.write()]

    assert turns(True) == turns(False)


@pytest.mark.parametrize(
    ("rows", "count", "times"),
    [([0, 0, 1, 1], 2, 2), ([0, 1], 2, 0), ([1, 1, 0, 0], 2, 0), ([0, 0, 1], 2, 0), ([], 0, 0)],
)
def test_only_equal_branches_of_all_rows_in_order_share(rows, count, times):
    assert branches_of_all(torch.tensor(rows, dtype=torch.long), count) == times


def test_a_memory_without_shared_prompts_is_its_own_copy():
    memory = Memory.empty(1, 2, torch.device("cpu"))
    assert memory.unshared() is memory
