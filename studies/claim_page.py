"""The page of studies/claim.py: what the rows of the games and of the text runs say about each sentence."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import claim
import claim_games
from claim_games import area
from claim_rows import (
    FIRST_START,
    FIRST_START_TRIED,
    GAMES,
    HOUSE_V1,
    STR_V0,
    STR_V1,
    TASKS,
    Cell,
    Row,
    Runs,
    Seeds,
    apart,
    arm_of,
    at,
    better,
    both,
    cached_rates,
    column,
    fewest,
    from_first_start,
    interval,
    is_chosen,
    last,
    last_of_all,
    runs_of,
    shown,
)
from claim_runs import C3, CRITIC_RATE, KEY, METHODS, NEWEST, OURS, REFERENCE, SILENT, Arm

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
    rewards: tuple[str, ...]
    claims: str
    """better or alike"""


LOO = "leave-one-out"
LONG, SPARSE, DENSE = (8, 4), ("final", "final, each"), ("dense",)
"""horizons; rewards"""
SENTENCES = (
    Sentence("long and sparse: CC beats Monte Carlo", "CC, GAE 0.9", LOO, LONG, SPARSE, "better"),
    Sentence("with TD(0), as published: CC beats Monte Carlo", "CC, TD(0)", LOO, LONG, SPARSE, "better"),
    Sentence("long and sparse: CC beats MAGRPO", "CC, GAE 0.9", "MAGRPO", LONG, SPARSE, "better"),
    Sentence("long and sparse: CC beats DC", "CC, GAE 0.9", "DC, GAE 0.9", LONG, SPARSE, "better"),
    Sentence("short: CC is like Monte Carlo", "CC, GAE 0.9", LOO, (1,), SPARSE, "alike"),
    Sentence("short: CC is like MAGRPO", "CC, GAE 0.9", "MAGRPO", (1,), SPARSE, "alike"),
    Sentence("short: CC is like DC", "CC, GAE 0.9", "DC, GAE 0.9", (1,), SPARSE, "alike"),
    Sentence("dense: CC is like Monte Carlo", "CC, GAE 0.9", LOO, LONG, DENSE, "alike"),
    Sentence("dense: CC is like MAGRPO", "CC, GAE 0.9", "MAGRPO", LONG, DENSE, "alike"),
    Sentence("dense: CC is like DC", "CC, GAE 0.9", "DC, GAE 0.9", LONG, DENSE, "alike"),
)
"""Monte Carlo: the leave-one-out baseline"""
CLAIMED = tuple(s for s in SENTENCES if (s.method, s.claims) == (REFERENCE, "better"))
"""the sentences that CoLLM-CC is better, all of long and sparse cells"""
OTHERS = (REFERENCE, "DC, GAE 0.9", "MAGRPO", LOO, C3)
COMPARED = (*itertools.product(("ridge", OURS), OTHERS), (OURS, "ridge"))
"""(a method of ours, another)"""
WITH_CRITICS, EXPLAINED = ("maac", "ridge"), "explained_variance"
BEST = {GAMES: 1.0, STR_V0: 2.0, HOUSE_V1: 2.0, STR_V1: 2.0}
"""task -> the best return; on `STR_V0`, where every turn builds anew, of a turn"""
OTHER_BETTER = "does not: the other is better"
NOT_MEASURED, UNDECIDED = "not measured", "cannot be told"
COSTS = ("tokens", "cpu_s")
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
MODELS = tuple(
    Cell(task, turns, "final") for task, turns in ((HOUSE_V1, 8), (STR_V0, 4), (HOUSE_V1, 4), (STR_V1, 4))
)
LONG_GAMES = Cell(GAMES, 8, "final"), Cell(GAMES, 8, "final, each"), Cell(GAMES, 4, "final")
LONG_AND_SPARSE = (*MODELS, *LONG_GAMES)
"""the cells that the sentences on top are about; `MODELS`: of language models"""
CRITICS = (*MODELS, Cell(STR_V0, 4, "dense"), *LONG_GAMES, Cell(GAMES, 8, "dense"))
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
    "is a critic of ours, a regression on what the task measures after every turn. That holds what the turn "
    "has earned before it is paid: to ridge no reward is sparse. With alternatives four other texts of an "
    "agent are played in place of its own, as counterfactual credit does, too. After: the return after "
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


def best(cell: Cell) -> float:
    """The best return of an episode."""
    return BEST[cell.task] * (cell.turns if cell.task == STR_V0 else 1)


def verdicts(sentences: Sequence[Sentence]) -> list[list[str]]:
    """A line for each of these sentences, task and horizon that was measured."""
    lines = []
    for sentence in sentences:
        for cell in itertools.starmap(Cell, itertools.product(TASKS, sentence.horizons, sentence.rewards)):
            differences, holds = judged(sentence.method, sentence.other, cell, sentence.claims)
            if holds != NOT_MEASURED:
                line = [sentence.text, titled(cell), holds, shown(differences), str(len(differences))]
                lines.append(line)
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


def first_row(seeds: Seeds) -> Row:
    return next(iter(seeds.values()))[0]


def cell_table(cell: Cell) -> str:
    """One line a method: where it ends, its area, what it has at equal tokens and CPU seconds, P(better)."""
    runs = runs_of(cell)
    first = first_row(next(iter(runs.values())))
    costs = [cost for cost in COSTS if cost in first]
    limits = {cost: fewest(runs.values(), cost) for cost in costs}
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
        differences = apart(seeds, runs.get(REFERENCE, {}), last) if method != REFERENCE else []
        chance = better(runs, method, REFERENCE) if len(differences) >= FEWEST else None
        lines.append(
            [*line, shown(differences) if differences else "–", "–" if chance is None else f"{chance:.2f}"]
        )
    return table(columns, lines)


def cell_section(cell: Cell) -> str:
    """Charts by joint turns and by CPU seconds, and the table, of a cell; "" where nothing is there."""
    runs = runs_of(cell)
    if not any(len(seeds) > 1 for seeds in runs.values()):
        return ""
    pair = side_by_side(
        chart(curves(runs, "joint_turns", DRAWN), "joint turns", "return"),
        chart(curves(runs, "cpu_s", DRAWN), "CPU seconds", "return"),
    )
    return section(f"{titled(cell)} reward", pair, cell_table(cell))


def two_starts() -> str:
    """The longest cell from two warm starts: what each method ends at, and differences."""
    cell = Cell(HOUSE_V1, 8, "final")
    starts = from_first_start(cell), runs_of(cell)
    if any(REFERENCE not in runs for runs in starts):
        return ""
    lines = [
        [method, *(shown([last(x) for x in runs[method].values()]) for runs in starts)]
        for method in starts[0]
    ]
    for method, other in (*((s.method, s.other) for s in CLAIMED), *COMPARED):
        pairs = [both(runs, method, other) for runs in starts]
        if all(apart(*pair, last) for pair in pairs):
            lines.append([f"{method} less {other}", *(shown(apart(*pair, last)) for pair in pairs)])
    began = [fmean(float(rows[0]["return"]) for rows in runs[REFERENCE].values()) for runs in starts]
    columns = [
        "after, 95 %",
        f"from {began[0]:.2f}, a start that is lost",
        f"from {began[1]:.2f}, one that is kept",
    ]
    note = (
        "Ten seeds each, at the rates that the trials from each start chose: for ridge 2.5e-4 and with "
        "alternatives 5e-4 from both, for the others 1.25e-4 from the first and 2.5e-4 from the second."
    )
    return section(f"Two warm starts: {titled(cell)}", table(columns, lines), note=note)


def reasons() -> str:
    """What each change of a critic does: differences of the area, and of the return after."""
    lines = []
    for cell in CRITICS:
        runs = runs_of(cell)
        for change, method, other in REASONS:
            pair = both(runs, method, other)
            if len(areas := apart(*pair, area)) > 1:
                ends = shown(apart(*pair, last))
                lines.append([change, titled(cell), shown(areas), ends, str(len(areas))])
    columns = ["change", "cell", "area, 95 %", "after, 95 %", "seeds"]
    return section("Where a critic is behind, and what helps", table(columns, lines)) if lines else ""


def paid_at_once() -> str:
    """What it does to be paid every turn, and ridge, paid at the end, beside methods that are."""
    lines = []
    for cell in (cell for cell in LONG_AND_SPARSE if cell.reward == "final"):
        final, dense = runs_of(cell), runs_of(cell._replace(reward="dense"))
        for mine, other in ((REFERENCE, REFERENCE), (LOO, LOO), (REFERENCE, "ridge"), (LOO, "ridge")):
            pair = dense.get(mine, {}), final.get(other, {})
            if len(ends := apart(*pair, last)) > 1:
                what = f"{mine}, every turn, less {other}, at the end"
                measured = shown(ends), shown(apart(*pair, area)), str(len(ends))
                lines.append([what, titled(cell).removesuffix(", final"), *measured])
    columns = ["when paid", "cell", "after, 95 %", "area, 95 %", "seeds"]
    return section("What it is to be paid at the end", table(columns, lines)) if lines else ""


def rates() -> str:
    """What each learning rate came to: the trials, and the runs at rates that are no longer chosen."""
    arms = [*dict.fromkeys(arm_of(row) for row in read_results(claim.TRIED, KEY))]
    grid = sorted({lr for arm in arms for lr, _ in claim.trials(arm)})
    lines = []
    for arm in arms:
        areas, pick = claim.trials(arm), cached_rates(arm)
        edges = [extreme(lr for lr, _ in areas) for extreme in (min, max)]
        line = [arm.method, titled(cell_of(arm))]
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
    return trials + game_rates() + critic_rates() + passed_over()


def game_rates() -> str:
    """The rate of each method in each cell of the game, the mean area of its trials, the grid's ends."""
    columns = ["", *(f"{turns} turns, {reward}" for reward, turns in claim_games.CELLS)]
    lines = []
    for method in claim_games.METHODS:
        line = [method]
        for reward, turns in claim_games.CELLS:
            areas = claim_games.trials(reward, turns, method)
            if not areas or claim_games.missing_trials(areas):
                line.append("–")
                continue
            rate = claim_games.best_rate(areas)
            mean = fmean(areas[rate, seed] for seed in claim_games.TUNING)
            ends = [extreme(rate for rate, _ in areas) for extreme in (min, max)]
            line.append(f"{rate:g} ({mean:.2f}), of {ends[0]:g} to {ends[1]:g}")
        lines.append(line)
    if all(set(line[1:]) == {"–"} for line in lines):
        return ""
    note = f"In brackets the mean area on seeds {', '.join(map(str, claim_games.TUNING))}, not reported."
    return section("What the trials in the game chose", table(columns, lines), note=note)


