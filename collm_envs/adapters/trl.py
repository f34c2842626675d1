"""TRL's GRPO on an environment, through either of its two hooks.

    GRPOTrainer(model, environment_factory=environment_factory("StrBuild-v0", seat="agent_0"), ...)

trains one seat that acts by calling the tool `write`; policies play the others.  Rows of the data set need
a column `seed` (and may have `item` and `split`), so that the members of a group play the same episode.
`processing_class=plain_replies(tokenizer)` is for models that write texts and no tool calls.

    rollout_func, train_dataset, reward_func = rollout("StrBuild-v0")
    GRPOTrainer(model, reward_func, train_dataset=train_dataset, rollout_func=rollout_func,
                args=GRPOConfig(shuffle_dataset=False, num_generations=G, generation_batch_size=G * N * K))

trains one model on all N seats of K episodes at a time: the row of every seat gets the team's return.  A
turn is one batch of all seats that write in it, over all episodes.  What the model wrote is never tokenised
again; between two texts stands what the chat template writes there, masked from the loss.  Both hooks are
experimental in TRL, and the second one calls two of the trainer's private methods (`_tokenize_prompts`,
`_generate_single_turn`).
"""

from __future__ import annotations

import copy
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collm_envs.adapters.framework import load_framework
from collm_envs.adapters.gymnasium import SeatEnv
from collm_envs.adapters.partners import Partners
from collm_envs.env import TextEnv
from collm_envs.registry import make
from collm_envs.task import writers
from collm_envs.vector import VecEnv

VERSION = "1.16"
ENDED = "The episode has ended."
MESSAGE, REPLY = "\u2063message\u2063", "\u2063reply\u2063"
"""texts that no message holds"""
CALLS_AS_TEXTS = """{%- set plain = namespace(messages=[]) -%}
{%- for message in messages -%}
{%- set role, content = 'user' if message.role == 'tool' else message.role, message.content -%}
{%- if message.tool_calls -%}
{%- set call = message.tool_calls[0].function -%}
{%- set content = call.arguments.text or '' if call.name == 'write' else call.name ~ call.arguments -%}
{%- endif -%}
{%- set plain.messages = plain.messages + [{'role': role, 'content': content}] -%}
{%- endfor -%}
{%- set messages, tools = plain.messages, none -%}
"""
"""before a chat template: calls of `write` become their text, results of tools messages of the user"""


def environment_factory(
    id: str, *, seat: str = "agent_0", partners: Partners = "expert", **make_kwargs: Any
) -> type:
    """The class that `GRPOTrainer(environment_factory=...)` takes; each instance is one `SeatEnv`.

    Raises ImportError without TRL, and at once whatever `SeatEnv` finds wrong with the arguments.
    """
    load_framework("trl", VERSION)
    SeatEnv(id, seat, partners, **make_kwargs)

    class CollmSeat:
        def __init__(self) -> None:
            self._env = SeatEnv(id, seat, partners, **make_kwargs)
            self._return = 0.0

        def reset(self, seed: int | None = None, item: Any = None, split: Any = None, **row: Any) -> str:
            """Start the episode of a row; returns the first message to the seat."""
            if seed is None:
                warnings.warn("rows without a seed: a group plays different episodes", stacklevel=2)
            options = {name: value for name, value in (("item", item), ("split", split)) if value is not None}
            self._return = 0.0
            observation, _ = self._env.reset(seed=seed, options=options)
            return observation

        def write(self, text: str) -> str:
            """Hand in your text for this turn.

            Args:
                text: The whole text, as the task asks for it.

            Returns:
                The next message to you, or that the episode has ended.
            """
            if self._env.parallel.turns and not self._env.parallel.agents:
                return ENDED
            observation, reward, terminated, truncated, _ = self._env.step(text)
            self._return += reward
            return ENDED if terminated or truncated else observation

        def get_reward(self) -> float:
            """The episode's return; a seat that has stopped writing is silent to the end."""
            while self._env.parallel.agents:
                self.write("")
            return self._return

    return CollmSeat


