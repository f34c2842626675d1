"""A language model as a policy: what is sampled is what is scored, whatever stands beside it in the batch."""

import pytest
import torch
from lm_fixtures import CONFIGS, END, alone, scores_of, tiny_lm, words_tokenizer, write_talk

from baselines.lm import conversations
from baselines.lm.history import Message, Move
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling, choices
from baselines.lm.tokens import end_tokens

WORDS = [f"w{k}" for k in range(20)]
TOKENIZER = words_tokenizer(WORDS)
TURNS = (
    ("w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10 w11 w12", "w13 w14"),
    ("w1 w9", "w2 w2 w2 w2 w2 w3 w4 w5 w6", "w3", "w3 w4"),
    ("w5", "w6 w7", "w8", "w9"),
)
CLOSE = {"atol": 3e-6, "rtol": 0}


def talk_of(lm, turns=TURNS, seed=0, **kwargs):
    """Every move of a conversation, turn by turn in one list."""
    return [move for moves in write_talk(lm, turns, seed, **kwargs) for move in moves]


@pytest.mark.parametrize("kind", CONFIGS)
def test_logp_of_a_padded_packed_batch_equals_the_rollouts_and_each_text_alone(kind):
    lm = tiny_lm(kind, TOKENIZER, sampling=Sampling(max_new_tokens=12))
    moves = talk_of(lm)
    assert len({len(move.ids) for move in moves}) > 2, "texts of different lengths, or nothing is tested"
    with torch.no_grad():
        for move, packed in zip(moves, scores_of(lm, moves), strict=True):
            assert torch.allclose(packed, torch.tensor(move.logp), **CLOSE)
            assert torch.allclose(packed, alone(lm, move), **CLOSE)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.6, max_new_tokens=5),
        Sampling(top_p=0.6, max_new_tokens=5),
        Sampling(top_k=4, max_new_tokens=5),
        Sampling(temperature=1.5, top_p=0.8, top_k=9, max_new_tokens=5),
    ],
)
@pytest.mark.parametrize("kind", ["qwen3", "gpt2"])
def test_scoring_takes_the_distribution_that_was_sampled(kind, sampling):
    lm = tiny_lm(kind, TOKENIZER, sampling=sampling)
    moves = talk_of(lm)
    plain = tiny_lm(kind, TOKENIZER, sampling=Sampling(max_new_tokens=5))
    with torch.no_grad():
        for move, logp in zip(moves, scores_of(lm, moves), strict=True):
            assert torch.allclose(logp, torch.tensor(move.logp), **CLOSE)
        differences = [
            float((a - b).abs().max())
            for a, b in zip(scores_of(plain, moves), scores_of(lm, moves), strict=True)
        ]
    assert max(differences) > 0.1, "at temperature 1 over all words these are other numbers"


@pytest.mark.parametrize("kind", ["llama", "mistral", "gpt2"])
def test_left_and_right_padding_agree(kind):
    lm = tiny_lm(kind, TOKENIZER)
    ids = [[5, 6, 7, 8, 9, 10, 11, 12], [13, 14, 15]]
    width = max(map(len, ids))
    left = torch.tensor([[1] * (width - len(row)) + row for row in ids])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids])
    with torch.no_grad():
        out = lm.causal(
            input_ids=left,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            use_cache=False,
        )
    moves = [Move(Message(None, row[:2]), row[2:]) for row in ids]
    with torch.no_grad():
        for k, right in enumerate(scores_of(lm, moves)):
            logp = out.logits[k, width - len(ids[k]) + 1 : -1].log_softmax(-1)
            wanted = logp.gather(-1, torch.tensor(moves[k].ids)[:, None]).squeeze(-1)
            assert torch.allclose(right, wanted, **CLOSE)


def test_a_pad_token_that_is_the_end_token_changes_nothing():
    same = words_tokenizer(WORDS)
    same.pad_token = same.eos_token
    assert same.pad_token_id == same.eos_token_id
    for kind in ("qwen3", "gpt2"):
        runs = [tiny_lm(kind, tokenizer) for tokenizer in (TOKENIZER, same)]
        a, b = (talk_of(lm) for lm in runs)
        assert [(m.ids, m.logp, m.text) for m in a] == [(m.ids, m.logp, m.text) for m in b]
        assert any(move.closed for move in a)
        for x, y in zip(scores_of(runs[0], a), scores_of(runs[1], b), strict=True):
            assert torch.equal(x, y)


def test_an_end_token_spelt_inside_a_prompt_is_read_as_text():
    lm = tiny_lm("qwen3", TOKENIZER)
    moves = talk_of(lm, [[f"w1 {END} w2", f"{END} {END} w3 w4 w5"], [f"{END}", "w4"]])
    end = TOKENIZER.eos_token_id
    assert moves[0].parent.ids.count(end) == 0
    for move in moves:
        assert torch.allclose(torch.tensor(move.logp), alone(lm, move), **CLOSE)
        assert end not in move.ids[:-1]
        assert move.text.split() == TOKENIZER.convert_ids_to_tokens([i for i in move.ids if i != end])


