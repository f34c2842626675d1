"""The documentation: pages by hand run, pages from the code are whole, links lead somewhere."""

import ast
import re
import shlex
import sys

import pytest
from folders import ROOT

from baselines.cli import main

sys.path.append(str(ROOT / "docs/_ext"))
import accessible
import algorithms
import environments
import links
import prose
import reference
import repository

BY_HAND = [path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "use-with.md"]
WRITTEN = ("index", "models", "real", "placement", "memory-and-vllm", "credit", "sandbox", "studies", "verl")
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in BY_HAND if path.stem in WRITTEN}


@pytest.mark.parametrize("name", PAGES)
def test_the_python_of_a_page_runs(name):
    for block in re.findall(r"^```python\n(.*?)^```$", PAGES[name], re.MULTILINE | re.DOTALL):
        exec(compile(block, f"{name}.md", "exec"), {"__name__": "page"})


def test_the_commands_of_the_pages_have_verbs_and_flags_that_exist():
    from baselines.cli.train import read

    blocks = "".join(re.findall(r"^```sh\n(.*?)^```$", "\n".join(PAGES.values()), re.MULTILINE | re.DOTALL))
    inline = re.findall(r"`(collm [^`]+)`", "\n".join(PAGES.values()).replace("\n", " "))
    lines = [line for line in blocks.splitlines() if line.startswith("collm ")] + inline
    assert len(lines) >= 8
    assert [line for line in lines if line.split()[1] not in main.VERBS] == []
    begun = [shlex.split(line)[2:] for line in lines if line.startswith("collm train ") and "--" in line]
    assert len([read(name, flags) for name, *flags in begun]) >= 4


def targets_in(page: str) -> list[str]:
    """What a page has `make` do, in its sentences and in its blocks of commands."""
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    lines = re.findall(r"`make ([^`]+)`", page.replace("\n", " "))
    lines += re.findall(r"^(?:\w+=\S* )*make ([^#\n]+)", blocks, re.MULTILINE)
    return [word for line in lines for word in line.split() if "=" not in word]


def files_in(page: str) -> list[str]:
    """The files and folders of the repository that a page names by their path, links left out."""
    folders = "baselines|collm_envs|docs|examples|leaderboard|studies|tests"
    return [path.rstrip(".-/") for path in re.findall(rf"(?<![\w/.\"-])(?<!]\()(?:{folders})/[\w./-]+", page)]


def test_files_and_make_targets_are_found_wherever_a_page_names_them():
    page = (
        "(tests/a/b-c.py), [x](docs/x.md), studies/y. `make lint\ntest`\n```sh\nA=1 make z-1 B=2 # c\n```\n"
    )
    assert files_in(page) == ["tests/a/b-c.py", "studies/y"]
    assert targets_in(page) == ["lint", "test", "z-1"]


def test_the_files_and_make_targets_that_the_pages_name_are_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [(name, target) for name in PAGES for target in targets_in(PAGES[name])]
    assert len(named) >= 3
    assert [pair for pair in named if pair[1] not in targets] == []
    files = [(name, file) for name in PAGES for file in files_in(PAGES[name])]
    assert len(files) >= 20
    assert [pair for pair in files if not (ROOT / pair[1]).exists()] == []


@pytest.mark.parametrize("name", algorithms.names())
def test_the_page_of_an_algorithm_has_a_sentence_for_every_setting(name):
    page = algorithms.page(name) + algorithms.settings_page()
    rows = re.findall(r"^\| `\w+` \|.*\|$", page, re.MULTILINE)
    assert len(rows) > 40
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_page_of_maac_has_its_formula_and_the_published_settings():
    page = algorithms.page("maac")
    assert "delta_t  = r_t + gamma V(h_{t+1}) - V(h_t)" in page
    assert "| TLDR-v0 | CoLLM-CC | " in page


def undocumented(source: str) -> list[str]:
    """The public classes and functions of a module, and their public methods, that have no docstring."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            members = node.body if isinstance(node, ast.ClassDef) else []
            methods = [m for m in members if isinstance(m, ast.FunctionDef) and not m.name.startswith("_")]
            found += [inner.name for inner in (node, *methods) if not ast.get_docstring(inner)]
    return found


MODULES = [module for _, modules in reference.PAGES.values() for module in modules]


@pytest.mark.parametrize("module", MODULES)
def test_what_the_reference_shows_has_a_docstring(module):
    """`make docs` says the same, and of more: of names that a package takes from its modules."""
    file = ROOT / module.replace(".", "/")
    source = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    assert undocumented(source.read_text(encoding="utf-8")) == []


def test_the_table_of_environments_has_them_all():
    assert environments.overview().count("-v0](") >= 5


def test_links_of_the_repository_lead_to_pages_or_become_text(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    text = (
        "[a](leaderboard/README.md#x) [b](baselines/maac.py) [c](https://example.org) [d](docs/use-with.md)"
    )
    assert repository.turned(text, "README.md") == (
        "[a](board.md#x) b [c](https://example.org) [d](use-with.md)"
    )
    for name, value in (("SERVER_URL", "https://host"), ("REPOSITORY", "me/it"), ("REF_NAME", "main")):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    assert repository.turned("[`p`](lists.py)", "leaderboard/README.md") == (
        "[`p`](https://host/me/it/blob/main/leaderboard/lists.py)"
    )


def test_a_section_ends_where_the_next_begins():
    assert repository.section("# T\n## A\nx\n### B\ny\n## C\nz", "A") == "## A\nx\n### B\ny"
    with pytest.raises(ValueError, match="no heading '## D'"):
        repository.section("# T", "D")


DOCSTRING = """Text with a*b, `r_t` and **bold**.

    R = a_b * c

- first
- second
  in two lines"""


def test_a_docstring_becomes_restructured_text_without_meaning_what_it_does_not():
    assert prose.as_rst(DOCSTRING) == [
        "Text with a\\*b, ``r_t``\\  and **bold**.",
        "",
        ".. code-block:: text",
        "",
        "    R = a_b * c",
        "",
        "- first",
        "",
        "- second in two lines",
        "",
    ]


def test_a_docstring_becomes_markdown():
    assert "\n\n```text\nR = a_b * c\n```\n\n- first\n\n- second" in prose.as_markdown(DOCSTRING)


def test_pages_of_the_theme_are_mended_for_keyboards_and_screen_readers():
    page = '<p role="heading">x</p><pre>y</pre><pre class="a">z</pre><dl><dt>t</dt>\n</dl>'
    assert accessible.mended(page) == (
        '<p role="heading" aria-level="2">x</p><pre tabindex="0">y</pre><pre tabindex="0" class="a">z</pre>'
        "<dl><dt>t</dt><dd></dd></dl>"
    )
    signature = '<dl>\n<dd><em class="sig-param">a</em>,</dd>\n</dl>'
    assert "<dl>" not in accessible.mended(signature)
    assert '<span class="argument"><em class="sig-param">a</em>,</span>' in accessible.mended(signature)
    assert accessible.mended(accessible.mended(page)) == accessible.mended(page)


def test_dead_links_and_foreign_assets_are_found(tmp_path):
    (tmp_path / "b.html").write_text('<h2 id="there">x</h2><a href="https://example.org">y</a>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a><a href="#gone">4</a>'
        '<img src="https://example.org/x.png"><img src="data:,"><script src="d.js"></script>'
    )
    assert links.broken(tmp_path) == [
        "a.html: b.html#gone: no such place on that page",
        "a.html: c.html: no such file",
        "a.html: #gone: no such place on that page",
        "a.html: https://example.org/x.png: loaded from elsewhere",
        "a.html: d.js: no such file",
    ]
