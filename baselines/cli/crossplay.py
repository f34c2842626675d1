"""`collm crossplay TEAM...`: teams mixed seat by seat, self-play against cross-play.

A TEAM is the folder of a `collm train` run, whose agents play their own seats, or a policy that plays every
seat of its team: expert, openai:..., hf:..., py:... as for `collm eval`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from tyro.conf import Positional, arg

import collm_envs
from baselines.cli.progress import Progress
from baselines.cli.seating import kinds
from baselines.cli.terminal import Column, console, flags, note, show
from baselines.lm import threads
from baselines.runs.folder import CONFIG, stored_config
from baselines.train.keywords import read_object
from collm_envs import TextEnv
from collm_envs.evaluation import episodes as evaluation
from collm_envs.evaluation.crossplay import Seating, TeamResult, results, seatings, shares
from collm_envs.evaluation.measures import scores
from collm_envs.evaluation.stats import Pair, Summary
from collm_envs.files import saving, write_whole
from collm_envs.pages.crossplay import TEAM_COLUMNS, crossplay_page, csv_text, team_rows
from collm_envs.policies.seat import Policy
from collm_envs.policies.specs import seat_all

out = console()
OPTIONS = (
    *("temperature", "top_p", "top_k", "max_new_tokens"),
    *("history", "max_context", "overflow", "thinking", "bf16"),
)
"""settings of a run that its agents are played with"""


@dataclass
class Crossplay:
    """Mix teams seat by seat; write a matrix of returns, its picture and all records.

    Started again with the same --out it goes on where it was stopped.
    """

    teams: Annotated[Positional[tuple[str, ...]], arg(metavar="TEAM...")]
    """folders of collm train, or policies of every seat: expert, noisy, openai:..., hf:..., py:..."""
    env: str = ""
    """id of the environment, or package.module:Id; default: that of the first run"""
    env_kwargs: str = ""
    """keywords of the environment, as JSON; default: those of the first run"""
    episodes: int | None = None
    """pairs of item and episode seed, the same in every cell; default: every item once"""
    seeds: int = 1
    """how often each pair is played, with the policies' own sampling drawn anew"""
    split: str = "eval"
    """train or eval"""
    at_once: int = 64
    """episodes played side by side"""
    threads: int = 0
    """CPU threads of models; 0: one for models below 3 million parameters, which more make slower"""
    records: Path | None = None
    """folder for the records, a folder within for each seating; default: records, within --out"""
    out: Path = Path("runs/crossplay")
    """folder for index.html and matrix.csv"""


class NamedTeam(NamedTuple):
    """One that plays every seat."""

    name: str
    run: Path | None
    """of a trained team"""


def main(args: Sequence[str]) -> int:
    """Run the command line after `collm crossplay`; 1 where an episode has no score."""
    settings = flags(Crossplay, args, "collm crossplay")
    teams = named_teams(settings.teams)
    env = environment(settings, teams)
    threads.ask(settings.threads)
    seated = [policies(env, text, team) for text, team in zip(settings.teams, teams, strict=True)]
    todo = evaluation.jobs(env, split=settings.split, episodes=settings.episodes, seeds=settings.seeds)
    returns, failures = play(
        env, seated, todo, settings.records or settings.out / "records", settings.at_once
    )
    if failures:
        first = failures[0]
        note(out, f"{len(failures)} episodes have no score; the first: {first.agent}: {first.error}", "red")
    cells, by_team = results(returns, len(teams))
    names = [team.name for team in teams]
    settings.out.mkdir(parents=True, exist_ok=True)
    keywords = _shown("", env.spec.kwargs).strip()
    with saving(str(settings.out), "the episodes are kept; the same command writes it"):
        html = crossplay_page(env.spec.id, keywords, env.possible_agents, names, cells, by_team, len(todo))
        write_whole(settings.out / "index.html", html)
        write_whole(settings.out / "matrix.csv", csv_text(names, cells))
    _print(env, names, cells, by_team)
    note(out, f"matrix and picture: {settings.out / 'index.html'}", copied=True)
    return 1 if failures else 0


def named_teams(texts: Sequence[str]) -> list[NamedTeam]:
    """The teams, those of one name numbered.

    Raises ValueError for fewer than two, and for a folder without a run.
    """
    if len(texts) < 2:
        raise ValueError(
            f"crossplay mixes at least two teams, got {len(texts)}: {', '.join(texts) or 'none'}"
        )
    teams: list[NamedTeam] = []
    names: Counter[str] = Counter()
    for text in texts:
        path = Path(text)
        if path.is_dir() and not (path / CONFIG).exists():
            raise ValueError(f"{text}: need a folder of collm train, which holds a {CONFIG}")
        name = path.name if path.is_dir() else text
        names[name] += 1
        shown = f"{name} ({names[name]})" if names[name] > 1 else name
        teams.append(NamedTeam(shown, path if path.is_dir() else None))
    return teams


