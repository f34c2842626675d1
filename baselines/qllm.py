"""QLLM's search: a language model writes credit functions, which are checked, measured and compared.

After QLLM (Jiang et al. 2025, arXiv:2504.12961).  In each round a coder model writes K candidates; if numbers
cannot decide between the best, an evaluator model does.  Training calls the function and no model.

    candidate = coder(task, named inputs)           if a gate refuses it: asked again, with the reason
    credit    = R - b_i | N w_i A | (1 - alpha) A + alpha c_i            (mode baseline | weights | mix)
    fidelity  = rank correlation with D_i = R - R(agent i silent)
    choose by   gradient noise, then fidelity (baseline) | fidelity, then gradient noise (weights, mix)

Where we differ from the paper and its code:
- The functions divide credit among text agents (`game:NAME`: they are weights of a mixer, as in the paper).
  `baseline` cannot read the agent's own text and `weights` reads no text, so neither biases the gradient;
  `mix` may read all texts, and passes only if it moves with the reward.
- Inputs are named features, not indices of a flat state.  A refused function's error goes back to the coder,
  which has a limited number of tries; a search without result ends with a message that says so.
- Candidates run in a sandbox, never here, on recorded turns and not on zeros.  The choice is made by numbers;
  the evaluator is asked only between candidates that these do not tell apart.
- Of baselines the one with the least noise is taken, not the most faithful one, since none biases the
  gradient.  With two agents the most faithful is feat["reward"] of the other agent, which can leave more
  noise than half of it (credit/functions/tldr.py) and even more than no baseline
  (credit/functions/arxiv.py).
- The best function is written to a file with its hash and report; trainers refuse it until a person has read
  and pinned it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from baselines.credit.language import Refused
from baselines.search import prompts
from baselines.search.bench import Bench, set_up, submit_candidate
from baselines.search.gates import Admitted
from baselines.search.ranking import Numbers, centred, equals, shared_numbers
from baselines.search.settings import Config
from collm_envs.files import one_writer, read_json, saving, write_json, write_whole
from collm_envs.policies.journal import Journal, open_journal
from collm_envs.policies.openai import OpenAI, parse
from collm_envs.policies.seat import Seat, seat_seed
from collm_envs.sandbox import Sandbox


class Tried(NamedTuple):
    """One answer of the coder and the result of its gates."""

    round: int
    candidate: int
    attempt: int
    source: str
    refused: str
    """the gate's reason; "" where it passed"""
    admitted: Admitted | None = None
    numbers: Numbers | None = None


class SearchResult(NamedTuple):
    """The result of a search."""

    tried: Sequence[Tried]
    best: Tried | None
    """None where no candidate passed"""
    chosen_by: str
    """numbers, evaluator, or first of equals"""
    path: Path | None
    """the function's file"""


class Work(NamedTuple):
    """The bench and the transcript of a running search."""

    bench: Bench
    transcript: Journal

    def ask(
        self, model: str, talks: Mapping[str, tuple[str, ...]], attempt_of_round: tuple[int, int]
    ) -> list[str]:
        """The answers to {who: messages}, all asked at once; `attempt_of_round` is (round, attempt)."""
        config = self.bench.config
        seats = [
            Seat(who, talk, seat_seed(config.env, config.seed, attempt_of_round[0], who, attempt_of_round[1]))
            for who, talk in talks.items()
        ]
        replies = self.transcript.ask(endpoint(model), seats)
        if errors := [reply.error for reply in replies if reply.error]:
            raise RuntimeError(f"{model}: {errors[0]}  (answers so far are kept: run it again)")
        return [reply.text for reply in replies]


def search(
    config: Config, sandbox: Sandbox, notify: Callable[[Tried], None] = lambda tried: None
) -> SearchResult:
    """Ask, gate, measure, choose, write; `notify` is called with every judged answer.

    Called again after an interruption it continues.  Raises ValueError where the folder holds another
    search, RuntimeError where the endpoint gives no answer or another process searches there.
    """
    for model in {config.model, config.evaluator or config.model}:
        endpoint(model)  # refuse a malformed address before any turn is played
    bench = set_up(config, sandbox)  # refuses a wrong environment before a folder is made
    path = config.folder / "transcript.jsonl"
    with one_writer(config.folder), open_journal(path, messages=True) as transcript:
        claim(config, transcript)
        return _search(Work(bench, transcript), notify)


def _search(work: Work, notify: Callable[[Tried], None]) -> SearchResult:
    config = work.bench.config
    tried: list[Tried] = []
    for r in range(config.rounds):
        best = next(iter(best_of(tried, config.mode)), None)
        if r and best is None:
            break  # a model that fails every time is not asked for more
        first = work.bench.field.brief if best is None else _better(work, best)
        for candidate in _round(work, r, first):
            work.transcript.note(**_entry(candidate))
            tried.append(candidate)
            notify(candidate)
    best, chosen_by = _choose(work, tried)
    path = None if best is None else _write(work, best, chosen_by)
    return SearchResult(tried, best, chosen_by, path)


