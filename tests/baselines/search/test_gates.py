"""The gates of written credit functions: each refuses the one that passes all others, with the reason."""

import json
import os
import socket
from dataclasses import replace

import numpy as np
import pytest
from toy_task import Adding

from baselines.credit import language, pinned
from baselines.credit.language import Refused
from baselines.search import gates, sandboxed
from baselines.search.gates import admit
from baselines.search.ranking import Numbers, centred, equals, measure, shared_numbers
from baselines.search.sandboxed import Sandboxed, permuted, random_rows
from baselines.search.turns import gather, scripted
from collm_envs.sandbox import Sandbox

OTHERS = """
def baseline(ctx, feat, me):
    return ctx["silent"] + sum(alone - ctx["silent"] for alone in feat["reward"])
"""
GETPID = "return eval(\"__import__('os').getpid()\")"
READS = "return len(open('/etc/hostname', 'r'))"
POPEN = "return getattr(0, 'real')"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def contexts():
    """Forty turns of a game whose agents are exchangeable."""
    task = Adding()
    return gather(task, scripted(task, 10, seed=1), pairs=True)


def body(mode, lines):
    head = f"def {mode}({', '.join(language.MODES[mode])}):\n    "
    return head + "\n    ".join(lines.split("\n")) + "\n"


def test_a_sensible_function_passes_every_gate_and_the_report_says_what_was_seen(sandbox, contexts):
    found = admit(sandbox, OTHERS, "baseline", contexts)
    assert dict(found.checks) == {
        "static": "reads ctx.silent, feat.reward",
        "runs": "40 recorded and 64 random turns, 24 of other teams, 176 at the ends of what features can be",
        "finite": "all",
        "bounds": found.checks["bounds"],
        "steady": "the same in another process and order",
        "blind": "80 own texts changed",
        "equivariant": "yes (demanded)",
    }
    alone = np.array([row.feat["reward"] for row in contexts.rows])
    silent = np.array([row.ctx["silent"] for row in contexts.rows])[:, None]
    assert np.allclose(found.values, silent + alone[:, ::-1] - silent, atol=1e-12)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def baseline(ctx, feat, me)\n    return 0", "line 1: SyntaxError"),
        ("import os\n" + OTHERS, "line 1: imports are not allowed"),
        ("from os import environ\n" + OTHERS, "imports are not allowed, except `from math"),
        ("from math import nothing\n" + OTHERS, "imports are not allowed, except `from math"),
        (body("baseline", "while True:\n    pass\nreturn 0"), "line 2: `while` is not allowed"),
        (body("baseline", "return ().__class__"), "line 2: attributes and methods are not allowed"),
        (body("baseline", "return open('/etc/passwd')"), "`open` is not known here"),
        (body("baseline", "return eval('1')"), "`eval` is not known here"),
        (body("baseline", "return __import__('os')"), "`__import__` is not known here"),
        (body("baseline", "return __builtins__"), "`__builtins__` is not known here"),
        (body("baseline", "return feat['nope'][0]"), r"feat\['nope'\] is unknown: feat has gap, reward"),
        (body("baseline", "return ctx['x']"), r"ctx\['x'\] is unknown: ctx has agents, turn"),
        (body("baseline", "return pair['reward'][0][1]"), "`pair` is not given in mode baseline"),
        (body("baseline", "return sum(ctx)"), r'read `ctx` by name, as ctx\["..."\]'),
        (body("baseline", "ctx['turn'] = 3\nreturn 0"), "read `ctx` by name"),
        (body("baseline", "try:\n    return 1\nexcept E:\n    return 0"), "Try is not part of this language"),
        (body("baseline", "return (lambda: 0)()"), "Lambda is not part of this language"),
        (body("baseline", "return f'{me}'"), "JoinedStr is not part of this language"),
        (body("baseline", "global seen\nseen = 1\nreturn 0"), "may not keep anything"),
        ("seen = []\n" + OTHERS, "line 1: outside functions only constant numbers"),
        ("def f(x=[]):\n    return x\n" + OTHERS, "plain parameters: no defaults"),
        ("for k in range(3):\n    pass\n" + OTHERS, "outside functions only constants, functions"),
        ("def baseline(ctx, me):\n    return 0", r"need `def baseline\(ctx, feat, me\)`, got"),
        ("def credit(ctx, feat, me):\n    return 0", "need one function `def baseline.*got 0"),
        (OTHERS + OTHERS, "got 2 of that name"),
        (
            "def helper(eval):\n    return eval\n" + body("baseline", GETPID),
            "line 1: `eval` cannot be a name",
        ),
        (body("baseline", "a = [open for open in [1]]\n" + READS), "line 2: `open` cannot be a name here"),
        ("def getattr(a, b):\n    return a\n" + body("baseline", POPEN), "`getattr` cannot be a name here"),
        (body("baseline", "for vars in [1]:\n    pass\nreturn 0"), "line 2: `vars` cannot be a name here"),
        (body("baseline", "from math import pow\nreturn pow(2, 3)"), "line 2: `pow` cannot be a name"),
        ("# hidden \u202e\n" + OTHERS, "line 1: characters that do not print"),
        ("# \x1b[2J\n" + OTHERS, "line 1: characters that do not print"),
        (body("baseline", "return " + "+".join(["1"] * 300)), "nested deeper than 100"),
        ("x = 0\n" * 3000 + OTHERS, "characters of source; at most 8000"),
    ],
)
def test_what_the_language_does_not_have_is_refused_before_it_runs(contexts, source, reason):
    with pytest.raises(Refused, match=f"(?s)static: .*{reason}"):
        admit(None, source, "baseline", contexts)  # type: ignore[arg-type]