def test_the_end_token_is_part_of_what_is_scored_and_no_token_follows_it():
    lm = tiny_lm("llama", TOKENIZER, sampling=Sampling(max_new_tokens=40))
    moves = [move for move in talk_of(lm) if move.closed]
    assert len(moves) > 3
    for move in moves:
        assert move.ids.index(TOKENIZER.eos_token_id) == len(move.ids) - 1
        assert len(move.logp) == len(move.ids)
        assert END not in move.text


def test_a_cut_text_has_no_end_token_and_says_so():
    lm = tiny_lm("llama", TOKENIZER, sampling=Sampling(max_new_tokens=2))
    moves = talk_of(lm)
    cut = [move for move in moves if len(move.ids) == 2 and move.ids[-1] != TOKENIZER.eos_token_id]
    assert cut
    assert not any(move.closed for move in cut)


@pytest.mark.parametrize("kind", ["qwen3", "gpt2"])
def test_a_text_of_one_token_trains(kind):
    lm = tiny_lm(kind, TOKENIZER, sampling=Sampling(max_new_tokens=1))
    (move,) = talk_of(lm, [["w1 w2"]])
    assert len(move.ids) == 1
    (scores,) = lm.logp([move])
    scores.logp.sum().backward()
    assert sum(float(p.grad.abs().sum()) for p in lm.parameters() if p.grad is not None) > 0.1


def test_the_size_of_micro_batches_does_not_change_the_gradient():
    gradients = []
    for limit in (1, 30, 100_000):
        lm = tiny_lm("qwen3", TOKENIZER, micro_batch_tokens=limit)
        moves = talk_of(lm)
        weight = torch.linspace(-1, 1, len(moves))
        parts = 0
        for scores in lm.logp(moves):
            token_weight = weight[scores.moves][scores.owner]
            (token_weight * scores.logp).sum().backward()
            parts += 1
        gradients.append((parts, torch.cat([p.grad.flatten() for p in lm.parameters()])))
    assert gradients[0][0] == 4
    assert gradients[2][0] == 1
    scale = float(gradients[2][1].abs().max())
    for parts, gradient in gradients[:2]:
        assert float((gradient - gradients[2][1]).abs().max()) < 1e-6 * max(1.0, scale), parts


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_rows_that_leave_the_batch_early_change_no_text(kind, monkeypatch):
    talks = []
    for shrink in (0, 0.75, 1):
        monkeypatch.setattr(conversations, "SHRINK", shrink)
        lm = tiny_lm(kind, TOKENIZER, sampling=Sampling(temperature=0, max_new_tokens=12))
        talks.append(talk_of(lm))
        plain = tiny_lm(kind, TOKENIZER, sampling=Sampling(max_new_tokens=12))
        for move in talks[-1]:
            assert torch.allclose(torch.tensor(move.logp), alone(plain, move), **CLOSE)
    assert len({len(move.ids) for move in talks[0]}) > 1
    assert [[m.ids for m in moves] for moves in talks[1:]] == [[m.ids for m in talks[0]]] * 2


def test_rows_leaving_early_keep_the_memory_of_later_turns_right(monkeypatch):
    monkeypatch.setattr(conversations, "SHRINK", 1)
    for kind in ("llama", "mistral"):
        lm = tiny_lm(kind, TOKENIZER, sampling=Sampling(max_new_tokens=80))
        for move in talk_of(lm):
            assert torch.allclose(torch.tensor(move.logp), alone(lm, move), **CLOSE)


def test_picked_histories_branch_and_go_on_from_their_own_past():
    lm = tiny_lm("qwen3", TOKENIZER)
    first, second = write_talk(lm, [["w1 w2", "w3"], ["w4", "w5 w6", "w7", "w8"]], between={0: [1, 0, 1, 1]})
    assert [move.parent.parent for move in second] == [first[1], first[0], first[1], first[1]]
    assert len({tuple(move.ids) for move in second}) == 4
    for move in second:
        assert torch.allclose(torch.tensor(move.logp), alone(lm, move), **CLOSE)


def test_branches_before_writing_differ_by_their_draws_alone():
    lm = tiny_lm("qwen3", TOKENIZER)
    talk = lm.converse(1, 0)
    talk.read(["w1 w2 w3"])
    moves = talk.pick([0] * 8).write()
    assert len({tuple(move.ids) for move in moves}) > 4
    assert len({id(move.parent) for move in moves}) == 1
    for move in moves:
        assert torch.allclose(torch.tensor(move.logp), alone(lm, move), **CLOSE)


def test_texts_written_aside_at_every_history_in_order_change_nothing_of_what_is_written_there():
    def texts(aside):
        talk = tiny_lm("qwen3", TOKENIZER).converse(2, 0)
        talk.read(["w1 w2 w3", "w4"])
        if aside:
            talk.pick([0, 1], 5).write()
        return [(move.ids, move.logp) for move in talk.write()]

    assert texts(aside=True) == texts(aside=False)


