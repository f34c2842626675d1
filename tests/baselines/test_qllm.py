"""QLLM's loop from end to end, against a scripted endpoint: good, broken, hostile and repetitive models."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import chat_stub
import pytest
import torch
import toy_task  # noqa: F401  registers Adding-v0
from folders import ROOT

from baselines import games, qllm
from baselines.cli.main import main
from baselines.credit import pinned, written
from baselines.credit.language import Refused
from baselines.mixing import Config as Mixing
from baselines.mixing import Learner, train
from baselines.search import prompts, sandboxed
from baselines.search.bench import set_up
from baselines.search.game_turns import episode, play_game
from baselines.search.gates import admit
from baselines.search.settings import Config
from baselines.search.turns import GROUP
from collm_envs import make
from collm_envs.evaluation import episodes
from collm_envs.policies.seat import seat_seed
from collm_envs.policies.specs import seat_all
from collm_envs.sandbox import Sandbox

KEY = "sk-canary-1234567890"
ENV = "Adding-v0"


def block(body, mode="baseline", parameters="ctx, feat, me"):
    lines = "\n    ".join(body.split("\n"))
    return f"Some thoughts first.\n```python\ndef {mode}({parameters}):\n    {lines}\n```\n"


TRUE = block('return ctx["silent"] + sum(x - ctx["silent"] for x in feat["reward"])')
SAME = block(
    'gain = 0\nfor x in feat["reward"]:\n    gain = gain + x - ctx["silent"]\nreturn ctx["silent"] + gain'
)
POOR = block('return 0.1 * len(feat["chars"])')
BROKEN = block('return 1 / (feat["accepted"][me] - ctx["silent"])')
NO_CODE = "I would rather not."
STEAL = (
    '```python\nimport os\ndef baseline(ctx, feat, me):\n    return len(os.environ["OPENAI_API_KEY"])\n```'
)


@contextmanager
def endpoint(script, **plan):
    """A server whose answer to try `a` of candidate `k` in round `r` is script(r, k, a); rounds from 1."""
    who = {
        seat_seed(ENV, 0, r, f"coder {r + 1}.{k + 1}", a): (r + 1, k + 1, a + 1)
        for r in range(4)
        for k in range(4)
        for a in range(6)
    } | {seat_seed(ENV, 0, 0, "evaluator", 0): ("evaluator",)}

    def answer(body):
        said = script(*who[body["seed"]])
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return json.dumps({"choices": [choice], "usage": {"completion_tokens": len(said)}})

    def behave(body, seen):
        return plan["behave"](*who[body["seed"]]) if plan else "good"

    with chat_stub.serve(behave) as stub:
        stub.answer = answer
        stub.asked = lambda: [who[body["seed"]] for body in stub.bodies]
        yield stub


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as made:
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(sandboxed, "CPU_S", 0.3)


def config(stub, folder, **settings):
    fixed = {"candidates": 2, "rounds": 1, "retries": 2, "turns": 24, "out": str(folder)}
    return Config(ENV, f"openai:{stub.url}#stub?retries=0", **{**fixed, **settings})


def lines(folder):
    text = (folder / "transcript.jsonl").read_text()
    return [json.loads(line) for line in text[: text.rfind("\n")].split("\n")]  # whole lines


def test_a_good_answer_is_gated_measured_and_written_but_not_trained_with_before_it_is_pinned(
    sandbox, tmp_path
):
    with endpoint(lambda *who: TRUE if who[1] == 1 else POOR) as stub:
        outcome = qllm.search(config(stub, tmp_path), sandbox)
    assert outcome.chosen_by == "numbers"
    assert outcome.path == tmp_path / "adding_baseline.py"
    facts = json.loads(outcome.path.with_suffix(".json").read_text())
    assert facts["report"]["numbers"]["fidelity"] > 0.95
    assert facts["report"]["gates"]["equivariant"] == "yes (demanded)"
    assert facts["report"]["sandbox"] in ("full", "no-ns", "seccomp")
    assert facts["reads"] == {"ctx.silent": [], "feat.reward": [None]}
    assert facts["written_by"].startswith(f"openai:{stub.url}#stub, chosen by numbers")
    with pytest.raises(Refused, match=r"then: collm qllm pin .*adding_baseline.py --reviewed-by YOU"):
        written.load_written(outcome.path)
    assert main(["qllm", "pin", str(outcome.path), "--reviewed-by", "Ada"]) == 0
    assert written.load_written(outcome.path).mode == "baseline"
    assert json.loads(outcome.path.with_suffix(".json").read_text())["reviewed_by"] == "Ada"


def test_the_reason_of_a_refusal_is_in_the_next_request_to_that_coder(sandbox, tmp_path):
    answers = {1: BROKEN, 2: NO_CODE, 3: TRUE}
    with endpoint(lambda r, k, a: answers[a] if k == 1 else TRUE) as stub:
        outcome = qllm.search(config(stub, tmp_path), sandbox)
    assert [one.attempt for one in outcome.tried if one.candidate == 0] == [0, 1, 2]
    third = next(b for b, who in zip(stub.bodies, stub.asked(), strict=True) if who == (1, 1, 3))
    roles = [message["role"] for message in third["messages"]]
    _, one, why, two, why_again = (message["content"] for message in third["messages"])
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert (one, two) == (BROKEN, NO_CODE)
    assert "runs: turn 0, agent 0 (ctx silent=0; feat accepted=[1, 1]): line 2: ZeroDivisionError" in why
    assert "need exactly one fenced block that begins with ```python, got 0" in why_again
    assert stub.asked().count((1, 2, 1)) == 1


def test_a_model_that_repeats_itself_is_stopped_and_the_search_says_what_failed(sandbox, tmp_path, capsys):
    with endpoint(lambda *who: BROKEN) as stub:
        arguments = ["--candidates", "2", "--retries", "2", "--turns", "24", "--out", str(tmp_path)]
        status = main(["qllm", ENV, "--model", f"openai:{stub.url}#stub", *arguments])
    assert status == 1
    assert len(stub.bodies) == 2 * 3  # and no second round
    said = capsys.readouterr().out
    assert "No candidate passed." in said
    assert "6 answers were refused; the last reason:\nruns: turn 0, agent 0" in said
    assert str(tmp_path / "transcript.jsonl") in said
    assert "That is the very function that was refused before." in stub.bodies[-1]["messages"][-1]["content"]
    assert not list(tmp_path.glob("*.py"))


def test_a_hostile_model_learns_nothing_and_the_key_is_written_nowhere(sandbox, tmp_path, capsys):
    loop = block("for k in range(10 ** 12):\n    me = me + k\nreturn me")
    hungry = block("return len([0] * 10 ** 11)")
    answers = {1: STEAL, 2: loop, 3: hungry, 4: TRUE}
    with endpoint(lambda r, k, a: answers[a]) as stub:
        outcome = qllm.search(config(stub, tmp_path, candidates=1, retries=3), sandbox)
    reasons = [one.refused for one in outcome.tried]
    assert reasons[0].startswith("static: line 1: imports are not allowed")
    assert "an endless loop?" in reasons[1]
    assert "MemoryError" in reasons[2]
    assert outcome.best is outcome.tried[3]
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    kept = "".join(path.read_text() for path in tmp_path.iterdir())
    assert KEY not in kept + capsys.readouterr().out + json.dumps(stub.bodies)


def test_an_endpoint_that_echoes_the_key_does_not_get_it_into_the_transcript(sandbox, tmp_path):
    with endpoint(lambda *who: "", behave=lambda *who: "echo:200") as stub:
        outcome = qllm.search(config(stub, tmp_path, retries=0), sandbox)
    assert outcome.path is None
    assert "you sent Bearer [key]" in (tmp_path / "transcript.jsonl").read_text()
    assert KEY not in (tmp_path / "transcript.jsonl").read_text()


@pytest.mark.parametrize(
    ("second", "opinion", "asked", "best", "by"),
    [
        (SAME, "Both are right.\n2", 1, 1, "evaluator"),
        (SAME, "The first is shorter.\n1", 1, 0, "evaluator"),
        (SAME, "I cannot tell 1 from 2.", 1, 0, "first of equals"),
        (POOR, "2", 0, 0, "numbers"),
        (TRUE.replace("(x -", "( # a comment\n     x -"), "2", 0, 0, "numbers"),
    ],
)
def test_the_evaluator_is_asked_only_between_functions_that_no_number_tells_apart(
    sandbox, tmp_path, second, opinion, asked, best, by
):
    def script(*who):
        return opinion if who == ("evaluator",) else TRUE if who[1] == 1 else second

    with endpoint(script) as stub:
        outcome = qllm.search(config(stub, tmp_path), sandbox)
    assert stub.asked().count(("evaluator",)) == asked
    assert outcome.best is not None
    assert (outcome.best.candidate, outcome.chosen_by) == (best, by)
    if asked:
        question = stub.bodies[-1]["messages"][0]["content"]
        assert "## Candidate 2" in question
        assert "rank correlation with the truth" in question


def test_a_later_round_starts_from_the_best_function_and_its_numbers(sandbox, tmp_path):
    with endpoint(lambda r, k, a: POOR if r == 1 else TRUE) as stub:
        outcome = qllm.search(config(stub, tmp_path, rounds=2, candidates=1), sandbox)
    first, second = (body["messages"][0]["content"] for body in stub.bodies)
    assert second.startswith(first)
    assert 'return 0.1 * len(feat["chars"])' in second
    assert "gradient noise 1.000 times the shared reward's" in second
    assert "It leaves the most noise for agent" in second
    assert outcome.best is outcome.tried[1]


def test_after_a_failure_no_answer_is_paid_for_twice(sandbox, tmp_path):
    broken = [True]

    def behave(*who):
        return "status:503" if broken[0] and who == (1, 2, 2) else "good"

    def script(*who):
        return {1: BROKEN, 2: TRUE}[who[2]] if who != ("evaluator",) else "1"

    with endpoint(script, behave=behave) as stub:
        with pytest.raises(RuntimeError, match=r"HTTP 503.*answers so far are kept"):
            qllm.search(config(stub, tmp_path), sandbox)
        with (tmp_path / "transcript.jsonl").open("a") as file:
            file.write('{"call": "cut sho')  # as a kill in the middle of a line leaves it
        before = [line["call"] for line in lines(tmp_path) if "answer" in line]
        assert len(before) == 3
        broken[0] = False
        outcome = qllm.search(config(stub, tmp_path), sandbox)
        assert outcome.path is not None
        asked = len(stub.bodies)
        assert qllm.search(config(stub, tmp_path), sandbox).path == outcome.path
    assert set(stub.paid.values()) == {1}
    assert len(stub.bodies) == asked
    calls = [line["call"] for line in lines(tmp_path) if "answer" in line]
    assert len(calls) == len(set(calls)) == 4
    gates = [(x["round"], x["candidate"], x["attempt"]) for x in lines(tmp_path) if "attempt" in x]
    assert len(gates) == len(set(gates)) == 4


def test_the_transcript_holds_every_question_answer_and_report(sandbox, tmp_path):
    with endpoint(lambda r, k, a: BROKEN if a == 1 else TRUE) as stub:
        qllm.search(config(stub, tmp_path, candidates=1), sandbox)
    one, refused, two, passed = lines(tmp_path)
    assert one["messages"] == [stub.bodies[0]["messages"][0]["content"]]
    assert (one["who"], one["answer"]) == ("coder 1.1", BROKEN)
    assert two["messages"][1] == BROKEN
    assert refused["refused"].startswith("runs: turn 0")
    assert passed["gates"]["blind"] == "48 own texts changed"
    assert set(passed["numbers"]) == {"fidelity", "variance"}


def test_a_folder_holds_one_search(sandbox, tmp_path):
    with endpoint(lambda *who: TRUE) as stub:
        qllm.search(config(stub, tmp_path, candidates=1), sandbox)
        with pytest.raises(ValueError, match=r"holds another search \(turns\); choose another --out"):
            qllm.search(config(stub, tmp_path, candidates=1, turns=28), sandbox)
    with pytest.raises(ValueError, match="the model must be openai:http://host:8000/v1#name, got 'expert'"):
        qllm.search(Config(ENV, "expert", out=str(tmp_path / "new")), sandbox)
    assert not (tmp_path / "new").exists()


def test_a_mistyped_search_leaves_no_folder_and_one_without_an_answer_can_be_corrected(sandbox, tmp_path):
    out, slip = tmp_path / "search", Config("Ading-v0", "openai:http://h/v1#m", out=str(tmp_path / "search"))
    with pytest.raises(KeyError, match="Ading-v0"):
        qllm.search(slip, sandbox)
    assert not out.exists()
    lost = endpoint(lambda *who: TRUE, behave=lambda *who: "status:404")
    with lost as stub, pytest.raises(RuntimeError, match="HTTP 404"):
        qllm.search(config(stub, out, candidates=1), sandbox)
    with endpoint(lambda *who: TRUE) as stub:
        assert qllm.search(config(stub, out, candidates=1, turns=28), sandbox).path
    assert json.loads((out / "search.json").read_text())["turns"] == 28


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"candidates": 0}, "candidates must be at least 1"),
        ({"alpha": 0.6}, r"alpha above 0, at most 0.5, got 3, 0.6"),
        ({"env": "game:two-step"}, "a game takes mode weights and no records"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        Config(**{"env": ENV, "model": "openai:http://h/v1#m", **settings})


@pytest.mark.parametrize("verb", [("Adding-v0", "--model", "m"), ("check", "f.py", "--env", "Adding-v0")])
@pytest.mark.parametrize("text", ["[1]", "{", "", "1"])
def test_keywords_that_are_no_json_object_are_refused_in_a_line(verb, text, capsys):
    assert main(["qllm", *verb, "--env-kwargs", text]) == 2
    assert f"--env-kwargs must be a JSON object, got {text!r}" in capsys.readouterr().err


def test_the_task_is_the_environments_own_page_with_named_inputs_and_no_more():
    bench = set_up(Config("StrBuild-v0", "", turns=8), None)  # type: ignore[arg-type]
    brief = bench.field.brief
    assert "R = 2 covered/target - 1.5 extra/background - same/pairs - 0.25 missing" in brief
    assert "Data and licence" not in brief
    assert '- feat["reward"]: [2 numbers, one for each agent], seen from ' in brief
    assert "the team's reward if this agent alone had written" in brief
    assert 'pair["reward"]' not in brief
    assert "def baseline(ctx, feat, me):" in brief
    mix = set_up(Config("StrBuild-v0", "", turns=8, mode="mix"), None).field.brief  # type: ignore[arg-type]
    assert '- pair["reward"]: [2 lists of 2 numbers]' in mix
    weights = set_up(Config("StrBuild-v0", "", turns=8, mode="weights"), None).field.brief  # type: ignore
    assert '- feat["reward"]' not in weights
    assert '- ctx["last_accepted"]' in weights


def test_functions_can_be_judged_on_recorded_turns(sandbox, tmp_path):
    env = make(ENV)
    policies = seat_all(env.task, "noisy", {})
    episodes.evaluate(env, policies, episodes.jobs(env, episodes=4), tmp_path / "played")
    records = str(tmp_path / "played" / "records.jsonl")
    with endpoint(lambda *who: TRUE) as stub:
        outcome = qllm.search(config(stub, tmp_path, candidates=1, records=records), sandbox)
    assert outcome.path is not None
    assert records in json.loads(outcome.path.with_suffix(".json").read_text())["report"]["turns"]
    other = tmp_path / "strbuild"
    env = make("StrBuild-v0")
    episodes.evaluate(env, seat_all(env.task, "noisy", {}), episodes.jobs(env, episodes=1), other)
    with endpoint(lambda *who: TRUE) as stub, pytest.raises(ValueError, match="no episode of Adding-v0 on"):
        qllm.search(config(stub, tmp_path / "x", records=str(other / "records.jsonl")), sandbox)


def test_weights_for_a_game_are_found_pinned_and_trained_with(sandbox, tmp_path):
    good = block("a = 0.5 + 0.2 * min(1, ctx['table'][0])\nreturn [a, 1 - a]", "weights", "ctx")
    who = {seat_seed("game:two-step", 0, 0, "coder 1.1", 0)}

    def behave(body, seen):
        assert body["seed"] in who
        return "good"

    with chat_stub.serve(behave) as stub:
        stub.answer = lambda body: json.dumps({"choices": [{"message": {"content": good}}]})
        asked = Config(
            "game:two-step",
            f"openai:{stub.url}#m",
            mode="weights",
            candidates=1,
            rounds=1,
            turns=16,
            out=str(tmp_path),
        )
        outcome = qllm.search(asked, sandbox)
    assert 'ctx["table"]: nested lists of shape [3]' in stub.bodies[0]["messages"][0]["content"]
    assert outcome.path is not None
    pinned.review(outcome.path, "the test")
    function = pinned.load_pinned(outcome.path)
    assert torch.allclose(
        function.call("weights", {"table": torch.eye(3)})[:, 0], torch.tensor([0.7, 0.5, 0.5])
    )
    with pytest.raises(Refused, match="for a mixer, not for the credit of text agents"):
        written.load_written(outcome.path)
    game = games.make("two-step")
    mixing = Mixing(mixer=f"qllm:{outcome.path}", steps=2, batch=4)
    assert len(list(train(mixing, [game], Learner(mixing, game.layout)))) == 2


def test_a_function_edited_after_its_gates_or_its_review_is_refused(sandbox, tmp_path):
    with endpoint(lambda *who: TRUE) as stub:
        path = qllm.search(config(stub, tmp_path, candidates=1), sandbox).path
    assert path is not None
    whole = path.read_text()
    path.write_text(whole + "# harmless?\n")
    with pytest.raises(Refused, match="stale, it was edited after its gates"):
        pinned.review(path, "Ada")
    path.write_text(whole)
    with pytest.raises(ValueError, match="the name of who has read it"):
        pinned.review(path, " ")
    pinned.review(path, "Ada")
    path.write_text(whole + "# harmless?\n")
    with pytest.raises(Refused, match="stale, the source's sha256 is"):
        written.load_written(path)


def test_a_pinned_file_must_pass_the_fence_whenever_it_is_loaded(tmp_path):
    path = tmp_path / "careless.py"
    path.write_text("import os\n\n\ndef baseline(ctx, feat, me):\n    return 0.0\n")
    facts = {"form": "turn", "mode": "baseline", "alpha": 0.5, "env": ENV}
    pinned.pin(path, written_by="x", reads={}, reviewed_by="somebody careless", **facts)
    with pytest.raises(Refused, match="line 1: imports are not allowed"):
        written.load_written(path)


def test_a_function_of_ones_own_is_checked_and_reported(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(prompts.function(TRUE))
    flags = ["--env", ENV, "--turns", "16", "--written-by", "me", "--write"]
    assert main(["qllm", "check", str(path), *flags]) == 0
    said = capsys.readouterr().out
    assert "steady       the same in another process and order" in said
    assert f"collm qllm pin {path} --reviewed-by YOU" in said
    assert json.loads(path.with_suffix(".json").read_text())["written_by"] == "me"
    path.write_text(prompts.function(BROKEN))
    assert main(["qllm", "check", str(path), *flags]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_pinning_says_what_is_missing(tmp_path, capsys):
    path = tmp_path / "mine.py"
    assert main(["qllm", "pin", str(path), "--reviewed-by", "Ada"]) == 2
    assert f"{path}: no such file" in capsys.readouterr().err
    path.write_text(prompts.function(TRUE))
    assert main(["qllm", "pin", str(path), "--reviewed-by", "Ada"]) == 2
    assert f"run `collm qllm check {path} --env ENV` first" in capsys.readouterr().err


def test_a_mixers_function_that_was_pinned_by_hand_can_be_reviewed_again(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text("def weights(state):\n    return 0.5 + 0 * state['table'][:, :2]\n")
    pinned.pin(path, written_by="me", reads={"table": [3]})
    assert main(["qllm", "pin", str(path), "--reviewed-by", "Ada"]) == 0
    assert f"collm train mixing --game GAME --mixer qllm:{path}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("env", "source", "kwargs", "use"),
    [
        (
            "game:two-step",
            "def weights(ctx):\n    return [0.5, 0.5]\n",
            "{}",
            "mixing --game two-step --mixer ",
        ),
        (
            "StrBuild-v0",
            prompts.function(TRUE),
            '{"num_agents": 3}',
            "reinforce --env StrBuild-v0 --env-kwargs '{\"num_agents\": 3}' --credit ",
        ),
    ],
)
def test_what_to_do_with_a_pinned_function_is_a_whole_command(tmp_path, capsys, env, source, kwargs, use):
    path = tmp_path / "mine.py"
    path.write_text(source)
    flags = ["--env", env, "--turns", "8", "--env-kwargs", kwargs, "--write"]
    assert main(["qllm", "check", str(path), *flags]) == 0
    assert json.loads(path.with_suffix(".json").read_text())["env_kwargs"] == json.loads(kwargs)
    assert f"collm train {use}qllm:{path}" in capsys.readouterr().out
    assert main(["qllm", "pin", str(path), "--reviewed-by", "Ada"]) == 0
    assert f"collm train {use}qllm:{path}" in capsys.readouterr().out


def test_the_command_shows_each_answers_fate_and_what_to_do_next(tmp_path, capsys):
    with endpoint(lambda r, k, a: BROKEN if (k, a) == (1, 1) else TRUE) as stub:
        flags = ["--candidates", "2", "--rounds", "1", "--turns", "16", "--out", str(tmp_path)]
        assert main(["qllm", ENV, "--model", f"openai:{stub.url}#stub", *flags]) == 0
    said = capsys.readouterr().out
    assert "  1.1       refused  runs: turn 0" in said
    assert "  1.1 try 2 passed   fidelity" in said
    assert "3 answers, 1 refused; chosen by numbers:" in said
    assert "Nobody has reviewed it." in said
    assert f"--credit qllm:{tmp_path / 'adding_baseline.py'}" in said


def test_help_needs_no_torch():
    code = "import sys; from baselines.cli.main import main\n"
    code += "try:\n    main(['qllm', 'X', '--help'])\nexcept SystemExit:\n    pass\n"
    code += "assert not {'torch', 'numpy'} & set(sys.modules), 'heavy'"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert "--evaluator" in done.stdout
    assert "each agent's part in the reward" in " ".join(done.stdout.replace("│", " ").split())
    assert main(["qllm"]) == 0


@pytest.mark.parametrize(
    ("answer", "count", "index"),
    [
        ("2", 3, 1),
        ("Because.\n\n**3**", 3, 2),
        ("4", 3, None),
        ("0", 3, None),
        ("1 or 2", 3, None),
        ("", 3, None),
    ],
)
def test_an_opinion_is_one_number_on_the_last_line(answer, count, index):
    assert prompts.opinion(answer, count) == index


def test_noise_in_a_game_is_compared_between_joint_actions_at_one_state_only():
    contexts = play_game("climbing", 40, seed=0).contexts
    groups = contexts.rewards.reshape(-1, GROUP)
    assert contexts.group.reshape(-1, GROUP).tolist() == [[g] * GROUP for g in range(10)]
    assert (groups.std(1) > 0).all()
    contexts = play_game("two-step", 60, seed=0).contexts
    for g in range(15):
        assert len({row.ctx["table"] for row in contexts.rows[g * GROUP : (g + 1) * GROUP]}) == 1


def test_weights_are_tried_at_the_states_after_the_last_turn_too(sandbox):
    contexts = play_game("two-step", 16, seed=0).contexts
    assert len(contexts.ends) == 4
    source = prompts.function(block("a = 0 / (7 - ctx['table'][0])\nreturn [0.5 + a, 0.5]", "weights", "ctx"))
    checks = admit(sandbox, source, "weights", contexts).checks
    assert checks["runs"] == "16 recorded and 64 random turns, 4 final states"
    end = contexts.ends[0]._replace(ctx={"table": (7.0, 0.0, 0.0)})
    with pytest.raises(Refused, match=r"runs: turn 80 \(ctx table=\[7, 0, 0\]\): line 2: ZeroDivisionError"):
        admit(sandbox, source, "weights", replace(contexts, ends=[end]))


def test_an_episode_of_a_game_is_seen_to_its_final_state():
    seen, got = episode(games.make("two-step"), 0, [[1, 0], [0, 0]])
    assert (len(seen), len(got)) == (3, 2)


def test_in_the_two_step_game_only_the_branch_of_the_first_agent_hangs_on_the_first_table():
    contexts = play_game("two-step", 60, seed=0).contexts
    table = [row.ctx["table"].index(1.0) for row in contexts.rows]
    truth = {s: contexts.truth[[k for k, t in enumerate(table) if t == s]] for s in range(3)}
    assert len(truth[0]) > 10
    assert (truth[0][:, 1] == 0).all()
    assert (truth[0][:, 0] >= 0.5).all()  # |7 - an entry of 2B| / 2
    assert (truth[1] == 0).all()  # everything pays 7 there
    assert set(truth[2].ravel()) <= {0.5, 3.5}  # |1 - 0| / 2 and |8 - 1| / 2
