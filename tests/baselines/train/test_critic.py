"""Critics: values at the ends of what was read, all turns in one forward, and what each may see."""

import pytest
import torch
from lm_fixtures import CONFIGS, keeping, tiny_lm, words_tokenizer
from toy_games import Answer, Game

from baselines import maac
from baselines.lm.cache import Memory
from baselines.lm.history import Segment
from baselines.lm.learning import Optimizer
from baselines.play.episode import episodes
from baselines.play.rollout import play, starts
from baselines.train.critic import Critic, joint_histories, joint_texts, trunk
from collm_envs import Item

TOKENIZER = words_tokenizer(Answer.vocabulary())
KINDS = [*CONFIGS]


def critic_of(kind="qwen3", seed=0, max_context=1000, **kwargs):
    """A critic whose head is not zero."""
    critic = Critic(tiny_lm(kind, TOKENIZER, seed, **kwargs), max_context)
    with torch.no_grad():
        critic.head.weight.copy_(torch.linspace(-1, 1, critic.head.weight.numel())[None])
        critic.head.bias.fill_(0.3)
    return critic


def paths_of(turns=3, n=4):
    task = Answer(turns=turns)
    policies = {a: tiny_lm("llama", TOKENIZER, k) for k, a in enumerate(task.agents)}
    return task, episodes(play(task, starts(task, 0, 0, n), policies, "s"))


