"""Show networks, summaries and histories in a notebook, as small self-contained HTML in which all text is escaped.

Colours are the notebook's own text colour and transparent greys, so that light and dark themes both work.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

__all__ = ["Markup", "history_html", "table_html"]

LINE = "1px solid rgba(128,128,128,.4)"
CELL = "padding:.2em .8em;text-align:{align};white-space:nowrap;background:transparent;color:inherit"
WIDTH, HEIGHT = 160, 32
"""Of a curve, CSS pixels."""
MOST_POINTS = 2 * WIDTH
"""A curve of more epochs is thinned: a screen shows no more."""


class Markup(str):
    """A text that notebooks show as HTML, and everything else as text."""

    __slots__ = ("html",)

    html: str

    def __new__(cls, text: str, html: str) -> Markup:
        """Hold a text and its HTML."""
        made = super().__new__(cls, text)
        made.html = html
        return made

    def __reduce__(self) -> tuple[type[Markup], tuple[str, str]]:
        """Copy and pickle both."""
        return Markup, (str(self), self.html)

    def _repr_html_(self) -> str:
        return self.html


def table_html(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], foot: str = "", *, right: Iterable[int] = ()
) -> str:
    """Return a table of texts, in which the columns *right* (counted from 0) are aligned to the right.

    >>> "&lt;b&gt;" in table_html("a table", ["name"], [["<b>"]])
    True
    """
    return _table(caption, head, [[escape(cell) for cell in row] for row in rows], foot, set(right))


def history_html(history: Mapping[str, Sequence[float]]) -> str:
    """Return a table with a row for each result: its curve, its first, lowest, highest and last value."""
    epochs = max((len(values) for values in history.values()), default=0)
    rows = []
    for name, values in history.items():
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            figures = [_number(value) for value in (values[0], min(finite), max(finite), values[-1])]
            rows.append([escape(name), _curve(values), *figures])
    count = f"{epochs:,} epoch{'' if epochs == 1 else 's'}"
    if not rows:
        return f"<div>History: {count}</div>"
    return _table(f"History: {count}", ["result", "", "first", "lowest", "highest", "last"], rows, "", {2, 3, 4, 5})


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], foot: str, right: set[int]) -> str:
    """Return a table; the cells of *rows* are HTML already, all other texts are escaped here."""
    aligned = [CELL.format(align="right" if column in right else "left") for column in range(len(head))]

    def row(tag: str, cells: Sequence[str], more: str = "") -> str:
        content = "".join(
            f'<{tag} style="{style}{more}">{cell}</{tag}>' for cell, style in zip(cells, aligned, strict=True)
        )
        return f'<tr style="background:transparent">{content}</tr>'

    lines = [
        '<table style="border-collapse:collapse;color:inherit;background:transparent">',
        f'<caption style="caption-side:top;text-align:left;color:inherit;padding:.3em 0">{escape(caption)}</caption>',
        f"<thead>{row('th', [escape(text) for text in head], f';border-bottom:{LINE}')}</thead>",
        f"<tbody>{''.join(row('td', cells) for cells in rows)}</tbody>",
    ]
    if foot:
        style = f"{CELL.format(align='left')};border-top:{LINE}"
        lines.append(f'<tfoot><tr><td colspan="{len(head)}" style="{style}">{escape(foot)}</td></tr></tfoot>')
    return "\n".join([*lines, "</table>"])


def _curve(values: Sequence[float]) -> str:
    """Return an SVG curve of the values; a value that is not finite leaves a gap."""
    step = -(-len(values) // MOST_POINTS)
    points = [(place, values[place]) for place in range(0, len(values), step)]
    finite = [value for _, value in points if math.isfinite(value)]
    low, high = min(finite), max(finite)
    span, last = (high - low) or 1.0, max(len(values) - 1, 1)
    path, pen = [], "M"
    for place, value in points:
        if not math.isfinite(value):
            pen = "M"
            continue
        x = 2 + (WIDTH - 4) * place / last
        y = 2 + (HEIGHT - 4) * (high - value) / span if high > low else HEIGHT / 2
        path.append(f"{pen}{x:.1f} {y:.1f}")
        if pen == "M":
            path.append("h.1")  # a point alone would not be drawn
        pen = "L"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="curve">'
        f'<path d="{"".join(path)}" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"/></svg>'
    )


def _number(value: float) -> str:
    return f"{value:.4g}"
