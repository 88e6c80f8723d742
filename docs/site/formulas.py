"""Formulas as MathML, which browsers draw themselves: no script, no font, no network."""

from __future__ import annotations

import re
from html import unescape

MARKED = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def with_formulas(html: str) -> str:
    """The page with each formula, which Markdown marked, as MathML. The LaTeX stays as the formula's annotation."""

    def drawn(found: re.Match[str]) -> str:
        from latex2mathml.converter import convert

        block = found[2] == "["
        made: str = convert(unescape(found[3]).strip(), display="block" if block else "inline")
        return f'<div class="formula" tabindex="0" role="group" aria-label="formula">{made}</div>' if block else made

    return MARKED.sub(drawn, html)