def plain_replies(tokenizer: Any) -> Any:
    """A copy of the tokenizer by which TRL takes every reply, as it is, for one call of `write`.

    Its chat template shows the model no tools, and their results as messages of the user.  Raises ImportError
    for transformers before 5.13, ValueError for a chat template that drops what it is given.
    """
    load_framework("transformers", "5.13")
    asked, answer = {"role": "user", "content": MESSAGE}, {"role": "assistant", "content": REPLY}
    prompt = tokenizer.apply_chat_template([asked], add_generation_prompt=True, tokenize=False)
    talk = tokenizer.apply_chat_template([asked, answer], tokenize=False)
    opening, closing = prompt.partition(MESSAGE)[2], talk.partition(REPLY)[2].strip() or tokenizer.eos_token
    if not opening or REPLY not in talk:
        raise ValueError("the chat template writes nothing before a reply, or drops it; give another one")
    call = {"type": "function", "function": {"name": "write", "arguments": {"text": "{content}"}}}
    reply = {"open": opening, "close": closing, "repeats": True, "transform": call}
    twin = copy.deepcopy(tokenizer)
    twin.chat_template = CALLS_AS_TEXTS + tokenizer.chat_template
    twin.response_template = {
        "defaults": {"role": "assistant", "content": ""},
        "start_anchor_pattern": rf"(?={re.escape(opening)}\Z)",
        "fields": {"tool_calls": {**reply, "content": "text", "content_args": {"strip": False}}},
    }
    return twin