def test_reading_the_last_turn_alone_forgets_the_past():
    lm = tiny_lm("qwen3", TOKENIZER, context=Context(history="last turn"))
    moves = talk_of(lm)
    for move in moves:
        assert isinstance(move.parent, Message)
        assert move.parent.parent is None
        assert torch.allclose(torch.tensor(move.logp), alone(lm, move), **CLOSE)
    full = tiny_lm("qwen3", TOKENIZER)
    assert len({len(move.chain()) for move in talk_of(full)}) == 3


def test_a_history_beyond_max_context_is_refused_by_name():
    context = Context(max_context=24)
    lm = tiny_lm("qwen3", TOKENIZER, context=context, sampling=Sampling(max_new_tokens=5))
    with pytest.raises(
        ValueError, match=r"max_new_tokens=5 exceed max_context=24; raise it.*overflow='drop'"
    ):
        talk_of(lm, [["w1 " * 9], ["w2 " * 9], ["w3 " * 9]])


def test_overflow_drops_whole_oldest_turns():
    context = Context(max_context=30, overflow="drop")
    lm = tiny_lm("qwen3", TOKENIZER, context=context, sampling=Sampling(max_new_tokens=5))
    turns = [["w1 " * 9, "w1"], ["w2 " * 9, "w2"], ["w3 " * 9, "w3"], ["w4 " * 19, "w4"]]
    talks = write_talk(lm, turns)
    texts = [[s.text.split()[0] for s in move.chain()[::2]] for move in (moves[0] for moves in talks)]
    assert texts == [["w1"], ["w1", "w2"], ["w2", "w3"], ["w4"]]
    assert [len(moves[1].chain()) for moves in talks] == [2, 4, 6, 8]  # its neighbour keeps everything
    for move in (move for moves in talks for move in moves):
        assert torch.allclose(torch.tensor(move.logp), alone(lm, move), **CLOSE)
        assert sum(len(s.ids) for s in move.chain()) <= 30


def test_a_message_too_long_by_itself_is_refused_even_where_turns_may_be_dropped():
    lm = tiny_lm("qwen3", TOKENIZER, context=Context(max_context=10, overflow="drop"))
    with pytest.raises(ValueError, match="max_context=10"):
        talk_of(lm, [["w1 " * 6]])


def test_a_message_without_tokens_is_refused():
    with pytest.raises(ValueError, match="no tokens to answer to"):
        talk_of(tiny_lm("qwen3", TOKENIZER), [[" "]])


def test_a_seed_fixes_every_text_and_another_seed_changes_them():
    a, b, c = (talk_of(tiny_lm("qwen3", TOKENIZER), seed=seed) for seed in (1, 1, 2))
    assert [(m.ids, m.logp) for m in a] == [(m.ids, m.logp) for m in b]
    assert [m.ids for m in a] != [m.ids for m in c]


def test_sampling_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    talk_of(tiny_lm("qwen3", TOKENIZER))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sampling", [Sampling(max_new_tokens=4), Sampling(top_k=5, max_new_tokens=4)])
def test_entropy_is_that_of_the_distribution_at_every_token(sampling):
    lm = tiny_lm("llama", TOKENIZER, sampling=sampling)
    (move,) = talk_of(lm, [["w1 w2"]])
    (scores,) = lm.logp([move], entropy=True)
    ids = [i for segment in move.chain() for i in segment.ids]
    logits = lm.causal(input_ids=torch.tensor([ids])).logits[0, -len(move.ids) - 1 : -1]
    p = choices(logits, sampling, torch.tensor(move.ids)).logp.exp()
    wanted = torch.special.entr(p).sum(-1)
    assert torch.allclose(scores.entropy, wanted, atol=1e-5)
    scores.entropy.sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in lm.parameters() if p.grad is not None)


def test_a_model_may_have_several_end_tokens():
    lm = tiny_lm("llama", TOKENIZER, sampling=Sampling(max_new_tokens=60))
    other = TOKENIZER.convert_tokens_to_ids("w3")
    lm.causal.generation_config.eos_token_id = [TOKENIZER.eos_token_id, other]
    assert end_tokens(lm.causal.generation_config, TOKENIZER) == {TOKENIZER.eos_token_id, other}
    lm = LM("two ends", lm.model, TOKENIZER, Sampling(max_new_tokens=60), Context())
    moves = talk_of(lm)
    assert {move.ids[-1] for move in moves if move.closed} == {TOKENIZER.eos_token_id, other}
    assert not any("w3" in move.text.split() for move in moves)


def test_scores_of_a_tree_are_those_of_each_branch_alone():
    lm = tiny_lm("llama", TOKENIZER)
    talk = write_talk(lm, [["w1 w2"], ["w3"] * 3, ["w4"] * 4], between={0: [0, 0, 0], 1: [0, 0, 1, 2]})
    moves = [move for moves in talk for move in moves]
    with torch.no_grad():
        for move, logp in zip(moves, scores_of(lm, moves), strict=True):
            assert torch.allclose(logp, alone(lm, move), **CLOSE)