def test_whatever_the_fence_let_through_a_loaded_function_finds_no_builtin_that_reaches_out(tmp_path):
    source = "def reach(eval):\n    return eval\n\n\n"
    source += body("baseline", f"from math import sqrt\nif me:\n    return sqrt(4) + len([1])\n{GETPID}")
    source += "\n\ndef brings_os():\n    import os\n    return os\n"
    path = tmp_path / "escapes.py"
    functions = pinned.execute(source, path, fenced=True)
    assert functions["baseline"]({}, {}, 1) == 3
    with pytest.raises(NameError, match="'eval' is not defined"):
        functions["baseline"]({}, {}, 0)
    with pytest.raises(ImportError, match=r"only `from math import \.\.\.`, got os"):
        functions["brings_os"]()


def test_all_that_is_wrong_with_a_source_is_said_at_once():
    with pytest.raises(Refused) as refused:
        language.reads("import os\n" + body("baseline", "return open(os.name) + feat"), "baseline")
    for said in (
        "line 1: imports",
        "line 3: attributes",
        "`open` is not known",
        "`os` is not",
        "read `feat` by",
    ):
        assert said in str(refused.value)


@pytest.mark.parametrize("parameters", ["ctx, feat", "ctx, feat, reward", "ctx, pair"])
def test_a_weight_that_wants_to_see_the_texts_is_an_own_action_weight(contexts, parameters):
    source = f"def weights({parameters}):\n    return [0.5, 0.5]\n"
    with pytest.raises(Refused, match=r"static: .*\(own action\) can turn the gradient around"):
        admit(None, source, "weights", contexts)  # type: ignore[arg-type]
    with pytest.raises(Refused, match=r"`feat` is not given in mode weights: .*own action"):
        language.reads(body("weights", "a, b = feat['reward']\nreturn [a, b]"), "weights")


