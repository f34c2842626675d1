"""The sentiment task by hand, its judges, and that a model learns it with CORY."""

from random import Random

import pytest
import torch
from lm_fixtures import save, words_tokenizer
from transformers import BertConfig, BertForSequenceClassification

from baselines import cory
from baselines.play.rollout import eval_starts
from baselines.runs import run
from baselines.runs.logs import read_log
from baselines.runs.texts import measure_lineups
from baselines.tasks import sentiment
from baselines.tasks.sentiment_words import FLIPS, NEGATIVE, POSITIVE, ROWS
from collm_envs import make
from collm_envs.policies.seat import Seat
from collm_envs.testing import check_env

ID = "baselines.tasks.sentiment:Sentiment-v0"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("the cast was lovely, not dull", 3 / 4),
        ("the plot was plain", 1 / 2),
        ("", 1 / 2),
        ("dull and boring", 1 / 4),
        ("It wasn't good", 1 / 3),
        ("never very good, but so FUNNY!", 2 / 4),
        ("not for long: good", 2 / 3),  # two words between: it no longer turns
        ("good " * 98, 99 / 100),
    ],
)
def test_scores_worked_by_hand(text, value):
    env = make(ID, items=["It begins:"])
    env.reset(seed=0)
    _, rewards, *_, infos = env.step({"agent_0": text})
    assert rewards["agent_0"] == pytest.approx(value)
    assert infos["agent_0"]["metrics"]["score"] == pytest.approx(value)


def test_a_text_of_one_word_over_and_over_is_told_by_its_share_of_distinct_words():
    env = make(ID)
    env.reset(seed=0)
    *_, infos = env.step({"agent_0": "great great great great"})
    metrics = infos["agent_0"]["metrics"]
    assert (metrics["happy"], metrics["words"], metrics["distinct"]) == (4.0, 4.0, 0.25)


def test_several_agents_earn_their_mean():
    env = make(ID, num_agents=2, items=["It begins:"])
    env.reset(seed=0)
    _, rewards, *_ = env.step({"agent_0": "good", "agent_1": "bad"})
    assert rewards["agent_0"] == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_no_beginning_counts_for_anything_and_no_word_counts_twice():
    assert not POSITIVE & NEGATIVE
    assert not (POSITIVE | NEGATIVE) & FLIPS
    for rows in ROWS.values():
        assert all(sentiment.tally(sentiment.words(row)) == (0, 0) for row in rows)
    assert not set(ROWS["train"]) & set(ROWS["eval"])


@pytest.mark.parametrize("agents", [1, 2])
def test_it_is_a_sound_environment(agents):
    check_env(lambda: make(ID, num_agents=agents))


def test_players_are_ordered():
    task = make(ID).task
    means = {}
    for name, player in task.players.items():
        scores = []
        for k in range(60):
            state = task.start(task.items("train")[k % 24], k)
            text = player(task, state, "agent_0", Random(k))
            scores.append(task.score(task.play(state, {"agent_0": text})).reward)
        means[name] = sum(scores) / 60
    assert means["random"] < means["noisy"] < means["expert"] == 0.75


@pytest.fixture
def classifier(tmp_path):
    """A local sequence classifier with random weights."""
    tokenizer = words_tokenizer(["good", "bad"])
    shape = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 4}
    labels = {0: "NEGATIVE", 1: "POSITIVE"}
    model = BertForSequenceClassification(
        BertConfig(vocab_size=len(tokenizer), id2label=labels, pad_token_id=1, **shape)
    )
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    model.save_pretrained(tmp_path / "judge")
    tokenizer.save_pretrained(tmp_path / "judge")
    return model.eval(), tokenizer, str(tmp_path / "judge")


