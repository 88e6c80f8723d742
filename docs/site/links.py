"""Links of a page to files that the site does not have, such as code: the site names the file in their place."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

# Code that is fenced, indented, or in a line.
CODE = re.compile(r"(^```.*?^```$|^(?: {4}[^\n]*\n)+|`(?!\])[^`\n]+`(?!\]\())", re.M | re.S)
LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)")


def readable(markdown: str, page: str, has: Callable[[str], bool]) -> str:
    """The text of a page with the links that `has` does not know as the path of their file.

    `page` is the file of the page, and `has` tells whether the site has a file, both as the repository names them. Code stays
    as it is, with what looks like a link in it."""

    def shown(link: re.Match[str]) -> str:
        words, target = link[1], link[2].partition("#")[0]
        if not target or "://" in target or target.startswith("mailto:"):
            return link[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if has(file):
            return link[0]
        bare = words.strip("`")
        return f"`{file}`" if file.endswith(bare) else f"{words} (`{file}`)"

    return "".join(part if i % 2 else LINK.sub(shown, part) for i, part in enumerate(CODE.split(markdown)))
