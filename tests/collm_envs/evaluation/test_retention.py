"""Coordination retention: which lone agent a team is compared with, and the share."""

import pytest

from collm_envs.evaluation.retention import Outcome, name_alone, retentions

TALK = {"talk": 1, "prompts": "terse"}


def kept(*outcomes):
    return retentions([Outcome(*outcome) for outcome in outcomes])


def test_a_team_is_compared_with_the_same_policy_alone():
    rows = [
        ("StrBuild-v1", TALK, 2, "mute", 1.3),
        ("StrBuild-v1", {"prompts": "terse"}, 1, "solo", 2.0),
        ("StrBuild-v1", TALK, 2, "MAGRPO, lr 0.001", 0.5),
        ("StrBuild-v1", TALK, 1, "GRPO, lr 0.001", 1.0),
        ("StrBuild-v1", TALK, 2, "discussion:hf:tiny", 0.1),
        ("StrBuild-v1", TALK, 1, "single:hf:tiny", 0.4),
        ("StrBuild-v1", TALK, 2, "noisy", 0.8),
    ]
    assert kept(*rows) == pytest.approx([0.65, None, 0.5, None, 0.25, None, None])


def test_other_rules_other_items_and_another_number_of_builders_are_no_comparison():
    team = ("StrBuild-v1", TALK, 3, "expert", 2.0)
    for env, kwargs in (
        ("StrBuild-v1", {"prompts": "terse"}),  # blocks and views of two builders
        ("StrBuild-v1", {"builders": 3}),
        ("HouseBuild-v1", {"prompts": "terse", "builders": 3}),
    ):
        assert kept(team, (env, kwargs, 1, "solo", 2.0)) == [None, None]
    assert kept(team, ("StrBuild-v1", {"prompts": "terse", "builders": 3}, 1, "solo", 2.0)) == [1.0, None]
    post = ("TLDR-v1", {}, 4, "expert", 1.5)
    assert kept(post, ("TLDR-v1", {}, 1, "expert", 3.0)) == [0.5, None]


def test_there_is_no_share_of_nothing():
    team, alone = ("TLDR-v1", {}, 2, "expert", 1.5), ("TLDR-v1", {}, 1, "solo", 0.0)
    assert kept(team, alone) == [None, None]


def test_the_name_of_a_policy_played_alone():
    assert name_alone("parallel:hf:x?a=1") == "single:hf:x?a=1"
    assert name_alone("CoLLM-CC") == "AC"
    assert name_alone("experts of mine") == "experts of mine"
