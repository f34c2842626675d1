"""Teams: whose weights are whose, what a step changes, and what comes back from a disk."""

import pytest
import torch
from lm_fixtures import save, words_tokenizer, write_talk
from peft import AutoPeftModelForCausalLM
from toy_games import Answer, any_text_game
from transformers import AutoModelForCausalLM, AutoTokenizer

from baselines import maac, magrpo, reinforce, ridge
from baselines.lm import loading
from baselines.lm.learning import Lesson
from baselines.play.rollout import play, starts
from baselines.train.team import Team

TASK = any_text_game(turns=2)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Three saved models with tokenizers of their own; the last is of another architecture."""
    root = tmp_path_factory.mktemp("models")
    words = Answer.vocabulary()
    return {
        "one": save(root / "one", "qwen3", words_tokenizer(words), 0),
        "other": save(root / "other", "qwen3", words_tokenizer(words[::-1]), 1),
        "third": save(root / "third", "gemma2", words_tokenizer(["more", *words]), 2),
    }


def settings(folders, **changes):
    config = {"model": folders["one"], "max_new_tokens": 2, "episodes": 4, "lr": 0.01, "device": "cpu"}
    config |= {
        key: tuple(folders[name] for name in value) for key, value in changes.items() if key == "models"
    }
    return config | {key: value for key, value in changes.items() if key != "models"}


KINDS = {
    "own": (reinforce, {}),
    "shared": (reinforce, {"shared": True}),
    "two models": (reinforce, {"models": ("one", "third")}),
    "adapters": (reinforce, {"lora_rank": 4}),
    "one adapter": (reinforce, {"lora_rank": 4, "shared": True}),
    "adapters on two models": (magrpo, {"lora_rank": 4, "models": ("one", "third"), "group": 2}),
    "kl": (reinforce, {"kl": 0.1}),
    "kl and adapters": (reinforce, {"kl": 0.1, "lora_rank": 4}),
    "ridge": (ridge, {}),
    "central": (maac, {"critic_lr": 0.01}),
    "decentral": (maac, {"critic": "decentral", "critic_lr": 0.01}),
    "central adapters": (maac, {"lora_rank": 4, "critic_lr": 0.01}),
    "decentral adapters on two models": (
        maac,
        {"critic": "decentral", "lora_rank": 4, "critic_lr": 0.01, "models": ("one", "third")},
    ),
    "on the shared actor": (maac, {"critic_on_actor": True, "shared": True, "critic_lr": 0.01}),
    "on the actors": (maac, {"critic_on_actor": True, "critic": "decentral", "critic_lr": 0.01}),
    "on adapters": (
        maac,
        {"critic_on_actor": True, "critic": "decentral", "critic_lr": 0.01, "lora_rank": 4},
    ),
}


def made(folders, name, **changes):
    algorithm, kind = KINDS[name]
    config = algorithm.Config(**settings(folders, **kind, **changes))
    return algorithm, config, algorithm.team(config, TASK)


def modules(team):
    """Every module with weights of its own."""
    out = {}
    for name, policy in team.by_name().items():
        if all(policy.model is not module for module in out.values()):
            out[f"policy/{name}"] = policy.model
    for name, critic in team.critics.items():
        out[f"head/{name}"] = critic.head
        if all(critic.lm.model is not module for module in out.values()):
            out[f"critic/{name}"] = critic.lm.model
    return out


def weights(team):
    return {
        f"{m}/{n}": p.detach().clone()
        for m, module in modules(team).items()
        for n, p in module.named_parameters()
    }


def kept_by(state):
    """Names of the weights in a team's state, as `weights` has them."""
    parts = {f"policy/{name}": policy["weights"] for name, policy in state["policies"].items()}
    for name, critic in state["critics"].items():
        parts[f"head/{name}"] = critic["head"]
        parts[f"critic/{name}"] = critic["trunk"]["weights"] if "trunk" in critic else {}
    return {f"{m}/{n}" for m, part in parts.items() for n in part}


def optimizers(team):
    trained = [*team.by_name().values(), *team.critics.values()]
    return [used.optimizer for used in trained if used.optimizer is not None]