def critic_rates() -> str:
    """What other rates of the critic come to on the trials' seeds, at the actor's rate they were tried at."""
    grid = sorted((CRITIC_RATE, *claim.CRITIC_RATES))
    lines = []
    arms = dict.fromkeys(arm_of(row) for row in read_results(claim.TRIED, KEY))
    for arm in (arm for arm in arms if arm.method in claim.WITH_CRITIC_TRIALS):
        tried = [claim.trials(arm, rate) for rate in grid]
        pick = cached_rates(arm)
        for lr in sorted({lr for lr, _ in tried[0]}):
            keys = [(lr, seed) for seed in claim.TUNING]
            if not all(set(keys) <= set(areas) for areas in tried):
                continue
            by_rate = [[areas[key] for key in keys] for areas in tried]
            cells = [f"{fmean(x):.2f} ({', '.join(f'{y:.2f}' for y in x)})" for x in by_rate]
            mark = " ✓" if pick and pick["lr"] == lr else ""
            lines.append([arm.method, titled(cell_of(arm)), f"{lr:g}{mark}", *cells])
    columns = ["", "cell", "actor's rate", *(f"critic's rate {rate:g}" for rate in grid)]
    note = (
        "Mean area, and that of each seed of the trials; ✓ the actor's rate of the reported runs, whose "
        f"critics have {CRITIC_RATE:g}."
    )
    return section("The critic's rate", table(columns, lines), note=note) if lines else ""


