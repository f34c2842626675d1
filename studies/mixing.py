"""Learning curves of the mixers on foraging and simple_spread: same settings, episodes and steps for all.

    python studies/mixing.py            make the runs that are missing, one after the other

One row of studies/results/mixing.csv is one greedy evaluation.  A run's rows are written together when it is
done, and mixing.md and mixing.png made anew from all rows, so the script can be stopped at any time and
goes on where it was.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from baselines import games
from baselines.games.agents import play_games
from baselines.games.game import Game
from baselines.mixing import EVAL_SEED, Config, Learner, evaluate, train
from baselines.runs.budget import append_rows, read_results

FOLDER = Path(__file__).parent / "results"
ROWS, PAGE, PICTURE = (FOLDER / f"mixing.{end}" for end in ("csv", "md", "png"))
FIELDS = ("game", "mixer", "seed", "step", "turns", "return", "cpu_s")
GAMES = {
    "Foraging-5x5-2p-1f-coop-v3": Config(steps=400, epsilon_turns=20_000),
    "simple-spread": Config(steps=240, epsilon_turns=10_000),
    "StrBuild-v0": Config(steps=240, epsilon_turns=3000),
    "HouseBuild-v0": Config(steps=240, epsilon_turns=3000),
}
TEXTS = ("StrBuild-v0", "HouseBuild-v0")
"""our text environments, an action picking one of a few texts; nobody wrote a function for them"""
SHARED = {"updates": 8, "lr": 2e-3, "tau": 0.02, "td_lambda": 0.7}
"""for all games; these and the above were tried out on VDN with seed 100, a handful of runs"""
RANDOM = "random"
"""uniformly random actions, for comparison"""
MIXERS = {"VDN": "vdn", "QMIX": "qmix", "QLLM": "qllm:{}", "learned": "learned"}
CONTROLS = {"fixed": "fixed", "shifted": "shifted:{}"}
"""QLLM's form with random weights, and with every weight at the next agent"""
CONTROLLED = ("Foraging-5x5-2p-1f-coop-v3", "simple-spread")
"""games with the controls: those where something is learned in time"""
FUNCTIONS = {"Foraging": "foraging", "simple": "simple_spread"}
SEEDS = (0, 1, 2, 3, 4)
AT_ONCE = 16
"""games side by side: one round is an episode in each, then `updates` steps"""
EPISODES = 64
"""greedy episodes of an evaluation, the same ones every time"""
POINTS = 8
"""evaluations of a run after the one before its first step"""
TEXT = """# Value decomposition with four mixers

Written by `python studies/mixing.py` ({done} of {all} runs done). Return of greedy episodes after training,
mean over seeds (lowest to highest); in brackets the number of seeds where it is not {seeds}.

{table}

![learning curves](mixing.png)

Lines are means over seeds, bands reach from the lowest to the highest.

**Budget.** {steps} optimizer steps of 32 episodes, eight for each round of {at_once} episodes, on one CPU
thread. All runs together took {minutes:.0f} CPU minutes, evaluations included, the longest {seconds:.0f}
seconds. That is little: published curves of these games use 2 million turns and more, these runs at most
{turns:.3f} million. What the lines show is who learns faster in that budget, not what a mixer can reach.

**Rewards** are standardised by their running mean and deviation, as EPyMARL does, in every run. Until the
study of before, rewards were multiplied by a number chosen for each game; with 0.1 on simple-spread QMIX
fell to -59, which was that number's doing and not the mixer's.

**Left out.** Foraging on 8x8 and 10x10 fields: random play finds any food on 8x8 in 0.7 % of episodes, so
an exploration schedule that finds enough of it does not fit into this budget, and a flat line would say
nothing about mixers.

**Equal by construction.** All mixers have the same settings, episodes, steps, initial agents and evaluation
episodes; only the field `mixer` differs (a test keeps it so). The settings were tried out on VDN with seed
100, a handful of runs, so they favour VDN if anyone. QLLM's functions are in `baselines/credit/functions/`,
with a line on who wrote them. Ranges of {seeds} seeds that overlap rank nothing.

**Controls.** `fixed` has QLLM's form with weights drawn at random once; `shifted` has QLLM's function with
every agent's weight given to the next one. Where they do as well as QLLM, the function's words are not what
helps.
**Texts:** in `StrBuild-v0` and `HouseBuild-v0` an action picks one of 4 and 5 texts; the best team earns 2
and 1 in each of 4 turns. They are our text environments with their own rules and rewards.
"""


