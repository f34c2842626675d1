"""The recipes of docs/use-with.md play in their libraries what the environment plays directly."""

import asyncio
import re
from types import SimpleNamespace

import pytest
from direct_play import play_directly, write
from folders import ROOT

import collm_envs

pytestmark = pytest.mark.filterwarnings("ignore")
PAGE = (ROOT / "docs/use-with.md").read_text(encoding="utf-8")
RECIPES = dict(
    re.findall(
        r"```python\n# needs (inspect_ai|skyrl_gym|textarena|tinker_cookbook|verl)\n(.*?)```", PAGE, re.S
    )
)
AGENTS = ("agent_0", "agent_1")


def recipe(package):
    """The names that the page's recipe for this package defines; skips the test without the package."""
    pytest.importorskip(package)
    names = {"__name__": f"recipe_{package}"}
    exec(compile(RECIPES[package], f"the recipe for {package}", "exec"), names)
    return SimpleNamespace(**names)


def direct(seed, partners=None):
    env = collm_envs.make("StrBuild-v0")
    return play_directly(env, seed, partners, {"item": env.items()[0].id})


def test_every_recipe_has_at_most_30_lines():
    assert len(RECIPES) == 5
    assert all(sum(map(bool, code.splitlines())) <= 30 for code in RECIPES.values())


def test_inspect_gives_every_sample_the_return_of_its_texts(tmp_path):
    names = recipe("inspect_ai")
    import inspect_ai
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    def answering(agent):
        def answer(messages, tools, tool_choice, config):
            output = ModelOutput.from_content("mock", write(agent, messages[-1].text))
            output.usage = ModelUsage()  # or Inspect counts tokens, by a file that it fetches
            return output

        return get_model("mockllm/model", custom_outputs=answer, memoize=False)

    roles = {agent: answering(agent) for agent in AGENTS}
    (log,) = inspect_ai.eval(
        names.task, model_roles=roles, model="mockllm/model", limit=3, display="none", log_dir=str(tmp_path)
    )
    env, returns = collm_envs.make("StrBuild-v0"), {}
    for seed, item in enumerate(env.items("eval")[:3]):
        returns[item.id] = sum(step.reward for step in play_directly(env, seed, None, {"item": item.id}))
    assert log.status == "success"
    assert {s.input: s.scores["team_return"].value for s in log.samples} == pytest.approx(returns)


def test_skyrl_gyms_environment_is_the_seat():
    names = recipe("skyrl_gym")
    import skyrl_gym

    skyrl_gym.register("StrBuild-v0", entry_point=names.Seat)
    item = collm_envs.make("StrBuild-v0").items()[0].id
    env = skyrl_gym.make("StrBuild-v0", env_config=None, extras={"seed": 3, "item": item})
    messages, _ = env.init([])
    for step in direct(3, {"agent_1": "expert"}):
        assert messages == [{"role": "user", "content": step.prompts["agent_0"]}]
        played = env.step(step.texts["agent_0"])
        messages = played["observations"]
        assert (played["reward"], played["done"]) == (step.reward, step.terminated)


def test_textarenas_players_play_the_team():
    names = recipe("textarena")
    env, steps, done = names.Team(), play_directly(collm_envs.make("StrBuild-v0"), 3), False
    env.reset(num_players=2, seed=3)
    for step in steps:
        for agent in AGENTS:
            assert not done
            assert env.get_observation() == (AGENTS.index(agent), step.prompts[agent])
            done, _ = env.step(step.texts[agent])
    assert done
    earned = sum(step.reward for step in steps)
    assert env.close()[0] == pytest.approx(dict.fromkeys(range(2), earned))


def test_tinkers_seats_play_one_episode_together():
    names = recipe("tinker_cookbook")
    steps = direct(3)

    async def play(seat):
        messages, rewards, done = await seat.initial_observation(), [], False
        while not done:
            text = write(seat.agent, messages[-1]["content"])
            result = await seat.step({"role": "assistant", "content": text})
            messages, done = result.next_messages, result.episode_done
            rewards.append(result.reward)
        return [message["content"] for message in messages[:-1]], rewards

    async def together():
        team = names.Team(3, collm_envs.make("StrBuild-v0").items()[0].id)
        return await asyncio.gather(*(play(seat) for seat in team.seats))

    for agent, (texts, rewards) in zip(AGENTS, asyncio.run(together()), strict=True):
        assert texts == [text for step in steps for text in (step.prompts[agent], step.texts[agent])]
        assert rewards == [step.reward for step in steps]


def test_verls_agent_loop_returns_an_output_for_every_agent_and_turn():
    names = recipe("verl")
    from baselines.lm.tiny.tokenizer import load_tokenizer

    tokenizer = load_tokenizer()
    env = collm_envs.make("StrBuild-v0", self_contained=True)
    item = env.items()[0].id
    steps = play_directly(env, 3, None, {"item": item})

    class Server:
        async def generate(self, request_id, *, prompt_ids, sampling_params):
            prompt = tokenizer.decode(prompt_ids)
            (text,) = {s.texts[a] for s in steps for a in AGENTS if prompt == f"<user>{s.prompts[a]}<agent>"}
            return SimpleNamespace(token_ids=tokenizer(text)["input_ids"], log_probs=None)

    async def run():
        settings = SimpleNamespace(
            actor_rollout_ref=SimpleNamespace(rollout=SimpleNamespace(prompt_length=4096))
        )
        loop = names.Team(
            SimpleNamespace(config=settings), Server(), tokenizer, None, None, SimpleNamespace(config={})
        )
        return await loop.run({}, seed=3, item=item)

    outputs = asyncio.run(run())
    earned = sum(step.reward for step in steps)
    assert len(outputs) == 2 * len(steps)
    assert outputs[-1].reward_score == pytest.approx(earned)
    texts = [step.texts[agent] for step in steps for agent in AGENTS]
    assert [tokenizer.decode(output.response_ids) for output in outputs] == texts
