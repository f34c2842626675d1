"""Finds links of a built site that lead nowhere, and what its pages would fetch from other machines."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
"""element -> the attribute whose address a browser loads with the page"""


class Page(HTMLParser):
    """The addresses and anchors of one page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[tuple[str, bool]] = []
        """(address, whether it is loaded with the page)"""
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by `HTMLParser` for each element."""
        values = dict(attrs)
        self.anchors |= {values[name] or "" for name in ("id", "name") if name in values}
        for name in ("href", "src"):
            if name in values:
                self.links.append((values[name] or "", FETCHED.get(tag) == name))


def broken(site: Path) -> list[str]:
    """One line for each link of the site's pages to a missing file or anchor, and for each foreign asset."""

    @cache
    def read(path: Path) -> Page:
        return Page(path.read_text(encoding="utf-8"))

    faults = []
    for path in sorted(site.rglob("*.html")):
        for address, loaded in dict.fromkeys(read(path).links):
            fault = _fault(path, address, loaded, read)
            if fault:
                faults.append(f"{path.relative_to(site)}: {address}: {fault}")
    return faults


def _fault(path: Path, address: str, loaded: bool, read) -> str:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return "loaded from elsewhere" if loaded and parts.scheme != "data" else ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "no such file"
    if parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in read(target).anchors:
        return "no such place on that page"
    return ""