def run(game: str, mixer: str, seed: int) -> list[dict]:
    """The rows of one run."""
    made = [games.make(game) for _ in range(AT_ONCE)]
    if mixer == RANDOM:
        return [row(game, mixer, seed, 0, 0, random_play(made), 0.0)]
    config = settings(game, mixer, seed)
    learner, rows, start = Learner(config, made[0].layout), [], time.process_time()

    def measure() -> None:
        value = float(np.mean(evaluate(learner.agents, made, EPISODES, EVAL_SEED)))
        spent = time.process_time() - start
        rows.append(row(game, mixer, seed, learner.step, learner.turns, value, spent))

    measure()
    for _ in train(config, made, learner):
        if learner.step % (config.steps // POINTS) == 0:
            measure()
    return rows


def row(game: str, mixer: str, seed: int, step: int, turns: int, value: float, spent: float) -> dict:
    """One line of the table of results."""
    figures = (game, mixer, seed, step, turns, round(value, 4), round(spent, 1))
    return dict(zip(FIELDS, figures, strict=True))


def settings(game: str, mixer: str, seed: int) -> Config:
    """The config of a run: that of the game, and nothing of the mixer's own but its name."""
    function = next((f for start, f in FUNCTIONS.items() if game.startswith(start)), "")
    return replace(GAMES[game], **SHARED, seed=seed, mixer={**MIXERS, **CONTROLS}[mixer].format(function))


def mixers_of(game: str) -> list[str]:
    """What is run on a game; the controls last."""
    plain = [mixer for mixer in MIXERS if game not in TEXTS or mixer != "QLLM"]
    return plain + [*CONTROLS] * (game in CONTROLLED)


def random_play(made: list[Game]) -> float:
    """Mean return of uniformly random actions."""
    agents, rng = Learner(Config(), made[0].layout).agents, np.random.default_rng(EVAL_SEED)
    rounds = [play_games(made, agents, 1.0, rng) for _ in range(EPISODES // AT_ONCE)]
    return float(np.mean([episode.rewards.sum() for episodes in rounds for episode in episodes]))


def read() -> list[dict]:
    """All rows so far, as text."""
    return read_results(ROWS)


def curves(rows: list[dict], game: str, mixer: str) -> tuple[list[int], np.ndarray]:
    """Optimizer steps of the evaluations (P) and returns (seeds, P); no seeds where no run is done."""
    mine = [row for row in rows if row["game"] == game and row["mixer"] == mixer]
    seeds = sorted({row["seed"] for row in mine})
    returns = [[float(row["return"]) for row in mine if row["seed"] == seed] for seed in seeds]
    return sorted({int(row["step"]) for row in mine}), np.array(returns)


def draw(rows: list[dict]) -> None:
    """The picture: a panel a game."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = [figure.add_subplot(2, 2, k + 1) for k in range(len(GAMES))]
    for axis, game in zip(axes, GAMES, strict=True):
        for k, mixer in enumerate((*MIXERS, *CONTROLS)):
            steps, returns = curves(rows, game, mixer)
            if len(returns):
                (line,) = axis.plot(
                    steps, returns.mean(0), "--" * (mixer in CONTROLS) or "-", label=mixer, color=f"C{k}"
                )
                band = returns.min(0), returns.max(0)
                axis.fill_between(steps, *band, alpha=0.15, color=line.get_color(), linewidth=0)
        by_chance = curves(rows, game, RANDOM)[1].mean()
        axis.axhline(by_chance, color="gray", linestyle=":", linewidth=1, label=RANDOM)
        axis.set(title=game, xlabel="optimizer steps (2 episodes each)")
        if game.startswith("Foraging"):
            axis.set_ylim(-0.03, 1.03)  # all that can be earned, or noise near 0 looks like learning
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("return, greedy")
    axes[0].legend(frameon=False)
    figure.savefig(PICTURE, dpi=110)


def table(rows: list[dict]) -> str:
    """The last evaluation of every run in Markdown."""
    names = (*MIXERS, *CONTROLS)
    lines = ["| game | " + " | ".join((RANDOM, *names)) + " |", "|---" * (2 + len(names)) + "|"]
    for game in GAMES:
        cells = [game, f"{curves(rows, game, RANDOM)[1].mean():.2f}"]
        for mixer in names:
            _, returns = curves(rows, game, mixer)
            if not len(returns):
                cells.append("")
                continue
            last = returns[:, -1]
            few = "" if len(last) == len(SEEDS) else f" [{len(last)}]"
            cells.append(f"{last.mean():.2f} ({last.min():.2f} to {last.max():.2f}){few}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def publish(rows: list[dict]) -> None:
    """Write the page and the picture from the rows."""
    draw(rows)
    steps = sorted({config.steps for config in GAMES.values()})
    spent = {}
    for row in rows:  # the last evaluation of a run has it all
        spent[row["game"], row["mixer"], row["seed"]] = float(row["cpu_s"])
    text = TEXT.format(
        done=len({(row["game"], row["mixer"], row["seed"]) for row in rows if row["mixer"] != RANDOM}),
        all=len(SEEDS) * sum(len(mixers_of(game)) for game in GAMES),
        seeds=len(SEEDS),
        table=table(rows),
        steps=f"{steps[0]} to {steps[-1]}",
        at_once=AT_ONCE,
        minutes=sum(spent.values()) / 60,
        seconds=max(spent.values()),
        turns=max(int(row["turns"]) for row in rows) / 1e6,
    )
    PAGE.write_text(text, "utf-8")


def main() -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = [(0, game, RANDOM) for game in GAMES]
    wanted += [(seed, game, mixer) for seed in SEEDS for game in GAMES for mixer in mixers_of(game)]
    wanted.sort(
        key=lambda one: (one[2] != RANDOM, one[1] not in TEXTS, one[2] in CONTROLS)
    )  # stable: by seed
    for seed, game, mixer in wanted:
        if (game, mixer, str(seed)) in {(row["game"], row["mixer"], row["seed"]) for row in read()}:
            continue
        append_rows(ROWS, run(game, mixer, seed))
        print(*read()[-1].values(), flush=True)
        if mixer != RANDOM:
            publish(read())


if __name__ == "__main__":
    main()
