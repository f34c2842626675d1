"""`vllm:`, a policy for `collm eval` and `collm play`: a vLLM server's model, read as trainers read.

    vllm:http://localhost:8000                            the server's base model
    vllm:http://localhost:8000#agent_0?temperature=0.7    an adapter, or another name it serves
    vllm:http://localhost:8000?tokenizer=FOLDER           where the server's own path of its model is not here

Unlike `openai:` it sends token ids, by the chat template as trainers write it.
"""

from __future__ import annotations

from transformers import GenerationConfig

from baselines.lm.hf import HF, read_settings
from baselines.lm.loading import tokenizer_of
from baselines.lm.served import Reach
from baselines.lm.template import Renderer
from baselines.lm.tokens import end_tokens
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
    try:
        generation = GenerationConfig.from_pretrained(source)
    except OSError:  # the model has no generation settings
        generation = None
    renderer = Renderer(tokenizer, context.thinking, end_tokens(generation, tokenizer))
    limit, name = Reach(context.max_context, "max_context"), f"vllm:{text}"
    return HF(Writer(name, server, model or server.base, renderer, renderer.stops, sampling, context, limit))
