"""Recorded episodes of the v1 tasks: a change of item, prompt, parser or reward is a new version."""

import pytest
from folders import GOLDEN

from collm_envs.record import read
from collm_envs.replay import replay

TRACES = list(read(GOLDEN / "v1_traces.jsonl"))


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: f"{trace.env} {dict(trace.kwargs)}")
def test_a_recorded_episode_plays_as_it_did(trace):
    assert str(replay(trace)) == "equal"
