"""The page of studies/claim.py: what the rows of the games and of the text runs say about each sentence."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import claim
import claim_games
from claim_rows import (
    GAMES,
    HOUSES,
    SPLIT_WORDS,
    TASKS,
    WORDS,
    Row,
    Runs,
    apart,
    arm_of,
    at,
    better,
    chosen,
    column,
    fewest,
    interval,
    last,
    last_of_all,
    rates_chosen,
    runs_of,
    shown,
)
from claim_runs import C3, CRITIC_RATE, KEY, METHODS, NEWEST, OURS, REFERENCE, SILENT, Arm, area

from baselines.runs.budget import read_results
from collm_envs.pages.report import Curve, chart, code, folded, prose, report, section, side_by_side, table

DRAWN = (*claim.MAIN, OURS)
"""what the charts of the cells show, as many as a chart has colours"""
ON_TOP = ("CC, GAE 0.9", "DC, GAE 0.9", "MAGRPO", "leave-one-out", C3, "ridge", OURS)
"""what the chart on top shows"""


class Sentence(NamedTuple):
    """A sentence about two methods."""

    text: str
    method: str
    other: str
    horizons: tuple[int, ...]
    reward: str
    claims: str
    """better or alike"""


LOO = "leave-one-out"
SENTENCES = (
    Sentence("long and sparse: CC beats Monte Carlo", "CC, GAE 0.9", LOO, (8, 4), "final", "better"),
    Sentence("with TD(0), as published: CC beats Monte Carlo", "CC, TD(0)", LOO, (8, 4), "final", "better"),
    Sentence("long and sparse: CC beats MAGRPO", "CC, GAE 0.9", "MAGRPO", (8, 4), "final", "better"),
    Sentence("long and sparse: CC beats DC", "CC, GAE 0.9", "DC, GAE 0.9", (8, 4), "final", "better"),
    Sentence("short: CC is like Monte Carlo", "CC, GAE 0.9", LOO, (1,), "final", "alike"),
    Sentence("short: CC is like MAGRPO", "CC, GAE 0.9", "MAGRPO", (1,), "final", "alike"),
    Sentence("short: CC is like DC", "CC, GAE 0.9", "DC, GAE 0.9", (1,), "final", "alike"),
    Sentence("dense: CC is like Monte Carlo", "CC, GAE 0.9", LOO, (8, 4), "dense", "alike"),
    Sentence("dense: CC is like MAGRPO", "CC, GAE 0.9", "MAGRPO", (8, 4), "dense", "alike"),
    Sentence("dense: CC is like DC", "CC, GAE 0.9", "DC, GAE 0.9", (8, 4), "dense", "alike"),
)
"""Monte Carlo: the leave-one-out baseline"""
CLAIMED = tuple(s for s in SENTENCES if (s.method, s.claims) == (REFERENCE, "better"))
"""the sentences that CoLLM-CC is better, all of long and sparse cells"""
OTHERS = (REFERENCE, "DC, GAE 0.9", "MAGRPO", LOO, C3)
COMPARED = (*itertools.product(("ridge", OURS), OTHERS), (OURS, "ridge"))
"""(a method of ours, another)"""
WITH_CRITICS, EXPLAINED = ("maac", "ridge"), "explained_variance"
BEST = {GAMES: 1.0, WORDS: 2.0, HOUSES: 2.0, SPLIT_WORDS: 2.0}
"""task -> the best return; on `WORDS`, where every turn builds anew, of a turn"""
OTHER_BETTER = "does not: the other is better"
NOT_MEASURED, UNDECIDED = "not measured", "cannot be told"
FEWEST = 4
"""seeds from which a verdict is given"""
NEGLIGIBLE = 0.01
"""share of the best return that a difference must exceed to count, however sure its sign"""
REASONS = (
    ("GAE 0.9 in place of TD(0): its bias while V is wrong", "CC, GAE 0.9", "CC, TD(0)"),
    ("Monte Carlo in place of GAE 0.9", "CC, Monte Carlo", "CC, GAE 0.9"),
    ("advantages normalised: V lags behind returns that rise", "CC, GAE 0.9, normalised", "CC, GAE 0.9"),
    ("V of the state in place of V of every text by itself", "CC, TD(0)", "CC of texts, TD(0)"),
    ("the newest turn read alone in place of the joint history", NEWEST, "CC, GAE 0.9"),
    ("V by ridge regression on what the task measures", "ridge", "CC, GAE 0.9"),
    ("ridge: each turn replayed without each agent", SILENT, "ridge"),
    ("ridge: each turn replayed with other texts", OURS, "ridge"),
    ("ridge regression beside leave-one-out, which has no critic", "ridge", "leave-one-out"),
)
"""(what is changed, method with it, method without)"""
MODELS = ((HOUSES, 8), (WORDS, 4), (HOUSES, 4), (SPLIT_WORDS, 4))
LONG_AND_SPARSE = (*MODELS, (GAMES, 8), (GAMES, 4))
"""task and horizon of the cells that the sentences on top are about; `MODELS`: of language models"""
CRITICS = (
    *((task, turns, "final") for task, turns in MODELS),
    (WORDS, 4, "dense"),
    *((GAMES, 8, reward) for reward in ("final", "final, each", "dense")),
)
"""the cells whose critics are compared with each other"""
IN_TABLE = (
    *((sentence.method, sentence.other) for sentence in CLAIMED),
    *((REFERENCE, other) for other in (C3, "ridge", OURS)),
    ("CC, TD(0)", LOO),
)
"""(method, another): the differences of the table on top"""
WORDS_USED = (
    "CC and DC are CoLLM-CC and CoLLM-DC, a central critic and decentral ones, with GAE 0.9 but where "
    "TD(0) is written. leave-one-out is MA-REINFORCE with that baseline, Monte Carlo as MAGRPO is. ridge "
    "is a critic of ours, a regression on what the task measures after every turn: on HouseBuild-v1 the "
    "score that is paid at the end, which to ridge is not sparse. With alternatives four other texts of "
    "an agent are played in place of its own, as counterfactual credit does, too. After: the return after "
    "the run; area: the mean return over the run. A difference is of runs with the same seeds."
)


def verdict(differences: Sequence[float], claims: str, best: float) -> str:
    """What an interval says about a sentence that claims "better" or "alike".   best: the best return"""
    ends = interval(differences)
    if ends is None or len(differences) < FEWEST:
        return NOT_MEASURED
    least = NEGLIGIBLE * best
    if max(map(abs, ends)) <= least:
        return "alike"
    if claims == "alike":
        return "not alike" if ends[0] > least or ends[1] < -least else UNDECIDED
    if ends[0] > least:
        return "holds"
    return OTHER_BETTER if ends[1] < -least else UNDECIDED


def best(task: str, turns: int) -> float:
    """The best return of an episode."""
    return BEST[task] * (turns if task == WORDS else 1)


def verdicts(sentences: Sequence[Sentence]) -> list[list[str]]:
    """A line for each of these sentences, task and horizon that was measured."""
    lines = []
    for sentence in sentences:
        for task in TASKS:
            for turns in sentence.horizons:
                pair = sentence.method, sentence.other
                differences, holds = judged(*pair, task, turns, sentence.reward, sentence.claims)
                if holds != NOT_MEASURED:
                    measured = shown(differences), str(len(differences))
                    lines.append([sentence.text, titled(task, turns), holds, *measured])
    return lines


def curves(runs: Runs, by: str, methods: Sequence[str]) -> list[Curve]:
    """Mean returns with their intervals over seeds, of methods with more than one."""
    drawn = []
    for method in (method for method in methods if len(runs.get(method, ())) > 1):
        seeds = [column(rows, "return") for rows in runs[method].values()]
        x = [
            fmean(values)
            for values in zip(*(column(rows, by) for rows in runs[method].values()), strict=True)
        ]
        columns = [*zip(*seeds, strict=True)]
        ends = [interval(values) or (fmean(values),) * 2 for values in columns]
        means = [fmean(values) for values in columns]
        drawn.append(Curve(method, x, means, [low for low, _ in ends], [high for _, high in ends]))
    return drawn


def cell_table(task: str, turns: int, reward: str) -> str:
    """One line a method: where it ends, its area, what it has at equal tokens and CPU seconds, P(better)."""
    runs = runs_of(task, turns, reward)
    first = next(iter(next(iter(runs.values())).values()))[0]
    costs = [cost for cost in ("tokens", "cpu_s") if cost in first]
    limits = {cost: fewest(runs, cost) for cost in costs}
    columns = ["", "seeds", "steps", "before", "after", "area"]
    columns += [
        f"at {limits[cost]:,.0f} tokens" if cost == "tokens" else f"at {limits[cost]:.2g} CPU s"
        for cost in costs
    ]
    columns += [
        "CPU s",
        *["explained variance"] * (EXPLAINED in first),
        f"less {REFERENCE}, after",
        "P(better)",
    ]
    lines = []
    for method, seeds in runs.items():
        values = list(seeds.values())
        line = [method, str(len(values)), values[0][-1]["step"]]
        line += [f"{fmean(float(rows[0]['return']) for rows in values):.2f}"]
        line += [shown([last(rows) for rows in values]), shown([area(rows) for rows in values])]
        line += [shown([at(cost, limits[cost])(rows) for rows in values]) for cost in costs]
        line += [f"{fmean(column(rows, 'cpu_s')[-1] for rows in values):.3g}"]
        if EXPLAINED in first:
            explained = fmean(float(rows[-1][EXPLAINED]) for rows in values)
            line += [f"{explained:.2f}" if METHODS[method][0] in WITH_CRITICS else "–"]
        differences = apart(runs, method, REFERENCE, last) if method != REFERENCE else []
        chance = better(runs, method, REFERENCE) if len(differences) >= FEWEST else None
        lines.append(
            [*line, shown(differences) if differences else "–", "–" if chance is None else f"{chance:.2f}"]
        )
    return table(columns, lines)


def cell_section(task: str, turns: int, reward: str) -> str:
    """Charts by joint turns and by CPU seconds, and the table, of one cell; "" where nothing is there."""
    runs = runs_of(task, turns, reward)
    if not any(len(seeds) > 1 for seeds in runs.values()):
        return ""
    pair = side_by_side(
        chart(curves(runs, "joint_turns", DRAWN), "joint turns", "return"),
        chart(curves(runs, "cpu_s", DRAWN), "CPU seconds", "return"),
    )
    return section(f"{titled(task, turns, reward)} reward", pair, cell_table(task, turns, reward))


def reasons() -> str:
    """What each change of a critic does: differences of the area, and of the return after."""
    lines = []
    for task, turns, reward in CRITICS:
        runs = runs_of(task, turns, reward)
        for change, method, other in REASONS:
            if len(areas := apart(runs, method, other, area)) > 1:
                ends = apart(runs, method, other, last)
                lines.append(
                    [change, titled(task, turns, reward), shown(areas), shown(ends), str(len(areas))]
                )
    columns = ["change", "cell", "area, 95 %", "after, 95 %", "seeds"]
    return section("Where a critic is behind, and what helps", table(columns, lines)) if lines else ""


def rates() -> str:
    """What each learning rate came to: the trials, and the runs at rates that are no longer chosen."""
    arms = [*dict.fromkeys(arm_of(row) for row in read_results(claim.TRIED, KEY))]
    grid = sorted({lr for arm in arms for lr, _ in claim.trials(arm)})
    lines = []
    for arm in arms:
        areas, pick = claim.trials(arm), rates_chosen(arm)
        edges = [extreme(lr for lr, _ in areas) for extreme in (min, max)]
        line = [arm.method, titled(*arm[:3])]
        for lr in grid:
            cell = ", ".join(f"{areas[lr, seed]:.2f}" for seed in claim.TUNING if (lr, seed) in areas)
            if pick and pick["lr"] == lr:
                cell += " ✓, at the edge" if lr in edges else " ✓"
            line.append(cell)
        lines.append(line)
    columns = ["", "cell", *(f"lr {lr:g}" for lr in grid)]
    trials = section(
        "What the trials of learning rates chose",
        table(columns, lines),
        note=f"Areas on seeds {', '.join(map(str, claim.TUNING))}, which are not reported; ✓ chosen, none "
        f"where trials are missing. Critics learn at {CRITIC_RATE:g}.",
    )
    return trials + critic_rates() + passed_over()


def critic_rates() -> str:
    """What other rates of the critic come to on the trials' seeds, at the actor's rate that is chosen."""
    grid = sorted((CRITIC_RATE, *claim.CRITIC_RATES))
    lines = []
    for env, turns, reward, _, methods in claim.CELLS:
        for method in (method for method in methods if method in claim.WITH_CRITIC_TRIALS):
            arm = Arm(env, turns, reward, method)
            pick = rates_chosen(arm)
            if pick is None or arm != arm.tuned_at:
                continue
            tried = [claim.trials(arm, rate) for rate in grid]
            keys = [(pick["lr"], seed) for seed in claim.TUNING]
            if all(set(keys) <= set(areas) for areas in tried):
                by_rate = [[areas[key] for key in keys] for areas in tried]
                cells = [f"{fmean(x):.2f} ({', '.join(f'{y:.2f}' for y in x)})" for x in by_rate]
                lines.append([arm.method, titled(env, turns, reward), f"{pick['lr']:g}", *cells])
    columns = ["", "cell", "actor's rate", *(f"critic's rate {rate:g}" for rate in grid)]
    note = f"Mean area, and that of each seed of the trials. Reported runs have {CRITIC_RATE:g}."
    return section("The critic's rate", table(columns, lines), note=note) if lines else ""


def passed_over() -> str:
    """The runs at rates that no trial chooses now, beside the same method at those that are chosen."""
    runs: dict[tuple[Arm, str], dict[int, list[Row]]] = {}
    for row in read_results(claim.ROWS, (*KEY, "step")):
        if rates_chosen(arm_of(row)) is not None and not chosen(row):
            key = arm_of(row), row["rates"]
            runs.setdefault(key, {}).setdefault(int(row["seed"]), []).append(row)
    lines = []
    for (arm, labelled), seeds in runs.items():
        ends = [last(rows) for rows in seeds.values()]
        chosen_runs = runs_of(arm.env, arm.turns, arm.reward).get(arm.method, {})
        beside = [last(rows) for rows in chosen_runs.values()]
        where = [arm.method, titled(*arm[:3]), labelled, str(len(seeds))]
        lines.append([*where, shown(ends), shown(beside) if beside else "–"])
    columns = ["", "cell", "rates of actor/critic", "seeds", "after", "after, at the chosen rates"]
    return section("The same methods at rates that were not chosen", table(columns, lines)) if lines else ""


def titled(task: str, turns: int, reward: str = "") -> str:
    """The name of a task, its horizon, and the reward where it is given."""
    return f"{task.partition(',')[0]}, {turns} turn{'s' * (turns > 1)}{', ' * bool(reward)}{reward}"


def finding() -> str:
    """How CoLLM-CC and ours come out in the long and sparse cells, in sentences; "" before there are runs."""
    games = [cell for cell in LONG_AND_SPARSE if cell not in MODELS]
    claimed = [(sentence.method, sentence.other) for sentence in CLAIMED]
    of_td0, of_ridge, of_ours = [("CC, TD(0)", LOO)], [("ridge", REFERENCE)], [(OURS, REFERENCE)]
    counted = {
        "With language models CC, beside leave-one-out, MAGRPO and DC, is": tally(claimed, MODELS),
        "In a game with known answers it is": tally(claimed, games),
        "With TD(0), as published, it is, beside leave-one-out,": tally(of_td0, LONG_AND_SPARSE),
        "Ridge, a critic of ours, is, beside CC with language models,": tally(of_ridge, MODELS),
        "With alternatives it is": tally(of_ours, MODELS),
    }
    return " ".join(f"{text} {counts}." for text, counts in counted.items() if counts)


def tally(pairs: Sequence[tuple[str, str]], cells: Sequence[tuple[str, int]]) -> str:
    """In how many of these cells the first of each pair is better than the second; "" before any runs."""
    counts = Counter(judged(method, other, *cell)[1] for method, other in pairs for cell in cells)
    del counts[NOT_MEASURED]
    if not counts:
        return ""
    words = {"holds": "better", OTHER_BETTER: "worse", "alike": "alike", UNDECIDED: "not told apart"}
    kinds = [f"{word} in {counts[kind]}" for kind, word in words.items() if counts[kind]]
    return f"{', '.join(kinds)} of {counts.total()} comparison{'s' * (counts.total() > 1)}"


def judged(
    method: str, other: str, task: str, turns: int, reward: str = "final", claims: str = "better"
) -> tuple[list[float], str]:
    """A method less another in a cell, after the run, and the verdict whether it is better (or alike)."""
    differences = apart(runs_of(task, turns, reward), method, other, last)
    return differences, verdict(differences, claims, best(task, turns))


def longest() -> str:
    """A column for each long and sparse cell: CoLLM-CC, and methods less others."""
    cells = [cell for cell in LONG_AND_SPARSE if REFERENCE in runs_of(*cell, "final")]
    mine = [[*runs_of(*cell, "final")[REFERENCE].values()] for cell in cells]
    explained = [
        f"{fmean(column([rows[-1] for rows in seeds], EXPLAINED)):.2f}" if EXPLAINED in seeds[0][-1] else "–"
        for seeds in mine
    ]
    lines = [
        ["best return", *(f"{best(*cell):g}" for cell in cells)],
        ["seeds", *(str(len(seeds)) for seeds in mine)],
        ["CC, before", *(f"{fmean(float(rows[0]['return']) for rows in seeds):.2f}" for seeds in mine)],
        ["CC, after", *(shown([last(rows) for rows in seeds]) for seeds in mine)],
        ["variance its critic explains", *explained],
    ]
    marks = {"holds": " ▲", OTHER_BETTER: " ▼"}
    for method, other in IN_TABLE:
        line = [f"{method.removesuffix(', GAE 0.9')} less {other.removesuffix(', GAE 0.9')}"]
        for cell in cells:
            differences, holds = judged(method, other, *cell)
            line.append("–" if holds == NOT_MEASURED else f"{shown(differences)}{marks.get(holds, '')}")
        lines.append(line)
    note = "▲ the first is better, ▼ the other, by the whole interval and a hundredth of the best return."
    titles = ["return, 95 % over seeds", *(titled(*cell) for cell in cells)]
    parts = table(titles, lines), prose(WORDS_USED)
    return section("The long and sparse cells", *parts, note=note) if cells else ""


def ours() -> str:
    """A method of ours beside the others: differences after, of the area, and at equal CPU seconds."""
    lines = []
    for task, turns, reward in (*CRITICS, (WORDS, 1, "final")):
        runs = runs_of(task, turns, reward)
        for method, other in COMPARED:
            if len(ends := apart(runs, method, other, last)) > 1:
                equal = at("cpu_s", fewest({name: runs[name] for name in (method, other)}, "cpu_s"))
                measured = [ends, *(apart(runs, method, other, measure) for measure in (area, equal))]
                what = f"{method} less {other}", titled(task, turns, reward)
                lines.append([*what, *map(shown, measured), str(len(ends))])
    columns = ["difference, 95 %", "cell", "after", "area", "at equal CPU seconds", "seeds"]
    return section("A method of ours", table(columns, lines)) if lines else ""


def cost() -> str:
    """CPU hours of reported runs, of those at other rates, and of trials, in a sentence."""
    spent = {"reported runs": 0.0, "runs at rates that were passed over": 0.0, "runs whose trials go on": 0.0}
    for row in last_of_all():
        if "rates" not in row or chosen(row):
            state = "reported runs"
        elif rates_chosen(arm_of(row)):
            state = "runs at rates that were passed over"
        else:
            state = "runs whose trials go on"
        spent[state] += float(row["cpu_s"])
    spent["models' trials"] = sum(float(row["cpu_s"]) for row in read_results(claim.TRIED, KEY))
    hours = ", ".join(f"{seconds / 3600:.2f} of {what}" for what, seconds in spent.items() if seconds)
    return f"CPU hours of training, one thread, evaluations not counted: {hours}."


def headline() -> str:
    """The chart on top: a long and sparse cell in which three methods have two seeds."""
    for task, turns in LONG_AND_SPARSE:
        runs = runs_of(task, turns, "final")
        if sum(len(seeds) > 1 for seeds in runs.values()) > 2:
            caption = f"{task}: {turns} turns, reward at the end; mean and 95 % interval over seeds"
            return chart(curves(runs, "joint_turns", ON_TOP), "joint turns", "return", caption=caption)
    return ""


def page() -> str:
    """studies/results/claim/index.html"""
    protocol = (claim.__doc__ or "").split("\n\n", 2)[2]
    rewards = ("final", "final, each", "dense")
    cells = [(task, turns, reward) for reward in rewards for turns in (8, 4, 2, 1) for task in TASKS]
    sections = [
        prose(finding()),
        headline(),
        longest(),
        section(
            "Sentence by sentence",
            table(["the claim", "task", "here", "difference, 95 %", "seeds"], verdicts(SENTENCES)),
        ),
        ours(),
        reasons(),
        rates(),
        *(cell_section(*cell) for cell in cells),
        prose(cost()),
        folded("protocol", prose(protocol.replace("**", "").replace("*", ""))),
        folded("the anchor", prose((claim_games.__doc__ or "").replace("*", ""))),
        folded("the commands that repeat the runs with models", code(claim.commands())),
    ]
    title = "Does a central critic pay where episodes are long and rewards sparse?"
    return report(title, [part for part in sections if part], about="collm · studies/claim.py")