def passed_over() -> str:
    """The runs at rates that no trial chooses now, beside the same method at those that are chosen."""
    runs: dict[tuple[Arm, str], dict[int, list[Row]]] = {}
    for row in read_results(claim.ROWS, (*KEY, "step")):
        if cached_rates(arm_of(row)) is not None and not is_chosen(row):
            key = arm_of(row), row["rates"]
            runs.setdefault(key, {}).setdefault(int(row["seed"]), []).append(row)
    lines = []
    for (arm, labelled), seeds in runs.items():
        ends = [last(rows) for rows in seeds.values()]
        chosen_runs = runs_of(cell_of(arm)).get(arm.method, {})
        beside = [last(rows) for rows in chosen_runs.values()]
        where = [arm.method, titled(cell_of(arm)), labelled, str(len(seeds))]
        lines.append([*where, shown(ends), shown(beside) if beside else "–"])
    columns = ["", "cell", "rates of actor/critic", "seeds", "after", "after, at the chosen rates"]
    return section("The same methods at rates that were not chosen", table(columns, lines)) if lines else ""


def titled(cell: Cell) -> str:
    """A cell in words."""
    return f"{cell.task.partition(',')[0]}, {cell.turns} turn{'s' * (cell.turns > 1)}, {cell.reward}"


