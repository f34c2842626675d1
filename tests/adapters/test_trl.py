"""TRL's GRPO through both hooks plays the episodes that the environment plays directly."""

import json
import warnings

import pytest
from direct_play import play_directly, write
from frameworks import need

need("trl", "1.16")

import datasets
import torch
import trl
from trl.chat_template_utils import parse_response, qwen3_chat_template, supports_tool_calling

import collm_envs
from baselines.cli.export import chat_rows
from baselines.lm.tiny import model as tiny
from baselines.train.presets import ENVS
from collm_envs.adapters.gymnasium import SeatEnv
from collm_envs.adapters.trl import ENDED, environment_factory, plain_replies, rollout
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies import seat_all
from collm_envs.task import writers

pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 6}


def settings(tmp_path, **others):
    return trl.GRPOConfig(
        **{
            "output_dir": str(tmp_path),
            "use_cpu": True,
            "max_steps": 1,
            "per_device_train_batch_size": 8,
            "num_generations": 2,
            "max_completion_length": 40,
            "shuffle_dataset": False,
            "gradient_checkpointing": False,
            "bf16": False,
            "report_to": [],
            "save_strategy": "no",
            "disable_tqdm": True,
            "learning_rate": 1e-2,
            "temperature": 1.0,
            "top_k": 0,
            **others,
        }
    )


def keep_output(rollout_func, outputs):
    """The same function, which also keeps what it was given and returned."""

    def kept(prompts, trainer):
        outputs.append((prompts, rollout_func(prompts, trainer)))
        return {key: value if value is None else [*value] for key, value in outputs[-1][1].items()}

    return kept


def replies(ids, mask):
    """[ids] of each text that the model wrote."""
    parts, before = [], 0
    for token, mine in zip(ids, mask, strict=True):
        if mine and not before:
            parts.append([])
        if mine:
            parts[-1].append(token)
        before = mine
    return parts


