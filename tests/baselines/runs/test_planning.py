"""`collm plan`: what is counted on models without numbers is what a run holds."""

import pytest
import torch
from lm_fixtures import save, tiny_lm, words_tokenizer

from baselines import maac, magrpo
from baselines.cli.main import main
from baselines.lm import threads
from baselines.lm.cache import Slab
from baselines.lm.footprint import capacity, column_bytes, copied_bytes, saved_bytes, weight_bytes
from baselines.lm.loading import load_model
from baselines.lm.opening import Setup, open_all
from baselines.lm.policy import Context
from baselines.lm.sampling import Sampling
from baselines.runs import cards, planning
from baselines.runs.cards import fits
from baselines.runs.planning import footprint_of
from baselines.train.team import build_team
from collm_envs import make

WORDS = ["the", "post", "says", "it", "cat"]
AGENTS = ("agent_0", "agent_1")
ENV = {"env": "TLDR-v0", "env_kwargs": {"prompts": "terse"}}
SMALL = {"episodes": 8, "group": 4, "max_new_tokens": 8, "eval_episodes": 8}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("plan") / "base", "qwen3", words_tokenizer(WORDS))


def opened(model, device, rank=0):
    setup = Setup(Sampling(max_new_tokens=8), Context(), device=device, lora_rank=rank)
    return open_all({"red": model, "blue": model}, setup)["red"]


@pytest.mark.parametrize("rank", [0, 2])
def test_a_model_without_numbers_has_the_sizes_of_the_one_with_them(model, rank):
    bare, real = opened(model, "meta", rank), opened(model, "cpu", rank)
    assert bare.device.type == "meta"
    for count in (weight_bytes, lambda lm: sum(p.numel() for p in lm.parameters())):
        assert count(bare.model if count is weight_bytes else bare) == count(
            real.model if count is weight_bytes else real
        )
    real.converse(1, 0)
    products = [product.weight for layer in real.engine.products for product in layer[:4]]
    own = {p.data_ptr() for p in real.model.parameters()}
    copies = [weight for weight in products if weight.data_ptr() not in own]
    assert copied_bytes(bare, packed=False) == sum(4 * weight.numel() for weight in copies)


@pytest.mark.parametrize("branching", [False, True])
def test_the_room_of_a_memory_is_what_conversations_come_to(branching):
    lm = tiny_lm("llama", words_tokenizer(WORDS), sampling=Sampling(max_new_tokens=40))
    lm.eos.clear()  # every text runs to its end
    talk = lm.converse(1, 0)
    for turn in range(2):
        talk.read(["the cat says"])
        if branching and turn == 0:
            talk = talk.pick([0, 0])
        talk.write()
        if turn == 0:
            messages = [talk.heads[0].parent]
        else:
            messages.append(talk.heads[0].parent)
        if branching and turn == 0:
            talk = talk.pick([0])
    slab: Slab = talk.memory.layers[0]
    lengths = [len(message.ids) for message in messages]
    assert slab.length == sum(lengths) + 2 * 40 - 1
    if not branching:
        assert slab.keys.shape[-2] == capacity(lengths, 40, branching=False, sharing=True).own
    assert (
        column_bytes(lm_without_numbers()) == 4 * 2 * 2 * 2 * 8
    )  # float32, k and v, layers, heads, head_dim


def lm_without_numbers():
    lm = tiny_lm("llama", words_tokenizer(WORDS))
    lm.model.to("meta")
    return lm


