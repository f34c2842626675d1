"""Every registered environment against PettingZoo's own tests and ours."""

import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pettingzoo
import pytest
import toy_task
from pettingzoo.utils.conversions import parallel_to_aec
from pettingzoo.utils.wrappers import BaseWrapper

import collm_envs
from collm_envs.testing import check_env

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # PettingZoo's tests import one of its games in a way it deprecates
    from pettingzoo.test import (
        api_test,
        max_cycles_test,
        parallel_api_test,
        parallel_seed_test,
        render_test,
        seed_test,
    )

OURS = [id for id, spec in collm_envs.registry.items() if spec.entry_point.startswith("collm_envs.")]
IDS = [*OURS, "Adding-v0"]
TEXT_IS_NO_ARRAY = (
    "Observation is not a NumPy array",
    "Observation space for each agent probably should be",
    "Action space for each agent probably should be",
)


class Str(str):
    """`api_test` compares dtypes, which a plain `str` does not have."""

    __slots__ = ()
    dtype = np.dtype(str)


class WithDtype(BaseWrapper):
    def observe(self, agent):
        return Str(super().observe(agent))


@pytest.mark.parametrize("id", IDS)
def test_parallel_api_test(id):
    parallel_api_test(collm_envs.make(id))


@pytest.mark.parametrize("id", IDS)
def test_parallel_seed_test(id):
    parallel_seed_test(lambda: collm_envs.make(id))


@pytest.mark.parametrize("id", IDS)
def test_seed_test(id):
    seed_test(lambda: parallel_to_aec(collm_envs.make(id)))


@pytest.mark.parametrize("id", IDS)
def test_render_test(id, capsys):
    render_test(lambda **kwargs: parallel_to_aec(collm_envs.make(id, **kwargs)))


@pytest.mark.parametrize("id", IDS)
def test_max_cycles_test(id):
    if collm_envs.make(id).task.max_turns < 4:
        pytest.skip("PettingZoo's test wants four turns")
    max_cycles_test(
        SimpleNamespace(
            parallel_env=lambda max_cycles: collm_envs.make(id, max_cycles=max_cycles),
            env=lambda max_cycles: parallel_to_aec(collm_envs.make(id, max_cycles=max_cycles)),
        )
    )


@pytest.mark.parametrize("id", IDS)
def test_api_test_with_only_the_warnings_that_text_is_not_an_array(id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in TEXT_IS_NO_ARRAY:
            warnings.filterwarnings("ignore", message)
        api_test(WithDtype(parallel_to_aec(collm_envs.make(id))))


@pytest.mark.parametrize("id", IDS)
def test_check_env(id):
    check_env(lambda: collm_envs.make(id))


@pytest.mark.parametrize("id", IDS)
def test_every_prompt_of_a_self_contained_environment_stands_alone(id):
    env = collm_envs.make(id, self_contained=True)
    first, _ = env.reset(seed=0)
    if env.task.max_turns > 1:
        later = env.step(dict.fromkeys(env.agents, "a text of its own"))[0]
        for agent, prompt in later.items():
            assert len(prompt) >= len(first[agent]) * 0.8


@pytest.mark.parametrize("id", IDS)
def test_pettingzoos_own_registry_makes_the_same_environment(id):
    if not hasattr(pettingzoo, "register"):
        pytest.skip("PettingZoo has a registry from 1.27 on")
    env = pettingzoo.make("parallel", f"collm/{id}", max_cycles=2)
    assert isinstance(env, collm_envs.TextEnv)
    assert env.spec == collm_envs.make(id).spec
    assert env.max_cycles == 2
    assert pettingzoo.spec("parallel", f"collm/{id}").entry_point == "collm_envs.registry:make"


def test_importing_the_package_needs_no_torch_and_imports_no_task():
    code = (
        "import sys, collm_envs\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'rich', 'tyro'}\n"
        "heavy |= {'collm_envs.building.strbuild.task'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_toy_is_registered_by_its_module_like_any_third_partys():
    assert collm_envs.make("toy_task:Adding-v0").spec.entry_point == f"{toy_task.__name__}:Adding"
