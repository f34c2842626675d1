"""Sentiment: continue a film review so that it sounds happy.  A task like CORY's.

Make it as "baselines.tasks.sentiment:Sentiment-v0".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from baselines.tasks.sentiment_words import FLIPS, NEGATIVE, POSITIVE, ROWS
from collm_envs import Item, Rejected, Scene, Score, agent_names, register, split_rows
from collm_envs.policies.query import read_query


@dataclass(frozen=True)
class State:
    beginning: str
    texts: Mapping[str, str] | None = None
    """{agent: text}; None before the turn"""


class Sentiment:
    """Each agent continues a review; happy words earn most.

    **What each agent sees.**  The beginning of a review, and nothing else.

    **What each agent writes.**  The continuation; only the first 2000 characters are read.

    **Reward.**  The mean over the agents of (1 + p) / (2 + p + n), 0 to 1: p happy and n unhappy words of two
    lists in the beginning with the text; a word after "not" (or another negation, at most one word between)
    counts as the opposite.  Example: "the cast was lovely, not dull" has p = 2: 3/4.  No word of the lists:
    1/2.  A text of happy words alone earns nearly 1; a KL term keeps a model from writing such texts.
    `judge="hf:NAME_OR_FOLDER?label=LABEL"` scores by a transformers sequence classifier instead: its
    probability of the label (without one: POSITIVE if it has that, else its last; a single output: sigmoid).

    **End.**  After one turn.

    **Data and licence.**  32 beginnings and two word lists of ours (MIT); `items=["It was", ...]` takes
    your own.

    **Source.**  The task after CORY's (arXiv:2410.06101): continue a review, paid by how positive it sounds.
    Theirs has IMDB's reviews and a classifier, neither of which is shipped here.

    **Versions.**  v0.
    """

    revision = 1
    reward_range = (0.0, 1.0)
    max_turns = 1

    def __init__(
        self, *, items: Any = None, num_agents: int = 1, self_contained: bool = False, judge: str = "words"
    ):
        self.agents = agent_names(num_agents)
        splits = _beginnings(ROWS if items is None else items)
        self._items = {
            split: [Item(f"{split}/{k}", {"beginning": row}) for k, row in enumerate(rows)]
            for split, rows in splits.items()
        }
        self.judge = judged_by(judge)
        self.players = {"random": random, "expert": expert, "noisy": noisy}

    def items(self, split: str) -> Sequence[Item]:
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        return State(item.data["beginning"])

    def prompt(self, state: State, agent: str) -> str:
        return state.beginning

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        return replace(state, texts={agent: texts[agent][:2000] for agent in self.agents})

    def score(self, state: State) -> Score:
        texts = state.texts or {}
        values = [self.judge(f"{state.beginning} {texts[agent]}") for agent in self.agents]
        texts_words = [words(texts[agent]) for agent in self.agents]
        n_words = sum(map(len, texts_words))
        happy, unhappy = (sum(part) for part in zip(*map(tally, texts_words), strict=True))
        reward = sum(values) / len(values)
        metrics = {
            "score": reward,
            "happy": float(happy),
            "unhappy": float(unhappy),
            "words": float(n_words),
            "distinct": sum(len(set(tokens)) for tokens in texts_words) / max(1, n_words),
        }
        empty = tuple(agent for agent in self.agents if not words(texts[agent]))
        rejected = {agent: (Rejected("", "no words"),) for agent in empty}
        return Score(reward, {"score": reward}, metrics, {}, rejected)

    def done(self, state: State) -> bool:
        return state.texts is not None

    def scene(self, state: State) -> Scene:
        return Scene(texts={"beginning": state.beginning, **(state.texts or {})})


def _beginnings(items: Any) -> dict[str, list[Any]]:
    """{"train": texts, "eval": texts}; rows of a file may be {"beginning": text} too."""
    requirement = "items: need a list of beginnings of reviews, or one each for train and eval"
    try:
        splits = split_rows(items)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{requirement} ({error})") from error
    texts = {
        split: [row.get("beginning") if isinstance(row, Mapping) else row for row in rows]
        for split, rows in splits.items()
    }
    for text in (text for rows in texts.values() for text in rows):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{requirement}, got {text!r}")
    return texts


def words(text: str) -> list[str]:
    """The words of a text in lower case, without apostrophes."""
    return re.findall(r"[a-z]+", text.lower().replace("'", ""))


def tally(tokens: Sequence[str]) -> tuple[int, int]:
    """(happy words, unhappy words), swapped for a word with a negation up to two words before it."""
    happy = unhappy = 0
    for k, word in enumerate(tokens):
        if word in POSITIVE or word in NEGATIVE:
            turned = bool(FLIPS.intersection(tokens[max(0, k - 2) : k]))
            happy += (word in POSITIVE) != turned
            unhappy += (word in NEGATIVE) != turned
    return happy, unhappy


def by_words(text: str) -> float:
    """(1 + p) / (2 + p + n) for p happy and n unhappy words."""
    happy, unhappy = tally(words(text))
    return (1 + happy) / (2 + happy + unhappy)


def judged_by(name: str) -> Callable[[str], float]:
    """The judge called `name`: text -> 0 to 1.  Raises ValueError for an unknown name."""
    if name == "words":
        return by_words
    kind, _, model = name.partition(":") if isinstance(name, str) else ("", "", "")
    if kind != "hf" or not model:
        raise ValueError(f"judge: need 'words' or 'hf:NAME_OR_FOLDER', got {name!r}")
    return Classifier(model)


class Classifier:
    """A transformers sequence classifier's probability of one label.  `NAME_OR_FOLDER?label=LABEL`"""

    def __init__(self, name: str):
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        folder, _, query = name.partition("?")
        settings = read_query("judge: hf", query, {"label": str})
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        except OSError as error:
            raise ValueError(f"judge: {folder!r} cannot be loaded: {str(error).splitlines()[0]}") from error
        labels = {str(label): int(k) for k, label in self.model.config.id2label.items()}
        label = settings.get("label", "POSITIVE" if "POSITIVE" in labels else list(labels)[-1])
        if label not in labels:
            raise ValueError(f"judge: {folder} has the labels {', '.join(labels)}, got {label!r}")
        self.label = labels[label]

    def __call__(self, text: str) -> float:
        import torch

        tokens = self.tokenizer(text, return_tensors="pt", truncation=True)
        with torch.no_grad():
            logits = self.model(**tokens).logits[0].float()
        return float(logits.sigmoid()[0] if len(logits) == 1 else logits.softmax(-1)[self.label])


