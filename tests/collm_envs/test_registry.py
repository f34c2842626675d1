"""make, spec and register: what they accept, what they say when they don't."""

import pytest
import toy_task

import collm_envs


def test_the_registry_is_a_mapping_from_ids_to_specs_that_nobody_can_write():
    assert collm_envs.registry["StrBuild-v0"].entry_point == "collm_envs.building.strbuild.task:StrBuild"
    assert all(id == spec.id for id, spec in collm_envs.registry.items())
    with pytest.raises(TypeError):
        collm_envs.registry["X-v0"] = collm_envs.spec("StrBuild-v0")


@pytest.mark.parametrize("wrong", ["strBuild-v0", "strbuild-v0", "StringBuild-v0", "Strbuild"])
def test_a_wrong_id_gets_the_nearest_known_one(wrong):
    with pytest.raises(KeyError, match=f"no environment '{wrong}'; did you mean 'StrBuild-v0'?"):
        collm_envs.make(wrong)


def test_of_two_versions_the_nearer_one_is_named():
    for wrong, near in (("coophe-v1", "CoopHE-v1"), ("CoopHe-v0", "CoopHE-v0"), ("CoopHE-v7", "CoopHE-v")):
        with pytest.raises(KeyError, match=f"did you mean '{near}"):
            collm_envs.make(wrong)


@pytest.mark.parametrize("wrong", ["qqqqqqqqqq", "Foo-v0", "-v0", "", 3, None])
def test_an_id_like_no_other_gets_the_list(wrong):
    with pytest.raises(KeyError, match="there are StrBuild-v0"):
        collm_envs.make(wrong)


def test_an_unknown_keyword_is_named_with_the_nearest_known_one():
    with pytest.raises(TypeError, match=r"Adding-v0: no keyword .num_agent.; did you mean .num_agents."):
        collm_envs.make("Adding-v0", num_agent=2)
    with pytest.raises(TypeError, match="no keyword 'zzz'; it knows items, num_agents, turns"):
        collm_envs.make("Adding-v0", zzz=2)


@pytest.mark.parametrize("num_agents", [0, -1, 2.0, "2", True])
def test_a_wrong_number_of_agents_is_refused(num_agents):
    with pytest.raises(ValueError, match="num_agents: need an int of at least 1"):
        collm_envs.make("Adding-v0", num_agents=num_agents)


@pytest.mark.parametrize(
    ("items", "error", "match"),
    [
        ([], ValueError, "the list for 'train' is empty"),
        ({"train": [{"goal": 1}]}, ValueError, r'need the keys "train" and "eval", got \[\'train\'\]'),
        ("ICML", TypeError, "need a list of rows, got str"),
        (3, TypeError, "need a list of rows, got int"),
    ],
)
def test_wrong_items_are_refused(items, error, match):
    with pytest.raises(error, match=match):
        collm_envs.make("Adding-v0", items=items)


def test_own_items_serve_both_splits_or_one_each():
    env = collm_envs.make("Adding-v0", items=[{"goal": 5}])
    assert [item.data["goal"] for split in ("train", "eval") for item in env.items(split)] == [5, 5]
    env = collm_envs.make("Adding-v0", items={"train": [{"goal": 5}], "eval": [{"goal": 6}]})
    assert [item.data["goal"] for split in ("train", "eval") for item in env.items(split)] == [5, 6]


def test_keywords_are_copied_so_that_nobody_can_change_them_later():
    rows = [{"goal": 5}]
    env = collm_envs.make("Adding-v0", items=rows)
    rows[0]["goal"] = 99
    assert env.items()[0].data == {"goal": 5}
    assert env.spec.kwargs["items"] == [{"goal": 5}]


def test_keywords_of_the_table_hold_until_the_caller_says_otherwise():
    assert collm_envs.make("Adding-v0").task.max_turns == 4
    assert collm_envs.make("Adding-v0", turns=2).task.max_turns == 2


def test_make_task_gives_the_bare_task():
    assert isinstance(collm_envs.make_task("Adding-v0", num_agents=3), toy_task.Adding)


def test_registering_a_taken_id_is_refused_and_the_same_line_again_is_not():
    collm_envs.register("Adding-v0", "toy_task:Adding", "add up to a goal", turns=4)
    with pytest.raises(ValueError, match=r"'Adding-v0' is registered already \(toy_task:Adding\)"):
        collm_envs.register("Adding-v0", "elsewhere:Adding")


@pytest.mark.parametrize("id", ["Adding", "Adding-v", "-v0", "Add ing-v0", "a/b-v0", "", None])
def test_an_id_without_a_version_is_refused(id):
    with pytest.raises(ValueError, match="must look like 'Name-v0'"):
        collm_envs.register(id, "toy_task:Adding")


@pytest.mark.parametrize("entry_point", ["toy_task", "a:b:c", toy_task.Adding])
def test_an_entry_point_is_a_string_with_one_colon(entry_point):
    with pytest.raises(ValueError, match="entry_point must be"):
        collm_envs.register("Fine-v0", entry_point)
    assert "Fine-v0" not in collm_envs.registry


def test_an_id_with_a_module_in_front_imports_it_first():
    assert collm_envs.spec("toy_task:Adding-v0") is collm_envs.spec("Adding-v0")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        collm_envs.make("no_such_module:Adding-v0")


def test_the_table_prints_one_line_an_environment(capsys):
    collm_envs.pprint_registry()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(collm_envs.registry)
    assert any(line.startswith("Adding-v0") and line.endswith("add up to a goal") for line in lines)
