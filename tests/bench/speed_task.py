"""A task that costs nothing, and a small random model: what is timed is the trainer."""

from __future__ import annotations

import json
import math
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from collm_envs import Item, Scene, Score
from collm_envs.task import agent_names

PROMPTS = [f"Describe {thing} in a few lines:" for thing in (
    "a harbour at night", "the oldest tree in town", "a bridge of glass", "a clock without hands",
    "the last tram home", "a garden on a roof", "an island of cats", "a letter never sent",
    "the sound of snow", "a school for robots", "an empty theatre", "a river that climbs",
    "the map of a dream", "a bakery on the moon", "a quiet thunderstorm", "the museum of keys",
)]  # fmt: skip


@dataclass(frozen=True)
class State:
    prompt: str
    turn: int = 0
    texts: tuple[str, ...] = ()


class LengthRatio:
    """Each text should be two to three times as long as the one before it; any number of turns.

    `repeats`: how often a prompt says what it says.
    """

    revision = 1
    reward_range = (0.0, 1.0)
    players: Mapping = {}

    def __init__(self, *, num_agents: int = 2, max_turns: int = 1, repeats: int = 1):
        self.agents = agent_names(num_agents)
        self.max_turns = max_turns
        self._items = [Item(str(k), {"prompt": " ".join([text] * repeats)}) for k, text in enumerate(PROMPTS)]

    def items(self, split: str) -> Sequence[Item]:
        return self._items

    def start(self, item: Item, seed: int) -> State:
        return State(item.data["prompt"])

    def prompt(self, state: State, agent: str) -> str:
        return state.prompt if state.turn == 0 else "Now revise it:"

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        return replace(state, turn=state.turn + 1, texts=tuple(texts.values()))

    def score(self, state: State) -> Score:
        lengths = [len(text) for text in state.texts]
        if len(lengths) == 1:
            return Score(math.exp(-abs(lengths[0] - 120) / 60))
        ratios = [b / a if a else 0.0 for a, b in pairwise(lengths)]
        gaps = [max(2 - ratio, 0.0) + max(ratio - 3, 0.0) for ratio in ratios]
        return Score(sum(math.exp(-gap) for gap in gaps) / len(gaps))

    def done(self, state: State) -> bool:
        return state.turn >= self.max_turns

    def scene(self, state: State) -> Scene:
        return Scene()


QWEN3_1_7B = {
    "hidden": 2048,
    "layers": 28,
    "heads": 16,
    "kv_heads": 8,
    "head_dim": 128,
    "intermediate": 6144,
    "embeddings": 151_936,
}
"""the shape of Qwen/Qwen3-1.7B"""


def build_model(
    folder: Path,
    *,
    hidden: int = 128,
    layers: int = 4,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int = 32,
    intermediate: int = 384,
    embeddings: int = 2048,
    dtype: str = "float32",
) -> None:
    """A random Qwen3-shaped model (1.05M parameters by default) and a BPE tokenizer of the stdlib's text."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=["<pad>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:60]
    tokenizer.train_from_iterator((file.read_text(errors="replace") for file in files), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>", padding_side="left"
    )
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=embeddings,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        intermediate_size=intermediate,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    torch.set_default_dtype(getattr(torch, dtype))
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen3ForCausalLM(config)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


def adapted(folder: str, rank: int):
    """A model with a LoRA adapter that is trained, as a peer without LoRA of its own is given it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    lora = LoraConfig(r=rank, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(AutoModelForCausalLM.from_pretrained(folder), lora)


def precision(model, autocast=None) -> str:
    """In which precisions a torch model's weights are, those that are trained and the frozen ones."""
    kinds: dict[str, set[str]] = {}
    for parameter in model.parameters():
        kinds.setdefault("trained" if parameter.requires_grad else "frozen", set()).add(str(parameter.dtype))
    words = [f"{kind} {'/'.join(sorted(kinds[kind]))}" for kind in sorted(kinds)]
    words += [f"autocast {autocast}"] if autocast else []
    return ", ".join(words).replace("torch.", "")


if __name__ == "__main__":
    build_model(Path(sys.argv[1]), **json.loads(sys.argv[2]))
