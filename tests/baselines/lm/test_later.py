"""A sequence that is waited for hides nothing of what the waiting raises."""

from collections.abc import Sequence

import pytest

from baselines.lm.later import Later

LOOKS = {
    "len": len,
    "iteration": lambda later: [value + 0 for value in later],
    "[0]": lambda later: later[0],
    "in": lambda later: 7 in later,
    "index": lambda later: later.index(7),
    "count": lambda later: later.count(7),
    "reversed": lambda later: [*reversed(later)],
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("error", [IndexError, KeyError, StopIteration])
def test_whatever_the_waiting_raises_is_raised_at_every_look(look, error):
    def wait() -> Sequence[int]:
        raise error("of the waiting")

    with pytest.raises((error, RuntimeError)) as raised:  # a StopIteration within a generator is the latter
        look(Later(wait))
    assert "of the waiting" in str(raised.value.__cause__ or raised.value)


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_every_look_sees_the_values_which_are_waited_for_once(look):
    waits = []

    def wait() -> Sequence[int]:
        waits.append(1)
        return [7, 8, 7]

    later = Later(wait)
    assert look(later) == look([7, 8, 7])
    assert look(later) == look([7, 8, 7])
    assert len(waits) == 1
