"""What notebooks show: HTML that is well-formed, escaped, self-contained, and readable on light and dark."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any
from xml.etree import ElementTree

import pytest

import xpnet
from xpnet import Dense, History, Network
from xpnet.html import MOST_POINTS, Markup, history_html, table_html


def parsed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html)


def cells(html: str) -> list[list[str]]:
    """Return the texts of each row."""
    return [["".join(cell.itertext()) for cell in row] for row in parsed(html).iter("tr")]


def shown(thing: Any) -> str:
    html: str = thing._repr_html_()
    return html


def test_a_summary_is_text_and_a_table(backend: xpnet.Backend) -> None:
    net = Network([Dense(4), "relu", Dense(3)], inputs=2, backend=backend)
    summary = net.summary()
    assert isinstance(summary, str)
    assert str(summary).splitlines()[-1] == "27 parameters, 0 steps trained"
    assert cells(shown(summary)) == [
        ["layer", "", "output shape", "parameters"],
        ["", "input", "(2,)", ""],
        ["0", "Dense(4)", "(4,)", "12"],
        ["1", "ReLU()", "(4,)", "0"],
        ["2", "Dense(3)", "(3,)", "15"],
        ["27 parameters, 0 steps trained"],
    ]
    assert parsed(shown(summary)).find("caption").text == summary.splitlines()[0]  # type: ignore[union-attr]


def test_a_network_shows_layers_what_trains_them_and_how_it_went() -> None:
    net = Network([Dense(3)], seed=7)
    assert cells(shown(net)) == [["layer", ""], ["0", "Dense(3)"]]
    assert "not built" in shown(net)
    assert "loss CrossEntropy(), optimizer Adam(), seed 7" in shown(net)
    net.fit(*xpnet.clouds(5), epochs=2, verbose=0)
    found = cells(shown(net))
    assert ["0", "Dense(3)", "(3,)", "9"] in found
    assert [row[0] for row in found[-3:]] == ["loss", "accuracy", "learning_rate"]


def test_a_history_shows_a_curve_and_figures() -> None:
    html = shown(History({"loss": [3.0, 1.0, 2.0], "val_loss": [float("nan")] * 3}))
    assert cells(html) == [["result", "", "first", "lowest", "highest", "last"], ["loss", "", "3", "1", "3", "2"]]
    (path,) = parsed(html).iter("path")
    assert path.get("d") == "M2.0 2.0h.1L80.0 30.0L158.0 16.0"
    assert "3 epochs" in html


def test_a_curve_has_gaps_a_middle_and_an_end() -> None:
    nan = float("nan")
    (gap,) = parsed(history_html({"loss": [0.0, nan, 1.0]})).iter("path")
    assert gap.get("d") == "M2.0 30.0h.1M158.0 2.0h.1"
    (flat,) = parsed(history_html({"loss": [5.0]})).iter("path")
    assert flat.get("d") == "M2.0 16.0h.1"
    assert cells(history_html({"loss": [nan, 1.0, float("inf")]}))[1][2:] == ["nan", "1", "1", "inf"]


def test_a_long_curve_is_thinned() -> None:
    html = history_html({"loss": [float(epoch) for epoch in range(100_000)]})
    assert len(html) < 10_000
    (path,) = parsed(html).iter("path")
    assert path.get("d", "").count("L") < MOST_POINTS


def test_a_history_of_nothing() -> None:
    assert shown(History()) == "<div>History: 0 epochs</div>"
    assert "1 epoch<" in history_html({"loss": [1.0]})


@pytest.mark.parametrize("nasty", ["<script>alert(1)</script>", "a & b", '"><img src=x>', "'"])
def test_every_text_is_escaped(nasty: str) -> None:
    html = table_html(nasty, [nasty], [[nasty]], nasty)
    assert [row[0] for row in cells(html)] == [nasty] * 3
    assert cells(history_html({nasty: [1.0]}))[1][0] == nasty
    net = Network([Dense(2)])
    object.__setattr__(net.model.layers[0], "units", nasty)
    assert "<script" not in shown(net)
    assert "<img" not in shown(net)


def test_it_needs_nothing_from_elsewhere_and_no_colour_of_its_own() -> None:
    net = Network([Dense(3)])
    net.fit(*xpnet.clouds(5), epochs=1, verbose=0)
    html = shown(net)
    assert not re.search(r"https?:|url\(|<script|<style|class=|id=", html)
    # The notebook's own text colour, transparent, and a grey that shows on white and on black.
    assert set(re.findall(r"#[0-9a-f]{3,6}|rgba?\([^)]*\)", html)) == {"rgba(128,128,128,.4)"}
    assert set(re.findall(r"(?:stroke|fill)=\"([^\"]*)\"", html)) == {"currentColor", "none"}


def test_a_markup_is_copied_with_its_html() -> None:
    text = Markup("text", "<b>text</b>")
    for twin in (pickle.loads(pickle.dumps(text)), copy.deepcopy(text)):
        assert (twin, shown(twin), type(twin)) == ("text", "<b>text</b>", Markup)
