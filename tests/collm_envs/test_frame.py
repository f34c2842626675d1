"""Keywords of `Frame` as keywords of a task: `make` takes them apart and puts them together."""

import pytest
from toy_task import Adding

import collm_envs
from collm_envs import Frame, catalogue
from collm_envs.registry import parameters

SHARED = (
    "max_turns",
    "self_contained",
    "original_prompt",
    "previous_response",
    "reward_scale",
    "reward_shift",
    "stop_above",
)
FRAMED = ("StrBuild-v0", "HouseBuild-v0", "CoopHE-v0", "CoopHE-v1")


class Framed(Adding):
    """The toy task with a frame of three turns."""

    def __init__(self, *, items=None, num_agents=2, frame: Frame = Frame(max_turns=3)):
        super().__init__(items=items, num_agents=num_agents, turns=frame.max_turns)
        self.frame = frame


class Required(Framed):
    """The same without a default."""

    def __init__(self, *, items=None, num_agents=2, frame: Frame):
        super().__init__(items=items, num_agents=num_agents, frame=frame)


class Unlike(Adding):
    """A task whose keyword `frame` is something else."""

    def __init__(self, *, items=None, num_agents=2, frame: int = 7, max_turns: int = 4):
        super().__init__(items=items, num_agents=num_agents, turns=max_turns)
        self.frame = frame


for task in (Framed, Required, Unlike):
    collm_envs.register(f"{task.__name__}-v0", f"{__name__}:{task.__name__}")


@pytest.mark.parametrize("id", FRAMED)
def test_a_task_lists_the_fields_of_its_frame_as_keywords_with_its_own_defaults(id):
    listed = {keyword.name: keyword.default for keyword in catalogue.keyword_rows(id)}
    assert set(SHARED) <= set(listed)
    assert "frame" not in listed
    assert listed["max_turns"] == ("2" if id.startswith("Coop") else "4")


def test_make_puts_the_keywords_that_were_given_over_the_tasks_own_frame():
    env = collm_envs.make("Framed-v0", reward_scale=2, stop_above=0.5)
    assert env.task.frame == Frame(max_turns=3, reward_scale=2.0, stop_above=0.5)
    assert env.spec.kwargs == {"reward_scale": 2, "stop_above": 0.5}
    assert collm_envs.make("Framed-v0", max_turns=5).task.max_turns == 5


def test_a_frame_without_a_default_is_one_of_a_single_turn():
    assert list(parameters("Required-v0")) == ["items", "num_agents", *SHARED]
    assert collm_envs.make("Required-v0").task.max_turns == 1


def test_a_keyword_called_frame_that_is_no_frame_stays_as_it_is():
    assert list(parameters("Unlike-v0")) == ["items", "num_agents", "frame", "max_turns"]
    assert collm_envs.make("Unlike-v0", frame=3, max_turns=2).task.frame == 3


@pytest.mark.parametrize("id", [*FRAMED, "Framed-v0"])
@pytest.mark.parametrize(
    ("name", "near"),
    [("max_turn", "max_turns"), ("selfcontained", "self_contained"), ("stop_abov", "stop_above")],
)
def test_a_misspelt_keyword_of_the_frame_gets_a_hint(id, name, near):
    with pytest.raises(TypeError, match=f"{id}: no keyword '{name}'; did you mean '{near}'?"):
        collm_envs.make(id, **{name: 1})


@pytest.mark.parametrize(
    ("name", "value", "want"),
    [
        ("max_turns", 0, "need an int of at least 1, got 0"),
        ("max_turns", True, "need an int of at least 1, got True"),
        ("reward_scale", "2", "need a finite number, got '2'"),
        ("reward_shift", float("nan"), "need a finite number, got nan"),
        ("stop_above", "never", "need a finite number, got 'never'"),
        ("self_contained", 1, "need True or False, got 1"),
        ("original_prompt", "yes", "need True or False, got 'yes'"),
        ("previous_response", 0, "need True or False, got 0"),
    ],
)
def test_a_malformed_value_is_refused_by_its_name(name, value, want):
    for id in ("StrBuild-v0", "Framed-v0"):
        with pytest.raises(ValueError, match=f"{name}: {want}"):
            collm_envs.make(id, **{name: value})


def test_a_negative_scale_turns_the_range_around():
    assert Frame(reward_scale=-2, reward_shift=1).reward_range(-1.0, 3.0) == (-5.0, 3.0)
