"""`vllm:`, a policy for `collm eval` and `collm play`: a vLLM server's model, read as trainers read.

    vllm:http://localhost:8000                            the server's base model
    vllm:http://localhost:8000#agent_0?temperature=0.7    an adapter, or another name it serves
    vllm:http://localhost:8000?tokenizer=FOLDER           where the server's own path of its model is not here

Unlike `openai:` it sends token ids, by the chat template as trainers write it.
"""

from __future__ import annotations

from transformers import GenerationConfig, PreTrainedTokenizerBase

from baselines.lm.hf import HF, read_settings
from baselines.lm.loading import tokenizer_of
from baselines.lm.served import Reach
from baselines.lm.template import Renderer
from baselines.lm.vllm import Writer
from baselines.lm.vllm_http import Server


def parse(text: str) -> HF:
    """The policy of "ADDRESS#MODEL?setting=value&...".

    Raises ValueError for what the server does not serve and settings that cannot be, OSError where no server
    answers.
    """
    target, _, query = text.partition("?")
    address, _, model = target.partition("#")
    settings, sampling, context = read_settings("vllm", query, {"tokenizer": str})
    server = Server(address)
    served_names = [card["id"] for card in server.cards()]
    if model and model not in served_names:
        raise ValueError(f"vllm: {address} serves no {model!r}; it serves {', '.join(served_names)}")
    source = settings.get("tokenizer", server.root)
    tokenizer = tokenizer_of(source)
    ends = _end_tokens(source, tokenizer)
    renderer = Renderer(tokenizer, context.thinking, ends)
    eos = ends if renderer.end is None else ends | {renderer.end}
    limit = Reach(context.max_context, "max_context")
    return HF(Writer(f"vllm:{text}", server, model or server.base, renderer, eos, sampling, context, limit))


def _end_tokens(source: str, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Every token that ends a text, by the tokenizer and the model's generation settings, if it has any."""
    try:
        configured = GenerationConfig.from_pretrained(source).eos_token_id
    except OSError:
        configured = None
    ends = [tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])]
    return {end for end in ends if end is not None}
