"""The search for links of a built site that lead nowhere."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "check_links.py"


@pytest.fixture(scope="module")
def links() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_links", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(site: Path, name: str, body: str) -> None:
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_text(f"<html><body>{body}</body></html>", encoding="utf-8")


def test_a_whole_site_has_no_faults(links: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, "index.html", '<h1 id="top"></h1><a href="more/page.html#part">x</a><a href="#top">x</a>')
    write(tmp_path, "more/page.html", '<p id="part"><a href="../index.html">x</a><a href="https://example.org">x</a>')
    assert links.faults(tmp_path) == []
    assert links.main(tmp_path) == 0


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">x</a>', "index.html leads to gone.html, which is not there"),
        ('<img src="gone.png">', "index.html leads to gone.png, which is not there"),
        ('<a href="#gone">x</a>', "index.html leads to #gone: there is no such place on that page"),
        ('<a href="page.html#gone">x</a>', "index.html leads to page.html#gone: there is no such place on that page"),
        (
            '<script src="https://example.org/a.js"></script>',
            "index.html fetches https://example.org/a.js from outside",
        ),
        ('<link rel="stylesheet" href="//example.org/a.css">', "index.html fetches //example.org/a.css from outside"),
    ],
)
def test_each_fault_is_named(links: ModuleType, tmp_path: Path, body: str, fault: str) -> None:
    write(tmp_path, "index.html", body)
    write(tmp_path, "page.html", "<p>")
    assert links.faults(tmp_path) == [fault]
    assert links.main(tmp_path) == 1
