"""Builds wheel and sdist of the commit that is checked out, with links that work outside of the repository.

    python .github/release.py ADDRESS [OUT]         needs git, and `pip install build twine`

ADDRESS is the repository's, such as https://github.com/NAME/collm.  In a copy of the tracked files the links
of README.md lead to it and pyproject.toml gets `[project.urls]`; `build` and `twine check --strict` follow.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = (".png", ".gif", ".svg")


def absolute(text: str, address: str, tag: str) -> str:
    """The text with its relative links as addresses of files at a tag."""

    def turn(link: re.Match[str]) -> str:
        path = link[2]
        if "://" in path or path.startswith("#"):
            return link[0]
        kind = "raw" if path.endswith(PICTURES) else "blob"
        return f"{link[1]}({address}/{kind}/{tag}/{path})"

    return re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", turn, text)


def urls(address: str) -> str:
    """The table of addresses in pyproject.toml."""
    places = {"Repository": "", "Issues": "/issues", "Changelog": "/blob/main/CHANGELOG.md"}
    return "\n[project.urls]\n" + "".join(f'{name} = "{address}{path}"\n' for name, path in places.items())


def main(address: str, out: str = "dist") -> None:
    """Build and check."""
    if not re.fullmatch(r"https://[\w./-]+[\w-]", address):
        raise SystemExit(
            f"need the repository's address, such as https://github.com/NAME/collm, got {address!r}"
        )
    pack = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(pack)) as tracked:
        tracked.extractall(folder, filter="data")
        project, readme = Path(folder, "pyproject.toml"), Path(folder, "README.md")
        text = project.read_text(encoding="utf-8")
        version = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
        assert version
        project.write_text(text + urls(address), encoding="utf-8")
        turned = absolute(readme.read_text(encoding="utf-8"), address, f"v{version[1]}")
        readme.write_text(turned, encoding="utf-8")
        target = str(Path(out).resolve())
        subprocess.run([sys.executable, "-m", "build", "--outdir", target, folder], check=True)
    files = [str(path) for path in sorted(Path(target).iterdir()) if version[1] in path.name]
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