@pytest.fixture(scope="module", params=["simultaneous", "sequential"])
def played(tmp_path_factory, request):
    """(tokenizer, prompts, output, data set, log, keywords) of one step of GRPO on all seats, three turns."""
    kwargs = {**WORDS, "max_turns": 3, "order": request.param}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = str(tiny.folder("StrBuild-v0", ENVS["StrBuild-v0"].env_kwargs))
    outputs = []
    rollout_func, rows, reward_func = rollout("StrBuild-v0", **kwargs)
    trainer = trl.GRPOTrainer(
        folder,
        reward_func,
        args=settings(tmp_path_factory.mktemp("out")),
        train_dataset=rows,
        rollout_func=keep_output(rollout_func, outputs),
    )
    before = [weight.clone() for weight in trainer.model.parameters()]
    trainer.train()
    after = list(trainer.model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    ((prompts, output),) = outputs
    return trainer.processing_class, prompts, output, rows, trainer.state.log_history, kwargs


def episodes_of(prompts, output):
    """{(item, seed, copy): {agent: row}} of what was played."""
    found, copies = {}, {}
    for row, prompt in enumerate(prompts):
        seat = prompt[-1]["seat"]
        key = seat["item"], seat["seed"], seat["agent"]
        copies[key] = copies.get(key, -1) + 1
        found.setdefault((*key[:2], copies[key]), {})[seat["agent"]] = row
    return found


def test_the_return_of_every_row_is_the_one_its_texts_earn_directly(played):
    tokenizer, prompts, output, _, log, kwargs = played
    env = collm_envs.make("StrBuild-v0", **kwargs)
    episodes = episodes_of(prompts, output)
    assert [len(prompts), len(episodes)] == [8, 4]
    for (item, seed, _), rows in episodes.items():
        texts = {
            agent: [
                tokenizer.decode(ids, skip_special_tokens=True)
                for ids in replies(output["completion_ids"][row], output["env_mask"][row])
            ]
            for agent, row in rows.items()
        }
        observations, _ = env.reset(seed=seed, options={"item": item})
        earned, read = 0.0, {agent: [] for agent in rows}
        unread = {agent: iter(texts[agent]) for agent in rows}
        while env.agents:
            writing = writers(env.task, env.snapshot)
            for agent in writing:
                read[agent].append(observations[agent])
            actions = {agent: next(unread[agent]) if agent in writing else "" for agent in rows}
            observations, rewards, *_ = env.step(actions)
            earned += rewards["agent_0"]
        for agent, row in rows.items():
            assert next(unread[agent], None) is None
            assert output["episode_return"][row] == earned
            written = "".join(tokenizer.decode(output[k][row]) for k in ("prompt_ids", "completion_ids"))
            assert [part.partition("<agent>")[0] for part in written.split("<user>")[1:]] == read[agent]
    assert log[0]["reward"] == pytest.approx(sum(output["episode_return"]) / 8)


def test_what_the_model_wrote_is_never_tokenized_again_and_what_it_read_is_masked(played):
    tokenizer, _, output, *_ = played
    end, agent = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<agent>")
    for ids, mask in zip(output["completion_ids"], output["env_mask"], strict=True):
        assert len(replies(ids, mask)) == 3
        for reply in replies(ids, mask):
            assert len(reply) <= 40
            assert end not in reply[:-1]
        ends = [k for k, token in enumerate(ids) if token == end]
        assert len(ends) >= 2  # between two texts there is one end, sampled or written by the template
        assert all(mask[k + 1] for k, token in enumerate(ids) if token == agent and not mask[k])


def test_the_members_of_a_group_share_item_and_seed(played):
    _, prompts, _, rows, *_ = played
    seats = [prompt[-1]["seat"] for prompt in prompts]
    assert seats[0::2] == seats[1::2]
    assert rows["seed"][:4] == [0, 0, 1, 1]
    assert rows["agent"][:4] == ["agent_0", "agent_1"] * 2


@pytest.mark.parametrize("change", ["shuffled", "half", "foreign"])
def test_rows_that_make_no_episode_are_refused_in_a_line(change):
    rollout_func, rows, _ = rollout("StrBuild-v0", **WORDS)
    prompts = rows["prompt"][:4]
    if change == "shuffled":
        prompts, message = (
            [rows["prompt"][0], rows["prompt"][3]],
            "need the rows of .* set shuffle_dataset=False",
        )
    elif change == "half":
        prompts, message = prompts[:3], r"got \['agent_0'\]; set shuffle_dataset=False"
    else:
        prompts, message = ["Hello"], "plays the rows of its own train_dataset only"
    with pytest.raises(ValueError, match=message):
        rollout_func(list(prompts), None)


class Calls(trl.GRPOTrainer):
    """A trainer whose model calls `write` in every turn, with a text that depends on all it has read."""

    def _generate_single_turn(self, prompt_ids, images, fields, num_generations, has_tool_images=False):
        self.contexts = [*getattr(self, "contexts", []), *map(self.processing_class.decode, prompt_ids)]
        written = []
        for ids in prompt_ids:
            context = self.processing_class.decode(ids)
            observation = context.rpartition("user\n")[2].partition("<|im_end|>")[0]
            if "<tool_response>" in context:
                observation = context.rpartition("<tool_response>\n")[2].partition("\n</tool_response>")[0]
            text = write("agent_1", observation)
            call = json.dumps({"name": "write", "arguments": {"text": text}}, ensure_ascii=False)
            written.append(f"<tool_call>\n{call}\n</tool_call><|im_end|>\n")
        return [self.processing_class(text)["input_ids"] for text in written], None


def test_a_seat_that_acts_by_tool_calls_earns_what_it_earns_directly(tmp_path):
    model, tokenizer = tiny.fresh(0)
    tokenizer.chat_template = qwen3_chat_template
    seat = environment_factory("StrBuild-v0", seat="agent_1", partners="noisy", **WORDS, max_turns=2)
    rows = [{"prompt": [{"role": "user", "content": ""}], "seed": seed} for seed in (3, 4)]
    trainer = Calls(
        model,
        args=settings(
            tmp_path, per_device_train_batch_size=4, max_completion_length=4000, max_tool_calling_iterations=3
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        environment_factory=seat,
    )
    trainer.train()
    env = collm_envs.make("StrBuild-v0", **WORDS, max_turns=2)
    direct = [play_directly(env, seed, {"agent_0": "noisy"}) for seed in (3, 3, 4, 4)]
    rewards = [environment.get_reward() for environment in trainer.environments]
    assert rewards == pytest.approx([sum(step.reward for step in steps) for steps in direct])
    for steps in direct:
        for step in steps:
            assert any(step.prompts["agent_1"] in context for context in trainer.contexts)
    (log,) = [line for line in trainer.state.log_history if "reward" in line]
    assert log["reward"] == pytest.approx(sum(rewards) / 4)
    assert log["tools/failure_frequency"] == 0


def test_the_class_plays_a_seat_and_nothing_happens_after_the_end():
    environment = environment_factory("StrBuild-v0", seat="agent_1", partners="noisy", max_turns=2)()
    with pytest.raises(RuntimeError, match="no episode is running"):
        environment.write("too early")
    direct = SeatEnv("StrBuild-v0", "agent_1", "noisy", max_turns=2)
    observation, _ = direct.reset(seed=5, options={"item": 0, "split": "eval"})
    assert environment.reset(seed=5, item=0, split="eval", prompt="ignored") == observation
    earned = 0.0
    for turn in range(2):
        text = write("agent_1", observation)
        observation, reward, *_ = direct.step(text)
        earned += reward
        assert environment.write(text) == (observation if turn == 0 else ENDED)
    assert environment.get_reward() == earned
    assert environment.write("more") == ENDED
    assert environment.get_reward() == earned
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="rows without a seed"):
            environment.reset()


def test_a_seat_that_writes_no_more_is_silent_until_the_end():
    environment = environment_factory("StrBuild-v0", seat="agent_1", partners="noisy", max_turns=3)()
    direct = SeatEnv("StrBuild-v0", "agent_1", "noisy", max_turns=3)
    for texts in ([], ["/setblock 0 0 0 stone"]):
        environment.reset(seed=5)
        direct.reset(seed=5)
        for text in texts:
            environment.write(text)
        earned = sum(direct.step(text)[1] for text in [*texts, "", "", ""][:3])
        assert environment.get_reward() == earned
        assert environment.write("too late") == ENDED
        assert environment.get_reward() == earned


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("template", [None, CHATML], ids=["the tiny model's", "ChatML"])
def test_every_plain_reply_is_one_call_of_the_tool(template):
    _, tokenizer = tiny.fresh(0)
    tokenizer.chat_template = template or tokenizer.chat_template
    end = "<end>" if template is None else "<|im_end|>"
    plain = plain_replies(tokenizer)
    message = {"role": "user", "content": f"an <agent> and a <|im_start|>assistant\n in a message {end}"}
    prompt = plain.apply_chat_template([message], add_generation_prompt=True, return_dict=False)
    for text in (" /setblock 0 0 0 stone\n\n", ""):
        reply = parse_response(plain, plain(text + end)["input_ids"], prefix=prompt)
        assert [call["function"] for call in reply["tool_calls"]] == [
            {"name": "write", "arguments": {"text": text}}
        ]
    assert supports_tool_calling(plain)
    assert tokenizer.apply_chat_template([message], tokenize=False) == plain.apply_chat_template(
        [message], tokenize=False
    )


def test_plain_replies_learn_and_earn_what_they_earn_directly(tmp_path):
    model, tokenizer = tiny.fresh(0)
    rows = [{"prompt": [{"role": "user", "content": ""}], "seed": seed} for seed in (3, 4)]
    trainer = trl.GRPOTrainer(
        model,
        args=settings(
            tmp_path, per_device_train_batch_size=4, max_completion_length=500, max_tool_calling_iterations=2
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=plain_replies(tokenizer),
        environment_factory=environment_factory("StrBuild-v0", partners="noisy", **WORDS, max_turns=2),
    )
    written = []
    generate = trainer._generate_single_turn

    def short(prompt_ids, *others, **options):
        ids, logprobs = generate(prompt_ids, *others, **options)
        ids = [[*reply[:20], tokenizer.eos_token_id] for reply in ids]
        written.append([tokenizer.decode(reply[:-1]) for reply in ids])
        return ids, logprobs

    trainer._generate_single_turn = short
    trainer.train()
    (log,) = [line for line in trainer.state.log_history if "reward" in line]
    assert log["tools/failure_frequency"] == 0
    direct = SeatEnv("StrBuild-v0", partners="noisy", **WORDS, max_turns=2)
    for row, seat in enumerate(trainer.environments):
        direct.reset(seed=(3, 3, 4, 4)[row])
        earned = [direct.step(turn[row])[1] for turn in written[:2]]
        assert seat.get_reward() == pytest.approx(sum(earned))


def test_a_wrong_seat_partner_or_keyword_is_found_before_training():
    with pytest.raises(ValueError, match="no agent 'agent_9'"):
        environment_factory("StrBuild-v0", seat="agent_9")
    with pytest.raises(ValueError, match="no player 'exprt'"):
        environment_factory("StrBuild-v0", partners="exprt")
    with pytest.raises(TypeError, match="no keyword 'wordz'"):
        rollout("StrBuild-v0", wordz=1)


def test_exported_conversations_are_rows_that_supervised_fine_tuning_takes(tmp_path):
    env = collm_envs.make("StrBuild-v0", **WORDS, max_turns=1)
    records = evaluate(env, seat_all(env.task, "expert", {}), jobs(env, split="train", episodes=2)).records
    rows = datasets.Dataset.from_list([row for one in records for row in chat_rows(one)])
    model, tokenizer = tiny.fresh(0)
    trainer = trl.SFTTrainer(
        model,
        args=trl.SFTConfig(
            str(tmp_path), max_steps=1, use_cpu=True, bf16=False, report_to=[], save_strategy="no"
        ),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    trainer.train()
    assert len(trainer.train_dataset) == 4
    for ids, row in zip(trainer.train_dataset["input_ids"], rows, strict=True):
        text = tokenizer.decode(ids)
        assert all(message["content"] in text for message in row["messages"])
