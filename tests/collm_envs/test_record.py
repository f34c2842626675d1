"""Records: JSON there and back, exact replay, and every planted difference found."""

import gzip
import json
from copy import deepcopy
from dataclasses import asdict, replace
from random import Random

import pytest
from toy_task import Adding

import collm_envs
from collm_envs.record import Record, read, record, write
from collm_envs.replay import replay, scenes, states


def play(env, player, seed, **options):
    """A record of one episode by a scripted player."""
    env.reset(seed=seed, options=options)
    rng = Random(seed)
    while env.agents:
        script = env.task.players[player]
        env.step({agent: script(env.task, env.snapshot, agent, rng) for agent in env.agents})
    return record(env, dict.fromkeys(env.possible_agents, player))


def toy(seed=0, **kwargs):
    return play(collm_envs.make("Adding-v0", **kwargs), "noisy", seed)


def test_a_record_holds_the_whole_episode_in_the_published_shape():
    env = collm_envs.make("Adding-v0", max_cycles=3, num_agents=2)
    env.reset(seed=7, options={"item": "eval/1"})
    env.step({"agent_0": "3\nx", "agent_1": "4\ud800"})
    usage = [{"agent_0": {"tokens_read": 5}}]
    one = json.loads(
        record(env, {"agent_0": "a", "agent_1": "b"}, usage=usage, seconds=1.5, trial=2).to_json()
    )
    (turn,) = one.pop("turns")
    goal = 40 + Random(7).randrange(5)
    assert one == {
        "env": "Adding-v0",
        "version": one["version"],
        "content_hash": env.spec.content_hash,
        "kwargs": {"turns": 4, "num_agents": 2, "max_cycles": 3},
        "item": "eval/1",
        "split": "eval",
        "seed": 7,
        "agents": {"agent_0": "a", "agent_1": "b"},
        "terminated": False,
        "seconds": 1.5,
        "trial": 2,
        "module": "toy_task",
    }
    assert turn == {
        "prompts": turn["prompts"],
        "texts": {"agent_0": "3\nx", "agent_1": "4\ufffd"},
        "reward": 1 - (goal - 3) / goal,
        "parts": {"closeness": 1 - (goal - 3) / goal},
        "metrics": {"gap": goal - 3},
        "accepted": {"agent_0": ["3"], "agent_1": []},
        "rejected": {
            "agent_0": [{"line": "x", "why": "not a whole number"}],
            "agent_1": [{"line": "4\ufffd", "why": "not a whole number"}],
        },
        "verdicts": {},
        "edits": {"agent_0": [], "agent_1": ["1 lone surrogates replaced by U+FFFD"]},
        "usage": {"agent_0": {"tokens_read": 5}, "agent_1": {}},
    }
    assert f"Goal: {goal}." in turn["prompts"]["agent_0"]


def test_recording_before_an_episode_is_refused():
    with pytest.raises(RuntimeError, match="no episode to record yet"):
        record(collm_envs.make("Adding-v0"))


def test_an_episode_as_far_as_it_went_replays_too():
    env = collm_envs.make("Adding-v0")
    env.reset(seed=0)
    assert replay(record(env)).status == "equal"
    env.step({"agent_0": "1", "agent_1": "2"})
    assert replay(record(env)).status == "equal"


@pytest.mark.parametrize("name", ["some.jsonl", "some.jsonl.gz"])
def test_records_written_and_read_again_are_the_same(tmp_path, name):
    records = [toy(seed) for seed in range(20)]
    write(records, tmp_path / name)
    assert [asdict(one) for one in read(tmp_path / name)] == [asdict(one) for one in records]
    if name.endswith("gz"):
        assert gzip.decompress((tmp_path / name).read_bytes()).count(b"\n") == 20


