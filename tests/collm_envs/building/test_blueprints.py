"""Blueprints: houses from settings, the published ones, broken ones."""

import copy
import json

import pytest
from building_play import cells_in, play_once, small_house

import collm_envs
from collm_envs.building.housebuild.blueprints import House, layers, published, row


def test_generator_makes_the_published_rows_cell_for_cell(real_data):
    theirs = json.loads((real_data / "house_build.json").read_text())
    ours = [row for some in published().values() for row in some]
    assert len(ours) == 10
    for one, other in zip(ours, theirs, strict=True):
        assert one == other, one["task_id"]


def test_published_split_keeps_one_roof_for_evaluation():
    task = collm_envs.make_task("HouseBuild-v0")
    houses = {
        split: {json.dumps(item.data["target_spec"]) for item in task.items(split)}
        for split in ("train", "eval")
    }
    assert [len(houses["train"]), len(houses["eval"])] == [4, 1]
    assert not houses["train"] & houses["eval"]
    assert [item.id for item in task.items("eval")] == ["house_build_0108", "house_build_0109"]


def test_default_house_is_the_gable_and_other_settings_change_what_they_say():
    gable = layers(House())
    assert gable[1] == ["AAAAAA", "OCDDCO", "CAAAAC", "CAAAAC", "CAAAAC", "OCCCCO", "AAAAAA"]
    assert gable[6] == ["AAAAAA", "AAAAAA", "SSSSSS", "BBBBBB", "SSSSSS", "AAAAAA", "AAAAAA"]
    other = layers(House("hip", width=7, depth=8, walls=2, roof_layers=3, door=1, door_width=1))
    assert [len(other), len(other[0]), len(other[0][0])] == [7, 8, 7]
    assert other[1][1] == "ODCCCCO"
    assert other[2][1] == "OACCCCO"
    assert other[4][1] == "ASSSSSA"
    assert other[6] == ["A" * 7, "A" * 7, "A" * 7, "AAABAAA", "AAABAAA", "A" * 7, "A" * 7, "A" * 7]


def test_generated_houses_are_different_disjoint_and_of_the_asked_size():
    size = ((4, 7), 6, (5, 8))
    kwargs = {"houses": "generated", "n": 40, "n_eval": 10, "size": size}
    task = collm_envs.make_task("HouseBuild-v0", **kwargs)
    looks = {
        split: [json.dumps([i.data["target_spec"], i.data["inventory"]]) for i in task.items(split)]
        for split in ("train", "eval")
    }
    assert [len(looks["train"]), len(looks["eval"])] == [40, 10]
    assert len({*looks["train"], *looks["eval"]}) == 50
    for item in [*task.items("train"), *task.items("eval")]:
        width, height, depth = item.data["target_spec"]["size"]
        assert 4 <= width <= 7
        assert height == 6
        assert 5 <= depth <= 8
        top = item.data["target_spec"]["layers"][-1]["rows"]
        assert set("".join(top)) != {"A"}, "the roof must reach the top of the box"
    assert collm_envs.make_task("HouseBuild-v0", **kwargs).items("train") == task.items("train")
    assert collm_envs.make_task("HouseBuild-v0", **{**kwargs, "n": 5}).items("eval") == task.items("eval")
    assert collm_envs.make_task("HouseBuild-v0", **kwargs, houses_seed=1).items("eval") != task.items("eval")


def test_generated_rows_can_be_given_back_as_items():
    rows = [
        item.data for item in collm_envs.make_task("HouseBuild-v0", houses="generated", n=3).items("train")
    ]
    again = collm_envs.make_task("HouseBuild-v0", items=json.loads(json.dumps(rows)))
    assert [item.data for item in again.items("train")] == rows


def test_row_of_a_house_counts_its_blocks():
    made = row(House("steep"), task_id="x")
    assert made["count"] == {"C": 68, "O": 12, "S": 24, "B": 42, "D": 2, "A": 146}


BREAKS = {
    "inventory must": lambda row: row.update(inventory={}),
    "single characters": lambda row: row["inventory"].update(XY="stone"),
    "inventory\\['S'\\]": lambda row: row["inventory"].update(S="two words"),
    "target_spec must": lambda row: row.pop("target_spec"),
    "layers must": lambda row: row["target_spec"].update(layers=[]),
    "layer number 1": lambda row: row["target_spec"]["layers"][1].pop("rows"),
    "layer number 0: y": lambda row: row["target_spec"]["layers"][0].update(y=0.5),
    "layer y=0 is there twice": lambda row: row["target_spec"]["layers"][1].update(y=0),
    "layer y=1 is missing": lambda row: row["target_spec"]["layers"][1].update(y=2),
    "layer y=1: need 2 rows, got 1": lambda row: row["target_spec"]["layers"][1].update(rows=["...."]),
    "layer y=1, row 1: need 4 characters, got 3": lambda row: row["target_spec"]["layers"][1].update(
        rows=["....", "..."]
    ),
    "layer y=0, row 1: '\\?' is not in the inventory": lambda row: row["target_spec"]["layers"][0].update(
        rows=["SSSS", "SS?S"]
    ),
    "layer y=0, row 0: need a string": lambda row: row["target_spec"]["layers"][0].update(rows=[5, "SSSS"]),
    "target_spec.size": lambda row: row["target_spec"].update(size=[4, 2, 3]),
    "bbox must": lambda row: row.update(bbox={"from": [0, 0, 0]}),
    "bbox .* large": lambda row: row.update(bbox={"from": [0, 0, 0], "to": [4, 1, 1]}),
    "nothing but air": lambda row: row["target_spec"].update(layers=[{"y": 0, "rows": ["...."]}]),
    "need a mapping": lambda row: row.clear() or row.update(task_id="brief"),
}


@pytest.mark.parametrize("message", BREAKS)
def test_broken_blueprint_is_refused_by_task_layer_and_row(message):
    broken = copy.deepcopy(small_house(task_id="my_house"))
    BREAKS[message](broken)
    items = [broken] if message != "need a mapping" else ["not a row"]
    with pytest.raises(ValueError, match=message) as raised:
        collm_envs.make("HouseBuild-v0", items=items)
    assert "my_house" in str(raised.value) or message == "need a mapping"


def test_layers_may_be_a_mapping_and_the_box_may_lie_anywhere():
    spec = {"layers": {"11": ["P...", "...."], "10": ["SSSS", "SSSS"]}}
    item = small_house(target_spec=spec, bbox={"from": [1, 11, -4], "to": [-2, 10, -5]})
    env = collm_envs.make("HouseBuild-v0", items=[item], threat=[], feedback="perfect")
    _, rewards, *_ = play_once(env, ["/fill -2 10 -5 1 10 -4 stone", ""])
    assert rewards["agent_0"] == pytest.approx(7 / 16)
    whole = play_once(env, ["/fill -2 10 -5 1 10 -5 stone", "/fill -2 10 -4 1 10 -4 stone"])
    assert whole[1]["agent_0"] == pytest.approx(15 / 16)
    assert cells_in(whole[0]["agent_0"]) == [[-2, 11, -5, "oak_planks"]]
    assert cells_in(whole[0]["agent_1"]) == []
    assert env.task.scene(env.snapshot).size == (4, 2, 2)
    assert env.task.scene(env.snapshot).target[0, 1, 0] == "oak_planks"
