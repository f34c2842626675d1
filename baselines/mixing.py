"""Value decomposition: recurrent agents and one mixer of their values.  VDN, QMIX, QLLM, learned weights.

    VDN      Q_tot = sum_i Q_i(h_i, a_i)                  Sunehag et al. 2017, arXiv:1706.05296
    QMIX     Q_tot = f_s(Q_1, ..., Q_N), df/dQ_i >= 0     Rashid et al. 2018, arXiv:1803.11485
    QLLM     Q_tot = N sum_i w_i(s) Q_i + b(s)            2025, arXiv:2504.12961; w, b: a pinned function
    learned  the same, w and b learned from the state     after Qatten, arXiv:2002.03939

    y_t = r_t + gamma (1 - d_t) [(1 - lambda) V_{t+1} + lambda y_{t+1}]       lambda = 0: one step
    V_t = Q'_tot(s_t, argmax_a Q_i)           double Q: the agents choose, the targets ' value
    L   = mean over turns played of (Q_tot(s_t, a_t) - y_t)^2

One network serves all agents (own observation, own last action, own number -> GRU -> Q) and is all that
is executed; mixer and state are training only.  Every mixer trains with the same agents' initial weights,
the same settings and as many turns and steps: only the field `mixer` differs.

Where we differ, for every mixer: an episode cut by the time limit is bootstrapped from its last state;
targets follow by Polyak averaging; lambda > 0 is not corrected for off-policy actions; rewards are
standardised (EPyMARL's `standardise_rewards`, without the padding of short episodes) unless `reward_scale` is
set, so Q_tot is in standard deviations of the reward.  For QLLM: its published code runs a model's function
inside the trainer, allows weights near 0, and gives its baselines other settings; here a person has reviewed
the function (credit/pinned.py), and a weight that is negative, not finite or below the floor is refused.  The
factor N is as in the published code.  Where agents observe the whole state, QLLM represents the same Q_tot as
VDN, and its weights change only how fast each agent learns; with uniform weights it equals VDN bit for bit.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines import games as ready_games
from baselines.credit.pinned import Refused
from baselines.formulas.moments import Moments, merged, standardised
from baselines.games.agents import RecurrentQ, play_games
from baselines.games.game import Game, Layout
from baselines.games.memory import Episode, EpisodeBatch, Experience
from baselines.games.mixers import QLLM, make_mixer
from baselines.lm import threads
from baselines.runs.folder import going_on
from collm_envs.files import drafted

AGENTS = "agents.pt"
"""file in a run's folder with what is executed: the weights of `baselines.games.agents.RecurrentQ`"""
EVAL_SEED = 12_345
"""evaluations of all runs play the same episodes"""