def test_texts_of_every_kind_survive_the_file(tmp_path):
    env = collm_envs.make("Adding-v0")
    env.reset(seed=0)
    env.step({"agent_0": "\u2028\x85\x0c\r\n\x00", "agent_1": '\U0001f600"\\'})
    write([record(env)] * 2, tmp_path / "x.jsonl")
    for one in read(tmp_path / "x.jsonl"):
        assert one.turns[0]["texts"] == env.turns[0].texts


@pytest.mark.parametrize("id", ["Adding-v0", "StrBuild-v0"])
def test_500_recorded_episodes_replay_without_a_difference(id, tmp_path):
    env = collm_envs.make(id)
    players = ("random", "expert", "noisy")
    write(
        (play(env, players[k % 3], k, split=("train", "eval")[k % 2]) for k in range(500)), tmp_path / "r.gz"
    )
    results = [replay(one) for one in read(tmp_path / "r.gz")]
    assert len(results) == 500
    assert {str(result) for result in results} == {"equal"}


def with_turn(one, t, **changes):
    turns = deepcopy(list(one.turns))
    turns[t].update(changes)
    return replace(one, turns=turns)


WRONG = {"line": "a", "why": "b"}
TAMPERED = {
    "a reward": (lambda r: with_turn(r, 2, reward=r.turns[2]["reward"] + 1e-15), "turn 3, reward: recorded"),
    "a part": (
        lambda r: with_turn(r, 0, parts={"closeness": 0.123}),
        r"turn 1, parts\['closeness'\]: recorded 0.123",
    ),
    "a metric": (lambda r: with_turn(r, 1, metrics={"gap": 0.5}), r"turn 2, metrics\['gap'\]: recorded 0.5"),
    "a metric that is missing": (
        lambda r: with_turn(r, 1, metrics={}),
        r"turn 2, metrics\['gap'\]: recorded None",
    ),
    "a metric too many": (
        lambda r: with_turn(r, 1, metrics={**r.turns[1]["metrics"], "iou": 1.0}),
        r"turn 2, metrics\['iou'\]: recorded 1.0, recomputed None",
    ),
    "a prompt": (
        lambda r: with_turn(r, 3, prompts={**r.turns[3]["prompts"], "agent_1": "?"}),
        r"turn 4, agent_1, prompts: recorded '\?', recomputed 'Turn 4\.",
    ),
    "a text": (
        lambda r: with_turn(r, 1, texts={**r.turns[1]["texts"], "agent_0": "20"}),
        r"turn 2, reward: recorded",
    ),
    "a text too many": (
        lambda r: with_turn(r, 1, texts={**r.turns[1]["texts"], "agent_9": "20"}),
        "turn 2, agent_9, texts: recorded '20', recomputed None",
    ),
    "a text that is missing": (
        lambda r: with_turn(r, 1, texts={"agent_0": "1"}),
        r"turn 2, texts\['agent_1'\]: recorded None",
    ),
    "a text longer than any that was played": (
        lambda r: with_turn(r, 1, texts={**r.turns[1]["texts"], "agent_0": "1" * 70_000}),
        "turn 2, agent_0, texts",
    ),
    "an accepted line": (
        lambda r: with_turn(r, 0, accepted={**r.turns[0]["accepted"], "agent_1": ["8"]}),
        "turn 1, agent_1, accepted",
    ),
    "a rejected line": (
        lambda r: with_turn(
            r, 0, rejected={**r.turns[0]["rejected"], "agent_0": [{"line": "a", "why": "b"}]}
        ),
        "turn 1, agent_0, rejected",
    ),
    "the seed": (lambda r: replace(r, seed=r.seed + 2), "turn 1, agent_0, prompts"),
    "the item": (lambda r: replace(r, item="train/0"), "turn 1, agent_0, prompts"),
    "the first turn dropped": (lambda r: replace(r, turns=r.turns[1:]), "turn 1, agent_0, prompts"),
    "a middle turn dropped": (
        lambda r: replace(r, turns=[*r.turns[:1], *r.turns[2:]]),
        "turn 2, agent_0, prompts",
    ),
    "the last turn dropped": (
        lambda r: replace(r, turns=r.turns[:-1]),
        "turn 3, terminated: recorded True, recomputed False",
    ),
    "a turn too many": (lambda r: replace(r, turns=[*r.turns, r.turns[-1]]), "turn 5, turns: recorded 5"),
    "the end": (lambda r: replace(r, terminated=False), "turn 4, terminated: recorded False"),
    "the content hash": (lambda r: replace(r, content_hash="0" * 64), "content_hash: recorded '000"),
    "the keywords": (lambda r: replace(r, kwargs={"turns": 5}), "content_hash"),
    "the agents": (lambda r: replace(r, agents={"agent_0": "noisy"}), "agents: recorded"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_planted_difference_is_found_at_its_place(what):
    tamper, message = TAMPERED[what]
    one = toy(seed=11)
    assert len({turn["prompts"]["agent_0"] for turn in one.turns}) == 4
    assert replay(one).status == "equal"
    result = replay(Record.from_json(tamper(one).to_json()))
    assert result.status == "differs"
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(result))


@pytest.mark.parametrize("what", ["a reward", "a prompt", "the last turn dropped", "the content hash"])
def test_a_planted_difference_is_found_in_strbuild(what):
    one = play(collm_envs.make("StrBuild-v0"), "noisy", 3)
    assert replay(one).status == "equal"
    assert replay(TAMPERED[what][0](one)).status == "differs"


def test_turns_after_a_truncation_are_found():
    one = toy(max_cycles=2)
    assert replay(one).status == "equal"
    assert "turn 3, turns" in str(replay(replace(one, turns=[*one.turns, one.turns[-1]])))


class Timed(Adding):
    """A stand-in for a task that runs programs: its first test is too slow on a bad day."""

    bad_day = False

    def score(self, state):
        verdict = "timeout" if self.bad_day else "passed"
        plain = super().score(state)
        reward = plain.reward / 2 if self.bad_day else plain.reward
        return replace(plain, reward=reward, verdicts={"t1": verdict, "t2": "failed"})

    def prompt(self, state, agent):
        hint = f"t1: {self.score(state).verdicts['t1']}\n" if state.turn else ""
        return super().prompt(state, agent) + hint


def test_a_difference_confined_to_timed_out_tests_is_inconclusive(monkeypatch):
    if "Timed-v0" not in collm_envs.registry:
        collm_envs.register("Timed-v0", f"{__name__}:Timed")
    good = play(collm_envs.make("Timed-v0"), "noisy", 1)
    assert replay(good).status == "equal"
    other = with_turn(good, 0, verdicts={"t1": "passed", "t2": "passed"}, reward=0.5)
    assert str(replay(other)).startswith("differs: turn 1, verdicts['t2']")
    assert replay(with_turn(good, 0, reward=0.5)).status == "differs"
    monkeypatch.setattr(Timed, "bad_day", True)
    assert replay(good).status == "inconclusive"
    assert replay(good).turn == 1
    slow = play(collm_envs.make("Timed-v0"), "noisy", 1)
    monkeypatch.setattr(Timed, "bad_day", False)
    assert replay(slow).status == "inconclusive"


def test_what_an_inconclusive_episode_earns_only_the_replay_says(monkeypatch):
    if "Timed-v0" not in collm_envs.registry:
        collm_envs.register("Timed-v0", f"{__name__}:Timed")
    good = play(collm_envs.make("Timed-v0"), "noisy", 1)
    now = {turn: good.turns[turn]["reward"] for turn in range(4)}
    assert replay(good).turns == good.turns
    forged = with_turn(good, 1, verdicts={"t1": "timeout", "t2": "failed"}, reward=1e6)
    found = replay(forged)
    assert (found.status, found.turn, found.turns[1]["reward"]) == ("inconclusive", 2, now[1])
    assert "turn 4, reward: recorded 7" in str(replay(with_turn(forged, 3, reward=7.0)))
    assert "turn 4, texts['agent_1']" in str(replay(with_turn(forged, 3, texts={"agent_0": "1"})))
    assert "turn 5, turns" in str(replay(replace(forged, turns=[*forged.turns, forged.turns[-1]])))
    assert "terminated" in str(replay(replace(forged, turns=forged.turns[:-1])))
    for added in ({"t3": "timeout"}, {"t1": "timeout", "t3": "ok"}):
        more = with_turn(good, 1, verdicts={**good.turns[1]["verdicts"], **added}, reward=1e6)
        assert replay(more).status == "differs"
    fewer = with_turn(good, 1, verdicts={"t1": "timeout"}, reward=1e6)
    assert replay(fewer).status == "differs"


def test_states_and_scenes_are_the_start_and_one_after_each_turn():
    one = toy(seed=2)
    assert [state.turn for state in states(one)] == [0, 1, 2, 3, 4]
    goal = states(one)[0].goal
    assert scenes(one)[0].texts == {"sum": f"0 of {goal}"}
    assert len(scenes(one)) == 5


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.pop("seed"), "no field 'seed'"),
        (lambda d: d.update(seed="1"), "field 'seed' is malformed: '1'"),
        (lambda d: d.update(trial=0.5), "field 'trial' is malformed: 0.5"),
        (lambda d: d.update(extra=1), r"unknown fields \['extra'\]"),
        (lambda d: d.update(turns={}), "field 'turns' is malformed"),
        (lambda d: d["turns"][1].pop("texts"), "turn 2: no field 'texts'"),
        (lambda d: d["turns"][1]["texts"].update(agent_0=3), "turn 2: field 'texts' is malformed"),
        (lambda d: d["turns"][0].update(reward="1"), "turn 1: field 'reward' is malformed"),
        (lambda d: d["turns"][0].update(reward=True), "turn 1: field 'reward' is malformed"),
        (lambda d: d["turns"][0].update(reward=10**400), "turn 1: field 'reward' is malformed"),
        (lambda d: d["turns"][0]["metrics"].update(gap=float("nan")), "turn 1: field 'metrics' is malformed"),
        (lambda d: d.update(seconds=float("inf")), "field 'seconds' is malformed: inf"),
    ],
)
def test_a_malformed_record_is_refused_with_file_line_and_field(change, match, tmp_path):
    one = toy()
    data = json.loads(one.to_json())
    change(data)
    (tmp_path / "x.jsonl").write_text(one.to_json() + "\n\n" + json.dumps(data) + "\n")
    with pytest.raises(ValueError, match=rf"x\.jsonl:3: record: {match}"):
        list(read(tmp_path / "x.jsonl"))


def test_what_nests_without_end_is_refused():
    for field in ("kwargs", "usage"):
        data = json.loads(toy().to_json())
        inner = data["kwargs"] if field == "kwargs" else data["turns"][0]["usage"]["agent_0"]
        for _ in range(700):
            inner["a"] = {}
            inner = inner["a"]
        with pytest.raises(ValueError, match="record: nested more than 32 deep"):
            Record.from_json(json.dumps(data))


@pytest.mark.parametrize("line", ["{", "[]", "3", "null", "[" * 100_000, '{"env": NaN}'])
def test_a_line_that_is_no_record_is_refused(line):
    with pytest.raises(ValueError, match="record: "):
        Record.from_json(line)


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("collm_envs.record.MAX_LINE_CHARS", 1000)
    (tmp_path / "x.jsonl").write_text("x" * 5000)
    with pytest.raises(ValueError, match=r"x\.jsonl:1: longer than 1000 characters"):
        list(read(tmp_path / "x.jsonl"))


def test_a_number_that_is_not_finite_is_not_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        with_turn(toy(), 0, reward=float("nan")).to_json()
