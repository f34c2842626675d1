"""Who sits at the seats: what they may know, how they are named, what they write."""

import builtins
import io
from random import Random

import pytest

import collm_envs
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies.local import Human, Scripted
from collm_envs.policies.seat import Reply, Seat, seat_seed
from collm_envs.policies.specs import KINDS, parse, seat_all
from collm_envs.record import write


def test_a_scripted_player_writes_what_the_task_says_by_the_seed_of_the_seat():
    env = collm_envs.make("toy_task:Adding-v0")
    env.reset(seed=0)
    chairs = [Seat("agent_0", env.history("agent_0"), k, env.task, env.snapshot) for k in range(20)]
    texts = [reply.text for reply in Scripted("random").act(chairs)]
    assert texts == [str(Random(k).randrange(21)) for k in range(20)]
    assert [reply.text for reply in parse("random").act(chairs)] == texts


def test_the_seed_of_a_reply_depends_on_all_that_tells_it_from_others():
    base = ("item", 1, 0, "agent_0", 0)
    others = [("item2", 1, 0, "agent_0", 0), ("item", 2, 0, "agent_0", 0), ("item", 1, 1, "agent_0", 0)]
    others += [("item", 1, 0, "agent_1", 0), ("item", 1, 0, "agent_0", 1)]
    seeds = {seat_seed(*some) for some in [base, *others]}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seat_seed(*base) == seat_seed(*base)


def test_agents_of_one_description_share_one_policy_and_the_others_have_their_own():
    task = collm_envs.make_task("toy_task:Adding-v0", num_agents=3)
    policies = seat_all(task, "noisy", {"agent_1": "expert"})
    assert [policies[agent].name for agent in task.agents] == ["noisy", "expert", "noisy"]
    assert policies["agent_0"] is policies["agent_2"]


def test_agents_and_players_that_do_not_exist_are_refused_before_anything_is_played():
    task = collm_envs.make_task("toy_task:Adding-v0")
    with pytest.raises(ValueError, match=r"no agents \['agent_2'\]; the task has \['agent_0', 'agent_1'\]"):
        seat_all(task, "noisy", {"agent_2": "expert"})
    with pytest.raises(ValueError, match="the task has no player 'exprt'; did you mean 'expert'"):
        seat_all(task, "exprt", {})


@pytest.mark.parametrize("text", ["", ":", "hf:folder", "gpt:4", "replay", "openai"])
def test_a_policy_that_does_not_exist_is_refused_with_those_that_do(text):
    with pytest.raises(ValueError, match=r"no policy .*'expert', or human, openai:\.\.\., replay:\.\.\."):
        parse(text)
    with pytest.raises(ValueError, match="'human' takes nothing after it"):
        parse("human:me")


def test_further_kinds_may_be_added_by_the_caller():
    made = []

    def echo(rest):
        made.append(rest)
        return Scripted(rest)

    assert parse("hf:a/b:c", {**KINDS, "hf": echo}).name == "a/b:c"
    assert made == ["a/b:c"]


class Spy:
    name = "spy"

    def __init__(self):
        self.calls = []

    def act(self, seats):
        self.calls.append(list(seats))
        return [Reply(f"{len(one.history)}") for one in seats]


def test_a_policy_reads_its_own_history_and_neither_task_nor_state_nor_its_partners():
    env = collm_envs.make("toy_task:Adding-v0")
    spy = Spy()
    done = evaluate(env, {"agent_0": spy, "agent_1": Scripted("expert")}, jobs(env, episodes=1))
    (record,) = done.records
    assert [len(call) for call in spy.calls] == [1, 1, 1, 1]
    last = spy.calls[-1][0]
    own = [turn[key]["agent_0"] for turn in record.turns for key in ("prompts", "texts")]
    assert last.history == tuple(own[:-1])
    assert (last.task, last.state) == (None, None)


@pytest.mark.parametrize("id", ["toy_task:Adding-v0", "StrBuild-v0"])
def test_replay_writes_the_recorded_texts_to_whoever_reads_the_same(tmp_path, id):
    env = collm_envs.make(id)
    played = evaluate(env, seat_all(env.task, "noisy", {}), jobs(env, episodes=6, seeds=2))
    write(played.records, tmp_path / "r.jsonl.gz")
    again = evaluate(
        env, seat_all(env.task, f"replay:{tmp_path}/r.jsonl.gz", {}), jobs(env, episodes=6, seeds=2)
    )
    texts = [[[turn["texts"] for turn in one.turns] for one in done.records] for done in (played, again)]
    assert texts[0] == texts[1]
    assert len({str(some) for some in texts[0]}) > 6
    with pytest.raises(RuntimeError, match="has no text for this episode"):
        evaluate(env, seat_all(env.task, f"replay:{tmp_path}/r.jsonl.gz", {}), jobs(env, episodes=7)[6:])


def test_where_nobody_types_nothing_is_played(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(RuntimeError, match="human: the input ended before agent_1 wrote a line"):
        Human().act([Seat("agent_1", ("prompt",), 0)])
    monkeypatch.setattr("sys.stdin", io.StringIO("all I have"))
    assert [reply.text for reply in Human().act([Seat("agent_1", ("prompt",), 0)])] == ["all I have"]


def test_a_person_reads_the_prompt_and_writes_lines_up_to_a_dot(monkeypatch, capsys):
    lines = iter(["first", "", "second", ".", "other"])

    def typed():
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(builtins, "input", typed)
    chairs = [Seat("agent_0", ("ancient", "mine", "newest"), 0), Seat("agent_1", ("only",), 0)]
    assert [reply.text for reply in Human().act(chairs)] == ["first\n\nsecond", "other"]
    shown = capsys.readouterr().out
    assert "agent_0 reads" in shown
    assert "newest" in shown
    assert "ancient" not in shown
