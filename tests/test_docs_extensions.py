"""What the site makes of the repository: links, the reference, and measured figures."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

import xpnet

pytest.importorskip("sphinx", reason="the site is built with Sphinx; pip install --group docs")
pytest.importorskip("matplotlib", reason="the site's pictures are drawn with matplotlib")

ROOT = Path(__file__).parents[1]


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``extension("measured")`` imports a module of docs/extensions as Sphinx does."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "extensions"))
    return importlib.import_module


@pytest.mark.parametrize(
    ("link", "page"),
    [
        ("[x](../CONTRIBUTING.md)", "[x](generated/contributing.md)"),
        ("[x](../backends/README.md#the-contract)", "[x](generated/own_backend.md#the-contract)"),
        ("[x](../examples/spiral.py)", "[x](gallery/spiral.rst)"),
        ("[x](../examples)", "[x](gallery/index.rst)"),
        ("[x](../README.md)", "[x](index.md)"),
        ("[x](../xpnet/nn.py)", "[x](../xpnet/nn.py)"),
        ("[x](guide.md#data)", "[x](guide.md#data)"),
        ("[x](https://example.org/a.md) [y](#here)", "[x](https://example.org/a.md) [y](#here)"),
    ],
)
def test_links_lead_to_the_pages_that_show_the_files(extension: Any, link: str, page: str) -> None:
    outer = extension("outer_pages")
    assert outer.turned(link, outer.DOCS, outer.DOCS) == page


def test_a_page_that_nobody_listed_is_on_the_front_page(extension: Any) -> None:
    outer = extension("outer_pages")
    index = outer.with_other_pages((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    listed = index.split()
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"} <= set(listed)


def test_the_reference_holds_every_public_name(extension: Any) -> None:
    reference = extension("reference_pages")
    pages = "".join(text for _, text in reference.subject_pages())
    entries = {line.partition(":: ")[2] for line in pages.splitlines() if line.startswith(".. auto")}
    assert entries >= {f"xpnet.{name}" for name in xpnet.__all__} - {"xpnet.__version__"}
    wanted = reference.public_names()
    assert {f"xpnet.{name}" for name in xpnet.__all__} <= wanted
    assert {
        "xpnet.testing.check_layer",
        "xpnet.nn.softmax",
        "xpnet.checkpoint.read_notes",
        "xpnet_backends.on_cupy.open",
    } <= wanted


@pytest.mark.parametrize(
    ("line", "safe"),
    [
        ("the norm |z| of z", r"the norm \|z\| of z"),
        ("x : array (batch, *in_shape)", r"x : array (batch, \*in_shape)"),
        (r":math:`|z|` and ``*args)``", r":math:`|z|` and ``*args)``"),
        ("with *emphasis* kept", "with *emphasis* kept"),
    ],
)
def test_signs_in_docstrings_are_no_markup(extension: Any, line: str, safe: str) -> None:
    assert extension("reference_pages").escaped(line) == safe


def test_the_newest_whole_results_are_shown(extension: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured = extension("measured")
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    for name, date, quick in (("b", "2026-01-02", False), ("a", "2026-01-03", False), ("c", "2026-01-04", True)):
        results = {"machine": {"date": date, "quick": quick}, "works": {}}
        (tmp_path / f"{name}.json").write_text(json.dumps(results), encoding="utf-8")
    (tmp_path / "d.json").write_text("{}", encoding="utf-8")
    assert measured.newest()[0].name == "a.json"


def test_the_lowest_median_of_a_column_is_bold_and_the_limit_never(extension: Any) -> None:
    peers = {"xpnet": {"median": 30.0}, "torch": {"median": 200.0}, "limit": {"median": 10.0}}
    table = extension("measured").medians({"works": {"mlp": {"peers": peers}}}, ["mlp"])
    assert "| xpnet, train_step | **30.0** |" in table
    assert "| torch eager | 200 |" in table
    assert "| matrix products alone | 10.0 |" in table