def cell_of(arm: Arm) -> Cell:
    return Cell(arm.env, arm.turns, arm.reward)


def finding() -> str:
    """How CoLLM-CC and ours come out in the long and sparse cells, in sentences; "" before there are runs."""
    claimed = [(sentence.method, sentence.other) for sentence in CLAIMED]
    of_td0, of_ridge, of_ours = [("CC, TD(0)", LOO)], [("ridge", REFERENCE)], [(OURS, REFERENCE)]
    counted = {
        "With language models CC (GAE 0.9), beside leave-one-out, MAGRPO and DC, is": tally(claimed, MODELS),
        "In a game with known answers it is": tally(claimed, LONG_GAMES),
        "With TD(0), as published, it is, beside leave-one-out,": tally(of_td0, LONG_AND_SPARSE),
        "Ridge, a critic of ours, is, beside CC with language models,": tally(of_ridge, MODELS),
        "With alternatives it is": tally(of_ours, MODELS),
    }
    sentences = [f"{text} {counts}." for text, counts in counted.items() if counts]
    kept, lost = (runs(MODELS[0]) for runs in (runs_of, from_first_start))
    if "ridge" in kept and REFERENCE in kept:
        ends = [shown(apart(*both(runs, "ridge", REFERENCE), last)) for runs in (lost, kept)]
        text = "In the longest cell ridge less CC is {} from one warm start and {} from another."
        sentences.append(text.format(*ends))
    return " ".join(sentences)


def tally(pairs: Sequence[tuple[str, str]], cells: Sequence[Cell]) -> str:
    """In how many of these cells the first of each pair is better than the second; "" before any runs."""
    counts = Counter(judged(method, other, cell)[1] for method, other in pairs for cell in cells)
    del counts[NOT_MEASURED]
    if not counts:
        return ""
    words = {"holds": "better", OTHER_BETTER: "worse", "alike": "alike", UNDECIDED: "not told apart"}
    kinds = [f"{word} in {counts[kind]}" for kind, word in words.items() if counts[kind]]
    return f"{', '.join(kinds)} of {counts.total()} comparison{'s' * (counts.total() > 1)}"


def judged(method: str, other: str, cell: Cell, claims: str = "better") -> tuple[list[float], str]:
    """A method less another in a cell, after the run, and the verdict whether it is better (or alike)."""
    runs = runs_of(cell)
    differences = apart(*both(runs, method, other), last)
    return differences, verdict(differences, claims, best(cell))


def longest() -> str:
    """A column for each long and sparse cell: CoLLM-CC, and methods less others."""
    cells = [cell for cell in LONG_AND_SPARSE if REFERENCE in runs_of(cell)]
    mine = [[*runs_of(cell)[REFERENCE].values()] for cell in cells]
    explained = [
        f"{fmean(column([rows[-1] for rows in seeds], EXPLAINED)):.2f}" if EXPLAINED in seeds[0][-1] else "–"
        for seeds in mine
    ]
    lines = [
        ["best return", *(f"{best(cell):g}" for cell in cells)],
        ["seeds", *(str(len(seeds)) for seeds in mine)],
        ["CC, before", *(f"{fmean(float(rows[0]['return']) for rows in seeds):.2f}" for seeds in mine)],
        ["CC, after", *(shown([last(rows) for rows in seeds]) for seeds in mine)],
        ["variance its critic explains", *explained],
    ]
    marks = {"holds": " ▲", OTHER_BETTER: " ▼"}
    for method, other in IN_TABLE:
        line = [f"{method.removesuffix(', GAE 0.9')} less {other.removesuffix(', GAE 0.9')}"]
        for cell in cells:
            differences, holds = judged(method, other, cell)
            line.append("–" if holds == NOT_MEASURED else f"{shown(differences)}{marks.get(holds, '')}")
        lines.append(line)
    note = "▲ the first is better, ▼ the other, by the whole interval and a hundredth of the best return."
    titles = ["return, 95 % over seeds", *(titled(cell) for cell in cells)]
    parts = table(titles, lines), prose(WORDS_USED)
    return section("The long and sparse cells", *parts, note=note) if cells else ""