def test_a_reward_model_judges_the_whole_review_by_its_label(classifier):
    model, tokenizer, folder = classifier
    text = "good good bad"
    with torch.no_grad():
        wanted = model(**tokenizer(f"good {text}", return_tensors="pt")).logits[0].softmax(-1)
    for query, value in (("", wanted[1]), ("?label=POSITIVE", wanted[1]), ("?label=NEGATIVE", wanted[0])):
        env = make(ID, judge=f"hf:{folder}{query}", items=["good"])
        env.reset(seed=0)
        _, rewards, *_ = env.step({"agent_0": text})
        assert rewards["agent_0"] == pytest.approx(float(value), abs=1e-6)
    with pytest.raises(ValueError, match="has the labels NEGATIVE, POSITIVE, got 'JOY'"):
        make(ID, judge=f"hf:{folder}?label=JOY")
    with pytest.raises(ValueError, match=r"judge: hf: no setting 'lable'; .*did you mean 'label'"):
        make(ID, judge=f"hf:{folder}?lable=JOY")


@pytest.mark.parametrize("items", [[], "It was", [1], [" "], {"train": ["It was"]}])
def test_items_that_are_no_beginnings_are_refused(items):
    with pytest.raises(ValueError, match="items: need a list of beginnings of reviews"):
        make(ID, items=items)


@pytest.mark.parametrize("judge", ["", "word", "hf:", 3])
def test_an_unknown_judge_is_refused(judge):
    with pytest.raises(ValueError, match="judge: need 'words' or 'hf:NAME_OR_FOLDER', got"):
        make(ID, judge=judge)


def test_a_reward_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"judge: '.*nowhere' cannot be loaded"):
        make(ID, judge=f"hf:{tmp_path}/nowhere")


def test_cory_raises_the_score_of_both_models(tmp_path, training_seed):
    spoken = [*sentiment.HAPPY[:3], *sentiment.MIDDLING[:3], *sentiment.UNHAPPY[:3], "begins:", "and"]
    folder = save(tmp_path, "qwen3", words_tokenizer(spoken), training_seed)
    task = make(ID, items=["it begins:", "and begins:"]).task
    how = cory.Config(
        env=ID,
        model=folder,
        device="cpu",
        estimator="group",
        observer_prompt="{query} {text}",
        steps=25,
        episodes=32,
        max_new_tokens=4,
        lr=1e-2,
        kl=0.02,
        epochs=1,
        seed=training_seed,
    )
    team = cory.team(how, task)
    before = measure_lineups(task, eval_starts(task, 64), team.lineups(task.agents), "eval")
    list(cory.train(how, task, team))
    after = measure_lineups(task, eval_starts(task, 64), team.lineups(task.agents), "eval")
    for name in cory.LLMS:
        assert after[f"{name}/return"] > before[f"{name}/return"] + 0.15, (before, after)


@pytest.mark.slow
def test_the_embedded_model_learns_it_and_either_half_plays_alone_afterwards(tmp_path, training_seed):
    from baselines.lm import hf

    how = cory.Config(
        env=ID,
        out=str(tmp_path / "run"),
        estimator="group",
        steps=40,
        episodes=32,
        max_new_tokens=32,
        lr=1e-3,
        kl=0.02,
        device="cpu",
        eval_every=20,
        seed=training_seed,
    )
    out = run.train("cory", how, quiet=True)
    told = read_log(out / "eval.jsonl")
    for name in cory.LLMS:
        assert told[-1][f"{name}/return"] > told[0][f"{name}/return"] + 0.15
        task = make(ID).task
        policy = hf.parse(f"{out / name}?max_new_tokens=32&device=cpu")
        seats = [
            Seat("agent_0", (task.prompt(task.start(item, 0), "agent_0"),), k, None, None)
            for k in range(4)
            for item in task.items("eval")
        ]
        said = [
            sentiment.by_words(f"{seat.history[0]} {reply.text}")
            for seat, reply in zip(seats, policy.act(seats), strict=True)
        ]
        assert sum(said) / len(said) == pytest.approx(told[-1][f"{name}/return"], abs=0.08)
