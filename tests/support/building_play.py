"""What the tests of both building tasks share: one turn played, a small house, cells found in prompts."""

import re

import collm_envs
from collm_envs.building.housebuild.blueprints import published

ROWS = {row["task_id"]: row for some in published().values() for row in some}


CELL = re.compile(r"^\((-?\d+), (-?\d+), (-?\d+)\) (\w+)$", re.M)


BOX = re.compile(r"\((-?\d+), (-?\d+), (-?\d+), (-?\d+), (-?\d+), (-?\d+) (\w+)\)")


def play_once(env, texts):
    env.reset(seed=0)
    return env.step(dict(zip(env.possible_agents, texts, strict=True)))


def played_by(task, item, player, rng):
    state = task.start(item, rng.getrandbits(31))
    texts = {agent: task.players[player](task, state, agent, rng) for agent in task.agents}
    return task.play(state, texts)


def rejected_of(text, word="I", **kwargs):
    env = collm_envs.make("StrBuild-v0", items=[{"string": word}], **kwargs)
    info = play_once(env, [text, ""])[4]["agent_0"]
    return info["accepted"], [(line["line"], line["why"]) for line in info["rejected"]]


def small_house(**changes):
    """4 x 2 x 2: a floor of stone on y=0, one plank on y=1."""
    spec = {
        "layers": [
            {"y": 0, "rows": ["SSSS", "SSSS"]},
            {"y": 1, "rows": ["P...", "...."]},
        ]
    }
    return {"inventory": {"S": "stone", "P": "oak_planks", ".": "air"}, "target_spec": spec, **changes}


def cells_in(text):
    return [[int(x), int(y), int(z), block] for x, y, z, block in CELL.findall(text)]


def boxes_in(text):
    """As golden lists them: y, x1, z1, x2, z2, block."""
    found = [(*map(int, numbers), block) for *numbers, block in BOX.findall(text)]
    assert all(y1 == y2 for _, y1, _, _, y2, _, _ in found)
    return [[y, x1, z1, x2, z2, block] for x1, y, z1, x2, _, z2, block in found]
