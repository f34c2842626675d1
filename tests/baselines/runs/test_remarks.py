"""What a run's steps show, said once: an agent that has nearly all of the gradient or the credit."""

from baselines.runs import remarks


def steps(n, share):
    return [{"gradient_share/agent_0": 1 - share, "gradient_share/agent_1": share} for _ in range(n)]


def test_an_agent_that_keeps_nearly_all_of_the_gradient_is_named():
    (line,) = remarks.dominance(steps(10, 0.95)).values()
    assert line.startswith("agent_1 has more than 90% of the gradient's length for 10 steps")
    assert line in remarks.of_run([*steps(30, 0.5), *steps(10, 0.95)])


def test_a_share_that_falls_once_or_has_not_lasted_is_no_dominance():
    assert remarks.dominance([*steps(9, 0.95), *steps(1, 0.9)]) == {}
    assert remarks.dominance(steps(9, 1.0)) == {}
    assert remarks.dominance([{"return": 1.0}] * 10) == {}
