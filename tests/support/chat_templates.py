"""Chat templates in the manners of well-known model families, with a tokenizer for each."""

from __future__ import annotations

from collections.abc import Callable

from lm_fixtures import bytes_tokenizer
from transformers import PreTrainedTokenizerFast

from collm_envs.policies.thinking import HARMONY

ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + ALTERNATE + "{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PHI3 = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
    "Today Date: {{ strftime_now('%d %b %Y') }}\n\n<|eot_id|>"
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN2 = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% if loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content.split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}{% else %}"
    "<｜Assistant｜>{{ m.content.split('</think>')[-1] }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
MISTRAL = ALTERNATE + (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
LLAMA2 = ALTERNATE + (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] "
    "{% if loop.first %}<<SYS>>\nYou are honest.\n<</SYS>>\n\n{% endif %}{{ m.content.strip() }} [/INST]"
    "{% else %} {{ m.content.strip() }} {{ eos_token }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
GLM = (
    "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
ROUNDS = (
    "{% for m in messages %}{% if m.role == 'user' %}[Round {{ loop.index0 // 2 + 1 }}]\n\n"
    "Q: {{ m.content }}\n\nA:"
    "{% else %} {{ m.content }}{{ eos_token }}\n\n{% endif %}{% endfor %}"
)
DATED = (
    "{% for m in messages %}<|im_start|>{{ m.role }} on {{ strftime_now('%Y-%m-%d') }}\n{{ m.content }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VICUNA = (
    "A chat. {% for m in messages %}{% if m.role == 'user' %}USER: {{ m.content }} "
    "{% else %}ASSISTANT: {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
NEEDS_SYSTEM = (
    "{% if messages[0].role != 'system' %}{{ raise_exception('the first message must be of the system') }}"
    "{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IN_PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% for part in m.content %}{{ part['text'] }}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

CHATML = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "gemma": lambda: bytes_tokenizer(
        GEMMA, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"), bos_token="<bos>", eos_token="<eos>"
    ),
    "phi3": lambda: bytes_tokenizer(
        PHI3, ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"), eos_token="<|endoftext|>"
    ),
    "llama3": lambda: bytes_tokenizer(
        LLAMA3,
        ("<|begin|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos_token="<|begin|>",
        eos_token="<|end_of_text|>",
    ),
    "qwen2": lambda: bytes_tokenizer(QWEN2, CHATML, eos_token="<|im_end|>"),
    "qwen2, marks not special": lambda: bytes_tokenizer(
        QWEN2, ("<|endoftext|>",), CHATML[:2], eos_token="<|endoftext|>"
    ),
    "qwen3": lambda: bytes_tokenizer(QWEN3, CHATML, ("<think>", "</think>"), eos_token="<|im_end|>"),
    "r1": lambda: bytes_tokenizer(
        R1,
        ("<｜begin｜>", "<｜end▁of▁sentence｜>"),
        ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        bos_token="<｜begin｜>",
        eos_token="<｜end▁of▁sentence｜>",
    ),
    "mistral": lambda: bytes_tokenizer(MISTRAL, ("<s>", "</s>"), bos_token="<s>", eos_token="</s>"),
    "mistral, [INST] a token": lambda: bytes_tokenizer(
        MISTRAL, ("<s>", "</s>", "[INST]", "[/INST]"), bos_token="<s>", eos_token="</s>"
    ),
    "llama2": lambda: bytes_tokenizer(LLAMA2, ("<s>", "</s>"), bos_token="<s>", eos_token="</s>"),
    "zephyr": lambda: bytes_tokenizer(ZEPHYR, ("<s>", "</s>"), bos_token="<s>", eos_token="</s>"),
    "rounds": lambda: bytes_tokenizer(ROUNDS, ("</s>",), eos_token="</s>"),
    "dated": lambda: bytes_tokenizer(DATED, CHATML, eos_token="<|endoftext|>"),
    "vicuna": lambda: bytes_tokenizer(VICUNA, ("</s>",), eos_token="</s>"),
    "needs a system message": lambda: bytes_tokenizer(NEEDS_SYSTEM, CHATML, eos_token="<|im_end|>"),
    "content in parts": lambda: bytes_tokenizer(IN_PARTS, CHATML, eos_token="<|im_end|>"),
}
"""those whose replies end with a mark"""


HARMONY_TEMPLATE = (
    "<|start|>system<|message|>Today.<|end|>{% for m in messages %}{% if m.role == 'user' %}"
    "<|start|>user<|message|>{{ m.content }}<|end|>{% else %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}"
    "{{ '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
CLOSED_AT_THE_END = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if loop.last and m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def harmony() -> PreTrainedTokenizerFast:
    """gpt-oss: the last reply ends with another mark than those before it."""
    return bytes_tokenizer(HARMONY_TEMPLATE, HARMONY, eos_token="<|return|>")


def closed_at_the_end() -> PreTrainedTokenizerFast:
    """Only the last reply ends with a mark, the next message begins with another one."""
    return bytes_tokenizer(CLOSED_AT_THE_END, ("</s>", "<|user|>", "<|assistant|>"), eos_token="</s>")


def glm() -> PreTrainedTokenizerFast:
    """Replies end with the mark that opens the next message."""
    marks = ("<|endoftext|>", "[gMASK]", "<sop>", "<|user|>", "<|assistant|>")
    return bytes_tokenizer(GLM, marks, eos_token="<|endoftext|>")
