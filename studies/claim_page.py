"""The page of studies/claim.py: what the rows of the games and of the text runs say about each sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import claim
import claim_games
from claim_rows import (
    GAMES,
    HOUSES,
    LISTED,
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

DRAWN = {**LISTED, GAMES: claim.MAIN}
"""what the charts of the cells show"""
ON_TOP = ("CC, GAE 0.9", "DC, GAE 0.9", "MAGRPO", "leave-one-out", C3, OURS)
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
OTHERS = {
    "CC": "CC, GAE 0.9",
    "DC": "DC, GAE 0.9",
    "MAGRPO": "MAGRPO",
    "leave-one-out": "leave-one-out",
    "C3": C3,
}
COMPARED = (
    *((f"ridge beside {name}", "ridge", other) for name, other in OTHERS.items()),
    *((f"ridge with alternatives beside {name}", OURS, other) for name, other in OTHERS.items()),
    ("ridge with alternatives beside ridge", OURS, "ridge"),
)
"""(what is compared, a method of ours, another)"""
WITH_CRITICS = ("maac", "ridge")
BEST = {GAMES: 1.0, WORDS: 2.0, HOUSES: 2.0, SPLIT_WORDS: 2.0}
"""task -> the best return; on `WORDS`, where every turn builds anew, of a turn"""
OTHER_BETTER = "does not: the other is better"
NOT_MEASURED = "not measured"
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
LONG = (
    (WORDS, 4, "final"),
    (HOUSES, 8, "final"),
    (HOUSES, 4, "final"),
    (SPLIT_WORDS, 4, "final"),
    (WORDS, 4, "dense"),
    (GAMES, 8, "final"),
    (GAMES, 8, "final, each"),
    (GAMES, 8, "dense"),
)
"""the cells whose critics are compared with each other"""
LONGEST = ((WORDS, 4), (HOUSES, 8), (HOUSES, 4), (SPLIT_WORDS, 4), (GAMES, 8), (GAMES, 4))
"""the long and sparse cells that the sentences on top are about"""


def verdict(differences: Sequence[float], claims: str, best: float) -> str:
    """What an interval says about a sentence that claims "better" or "alike".   best: the best return"""
    ends = interval(differences)
    if ends is None or len(differences) < FEWEST:
        return NOT_MEASURED
    least = NEGLIGIBLE * best
    if max(map(abs, ends)) <= least:
        return "alike"
    if claims == "alike":
        return "not alike" if ends[0] > least or ends[1] < -least else "cannot be told"
    if ends[0] > least:
        return "holds"
    return OTHER_BETTER if ends[1] < -least else "cannot be told"


def best(task: str, turns: int) -> float:
    """The best return of an episode."""
    return BEST[task] * (turns if task == WORDS else 1)


def verdicts(sentences: Sequence[Sentence]) -> list[list[str]]:
    """A line for each of these sentences, task and horizon that was measured."""
    lines = []
    for sentence in sentences:
        for task in TASKS:
            for turns in sentence.horizons:
                runs = runs_of(task, turns, sentence.reward)
                differences = apart(runs, sentence.method, sentence.other, last)
                if len(differences) >= FEWEST:
                    holds = verdict(differences, sentence.claims, best(task, turns))
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
    costs, judged = [cost for cost in ("tokens", "cpu_s") if cost in first], "explained_variance" in first
    limits = {cost: fewest(runs, cost) for cost in costs}
    columns = ["", "seeds", "steps", "before", "after", "area"]
    columns += [
        f"at {limits[cost]:,.0f} tokens" if cost == "tokens" else f"at {limits[cost]:.2g} CPU s"
        for cost in costs
    ]
    columns += ["CPU s", *["explained variance"] * judged, f"less {REFERENCE}, after", "P(better)"]
    lines = []
    for method, seeds in runs.items():
        values = list(seeds.values())
        line = [method, str(len(values)), values[0][-1]["step"]]
        line += [f"{fmean(float(rows[0]['return']) for rows in values):.2f}"]
        line += [shown([last(rows) for rows in values]), shown([area(rows) for rows in values])]
        line += [shown([at(cost, limits[cost])(rows) for rows in values]) for cost in costs]
        line += [f"{fmean(column(rows, 'cpu_s')[-1] for rows in values):.3g}"]
        if judged:
            explained = fmean(float(rows[-1]["explained_variance"]) for rows in values)
            line += [f"{explained:.2f}" if METHODS[method][0] in WITH_CRITICS else "–"]
        differences = apart(runs, method, REFERENCE, last) if method != REFERENCE else []
        chance = better(runs, method, REFERENCE) if differences else None
        lines.append(
            [*line, shown(differences) if differences else "–", "–" if chance is None else f"{chance:.2f}"]
        )
    return table(columns, lines)


def cell_section(task: str, turns: int, reward: str, methods: Sequence[str]) -> str:
    """Charts by joint turns and by CPU seconds, and the table, of one cell; "" where nothing is there."""
    runs = runs_of(task, turns, reward)
    if not runs:
        return ""
    pair = side_by_side(
        chart(curves(runs, "joint_turns", methods), "joint turns", "return"),
        chart(curves(runs, "cpu_s", methods), "CPU seconds", "return"),
    )
    return section(f"{titled(task, turns, reward)} reward", pair, cell_table(task, turns, reward))


def reasons() -> str:
    """What each change of a critic does: differences of the area, and of the return after."""
    lines = []
    for task, turns, reward in LONG:
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
    tried: dict[Arm, dict[float, list[Row]]] = {}
    for row in read_results(claim.TRIED):
        lr, critic_lr = claim.rates_in(row["rates"])
        if critic_lr not in (0.0, CRITIC_RATE):
            continue
        tried.setdefault(arm_of(row), {}).setdefault(lr, []).append(row)
    grid = sorted({lr for by_rate in tried.values() for lr in by_rate})
    lines = []
    for arm, by_rate in tried.items():
        pick = rates_chosen(arm)
        line = [arm.method, titled(*arm[:3])]
        for lr in grid:
            areas = ", ".join(f"{float(row['area']):.2f}" for row in by_rate.get(lr, []))
            line.append(f"{areas} ✓" if pick and pick["lr"] == lr else areas)
        lines.append(line)
    columns = ["", "cell", *(f"lr {lr:g}" for lr in grid)]
    trials = section(
        "What the trials of learning rates chose",
        table(columns, lines),
        note=f"Areas on seeds {', '.join(map(str, claim.TUNING))}, which are not reported; ✓ chosen. "
        f"Critics learn at {CRITIC_RATE:g}.",
    )
    return trials + critic_rates() + passed_over()


def critic_rates() -> str:
    """What other rates of the critic come to on the trials' seeds, at the actor's rate that is chosen."""
    rates = sorted((CRITIC_RATE, *claim.CRITIC_RATES))
    lines = []
    for env, turns, reward, methods in claim.CELLS:
        for arm in (Arm(env, turns, reward, method) for method in methods if method in claim.JUDGED):
            pick = rates_chosen(arm)
            if pick is None or arm != arm.tuned_at:
                continue
            tried = claim.critic_trials(arm)
            areas = [[tried.get((pick["lr"], rate, seed)) for seed in claim.TUNING] for rate in rates]
            if all(None not in by_seed for by_seed in areas):
                by_rate = [f"{fmean(x):.2f} ({', '.join(f'{y:.2f}' for y in x)})" for x in areas]
                lines.append([arm.method, titled(env, turns, reward), f"{pick['lr']:g}", *by_rate])
    columns = ["", "cell", "actor's rate", *(f"critic's rate {rate:g}" for rate in rates)]
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
    """How often CoLLM-CC beats the others, and ours CoLLM-CC, in the long and sparse cells, in sentences."""
    counts = Counter(holds for _, _, holds, *_ in verdicts(CLAIMED))
    if not counts:
        return ""
    sentences = [
        f"In {counts.total()} comparisons on long and sparse cells CoLLM-CC is better in {counts['holds']}, "
        f"the other method in {counts[OTHER_BETTER]}; {undecided(counts)} are alike or cannot be told."
    ]
    for what, method in (
        ("ridge, a critic of ours that reads what the task measures,", "ridge"),
        ("the same with alternatives", OURS),
    ):
        counts = Counter(verdict(*beside_reference(method, *cell)) for cell in LONGEST)
        del counts[NOT_MEASURED]
        if counts:
            sentences.append(
                f"In {counts.total()} such cells {what} ends above CoLLM-CC in {counts['holds']}, below it "
                f"in {counts[OTHER_BETTER]}; {undecided(counts)} are alike or cannot be told."
            )
    return " ".join(sentences)


def undecided(counts: Counter[str]) -> int:
    """How many verdicts are that neither method is better."""
    return counts.total() - counts["holds"] - counts[OTHER_BETTER]


def beside_reference(method: str, task: str, turns: int) -> tuple[list[float], str, float]:
    """What `verdict` takes to say whether a method is better than CoLLM-CC where rewards are at the end."""
    differences = apart(runs_of(task, turns, "final"), method, REFERENCE, last)
    return differences, "better", best(task, turns)


def longest() -> str:
    """A column for each long and sparse cell: CoLLM-CC, the other methods less it."""
    cells = [cell for cell in LONGEST if REFERENCE in runs_of(*cell, "final")]
    mine = [[*runs_of(*cell, "final")[REFERENCE].values()] for cell in cells]
    lines = [
        ["seeds", *(str(len(seeds)) for seeds in mine)],
        ["CoLLM-CC, before", *(f"{fmean(float(rows[0]['return']) for rows in seeds):.2f}" for seeds in mine)],
        ["CoLLM-CC, after", *(shown([last(rows) for rows in seeds]) for seeds in mine)],
    ]
    marks = {"holds": " ▲", OTHER_BETTER: " ▼"}
    for method in (*(sentence.other for sentence in CLAIMED), C3, "ridge", OURS):
        line = [f"{method}, less that"]
        for cell in cells:
            differences, *judged = beside_reference(method, *cell)
            mark = marks.get(verdict(differences, *judged), "")
            line.append(f"{shown(differences)}{mark}" if len(differences) >= FEWEST else "–")
        lines.append(line)
    note = (
        "▲ better than CoLLM-CC (GAE 0.9), ▼ worse, by the whole interval and a hundredth of the best return."
    )
    titles = ["return, 95 % over seeds", *(titled(*cell) for cell in cells)]
    return section("The long and sparse cells", table(titles, lines), note=note) if cells else ""


def ours() -> str:
    """A method of ours beside the others: differences after, of the area, and at equal CPU seconds."""
    lines = []
    for task, turns, reward in (*LONG, (WORDS, 1, "final")):
        runs = runs_of(task, turns, reward)
        for what, method, other in COMPARED:
            if len(ends := apart(runs, method, other, last)) > 1:
                equal = at("cpu_s", fewest({name: runs[name] for name in (method, other)}, "cpu_s"))
                measured = [ends, *(apart(runs, method, other, measure) for measure in (area, equal))]
                lines.append([what, titled(task, turns, reward), *map(shown, measured), str(len(ends))])
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
    spent["models' trials"] = sum(float(row["cpu_s"]) for row in read_results(claim.TRIED))
    hours = ", ".join(f"{seconds / 3600:.2f} of {what}" for what, seconds in spent.items() if seconds)
    return f"CPU hours of training, one thread, evaluations not counted: {hours}."


def headline() -> str:
    """The chart on top: a long and sparse cell in which three methods have two seeds."""
    for task, turns in LONGEST:
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
        *(cell_section(*cell, methods=DRAWN[cell[0]]) for cell in cells),
        prose(cost()),
        folded("protocol", prose(protocol.replace("**", "").replace("*", ""))),
        folded("the anchor", prose((claim_games.__doc__ or "").replace("*", ""))),
        folded("the commands that repeat the runs with models", code(claim.commands())),
    ]
    title = "Does a central critic pay where episodes are long and rewards sparse?"
    return report(title, [part for part in sections if part], about="collm · studies/claim.py")
