"""Every Python example of docs/use-with.md runs where its library is."""

import importlib.util
import re
import warnings

import pytest
from folders import ROOT

PAGE = ROOT / "docs/use-with.md"
EXAMPLES = re.findall(r"```python\n# needs (\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


def test_every_python_example_says_what_it_needs():
    assert len(EXAMPLES) == PAGE.read_text(encoding="utf-8").count("```python") >= 9


@pytest.mark.parametrize(
    ("package", "code"), EXAMPLES, ids=[f"{package}-{k}" for k, (package, _) in enumerate(EXAMPLES)]
)
def test_the_example_runs(package, code):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, f"{PAGE.name}, needs {package}", "exec"), {"__name__": "example"})