def alone(critic, segment):
    ids = [i for part in segment.chain() for i in part.ids]
    with torch.no_grad():
        hidden = trunk(critic.lm.causal)(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state
        return float(critic.head(hidden[0, -1].float()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_values_of_a_packed_conversation_are_those_of_each_history_alone(kind):
    critic = critic_of(kind, micro_batch_tokens=100)
    _, paths = paths_of()
    for histories in (
        [h for path in paths for h in joint_histories(joint_texts(path), critic.lm)],
        critic.before([node.moves["agent_1"] for path in paths for node in path]),
    ):
        values = critic.values(histories)
        assert values.tolist() == pytest.approx([alone(critic, h) for h in histories], abs=2e-5)
        assert float(values.std()) > 0.05


def test_all_turns_of_an_episode_come_out_of_one_forward_pass(monkeypatch):
    critic = critic_of()
    _, paths = paths_of(turns=3, n=2)
    widths = []
    forward = critic.lm.causal.model.forward
    monkeypatch.setattr(
        critic.lm.causal.model, "forward", lambda **k: widths.append(k["input_ids"].shape) or forward(**k)
    )
    values = critic.values([h for path in paths for h in joint_histories(joint_texts(path), critic.lm)])
    assert len(values) == 6
    assert len(widths) == 1
    assert widths[0][0] == 2


def test_a_fresh_critic_says_zero():
    _, paths = paths_of()
    fresh = Critic(tiny_lm("qwen3", TOKENIZER), 1000)
    assert fresh.values(joint_histories(joint_texts(paths[0]), fresh.lm)).tolist() == [0.0] * 3


def test_fitting_reaches_its_targets(training_seed):
    critic = Critic(tiny_lm("qwen3", TOKENIZER, training_seed, micro_batch_tokens=60), 1000)
    _, paths = paths_of(turns=2, n=3)
    histories = [h for path in paths for h in joint_histories(joint_texts(path), critic.lm)]
    known: dict = {}  # equal histories have equal targets
    keys = [tuple(i for part in h.chain() for i in part.ids) for h in histories]
    targets = torch.tensor([float(known.setdefault(key, len(known)) % 4) for key in keys])
    critic.optimizer = Optimizer(critic.parameters(), 1e-2, steps=60, schedule="linear")
    losses = [critic.fit(histories, targets)["value_loss"] for _ in range(60)]
    assert losses[0] == pytest.approx(float(targets.square().mean()), abs=1e-4)
    assert losses[-1] < 0.05
    assert torch.allclose(critic.values(histories).float(), targets, atol=0.6)


def test_the_size_of_micro_batches_does_not_change_the_gradient():
    _, paths = paths_of()
    gradients = []
    for limit in (1, 10_000):
        critic = critic_of(micro_batch_tokens=limit)
        histories = [h for path in paths for h in joint_histories(joint_texts(path), critic.lm)]
        critic.optimizer = keeping(Optimizer(critic.parameters(), 0.0, steps=1, max_grad_norm=1e9))
        critic.fit(histories, torch.arange(len(histories)))
        gradients.append(torch.cat([p.grad.flatten() for p in critic.parameters()]))
    scale = float(gradients[0].abs().max())
    assert float((gradients[0] - gradients[1]).abs().max()) < 1e-6 * max(1.0, scale)


def test_an_output_layer_of_its_own_is_no_part_of_a_critic():
    untied, tied = critic_of("llama"), critic_of("qwen3")
    assert not any(p is untied.lm.causal.lm_head.weight for p in untied.parameters())
    assert any(p is tied.lm.causal.lm_head.weight for p in tied.parameters())


def test_a_target_that_is_not_finite_raises_and_changes_nothing():
    critic = critic_of()
    _, paths = paths_of()
    histories = joint_histories(joint_texts(paths[0]), critic.lm)
    before = [p.detach().clone() for p in critic.parameters()]
    critic.optimizer = Optimizer(critic.parameters(), 0.1, steps=1)
    with pytest.raises(FloatingPointError, match="value loss is nan; nothing was changed"):
        critic.fit(histories, torch.tensor([0.0, float("nan"), 0.0]))
    assert all(torch.equal(a, b) for a, b in zip(before, critic.parameters(), strict=True))


def test_a_history_beyond_the_critics_context_is_refused_by_name():
    critic = critic_of(max_context=20)
    _, paths = paths_of()
    with pytest.raises(ValueError, match="exceeds critic_max_context=20"):
        critic.values(joint_histories(joint_texts(paths[0]), critic.lm))


# what a critic may know


def texts_of(histories):
    return [TOKENIZER.decode([i for part in h.chain() for i in part.ids]) for h in histories]


class Words(Game):
    """Three turns; what an agent reads tells nothing of the other."""

    def __init__(self):
        rows = (Item("0", {}),)
        super().__init__(2, 3, ("a0",), lambda s, k: f"q{k} t{len(s.said)}", lambda s: 0.0, rows=rows)


def test_the_joint_history_holds_what_all_read_and_wrote_before_the_turn_and_nothing_later():
    lm = tiny_lm("qwen3", words_tokenizer([*Answer.vocabulary(), "[agent_0", "[agent_1", "reads]", "wrote]"]))
    task = Words()
    policies = {a: tiny_lm("llama", TOKENIZER, k) for k, a in enumerate(task.agents)}
    (path,) = episodes(play(task, [(task.rows[0], 0)], policies, "s"))
    found = [
        lm.tokenizer.decode([i for p in h.chain() for i in p.ids])
        for h in joint_histories(joint_texts(path), lm)
    ]
    said = [[node.moves[a].text for a in task.agents] for node in path]
    wanted = "[agent_0 reads] q0 t0 [agent_1 reads] q1 t0"
    assert found[0] == wanted
    for t in (1, 2):
        wanted += f" [agent_0 wrote] {said[t - 1][0]} [agent_1 wrote] {said[t - 1][1]}"
        wanted += f" [agent_0 reads] q0 t{t} [agent_1 reads] q1 t{t}"
        assert found[t].split() == wanted.split()


def test_a_central_critic_sees_the_others_earlier_words_and_a_local_one_does_not():
    critic, task = critic_of(), Words()
    values = {"central": [], "local": []}
    for other in (5, 6):
        policies = {"agent_0": tiny_lm("llama", TOKENIZER, 0), "agent_1": tiny_lm("llama", TOKENIZER, other)}
        (path,) = episodes(play(task, [(task.rows[0], 0)], policies, "s"))
        values["central"].append(critic.values(joint_histories(joint_texts(path), critic.lm)).tolist())
        values["local"].append(
            critic.values(critic.before([node.moves["agent_0"] for node in path])).tolist()
        )
    assert values["local"][0] == values["local"][1]
    first, second = values["central"]
    assert first[0] == second[0]  # turn 1: nothing has been said yet
    assert first[1] != second[1]


def test_values_end_where_an_agent_is_about_to_write():
    critic, paths = critic_of("llama"), paths_of()[1]
    for path in paths:
        moves = [node.moves["agent_0"] for node in path]
        for move, history in zip(moves, critic.before(moves), strict=True):
            assert history is move.parent


def test_a_critic_reads_right_padding_and_no_memory():
    critic = critic_of("gpt2")
    long, short = Segment(None, list(range(5, 25))), Segment(None, [7, 8])
    assert critic.values([long, short]).tolist() == pytest.approx(
        [alone(critic, long), alone(critic, short)], abs=1e-5
    )
    assert not Memory.empty(1, 1, torch.device("cpu")).layers[0].is_initialized


def test_a_critic_of_the_newest_turn_reads_what_all_read_then_and_wrote_before_and_nothing_older():
    critic = critic_of()
    _, paths = paths_of(turns=3, n=2)
    newest = maac.histories_of(critic, "central", paths, maac.Config(critic_history="last turn"))
    texts = [text for path in paths for text in joint_texts(path)]
    assert [list(part.ids) for part in newest] == [critic.lm.renderer.text_ids(t, first=True) for t in texts]
    assert all(len([*part.chain()]) == 1 for part in newest)
    full = maac.histories_of(critic, "central", paths, maac.Config())
    assert [len([*part.chain()]) for part in full] == [1, 2, 3] * 2
    first = critic.values(newest)[0], critic.values(full)[0]
    assert float(first[0]) == pytest.approx(float(first[1]), abs=1e-6)
    with pytest.raises(ValueError, match="a decentral one reads what its agent does"):
        maac.Config(critic="decentral", critic_history="last turn")
    with pytest.raises(ValueError, match="critic_history must be one of full, last turn, got 'newest'"):
        maac.Config(critic_history="newest")
