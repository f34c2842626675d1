"""One loss, two homes: a policy whose weights are elsewhere is sent d loss / d logp and nothing else."""

from dataclasses import replace

import pytest
import torch
from lm_fixtures import save, tiny_lm, words_tokenizer, write_talk
from toy_games import Answer, any_text_game

from baselines import magrpo
from baselines.formulas.losses import Objective
from baselines.lm import learning
from baselines.lm.learning import Lesson
from baselines.lm.scoring import Scores

TASK = any_text_game(turns=2)


class Server:
    """Where the weights are: log-probabilities go out as lists of numbers, derivatives come in as lists."""

    def __init__(self, lm):
        self.lm = lm

    def logp(self, moves):
        """[(indices of the moves, owner of each token, its log-probability)] of every micro-batch"""
        with torch.no_grad():
            batches = list(self.lm.logp(moves))
        return [(scores.moves, scores.owner.tolist(), scores.logp.tolist()) for scores in batches]

    def step(self, moves, derivatives):
        self.lm.optimizer.zero_grad()
        for scores, derivative in zip(self.lm.logp(moves), derivatives, strict=True):
            scores.logp.backward(torch.tensor(derivative))
        return self.lm.optimizer.step()


class Remote:
    """A policy without weights, its own optimizer: a step sends what `backward` left on its scores."""

    adapter, rescored = None, False
    device = torch.device("cpu")

    def __init__(self, server):
        self.name, self.server, self.optimizer = server.lm.name, server, self
        frozen = server.lm.reference
        self.reference = None if frozen is None else Remote(Server(frozen))
        self.moves, self.leaves = [], []

    def converse(self, n, seed):
        return self.server.lm.converse(n, seed)

    learn = learning.learn

    def logp(self, moves, *, entropy=False, reference=False):
        for index, owner, logp in self.server.logp(moves):
            leaf = torch.tensor(logp, requires_grad=True)
            self.moves, self.leaves = moves, [*self.leaves, leaf]
            yield Scores(leaf, torch.tensor(owner), index, None, len(owner))

    def zero_grad(self):
        self.leaves = []

    def step(self):
        return self.server.step(self.moves, [leaf.grad.tolist() for leaf in self.leaves])


OBJECTIVES = {
    "REINFORCE": {},
    "a clipped text, three passes": {"epochs": 3, "clip": 0.2},
    "clipped tokens, their mean, and a KL": {
        "epochs": 2,
        "clip": 0.2,
        "ratio": "token",
        "length": "mean",
        "kl": 0.1,
    },
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("models") / "one", "qwen3", words_tokenizer(Answer.vocabulary()))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_policy_that_is_sent_derivatives_ends_at_the_same_weights(model, name):
    config = magrpo.Config(
        model=model,
        group=2,
        episodes=4,
        steps=3,
        lr=0.01,
        max_new_tokens=2,
        device="cpu",
        micro_batch_tokens=24,
        **OBJECTIVES[name],
    )
    here, away = magrpo.team(config, TASK), magrpo.team(config, TASK)
    untrained = weights(here)
    remote = {agent: Remote(Server(policy)) for agent, policy in away.policies.items()}
    logged = list(magrpo.train(config, TASK, here))
    logged_away = list(magrpo.train(config, TASK, replace(away, policies=remote)))
    assert (weights(here) - untrained).abs().max() > 1e-3
    assert (weights(here) - weights(away)).abs().max() < 1e-6
    assert logged_away == [pytest.approx(line, abs=1e-5) for line in logged]


def weights(team):
    return torch.cat(
        [p.detach().flatten().clone() for policy in team.policies.values() for p in policy.parameters()]
    )


def test_without_an_optimizer_a_policy_says_that_it_cannot_learn():
    lm = tiny_lm("qwen3", words_tokenizer(["w0", "w1"]))
    moves = write_talk(lm, [["w0"]])[0]
    with pytest.raises(ValueError, match="qwen3: cannot learn, it was opened without an optimizer"):
        lm.learn(Lesson(moves, [1.0], [1.0]), Objective())


def test_a_kl_term_without_a_reference_is_refused():
    lm = tiny_lm("qwen3", words_tokenizer(["w0", "w1"]))
    moves = write_talk(lm, [["w0"]])[0]
    lm.optimizer = object()
    with pytest.raises(ValueError, match="qwen3: a KL term needs a reference"):
        lm.learn(Lesson(moves, [1.0], [1.0]), Objective(kl=0.1))
