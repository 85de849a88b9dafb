"""A shop's table with gaps, and a shell that works on it; the fixture ``shell`` is in conftest.py."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

STREAM = np.random.default_rng(5)
ROWS = 240
COLORS = ["blue", "green", "red"]


def shop() -> list[dict[str, str]]:
    """Rows whose price and grade follow from a color and a size; both have gaps."""
    rows = []
    for i in range(ROWS):
        color, size = int(STREAM.integers(3)), float(STREAM.normal(5, 2))
        price = 3 * size + 4 * color
        rows.append(
            {
                "key": f"row {i}",
                "color": "" if i % 17 == 3 else COLORS[color],
                "size": "NA" if i % 19 == 4 else f"{size:.4f}",
                "price": f"{price:.4f}",
                "grade": "high" if price > 19 else "low, or so",
            }
        )
    return rows


SHOP = shop()


def write(path: Path, rows: list[dict[str, str]], **options: Any) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


class Done(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def table(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.out)))


Shell = Callable[..., Done]


def fails(done: Done, *words: str) -> None:
    """Hold an error to one line on standard error, with these words in it, and nothing else."""
    assert done.status == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("xpnet ")
    assert "unexpected" not in line
    for word in words:
        assert word in line


QUICK = ("--epochs", "15", "--hidden", "16", "--learning-rate", "0.02", "--quiet")


def trained(shell: Shell, target: str = "grade", *more: Any) -> Done:
    other = "price" if target == "grade" else "grade"
    done = shell("train", "shop.csv", "--target", target, "--drop", other, "--json", *QUICK, *more)
    assert done.status == 0, done.err
    return done
