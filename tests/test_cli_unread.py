"""Numbers in a notation that is not the reader's are no categories: they are told, with the options that mend it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import QUICK, Shell, fails, write

from xpnet.cli.cells import Notation
from xpnet.cli.tables import Table
from xpnet.cli.unread import unread_numbers

VALUES = np.random.default_rng(3).normal(4000, 3000, 80)


def german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


WRITTEN: dict[str, tuple[Callable[[float], str], str, str]] = {
    "decimal comma": (lambda v: f"{v:.2f}".replace(".", ","), "--decimal ,", "numbers in another notation"),
    "thousands": (lambda v: f"{v:,.2f}", "--thousands ,", "numbers in another notation"),
    "german": (german, "--decimal , --thousands .", "numbers in another notation"),
    "swiss": (lambda v: f"{v:,.2f}".replace(",", "'"), "--thousands apostrophe", "numbers in another notation"),
    "french": (
        lambda v: f"{v:,.2f}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ","),
        "--decimal , --thousands space", "numbers in another notation",
    ),
    "dollars": (lambda v: f"-${-v:,.2f}" if v < 0 else f"${v:,.2f}", "--units '$' --thousands ,", "numbers with '$'"),
    "euros": (lambda v: f"{german(v)} \N{EURO SIGN}", "--units '\N{EURO SIGN}' --decimal , --thousands .", "numbers"),
    "code": (lambda v: f"CHF {v:.2f}", "--units CHF", "numbers with 'CHF'"),
    "per cent": (lambda v: f"{v:.1f} %", "--units %", "numbers with '%'"),
    "kilograms": (lambda v: f"{v:.1f}kg", "--units kg", "numbers with 'kg'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_the_options_that_are_named_read_the_numbers(shell: Shell, name: str) -> None:
    """The error names column, examples and options; with these the column is one of numbers, here and in new data."""
    spell, options, what = WRITTEN[name]
    rows = [{"a": spell(value), "b": "high" if value > 4000 else "low"} for value in VALUES]
    write(Path("n.csv"), rows, delimiter=";")
    arguments = ("train", "n.csv", "--target", "b", "--json", *QUICK)
    done = shell(*arguments)
    fails(done, f"in n.csv, column 'a' holds {what}", f"({rows[0]['a']!r}", f"give {options}")
    assert "or take as text with --categorical a, or leave out with --drop a" in done.err
    assert not Path("n.safetensors").exists()
    done = shell(*arguments, *shlex.split(options))
    assert done.status == 0, done.err
    assert done.json()["columns"]["numbers"] == ["a"]
    assert done.json()["test"]["accuracy"] > 0.8
    answers = [row["b"] for row in shell("predict", "n.safetensors", "n.csv").table()]
    assert np.mean([answer == row["b"] for answer, row in zip(answers, rows, strict=True)]) > 0.8


def test_predict_tells_another_notation_than_in_training(shell: Shell) -> None:
    rows = [{"a": f"{i},5", "b": f"{i * i},25"} for i in range(60)]
    write(Path("n.csv"), rows, delimiter=";")
    assert shell("train", "n.csv", "--target", "b", "--decimal", ",", *QUICK).status == 0
    expected = shell("predict", "n.safetensors", "n.csv")
    assert expected.status == 0
    write(Path("p.csv"), [{name: cell.replace(",", ".") for name, cell in row.items()} for row in rows])
    done = shell("predict", "n.safetensors", "p.csv")
    fails(done, "'a' must hold numbers; got '0.5' in line 2 of p.csv; give --decimal . to read '0.5' as 0.5")
    fails(shell("evaluate", "n.safetensors", "p.csv"), "the target 'b' must hold numbers", "give --decimal .")
    assert shell("predict", "n.safetensors", "p.csv", "--decimal", ".").out == expected.out
    assert shell("evaluate", "n.safetensors", "p.csv", "--decimal", ".").status == 0


def test_decimal_commas_without_a_header_are_not_cut(shell: Shell) -> None:
    """With nothing but numbers between semicolons, there are more commas than these; the model file remembers that."""
    Path("n.csv").write_text("".join(f"{i},5;{i * i},25;{3 * i},75\n" for i in range(60)))
    done = shell("train", "n.csv", "--target", "column3", "--no-header", "--decimal", ",", "--json", *QUICK)
    assert done.json()["columns"]["numbers"] == ["column1", "column2"]
    assert done.json()["task"] == "regression"
    assert len(shell("predict", "n.safetensors", "n.csv", "--no-header").table()) == 60


def test_several_columns_are_told_at_once(shell: Shell) -> None:
    rows = [{"a": f"{i},5", "b, c": f"{i},25", "d": f"{i} %", "y": str(i % 2)} for i in range(40)]
    write(Path("n.csv"), rows, delimiter=";")
    done = shell("train", "n.csv", "--target", "y", *QUICK)
    fails(
        done,
        "columns a, 'b, c' hold numbers in another notation ('0,5', '1,5', ...)",
        "column 'd' holds numbers with",
    )
    dropping = done.err[done.err.index("--drop") :].strip()
    assert dropping == """--drop 'a,"b, c",d'"""
    fails(shell("train", "n.csv", "--target", "y", *shlex.split(dropping), *QUICK), "no column to learn from")
    done = shell(
        "train", "n.csv", "--target", "y", "--json", *shlex.split(dropping.replace("drop", "categorical")), *QUICK
    )
    assert done.json()["columns"]["categories"] == ["a", "b, c", "d"]


def table(cells: list[str], **notation: Any) -> Table:
    return Table("t.csv", {"a": list(cells)}, range(2, 2 + len(cells)), notation=Notation(**notation))  # type: ignore[arg-type]


def test_a_comma_that_may_be_either_is_told_with_both() -> None:
    unread = unread_numbers(table(["1,234", "25,600", "3,141"]), "a")
    assert unread is not None
    assert unread.remedy == ("give --decimal , to read '1,234' as 1.234 or --thousands , to read '1,234' as 1234")


def test_the_examples_are_numbers() -> None:
    unread = unread_numbers(table(["---", *(f"{i},5" for i in range(20))]), "a")
    assert unread is not None
    assert unread.examples == "'0,5', '1,5', ..."


def test_words_between_numbers_are_told_with_their_rows() -> None:
    cells = [f"{i}.5" for i in range(40)] + ["-", "unknown, yet", "-"]
    unread = unread_numbers(table(cells), "a")
    assert str(unread) == (
        "numbers and words ('-' in 2 rows, 'unknown, yet' in 1 row; the first in line 42 of t.csv): "
        """correct them, or give --missing='-,"unknown, yet"' if they stand for missing values"""
    )
    unread = unread_numbers(table(cells, missing=("-",)), "a")
    assert unread is not None
    assert unread.options == """--missing='-,"unknown, yet"'""", "what was given before, too"


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "2.5", "NA"],
        ["red", "blue", "red"],
        ["0", "1", "2", "3+"] * 20,
        ["S", "M", "36", "38", "40"] * 9,
        [f"A/5 {i}" for i in range(21000, 21050)],
        [f"k{i}" for i in range(50)],
        [f"{i}th" for i in range(15)],
        ["1,2,3", "4,5,6"],
        ["3-4", "5-6", "10-12"],
        [f"192.168.0.{i}" for i in range(30)],
        [f"{i}{letter}" for i in range(30) for letter in "ab"],
        [f"555-{i}" for i in range(1000, 1040)],
        [f"2024-01-{i:02}" for i in range(1, 29)],
        [],
    ],
)
def test_texts_that_are_no_numbers_are_left_alone(cells: list[str]) -> None:
    assert unread_numbers(table(cells), "a") is None


def test_texts_that_are_no_numbers_in_the_given_notation() -> None:
    unread = unread_numbers(table(["1.5", "2.5"], decimal=","), "a")
    assert unread is not None
    assert unread.remedy == "give --decimal . to read '1.5' as 1.5"
    unread = unread_numbers(table(["1.234", "2.500"], decimal=","), "a")
    assert unread is not None
    assert unread.remedy == "give --decimal . to read '1.234' as 1.234 or --thousands . to read '1.234' as 1234"