def changed(before, after):
    """Which module's which weights differ."""
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("name", KINDS)
def test_a_team_goes_on_from_its_state_to_the_same_bits(folders, name):
    algorithm, config, straight = made(folders, name, steps=4, schedule="linear")
    list(algorithm.train(config, TASK, straight))
    _, half, first = made(folders, name, steps=4, schedule="linear")
    run = algorithm.train(half, TASK, first)
    next(run)
    next(run)
    state = first.state_dict()
    _, again, second = made(folders, name, steps=4, schedule="linear")
    second.load_state_dict(state)
    assert second.step == 2
    assert not changed(weights(first), weights(second))
    list(algorithm.train(again, TASK, second))
    assert not changed(weights(straight), weights(second))
    assert changed(weights(first), weights(second))


def test_a_state_of_an_early_version_is_refused_in_a_line(folders):
    *_, team = made(folders, "own")
    with pytest.raises(ValueError, match="this checkpoint is of an early version; begin the run anew"):
        team.load_state_dict({"step": 3, "weights": {}, "optimizers": {}})
    assert team.step == 0


@pytest.mark.parametrize("name", KINDS)
def test_a_state_holds_no_frozen_weights(folders, name):
    _, config, team = made(folders, name)
    kept = kept_by(team.state_dict())
    if config.lora_rank:
        assert all("lora_" in name or name.startswith("head/") for name in kept)
    else:
        assert kept == set(weights(team))


def learn(team, config, agent):
    """A real step in which only this agent has anything to learn."""
    nodes = play(TASK, starts(TASK, 0, 0, 6), team.policies, "s")
    lessons = {name: Lesson() for name in TASK.agents}
    for k, node in enumerate(nodes):
        for name in TASK.agents:
            lessons[name].add(node.moves[name], (1.0 if k % 2 else -1.0) if name == agent else 0.0, 1 / 6)
    team.learn(lessons, config)


@pytest.mark.parametrize("name", ["own", "two models", "central"])
def test_one_agents_text_puts_nothing_into_anothers_weights(folders, name):
    _, config, team = made(folders, name)
    before = weights(team)
    learn(team, config, "agent_1")
    moved = changed(before, weights(team))
    assert moved
    assert {name.split("/")[1] for name in moved} == {"agent_1"}


@pytest.mark.parametrize(
    "name", ["adapters", "adapters on two models", "central adapters", "kl and adapters"]
)
def test_one_agents_text_moves_its_own_adapter_alone(folders, name):
    _, config, team = made(folders, name)
    before = weights(team)
    learn(team, config, "agent_1")
    moved = changed(before, weights(team))
    assert moved
    assert all(".agent_1." in name for name in moved)
    for lora in team.policies["agent_0"].parameters():
        assert lora.grad is None or not bool(lora.grad.any())


def test_the_critics_step_moves_no_actor_and_the_actors_no_critic(folders):
    for name in ("central", "decentral", "central adapters", "decentral adapters on two models"):
        _, _, team = made(folders, name)
        before = weights(team)
        for agent, critic in team.critics.items():
            histories = [write_talk(critic.lm, [["q0 t0 p0", "q1 t0 p0"]])[0][k].parent for k in range(2)]
            with torch.no_grad():
                critic.head.weight.fill_(0.1)  # at zero the trunk has no gradient yet
            before[f"head/{agent}/weight"].fill_(0.1)
            critic.fit(histories, torch.tensor([1.0, 2.0]))
        moved = changed(before, weights(team))
        assert moved
        for weight in moved:
            assert weight.startswith(("critic/", "head/")) or ".critic_" in weight, weight


def test_agents_that_share_weights_are_one_policy_with_one_optimizer(folders):
    for name in ("shared", "one adapter"):
        _, _, team = made(folders, name)
        assert team.policies["agent_0"] is team.policies["agent_1"]
        assert team.members() == {"shared": ["agent_0", "agent_1"]}
        assert len(optimizers(team)) == 1


def test_adapters_cost_one_base_for_all_agents_and_the_critic(folders):
    _, _, team = made(folders, "central adapters")
    models_of = {id(p.model) for p in team.policies.values()} | {
        id(c.lm.model) for c in team.critics.values()
    }
    assert len(models_of) == 1
    base = sum(p.numel() for n, p in team.policies["agent_0"].model.named_parameters() if "lora_" not in n)
    alone = AutoModelForCausalLM.from_pretrained(folders["one"])
    assert base == sum(p.numel() for p in alone.parameters())
    sizes = [
        sum(p.numel() for p in lm.parameters())
        for lm in (*team.policies.values(), team.critics["central"].lm)
    ]
    assert len(set(sizes)) == 1
    assert 0 < sizes[0] < base


