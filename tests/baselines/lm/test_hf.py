"""A transformers model at the seats: the same texts by seed, whoever stands beside; what it costs; errors."""

import json

import pytest
import torch

import collm_envs
from baselines.cli import main
from baselines.cli.seating import kinds
from baselines.lm import hf
from baselines.lm.loading import add_adapters
from baselines.lm.saving import save
from baselines.lm.tiny import model as tiny
from baselines.play.rollout import play
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies.seat import Seat
from collm_envs.policies.specs import seat_all
from collm_envs.record import read

KINDS = {"hf": hf.parse}
SHORT = "max_new_tokens=8&device=cpu"
TERSE = {"prompts": "terse", "max_turns": 2}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two models of different random weights, spread so far that what they read matters."""
    made = []
    for seed in (0, 1):
        folder = tmp_path_factory.mktemp(f"model_{seed}")
        model, tokenizer = tiny.fresh(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(5.0 if parameter.dim() > 1 else 1.0)
        save(model, None, tokenizer, folder)
        made.append(str(folder))
    return made


@pytest.fixture
def env():
    return collm_envs.make("StrBuild-v0", **TERSE)


def texts_of(env, policies, todo, at_once=64):
    done = evaluate(env, policies, todo, at_once=at_once)
    assert not done.failures
    return {(one.item, one.seed, one.trial): [turn["texts"] for turn in one.turns] for one in done.records}


@pytest.mark.parametrize(("settings", "different"), [("temperature=0", 1), ("temperature=0.9&top_p=0.9", 10)])
def test_a_batch_of_episodes_writes_what_each_alone_writes(env, folders, settings, different):
    policies = seat_all(env.task, f"hf:{folders[0]}?{SHORT}&{settings}", {}, KINDS)
    todo = jobs(env, episodes=5, seeds=2)
    together, alone = (texts_of(env, policies, todo, at_once) for at_once in (64, 1))
    assert together == alone
    assert len({json.dumps(texts) for texts in together.values()}) >= different


def test_the_same_seed_writes_the_same_text_and_another_seed_another(env, folders):
    asked = f"hf:{folders[0]}?{SHORT}"
    first, again = (hf.parse(asked[3:]) for _ in range(2))
    seats = [Seat("agent_0", ("Build H.",), seed) for seed in (1, 2, 1)]
    one, other, same = first.act(seats)
    assert one.text == same.text != other.text
    assert first.act(seats[:1])[0].text == again.act(seats[::-1])[2].text == one.text
    assert first.name == asked


def test_greedy_texts_are_those_of_a_training_rollout(env, folders):
    policy = hf.parse(f"{folders[0]}?{SHORT}&temperature=0")
    todo = jobs(env, episodes=3)
    items = {item.id: item for item in env.items("eval")}
    starts = [(items[job.item], job.seed) for job in todo]
    roots = play(env.task, starts, dict.fromkeys(env.task.agents, policy.lm), "0")
    rolled = [[node.moves, node.children[0].moves] for node in roots]
    wanted = [[{a: move.text for a, move in moves.items()} for moves in path] for path in rolled]
    assert list(texts_of(env, dict.fromkeys(env.task.agents, policy), todo).values()) == wanted


def test_what_was_read_and_written_is_counted_as_it_was_tokenised(folders):
    policy = hf.parse(f"{folders[0]}?{SHORT}")
    prompt = "Build H."
    (reply,) = policy.act([Seat("agent_0", (prompt,), 5)])
    read_first = len(policy.lm.renderer.first(prompt))
    assert reply.usage == {"tokens_read": read_first, "tokens_written": 8, "finish_reason": "length"}
    (second,) = policy.act([Seat("agent_0", (prompt, reply.text, "Go on."), 5)])
    assert second.usage["tokens_read"] == read_first + 8 + len(policy.lm.renderer.following("Go on.", False))


def test_a_text_that_ends_by_itself_has_finished_by_stop(folders):
    policy = hf.parse(f"{folders[0]}?{SHORT}")
    replies = policy.act([Seat("agent_0", ("Build H.",), seed) for seed in range(200)])
    ended = [reply for reply in replies if reply.usage["finish_reason"] == "stop"]
    assert 0 < len(ended) < 200
    assert all(reply.usage["tokens_written"] <= 8 for reply in ended)


def test_replies_of_somebody_else_are_read_as_closed_texts(folders):
    policy = hf.parse(f"{folders[0]}?{SHORT}&temperature=0")
    (reply,) = policy.act([Seat("agent_0", ("Build H.", "fill 1 2 3", "Go on."), 0)])
    said = policy.lm.renderer.tokenizer("fill 1 2 3", add_special_tokens=False)["input_ids"]
    want = [*policy.lm.renderer.first("Build H."), *said, policy.lm.tokenizer.eos_token_id]
    assert reply.usage["tokens_read"] == len(want + policy.lm.renderer.following("Go on.", True))


def test_each_agent_may_have_a_model_of_its_own(env, folders):
    named = {f"agent_{k}": f"hf:{folder}?{SHORT}&temperature=0" for k, folder in enumerate(folders)}
    todo = jobs(env, episodes=2)
    pair = texts_of(env, seat_all(env.task, "expert", named, KINDS), todo)
    for k in (0, 1):
        alike = texts_of(env, seat_all(env.task, named[f"agent_{k}"], {}, KINDS), todo)
        for key, turns in pair.items():
            assert turns[0][f"agent_{k}"] == alike[key][0][f"agent_{k}"]
            assert turns[0][f"agent_{1 - k}"] != alike[key][0][f"agent_{1 - k}"]


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated")
def test_a_peft_adapter_is_merged_into_its_base(folders, tmp_path):
    from transformers import AutoModelForCausalLM

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folders[0]), tiny.fresh(0)[1]
    wrapped = add_adapters(model, ["agent_0"], rank=2, alpha=32)
    torch.manual_seed(0)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    save(wrapped, "agent_0", tokenizer, tmp_path)
    seats = [Seat("agent_0", ("Build H.",), seed) for seed in range(4)]
    plain, adapted = (hf.parse(f"{folder}?{SHORT}").act(seats) for folder in (folders[0], str(tmp_path)))
    assert [reply.text for reply in plain] != [reply.text for reply in adapted]


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("", "need a model folder or name"),
        ("/no/such/folder", "no such folder"),
        ("x?temprature=1", "no setting 'temprature'; there are temperature, top_p"),
        ("x?top_k=a", "hf: top_k must be int, got 'a'"),
        ("x?thinking=yes", "need true or false, got 'yes'"),
        ("x?overflow=cut", r"overflow must be one of \('raise', 'drop'\), got 'cut'"),
        ("x?temperature=-1", "need temperature >= 0"),
        ("x?max_context=200", "leaves no room to read with max_new_tokens=256"),
    ],
)
def test_what_cannot_be_read_or_loaded_is_refused(rest, why):
    with pytest.raises(ValueError, match=why):
        hf.parse(rest)


def test_a_folder_without_a_tokenizer_is_refused_in_one_line(folders, tmp_path, capsys):
    tiny.fresh(0)[0].save_pretrained(tmp_path)
    assert main.main(["eval", "StrBuild-v0", "--policy", f"hf:{tmp_path}"]) == 2
    err = capsys.readouterr().err
    assert f"model folder {tmp_path}: has no tokenizer; save one there" in err
    assert err.count("\n") == 1


def test_the_command_line_plays_it_and_records_what_it_cost(folders, tmp_path, capsys):
    out = tmp_path / "run"
    asked = [
        "eval",
        "StrBuild-v0",
        "--policy",
        f"hf:{folders[0]}?{SHORT}",
        "--episodes",
        "2",
        "--out",
        str(out),
    ]
    assert main.main([*asked, "--env-kwargs", json.dumps(TERSE)]) == 0
    assert "tokens read" in capsys.readouterr().out
    for one in read(out / "records.jsonl"):
        assert one.agents["agent_0"].startswith("hf:")
        assert {"tokens_read", "tokens_written", "finish_reason", "seconds"} <= set(
            one.turns[0]["usage"]["agent_0"]
        )


def test_tiny_is_the_embedded_model_warm_started_on_the_environment_it_plays(folders, monkeypatch):
    asked = []

    def folder(*args):
        asked.append(args)
        return folders[0]

    monkeypatch.setattr(hf.tiny, "folder", folder)
    env = collm_envs.make("TLDR-v0", prompts="terse")
    policy = kinds(env)["hf"](f"tiny?{SHORT}")
    assert policy.name == f"hf:tiny?{SHORT}"
    assert asked == [("TLDR-v0", {"prompts": "terse"}, "full")]
    with pytest.raises(ValueError, match="hf:tiny is warm-started on an environment"):
        hf.parse("tiny")
