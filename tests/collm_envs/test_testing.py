"""check_env finds each of these faults and says which."""

import random
import secrets
from dataclasses import replace

import numpy as np
import pytest
from toy_task import BUILTIN, Adding, State

import collm_envs
from collm_envs import EnvSpec, Item, Rejected, Score, TextEnv
from collm_envs.testing import check_env


def test_a_sound_environment_passes_for_any_number_of_agents_and_turns():
    for kwargs in ({}, {"num_agents": 1}, {"num_agents": 5, "turns": 1}, {"self_contained": True}):
        check_env(lambda kwargs=kwargs: collm_envs.make("Adding-v0", **kwargs))


def test_the_check_itself_leaves_no_environment_it_was_not_given():
    with pytest.raises(AssertionError, match="must make a TextEnv, got dict"):
        check_env(dict)  # type: ignore[arg-type]


class NamedBadly(Adding):
    def __init__(self):
        super().__init__()
        self.agents = ("Alice", "Bob")


class WithoutExpert(Adding):
    def __init__(self):
        super().__init__()
        del self.players["expert"]


class TellsNumbers(TextEnv):
    def reset(self, seed=None, options=None):
        observations, infos = super().reset(seed, options)
        return dict.fromkeys(observations, 12345), infos


class WritesHalfPairs(Adding):
    def prompt(self, state, agent):
        return super().prompt(state, agent) + "\ud83d" * state.turn


class PaysNan(Adding):
    def score(self, state):
        return replace(super().score(state), reward=float("nan"))


class PaysTooMuch(Adding):
    def score(self, state):
        return replace(super().score(state), reward=1.5)


class PaysEachItsOwn(TextEnv):
    def step(self, actions):
        observations, rewards, *rest = super().step(actions)
        rewards["agent_0"] -= 0.5
        return observations, rewards, *rest


class MetricsOfNumpy(Adding):
    def score(self, state):
        return replace(super().score(state), metrics={"gap": np.float32(1)})


class RandomFromTheSecondTurn(Adding):
    def prompt(self, state, agent):
        return super().prompt(state, agent) + (secrets.token_hex(4) if state.turn == 2 else "")


class StartIgnoresItsSeed(Adding):
    def start(self, item, seed):
        return State(goal=10 + secrets.randbelow(1000))


class OneGeneratorForAll(Adding):
    rng = random.Random(0)

    def start(self, item, seed):
        self.rng.seed(seed)
        return super().start(item, seed)

    def play(self, state, texts):
        return replace(super().play(state, texts), goal=state.goal + self.rng.randrange(50))


class UsesTheGlobalGenerator(Adding):
    def start(self, item, seed):
        random.seed(seed)
        return State(goal=10 + random.randrange(5))


class UsesNumpysGlobalGenerator(Adding):
    def start(self, item, seed):
        np.random.seed(seed)
        return State(goal=10 + int(np.random.randint(5)))


class RemembersTheEpisodeBefore(Adding):
    played = 0

    def start(self, item, seed):
        return State(goal=super().start(item, seed).goal + self.played)

    def play(self, state, texts):
        if texts["agent_0"] == "":
            self.played += 1
        return super().play(state, texts)


class ResetsTheStream(TextEnv):
    made = 0

    def reset(self, seed=None, options=None):
        if seed is None:
            type(self).made += 1
            seed = self.made
        return super().reset(seed, options)


class CannotBePickled(Adding):
    def start(self, item, seed):
        return replace(super().start(item, seed), numbers={"agent_0": (n for n in range(3))})


class ForgetsInPickles(TextEnv):
    def __getstate__(self):
        return {**self.__dict__, "turns": ()}


class HandsOutOneDict(TextEnv):
    rewards: dict = {}  # noqa: RUF012

    def step(self, actions):
        observations, rewards, *rest = super().step(actions)
        self.rewards.update(rewards)
        return observations, self.rewards, *rest


class HandsOutOneInfo(TextEnv):
    def step(self, actions):
        *rest, infos = super().step(actions)
        self.kept = getattr(self, "kept", infos)
        return *rest, self.kept


class ChokesOnNothing(Adding):
    def play(self, state, texts):
        return replace(super().play(state, texts), goal=state.goal + len(texts["agent_0"].split()[0]) * 0)


class ChokesOnDigits(Adding):
    def play(self, state, texts):
        int("0" + texts["agent_1"].partition(" ")[0]) if texts["agent_1"].startswith("9") else 0
        return super().play(state, texts)


class TakesAnyAgents(TextEnv):
    def step(self, actions):
        return super().step({agent: str(actions.get(agent, "")) for agent in self.agents})


class NeverEnds(Adding):
    def done(self, state):
        return False


class EndsOneByOne(TextEnv):
    def step(self, actions):
        observations, rewards, terminations, *rest = super().step(actions)
        terminations["agent_0"] = True
        return observations, rewards, terminations, *rest


