"""Small language models for tests: built from transformers configurations, weights a function of a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from baselines.lm.history import Message, Move
from baselines.lm.learning import Lesson
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling
from baselines.play.episode import rollout_metrics
from baselines.play.rollout import eval_starts, play
from baselines.train.settings import Settings
from baselines.train.team import Team
from collm_envs import Task

END, PAD = "<end>", "<pad>"
_SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "attention_dropout": 0.0,
}
CONFIGS = {
    "llama": (LlamaConfig, {**_SHAPE}),
    "qwen2": (Qwen2Config, {key: value for key, value in _SHAPE.items() if key != "head_dim"}),
    "qwen3": (Qwen3Config, {**_SHAPE, "tie_word_embeddings": True}),
    "mistral": (MistralConfig, {**_SHAPE, "sliding_window": 6}),
    "gemma2": (Gemma2Config, {**_SHAPE, "query_pre_attn_scalar": 8, "sliding_window": 6}),
    "gemma3": (
        Gemma3TextConfig,
        {**_SHAPE, "query_pre_attn_scalar": 8, "sliding_window": 6}
        | {"layer_types": ["sliding_attention", "full_attention"]},
    ),
    "gpt2": (GPT2Config, {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}),
}
"""architecture -> its configuration class and a tiny shape; windows are 6 tokens where there are any"""


def words_tokenizer(words: Sequence[str], *, chat: str | None = None) -> PreTrainedTokenizerFast:
    """One token a word, blanks between words; what it does not know is `<unk>`."""
    known = dict.fromkeys([END, PAD, "<unk>", *words])
    inner = Tokenizer(models.WordLevel({word: k for k, word in enumerate(known)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=END, pad_token=PAD, unk_token="<unk>", chat_template=chat
    )


def bytes_tokenizer(
    chat: str | None,
    special: Sequence[str] = (),
    added: Sequence[str] = (),
    *,
    rstrip: bool = False,
    **named: str,
) -> PreTrainedTokenizerFast:
    """One token a byte, and the marks of a chat template: special ones, and added ones that are not special.

    `rstrip`: the special ones take the blanks behind them along, as Phi-3's do.
    """
    alphabet = {c: k for k, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(alphabet, []))
    inner.pre_tokenizer, inner.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    marks = [AddedToken(text, special=True, normalized=False, rstrip=rstrip) for text in special]
    tokenizer.add_tokens(marks, special_tokens=True)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    for name, token in named.items():
        setattr(tokenizer, name, token)
    tokenizer.chat_template = chat
    return tokenizer


def tiny_model(kind: str, tokenizer: PreTrainedTokenizerFast, seed: int = 0, scale: float = 3.0) -> Any:
    """A model of `CONFIGS` with random weights, `scale` times as spread as usual so that outputs differ."""
    cls, shape = CONFIGS[kind]
    config = cls(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        pad_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        **shape,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(scale)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def tiny_lm(
    kind: str,
    tokenizer: PreTrainedTokenizerFast,
    seed: int = 0,
    sampling: Sampling | None = None,
    context: Context | None = None,
    **kwargs: Any,
) -> LM:
    """A policy on a fresh tiny model."""
    model = tiny_model(kind, tokenizer, seed)
    return LM(kind, model, tokenizer, sampling or Sampling(max_new_tokens=5), context or Context(), **kwargs)


def save(
    folder: Path, kind: str, tokenizer: PreTrainedTokenizerFast, seed: int = 0, scale: float = 1.0
) -> str:
    """A `save_pretrained` folder of a tiny model; returns its name."""
    tiny_model(kind, tokenizer, seed, scale).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def alone(lm: LM, move: Move) -> torch.Tensor:
    """Log-probabilities of a move's tokens by one plain forward pass of its history."""
    ids = [i for segment in move.chain() for i in segment.ids]
    with torch.no_grad(), lm.active():
        logits = lm.causal(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    logp = (logits.float() / (lm.sampling.temperature or 1.0)).log_softmax(-1)
    n = len(move.ids)
    return logp[-n - 1 : -1].gather(-1, torch.tensor(move.ids)[:, None]).squeeze(-1)


def reference(model: Any, ids: list[int]) -> torch.Tensor:
    """transformers' own logits after these tokens.   -> (V,)"""
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]


def feed(engine: Any, memory: Any, chunks: Sequence[list[int]], adapter: str | None = None) -> torch.Tensor:
    """One chunk of tokens for each row, padded on the left.   -> (B, V)"""
    width = max(map(len, chunks))
    ids = torch.tensor([[7] * (width - len(chunk)) + chunk for chunk in chunks])
    real = torch.tensor([[False] * (width - len(chunk)) + [True] * len(chunk) for chunk in chunks])
    with torch.no_grad():
        return engine.forward(ids, real, memory, adapter)


def scores_of(lm: LM, moves: Sequence[Move], **kwargs: Any) -> list[torch.Tensor]:
    """Token log-probabilities of each move, in the order of `moves`."""
    out = [torch.empty(0)] * len(moves)
    for scores in lm.logp(moves, **kwargs):
        for k, logp in zip(
            scores.moves, scores.logp.split([len(moves[m].ids) for m in scores.moves]), strict=True
        ):
            out[k] = logp
    return out


def write_talk(
    lm: LM, turns: Sequence[Sequence[str]], seed: int = 0, between: Mapping[int, Sequence[int]] | None = None
) -> list[list[Move]]:
    """Read `turns[t]`, a message for each history, and write, turn by turn; `between[t]` picks after it."""
    talk = lm.converse(len(turns[0]), seed)
    out = []
    for t, messages in enumerate(turns):
        talk.read(messages)
        out.append(talk.write())
        if between and t in between:
            talk = talk.pick(between[t])
    return out


def learn(
    policy: Any, optimizer: Any, lesson: Lesson, settings: Settings, reference: Any = None
) -> dict[str, float]:
    """A step of a policy with this optimizer, and with this frozen reference where the settings have a KL."""
    policy.optimizer, policy.reference = optimizer, reference
    return policy.learn(lesson, settings.objective)


def keeping(optimizer: Any) -> Any:
    """The optimizer, its gradient still there after the step for a test to look at."""
    optimizer.zero_grad = lambda: None
    return optimizer


def set_answers(
    lm: LM, answers: Mapping[str, Mapping[str, float]], *, steps: int = 150, lr: float = 0.02
) -> None:
    """Supervised steps until each prompt is answered by these words with these probabilities, and no other.

    A word is followed by nothing: policies made for this write one token.
    """
    prompts = list(answers)
    moves, weights = [], []
    for prompt in prompts:
        for word, probability in answers[prompt].items():
            ids = lm.tokenizer(word, add_special_tokens=False)["input_ids"]
            moves.append(Move(Message(None, lm.renderer.first(prompt), prompt), ids, text=word))
            weights.append(probability)
    adam = torch.optim.Adam(lm.parameters(), lr=lr)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = lr * (1 - step / steps)
        adam.zero_grad()
        for scores in lm.logp(moves):
            (-(torch.tensor([weights[k] for k in scores.moves]) * scores.logp).sum()).backward()
        adam.step()


def score(task: Task, team: Team) -> float:
    """Mean return of 128 episodes."""
    return rollout_metrics(play(task, eval_starts(task, 128), team.policies, "eval"))["return"]
