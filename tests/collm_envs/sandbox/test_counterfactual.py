"""Whether a helper mattered: the same word from the general sandbox and from CoopHE-v1, and the right one."""

import pytest

import collm_envs
from collm_envs.sandbox import Sandbox
from collm_envs.sandbox.inside import stubs

DOUBLE = "def aux(x):\n    return 2 * x\n"
LISTS = "def aux(xs):\n    return sorted(xs)\n"
SORTS = "def aux(xs):\n    xs.sort()\n"
SUMS = [([3, 1, 2], 6), ([], 0), ([5, 4], 9), ([1, 1], 2)]
SORTED = [([3, 1, 2], [1, 2, 3]), ([], []), ([5, 4], [4, 5]), ([2, 1, 2], [1, 2, 2])]
TWICE = [(x, 2 * x) for x in (3, 0, 10, -4)]
EVEN = "def aux(x):\n    return x % 2 == 0\n"
FIND = "def aux(x):\n    return x if x > 5 else None\n"
PROGRAMS = {
    "handed on": (DOUBLE, "return aux(x)", TWICE, True),
    "thrown away": (DOUBLE, "aux(x)\n    return 2 * x", TWICE, False),
    "kept in a variable that is never read": (DOUBLE, "v = aux(x)\n    return 2 * x", TWICE, False),
    "named in a comment": (DOUBLE, "return 2 * x  # aux(x)", TWICE, False),
    "in a dead branch": (DOUBLE, "return aux(x) if x is None else 2 * x", TWICE, False),
    "only its type is looked at": (
        DOUBLE,
        "v = aux(x)\n    return 2 * x if type(v) is int else None",
        TWICE,
        False,
    ),
    "only isinstance": (LISTS, "return sorted(x) if isinstance(aux(x), list) else 0", SORTED, False),
    "only None is looked for": (DOUBLE, "return None if aux(x) is None else 2 * x", TWICE, False),
    "None is looked for, then used": (DOUBLE, "v = aux(x)\n    return 0 if v is None else v", TWICE, True),
    "computed again": (DOUBLE, "v = aux(x)\n    v = 2 * x\n    return v", TWICE, False),
    "compared with what is computed again": (
        DOUBLE,
        "v = aux(x)\n    if v != 2 * x:\n        v = 2 * x\n    return v",
        TWICE,
        False,
    ),
    "changes its argument": (SORTS, "aux(x)\n    return x", SORTED, True),
    "changes its argument, and returns it": (SORTS + "    return xs\n", "aux(x)\n    return x", SORTED, True),
    "changes a copy that nobody reads": (SORTS, "aux(list(x))\n    return sorted(x)", SORTED, False),
    "fills a list by a callback": (
        "def aux(xs, keep):\n    for v in sorted(xs):\n        keep(v)\n",
        "out = []\n    aux(x, out.append)\n    return out",
        SORTED,
        True,
    ),
    "raises for bad input": (
        "def aux(x):\n    if x < 0:\n        raise ValueError\n",
        "try:\n        aux(x)\n    except ValueError:\n        return 99\n    return 2 * x",
        [(3, 6), (-4, 99)],
        True,
    ),
    "always raises": (
        "def aux(x):\n    raise ValueError\n",
        "try:\n        return aux(x)\n    except ValueError:\n        return 2 * x",
        TWICE,
        False,
    ),
    "recursive": (
        "def aux(n):\n    return n + aux(n - 1) if n else 0\n",
        "return aux(x)",
        [(3, 6), (0, 0)],
        True,
    ),
    "recursive and ignored": (
        "def aux(n):\n    return n + aux(n - 1) if n else 0\n",
        "aux(x)\n    return x * (x + 1) // 2",
        [(3, 6), (0, 0)],
        False,
    ),
    "map": (DOUBLE, "return sum(map(aux, x)) // 2", SUMS, True),
    "key of sorted": ("def aux(v):\n    return -v\n", "return sorted(x, key=aux)[::-1]", SORTED, True),
    "partial": (
        "def aux(a, b):\n    return a + b\n",
        "import functools\n    return functools.partial(aux, x)(x)",
        TWICE,
        True,
    ),
    "reduce": (
        "def aux(a, b):\n    return a + b\n",
        "import functools\n    return functools.reduce(aux, x, 0)",
        SUMS,
        True,
    ),
    "decorator": (
        "def aux(g):\n    return lambda v: 2 * g(v)\n",
        "@aux\n    def same(v):\n        return v\n    return same(x)",
        TWICE,
        True,
    ),
    "decorator of what nobody calls": (
        "def aux(g):\n    return lambda v: 2 * g(v)\n",
        "@aux\n    def same(v):\n        return v\n    return 2 * x",
        TWICE,
        False,
    ),
    "generator": ("def aux(xs):\n    for v in xs:\n        yield v\n", "return sum(aux(x))", SUMS, True),
    "generator without an end": (
        "def aux(v):\n    while True:\n        yield v\n        v += 1\n",
        "return next(aux(2 * x))",
        TWICE,
        True,
    ),
    "generator that is only exhausted": (
        "def aux(xs):\n    for v in xs:\n        yield v\n",
        "for _ in aux(x):\n        pass\n    return sum(x)",
        SUMS,
        False,
    ),
    "in a try, ignored": (
        DOUBLE,
        "try:\n        aux(x)\n    except Exception:\n        return None\n    return 2 * x",
        TWICE,
        False,
    ),
    "in a try, used": (
        DOUBLE,
        "try:\n        return aux(x)\n    except TypeError:\n        return 0",
        TWICE,
        True,
    ),
    "for some inputs": (DOUBLE, "return aux(x) if x > 5 else 2 * x", TWICE, True),
    "for inputs that no test has": (DOUBLE, "return aux(x) if x > 500 else 2 * x", TWICE, False),
    "alias": (DOUBLE, "g = aux\n    return g(x)", TWICE, True),
    "imported by its name": (DOUBLE, "from aux import aux as g\n    return g(x)", TWICE, True),
    "in a list": (DOUBLE, "return [abs, aux][1](x)", TWICE, True),
    "in a class": (
        "def aux(self, v):\n    return 2 * v\n",
        "class C:\n        go = aux\n    return C().go(x)",
        TWICE,
        True,
    ),
    "truth": (EVEN, "return sum(v for v in x if aux(v) or not aux(v))", SUMS, False),
    "truth that matters": (
        EVEN,
        "return [v for v in x if aux(v)]",
        [([1, 2], [2]), ([], []), ([4, 5, 6], [4, 6])],
        True,
    ),
    "any": (EVEN, "return any(map(aux, x))", [([1, 2], True), ([4, 3], True)], True),
    "sometimes None": (FIND, "return -1 if aux(x) is None else 2 * x", [(9, 18), (3, -1)], True),
    "a dict": (
        "def aux(x):\n    return {'a': x, 'b': x}\n",
        "d = aux(x)\n    return d['a'] + d['b']",
        TWICE,
        True,
    ),
    "the length of a dict": (
        "def aux(xs):\n    return dict(enumerate(xs))\n",
        "return len(aux(x))",
        [([7], 1), ([7, 8], 2)],
        True,
    ),
    "a set": ("def aux(xs):\n    return set(xs)\n", "return len(aux(x))", [([7, 7], 1), ([7, 8], 2)], True),
    "text": ("def aux(x):\n    return str(x)\n", "return int(aux(x)) * 2", TWICE, True),
    "equal texts": (
        "def aux(s):\n    return ''.join(sorted(s))\n",
        "return aux(x) == aux(x[::-1])",
        [("abc", True), ("aa", True)],
        True,
    ),
    "a tuple": ("def aux(x):\n    return x, x\n", "a, b = aux(x)\n    return a + b", TWICE, True),
    "an object": (
        "class Box:\n    def __init__(self, v):\n        self.v = v\ndef aux(x):\n    return Box(x)\n",
        "return 2 * aux(x).v",
        TWICE,
        True,
    ),
    "a class": (
        "class aux:\n    def __init__(self, v):\n        self.v = v\n",
        "return 2 * aux(x).v",
        TWICE,
        True,
    ),
    "cached": (
        "from functools import cache\n@cache\ndef aux(x):\n    return 2 * x\n",
        "aux.cache_clear()\n    return aux(x)",
        TWICE,
        True,
    ),
    "the sign alone": (DOUBLE, "return 2 * x if aux(x) >= 0 else 2 * x", TWICE, False),
    "the sign": (
        "def aux(x):\n    return x\n",
        "return 'less' if aux(x) < 0 else 'more'",
        [(3, "more"), (50, "more")],
        True,
    ),
    "fails everything": (DOUBLE, "return aux(x) + 1", TWICE, False),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as one:
        yield one


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_say_whether_the_helper_mattered(sandbox, name):
    aux, body, pairs, used = PROGRAMS[name]
    main = f"def f(x):\n    {body}\n"
    tests = [{"input": [x], "expected": y} for x, y in pairs]
    result = sandbox.grade(aux=aux, main=main, entry_point="f", tests=tests, counterfactual=True)
    assert result.aux_used is used
    assert result.passed == (0 if name == "fails everything" else len(pairs))
    lines = "".join(f"    assert candidate({x!r}) == {y!r}\n" for x, y in pairs)
    row = {"task_id": "t/0", "prompt": "def f(x):\n    '''What is wanted.'''\n", "entry_point": "f"}
    task = collm_envs.make_task("CoopHE-v1", items=[row | {"test": f"def check(candidate):\n{lines}"}])
    state = task.play(task.start(task.items("train")[0], 0), {"agent_0": aux, "agent_1": main})
    assert state.score.metrics["used_rate"] == float(used)


def test_tests_that_are_modules_ask_the_same_question(sandbox):
    check = "def check(candidate):\n    for x in range(3):\n        assert candidate(x) == 2 * x\n"
    for body, used in (("return aux(x)", True), ("aux(x)\n    return 2 * x", False)):
        how = {"aux": DOUBLE, "main": f"def f(x):\n    {body}\n", "entry_point": "f", "test": check}
        assert sandbox.check(**how, counterfactual=True).aux_used is used


def test_a_program_that_hangs_on_other_values_costs_one_limit_and_used_them(sandbox):
    main = "def f(x):\n    while aux(x) != 2 * x: pass\n    return 2 * x\n"
    how = {"aux": DOUBLE, "main": main, "entry_point": "f", "timeout_s": 0.2}
    result = sandbox.grade(tests=[{"input": [1], "expected": 2}], **how, counterfactual=True)
    assert result.without == {"aux": "timeout"}
    assert result.used == ("aux",)


def test_a_test_that_hung_by_itself_is_not_run_again(sandbox):
    main = "def f(x):\n    aux(x)\n    while x == 1: pass\n    return 2 * x\n"
    tests = [{"input": [x], "expected": 2 * x} for x in (3, 1, 2)]
    result = sandbox.grade(
        aux=DOUBLE, main=main, entry_point="f", tests=tests, timeout_s=0.2, counterfactual=True
    )
    assert result.tests == ("ok", "timeout", "not_run")
    assert result.without == {"aux": "ok"}


@pytest.mark.parametrize(
    "value",
    [
        3,
        -1,
        0,
        2.5,
        1 + 2j,
        True,
        "ab",
        "a",
        b"ab",
        bytearray(b"ab"),
        [1, 2],
        [[1], [2]],
        (1, "b"),
        {"a": 1},
        {1, 2},
        frozenset("ab"),
        range(4),
        [0.0],
        [None, 1],
        10**30,
    ],
)
def test_another_value_is_of_the_same_type_and_most_stubs_make_one(value):
    others = [stubs.change(value, stub, 1) for stub in stubs.STUBS.values()]
    assert {type(other) for other in others} == {type(value)}
    assert sum(other != value for other in others) >= 2


@pytest.mark.parametrize("empty", [[], (), {}, set(), "", b"", frozenset(), bytearray()])
def test_an_empty_container_becomes_another_one(empty):
    assert any(stubs.change(empty, stub, 1) != empty for stub in stubs.STUBS.values())


def test_a_value_inside_itself_ends():
    knot = [1]
    knot.append(knot)
    for stub in stubs.STUBS.values():
        stubs.change(knot, stub, 1)
