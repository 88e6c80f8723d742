"""What mkdocs calls while it builds the site (mkdocs.yml). The site has the files and the addresses of the repository: README.md,
docs/, experiments/. So a link that works in the repository works in the site, and mkdocs checks it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from formulas import with_formulas
from links import readable
from reference import commands_page, library_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "experiments/README.md",
    "experiments/*/README.md",
)
OTHERS = (
    "docs/*.png",
    "experiments/*/*.png",
    "benchmarks/results/*.json",
    "benchmarks/results/*.png",
    "docs/site/*.css",
    "docs/site/*.js",
)
MADE = {"docs/reference/commands.md": commands_page, "docs/reference/library.md": library_page}


def sources() -> list[str]:
    """The files of the repository that are in the site, as the repository names them."""
    found = [path for pattern in (*PAGES, *OTHERS) for path in sorted(ROOT.glob(pattern)) if path.is_file()]
    return [path.relative_to(ROOT).as_posix() for path in found]


def studies() -> list[str]:
    """The pages of the studies, in the order of experiments/README.md."""
    text = (ROOT / "experiments" / "README.md").read_text("utf-8")
    named = [f"experiments/{name}" for name in re.findall(r"^\| \[\w+\]\((\w+/README\.md)\)", text, re.M)]
    return ["experiments/README.md", *named]


def on_config(config: Any) -> Any:
    for entry in config.nav:
        if "Studies" in entry:
            entry["Studies"] = studies()
    return config


def on_files(files: Any, config: Any) -> Any:
    """The repository's files in place of those of docs/, and the pages that are made from the code."""
    from mkdocs.structure.files import File

    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    for name in sources():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for name, made in MADE.items():
        files.append(File.generated(config, name, content=made()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    return readable(markdown, page.file.src_uri, lambda uri: files.get_file_from_path(uri) is not None)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    return with_formulas(html)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """The theme's search is a dialog without a name."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')