def test_adapters_of_a_decentral_critic_stand_on_the_model_of_the_agent_they_judge(folders):
    _, _, team = made(folders, "decentral adapters on two models")
    for agent, critic in team.critics.items():
        assert critic.lm.model is team.policies[agent].model
        assert critic.lm.tokenizer is team.policies[agent].tokenizer
    assert team.policies["agent_0"].model is not team.policies["agent_1"].model


@pytest.mark.parametrize("rank", [0, 4])
def test_a_central_critic_may_have_a_model_of_its_own(folders, rank):
    config = maac.Config(**settings(folders, critic_model=folders["third"], lora_rank=rank))
    team = maac.team(config, TASK)
    assert team.critics["central"].lm.causal.config.model_type == "gemma2"
    assert next(maac.train(config, TASK, team))["value_loss"] >= 0


def test_every_agents_own_tokenizer_reads_and_writes_its_texts(folders):
    _, _, team = made(folders, "two models")
    vocabularies = [p.tokenizer.get_vocab()["a3"] for p in team.policies.values()]
    assert vocabularies[0] != vocabularies[1]
    (node, *_) = play(TASK, starts(TASK, 0, 0, 3), team.policies, "s")
    for agent, move in node.moves.items():
        tokenizer = team.policies[agent].tokenizer
        assert tokenizer.decode(move.parent.ids) == node.prompts[agent]


@pytest.mark.parametrize("rank", [0, 4])
def test_a_reference_is_the_model_before_training(folders, rank):
    name = "kl and adapters" if rank else "kl"
    algorithm, config, team = made(folders, name, steps=3)
    moves = [node.moves["agent_0"] for node in play(TASK, starts(TASK, 0, 0, 4), team.policies, "s")]
    _, _, fresh = made(folders, name)

    def logp(policy, reference):
        with torch.no_grad():
            return torch.cat([s.logp for s in policy.logp(moves, reference=reference)])

    before = logp(fresh.policies["agent_0"], False)
    list(algorithm.train(config, TASK, team))
    policy, frozen = team.policies["agent_0"], team.policies["agent_0"].reference
    assert torch.equal(logp(frozen, bool(rank)), before)
    assert not torch.allclose(logp(policy, False), before)
    assert (frozen is policy) == bool(rank)


@pytest.mark.parametrize("name", ["own", "shared", "two models"])
def test_saved_agents_are_ordinary_folders(folders, name, tmp_path):
    algorithm, config, team = made(folders, name, steps=1)
    next(algorithm.train(config, TASK, team))
    team.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent_0", "agent_1"]
    for agent, policy in team.policies.items():
        model = AutoModelForCausalLM.from_pretrained(tmp_path / agent)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / agent)
        ids = tokenizer("q0 t0 p1 a3")["input_ids"]
        assert ids == policy.tokenizer("q0 t0 p1 a3")["input_ids"]
        with torch.no_grad():
            wanted = policy.causal(input_ids=torch.tensor([ids])).logits
            assert torch.equal(model(input_ids=torch.tensor([ids])).logits, wanted)


