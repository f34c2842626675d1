"""Chat templates: a history only grows, whatever a template would do to earlier turns."""

import warnings

import pytest
from lm_fixtures import words_tokenizer
from tokenizers.processors import TemplateProcessing

from baselines.lm.template import Renderer
from baselines.lm.tiny.tokenizer import load_tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""every message between markers"""
FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ m.content }}{% endif %}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""like Qwen3's: drops the thinking of earlier replies, also the empty thought it has put there itself"""
THINKS_AT_ONCE = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")


def tokenizer_with(template):
    tokenizer = load_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def play(renderer, messages, replies, closed=True):
    """The token history of a conversation, and where each message and reply ends in it."""
    tokenizer, ids, cuts = renderer.tokenizer, [], []
    for k, message in enumerate(messages):
        ids += renderer.first(message) if k == 0 else renderer.following(message, closed)
        cuts.append(len(ids))
        if k < len(replies):
            ids += tokenizer(replies[k], add_special_tokens=False)["input_ids"]
            ids += [tokenizer.eos_token_id] * closed
            cuts.append(len(ids))
    return ids, cuts


MESSAGES, REPLIES = ["Build a wall.\nNow.", "  Higher!", "done?"], ["4 a.b", "", "yes\n"]


@pytest.mark.parametrize("closed", [True, False])
def test_a_history_of_a_faithful_template_is_what_the_template_says(closed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        renderer = Renderer(tokenizer_with(CHATML))
    ids, cuts = play(renderer, MESSAGES, REPLIES[:2], closed)
    turns = [{"role": "user", "content": MESSAGES[0]}]
    for reply, message in zip(REPLIES, MESSAGES[1:], strict=False):
        turns += [{"role": "assistant", "content": reply}, {"role": "user", "content": message}]
    text = renderer.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert renderer.tokenizer.decode(ids) == text
    for n in (1, 3, 5):  # at every turn the template's text begins with what was held before it
        part = renderer.tokenizer.apply_chat_template(turns[:n], add_generation_prompt=True, tokenize=False)
        assert text.startswith(part)
        assert renderer.tokenizer.decode(ids[: cuts[n - 1]]) == part


@pytest.mark.parametrize("thinking", [False, True])
def test_a_template_that_rewrites_earlier_turns_writes_the_later_ones_and_the_past_stays_as_sampled(thinking):
    tokenizer = tokenizer_with(FORGETFUL)
    renderer = Renderer(tokenizer, thinking)
    replies = ["<think>\nhm\n</think>\n\n4 a.b" if thinking else "4 a.b", "5 b.a"]
    ids, _ = play(renderer, MESSAGES, replies)
    prompt = "<|im_start|>assistant\n" + ("" if thinking else "<think>\n\n</think>\n\n")
    turns = [f"<|im_start|>user\n{message}<end>\n{prompt}" for message in MESSAGES]
    assert tokenizer.decode(ids) == f"{turns[0]}{replies[0]}<end>\n{turns[1]}{replies[1]}<end>\n{turns[2]}"


def test_the_template_really_rewrites():
    tokenizer = tokenizer_with(FORGETFUL)
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    opening = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template(
        [*turns, turns[0]], add_generation_prompt=True, tokenize=False, enable_thinking=False
    )
    assert not whole.startswith(opening)


def test_the_tiny_models_own_template_is_faithful():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        renderer = Renderer(load_tokenizer())
    ids, _ = play(renderer, ["a", "b"], ["c"])
    assert renderer.tokenizer.decode(ids) == "<user>a<agent>c<end><user>b<agent>"


def test_thinking_is_cut_from_the_text_and_stays_in_the_tokens():
    renderer = Renderer(tokenizer_with(CHATML), thinking=True)
    tokenizer = renderer.tokenizer
    end = tokenizer.eos_token_id
    said = "<think>\nIs 4 right? </think\n</think>\n\n4 a.b\n"
    ids = [*tokenizer(said)["input_ids"], end]
    assert renderer.text(ids, {end}) == "4 a.b\n"
    assert tokenizer.decode(ids) == said + "<end>"


@pytest.mark.parametrize(
    ("template", "said", "text"),
    [
        (CHATML, "<think>\nIs 4 right", ""),  # cut while it thought: nothing was answered
        (CHATML, "4 a.b", "4 a.b"),  # it did not think
        (CHATML, "4 a.b <think> or", "4 a.b "),
        (THINKS_AT_ONCE, "Is 4 right", ""),  # the template has opened the thought already
        (THINKS_AT_ONCE, "Is 4 right</think>\n\n5 a", "5 a"),
    ],
)
def test_an_unfinished_thought_is_not_handed_to_the_task(template, said, text):
    renderer = Renderer(tokenizer_with(template), thinking=True)
    assert renderer.text(renderer.tokenizer(said)["input_ids"], {0}) == text


def test_a_thought_is_open_at_later_turns_where_the_template_opens_it():
    renderer = Renderer(tokenizer_with(THINKS_AT_ONCE), thinking=True)
    wanted = "\n<|im_start|>user\nb<end>\n<|im_start|>assistant\n<think>\n"
    assert renderer.tokenizer.decode(renderer.following("b", True)) == wanted


def test_without_thinking_the_marks_are_ordinary_text():
    renderer = Renderer(tokenizer_with(CHATML))
    said = "if a </think> b"
    assert renderer.text(renderer.tokenizer(said)["input_ids"], {0}) == said


def test_without_a_template_messages_stand_between_line_breaks_and_a_first_token_comes_once():
    tokenizer = words_tokenizer(["a", "b", "<bos>"])
    bos = tokenizer.convert_tokens_to_ids("<bos>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", bos)]
    )
    renderer = Renderer(tokenizer)
    assert renderer.first("a b").count(bos) == 1
    assert renderer.following("a b", True).count(bos) == 0
    plain = Renderer(tokenizer_with(None))
    assert plain.tokenizer.decode(plain.following("b", True)) == "\nb\n"


def test_ids_that_were_handed_out_may_be_changed_and_the_next_reader_gets_its_own():
    renderer = Renderer(tokenizer_with(CHATML))
    first = renderer.first(MESSAGES[0])
    wanted = list(first)
    first.append(0)
    assert renderer.first(MESSAGES[0]) == wanted
