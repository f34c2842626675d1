"""`collm serve`: an environment behind a port, for clients that know no Python of ours.

`collm serve vllm MODEL` is another kind of server: it writes a training run's texts (cli/serve_vllm.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from baselines.cli.terminal import flags
from baselines.train.keywords import read_object
from collm_envs.adapters.framework import load_framework


@dataclass
class Serve:
    """Serve an environment by OpenEnv's protocol until interrupted.

    `collm serve vllm MODEL --adapters N` starts a vLLM server for training (`collm serve vllm --help`).
    """

    protocol: Annotated[Literal["openenv"], tyro.conf.Positional]
    env: Annotated[str, tyro.conf.Positional]
    """id of the environment, see `collm envs`"""
    port: int = 8000
    host: str = "127.0.0.1"
    """0.0.0.0 lets other machines in"""
    seat: str = "agent_0"
    """the agent that clients play, or all: a step then takes the texts of every agent"""
    partners: str = "expert"
    """who plays the other agents, e.g. noisy, replay:FILE, openai:URL#MODEL"""
    env_kwargs: str = "{}"
    """keywords of the environment, as JSON"""


def main(args: Sequence[str]) -> int:
    """Serve until interrupted."""
    if args and args[0] == "vllm":
        from baselines.cli import serve_vllm

        serve_vllm.main(args[1:])
        return 0
    asked = flags(Serve, args, "collm serve")
    kwargs = read_object("--env-kwargs", asked.env_kwargs)
    from collm_envs.adapters.openenv import app

    application = app(asked.env, seat=asked.seat, partners=asked.partners, **kwargs)
    print(f"{asked.env} ({asked.seat}) at http://{asked.host}:{asked.port}; interrupt to stop", flush=True)
    load_framework("uvicorn", "0.20").run(application, host=asked.host, port=asked.port, log_level="warning")
    return 0
