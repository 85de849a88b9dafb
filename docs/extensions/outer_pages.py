"""Pages of the repository that lie outside this folder become pages of the site, and links to files follow them.

On GitHub and in an editor the links in Markdown files lead to files; here, before a page is read, those that lead
outside this folder are turned to the page that shows the file, where there is one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "generated"

OUTER = {
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "SECURITY.md": "security",
    "backends/README.md": "own_backend",
    "examples/RESULTS.md": "results",
    "benchmarks/NOTES.md": "benchmark_notes",
}
"""Each file and the page it becomes, where it exists."""

LINK = re.compile(r"(?<=\]\()(?!https?://|#|mailto:)([^)\s#]+)")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    app.connect("source-read", turn_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Sphinx) -> None:
    GENERATED.mkdir(exist_ok=True)
    for path, page in OUTER.items():
        if (ROOT / path).exists():
            text = (ROOT / path).read_text(encoding="utf-8")
            write(GENERATED / f"{page}.md", turned(text, (ROOT / path).parent, GENERATED))


def turn_links(app: Sphinx, docname: str, source: list[str]) -> None:
    place = DOCS / f"{docname}.md"
    if docname == "index":
        source[0] = with_other_pages(source[0])
    if place.exists() and place.parent != GENERATED:
        source[0] = turned(source[0], place.parent, place.parent)


def with_other_pages(index: str) -> str:
    """Fill in what the front page's table of contents does not name, so that a new page is listed at once."""
    pages = sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")
    named = index.split()
    others = [page for page in pages if page not in named]
    security = ["generated/security"] if (GENERATED / "security.md").exists() else []
    return index.replace("OTHER PAGES", "\n".join(others)).replace("SECURITY", "\n".join(security))


def turned(text: str, here: Path, page_folder: Path) -> str:
    """Lead the links of a text that lies in *here* to where they lead from a page in *page_folder*."""

    def turn(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(here / link[1]))
        return Path(os.path.relpath(shown_at(target), page_folder)).as_posix()

    return LINK.sub(turn, text)


def shown_at(target: Path) -> Path:
    """Return the page that shows a file of the repository, or the file itself."""
    if not target.is_relative_to(ROOT):
        return target
    path = target.relative_to(ROOT).as_posix()
    if path == "README.md":
        return DOCS / "index.md"
    if path in OUTER:
        return GENERATED / f"{OUTER[path]}.md"
    if path == "examples":
        return DOCS / "gallery" / "index.rst"
    if target.parent == ROOT / "examples" and target.suffix == ".py" and target.stem != "common":
        return DOCS / "gallery" / f"{target.stem}.rst"
    return target


def write(path: Path, text: str) -> None:
    """Write a generated page where it differs, so that an unchanged one is not built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
