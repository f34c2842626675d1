"""Learning curves of the mixers on foraging and simple_spread: same settings, episodes and steps for all.

    python studies/mixing.py            make the runs that are missing, one after the other, then draw

One row of docs/studies/mixing.csv is one greedy evaluation.  A run's rows are written together when it is
done, so the script can be stopped at any time and goes on where it was.  A run takes 50 to 90 CPU seconds
on one thread, which is little: published curves of these games use 2 million turns and more.
"""

from __future__ import annotations

import csv
import itertools
import time
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import torch

from baselines import games
from baselines.core.recurrent import play
from baselines.mixing import Config, Learner, evaluate, train

FOLDER = Path(__file__).parent.parent / "docs" / "studies"
ROWS = FOLDER / "mixing.csv"
FIELDS = ("game", "mixer", "seed", "step", "turns", "return", "cpu_s")
GAMES = {
    "Foraging-5x5-2p-1f-coop-v3": Config(steps=1200, reward_scale=10),
    "Foraging-8x8-2p-2f-coop-v3": Config(steps=600, reward_scale=10),
    "Foraging-2s-10x10-3p-3f-v3": Config(steps=600, reward_scale=10),
    "simple-spread": Config(steps=840, reward_scale=0.1),
}
SHARED = {"updates": 4, "lr": 1e-3, "td_lambda": 0.7, "epsilon_turns": 100_000}
"""for all games; these and the above were tried out on VDN with seed 100, a handful of runs"""
MIXERS = {"VDN": "vdn", "QMIX": "qmix", "QLLM": "qllm:{}", "learned": "learned"}
FUNCTIONS = {"Foraging": "foraging", "simple": "simple_spread"}
SEEDS = (0, 1, 2)
AT_ONCE = 16
"""games side by side: one round is an episode in each, then `updates` steps"""
EPISODES = 64
"""greedy episodes of an evaluation, the same ones every time"""
POINTS = 12
"""evaluations of a run after the one before its first step"""
EVAL_SEED = 12_345


def run(game: str, mixer: str, config: Config) -> list[dict]:
    """The rows of one run."""
    made = [games.make(game) for _ in range(AT_ONCE)]
    learner, rows, spent = Learner(config, made[0].layout), [], 0.0

    def measure() -> None:
        value = float(np.mean(evaluate(learner.agents, made, EPISODES, EVAL_SEED)))
        figures = (game, mixer, config.seed, learner.steps, learner.turns, round(value, 4), round(spent, 1))
        rows.append(dict(zip(FIELDS, figures, strict=True)))

    measure()
    start = time.process_time()
    for _ in train(config, made, learner):
        if learner.steps % (config.steps // POINTS) == 0:
            spent += time.process_time() - start
            measure()
            start = time.process_time()
    return rows


def settings(game: str, mixer: str, seed: int) -> Config:
    """The config of a run: that of the game, and nothing of the mixer's own but its name."""
    function = next(f for start, f in FUNCTIONS.items() if game.startswith(start))
    return replace(GAMES[game], **SHARED, seed=seed, mixer=MIXERS[mixer].format(function))


def random_play(game: str) -> float:
    """Mean return of uniformly random actions."""
    made = [games.make(game) for _ in range(AT_ONCE)]
    agents, rng = Learner(Config(), made[0].layout).agents, np.random.default_rng(EVAL_SEED)
    returns = [
        float(e.rewards.sum()) for _ in range(EPISODES // AT_ONCE) for e in play(made, agents, 1.0, rng)
    ]
    return float(np.mean(returns))


def read() -> list[dict]:
    """All rows so far."""
    if not ROWS.exists():
        return []
    with ROWS.open(newline="") as file:
        return list(csv.DictReader(file))


def write(rows: list[dict]) -> None:
    """Append the rows of one run."""
    new = not ROWS.exists()
    with ROWS.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerows(rows)


def curves(rows: list[dict], game: str, mixer: str) -> tuple[np.ndarray, np.ndarray]:
    """Optimizer steps (P,) of the evaluations and returns (seeds, P)."""
    mine = [row for row in rows if row["game"] == game and row["mixer"] == mixer]
    seeds = sorted({row["seed"] for row in mine})
    returns = [[float(row["return"]) for row in mine if row["seed"] == seed] for seed in seeds]
    return np.array(sorted({int(row["step"]) for row in mine})), np.array(returns)


def draw(rows: list[dict]) -> None:
    """docs/studies/mixing.png: mean over seeds, band from the lowest to the highest."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(GAMES), figsize=(14, 3.4), layout="constrained")
    for axis, game in zip(axes, GAMES, strict=True):
        for mixer in MIXERS:
            steps, returns = curves(rows, game, mixer)
            (line,) = axis.plot(steps, returns.mean(0), label=mixer)
            band = returns.min(0), returns.max(0)
            axis.fill_between(steps, *band, alpha=0.15, color=line.get_color(), linewidth=0)
        axis.axhline(random_play(game), color="gray", linestyle=":", linewidth=1, label="random")
        axis.set(title=game, xlabel="optimizer steps (4 episodes each)")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("return, greedy")
    axes[0].legend(frameon=False)
    figure.savefig(FOLDER / "mixing.png", dpi=110)


def table(rows: list[dict]) -> str:
    """The last evaluation of every run: mean over seeds (lowest to highest), CPU seconds."""
    lines = ["| game | random | " + " | ".join(MIXERS) + " |", "|---" * (2 + len(MIXERS)) + "|"]
    for game in GAMES:
        cells = []
        for mixer in MIXERS:
            last = curves(rows, game, mixer)[1][:, -1]
            cells.append(f"{last.mean():.2f} ({last.min():.2f} to {last.max():.2f})")
        lines.append(f"| {game} | {random_play(game):.2f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    torch.set_num_threads(1)
    done = {(row["game"], row["mixer"], int(row["seed"])) for row in read()}
    for seed, game, mixer in itertools.product(SEEDS, GAMES, MIXERS):
        if (game, mixer, seed) not in done:
            rows = run(game, mixer, settings(game, mixer, seed))
            write(rows)
            print(*rows[-1].values(), flush=True)
    draw(read())
    print(table(read()))


if __name__ == "__main__":
    main()
