"""The tiny model's tokenizer: byte-level BPE on our environments' own text, digits and glyphs apart.

`python -m baselines.lm.tiny.tokenizer` trains it anew and writes tokenizer.json beside this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from collm_envs import make_task, registry

FILE = Path(__file__).with_name("tokenizer.json")
SIZE = 1024
END, PAD, USER, AGENT = "<end>", "<pad>", "<user>", "<agent>"
CHAT = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}<end>"
    "{% else %}<user>{{ m.content }}<agent>{% endif %}{% endfor %}"
)


def load_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the tiny model, with its chat template."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(FILE)), eos_token=END, pad_token=PAD, chat_template=CHAT
    )


def train(texts: Iterator[str], size: int = SIZE) -> Tokenizer:
    """BPE over bytes: nothing is unknown; digits, signs and line breaks are tokens by themselves."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d|[^\w\s]|\s*\n|_"), "isolated"),
            pre_tokenizers.Split(Regex(r" ?\w+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END, PAD, USER, AGENT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def corpus() -> Iterator[str]:
    """Prompts and `noisy` play of every environment, in full and in terse form."""
    for id in registry:
        for prompts in ("full", "terse"):
            task, rng = make_task(id, prompts=prompts), Random(f"corpus/{id}/{prompts}")
            for item in task.items("train")[:96]:
                state = task.start(item, 0)
                for agent in task.agents:
                    yield task.prompt(state, agent)
                    yield task.players["noisy"](task, state, agent, rng)


if __name__ == "__main__":
    train(corpus()).save(str(FILE))