def test_what_autograd_keeps_is_counted_without_numbers(model):
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    real, _ = load_model(model, "cpu")
    weights = {p.untyped_storage().data_ptr() for p in real.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = real.base_model(input_ids=torch.zeros(1, 100, dtype=torch.long), use_cache=False)
    real_bytes = sum(size for place, size in kept.items() if place not in weights)
    assert 100 * saved_bytes(opened(model, "meta")) == pytest.approx(real_bytes, rel=0.15)
    del out


def test_the_plan_counts_what_the_team_of_a_run_holds(model):
    config = magrpo.Config(**ENV, model=model, **SMALL)
    by_kind = {need.kind: need for need in footprint_of("magrpo", config, "cpu").needs}
    team = build_team(config, AGENTS)
    weights = sum(weight_bytes(policy.model) for policy in team.policies.values())
    assert by_kind["weights"].update == weights
    assert by_kind["AdamW's moments"].update == 2 * weights
    assert by_kind["gradients"].update == weights / 2  # one policy steps at a time
    assert by_kind["gradients"].sampling == 0


def peak_kinds(model, algorithm=magrpo, name="magrpo", device="cuda", **more):
    small = SMALL if algorithm is magrpo else {k: v for k, v in SMALL.items() if k != "group"}
    return {
        need.kind: need
        for need in footprint_of(
            name, algorithm.Config(**ENV, model=model, **{**small, **more}), device
        ).needs
    }


def test_adapters_share_a_base_and_a_critic_has_a_model_of_its_own(model):
    full, lora = peak_kinds(model), peak_kinds(model, lora_rank=2)
    central = peak_kinds(model, maac, "maac")
    assert lora["weights"].update < full["weights"].update
    assert lora["AdamW's moments"].update < full["AdamW's moments"].update
    assert central["weights"].update == full["weights"].update * 1.5
    frozen = peak_kinds(model, kl=0.1)
    assert frozen["weights"].update == 1.5 * full["weights"].update  # one for both agents
    assert frozen["AdamW's moments"] == full["AdamW's moments"]


def test_longer_texts_and_more_episodes_take_more_and_checkpointing_less(model):
    usual = peak_kinds(model)
    assert (
        peak_kinds(model, max_new_tokens=200)["keys and values"].sampling > usual["keys and values"].sampling
    )
    assert peak_kinds(model, episodes=64)["keys and values"].sampling > usual["keys and values"].sampling
    less = peak_kinds(model, gradient_checkpointing=True)
    assert less["activations"].update < usual["activations"].update


def test_a_card_is_given_the_least_change_with_which_a_run_fits(model, monkeypatch):
    config = magrpo.Config(**ENV, model=model, **SMALL)
    assert [(fit.changes, fit.apart) for fit in fits("magrpo", config)] == [({}, False)] * 4
    monkeypatch.setitem(planning.PROGRAM, "cuda", 0)
    need = footprint_of("magrpo", config, "cuda").peak
    monkeypatch.setattr(cards, "CARDS", (need * 0.99 / cards.MARGIN / 1e9, 1e-9))
    changed, none = fits("magrpo", config)
    assert changed.changes
    assert none is None


def test_a_policy_that_writes_nothing_keeps_no_copies_of_weights(model, monkeypatch):
    monkeypatch.setattr(threads, "SMALL", 10)
    team = build_team(magrpo.Config(**ENV, model=model, kl=0.1, **SMALL), AGENTS)
    for policy in team.policies.values():
        policy.converse(1, 0)
        assert policy.engine.products
        assert policy.reference.engine.products == []


def test_collm_plan_prints_needs_and_cards_for_any_algorithm(model, capsys):
    words = ["--model", model, "--agents", "2", "--episodes", "8", "--max-new-tokens", "8"]
    env = ["--env", "TLDR-v0", "--env-kwargs", '{"prompts": "terse"}', "--device", "cuda"]
    assert main(["plan", *words, *env]) == 0
    shown = capsys.readouterr().out
    assert "GB on cuda\tsampling\tupdate\tsaving" in shown
    assert "\n141 GB\t" in shown
    assert "as it is" in shown
    assert "texts of up to 8" in shown
    assert main(["plan", "maac", "--model", model, "--agents", "two"]) == 2
    assert "--agents must be a whole number, got 'two'" in capsys.readouterr().err
    assert main(["plan", "maac", "--model", model, "--agents", "3", *env]) == 0


def test_the_prompts_of_an_environment_are_measured(model):
    made = footprint_of("magrpo", magrpo.Config(**ENV, model=model, **SMALL), "cpu")
    task = make(ENV["env"], **ENV["env_kwargs"]).task
    assert len(made.work.messages) == task.max_turns
    assert made.written == 8 * 8 * 2 * task.max_turns
