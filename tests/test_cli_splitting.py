"""Rows by what they are for, where there are few of them, or few of a class."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import Shell, fails, write


def test_a_rare_class_is_trained_on_alone(shell: Shell) -> None:
    rows = [{"a": str(i), "b": "rare" if i == 7 else ["x", "y"][i % 2]} for i in range(60)]
    write(Path("rare.csv"), rows)
    done = shell("train", "rare.csv", "--target", "b", "--json", "--epochs", "1", "--quiet")
    assert done.status == 0
    said = "trained on, but with too few rows to test on some: rare (1 row, in line 9 of rare.csv)"
    assert said in done.err.splitlines()
    assert done.json()["rows"] == {"training": 42, "validation": 6, "test": 12}
    assert [sum(row) for row in done.json()["test"]["confusion"]] == [0, 6, 6], "the others in proportion"
    assert done.json()["classes"] == ["rare", "x", "y"]


@pytest.mark.parametrize("rare", [3, 4, 5])
def test_a_class_whose_share_is_rounded_to_none_leaves_the_others_in_proportion(shell: Shell, rare: int) -> None:
    rows = [{"a": str(i), "b": "rare" if i < rare else ["x", "y"][i % 2]} for i in range(300)]
    write(Path("rare.csv"), rows)
    done = shell("train", "rare.csv", "--target", "b", "--json", "--epochs", "1", "--quiet", "--test", "0.05")
    assert "by chance" not in done.err
    held = [sum(row) for row in done.json()["test"]["confusion"]]
    assert sum(held) == 15
    assert abs(held[1] - held[2]) <= 1
    said = f"trained on, but with too few rows to test on some: rare ({rare} rows, first in line 2 of rare.csv)"
    assert (said in done.err.splitlines()) == (held[0] == 0)


def test_parts_smaller_than_the_number_of_classes_have_the_rows_of_some(shell: Shell) -> None:
    rows = [{"a": str(i * i), "b": f"class {i % 6}"} for i in range(30)]
    write(Path("many.csv"), rows)
    done = shell("train", "many.csv", "--target", "b", "--json", "--epochs", "1", "--quiet")
    (line,) = [line for line in done.err.splitlines() if line.startswith("trained on, but with too few rows to valid")]
    assert line.count("(5 rows, first in line") == 3
    assert done.json()["rows"] == {"training": 21, "validation": 3, "test": 6}
    assert [sum(row) for row in done.json()["test"]["confusion"]] == [1] * 6


@pytest.mark.parametrize("seed", range(3))
def test_a_class_is_not_held_out_whole_where_there_are_rows_to_train_on(shell: Shell, seed: int) -> None:
    write(Path("c.csv"), [{"a": str(i * i), "b": "aaaaaaaaaabbbbbbbbbbccc"[i]} for i in range(23)])
    parts = ("--test", "0.5", "--validation", "0.3", "--seed", str(seed))
    done = shell("train", "c.csv", "--target", "b", *parts, "--json", "--epochs", "1", "--quiet")
    assert done.json()["rows"] == {"training": 4, "validation": 7, "test": 12}
    assert "no row of these classes" not in done.err


@pytest.mark.parametrize("parts", [("--test", "101", "--validation", "0"), ("--test", "100", "--validation", "1")])
def test_a_class_that_is_not_trained_on_is_told_of_once(shell: Shell, parts: tuple[str, ...]) -> None:
    write(Path("c.csv"), [{"a": str(i * i), "b": "rare" if i < 3 else ["x", "y"][i % 2]} for i in range(103)])
    done = shell("train", "c.csv", "--target", "b", *parts, "--epochs", "50", "--quiet")
    said = "no row of these classes came to be trained on, so they are never predicted: rare"
    assert said in done.err.splitlines()
    assert done.err.count("rare") == 2, "and among the classes"


def test_rows_are_split_by_chance_where_most_classes_are_rare(shell: Shell) -> None:
    rows = [{"a": str(i), "b": "common" if i < 4 else f"c{i}"} for i in range(60)]
    write(Path("many.csv"), rows)
    done = shell("train", "many.csv", "--target", "b", "--json", "--epochs", "1", "--quiet", "--task", "classification")
    assert done.json()["rows"] == {"training": 42, "validation": 6, "test": 12}
    assert "rows are split by chance alone" in done.err


def test_classes_that_training_never_sees_are_told(shell: Shell) -> None:
    write(Path("few.csv"), [{"a": str(i), "b": f"c{i}"} for i in range(8)])
    parts = ("--test", "3", "--validation", "0")
    done = shell("train", "few.csv", "--target", "b", *parts, "--epochs", "1", "--quiet", "--balanced")
    assert done.status == 0, done.err
    assert "rows are split by chance alone" in done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("no row of these classes")]
    unseen = line.partition(": ")[2].split(", ")
    assert len(set(unseen) & {f"c{i}" for i in range(8)}) == 3, "those of the rows to test on"


@pytest.mark.parametrize("rows", [2, 3])
def test_tables_too_small_to_hold_rows_out(shell: Shell, rows: int) -> None:
    write(Path("tiny.csv"), [{"a": str(i), "b": ["x", "y"][i % 2]} for i in range(rows)])
    done = shell("train", "tiny.csv", "--target", "b")
    fails(done, f"tiny.csv has {rows} rows", "--test 0 --validation 0 to train on all")
    everything = ("--test", "0", "--validation", "0", "--epochs", "1", "--quiet", "--json")
    assert shell("train", "tiny.csv", "--target", "b", *everything).json()["rows"]["training"] == rows
    fails(
        shell("train", "shop.csv", "--target", "grade", "--test", "400"), "240 rows", "--test 400 and --validation 0.1"
    )
