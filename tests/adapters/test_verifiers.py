"""An evaluation by verifiers against an endpoint is the one that our own evaluation plays there."""

import asyncio
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from direct_play import write
from folders import ROOT
from frameworks import need

need("verifiers", "0.4")

from streaming_stub import serve
from verifiers.v1.clients import EvalClientConfig, ModelContext
from verifiers.v1.utils.loaders import environment_class, load_environment, resolve_env_config, taskset_class

import collm_envs
from collm_envs.adapters.verifiers import environment, taskset
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies import seat_all

pytestmark = pytest.mark.filterwarnings("ignore")
EPISODES = int(os.environ.get("COLLM_VERIFIERS_EPISODES", "2"))
WORDS = {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 60, "max_turns": 2}


def text_of(message):
    """The text of a message as it went over the wire, in one part or several."""
    content = message["content"] if isinstance(message, dict) else message.content
    if isinstance(content, str):
        return content
    return "".join(part["text"] if isinstance(part, dict) else part.text for part in content)


def answer(messages):
    return write("the model", text_of(messages[-1]))


@pytest.fixture
def package(monkeypatch):
    """An installed taskset package of the environment, by name."""
    return install(monkeypatch, WORDS)


def install(monkeypatch, kwargs):
    module = types.ModuleType("collm_words_v1")
    module.Words, module.Tasks = environment("StrBuild-v0", **kwargs), taskset("StrBuild-v0", **kwargs)
    module.__all__ = ["Tasks", "Words"]
    module.__spec__ = types.SimpleNamespace(name=module.__name__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


def play(name, url, n):
    """The episodes of the first n tasks, all at once."""
    env = load_environment(resolve_env_config({"taskset": {"id": name}}))
    model = ModelContext(model="m", client=EvalClientConfig(base_url=url, api_key_var="COLLM_STUB_KEY"))

    async def run():
        async with env.serving():
            tasks = list(env.taskset)[:n]
            return await asyncio.gather(*(env.run_episode(task, model) for task in tasks))

    return asyncio.run(run())


@pytest.mark.parametrize(("order", "n"), [("simultaneous", EPISODES), ("sequential", 1)])
def test_every_seat_of_every_episode_reads_writes_and_earns_what_our_own_evaluation_records(
    order, n, monkeypatch
):
    kwargs = {**WORDS, "order": order}
    package = install(monkeypatch, kwargs)
    monkeypatch.setenv("COLLM_STUB_KEY", "none")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    env = collm_envs.make("StrBuild-v0", **kwargs)
    with serve(answer) as url:
        episodes = play(package, url, n)
        policies = seat_all(env.task, f"openai:{url}#m", {})
        records = evaluate(env, policies, jobs(env, episodes=n)).records
    by_item = {record.item: record for record in records}
    assert len(episodes) == len(by_item) == n
    for episode in episodes:
        assert episode.ok, episode.errors
        record = by_item[episode.task.data.item]
        assert record.seed == episode.task.data.seed
        earned = sum(turn["reward"] for turn in record.turns)
        assert {trace.agent.name for trace in episode.traces} == set(env.possible_agents)
        for trace in episode.traces:
            agent = trace.agent.name
            assert trace.reward == pytest.approx(earned)
            assert trace.metrics["iou"] == pytest.approx(record.turns[-1]["metrics"]["iou"])
            assert [text_of(message) for message in trace.messages] == [
                text
                for turn in record.turns
                for text in (turn["prompts"][agent], turn["texts"][agent])
                if turn["prompts"][agent]
            ]


def test_a_seat_without_a_text_fails_the_episode_with_the_reason(package, monkeypatch):
    monkeypatch.setenv("COLLM_STUB_KEY", "none")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (episode,) = play(package, "http://127.0.0.1:9/v1", 1)
    assert not episode.ok
    assert "no text from agent_0 at turn 1: " in episode.errors[0].message


def test_the_example_package_exports_what_verifiers_looks_for(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples/strbuild_verifiers"))
    assert taskset_class("strbuild_verifiers").__name__ == "CollmTaskset"
    config = resolve_env_config({"taskset": {"id": "strbuild_verifiers"}})
    assert environment_class("strbuild_verifiers").__name__ == "CollmEnv"
    assert config.max_concurrent_agents is None
    assert config.agent_1.harness.id == "null"


def test_a_wrong_keyword_or_split_is_found_at_once():
    for function in (environment, taskset):
        with pytest.raises(TypeError, match="no keyword 'wordz'"):
            function("StrBuild-v0", wordz=1)
    with pytest.raises(ValueError, match="split must be 'train' or 'eval', got 'tests'"):
        taskset("StrBuild-v0", split="tests")


def test_the_command_evaluates_the_example_package(monkeypatch, tmp_path):
    """`vf-eval` as docs/use-with.md has it, with fewer tasks; every trace has the return of its episode."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "examples/strbuild_verifiers")])
    bin = Path(sys.executable).parent
    settings = {
        "COLLM_STUB_KEY": "none",
        "PYTHONPATH": path,
        "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
    }
    with serve(answer) as url:
        command = f"strbuild_verifiers -n 1 -m m --no-push --output-dir {tmp_path} --client.base-url {url}"
        done = subprocess.run(
            [bin / "vf-eval", *command.split(), "--client.api-key-var", "COLLM_STUB_KEY"],
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        env = collm_envs.make("StrBuild-v0")
        (record,) = evaluate(env, seat_all(env.task, f"openai:{url}#m", {}), jobs(env, episodes=1)).records
    (file,) = tmp_path.rglob("traces.jsonl")
    (episode,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert episode["ok"]
    earned = pytest.approx(sum(turn["reward"] for turn in record.turns))
    assert [trace["rewards"]["return"]["score"] for trace in episode["traces"]] == [earned, earned]