class EndsBothWays(TextEnv):
    def step(self, actions):
        observations, rewards, terminations, _truncations, infos = super().step(actions)
        return observations, rewards, terminations, dict(terminations), infos


class ChangesTheState(Adding):
    def play(self, state, texts):
        state.numbers["agent_0"] = (1,)  # type: ignore[index]
        return super().play(state, texts)


class AnswersDifferentlyTwice(Adding):
    asked = 0

    def prompt(self, state, agent):
        self.asked += state.turn
        return super().prompt(state, agent) + " " * (self.asked % 2)


class PlayerOfNumbers(Adding):
    def __init__(self):
        super().__init__()
        self.players["noisy"] = lambda task, state, agent, rng: 3


class TwoItemsOfOneName(Adding):
    def items(self, split):
        return [Item("one", row) for row in BUILTIN[split]]


class NoItemsToEvaluate(Adding):
    def items(self, split):
        return super().items(split) if split == "train" else []


class ItemsOfTheDay(Adding):
    def items(self, split):
        return [Item("x", {"goal": 5 + secrets.randbelow(10**6)})]


class ScoreOfTheMoment(Adding):
    def score(self, state):
        return Score(0.0, metrics={"gap": secrets.randbelow(10**6)})


class RejectedAsTuples(Adding):
    def score(self, state):
        return replace(super().score(state), rejected={"agent_0": [Rejected("x", {"why"})]})  # type: ignore


class ClosesOnce(TextEnv):
    def close(self):
        if self.snapshot == "closed":
            raise RuntimeError("closed already")
        self.snapshot = "closed"


FAULTS = [
    (NamedBadly, "agents are named like agent_0, got 'Alice'"),
    (WithoutExpert, "task.players lacks 'expert'"),
    (TellsNumbers, "observation of agent_0 must be a str, got 12345"),
    (WritesHalfPairs, "observation of agent_0 is not in its space"),
    (PaysNan, "reward nan is outside the stated"),
    (PaysTooMuch, r"reward 1.5 is outside the stated \(-1.0, 1.0\)"),
    (PaysEachItsOwn, "agents must share one reward"),
    (MetricsOfNumpy, "what it returned cannot be written as JSON: Object of type float32"),
    (RandomFromTheSecondTurn, "the same junk, '', gave two different episodes: first apart after turn 2"),
    (StartIgnoresItsSeed, "different content hashes"),
    (OneGeneratorForAll, "in one process disturb each other"),
    (UsesTheGlobalGenerator, "generator of random or numpy"),
    (UsesNumpysGlobalGenerator, "generator of random or numpy"),
    (RemembersTheEpisodeBefore, "seed 0 plays differently after another episode"),
    (ResetsTheStream, "must continue the same stream"),
    (CannotBePickled, "state must pickle: cannot pickle 'generator'"),
    (ForgetsInPickles, "after deepcopy in mid-episode"),
    (HandsOutOneDict, "rewards is a dict that was handed out before"),
    (HandsOutOneInfo, "infos is a dict that was handed out before"),
    (ChokesOnNothing, r"step raised IndexError.* for {'agent_0': ''"),
    (ChokesOnDigits, "step raised ValueError"),
    (TakesAnyAgents, "step must raise ValueError for a missing agent"),
    (NeverEnds, "does not end within"),
    (EndsOneByOne, "all agents must end alike"),
    (EndsBothWays, "terminated or truncated, not both"),
    (ChangesTheState, r"play\(\) changed the state"),
    (AnswersDifferentlyTwice, r"prompt\(\) is not a pure function"),
    (PlayerOfNumbers, "player 'noisy' wrote 3, want a str"),
    (TwoItemsOfOneName, "two items with one id"),
    (NoItemsToEvaluate, "split 'eval' has no items"),
    (ItemsOfTheDay, "different content hashes"),
    (ScoreOfTheMoment, "gave two different episodes: first apart after turn 1"),
    (RejectedAsTuples, "cannot be written as JSON: Object of type set"),
    (ClosesOnce, "close.. must do no harm.*closed already"),
]


def test_an_environment_that_is_not_registered_is_told_so():
    with pytest.raises(AssertionError, match="'Broken-v0' is not registered"):
        check_env(lambda: TextEnv(Adding(), EnvSpec("Broken-v0", "x:y", {})))


@pytest.mark.parametrize(("broken", "message"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_each_fault_is_found_and_named(broken, message):
    def env_fn():
        spec = EnvSpec("Broken-v0", f"{__name__}:{broken.__name__}", {})
        if issubclass(broken, TextEnv):
            return broken(Adding(), spec)
        return TextEnv(broken(), spec)

    with pytest.raises(AssertionError, match=message):
        check_env(env_fn)
