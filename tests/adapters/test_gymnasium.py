"""A seat under Gymnasium's API plays the episode that the parallel environment plays."""

import gymnasium
import pytest
from direct_play import play_directly, write
from gymnasium.utils.env_checker import check_env

import collm_envs
from collm_envs.adapters.gymnasium import SeatEnv
from collm_envs.policies import Reply
from collm_envs.record import record
from collm_envs.replay import replay

IDS = ("StrBuild-v0", "HouseBuild-v0", "TLDR-v0", "ArXiv-v0")


def make_seat(id, **kwargs):
    return gymnasium.make(f"collm/{id}-seat", **kwargs)


def play(env, seat, seed, options=None):
    """[(prompt, text, reward, terminated, truncated)] of one episode."""
    observation, _ = env.reset(seed=seed, options=options)
    steps, over = [], False
    while not over:
        text = write(seat, observation)
        following, reward, terminated, truncated, _ = env.step(text)
        steps.append((observation, text, reward, terminated, truncated))
        observation, over = following, terminated or truncated
    return steps


def seen_by(seat, steps):
    return [(s.prompts[seat], s.texts[seat], s.reward, s.terminated, s.truncated) for s in steps]


@pytest.mark.filterwarnings("ignore:.*play_mode.*")
@pytest.mark.parametrize("id", IDS)
def test_gymnasiums_own_check_passes(id):
    check_env(make_seat(id, render_mode="ansi").unwrapped)


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("partner", ["expert", "noisy", "random"])
def test_the_episode_is_the_parallel_environments_with_those_partners(id, partner):
    for seat, other in (("agent_0", "agent_1"), ("agent_1", "agent_0")):
        env = make_seat(id, seat=seat, partners=partner)
        for seed in (0, 7):
            steps = play_directly(collm_envs.make(id), seed, {other: partner})
            assert play(env, seat, seed) == seen_by(seat, steps)


def test_an_item_of_a_split_can_be_chosen():
    env, direct = SeatEnv("StrBuild-v0"), collm_envs.make("StrBuild-v0")
    options = {"item": 1, "split": "eval"}
    steps = play_directly(direct, 1, {"agent_1": "expert"}, options)
    assert play(env, "agent_0", 1, options) == seen_by("agent_0", steps)
    assert env.parallel.item == direct.items("eval")[1]


def test_an_episode_cut_short_by_max_cycles_is_truncated_and_its_own_end_terminates():
    ends = [step[3:] for step in play(make_seat("StrBuild-v0", max_cycles=2), "agent_0", 0)]
    assert ends == [(False, False), (False, True)]
    assert play(make_seat("StrBuild-v0"), "agent_0", 0)[-1][3:] == (True, False)


@pytest.mark.parametrize("seat", ["agent_0", "agent_1"])
@pytest.mark.parametrize("turns", [1, 3])
def test_where_agents_take_turns_a_seat_is_asked_in_its_own_only(seat, turns):
    kwargs = {"order": "sequential", "max_turns": turns}
    other = {"agent_0": "agent_1", "agent_1": "agent_0"}[seat]
    steps = play_directly(collm_envs.make("StrBuild-v0", **kwargs), 5, {other: "noisy"})
    played = play(make_seat("StrBuild-v0", seat=seat, partners="noisy", **kwargs), seat, 5)
    assert [step[:2] for step in played] == [
        (s.prompts[seat], s.texts[seat]) for s in steps if s.prompts[seat]
    ]
    assert sum(step[2] for step in played) == pytest.approx(sum(step.reward for step in steps))
    assert [step[3:] for step in played] == [(False, False)] * (turns - 1) + [(True, False)]


def test_a_text_is_played_once_where_a_partner_fails_after_it():
    failures = ["an empty reply"]

    def partner(observation):
        return write("agent_1", observation) if not failures else failures.clear()

    kwargs = {"order": "sequential", "max_turns": 1}
    env = SeatEnv("StrBuild-v0", partners=partner, **kwargs)
    env.reset(seed=0)
    text = "/setblock 0 0 0 stone"
    with pytest.raises(TypeError, match="need a str or a Reply"):
        env.step(text)
    _, reward, terminated, *_ = env.step(text)
    assert [turn.texts["agent_0"] for turn in env.parallel.turns] == [text, ""]
    assert terminated
    assert reward == env.parallel.turns[-1].score.reward


