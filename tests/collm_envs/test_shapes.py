"""Shapes of JSON values: what fits and what does not."""

import pytest

from collm_envs.shapes import fits, too_deep


@pytest.mark.parametrize(
    ("value", "want", "whether"),
    [
        (1, float, True),
        (True, float, False),
        (True, int, False),
        (1.0, int, False),
        (float("nan"), float, False),
        (10**400, float, False),
        (["a"], [str], True),
        ([], [str], True),
        (["a", 1], [str], False),
        ({"a": 1.5}, {str: float}, True),
        ({"a": "b"}, {str: float}, False),
        ({"mean": 1, "low": None}, {"mean": float, "low": (float, None)}, True),
        ({"mean": 1}, {"mean": float, "low": (float, None)}, False),
        ({"mean": 1, "low": 0, "high": 1}, {"mean": float, "low": float}, False),
        ("ab", {str: str}, False),
        ("ab", [str], False),
        ({"long": "x"}, {lambda key: len(key) < 3: str}, False),
        ([1, 2, 3], lambda value: len(value) == 3, True),
    ],
)
def test_a_value_fits_a_shape_or_not(value, want, whether):
    assert fits(value, want) is whether


def test_lists_and_tables_may_have_so_many_entries_at_every_level():
    assert fits([[1, 2], [3]], [[int]], most=2)
    assert not fits([[1, 2, 3]], [[int]], most=2)
    assert not fits({"a": 1, "b": 2}, {str: int}, most=1)


def test_a_value_nested_beyond_the_limit_is_found():
    assert not too_deep([[1]], 2)
    assert too_deep([[[1]]], 2)
