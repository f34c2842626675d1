"""Prompts to the coder and the evaluator, and the parsing of their answers.

The coder is the language model that writes credit functions, the evaluator the one that chooses between
equally good ones.  The coder is sent the environment's documentation (what agents see, write and earn), the
name, shape, range and meaning of every input, the language it may write in, and how functions are judged.  If
its function is refused, the next prompt gives the reason in full.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent

import numpy as np

from baselines.credit.features import CTX, FEAT, PAIR, PER_AGENT
from baselines.credit.language import BUILTINS, MODES, Refused
from baselines.search.ranking import Numbers
from baselines.search.turns import Contexts
from collm_envs import TextEnv, catalogue

LEFT_OUT = ("Data and licence", "Source and where we differ", "Versions", "Terse prompts")
"""paragraphs of an environment's page that are irrelevant to credit"""
FACTS = ("agents", "turns", "reward a turn")  # about an environment, at the end of its page
WANTED = {
    "baseline": """\
    def baseline(ctx, feat, me):
        ...
        return b        # one number

It is called once for each agent. `me` is the index of the agent in question; its own entry in every list
of `feat` has been replaced by what silence would have given, so you cannot see what it wrote. Return the
team's reward you would expect this turn from what the *others* wrote. Agent `me` is then credited with
R - b, the reward beyond that expectation.""",
    "weights": """\
    def weights(ctx):
        ...
        return [w_0, ..., w_last]        # one number for each agent

Return each agent's share of the credit, from what is known *before* anybody writes. All shares must be at
least 0.1 / N for N agents and sum to 1: a floor such as 0.1 / N + 0.9 * share does both. Agent i then
learns from N * w_i times the team's advantage.""",
    "mix": """\
    def mix(ctx, feat, pair, reward):
        ...
        return [c_0, ..., c_last]        # one number for each agent

Return each agent's part in the team's `reward` of this turn, in the same units. When an agent's own text
changes, its number must move in the direction in which the team's reward moves.""",
}
READ = {
    "baseline": 'ctx["..."], feat["..."][j] for agent j',
    "weights": 'ctx["..."]',
    "mix": 'ctx["..."], feat["..."][j] for agent j, pair["..."][i][j] for agents i and j',
}
NOISE = "how little noise they leave in the gradient"
JUDGED = {
    "baseline": f"""\
{NOISE} (the spread of R - b over turns that start from one state), then
by the rank correlation of R - b with the reward lost had agent `me` been silent""",
    "weights": f"""\
the rank correlation of w_i with the share of the reward that hangs on agent i, then by
{NOISE}""",
    "mix": f"""\
the rank correlation of your numbers, mixed with R, with the reward lost had the agent been silent, then by
{NOISE}""",
}
_BLOCK = re.compile(r"^```[ \t]*(\w*)[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)


def task(page: str, inputs: str, mode: str) -> str:
    """The coder's first message."""
    return f"""\
Several language-model agents play a game together and all get the same reward. To train them well, each
agent should be credited with its own part in that reward. Write one short Python function that does this.

# The game

{page}

# The function

{WANTED[mode]}

# Its inputs

Read them by these names, in this way: {READ[mode]}. There is nothing else.

{inputs}

# The language

Plain Python: numbers, lists, `if`, `for`, comprehensions, functions of your own, and these builtins:
{", ".join(BUILTINS)}. `from math import ...` is allowed, no other import; no attributes or methods (so no
`.append`: use comprehensions or `x = x + [y]`), no `while`, `try`, classes, lambdas or text. Nothing may be
kept from one call to the next, and no variable may have the name of a Python builtin.
Inputs are never None; guard your divisions.

# How it is judged

It runs on about a hundred recorded turns and some random ones. It must return finite numbers within reason,
depend on nothing but its arguments, and treat exchangeable agents alike. Functions that pass are compared by
{JUDGED[mode]}.

Think about what each input tells you about this game, then answer with the whole function in exactly one
fenced block that begins with ```python.
"""


def page(env: TextEnv) -> str:
    """The environment's own page, without the paragraphs LEFT_OUT."""
    parts, heading = [], ""
    for block in catalogue.blocks(env.spec.id):
        heading = block.heading or heading
        if heading not in LEFT_OUT:
            body = indent(block.body, "    " * (block.kind == "code"), lambda line: True)
            parts.append(f"**{block.heading}.** {body}" if block.heading else body)
    facts = [f"{name}: {value}" for name, value in catalogue.facts(env) if name in FACTS]
    if env.spec.kwargs:
        facts.append(f"made with: {dict(env.spec.kwargs)}")
    return "\n\n".join([*parts, "\n".join(facts)])


def inputs(contexts: Contexts, mode: str) -> str:
    """The inputs of a text environment's functions: name, shape, range on the recorded turns, meaning."""
    return "\n".join(_inputs(contexts, mode))


def _inputs(contexts: Contexts, mode: str) -> Iterator[str]:
    n = contexts.agents
    for name in contexts.names["ctx"]:
        shape = f"[{n} numbers, one for each agent]" if name in PER_AGENT else "number"
        yield _line(contexts, "ctx", name, shape, CTX[name])
    if "feat" in MODES[mode]:
        for name in contexts.names["feat"]:
            meaning = FEAT.get(name, f"the environment's metric {name!r} if this agent alone had written")
            yield _line(contexts, "feat", name, f"[{n} numbers, one for each agent]", meaning)
    if "pair" in MODES[mode]:
        for name in contexts.names["pair"]:
            yield _line(contexts, "pair", name, f"[{n} lists of {n} numbers]", PAIR[name])


def _line(contexts: Contexts, argument: str, name: str, shape: str, meaning: str) -> str:
    values = np.array([getattr(row, argument)[name] for row in contexts.rows], float)
    low, high = values.min(), values.max()
    range_text = f"always {low:.4g} here" if low == high else f"seen from {low:.4g} to {high:.4g}"
    return f'- {argument}["{name}"]: {shape}, {range_text}: {meaning}'


def refused(why: str, again: bool) -> str:
    """The next message after a refusal."""
    same = "That is the very function that was refused before. " if again else ""
    return f"""\
{same}The function was refused:

{why}

Mend this and send the whole function again, in exactly one fenced block that begins with ```python.
"""


def better(first: str, source: str, numbers: Numbers, shared: Numbers, worst: str) -> str:
    """The first message of a later round: the task, the best function so far, and its worst turn."""
    return f"""\
{first}
# The best so far

```python
{source.strip()}
```

{tell(numbers)}. Crediting everybody with the whole reward gives: {tell(shared)}.
{worst}

Write a better function.
"""


def noisiest(
    contexts: Contexts, reads: Mapping[str, Sequence[str]], b: int, agent: int, value: float, silent: float
) -> str:
    """The turn where a baseline leaves the most noise, in words."""
    row = contexts.rows[b]
    inputs = {
        f"{argument}.{name}": getattr(row, argument)[name]
        for argument, names in reads.items()
        for name in names
    }
    return (
        f"It leaves the most noise for agent {agent} in a turn with reward {contexts.rewards[b]:.4g} and "
        f"these inputs (before masking): {inputs}. It returned {value:.4g}; without that agent's text the "
        f"reward would have been {silent:.4g}."
    )


def tell(numbers: Numbers) -> str:
    """Rank correlation 0.91, gradient noise 0.52 of the shared reward's"""
    parts = [
        f"rank correlation with the truth {numbers.fidelity:.3f}",
        f"gradient noise {numbers.variance:.3f} times the shared reward's",
    ]
    if numbers.factoredness == numbers.factoredness:
        parts.append(f"moves with the reward in {numbers.factoredness:.3f} of own changes")
    return ", ".join(parts)


def compare(first: str, candidates: Sequence[tuple[str, Numbers]]) -> str:
    """The evaluator's message: candidates that the numbers do not tell apart."""
    shown = "\n\n".join(
        f"## Candidate {k}\n\n```python\n{source.strip()}\n```\n\n{tell(numbers)}"
        for k, (source, numbers) in enumerate(candidates, start=1)
    )
    return f"""\
Below is a task that was given to several programmers, and answers of theirs that all passed every test and
that measurements cannot tell apart. Decide which one credits agents most sensibly in turns that were not
measured: does it follow the game's rules, is it right for any number of agents, is it simple?

# The task

{first}
# The candidates

{shown}

Answer with a sentence of reason, then, alone on the last line, the number of the best candidate.
"""


def opinion(answer: str, count: int) -> int | None:
    """The candidate's index, from the last line; None where there is no usable opinion."""
    lines = answer.strip().splitlines()
    numbers = re.findall(r"\d+", lines[-1]) if lines else []
    return int(numbers[0]) - 1 if len(numbers) == 1 and 1 <= int(numbers[0]) <= count else None


def function(answer: str) -> str:
    """The source in an answer; Refused unless there is exactly one fenced Python block."""
    blocks = [body for kind, body in _BLOCK.findall(answer) if kind.lower() in ("", "py", "python")]
    if len(blocks) != 1:
        raise Refused(f"answer: need exactly one fenced block that begins with ```python, got {len(blocks)}")
    return blocks[0]


def fields(contexts: Contexts, shapes: Mapping[str, Sequence[int]]) -> str:
    """The inputs of a game's functions: its state by name, as nested lists."""
    return "\n".join(
        _line(contexts, "ctx", name, f"nested lists of shape {list(shape)}", "part of the game's state")
        for name, shape in shapes.items()
    )
