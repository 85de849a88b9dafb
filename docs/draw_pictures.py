"""Make the pictures of docs/plotting.md from the code on that page.

python docs/draw_pictures.py
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent.resolve()
COLORS = 128
"""In a palette: a picture with shades takes a third of the bytes, and looks the same."""


def main() -> None:
    """Run the page from top to bottom, and keep the pictures that it shows."""
    page = (HERE / "plotting.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.chdir(folder):
            exec(compile(code, "plotting.md", "exec"), {"__name__": "__main__"})
        for name in re.findall(r"\]\(pictures/([\w.]+)\)", page):
            picture = Image.open(Path(folder) / name).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
            picture.save(HERE / "pictures" / name, optimize=True)
            print(f"{name}: {(HERE / 'pictures' / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
