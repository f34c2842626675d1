"""Pages of tasks in which agents see different things: fog, spiders and guards, conversations."""

import json
import random
from dataclasses import asdict

import collm_envs
from collm_envs.pages.episode import page
from collm_envs.pages.lanes import conversation
from collm_envs.pages.signs import plan
from collm_envs.record import record
from collm_envs.replay import scenes
from collm_envs.task import Scene, Sign


def played(id, player="expert", **kwargs):
    env = collm_envs.make(id, talk=1, **kwargs)
    env.reset(seed=3)
    rng, write = random.Random(3), env.task.players[player]
    while env.agents:
        env.step({agent: write(env.task, env.snapshot, agent, rng) for agent in env.agents})
    return record(env)


def test_fog_lies_over_exactly_what_an_agent_does_not_see():
    env = collm_envs.make("StrBuild-v1", items=[{"string": "LI"}])
    env.reset(seed=0)
    env.step({"agent_0": "/setblock 0 0 0 oak_planks", "agent_1": "/setblock 0 1 0 stone"})
    first, second = env.task.scene(env.snapshot).sights.values()
    assert {x for x, _, _ in first.target} == {0, 1, 2, 3, 4, 5, 6}
    assert {x for x, _, _ in second.target} == {5, 6, 7, 8, 9, 10, 11}
    assert (first.blocks, second.blocks) == ({(0, 0, 0)}, {(0, 1, 0)})
    html = page(asdict(record(env)), scenes(record(env)))
    worlds = json.loads(html.split('id="worlds">')[1].split("</script>")[0])
    assert len(worlds["eyes"][0]["fog"]) == 5 * 5
    assert worlds["eyes"][0]["turns"][1].count(True) == 1 + 7  # its block, and what is missing of L
    assert "<option>agent_1</option>" in html


def test_where_all_see_everything_there_is_nothing_to_switch():
    env = collm_envs.make("StrBuild-v0")
    env.reset(seed=0)
    env.step(dict.fromkeys(env.agents, ""))
    assert 'id="eyes"' not in page(asdict(record(env)), scenes(record(env)))


def test_spiders_and_guards_stand_on_a_plan_with_a_line_each():
    signs = [
        Sign("danger", 2, 0, 2, "spider <here>"),
        Sign("guard", 2, 0, 0, "agent_0 stood guard"),
        Sign("warning", 0, 1, 1, "spider to come"),
    ]
    html = plan(Scene((3, 3, 3), signs=signs))
    assert html.count("<circle") == 2
    assert 'cx="70" cy="15"' in html
    assert "L80 5" in html  # the guard stands beside the spider in their cell
    assert "spider &lt;here&gt;" in html
    assert plan(Scene((3, 3, 3))) == ""


def test_a_house_shows_its_spiders_until_they_have_left():
    done = played("HouseBuild-v1", spiders=1)
    kinds = [[sign.kind for sign in scene.signs] for scene in scenes(done)]
    assert "guard" in str(kinds)
    assert "danger" not in str(kinds)  # experts meet it in the turn in which it comes
    assert kinds[0] in ([], ["warning"])
    silent = [scene.signs for scene in scenes(played("HouseBuild-v1", "random", spiders=1, max_turns=3))]
    assert any(sign.kind == "danger" for signs in silent for sign in signs)


def test_a_message_round_reads_as_a_conversation():
    turn = {"texts": {"a": "hello\n<b>", "b": ""}, "prompts": {"a": "x"}, "edits": {"b": ["cut"]}}
    html = conversation(turn, {"a": "red", "b": "blue", "c": "green"})
    assert "to b and c" in html
    assert "hello\n&lt;b&gt;" in html
    assert html.count('<span class="nothing">nothing</span>') == 2
    html = page(asdict(played("TLDR-v1", view="split")))
    assert "turn 1 of the task · reward" in html