def environment(settings: Crossplay, teams: Sequence[NamedTeam]) -> TextEnv:
    """The environment of --env and --env-kwargs, or that all runs were trained on.

    Raises ValueError where there is neither, where runs differ, and for a single agent.
    """
    configs = {team.name: stored_config(team.run)[1] for team in teams if team.run}
    trained = {name: (config.get("env"), config.get("env_kwargs")) for name, config in configs.items()}
    if not settings.env and not trained:
        raise ValueError("--env must name the environment where no team is a folder of collm train")
    first = next(iter(trained), "")
    id = settings.env or trained[first][0]
    kwargs: dict[str, Any] = read_object("--env-kwargs", settings.env_kwargs or "{}")
    if not settings.env_kwargs and first and id == trained[first][0]:
        kwargs = dict(trained[first][1] or {})
        for name, facts in trained.items():
            if facts != trained[first]:
                raise ValueError(
                    f"{first} was trained on {_shown(*trained[first])} and {name} on {_shown(*facts)}: "
                    "--env and --env-kwargs must say what they are to play"
                )
    if not id:
        raise ValueError(f"{first} plays no environment: need runs of a text trainer")
    env = collm_envs.make(id, **kwargs)
    if len(env.possible_agents) < 2:
        raise ValueError(f"{_shown(id, kwargs)} has one agent, and nobody to mix it with")
    return env


def _shown(env: str | None, kwargs: Mapping[str, Any] | None) -> str:
    return " ".join([str(env), *(f"{name}={value!r}" for name, value in sorted((kwargs or {}).items()))])


def policies(env: TextEnv, text: str, team: NamedTeam) -> dict[str, Policy]:
    """{agent: policy} of a team.  Raises ValueError for an agent that the run has not saved."""
    if team.run is None:
        return seat_all(env.task, text, {}, kinds(env))
    _, config = stored_config(team.run)
    options = "&".join(
        f"{name}={str(config[name]).lower() if isinstance(config[name], bool) else config[name]}"
        for name in OPTIONS
        if name in config
    )
    named = {}
    for agent in env.possible_agents:
        if not (team.run / agent).is_dir():
            raise ValueError(
                f"{team.run} holds no {agent}: it has not ended, or was trained with fewer agents"
            )
        named[agent] = f"hf:{team.run / agent}?{options}"
    return seat_all(env.task, "", named, kinds(env))


def play(
    env: TextEnv,
    teams: Sequence[Mapping[str, Policy]],
    todo: Sequence[evaluation.Job],
    records: Path,
    at_once: int,
) -> tuple[dict[tuple[int, int], dict[Pair, float]], list[evaluation.Failure]]:
    """(returns by cell and pair, failures): every cell of the matrix played, and its records kept."""
    returns: dict[tuple[int, int], dict[Pair, float]] = {}
    failures: list[evaluation.Failure] = []
    agents, numbers = env.possible_agents, range(len(teams))
    with Progress(f"crossplay {env.spec.id}", len(teams) ** 2) as progress:
        for cell in ((i, j) for i in numbers for j in numbers):
            seats = seatings(*cell, len(agents))
            returns[cell] = {}
            for seating, part in zip(seats, shares(seats, len(todo)), strict=True):
                seated = {agent: teams[k][agent] for agent, k in zip(agents, seating, strict=True)}
                jobs = [todo[k] for k in part]
                done = evaluation.evaluate(env, seated, jobs, records / _folder(seating), at_once=at_once)
                failures += done.failures
                if done.records:
                    returns[cell] |= scores(done.records)["return"]
            progress.update(progress.done + 1)
    return returns, failures


def _folder(seating: Seating) -> str:
    """Numbers of the teams (from 1), seat by seat: 1-2."""
    return "-".join(str(team + 1) for team in seating)


def _print(
    env: TextEnv, names: Sequence[str], cells: Sequence[Sequence[Summary]], by_team: Sequence[TeamResult]
) -> None:
    note(out, f"{env.spec.id}: rows play {env.possible_agents[0]}, columns the others; mean return", "italic")
    head = (Column("team", align="left"), *(Column(str(k + 1)) for k in range(len(names))))
    rows = [
        [f"{k} {name}", *(f"{cell.mean:.3f}" for cell in row)]
        for k, (name, row) in enumerate(zip(names, cells, strict=True), 1)
    ]
    show(out, head, rows)
    show(
        out,
        [Column(TEAM_COLUMNS[0], align="left"), *map(Column, TEAM_COLUMNS[1:])],
        team_rows(names, by_team),
    )
