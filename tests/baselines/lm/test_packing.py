"""Rows, micro-batches and what is scored in them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.lm.history import Message, Move
from baselines.lm.packing import batches, ends, rows, scored


def conversation(*lengths, parent=None, first=0):
    """Messages and moves in turn, of these lengths, with ids that count up.   -> all segments"""
    out, count = [], first
    for k, length in enumerate(lengths):
        ids = list(range(count, count + length))
        parent = Message(parent, ids) if k % 2 == 0 else Move(parent, ids)
        out.append(parent)
        count += length
    return out


def test_the_turns_of_a_conversation_share_a_row():
    _, a, _, b = conversation(3, 2, 1, 4)
    (row,) = rows([a, b])
    assert row.ids == list(range(10))
    assert [tuple(span) for span in row.spans] == [(0, 3, 5, 2), (1, 6, 10, 5)]


def test_what_follows_the_last_scored_text_is_left_out():
    _, a, _, _ = conversation(3, 2, 1, 4)
    (row,) = rows([a])
    assert row.ids == list(range(5))


def test_branches_repeat_their_past_and_it_is_scored_once():
    trunk = conversation(2, 3)[-1]
    left = conversation(1, 2, parent=trunk, first=10)[-1]
    right = conversation(2, 1, parent=trunk, first=20)[-1]
    asked = [trunk, left, right]
    found = rows(asked)
    assert [row.ids for row in found] == [[0, 1, 2, 3, 4, 10, 11, 12], [0, 1, 2, 3, 4, 20, 21, 22]]
    assert sorted(span.index for row in found for span in row.spans) == [0, 1, 2]


TREES = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=12)


def grown(tree):
    """Moves of (parent, tokens read, tokens written); move k reads 1000 + k, writes 100 k, 100 k + 1, ..."""
    moves = []
    for k, (parent, read, write) in enumerate(tree):
        head = moves[parent % len(moves)] if moves and parent else None
        message = Message(head, [1000 + k] * read)
        moves.append(Move(message, [100 * k + t for t in range(write)]))
    return moves


@settings(deadline=None)
@given(tree=TREES, limit=st.integers(1, 40))
def test_every_token_of_every_move_of_any_tree_is_scored_exactly_once(tree, limit):
    moves = grown(tree)
    seen = []
    for batch in batches(moves, limit, "cpu"):
        assert batch.ids.numel() <= limit or len(batch.rows) == 1
        places = scored(batch)
        before = batch.ids[places.row, places.column].tolist()
        after = batch.ids[places.row, places.column + 1].tolist()
        assert after == places.token.tolist()
        for token, owner, previous in zip(places.token.tolist(), places.owner.tolist(), before, strict=True):
            k = places.segments[owner]
            seen.append((k, token))
            t = token - 100 * k
            assert previous == (token - 1 if t else 1000 + k)  # a move follows its own message
    assert sorted(seen) == [(k, 100 * k + t) for k, move in enumerate(moves) for t in range(len(move.ids))]


def test_long_rows_come_first_and_pads_stand_on_the_right():
    moves = [conversation(n, 1)[-1] for n in (2, 5, 3)]
    (batch,) = batches(moves, 1000, "cpu")
    assert [len(row.ids) for row in batch.rows] == [6, 4, 3]
    assert batch.ids[2].tolist() == [0, 1, 2, 0, 0, 0]
    assert batch.tokens == 13


def test_a_row_beyond_the_limit_is_a_batch_of_its_own():
    moves = [conversation(n, 1)[-1] for n in (2, 50, 3)]
    assert [len(batch.rows) for batch in batches(moves, 10, "cpu")] == [1, 2]


def test_a_text_after_nothing_cannot_be_scored():
    (batch,) = batches([Move(None, [1, 2])], 10, "cpu")
    with pytest.raises(ValueError, match="at least one token before it"):
        scored(batch)


def test_ends_are_the_last_tokens_of_what_was_asked_for():
    first, _, second, _ = conversation(3, 2, 1, 4)
    (batch,) = batches([first, second], 100, "cpu")
    row, column, index = ends(batch)
    assert batch.ids[row, column].tolist() == [first.ids[-1], second.ids[-1]]
    assert index == [0, 1]
    assert torch.is_tensor(row)


@settings(max_examples=50, deadline=None)
@given(tree=TREES, limit=st.integers(1, 60))
def test_in_shared_rows_every_token_attends_to_its_own_history_alone_at_its_own_position(tree, limit):
    moves = grown(tree)
    seen = []
    for batch in batches(moves, limit, "cpu", shared=True):
        assert batch.ids.numel() <= limit or len(batch.rows) == 1
        places = scored(batch)
        for row, column, token, owner in zip(*(x.tolist() for x in places[:4]), strict=True):
            move = moves[places.segments[owner]]
            history = [i for segment in move.chain() for i in segment.ids]
            length = len(history) - len(move.ids) + move.ids.index(token)
            if batch.tree is None:
                attended = batch.ids[row, : column + 1]
                position = column
            else:
                attended = batch.ids[row][batch.tree.mask[row, 0, column]]
                position = int(batch.tree.positions[row, column])
            assert attended.tolist() == history[:length]
            assert position == length - 1
            seen.append((places.segments[owner], token))
    assert sorted(seen) == [(k, token) for k, move in enumerate(moves) for token in move.ids]


def test_a_group_reads_its_prompt_once_where_the_row_has_room():
    prompt = Message(None, [1] * 10)
    group = [Move(prompt, [2] * 4) for _ in range(4)]
    assert [len(row.ids) for row in rows(group)] == [14] * 4
    assert [len(row.ids) for row in rows(group, 26)] == [26]
    assert [len(row.ids) for row in rows(group, 20)] == [26]
    long = Message(None, [1] * 5)
    texts = [Move(long, [2] * 10) for _ in range(4)]
    assert [len(row.ids) for row in rows(texts, 20)] == [25, 25]