def rollout(id: str, **make_kwargs: Any) -> tuple[Callable[..., Any], Any, Callable[..., list[float]]]:
    """(rollout_func, train_dataset, reward_func) for `GRPOTrainer`.

    The data set has one row for each seat of each training item, the seats of an item one after the other;
    `seed` is the item's index.  Raises ImportError without TRL.
    """
    load_framework("trl", VERSION)
    datasets = load_framework("datasets", "3")
    env = make(id, **make_kwargs)
    rows = []
    for seed, item in enumerate(env.items("train")):
        observations, _ = env.reset(seed=seed, options={"item": item.id, "split": "train"})
        for agent, observation in observations.items():
            key = {"agent": agent, "item": item.id, "seed": seed}
            rows.append({"prompt": [{"role": "user", "content": observation, "seat": key}], **key})

    def rollout_func(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        return _play(env, prompts, trainer)

    def episode_return(
        prompts: Any, completions: Any, episode_return: list[float], **row: Any
    ) -> list[float]:
        return episode_return

    return rollout_func, datasets.Dataset.from_list(rows), episode_return


@dataclass
class _Conversation:
    """The tokens of one seat in one episode."""

    prompt: list[int] = field(default_factory=list)
    """of its first message; empty before that"""
    completion: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    """1 for what the model wrote, 0 for what it read"""
    logprobs: list[float] = field(default_factory=list)

    def read(self, ids: list[int]) -> None:
        self._append(ids, 0, [0.0] * len(ids))

    def write(self, ids: list[int], logprobs: list[float]) -> None:
        self._append(ids, 1, logprobs)

    def _append(self, ids: list[int], mine: int, logprobs: list[float]) -> None:
        self.completion += ids
        self.mask += [mine] * len(ids)
        self.logprobs += logprobs


def _play(env: TextEnv, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
    """What `rollout_func` returns: one row for each prompt, in order."""
    episodes = _episodes(env, prompts)
    vec = VecEnv(env, len(episodes))
    observations, _ = vec.reset(
        seed=[seed for _, seed, _ in episodes],
        options=[{"item": item, "split": "train"} for item, _, _ in episodes],
    )
    conversations = [_Conversation() for _ in prompts]
    returns, scored = [0.0] * len(prompts), True
    while vec.live:
        rows = [(k, agent, row) for k in vec.live for agent, row in episodes[k][2].items()]
        seats = [seat for seat in rows if seat[1] in writers(env.task, vec[seat[0]].snapshot)]
        _read(trainer, [(conversations[row], observations[k][agent]) for k, agent, row in seats])
        contexts = [conversations[row].prompt + conversations[row].completion for _, _, row in seats]
        written, logprobs = trainer._generate_single_turn(contexts, None, {}, 1)
        scored = scored and logprobs is not None
        texts = trainer.processing_class.batch_decode(written, skip_special_tokens=True)
        actions: list[dict[str, str]] = [{} for _ in episodes]
        for k, agent, _ in rows:
            actions[k][agent] = ""
        for n, (k, agent, row) in enumerate(seats):
            conversations[row].write(list(written[n]), list(logprobs[n]) if logprobs is not None else [])
            actions[k][agent] = texts[n]
        observations, rewards, *_ = vec.step(actions)
        for k, agent, row in rows:
            returns[row] += rewards[k][agent]
    vec.close()
    return {
        "prompt_ids": [conversation.prompt for conversation in conversations],
        "completion_ids": [conversation.completion for conversation in conversations],
        "logprobs": [conversation.logprobs for conversation in conversations] if scored else None,
        "env_mask": [conversation.mask for conversation in conversations],
        "episode_return": returns,
    }


def _read(trainer: Any, messages: Sequence[tuple[_Conversation, str]]) -> None:
    """Put the next message into each conversation."""
    opening = [(conversation, message) for conversation, message in messages if not conversation.prompt]
    for conversation, message in messages:
        if conversation.prompt:
            conversation.read(_following(trainer, conversation, message))
    if opening:
        chats = [[{"role": "user", "content": message}] for _, message in opening]
        for (conversation, _), ids in zip(opening, trainer._tokenize_prompts(chats)[0], strict=True):
            conversation.prompt = list(ids)


def _episodes(env: TextEnv, prompts: Sequence[Any]) -> list[tuple[str, int, Mapping[str, int]]]:
    """[(item, seed, {agent: place of its row})]: the g-th copies of an item's rows are one episode."""
    copies: Counter[tuple[str, str, int]] = Counter()
    places: dict[tuple[str, int, int], dict[str, int]] = {}
    for place, prompt in enumerate(prompts):
        if not isinstance(prompt, list) or "seat" not in prompt[-1]:
            raise ValueError(f"{env.spec.id}: rollout_func plays the rows of its own train_dataset only")
        seat = prompt[-1]["seat"]
        key = seat["agent"], seat["item"], seat["seed"]
        places.setdefault((seat["item"], seat["seed"], copies[key]), {})[seat["agent"]] = place
        copies[key] += 1
    for (item, seed, _), rows in places.items():
        if set(rows) != set(env.possible_agents):
            raise ValueError(
                f"{env.spec.id}: item {item!r}, seed {seed}: need the rows of {env.possible_agents} in one "
                f"batch, got {sorted(rows)}; set shuffle_dataset=False and make generation_batch_size a "
                f"multiple of num_generations * {len(env.possible_agents)} on every process"
            )
    return [(item, seed, rows) for (item, seed, _), rows in places.items()]


def _following(trainer: Any, conversation: _Conversation, message: str) -> list[int]:
    """Ids of a later message: what the chat template writes between a reply and the next reply."""
    tokenizer = trainer.processing_class
    talk = [("user", "a"), ("assistant", REPLY), ("user", message)]
    text = tokenizer.apply_chat_template(
        [{"role": role, "content": content} for role, content in talk],
        chat_template=trainer.chat_template,
        add_generation_prompt=True,
        tokenize=False,
        **trainer.chat_template_kwargs,
    )
    _, mark, between = text.partition(REPLY)
    if not mark:
        raise ValueError("the chat template drops what an assistant wrote before; give another chat_template")
    completion = conversation.completion
    if completion and completion[-1] in trainer.eos_token_ids:  # the end of the reply stands there already
        between = between.removeprefix(tokenizer.decode(completion[-1:]))
    return tokenizer(between, add_special_tokens=False)["input_ids"]