@dataclass(frozen=True)
class Config:
    """Settings, one set for all mixers."""

    game: str = "two-step"
    """a table, Foraging-8x8-2p-2f-coop-v3, simple-spread, StrBuild-v0, or module:factory"""
    at_once: int = 16
    """games played side by side"""
    mixer: str = "vdn"
    """vdn, qmix, learned, or qllm:NAME with a function of baselines/credit/functions or a path to a pinned
    file; controls of qllm are fixed (random weights) and shifted:NAME (each agent has its neighbour's)"""
    steps: int = 2000
    """optimizer steps"""
    updates: int = 1
    """optimizer steps after each round of one episode in every environment"""
    batch: int = 32
    """episodes in an optimizer step"""
    capacity: int = 5000
    """episodes that are remembered"""
    lr: float = 5e-4
    """learning rate of Adam"""
    gamma: float = 0.99
    """discount between turns"""
    td_lambda: float = 0.0
    """0: one-step targets; 1: Monte Carlo"""
    reward_scale: float | None = None
    """rewards are multiplied by this in the loss, and nowhere else; None: standardised there, by the mean
    and deviation of the rewards of all batches so far, as EPyMARL does"""
    tau: float = 0.01
    """share of the online weights that flows into the targets at each step"""
    epsilon_start: float = 1.0
    """share of random actions in the first turn; 1 for both is uniform data"""
    epsilon_end: float = 0.05
    """share of random actions once `epsilon_turns` turns have been played"""
    epsilon_turns: int = 50_000
    """turns over which epsilon falls in a straight line"""
    max_grad_norm: float = 10.0
    """the gradient of all weights together is cut to this length"""
    hidden: int = 64
    """width of the agents' network"""
    seed: int = 0
    """fixes initial weights, episodes, exploration and replay"""
    out: str = ""
    """folder of the run; empty: runs/mixing-<game>-<mixer>-seed<seed>"""
    eval_every: int = 100
    """steps between evaluations; 0 evaluates at the start and the end alone"""
    eval_episodes: int = 64
    """greedy episodes of an evaluation, the same ones every time"""
    save_every: int = 500
    """steps between checkpoints, the remembered episodes included; 0 saves at the end alone"""
    keep: int = 1
    """checkpoints to keep"""
    tensorboard: bool = False
    """also write TensorBoard files"""
    wandb: str = ""
    """also log to this Weights & Biases project"""

    def __post_init__(self) -> None:
        for name in ("gamma", "td_lambda", "tau", "epsilon_start", "epsilon_end"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)}")
        for name in ("lr", "max_grad_norm", "tau"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if self.reward_scale is not None and self.reward_scale <= 0:
            raise ValueError(f"reward_scale must be above 0, or left out, got {self.reward_scale}")
        if not 1 <= self.batch <= self.capacity:
            raise ValueError(f"batch must be 1 to capacity = {self.capacity}, got {self.batch}")
        at_least_one = ("steps", "updates", "epsilon_turns", "at_once", "eval_episodes", "keep", "hidden")
        for name in (*at_least_one, "eval_every", "save_every"):
            if getattr(self, name) < (name in at_least_one):
                raise ValueError(
                    f"{name} must be at least {int(name in at_least_one)}, got {getattr(self, name)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values."""
        return asdict(self)


class Learner:
    """Everything that training changes.  `agents` is what is executed; the rest is training only."""

    def __init__(self, config: Config, layout: Layout):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.agents = RecurrentQ(layout, config.hidden)  # first: the same for every mixer
            self.mixer = make_mixer(config.mixer, layout)
        self.target_agents, self.target_mixer = copy.deepcopy(self.agents), copy.deepcopy(self.mixer)
        self.weights = [*self.agents.parameters(), *self.mixer.parameters()]
        self.optimizer = torch.optim.Adam(self.weights, config.lr)
        self.replay = Experience(config.capacity)
        self.rewards = Moments()
        self.rng = np.random.default_rng(config.seed)
        self.step = self.turns = 0

    def state_dict(self) -> dict[str, Any]:
        """All of it, for `torch.save`; after `load_state_dict` training goes on bit for bit."""
        return {
            **{name: part.state_dict() for name, part in self._parts().items()},
            "episodes": [tuple(map(torch.from_numpy, episode)) for episode in self.replay.episodes],
            "function": self._function(),
            "rewards": tuple(self.rewards),
            "counts": {"added": self.replay.added, "steps": self.step, "turns": self.turns},
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned under the same config.

        Raises Refused where the mixer's pinned function is not the one that the state was trained with.
        """
        began, now = state.get("function", ""), self._function()
        if began != now:
            raise Refused(
                f"the run began with a function of sha256 {began[:12] or 'unknown'} and {now[:12] or 'none'} "
                "is there now; bring the first one back, or begin a new run"
            )
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.replay.episodes = [Episode(*(x.numpy() for x in episode)) for episode in state["episodes"]]
        self.replay.added = state["counts"]["added"]
        self.rewards = Moments(*state.get("rewards", ()))  # runs of before had none
        self.step, self.turns = state["counts"]["steps"], state["counts"]["turns"]
        self.rng.bit_generator.state = state["rng"]

    def _function(self) -> str:
        """The hash of the mixer's pinned function; "" without one."""
        return self.mixer.function.sha256 if isinstance(self.mixer, QLLM) else ""

    def _parts(self) -> dict[str, Any]:
        names = ("agents", "mixer", "target_agents", "target_mixer", "optimizer")
        return {name: self.__dict__[name] for name in names}


def label(config: Config) -> str:
    """The game and the mixer: part of the name of a run's folder."""
    return f"{config.game}-{config.mixer}"


def subject(config: Config) -> list[Game]:
    """The games that are played side by side.  Raises KeyError for an unknown one."""
    return [ready_games.make(config.game) for _ in range(config.at_once)]


def team(config: Config, games: Sequence[Game]) -> Learner:
    """A fresh learner.  Raises ValueError for an unknown mixer, `Refused` for a pinned function that does not
    fit the game."""
    learner = Learner(config, games[0].layout)
    threads.fit(learner.agents)
    return learner


def train(config: Config, games: Sequence[Game], learner: Learner) -> Iterator[dict[str, float]]:
    """Train `learner` until it has made `config.steps` steps; metrics after every optimizer step.

    Each round plays one episode in every game, side by side, then makes `config.updates` steps.
    Raises FloatingPointError for a gradient that is not finite, `Refused` for weights that must not be used.
    """
    while learner.step < config.steps:
        if learner.step % config.updates == 0:
            gather(config, games, learner)
        batch = learner.replay.sample(config.batch, learner.rng)
        if config.reward_scale is None:
            learner.rewards = merged(learner.rewards, batch.rewards[batch.mask > 0])
        loss, metrics = td_loss(config, learner, batch)
        learner.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(learner.weights, config.max_grad_norm)
        if not torch.isfinite(norm):  # as it is where the loss is not
            where = f"{config.mixer}, step {learner.step}"
            raise FloatingPointError(f"{where}: the loss is {loss.item()}, its gradient's norm {norm.item()}")
        learner.optimizer.step()
        with torch.no_grad():
            follow(learner.target_agents, learner.agents, config.tau)
            follow(learner.target_mixer, learner.mixer, config.tau)
        learner.step += 1
        yield {
            **metrics,
            "loss": loss.item(),
            "grad_norm": norm.item(),
            "epsilon": epsilon(config, learner.turns),
            "turns": learner.turns,
            "return": recent_return(learner.replay, len(games)),
        }


def gather(config: Config, games: Sequence[Game], learner: Learner) -> None:
    """Play one round into the replay memory, and more rounds while it holds less than a batch."""
    while True:
        for episode in play_games(games, learner.agents, epsilon(config, learner.turns), learner.rng):
            learner.replay.add(episode)
            learner.turns += len(episode.rewards)
        if len(learner.replay.episodes) >= config.batch:
            return


def td_loss(config: Config, learner: Learner, batch: EpisodeBatch) -> tuple[Tensor, dict[str, float]]:
    """L as above, and the means of Q_tot and y over the turns played, in the units of the scaled rewards."""
    start = torch.full_like(batch.actions[:, :1], -1)
    last = torch.cat([start, batch.actions], 1)
    q, _ = learner.agents(batch.obs, last)
    chosen = q[:, :-1].gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
    q_tot = learner.mixer(chosen, batch.state[:, :-1])
    with torch.no_grad():
        q_target, _ = learner.target_agents(batch.obs, last)
        best = learner.agents.greedy(q)
        values = learner.target_mixer(q_target.gather(-1, best.unsqueeze(-1)).squeeze(-1), batch.state)
        rewards = scaled(config, learner, batch.rewards)
        y = td_targets(rewards, values, batch.terminated, batch.mask, config.gamma, config.td_lambda)
    n = batch.mask.sum()
    loss = ((q_tot - y).pow(2) * batch.mask).sum() / n
    means = {
        "q_tot": ((q_tot.detach() * batch.mask).sum() / n).item(),
        "target": ((y * batch.mask).sum() / n).item(),
    }
    return loss, means


def scaled(config: Config, learner: Learner, rewards: Tensor) -> Tensor:
    """Rewards as the loss has them: standardised, or multiplied by `reward_scale`."""
    if config.reward_scale is None:
        return standardised(rewards, learner.rewards)
    return config.reward_scale * rewards


def td_targets(
    rewards: Tensor, values: Tensor, terminated: Tensor, mask: Tensor, gamma: float, lambda_: float
) -> Tensor:
    """y_t = r_t + gamma (1 - d_t) [(1 - lambda) V_{t+1} + lambda y_{t+1}], y_H = V_H after the last turn.

    rewards, terminated, mask: (B, H); values: (B, H + 1).  -> (B, H); rows end where their mask does.
    """
    y, after = torch.zeros_like(rewards), values[:, -1]
    for t in reversed(range(rewards.shape[1])):
        ahead = (1 - lambda_) * values[:, t + 1] + lambda_ * after
        y[:, t] = rewards[:, t] + gamma * (1 - terminated[:, t]) * ahead
        after = torch.where(mask[:, t] > 0, y[:, t], values[:, t])  # padding: the last turn looks at V
    return y


def epsilon(config: Config, turns: int) -> float:
    """The share of random actions after so many turns."""
    done = min(1.0, turns / config.epsilon_turns)
    return config.epsilon_start + done * (config.epsilon_end - config.epsilon_start)


def follow(target: nn.Module, online: nn.Module, tau: float) -> None:
    """target <- (1 - tau) target + tau online."""
    for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
        slow.lerp_(fast, tau)


def recent_return(replay: Experience, count: int) -> float:
    """Mean undiscounted return of the last `count` episodes, exploration included."""
    newest = range(replay.added - min(count, len(replay.episodes)), replay.added)
    return float(np.mean([replay.episodes[k % replay.capacity].rewards.sum() for k in newest]))


def evaluate(agents: RecurrentQ, games: Sequence[Game], episodes: int, seed: int) -> list[float]:
    """Undiscounted returns of at least `episodes` greedy episodes, each agent by its own history alone."""
    rng, returns = np.random.default_rng(seed), []
    while len(returns) < episodes:
        returns += [float(e.rewards.sum()) for e in play_games(games, agents, 0.0, rng)]
    return returns


def measure(config: Config, games: Sequence[Game], learner: Learner) -> dict[str, float]:
    """The mean return of a run's greedy episodes, and the turns played so far."""
    returns = evaluate(learner.agents, games, config.eval_episodes, EVAL_SEED)
    return {"return": float(np.mean(returns)), "turns": float(learner.turns)}


def save(learner: Learner, out: Path) -> list[str]:
    """Write the agents' weights into a run's folder, whole or not at all; returns the file's name."""
    with going_on(out, "the trained agents"), drafted(out / AGENTS) as draft:
        torch.save(learner.agents.state_dict(), draft)
    return [AGENTS]
