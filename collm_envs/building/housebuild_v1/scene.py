"""A state of HouseBuild-v1 as something to be drawn."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product

from collm_envs.building.housebuild_v1.state import State
from collm_envs.building.stacks import standing
from collm_envs.task import AgentView, Scene, Sign


def scene_of(state: State, layers: Mapping[str, Collection[int]]) -> Scene:
    """The scene; `layers` are those that each agent sees."""
    house, sights = state.house, {}
    for own, (agent, heights) in zip(state.own, layers.items(), strict=True):
        seen = product(range(house.size[0]), heights, range(house.size[2]))
        sights[agent] = AgentView(frozenset(seen), frozenset(own))
    return Scene(
        size=house.size,
        blocks=standing(state.stacks),
        target=house.cells,
        title=f"a house of {'x'.join(map(str, house.size))}",
        sights=sights,
        signs=[*_spiders(state, list(layers)), *_guards(state, list(layers))],
    )


def _spiders(state: State, agents: Sequence[str]) -> Iterator[Sign]:
    """The spiders that are here, or that somebody reads of in the next turn."""
    for number, spider in enumerate(state.spiders):
        if number in state.met or spider.turn > state.turn + 2:
            continue
        here = spider.turn <= state.turn
        when = f"here since turn {spider.turn}" if here else f"comes in turn {spider.turn}"
        text = (
            f"spider at x={spider.x} z={spider.z}, {when} of the task, leaves when {spider.strength} guard "
            f"there; {agents[spider.watch]} reads of it"
        )
        yield Sign("danger" if here else "warning", spider.x, spider.z, spider.strength, text)


def _guards(state: State, agents: Sequence[str]) -> Iterator[Sign]:
    """The guards of the last turn."""
    for k, agent in enumerate(agents):
        for line in state.score.accepted.get(agent, ()):
            if line.startswith("/guard"):
                x, z = map(int, line.split()[1:3])
                yield Sign("guard", x, z, k, f"{agent} stood guard at x={x} z={z}")
