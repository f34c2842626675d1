"""What the scripted players of the v1 tasks earn, over difficulty and team size.  See results/v1_players.md.

    python studies/v1_players.py [--episodes 32]

Shown are mean returns on evaluation items.  expert talks one round before each turn; mute plays the same
without a word; solo is one agent with everybody's views and hands; retention is expert / solo.  For TLDR-v1
also what cheats earn, over all built-in posts, beside the reference summaries.

Rules that measuring has set.  StrBuild-v1: a block outside the word costs 4/background (with 3 the mute pair
that guesses at unseen letters reaches .70 to .74 of the expert at difficulty 1 to 3, with 4 at most .68); no
cost for a kind that is missing (the dense return would then pay a mute pair .25 for each kind it places);
a stock that tells nothing of the word (cut to fit at slack 1.5, it leaves 4 of 13 letters in a word of two).
Both building tasks: agents are not shown what others have placed, since with a convention of one block for
each letter a team that says nothing would know all after one turn; `feedback="letters"` of StrBuild-v1 shows
it.  TLDR-v1: the brief text's length ramp ends at 90 words; copies with words left out are found by
neighbours at most one word apart; a sentence that alternates function words and key words holds no fact; and
gates also read the sentences that hold facts by themselves (of 40,000 invented mixtures one of key words
between copied sentences had earned 2.69; the highest is now 2.20, the mean 0.05).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import collm_envs

OUT = Path("studies/results/v1_players.md")
TEAMS = (2, 3, 4)
HEAD = ("expert", "mute", "solo", "noisy", "random", "mute / expert", "retention")


def mean_return(env: collm_envs.TextEnv, player: str, episodes: int) -> float:
    """Of a scripted team on the evaluation items in turn."""
    total = 0.0
    for seed in range(episodes):
        env.reset(seed=seed, options={"item": seed % len(env.items("eval")), "split": "eval"})
        while env.agents:
            texts = {}
            for agent in env.agents:
                rng = Random(f"{seed}/{agent}/{len(env.turns)}")
                texts[agent] = env.task.players[player](env.task, env.snapshot, agent, rng)
            env.step(texts)
        total += sum(turn.score.reward for turn in env.turns)
    return total / episodes


def row(
    id: str, num_agents: int, episodes: int, kwargs: Mapping[str, Any], lone: Mapping[str, Any]
) -> list[float]:
    """The figures of `HEAD` for a team, or (one agent) those that there are."""
    solo = mean_return(collm_envs.make(id, num_agents=1, **lone), "solo", episodes)
    talking = collm_envs.make(id, num_agents=num_agents, talk=1, **kwargs)
    silent = collm_envs.make(id, num_agents=num_agents, **kwargs)
    expert, noisy, random = (mean_return(talking, name, episodes) for name in ("expert", "noisy", "random"))
    mute = mean_return(silent, "mute", episodes)
    return [expert, mute, solo, noisy, random, mute / expert, expert / solo]


def building(id: str, episodes: int, **kwargs: Any) -> Iterator[str]:
    """The lines of a building task's table."""
    yield table_head("difficulty | N")
    for difficulty in range(1, 7):
        for n in (1, *TEAMS):
            lone = {"difficulty": difficulty, "builders": max(2, n), **kwargs}
            if n == 1:
                env = collm_envs.make(id, num_agents=1, **lone)
                names = ("expert", "mute", "solo", "noisy", "random")
                figures = [mean_return(env, name, episodes) for name in names]
            else:
                figures = row(id, n, episodes, {"difficulty": difficulty, **kwargs}, lone)
            yield line(f"{difficulty} | {n}", figures)


def writing(episodes: int) -> Iterator[str]:
    """The lines of TLDR-v1's table, with a split view."""
    yield table_head("view | N")
    for view in ("all", "split"):
        for n in TEAMS:
            yield line(f"{view} | {n}", row("TLDR-v1", n, episodes, {"view": view}, {}))


def cheats() -> Iterator[str]:
    """What each cheat of the test earns: mean over the built-in posts, and its smallest distance."""
    sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
    from tldr_cheats import ITEMS, score
    from tldr_cheats import cheats as made

    earned: dict[str, list[tuple[float, float]]] = {}
    rng = Random(0)
    for k, item in enumerate(ITEMS):
        best = score(item, item.data["brief"], item.data["detailed"]).reward
        earned.setdefault("the reference summaries", []).append((best, 0.0))
        for name, brief, detailed in made(item, ITEMS[k - 1], rng):
            reward = score(item, brief, detailed).reward
            earned.setdefault(name, []).append((reward, best - reward))
    yield "| texts | mean reward | largest | least distance below the references |\n|---|---|---|---|"
    for name, pairs in earned.items():
        rewards, gaps = zip(*pairs, strict=True)
        yield f"| {name} | {sum(rewards) / len(rewards):.2f} | {max(rewards):.2f} | {min(gaps):.2f} |"


def table_head(first: str) -> str:
    return f"| {first} | {' | '.join(HEAD)} |\n" + "|---" * (len(HEAD) + 2) + "|"


def line(first: str, figures: list[float]) -> str:
    cells = [f"{figure:.2f}" for figure in figures] + [""] * (len(HEAD) - len(figures))
    return f"| {first} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--episodes", type=int, default=32)
    episodes = parser.parse_args().episodes
    parts = [
        f"# Scripted players of the v1 tasks\n\n{(__doc__ or '').strip()}\n\n{episodes} episodes a figure."
    ]
    for id in ("StrBuild-v1", "HouseBuild-v1"):
        parts.append(f"## {id}\n\n" + "\n".join(building(id, episodes)))
    parts.append("## TLDR-v1\n\n" + "\n".join(writing(episodes)))
    parts.append("## TLDR-v1: cheats, over all 128 posts\n\n" + "\n".join(cheats()))
    OUT.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
