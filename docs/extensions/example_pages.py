"""The gallery's pages get a title and the committed pictures; sphinx-gallery makes the rest of them.

The examples' docstrings are also their ``--help``, so the title is their first line up to its first comma or colon.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx_gallery.utils import scale_image

DOCS = Path(__file__).parents[1]
EXAMPLES = DOCS.parent / "examples"
AFTER_THE_GALLERY = 900  # the priority of what follows sphinx-gallery's own work at the start of a build


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", show_thumbnails, priority=AFTER_THE_GALLERY)
    app.connect("source-read", complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def pictures(example: str) -> list[Path]:
    """Return the pictures of an example: NAME.png, or NAME_a.png and so on."""
    found = sorted((EXAMPLES / "pictures").glob(f"{example}*.png"))
    return [path for path in found if re.fullmatch(rf"{example}(_[a-z])?", path.stem)]


def show_thumbnails(app: Sphinx) -> None:
    thumbnails = DOCS / "gallery" / "images" / "thumb"
    for script in EXAMPLES.glob("*.py"):
        for picture in pictures(script.stem)[-1:]:
            scale_image(str(picture), str(thumbnails / f"sphx_glr_{script.stem}_thumb.png"), 400, 280)


def complete(app: Sphinx, docname: str, source: list[str]) -> None:
    """Set the title and the pictures before the docstring of an example's page."""
    folder, _, name = docname.rpartition("/")
    script = EXAMPLES / f"{name}.py"
    if folder != "gallery" or not script.exists():
        return
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    first = docstring.partition("\n")[0]
    title = re.split("[,:.]", first)[0]
    shown = "".join(
        f".. image:: ../../examples/pictures/{picture.name}\n   :alt: What {name}.py draws ({picture.stem})\n\n"
        for picture in pictures(name)
    )
    commands = re.compile(r"\n\n((?: {4}\S.*\n?)+)")
    body = commands.sub(r"\n\n.. code-block:: sh\n\n\1", docstring)
    source[0] = source[0].replace(docstring, f"{title}\n{'=' * len(title)}\n\n{shown}{body}\n", 1)