@pytest.mark.parametrize(
    ("mode", "lines", "reason"),
    [
        (
            "baseline",
            "return 1 / (feat['reward'][me] - feat['reward'][me])",
            "runs: turn 0, agent 0 .*line 2: ZeroDiv",
        ),
        ("baseline", "return feat['reward']", r"runs: turn 0, agent 0 .*a number is wanted, got \("),
        ("baseline", "return None", "a number is wanted, got None"),
        ("baseline", "return me > 0", "a number is wanted, got False"),
        ("baseline", "return 1e308 * 10 - 1e308 * 10", "finite: turn 0, agent 0: baseline is nan"),
        ("baseline", "return 10 ** 400", "finite: turn 0, agent 0"),
        ("baseline", "return 10 ** 5000", "runs: its process died: .*too large to hand over"),
        (
            "baseline",
            "return 10 ** 5000 if ctx['turn'] == me == 0 else 0",
            "baseline is int beyond all bounds",
        ),
        (
            "baseline",
            "return 0 if ctx['turn'] < 3 else 1e308 * 10",
            r"finite: turn \d+, agent 0 .*baseline is inf",
        ),
        ("baseline", "return 99", r"bounds: turn 0, agent 0: 99 is outside \[-5, 5\]"),
        ("weights", "return [1]", "shape: a list of 2 numbers is wanted, got 1"),
        ("weights", "return 0.5", "shape: a list of 2 numbers is wanted, got float"),
        ("weights", "return [1.2, -0.2]", "bounds: turn 0, agent 1: negative weight -0.2"),
        ("weights", "return [0.99, 0.01]", r"saturated, N \* w = 0.02 is below the floor 0.1"),
        ("weights", "return [0.9, 0.9]", "weights must sum to 1, they sum to 1.8"),
        ("mix", "return [reward]", "shape: a list of 2 numbers is wanted, got 1"),
        ("mix", "return [reward, 0 - reward]", r"aligned: of the own-text changes .* at least 0.9 must"),
        ("mix", "return [0, 0]", "aligned: .* 0.00 moved"),
    ],
)
def test_a_function_that_misbehaves_is_refused_with_turn_agent_and_value(
    sandbox, contexts, mode, lines, reason
):
    if reason.startswith("aligned"):
        contexts = replace(contexts, exchange=False)
    with pytest.raises(Refused, match=f"(?s){reason}"):
        admit(sandbox, body(mode, lines), mode, contexts)


def test_a_refusal_shows_what_the_function_had_read(sandbox, contexts):
    source = body("baseline", "return 1 / (ctx['turn'] * len(feat['gap']))")
    with pytest.raises(
        Refused, match=r"turn 0, agent 0 \(ctx turn=0; feat gap=\[\d+, \d+\]\): line 2: ZeroDivision"
    ):
        admit(sandbox, source, "baseline", contexts)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            "for k in range(10 ** 12):\n    me = me + k\nreturn me",
            "not done after 0.2 s of CPU time.*endless loop",
        ),
        ("return 10 ** 10 ** 10", "not done after 0.2 s of CPU time"),
        ("return len([0] * 10 ** 11)", "line 2: MemoryError"),
        ("return len([[0] * 1000 for k in range(10 ** 7)])", "MemoryError|0.2 s of CPU time"),
    ],
)
def test_endless_loops_and_hunger_for_memory_pass_the_fence_and_end_in_the_sandbox(
    sandbox, contexts, monkeypatch, lines, reason
):
    monkeypatch.setattr(sandboxed, "CPU_S", 0.2)
    with pytest.raises(Refused, match=f"runs: .*{reason}"):
        admit(sandbox, body("baseline", lines), "baseline", contexts)


