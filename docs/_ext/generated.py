"""Writes the pages made from the code before Sphinx reads its sources, and checks all links at the end.

Written are `environments/`, `algorithms/`, `reference/`, `results/`, `extending.md`, `glossary.md`,
`board.md` and the style of drawings, and into `_extra/` what is no page of Sphinx: board and studies.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import algorithms
import environments
import links
import reference
import repository
from accessible import mended
from prose import as_markdown
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import collm_envs
from collm_envs import catalogue, pages
from leaderboard.build import build

BOARD = repository.ROOT / "leaderboard/entries"
DEMO = repository.ROOT / "runs/demo/report.html"
"""written by `make demo`; the site has it only if it is there"""
STUDIES = repository.ROOT / "studies/results"


def write(app: Sphinx) -> None:
    """Write all pages; those that did not change keep their date, so that Sphinx does not read them again."""
    source, extra = Path(app.srcdir), Path(app.srcdir) / "_extra"
    shutil.rmtree(extra, ignore_errors=True)
    shutil.copytree(STUDIES, extra / "studies", ignore=shutil.ignore_patterns("*.csv", "*.tex", "*.md"))
    (source / "results").mkdir(exist_ok=True)
    for picture in STUDIES.glob("*.png"):
        shutil.copy2(picture, source / "results")
    (extra / "catalogue.html").write_text(catalogue.html(), encoding="utf-8")
    if DEMO.exists():
        shutil.copy2(DEMO, extra / "demo.html")
    rows = build(BOARD, extra / "board", docs="../")
    ids = list(collm_envs.registry)
    texts = {
        "environments/index.md": environments.overview(),
        **{f"environments/{id}.md": environments.page(id, rows) for id in ids},
        "algorithms/index.md": algorithms.overview(),
        "algorithms/settings.md": algorithms.settings_page(),
        **{f"algorithms/{name}.md": algorithms.page(name) for name in algorithms.names()},
        "reference/index.md": reference.overview(),
        **{f"reference/{name}.rst": reference.page(name) for name in reference.PAGES},
        **dict(_of_the_repository()),
        "_static/collm.css": _style(),
    }
    for name, text in texts.items():
        path = source / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")


def _of_the_repository() -> Iterator[tuple[str, str]]:
    """(name, text) of the pages that are parts of files of the repository."""
    guide = repository.read("CONTRIBUTING.md")
    chapters = ("An environment", "An algorithm", "A credit function", "An adapter", "A hole in the sandbox")
    text = "\n\n".join(repository.section(guide, chapter) for chapter in chapters)
    yield "extending.md", f"# Extending\n\n{EXTENDING}\n\n{repository.turned(text, 'CONTRIBUTING.md')}\n"
    words = repository.section(guide, "Words").removeprefix("## Words")
    yield "glossary.md", f"# Glossary\n\nOne word, one meaning, here and in the code.\n\n{words.strip()}\n"
    rules = repository.docstring("baselines/credit/rules.py")
    yield "_parts/credit.md", f"{as_markdown(rules)}\n"
    yield "_parts/demo.md", SEE_DEMO if DEMO.exists() else "`make demo` writes a report of such a run.\n"
    for study in ("v1_players", "mixing"):
        yield f"results/{study}.md", repository.read(f"studies/results/{study}.md")
    board = repository.turned(repository.read("leaderboard/README.md"), "leaderboard/README.md")
    yield "board.md", board.replace("\n\n", f"\n\n{SEE_BOARD}\n\n", 1)


EXTENDING = """\
Environments, algorithms and policies of your own live in a package or a folder of yours; nothing of `collm`
has to be edited. `collm init env NAME` and `collm init algorithm NAME` write a module and its test to begin
with; a policy is a function or a class: `collm eval ENV --policy py:package.module:function`
([](models.md))."""
SEE_DEMO = 'What that looks like: <a href="demo.html">the report of the demo</a>.\n'
SEE_BOARD = '<p><a href="board/index.html">Open the board.</a></p>'


def _style() -> str:
    """The rules of the episode pages' style sheet that drawings need, for furo's light and dark themes."""
    css = (Path(pages.__file__).parent / "page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{\n(.*?)\n\s*\}", css, re.DOTALL)[:2]
    rules = re.findall(r"^\.(?:world|chart|legend)\b[^{@]*\{[^}]*\}$", css, re.MULTILINE)
    night = "body:not([data-theme=light])"
    return "\n".join(
        [
            f"body {{\n{light.replace('color-scheme: light dark;', '')}\n}}",
            f"body[data-theme=dark] {{\n{dark}\n}}",
            f"@media (prefers-color-scheme: dark) {{ {night} {{\n{dark}\n}} }}",
            *rules,
            "figure svg { display: block; width: 100%; height: auto; overflow: visible; }",
            "figure { margin: 1.5rem 0; } figcaption { font-size: .85rem; }",
            ".table-wrapper { overflow-x: auto; }",
            ".argument { display: block; padding-left: 2rem; }",
            "",
        ]
    )


def turn_links(app: Sphinx, name: str, text: list[str]) -> None:
    """Turn the links of a page that is written by hand and also read in the repository."""
    path = Path(app.srcdir) / f"{name}.md"
    if path.parent == Path(app.srcdir) and path.exists():
        text[0] = repository.turned(text[0], f"docs/{name}.md")


def check(app: Sphinx, failure: Exception | None) -> None:
    """Mend the written pages; fail for links that lead nowhere and for what is fetched from elsewhere."""
    if failure is not None:
        return
    for name in app.project.docnames:
        path = Path(app.outdir) / f"{name}.html"
        path.write_text(mended(path.read_text(encoding="utf-8")), encoding="utf-8")
    if broken := links.broken(Path(app.outdir)):
        raise ExtensionError("\n".join([f"{len(broken)} links lead nowhere:", *broken[:20]]))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write)
    app.connect("source-read", turn_links)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True}