SUBJECTS = ("the cast", "the plot", "the music", "the ending", "every scene", "the humour", "it all")
VERBS = ("was", "felt", "seemed", "looked")
MIDDLING = ("long", "short", "plain", "usual", "new", "old", "simple", "loose")
HAPPY = ("lovely", "warm", "funny", "great", "moving", "clever", "superb", "sweet")
UNHAPPY = ("dull", "flat", "slow", "bland", "messy", "weak", "stale", "boring")


def sentence(rng: Random, kinds: Sequence[Sequence[str]]) -> str:
    """Two clauses, each with an adjective of a kind drawn from `kinds`."""
    clauses = [
        f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(rng.choice(kinds))}" for _ in range(2)
    ]
    return " and ".join(clauses) + "."


def random(task: Sentiment, state: State, agent: str, rng: Random) -> str:
    return sentence(rng, (MIDDLING, UNHAPPY))


def expert(task: Sentiment, state: State, agent: str, rng: Random) -> str:
    return sentence(rng, (HAPPY,))


def noisy(task: Sentiment, state: State, agent: str, rng: Random) -> str:
    return sentence(rng, (HAPPY, MIDDLING, UNHAPPY))


register("Sentiment-v0", f"{__name__}:Sentiment", "go on with a review so that it sounds happy")
