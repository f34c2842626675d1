"""What an adapter adds to a step of StrBuild, for every adapter whose library is there."""

import importlib.util
import socket
import statistics
import threading
import time

import pytest

import collm_envs
from collm_envs.adapters.gymnasium import SeatEnv

pytestmark = [pytest.mark.bench, pytest.mark.filterwarnings("ignore")]
TEXT = "\n".join(f"/setblock {k} {k % 5} 0 stone" for k in range(5))
EPISODES, TURNS = 100, 4


def microseconds(play):
    """Of wall time a step of four-turn episodes: `play(seed)` plays one; the median of five rounds."""
    found = []
    for _ in range(5):
        begin = time.perf_counter()
        for seed in range(EPISODES):
            play(seed)
        found.append((time.perf_counter() - begin) / EPISODES / TURNS * 1e6)
    return statistics.median(found)


def directly():
    env = collm_envs.make("StrBuild-v0")

    def play(seed):
        env.reset(seed=seed)
        while env.agents:
            env.step({"agent_0": TEXT, "agent_1": TEXT})

    return play


def by_gymnasium():
    env = SeatEnv("StrBuild-v0", partners=lambda observation: TEXT)

    def play(seed):
        env.reset(seed=seed)
        over = False
        while not over:
            _, _, terminated, truncated, _ = env.step(TEXT)
            over = terminated or truncated

    return play


def by_trl():
    from collm_envs.adapters.trl import environment_factory

    seat = environment_factory("StrBuild-v0", partners=lambda observation: TEXT)()

    def play(seed):
        seat.reset(seed=seed)
        for _ in range(TURNS):
            seat.write(TEXT)

    return play


def by_comlrl():
    from collm_envs.adapters.comlrl import plug

    plugged = plug("StrBuild-v0", self_contained=False)
    row = plugged.train_dataset[0]

    def play(seed):
        for formatter in plugged.formatters:
            formatter({**row, "seed": seed})
        history = [[], []]
        for _ in range(TURNS):
            plugged.reward_func([TEXT], [TEXT], batch_items=[row])
            history = [[*texts, TEXT] for texts in history]
            plugged.external_transition("", [TEXT, TEXT], 2, response_history_per_agent=history)

    return play


def by_torchrl():
    from collm_envs.adapters.torchrl import env

    environment = env("StrBuild-v0")

    def play(seed):
        step = environment.reset(seed=seed)
        for _ in range(TURNS):
            for agent in ("agent_0", "agent_1"):
                step.set_non_tensor((agent, "action"), TEXT)
            step = environment.step(step)["next"]

    return play


def by_ray():
    from collm_envs.adapters.rllib import make_env

    env = make_env("StrBuild-v0")

    def play(seed):
        env.reset(seed=seed)
        while env.agents:
            env.step({"agent_0": TEXT, "agent_1": TEXT})

    return play


def by_openenv():
    import uvicorn
    from openenv.core.generic_client import GenericEnvClient

    from collm_envs.adapters.openenv import app

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    application = app("StrBuild-v0", partners=lambda observation: TEXT)
    server = uvicorn.Server(uvicorn.Config(application, port=port, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    client = GenericEnvClient(base_url=f"http://127.0.0.1:{port}").sync()
    client.connect()

    def play(seed):
        result = client.reset(seed=seed)
        while not result.done:
            result = client.step({"text": TEXT})

    return play


@pytest.mark.parametrize(
    ("package", "adapted"),
    [
        ("gymnasium", by_gymnasium),
        ("trl", by_trl),
        ("comlrl", by_comlrl),
        ("torchrl", by_torchrl),
        ("ray", by_ray),
        ("openenv", by_openenv),
    ],
)
def test_the_overhead_of_an_adapter_a_step(package, adapted, capsys):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    alone, with_adapter = microseconds(directly()), microseconds(adapted())
    with capsys.disabled():
        print(f"\n{package}: {with_adapter - alone:+.0f} us a step; {alone:.0f} us without it")
