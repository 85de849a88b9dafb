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
from xpnet.cli.unparsed_numbers import find_unparsed_numbers

VALUES = np.random.default_rng(3).normal(4000, 3000, 80)


def write_spelled(spell: Callable[[float], str]) -> list[dict[str, str]]:
    """Write a table whose first column tells its second, with the numbers as they are spelled; return its rows."""
    rows = [{"a": spell(value), "b": "high" if value > 4000 else "low"} for value in VALUES]
    write(Path("n.csv"), rows, delimiter=";")
    return rows


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
    "francs": (lambda v: f"{v:.0f}.-", "--units .-", "numbers with '.-'"),
    "kilograms": (lambda v: f"{v:.1f}kg", "--units kg", "numbers with 'kg'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_the_options_that_are_named_read_the_numbers(shell: Shell, name: str) -> None:
    """The error names column, examples and options; with these the column is one of numbers, here and in new data."""
    spell, options, what = WRITTEN[name]
    rows = write_spelled(spell)
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


MINUS = "\N{MINUS SIGN}"

NEGATIVES: dict[str, tuple[Callable[[float], str], Callable[[float], str], str]] = {
    "minus sign": (
        lambda v: f"{v:.2f}".replace("-", MINUS), lambda v: f"{v:.2f}", "numbers with another character for the minus",
    ),
    "en dash": (
        lambda v: f"{v:.0f}".replace("-", "\N{EN DASH}"), lambda v: f"{v:.0f}",
        "numbers with another character for the minus",
    ),
    "minus sign behind": (
        lambda v: f"{abs(v):.2f}{MINUS if v < 0 else ''}", lambda v: f"{v:.2f}",
        "numbers with another character for the minus",
    ),
    "ledger": (
        lambda v: f"({-v:.2f})" if v < 0 else f"{v:.2f}", lambda v: f"{v:.2f}", "negative numbers in parentheses",
    ),
    "ledger of dollars": (
        lambda v: f"($ {-v:,.0f})" if v < 0 else f"$ {v:,.0f}", lambda v: f"-$ {-v:,.0f}",
        "negative numbers in parentheses",
    ),
    "german ledger": (lambda v: f"({german(-v)})" if v < 0 else german(v), german, "negative numbers in parentheses"),
    "behind": (
        lambda v: f"{-v:.2f}-" if v < 0 else f"{v:.2f}", lambda v: f"{v:.2f}", "numbers with the minus behind them",
    ),
    "apart": (
        lambda v: f"- {-v:.0f}" if v < 0 else f"{v:.0f}", lambda v: f"{v:.0f}", "numbers with a space after the sign",
    ),
    "fortran": (
        lambda v: f"{v:.6E}".replace("E", "D"), lambda v: f"{v:.6e}", "numbers with D before the exponent",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEGATIVES)
def test_signs_and_exponents_that_are_not_read_are_told(shell: Shell, name: str) -> None:
    """Silently they would be categories, or names; the error has the column, cells, and how the first is written."""
    spell, plain, what = NEGATIVES[name]
    write_spelled(spell)
    value = next(value for value in VALUES if value < 0 or name == "fortran")
    done = shell("train", "n.csv", "--target", "b", *QUICK)
    fails(done, f"in n.csv, column 'a' holds {what} ({spell(value)!r}, ")
    assert f": write {plain(value)!r} for {spell(value)!r}, and so on; or take as text with --categorical a" in done.err
    assert not Path("n.safetensors").exists()


def table(cells: list[str], **notation: Any) -> Table:
    return Table("t.csv", {"a": list(cells)}, range(2, 2 + len(cells)), notation=Notation(**notation))  # type: ignore[arg-type]


def test_a_comma_that_may_be_either_is_told_with_both() -> None:
    unparsed = find_unparsed_numbers(table(["1,234", "25,600", "3,141"]), "a")
    assert unparsed is not None
    assert unparsed.remedy == ("give --decimal , to read '1,234' as 1.234 or --thousands , to read '1,234' as 1234")


def test_the_examples_are_numbers() -> None:
    unparsed = find_unparsed_numbers(table(["---", *(f"{i},5" for i in range(20))]), "a")
    assert unparsed is not None
    assert unparsed.examples == "'0,5', '1,5', ..."


@pytest.mark.parametrize(
    ("cells", "remedy"),
    [
        (["1.5", "2.5", "(3.5)"], "write '-3.5' for '(3.5)', and so on"),
        (["1,5", "2,5", "3,5-"], "write '-3,5' for '3,5-', and so on"),
        ([f"({i}.50)" for i in range(30)], "write '-0.50' for '(0.50)', and so on"),
        ([*map(str, range(100)), "(7)"], "write '-7' for '(7)', and so on"),
        (["0", "1", f"{MINUS}1"], f"write '-1' for '{MINUS}1', and so on"),
        ([*(f"{i}" for i in range(30)), "- 4", "unknown"], "write '-4' for '- 4', and so on"),
        ([f"1e{MINUS}5", "2"], f"write '1e-5' for '1e{MINUS}5', and so on"),
        (["1.5", "2.5", "( 3.5 )"], "write '-3.5' for '( 3.5 )', and so on"),
        (["(5 kg)", *(f"{i} kg" for i in range(30))], "write '-5 kg' for '(5 kg)', and so on"),
    ],
)
def test_how_a_cell_is_to_be_written(cells: list[str], remedy: str) -> None:
    unparsed = find_unparsed_numbers(table(cells), "a")
    assert unparsed is not None
    assert unparsed.remedy == remedy


def test_targets_and_new_data_with_other_signs(shell: Shell) -> None:
    write(Path("n.csv"), [{"a": f"{i}.5", "b": f"({i * i}.25)" if i % 3 else "1.5"} for i in range(60)])
    fails(
        shell("train", "n.csv", "--target", "b", *QUICK), "'b'", "write '-1.25' for '(1.25)'", "--task classification"
    )
    write(Path("n.csv"), [{"a": f"{i}.5", "b": f"{i * i}.25"} for i in range(60)])
    assert shell("train", "n.csv", "--target", "b", *QUICK).status == 0
    write(Path("p.csv"), [{"a": "1.5"}, {"a": "2.5-"}])
    fails(shell("predict", "n.safetensors", "p.csv"), "'2.5-' in line 3", "write '-2.5' for '2.5-'")


def test_words_between_numbers_are_told_with_their_rows() -> None:
    cells = [f"{i}.5" for i in range(40)] + ["-", "unknown, yet", "-"]
    unparsed = find_unparsed_numbers(table(cells), "a")
    assert str(unparsed) == (
        "numbers and words ('-' in 2 rows, 'unknown, yet' in 1 row; the first in line 42 of t.csv): "
        """correct them, or give --missing='-,"unknown, yet"' if they stand for missing values"""
    )
    unparsed = find_unparsed_numbers(table(cells, missing=("-",)), "a")
    assert unparsed is not None
    assert unparsed.options == """--missing='-,"unknown, yet"'""", "what was given before, too"


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
        [f"2024{MINUS}01{MINUS}{i:02}" for i in range(1, 29)],
        [f"({i})" for i in range(30)],
        [f"({i},{i % 7})" for i in range(30)],
        [f"({letter})" for letter in "abcdefghij"],
        [f"({i}.5)" for i in range(9)],
        [f"(030) {i}" for i in range(5550, 5599)],
        [f"555-{i}-" for i in range(30)],
        [f"{i}-" for i in range(30)],
        [f"- {i}" for i in range(30)],
        ["1", "1-", "2", "2-", "3"],
        [*(f"({i})" for i in range(30)), *(f"k{i}" for i in range(20)), "7"],
        [f"{i}\N{EN DASH}{i + 4}" for i in range(30)],
        [f"{i}D{i % 3}" for i in range(10, 50)],
        [],
    ],
)
def test_texts_that_are_no_numbers_are_left_alone(cells: list[str]) -> None:
    assert find_unparsed_numbers(table(cells), "a") is None


def test_texts_that_are_no_numbers_in_the_given_notation() -> None:
    unparsed = find_unparsed_numbers(table(["1.5", "2.5"], decimal=","), "a")
    assert unparsed is not None
    assert unparsed.remedy == "give --decimal . to read '1.5' as 1.5"
    unparsed = find_unparsed_numbers(table(["1.234", "2.500"], decimal=","), "a")
    assert unparsed is not None
    assert unparsed.remedy == "give --decimal . to read '1.234' as 1.234 or --thousands . to read '1.234' as 1234"