def test_without_a_seed_the_generator_goes_on_as_in_the_parallel_environment():
    env, direct = SeatEnv("StrBuild-v0"), collm_envs.make("StrBuild-v0")
    prompts = [env.reset(seed=3)[0], env.reset()[0], env.reset()[0]]
    assert prompts == [direct.reset(seed=seed)[0]["agent_0"] for seed in (3, None, None)]


def test_partners_may_be_functions_policies_and_one_for_each_agent():
    class Echo:
        name = "echo"

        def act(self, seats):
            return [Reply(write(seat.agent, seat.history[-1])) for seat in seats]

    partners = {"agent_0": lambda observation: write("agent_0", observation), "agent_2": Echo()}
    env = SeatEnv("StrBuild-v0", "agent_1", partners, num_agents=3)
    steps = play_directly(collm_envs.make("StrBuild-v0", num_agents=3), 5)
    assert play(env, "agent_1", 5) == seen_by("agent_1", steps)
    assert replay(record(env.parallel)).status == "equal"


def test_a_team_of_one_has_no_partners():
    steps = play_directly(collm_envs.make("StrBuild-v0", num_agents=1), 2)
    assert play(SeatEnv("StrBuild-v0", num_agents=1), "agent_0", 2) == seen_by("agent_0", steps)


def test_ones_own_environment_gets_a_seat_too():
    collm_envs.register("Mine-v0", "collm_envs.building.strbuild.task:StrBuild")
    steps = play_directly(collm_envs.make("Mine-v0"), 2, {"agent_1": "expert"})
    assert play(make_seat("Mine-v0"), "agent_0", 2) == seen_by("agent_0", steps)


def test_vector_environments_hand_the_texts_through():
    vec = gymnasium.make_vec("collm/StrBuild-v0-seat", num_envs=2, vectorization_mode="sync")
    observations, _ = vec.reset(seed=[3, 4])
    direct = [collm_envs.make("StrBuild-v0").reset(seed=seed)[0]["agent_0"] for seed in (3, 4)]
    assert list(observations) == direct
    vec.close()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seat": "agent_7"}, ValueError, "no agent 'agent_7', there are"),
        ({"seat": "agent1"}, ValueError, "did you mean 'agent_1'"),
        ({"seat": None}, ValueError, "no agent None"),
        ({"partners": "expret"}, ValueError, "no player 'expret'; did you mean 'expert'"),
        ({"partners": "nothing:here"}, ValueError, "no policy 'nothing:here'"),
        ({"partners": {"agent_0": "expert"}}, ValueError, r"need a partner for each of \['agent_1'\]"),
        ({"partners": 7}, TypeError, "a partner is a policy, its description, or a function"),
        ({"partners": None}, TypeError, "got None"),
        ({"partners": Reply}, TypeError, "got <class"),
        ({"wordz": 3}, TypeError, "no keyword 'wordz'"),
    ],
)
def test_a_wrong_seat_partner_or_keyword_is_one_line(arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        SeatEnv("StrBuild-v0", **arguments)
    assert "\n" not in str(caught.value)


def test_an_environment_that_is_made_takes_no_keywords():
    env = collm_envs.make("StrBuild-v0")
    assert SeatEnv(env).parallel is env
    with pytest.raises(TypeError, match=r"is made already, got keywords for it: \['num_agents'\]"):
        SeatEnv(env, num_agents=3)
    with pytest.raises(TypeError, match="need an environment or its id, got int"):
        SeatEnv(3)


def test_a_step_that_cannot_be_played_leaves_the_episode_as_it_was():
    calls = []

    def partner(observation):
        calls.append(observation)
        if len(calls) == 1:
            return 7
        return write("agent_1", observation)

    env = SeatEnv("StrBuild-v0", partners=partner)
    with pytest.raises(RuntimeError, match="no episode is running"):
        env.step("")
    observation, _ = env.reset(seed=0)
    for bad in (None, b"/setblock", 3):
        with pytest.raises(TypeError, match="the action of agent_0 must be a str"):
            env.step(bad)
    assert calls == []
    with pytest.raises(TypeError, match="need a str or a Reply"):
        env.step("")
    _, reward, *_ = env.step(write("agent_0", observation))
    assert reward == play_directly(collm_envs.make("StrBuild-v0"), 0)[0].reward
