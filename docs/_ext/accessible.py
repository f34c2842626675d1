"""Mends what the theme's pages lack for keyboards and screen readers, after Sphinx has written them."""

from __future__ import annotations

import re

MENDED = (
    # a heading says of which level it is
    (re.compile(r'role="heading">'), 'role="heading" aria-level="2">'),
    # what scrolls can be reached by keyboard
    (re.compile(r"<pre(?! tabindex)"), '<pre tabindex="0"'),
    (re.compile(r'<div class="table-wrapper'), '<div tabindex="0" class="table-wrapper'),
    # two landmarks of one kind have names
    (re.compile(r'<aside class="sidebar-drawer"'), '<aside aria-label="all pages" class="sidebar-drawer"'),
    (re.compile(r'<aside class="toc-drawer'), '<aside aria-label="on this page" class="toc-drawer'),
    # a term without a definition is no list
    (re.compile(r"</dt>\s*</dl>"), "</dt><dd></dd></dl>"),
)
"""what is looked for -> what stands in its place"""
_ARGUMENTS = re.compile(r"<dl>(\s*<dd><em class=\"sig-param\">.*?)</dl>", re.DOTALL)
"""a signature over several lines, which is a list of definitions without a term"""


def mended(html: str) -> str:
    """A page of the theme as it should be."""
    for pattern, text in MENDED:
        html = pattern.sub(text, html)
    return _ARGUMENTS.sub(lambda found: _lines(found[1]), html)


def _lines(arguments: str) -> str:
    """The arguments of a signature, a line each."""
    inner = arguments.replace("<dd>", '<span class="argument">').replace("</dd>", "</span>")
    return f"<span>{inner}</span>"
