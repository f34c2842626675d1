"""Values as flat frames: what is written is read, and no bytes of anybody's can hurt the reader."""

import math
from collections import Counter, OrderedDict, namedtuple
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collm_envs.sandbox.compare import equal, truth
from collm_envs.sandbox.inside import wire

atoms = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=8)
)
keys = st.recursive(atoms, lambda k: st.tuples(k, k) | st.frozensets(k, max_size=3), max_leaves=4)
values = st.recursive(
    atoms | st.sets(keys, max_size=3) | st.frozensets(keys, max_size=3),
    lambda v: (
        st.lists(v, max_size=4) | st.lists(v, max_size=4).map(tuple) | st.dictionaries(keys, v, max_size=3)
    ),
    max_leaves=20,
)


def same(a, b):
    return type(a) is type(b) and repr(a) == repr(b)


def sent(value):
    """A value after a journey over the wire, as tokens."""
    return wire.unpack(wire.pack(wire.encode(value))[wire.HEADER.size :])


@given(values)
def test_a_value_survives_the_wire(value):
    assert wire.decode(sent(value)) == value
    assert same(wire.decode(wire.encode([value, 0]))[1], 0)


@given(values, values)
def test_comparison_outside_is_pythons_own_on_plain_data(a, b):
    assert equal(a, sent(a), 0)
    assert equal(a, sent(b), 0) == (a == b)


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        (1, True, True),
        (1, 1.0, True),
        ([1, 2], (1, 2), False),
        ({1, 2}, frozenset({2, 1}), True),
        ({True: "a"}, {1: "a"}, True),
        (b"x", bytearray(b"x"), True),
        (0.0, -0.0, True),
        (2**53, float(2**53), True),
        (10**400, 10**400 + 1, False),
        (math.nan, math.nan, False),
        ([math.nan], [math.nan], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1, "b": 2}, {"b": 1, "a": 2}, False),
        ("1", 1, False),
        (None, False, False),
        ([], {}, False),
        ([], [[]], False),
    ],
)
def test_equality_has_pythons_meaning_but_nan_never_equals(expected, got, same):
    assert equal(expected, sent(got), 0) is same


@pytest.mark.parametrize(
    ("expected", "got", "close"),
    [
        (1.0, 1.05, True),
        (1.0, 1.2, False),
        (1, True, True),
        ([1.0, {"a": 2.0}], [1.05, {"a": 1.95}], True),
        ([1.0], [1.0, 1.0], False),
        ("1", "1", True),
        ("1", "2", False),
        (1.0, math.nan, False),
        (1.0, math.inf, False),
        (math.inf, math.inf, False),
        (1.0, 10**400, False),
        (10**400, 10**400, True),
        (1.0, "1.0", False),
        (1j, 1.05j, True),
    ],
)
def test_a_tolerance_is_absolute_and_never_forgives_nan_or_infinity(expected, got, close):
    assert equal(expected, sent(got), 0, 0.1) is close


@pytest.mark.parametrize("value", [0, 1, "", "x", [], [0], {}, {0: 0}, None, 0.0, math.nan, b"", (0,), set()])
def test_truth_is_bool_of_the_value(value):
    assert truth(sent(value), 0) is bool(value)


def test_subclasses_travel_as_their_base_and_are_never_asked():
    class Colour(IntEnum):
        RED = 3

    class Liar(list):
        def __eq__(self, other):
            raise AssertionError("asked")

        __iter__ = __len__ = __repr__ = __bool__ = __eq__

    point = namedtuple("point", "x y")
    assert wire.decode(wire.encode(Liar([1, 2]))) == [1, 2]
    assert wire.decode(wire.encode(Counter("aab"))) == {"a": 2, "b": 1}
    assert wire.decode(wire.encode(OrderedDict(x=1))) == {"x": 1}
    assert same(wire.decode(wire.encode(point(1, 2))), (1, 2))
    assert same(wire.decode(wire.encode(Colour.RED)), 3)


@pytest.mark.parametrize("value", [object(), len, int, iter(()), range(3), ..., [object()], {1: print}])
def test_what_is_not_plain_data_is_named_not_sent(value):
    with pytest.raises(wire.Unserialisable):
        wire.encode(value)


def test_cycles_towers_and_giants_are_refused_by_the_sender():
    cycle: list = []
    cycle.append(cycle)
    tower: list = []
    for _ in range(10**5):
        tower = [tower]
    giant = [0] * 2_000_000
    for value, why in ((cycle, "nested too deep"), (tower, "nested too deep"), (giant, "too large")):
        with pytest.raises(wire.Unserialisable, match=why):
            wire.encode(value)


@given(st.binary(max_size=60) | st.lists(st.sampled_from(["l2", "d1", "S1", "i5", "n", "sx", "t0", "Z1"])))
def test_any_bytes_are_a_value_or_a_bad_frame(noise):
    body = noise if isinstance(noise, bytes) else "\n".join(noise).encode()
    for expected in ([1, 2], {1: 2}, {1}, 5, "x", None):
        try:
            tokens = wire.unpack(body)
            assert equal(expected, tokens, 0) in (True, False)
            wire.encode(wire.decode(tokens))
        except wire.BadFrame:
            pass


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "i",
        "i1x",
        "i" + "9" * 18,
        "I",
        "Ixyz",
        "fxyz",
        "yz",
        "c1 2 3",
        "l",
        "l-1",
        "l٣",
        "l" + "9" * 11,
    ],
)
def test_a_malformed_token_is_a_bad_frame(token):
    with pytest.raises(wire.BadFrame):
        wire.decode([token])


def test_colliding_keys_and_false_sizes_stop_the_reader_at_once(monkeypatch):
    keys = []
    decode = wire.decode
    monkeypatch.setattr(wire, "decode", lambda tokens: keys.append(tokens) or decode(tokens))
    collisions = [k * (2**61 - 1) for k in range(1, 40_001)]
    tokens = ["d40000", *(t for k in collisions for t in (f"I{k:#x}", "i0"))]
    expected = dict.fromkeys(range(40_000), 0)
    assert not equal(expected, tokens, 0)
    assert not equal(expected, ["d40000"] + ["l9999999"] * 10, 0)
    assert not equal([1], ["l9999999"], 0)
    assert len(keys) == 1  # the first foreign key; none is ever put into a container


@pytest.mark.parametrize("tag", ["l1", "t1", "d1"])
def test_a_tower_that_the_sender_refuses_is_a_bad_frame(tag):
    """Hashing or freeing it could exhaust the stack of whoever decodes it."""
    one = [tag] if tag != "d1" else [tag, "i0"]
    assert wire.decode([*one * wire.MAX_DEPTH, "i1"])
    with pytest.raises(wire.BadFrame, match="nested too deep"):
        wire.decode([*one * 100_000, "i1"])