@pytest.mark.parametrize("name", ["adapters", "one adapter", "central adapters", "adapters on two models"])
def test_saved_adapters_are_ordinary_peft_folders(folders, name, tmp_path):
    algorithm, config, team = made(folders, name, steps=2)
    list(algorithm.train(config, TASK, team))
    for _ in range(2):  # a resumed run saves again into the same folders
        team.save_pretrained(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent_0", "agent_1"]
    ids = torch.tensor([[5, 6, 7, 8]])
    outputs = []
    for agent, policy in team.policies.items():
        files = {path.name for path in (tmp_path / agent).iterdir()}
        assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= files
        with torch.no_grad(), policy.active():
            wanted = policy.causal(input_ids=ids).logits
        with torch.no_grad():
            peft = AutoPeftModelForCausalLM.from_pretrained(tmp_path / agent)
            assert torch.allclose(peft(input_ids=ids).logits, wanted, atol=1e-6)
            merged, tokenizer = loading.load_model(str(tmp_path / agent), "cpu")
            assert torch.allclose(merged(input_ids=ids).logits, wanted, atol=1e-5)
        assert tokenizer.get_vocab() == policy.tokenizer.get_vocab()
        outputs.append(wanted)
    if name not in ("one adapter", "adapters on two models"):
        assert not torch.allclose(outputs[0], outputs[1], atol=1e-4)


def test_a_trained_agent_can_be_trained_on(folders, tmp_path):
    for name in ("own", "adapters"):
        algorithm, config, team = made(folders, name, steps=1)
        next(algorithm.train(config, TASK, team))
        team.save_pretrained(tmp_path / name)
        again = settings(folders, steps=1) | {"models": tuple(str(tmp_path / name / a) for a in TASK.agents)}
        config = reinforce.Config(**again)
        again = reinforce.team(config, TASK)
        before = [p.detach().clone() for lm in again.policies.values() for p in lm.parameters()]
        next(reinforce.train(config, TASK, again))
        after = [p for lm in again.policies.values() for p in lm.parameters()]
        assert any(not torch.equal(x, y) for x, y in zip(before, after, strict=True))


def test_recomputing_activations_gives_the_same_gradient_and_runs_layers_twice(folders):
    gradients, passes = [], []
    for recompute in (False, True):
        config = reinforce.Config(**settings(folders, gradient_checkpointing=recompute))
        team = reinforce.team(config, TASK)
        policy = team.policies["agent_0"]
        moves = write_talk(policy, [["q0 t0 p0", "q1 t0 p1"], ["q0 t1 p0", "q1 t1 p1"]])[1]
        calls = []
        policy.causal.model.layers[0].mlp.gate_proj.register_forward_hook(
            lambda *_, calls=calls: calls.append(1)
        )
        for scores in policy.logp(moves):
            scores.logp.sum().backward()
        passes.append(len(calls))
        gradients.append(torch.cat([p.grad.flatten() for p in policy.parameters()]))
    assert passes == [1, 2]
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


@pytest.mark.parametrize(("epochs", "critic_epochs"), [(1, 1), (1, 4), (3, 1)])
@pytest.mark.parametrize("on_actor", [False, True])
def test_schedules_end_with_the_run(folders, epochs, critic_epochs, on_actor):
    config = maac.Config(
        **settings(folders, steps=3, schedule="linear", epochs=epochs, clip=0.2, critic_epochs=critic_epochs),
        critic_on_actor=on_actor,
        shared=on_actor,
    )
    team = maac.team(config, TASK)
    list(maac.train(config, TASK, team))
    for optimizer in optimizers(team):
        assert optimizer.taken == optimizer.steps


def test_a_seed_fixes_adapters_and_another_one_changes_them(folders):
    runs = [weights(made(folders, "adapters", seed=seed)[2]) for seed in (1, 1, 2)]
    assert not changed(runs[0], runs[1])
    assert changed(runs[0], runs[2])


def test_models_must_be_one_for_each_agent(folders):
    config = reinforce.Config(**settings(folders, models=("one", "other", "third")))
    with pytest.raises(ValueError, match=r"need one for each of .*agent_1'], got 3"):
        reinforce.team(config, TASK)


@pytest.mark.skipif(torch.cuda.is_available(), reason="auto is a GPU here")
@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_bfloat16_on_a_cpu_is_refused_before_a_model_is_loaded(folders, device):
    config = reinforce.Config(**settings(folders, model="/nowhere", bf16=True, device=device))
    with pytest.raises(ValueError, match="bf16 is for devices that have it"):
        reinforce.team(config, TASK)


def test_models_that_are_not_there_are_named(folders, tmp_path):
    with pytest.raises(ValueError, match=r"no such folder"):
        loading.load_model(str(tmp_path / "nothing"), "cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: has neither config\.json nor adapter_config\.json"):
        loading.load_model(str(tmp_path / "empty"), "cpu")
    AutoModelForCausalLM.from_pretrained(folders["one"]).save_pretrained(tmp_path / "mute")
    with pytest.raises(ValueError, match="has no tokenizer; save one there"):
        loading.load_model(str(tmp_path / "mute"), "cpu")


def test_a_fresh_team_is_a_team(folders):
    assert isinstance(made(folders, "own")[2], Team)
