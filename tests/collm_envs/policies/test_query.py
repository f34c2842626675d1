"""Settings after a name, read in one place for every policy and judge."""

import pytest

from collm_envs.policies.query import read_query

KNOWN = {"top_p": float, "seed": int, "stop": str}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {}),
        ("top_p=0.5&seed=-3", {"top_p": 0.5, "seed": -3}),
        ("stop=a%26b", {"stop": "a&b"}),
        ("stop=a&b", {"stop": "a&b"}),
        ("stop=1+1=2", {"stop": "1+1=2"}),
        ("stop=", {"stop": ""}),
        ("stop=a&seed=1", {"stop": "a", "seed": 1}),
    ],
)
def test_values_are_read_by_name(query, values):
    assert read_query("x", query, KNOWN) == values


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("sed=1", r"x: no setting 'sed'; there are top_p, seed, stop; did you mean 'seed'\?  See y"),
        ("seed", "x: seed must be int, got ''"),
        ("seed=1.5", "x: seed must be int, got '1.5'"),
        ("top_p=inf", "x: top_p must be a finite number, got 'inf'"),
        ("seed=1&seed=2", "x: seed is given twice"),
        ("&", "x: no setting '&'"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(query, why):
    with pytest.raises(ValueError, match=why):
        read_query("x", query, KNOWN, hint="  See y")