def _round(work: Work, r: int, first: str) -> Iterator[Tried]:
    """One round: each candidate is retried until it passes or has no tries left; all are asked at once."""
    talks: dict[int, tuple[str, ...]] = dict.fromkeys(range(work.bench.config.candidates), (first,))
    for attempt in range(1 + work.bench.config.retries):
        if not talks:
            return
        messages = {f"coder {r + 1}.{k + 1}": talk for k, talk in talks.items()}
        answers = work.ask(work.bench.config.model, messages, (r, attempt))
        for (k, talk), answer in zip(list(talks.items()), answers, strict=True):
            candidate = _try(work, (r, k, attempt), answer)
            yield candidate
            if candidate.admitted:
                del talks[k]
            else:
                talks[k] = (*talk, answer, prompts.refused(candidate.refused, again=answer in talk))


def _try(work: Work, position: tuple[int, int, int], answer: str) -> Tried:
    source = ""
    try:
        source = prompts.function(answer)
        return Tried(*position, source, "", *work.bench.judge(source))
    except Refused as why:
        return Tried(*position, source, str(why))


def best_of(tried: Sequence[Tried], mode: str) -> list[Tried]:
    """The best candidates, equal by all numbers; of identical programs the earliest."""
    programs: dict[str, Tried] = {}
    for candidate in tried:
        if candidate.admitted:
            programs.setdefault(_program(candidate.source), candidate)
    passed = list(programs.values())
    numbers = [candidate.numbers for candidate in passed if candidate.numbers]
    return [passed[k] for k in equals(numbers, mode)] if passed else []


def _program(source: str) -> str:
    """A source without its comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef)):
            node.body = [statement for statement in node.body if not isinstance(statement, ast.Expr)]
    return ast.unparse(tree)


def _choose(work: Work, tried: Sequence[Tried]) -> tuple[Tried | None, str]:
    """The best by numbers; among equals the evaluator's, or the first where it has no usable opinion."""
    left = best_of(tried, work.bench.config.mode)
    if len(left) < 2:
        return (left[0] if left else None), "numbers"
    question = prompts.compare(
        work.bench.field.brief,
        [(candidate.source, candidate.numbers) for candidate in left if candidate.numbers],
    )
    model = work.bench.config.evaluator or work.bench.config.model
    (answer,) = work.ask(model, {"evaluator": (question,)}, (0, 0))
    picked = prompts.opinion(answer, len(left))
    work.transcript.note(
        equals=[[candidate.round + 1, candidate.candidate + 1] for candidate in left], picked=picked
    )
    return (left[0], "first of equals") if picked is None else (left[picked], "evaluator")


def _better(work: Work, best: Tried) -> str:
    """The brief of a later round: the best function, and in mode baseline its noisiest turn."""
    contexts, admitted, noisiest_turn = work.bench.field.contexts, best.admitted, ""
    assert admitted is not None
    assert best.numbers is not None
    if work.bench.config.mode == "baseline":
        R = contexts.rewards[:, None]
        left = np.abs(centred(R - admitted.values, contexts))
        b, i = map(int, np.unravel_index(int(left.argmax()), left.shape))
        silent = contexts.rewards[b] - contexts.truth[b, i]
        noisiest_turn = prompts.noisiest(contexts, admitted.reads, b, i, admitted.values[b, i], silent)
    return prompts.better(
        work.bench.field.brief,
        best.source,
        best.numbers,
        shared_numbers(contexts, work.bench.config.mode),
        noisiest_turn,
    )


def _entry(candidate: Tried) -> dict[str, Any]:
    """A gate's report as a line of the transcript."""
    out: dict[str, Any] = {
        "round": candidate.round + 1,
        "candidate": candidate.candidate + 1,
        "attempt": candidate.attempt + 1,
        "source": candidate.source,
    }
    if candidate.admitted is None or candidate.numbers is None:
        return {**out, "refused": candidate.refused}
    return {**out, "gates": dict(candidate.admitted.checks), "numbers": candidate.numbers.to_dict()}


def _write(work: Work, best: Tried, chosen_by: str) -> Path:
    """NAME.py with NAME.json in the search's folder: admitted, and reviewed by nobody."""
    assert best.admitted is not None
    assert best.numbers is not None
    name = (
        work.bench.config.env.rpartition(":")[2].rpartition("-v")[0]
        or work.bench.config.env.rpartition(":")[2]
    )
    path = work.bench.config.folder / f"{name.replace('-', '_').lower()}_{work.bench.config.mode}.py"
    by = f"{endpoint(work.bench.config.model).name}, chosen by {chosen_by} in `collm qllm`"
    facts = work.bench.facts(best.admitted, best.numbers)
    with saving(str(path), "the same command goes on and pays for no answer twice"):
        write_whole(path, best.source.strip() + "\n")
    submit_candidate(path, facts, by)
    return path


def endpoint(text: str) -> OpenAI:
    """The client for "openai:URL#NAME"; ValueError for any other kind."""
    kind, _, address = text.partition(":")
    if kind != "openai":
        raise ValueError(f"the model must be openai:http://host:8000/v1#name, got {text!r}")
    return parse(address)


def claim(config: Config, transcript: Journal) -> None:
    """Write the settings to search.json.  Raises ValueError where the folder holds another search.

    A search without any answer yet is overwritten, so a mistyped command can be corrected.
    """
    path, settings = config.folder / "search.json", {**asdict(config), "out": ""}
    stored = read_json(path) if path.exists() else settings
    if stored != settings and transcript.answered:
        differ = sorted(name for name in settings if stored.get(name) != settings[name])
        raise ValueError(f"{config.folder} holds another search ({', '.join(differ)}); choose another --out")
    with saving(str(path), "make room and give the same command again"):
        write_json(path, settings)
