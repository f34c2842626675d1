"""OpenEnv's clients play the episodes that the environment plays, many sessions at once and none mixed up."""

import contextlib
import gc
import socket
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from direct_play import play_directly, write
from frameworks import need

need("openenv", "0.10")

import uvicorn
from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from openenv.core.env_server.types import State
from openenv.core.generic_client import GenericEnvClient

import collm_envs
from collm_envs.adapters import openenv
from collm_envs.adapters.gymnasium import SeatEnv
from collm_envs.adapters.openenv import app, models

pytestmark = pytest.mark.filterwarnings("ignore")
Action, Observation = models()


class TypedClient(EnvClient[Action, Observation, State]):
    def _step_payload(self, action):
        return action.model_dump()

    def _parse_result(self, payload):
        observation = Observation(**payload["observation"])
        return StepResult(observation=observation, reward=payload.get("reward"), done=payload["done"])

    def _parse_state(self, payload):
        return State(**payload)


@contextmanager
def serving(application):
    """The URL of the application, served in a thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(application, port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def play(url, seed, seat="agent_0", halfway=None):
    """[(prompt, text, reward, done)] of one episode over a connection of its own.

    `halfway`: a barrier to wait at before the third turn.
    """
    with GenericEnvClient(base_url=url).sync() as client:
        result, steps = client.reset(seed=seed), []
        while not result.done:
            if halfway and len(steps) == 2:
                halfway.wait()
            prompt = result.observation["text"]
            text = write(seat, prompt)
            result = client.step({"text": text})
            steps.append((prompt, text, result.reward, result.done))
        return steps


def direct(seed, seat="agent_0", partner=("agent_1", "expert")):
    steps = play_directly(collm_envs.make("StrBuild-v0"), seed, dict([partner]))
    return [(s.prompts[seat], s.texts[seat], s.reward, s.terminated or s.truncated) for s in steps]


@pytest.fixture(scope="module")
def url():
    with serving(app("StrBuild-v0")) as served:
        yield served


def test_64_sessions_at_once_play_64_different_episodes(url):
    with ThreadPoolExecutor(64) as pool:
        played = list(pool.map(lambda seed: play(url, seed), range(64)))
    assert played == [direct(seed) for seed in range(64)]


def test_a_typed_client_gets_the_same(url):
    with TypedClient(base_url=url).sync() as client:
        result = client.reset(seed=5)
        for prompt, text, reward, done in direct(5):
            assert result.observation.text == prompt
            result = client.step(Action(text=text))
            assert (result.reward, result.done) == (reward, done)
        assert result.observation.metadata["terminated"] is True
        assert client.state().step_count == 4


def test_another_seat_with_other_partners():
    with serving(app("StrBuild-v0", seat="agent_1", partners="noisy")) as url:
        assert play(url, 3, "agent_1") == direct(3, "agent_1", ("agent_0", "noisy"))


def test_all_seats_together_take_the_texts_of_every_agent():
    with (
        serving(app("StrBuild-v0", seat="all", max_cycles=2)) as url,
        GenericEnvClient(base_url=url).sync() as client,
    ):
        result = client.reset(seed=2)
        for step in play_directly(collm_envs.make("StrBuild-v0", max_cycles=2), 2):
            assert result.observation["texts"] == step.prompts
            result = client.step({"texts": dict(step.texts)})
            assert (result.reward, result.done) == (step.reward, step.terminated or step.truncated)
        client.reset(seed=2)
        with pytest.raises(Exception, match=r"need one text for each of .*agent_1"):
            client.step({"texts": {"agent_0": "hello"}})


KILLED = """
import sys, time
from websockets.sync.client import connect
sessions = [connect(sys.argv[1]) for _ in range(20)]
for session in sessions:
    session.send('{"type": "reset", "data": {"seed": 0}}')
    session.recv()
for session in sessions:
    session.send('{"type": "step", "data": {"text": "/setblock 0 0 0 stone"}}')
print("playing", flush=True)
time.sleep(600)
"""
"""a client with 20 sessions, every one of which waits for an answer"""


def test_of_64_sessions_20_killed_ones_leave_nothing_and_the_others_play_on(monkeypatch):
    opened = weakref.WeakSet()

    class Watched(SeatEnv):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            opened.add(self)

    monkeypatch.setattr(openenv, "SeatEnv", Watched)
    with serving(app("StrBuild-v0")) as url:
        play(url, 0)  # the server's own threads are running now
        settle(lambda: not opened)
        threads = threading.active_count()
        client = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", KILLED, f"{url.replace('http', 'ws')}/ws"],
            stdout=subprocess.PIPE,
        )
        assert client.stdout.readline() == b"playing\n"
        with ThreadPoolExecutor(44) as pool:
            halfway = threading.Barrier(45)
            others = [pool.submit(play, url, seed, halfway=halfway) for seed in range(44)]
            halfway.wait()
            assert len(opened) == 64
            client.kill()
            client.wait()
            assert [other.result() for other in others] == [direct(seed) for seed in range(44)]
        settle(lambda: not opened and threading.active_count() <= threads)
        assert (len(opened), max(0, threading.active_count() - threads)) == (0, 0)


def settle(ready):
    """Wait until `ready()`, at most a minute: sessions end in threads of the server."""
    deadline = time.monotonic() + 60
    while not ready() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)


def test_a_step_without_an_episode_is_one_line_and_the_session_goes_on(url):
    with GenericEnvClient(base_url=url).sync() as client:
        with pytest.raises(RuntimeError, match="StrBuild-v0: no episode is running; call reset"):
            client.step({"text": "too early"})
        result = client.reset(seed=0)
        while not result.done:
            result = client.step({"text": ""})
        with pytest.raises(RuntimeError, match="StrBuild-v0: no episode is running; call reset"):
            client.step({"text": "too late"})
        with pytest.raises(RuntimeError, match="Invalid message"):
            client.step({"txt": "misspelt"})
        assert client.reset(seed=0).observation["text"] == direct(0)[0][0]


def test_a_step_of_a_closed_session_is_one_line(url):
    client = GenericEnvClient(base_url=url).sync()
    with client:
        client.reset(seed=0)
    with client, pytest.raises(RuntimeError, match="StrBuild-v0: no episode is running; call reset"):
        client.step({"text": "too late"})  # the client connects anew, to a session without an episode


def test_the_command_serves_the_same_episodes():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "baselines", "serve", "openenv", "StrBuild-v0", "--seat", "agent_1"]
    server = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline().startswith(f"StrBuild-v0 (agent_1) at http://127.0.0.1:{port}")
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.05)
        assert play(f"http://127.0.0.1:{port}", 3, "agent_1") == direct(3, "agent_1", ("agent_0", "expert"))
    finally:
        server.terminate()
        server.wait()


def test_a_wrong_seat_partner_or_keyword_is_found_before_serving():
    with pytest.raises(ValueError, match="no agent 'agent_9'"):
        app("StrBuild-v0", seat="agent_9")
    with pytest.raises(ValueError, match="no player 'exprt'"):
        app("StrBuild-v0", partners="exprt")
    with pytest.raises(TypeError, match="no keyword 'wordz'"):
        app("StrBuild-v0", wordz=1)
