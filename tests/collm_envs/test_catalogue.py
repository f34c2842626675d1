"""What the page of an environment says about its keywords."""

import subprocess
import sys

import pytest

import collm_envs
from collm_envs import catalogue, keyword_docs
from collm_envs.registry import parameters

OURS = subprocess.run(  # other tests register environments of their own
    [sys.executable, "-c", "import collm_envs; print(*collm_envs.registry)"], capture_output=True, text=True
).stdout.split()


class Bare:
    """A task that says little.

    **Keywords.**
    - `depth`: how deep, in a sentence
      of two lines
    """

    agents, players, max_turns, revision, reward_range = ("agent_0",), {}, 1, 1, (0.0, 1.0)

    def __init__(self, depth, *, items=None, size: int | None = 3):
        pass


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """Bare-v0, for one test: it cannot be made without `depth`, and others make all that is registered."""
    table = sys.modules["collm_envs.registry"]
    monkeypatch.setitem(table._specs, "Bare-v0", collm_envs.EnvSpec("Bare-v0", f"{__name__}:Bare", {}))


@pytest.mark.parametrize("id", OURS)
def test_every_keyword_has_a_type_a_default_and_a_sentence(id):
    listed = catalogue.keyword_rows(id)
    assert [keyword.name for keyword in listed] == list(parameters(id))
    assert [keyword for keyword in listed if not all(keyword)] == []


def test_a_keyword_of_somebody_elses_task_is_described_as_far_as_it_says_itself():
    depth, items, size = catalogue.keyword_rows("Bare-v0")
    assert depth == ("depth", "", "required", "how deep, in a sentence of two lines")
    assert (items.type, items.default) == ("", "None")
    assert items.meaning.startswith("your own items")
    assert size == ("size", "int | None", "3", "")


def test_the_list_of_keywords_is_a_table_and_no_paragraph():
    assert [block.body for block in catalogue.blocks("Bare-v0")] == ["A task that says little."]
    table = keyword_docs.keyword_table(catalogue.keyword_rows("Bare-v0"))
    assert "| `size` | `int \\| None` | `3` |  |" in table


def test_a_page_lists_the_keywords_that_every_task_of_several_agents_takes():
    for page in (catalogue.markdown(["TLDR-v1"]), catalogue.html(["TLDR-v1"])):
        for name in ("talk", "message_chars", "order"):
            assert page.count(name) >= 1
        assert catalogue.GENERAL in page


def test_the_page_names_all_infos():
    env = collm_envs.make("StrBuild-v0")
    listed = dict(catalogue.spaces(env))["`infos[agent]`"]
    env.reset(seed=0)
    *_, infos = env.step(dict.fromkeys(env.agents, ""))
    assert listed == ", ".join(f"`{name}`" for name in infos["agent_0"])