def ours() -> str:
    """A method of ours beside the others: differences after, of the area, at equal tokens and CPU seconds."""
    lines = []
    for cell in (*CRITICS, Cell(STR_V0, 1, "final")):
        runs = runs_of(cell)
        for method, other in COMPARED:
            pair = both(runs, method, other)
            if len(ends := apart(*pair, last)) > 1:
                equal = {cost: at(cost, fewest(pair, cost)) for cost in COSTS if cost in first_row(pair[0])}
                measures = [area, *(equal.get(cost) for cost in COSTS)]
                cells = [shown(apart(*pair, measure)) if measure else "–" for measure in measures]
                lines.append([f"{method} less {other}", titled(cell), shown(ends), *cells, str(len(ends))])
    columns = [
        "difference, 95 %",
        "cell",
        "after",
        "area",
        "at equal tokens",
        "at equal CPU seconds",
        "seeds",
    ]
    return section("A method of ours", table(columns, lines)) if lines else ""


def cost() -> str:
    """CPU hours of reported runs, of those at other rates, and of trials, in a sentence."""
    spent = {"reported runs": 0.0, "runs at rates that were passed over": 0.0, "runs whose trials go on": 0.0}
    for row in last_of_all():
        if "rates" not in row or is_chosen(row):
            state = "reported runs"
        elif cached_rates(arm_of(row)):
            state = "runs at rates that were passed over"
        else:
            state = "runs whose trials go on"
        spent[state] += float(row["cpu_s"])
    spent["models' trials"] = sum(float(row["cpu_s"]) for row in read_results(claim.TRIED, KEY))
    lost = [*claim.last_rows(FIRST_START, KEY).values(), *read_results(FIRST_START_TRIED, KEY)]
    spent["runs and trials from the warm start that is lost"] = sum(float(row["cpu_s"]) for row in lost)
    hours = ", ".join(f"{seconds / 3600:.2f} of {what}" for what, seconds in spent.items() if seconds)
    return f"CPU hours of training, one thread, evaluations not counted: {hours}."


def headline() -> str:
    """The chart on top: a long and sparse cell in which three methods have two seeds."""
    for cell in LONG_AND_SPARSE:
        runs = runs_of(cell)
        if sum(len(seeds) > 1 for seeds in runs.values()) > 2:
            caption = f"{cell.task}: {cell.turns} turns, reward at the end; mean and 95 % interval over seeds"
            return chart(curves(runs, "joint_turns", ON_TOP), "joint turns", "return", caption=caption)
    return ""


def page() -> str:
    """studies/results/claim/index.html"""
    protocol = (claim.__doc__ or "").split("\n\n", 2)[2]
    rewards = ("final", "final, each", "dense")
    cells = [Cell(task, turns, reward) for reward in rewards for turns in (8, 4, 2, 1) for task in TASKS]
    sections = [
        prose(finding()),
        headline(),
        longest(),
        section(
            "Sentence by sentence",
            table(["the claim", "task", "here", "difference, 95 %", "seeds"], verdicts(SENTENCES)),
        ),
        ours(),
        two_starts(),
        paid_at_once(),
        reasons(),
        rates(),
        *(cell_section(cell) for cell in cells),
        prose(cost()),
        folded("protocol", prose(protocol.replace("**", "").replace("*", ""))),
        folded("the anchor", prose((claim_games.__doc__ or "").replace("*", ""))),
        folded("the commands that repeat the runs with models", code(claim.commands())),
    ]
    title = "Does a central critic pay where episodes are long and rewards sparse?"
    return report(title, [part for part in sections if part], about="collm · studies/claim.py")