HOSTILE = {
    "key": "import os\ndef baseline(ctx, feat, me):\n"
    "    return float(len(os.environ.get('OPENAI_API_KEY', '')))\n",
    "parent's key": "def baseline(ctx, feat, me):\n    import os\n"
    "    return float(b'OPENAI_API_KEY' in open(f'/proc/{os.getppid()}/environ', 'rb').read())\n",
    "file": "def baseline(ctx, feat, me):\n    return float(len(open(PATH).read()))\n",
    "write": "def baseline(ctx, feat, me):\n    open(PATH + '.out', 'w').write('x')\n    return 1.0\n",
    "socket": "import socket\ndef baseline(ctx, feat, me):\n"
    "    socket.create_connection(('127.0.0.1', PORT), 1).send(b'x')\n    return 1.0\n",
    "process": "import os\ndef baseline(ctx, feat, me):\n    return float(os.system('true') == 0)\n",
    "kill": "import os\ndef baseline(ctx, feat, me):\n    os.kill(os.getppid(), 9)\n    return 1.0\n",
    "exit": "import os\ndef baseline(ctx, feat, me):\n    os._exit(0)\n",
}


RETURN_NOTHING = ("key", "process")
"""those that may come to their end, with nothing in their hands"""


@pytest.fixture(scope="module")
def with_key():
    """A sandbox begun with a key in our environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-canary-1234567890")
        with Sandbox() as made:
            yield made


@pytest.mark.parametrize("name", HOSTILE)
def test_code_that_no_fence_has_seen_reaches_nothing_in_the_sandbox(
    sandbox, with_key, contexts, tmp_path, name
):
    secret = tmp_path / "answers"
    secret.write_text("42")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.05)
        source = HOSTILE[name].replace("PATH", repr(str(secret)))
        source = source.replace("PORT", str(listener.getsockname()[1]))
        with pytest.raises(Refused, match="static: "):
            admit(sandbox, source, "baseline", contexts)  # the fence alone would do
        said, got = "", np.zeros(2)
        try:
            got = Sandboxed(with_key, source, "baseline", 2).numbers(contexts.rows[:1], [0.0])
        except Refused as refused:
            said = str(refused)
        assert not got.any()  # no key, no bytes, no process
        assert said.startswith("runs: ") or name in RETURN_NOTHING
        assert "canary" not in said
        with pytest.raises(TimeoutError):
            listener.accept()
    assert os.listdir(tmp_path) == ["answers"]


def test_a_function_that_remembers_is_refused(sandbox, contexts, monkeypatch):
    remembers = "seen = []\ndef baseline(ctx, feat, me):\n    seen.append(1)\n    return len(seen) / 1000\n"
    with pytest.raises(Refused, match="static"):
        admit(sandbox, remembers, "baseline", contexts)
    test = Sandboxed(sandbox, remembers, "baseline", 2)
    rewards = list(contexts.rewards)
    values = test.numbers(contexts.rows, rewards)
    with pytest.raises(Refused, match=r"steady: turn \d+, agent 0 .*in another process, after other turns"):
        gates.steady(test, contexts.rows, rewards, values)


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        ("baseline", "return ctx['last']"),
        ("weights", "b = min(0.9, max(0.1, ctx['last']))\nreturn [b, 1 - b]"),
    ],
)
def test_credit_that_moves_with_the_agents_own_text_is_refused(sandbox, contexts, mode, lines):
    contexts = replace(contexts, exchange=False)
    admit(sandbox, body(mode, lines), mode, contexts)
    leak = [c._replace(row=c.row._replace(ctx={**c.row.ctx, "last": 0.4321})) for c in contexts.changes]
    with pytest.raises(
        Refused, match=r"blind: turn \d+, agent \d: .* became .* when agent 0 wrote another text: own action"
    ):
        admit(sandbox, body(mode, lines), mode, replace(contexts, changes=leak))
    admit(
        sandbox,
        body(mode, "return " + ("0.1" if mode == "baseline" else "[0.5, 0.5]")),
        mode,
        replace(contexts, changes=leak),
    )


def test_favouring_a_place_is_refused_where_agents_are_exchangeable_and_noted_elsewhere(sandbox, contexts):
    favours = body("baseline", "return feat['reward'][1]")
    with pytest.raises(
        Refused, match=r"equivariant: .*when the agents changed places; these agents are exch"
    ):
        admit(sandbox, favours, "baseline", contexts)
    found = admit(sandbox, favours, "baseline", replace(contexts, exchange=False))
    assert found.checks["equivariant"] == "no (not demanded: the agents' texts do not exchange)"


def test_changing_places_moves_every_number_of_an_agent(contexts):
    row = contexts.rows[-1]
    moved = permuted(row, [1, 0])
    assert permuted(moved, [1, 0]) == row
    assert moved.feat["gap"] == row.feat["gap"][::-1]
    assert moved.ctx["last_accepted"] == row.ctx["last_accepted"][::-1]
    assert moved.pair["reward"][0][0] == row.pair["reward"][1][1]


def test_random_turns_are_the_same_for_a_seed_and_fresh_for_another(contexts):
    one, again, other = (random_rows(contexts, seed) for seed in (0, 0, 1))
    assert one == again != other
    assert {row.ctx["agents"] for row in one} == {2}
    assert all(row.pair["reward"][0][1] == row.pair["reward"][1][0] for row in one)
    assert len({row.feat["gap"] for row in one}) > 60


def test_numbers_of_known_functions(sandbox, contexts):
    perfect = measure(admit(sandbox, OTHERS, "baseline", contexts), contexts, 0.5)
    assert perfect.fidelity == pytest.approx(1, abs=0.02)
    nothing = measure(admit(sandbox, body("baseline", "return 0"), "baseline", contexts), contexts, 0.5)
    assert nothing == shared_numbers(contexts, "baseline")
    assert nothing.variance == 1
    equal = measure(admit(sandbox, body("weights", "return [0.5, 0.5]"), "weights", contexts), contexts, 0.5)
    assert equal == shared_numbers(contexts, "weights") == Numbers(0.0, 1.0)
    mine = "a = pair['reward']\nreturn [reward - a[1][1], reward - a[0][0]]"
    mix = measure(admit(sandbox, body("mix", mine), "mix", contexts), contexts, 0.5)
    assert mix.factoredness == 1


def test_advantages_are_centred_over_the_turns_from_one_state(contexts):
    some = replace(contexts, group=np.array([0, 0, 1, 1] * 10))
    x = np.arange(40.0)
    assert (
        centred(x, some)[:4].tolist()
        == (x - np.where(some.group == 0, x[some.group == 0].mean(), x[some.group == 1].mean()))[:4].tolist()
    )


@pytest.mark.parametrize(
    ("mode", "numbers", "best"),
    [
        ("weights", [Numbers(0.9, 0.5), Numbers(0.93, 0.9)], [1]),
        ("weights", [Numbers(0.92, 0.5), Numbers(0.93, 0.9)], [0]),
        ("weights", [Numbers(0.92, 0.5), Numbers(0.93, 0.51)], [0, 1]),
        ("mix", [Numbers(0.92, 0.5, 0.95), Numbers(0.93, 0.51, 0.99)], [1]),
        ("weights", [Numbers(0.5, 0.1), Numbers(0.93, 0.51), Numbers(0.93, 0.505)], [1, 2]),
        ("baseline", [Numbers(1.0, 1.05), Numbers(0.5, 1.0), Numbers(0.8, 0.7)], [2]),  # the first: ArXiv's
        ("baseline", [Numbers(1.0, 1.05), Numbers(0.5, 1.0)], [1]),
        ("baseline", [Numbers(0.9, 0.5), Numbers(0.95, 0.51)], [1]),
        ("baseline", [Numbers(0.94, 0.5), Numbers(0.95, 0.51)], [0, 1]),
    ],
)
def test_the_first_number_that_tells_functions_apart_decides(mode, numbers, best):
    assert equals(numbers, mode) == best


def test_a_report_is_plain_json(sandbox, contexts):
    found = admit(sandbox, OTHERS, "baseline", contexts)
    numbers = measure(found, contexts, 0.5).to_dict()
    assert json.loads(json.dumps([dict(found.checks), numbers])) == [dict(found.checks), numbers]
    assert "factoredness" not in numbers
